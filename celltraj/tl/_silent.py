"""Call the fits of a user without bars of their own."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import TypeVar

T = TypeVar("T")


def silent(fit: Callable[..., T]) -> Callable[..., T]:
    """Return ``fit`` with ``progress=False``, where it takes such an argument.

    Examples
    --------
    >>> from celltraj.tl._silent import silent
    >>> silent(lambda adata, **options: options)(None)
    {'progress': False}
    >>> silent(lambda adata: "as it is")(None)
    'as it is'
    """
    try:
        parameters = inspect.signature(fit).parameters
    except (TypeError, ValueError):  # a callable that has no signature to read
        return fit
    takes_any = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters.values())
    return partial(fit, progress=False) if takes_any or "progress" in parameters else fit
