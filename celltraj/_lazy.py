"""Load a namespace's members on first use, as its stub lists them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import lazy_loader

from celltraj._foreign import refuse_foreign
from celltraj._renamed import OLD_NAMES

_FOLDER = str(Path(__file__).parent)


def attach(
    package: str, file: str
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Return ``__getattr__``, ``__dir__`` and ``__all__`` of a package.

    The stub beside ``file``, an ``__init__.pyi``, is what type checkers read and what is loaded:
    one list for both. So ``import celltraj`` takes neither the seconds nor the memory of libraries
    that a user may never call.

    Parameters
    ----------
    package
        Its ``__name__``.
    file
        Its ``__file__``.

    Raises
    ------
    ImportError
        Another distribution has been installed into the folder of this one.
    """
    refuse_foreign(_FOLDER)
    load, names, public = lazy_loader.attach_stub(package, file)
    old = OLD_NAMES.get(package.removeprefix("celltraj").lstrip("."), {})

    def member(name: str) -> Any:
        if name in old:
            raise AttributeError(f"{package}.{name} is no more: {old[name]}")
        return load(name)

    return member, names, public
