"""Save parts of a model whose classes are the user's: by name, plain values and tensors.

A file never says what code to run. It names the class, and whoever loads it hands the class over,
``ct.load(folder, classes=[Mine])``.
"""

from __future__ import annotations

import functools
import math
import typing
from collections.abc import Collection, Iterable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, cast

import torch
from torch import Tensor

from celltraj.models._facts import FLOATS, Stored

_PLAIN = (bool, int, float, str, type(None))
_INTEGERS = (torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)
Classes = Mapping[str, type]


def by_name(classes: Iterable[type]) -> dict[str, type]:
    """Return the user's classes by their names.

    Raises
    ------
    TypeError
        One is no dataclass.
    ValueError
        Two have one name.
    """
    found: dict[str, type] = {}
    for one in classes:
        if not isinstance(one, type) or not is_dataclass(one):
            raise TypeError(f"classes must list dataclasses of yours; found {one!r}")
        if found.get(one.__name__, one) is not one:
            raise ValueError(f"classes has two of the name {one.__name__}; pass the one meant")
        found[one.__name__] = one
    return found


def own_parts(
    part: Any, what: str, *, ours: Collection[str]
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return plain values and tensors of an object of the user's.

    Parameters
    ----------
    part
        An instance of a dataclass.
    what
        What it is in the model, for a message.
    ours
        Names that a file gives to classes of celltraj.

    Raises
    ------
    TypeError
        It is no dataclass, holds something else, such as a function, or has one of our names.
    """
    name = type(part).__name__
    refusal = f"a model with the {what} {name} cannot be saved, since its code is yours"
    if not is_dataclass(part):
        raise TypeError(
            f"{refusal} and it is no dataclass; make it one of numbers and tensors, or save what "
            "you need of it"
        )
    if name in ours:
        raise TypeError(f"{refusal} and its name one of celltraj's; give the class another name")
    values = {one.name: getattr(part, one.name) for one in fields(part) if one.init}
    if beside := _beside(part):
        raise TypeError(f"{refusal} and {beside[0]} is no field of it; make it one")
    tensors = {key: value for key, value in values.items() if isinstance(value, Tensor)}
    options = {key: value for key, value in values.items() if key not in tensors}
    for key, value in options.items():
        if not _is_plain(value):
            raise TypeError(
                f"{refusal}: {key} is a {type(value).__name__}, and a file holds finite numbers, "
                "texts and tensors"
            )
    return options, tensors


def own_part(name: str, options: Any, tensors: Stored, classes: Classes, what: str) -> Any:
    """Return the object that :func:`own_parts` took apart.

    Raises
    ------
    ValueError
        The class was not handed over, or the values are not those of it.
    """
    if name not in classes:
        raise ValueError(
            f"its {what} is {name}, none of celltraj's; where it is a class of yours, pass it: "
            f"ct.load(folder, classes=[{name}])"
        )
    cls: Any = classes[name]
    known = {one.name for one in fields(cast("Any", cls)) if one.init}
    if not isinstance(options, dict) or not options.keys() | tensors.names <= known:
        raise ValueError(f"the {what} in the file has other fields than your class {name}")
    infinite = (-math.inf, math.inf)
    given = {
        key: tensors.take(key, *tensors.sizes(key), dtypes=FLOATS + _INTEGERS, infinite=infinite)
        for key in tensors.names
    }
    hints = _hints(cls)
    read = {key: _read(value, hints.get(key)) for key, value in options.items()}
    try:
        return cls(**read, **given)
    except (TypeError, ValueError) as error:
        raise ValueError(f"your class {name} does not take what is in the file: {error}") from error


def _beside(part: Any) -> list[str]:
    """Return attributes that are no fields, which a file would lose; caches are made again."""
    own = {one.name for one in fields(part)}
    return [
        name
        for name in getattr(part, "__dict__", {})
        if name not in own
        and not isinstance(getattr(type(part), name, None), functools.cached_property)
    ]


def _is_plain(value: Any) -> bool:
    if isinstance(value, tuple | list):
        return all(map(_is_plain, value))
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and _is_plain(one) for key, one in value.items())
    return isinstance(value, _PLAIN) and (not isinstance(value, float) or math.isfinite(value))


def _hints(cls: type) -> dict[str, Any]:
    try:
        return typing.get_type_hints(cls)
    except NameError:  # written as texts, with names that only its own function knows
        return {one.name: one.type for one in fields(cast("Any", cls))}


def _read(value: Any, hint: Any) -> Any:
    """Return a value as it was, as far as the annotation tells: JSON makes lists of tuples."""
    return _tupled(value) if "tuple" in str(hint).lower() else value


def _tupled(value: Any) -> Any:
    return tuple(map(_tupled, value)) if isinstance(value, list) else value
