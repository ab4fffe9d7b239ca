"""Whether a value is what an annotation asks, what it lacks of it, and what it is."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import numpy as np

_SHOWN = 60  # characters of a value in a message


def fits(value: Any, hint: Any) -> bool:
    """Return whether a value is what an annotation asks, every item of a sequence included."""
    if hint is Any or isinstance(hint, TypeVar):
        return True
    if hint is None or hint is types.NoneType:
        return value is None
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return any(fits(value, one) for one in inner)
    if origin is Literal:
        return any(type(value) is type(one) and value == one for one in inner)
    if hint in _NUMBERS:
        # a truth value is no number, although Python counts it as one
        is_truth = isinstance(value, bool | np.bool_)
        return is_truth if hint is bool else isinstance(value, _NUMBERS[hint]) and not is_truth
    if origin is None:
        return _is_instance(value, hint)
    return _holds(value, origin, inner)


_NUMBERS: dict[Any, Any] = {bool: bool, int: Integral, float: Real}


def _holds(value: Any, origin: Any, inner: tuple[Any, ...]) -> bool:
    """Return whether a container is of this kind, and so is all that it holds."""
    if origin is Callable:
        return callable(value)
    if issubclass(origin, Mapping):
        if not isinstance(value, Mapping):
            return False
        return all(fits(k, inner[0]) and fits(v, inner[1]) for k, v in value.items())
    if not issubclass(origin, Iterable):  # such as a path
        return isinstance(value, origin)
    items = _items(value)
    if items is None:
        return False
    if origin is tuple and Ellipsis not in inner:
        return len(items) == len(inner) and all(map(fits, items, inner))
    return all(fits(one, inner[0]) for one in items)


def names_choices(hint: Any) -> bool:
    """Return whether some texts are allowed and others are not."""
    return get_origin(hint) is Literal or any(map(names_choices, get_args(hint)))


def _items(value: Any) -> list[Any] | None:
    """Return what a sequence holds; a text is none, arrays and columns are."""
    if isinstance(value, str | bytes | Mapping):
        return None
    if isinstance(value, Sequence):
        return list(value)
    shape = getattr(value, "shape", None)
    return list(value) if isinstance(shape, tuple) and len(shape) >= 1 else None


def _is_instance(value: Any, hint: Any) -> bool:
    try:
        is_one = isinstance(value, hint)
    except TypeError:  # a protocol that is not meant to be asked
        return True
    # a class has the methods that its instances have
    return is_one and not (isinstance(value, type) and getattr(hint, "_is_protocol", False))


def lacking(value: Any, hint: Any) -> list[str]:
    """Return which members of a protocol a value lacks, where it has some of them.

    Examples
    --------
    >>> from celltraj._hints import lacking
    >>> from celltraj.models import Process
    >>> class Still:
    ...     def drift(self, t, x):
    ...         return 0 * x
    >>> lacking(Still(), Process | None)
    ['diffusion']
    """
    for one in get_args(hint) or (hint,):
        names = _members(one)
        missing = [name for name in names if not hasattr(value, name)]
        if len(missing) < len(names):
            return missing
    return []


def _members(hint: Any) -> list[str]:
    """Return the names that a protocol asks for; none of another class."""
    if not getattr(hint, "_is_protocol", False):
        return []
    found = [
        name
        for base in hint.__mro__
        if getattr(base, "_is_protocol", False)
        for name in (*vars(base), *vars(base).get("__annotations__", {}))
    ]
    return [name for name in dict.fromkeys(found) if name == "__call__" or name[0] != "_"]


def brief(value: object) -> str:
    """Return a value and its type, in a few letters."""
    kind = type(value).__name__
    if getattr(value, "shape", ()) or len(text := _text(value)) > _SHOWN:
        return f"{kind} of shape {value.shape}" if hasattr(value, "shape") else kind
    return f"{text} ({kind})"


def _text(value: object) -> str:
    try:
        return repr(value)
    except Exception:  # noqa: BLE001  # whatever a foreign object raises, its type is said
        return "?" * (_SHOWN + 1)
