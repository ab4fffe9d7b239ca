"""Save parts of a model whose classes are the user's: by name, plain values and tensors.

A file never says what code to run. It names the class, and whoever loads it hands the class over,
``ct.load(folder, classes=[Mine])``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, cast

from torch import Tensor

from celltraj.models._facts import FLOATS, Stored, facts_as

_PLAIN = (bool, int, float, str, type(None))
_DTYPES = (*FLOATS,)
Classes = Mapping[str, type]


def by_name(classes: Iterable[type]) -> dict[str, type]:
    """Return the user's classes by their names.

    Raises
    ------
    TypeError
        One is no dataclass.
    """
    found: dict[str, type] = {}
    for one in classes:
        if not isinstance(one, type) or not is_dataclass(one):
            raise TypeError(f"classes must list dataclasses of yours; found {one!r}")
        found[one.__name__] = one
    return found


def own_parts(part: Any, what: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return plain values and tensors of an object of the user's.

    Parameters
    ----------
    part
        An instance of a dataclass.
    what
        What it is in the model, for a message.

    Raises
    ------
    TypeError
        It is no dataclass, or holds something else, such as a function.
    """
    name = type(part).__name__
    if not is_dataclass(part):
        raise TypeError(
            f"a model with the {what} {name} cannot be saved, since its code is yours and it is no "
            "dataclass; make it one of numbers and tensors, or save what you need of it"
        )
    values = {one.name: getattr(part, one.name) for one in fields(part) if one.init}
    tensors = {key: value for key, value in values.items() if isinstance(value, Tensor)}
    options = {key: value for key, value in values.items() if key not in tensors}
    for key, value in options.items():
        if not _is_plain(value):
            raise TypeError(
                f"a model with the {what} {name} cannot be saved, since its code is yours: "
                f"{key} is a {type(value).__name__}, and a file holds numbers, texts and tensors"
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
    init = {one.name for one in fields(cast("Any", cls)) if one.init}
    given = {
        key: tensors.take(key, *tensors.sizes(key), dtypes=_DTYPES) for key in tensors.names & init
    }
    return facts_as(cls, options, f"{what} {name}", given)


def _is_plain(value: Any) -> bool:
    if isinstance(value, tuple | list):
        return all(map(_is_plain, value))
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and _is_plain(one) for key, one in value.items())
    return isinstance(value, _PLAIN)
