"""Bind what was passed to a public function to the names of its signature."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable
from typing import Any

from celltraj._renamed import OLD_ARGUMENTS, OLD_POSITIONS


def public_name(function: Callable[..., Any]) -> str:
    """Return what a user writes after ``ct.``, as ``tl.push``."""
    parts = function.__module__.split(".")
    place = f"{parts[1]}." if len(parts) > 2 and parts[0] == "celltraj" else ""
    return f"{place}{function.__qualname__}"


def bound(
    function: str, signature: inspect.Signature, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> dict[str, Any]:
    """Return the arguments of ``function``, as :func:`public_name` names it, by their names.

    Raises
    ------
    TypeError
        There is no argument of that name, it was renamed, or one is missing.
    """
    known, name = list(signature.parameters), function.rpartition(".")[2]
    old = OLD_ARGUMENTS.get(function, {})
    positional = [p for p in signature.parameters.values() if p.kind is not p.KEYWORD_ONLY]
    asked = list(kwargs)
    if len(args) > len(positional) and function in OLD_POSITIONS:
        asked.append(OLD_POSITIONS[function])
    for one in asked:
        if one in known:
            continue
        if one in old:
            raise TypeError(f"{name} takes no argument {one!r}: {old[one]}")
        near = difflib.get_close_matches(one, known, n=1)
        hint = f"; did you mean {near[0]}=?" if near else f"; it takes {', '.join(known)}"
        raise TypeError(f"{name} takes no argument {one!r}{hint}")
    try:
        return signature.bind(*args, **kwargs).arguments
    except TypeError as error:
        raise TypeError(f"{name}: {error}; it takes {', '.join(known)}") from None
