"""Check the arguments of public functions against their signatures, before any work.

One mechanism for all of them: a signature says what an argument may be, and a table what a name
means wherever it occurs. Own code, because the libraries that check types look at one random item
of a sequence, or refuse a user's class for the names of its arguments.
"""

from __future__ import annotations

import functools
import inspect
import math
import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import (
    Any,
    Literal,
    ParamSpec,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

import numpy as np

from celltraj._containers import advice_for
from celltraj._hints import brief, fits, lacking, names_choices
from celltraj._signature import bound, public_name

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
_MOST = 2**31  # no count is as large, and one that is would end in memory that nobody has


@dataclass(frozen=True)
class Rule:
    """Say what the values of a parameter have in common wherever it occurs.

    Parameters
    ----------
    text
        What must hold, to stand after "must be".
    holds
        Whether it does.
    """

    text: str
    holds: Callable[[Any], bool]


_RULES: dict[str, Rule] = {
    "seed": Rule("an integer from 0 to 2^63 - 1", lambda v: 0 <= v < 2**63),
    "n_jobs": Rule(
        "a number of processes, or -1 for all cores", lambda v: v == -1 or 0 < v < 2**12
    ),
    "confidence": Rule("in (0, 1)", lambda v: 0 < v < 1),
    "drop": Rule("in [0, 1)", lambda v: 0 <= v < 1),
}


def checked(function: Callable[P, R]) -> Callable[P, R]:
    """Return ``function`` that refuses arguments which its signature does not allow.

    Raises
    ------
    TypeError
        An argument is of another type, there is none of that name, or it was renamed.
    ValueError
        It is of this type but out of range: an empty text, a number that is not finite.

    Examples
    --------
    >>> from celltraj._checks import checked
    >>> @checked
    ... def draw(n: int, *, seed: int = 0) -> int:
    ...     return n
    >>> draw(3, seed="x")
    Traceback (most recent call last):
        ...
    TypeError: seed must be an integer; found 'x' (str)
    """
    signature = inspect.signature(function)

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        given = bound(public_name(function), signature, args, kwargs)
        hints = _hints(function)
        _check_order(public_name(function), given, hints)
        for name, value in given.items():
            check_argument(name, value, hints.get(name, Any))
        return function(*args, **kwargs)

    return call


def checked_fields(cls: type[T]) -> type[T]:
    """Return a dataclass of options that refuses fields which their annotations do not allow.

    Stands above ``@dataclass``; what a field must be beyond its type the class checks itself.

    Raises
    ------
    TypeError
        A field is of another type, or there is none of that name.
    ValueError
        It is of this type but an empty text, or a number that is not finite.
    """
    made = cls.__init__
    signature = inspect.signature(cls)

    @functools.wraps(made)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        hints = _hints(cast("Any", cls))
        for name, value in bound(public_name(cls), signature, args, kwargs).items():
            check_argument(name, value, hints.get(name, Any))
        made(self, *args, **kwargs)

    cls.__init__ = __init__  # type: ignore[method-assign]
    return cls


def check_argument(name: str, value: object, hint: Any) -> None:
    """Raise where one argument is not what its annotation says.

    Parameters
    ----------
    name, value
        The argument.
    hint
        Its annotation, resolved.

    Raises
    ------
    TypeError
        It is of another type.
    ValueError
        It is of this type but empty, not finite or out of range.
    """
    if isinstance(value, type) and not fits(value, hint):
        raise TypeError(f"pass an instance, {value.__name__}(...), in place of the class as {name}")
    if isinstance(value, str) and fits([value], hint) and not fits(value, hint):
        raise TypeError(f'{name} must be a list of texts, such as ["{value}"]; found {value!r}')
    if isinstance(value, str) and names_choices(hint):
        if not fits(value, hint):
            raise ValueError(f"{name} must be {_words(hint)}; found {value!r}")
    elif not fits(value, hint):
        raise TypeError(f"{name} must be {_words(hint)}; found {_found(value, hint)}")
    if isinstance(value, str) and not value.strip():
        raise ValueError(f"{name} is empty; give it a value, or leave {name}= out")
    if isinstance(value, Real) and not isinstance(value, bool | np.bool_):
        _check_number(name, value)


def check_option(value: object, kind: Any, name: str, example: str) -> None:
    """Raise unless an options object is an instance of its kind, not a class or a text.

    Parameters
    ----------
    value
        What was passed.
    kind
        Class or protocol that it must satisfy.
    name
        Argument that it was passed as.
    example
        A call that makes such an object.

    Raises
    ------
    TypeError
        It is not.

    Examples
    --------
    >>> from celltraj._checks import check_option
    >>> check_option("fast", int, "speed", "3")
    Traceback (most recent call last):
        ...
    TypeError: speed must be an object such as 3; found 'fast' (str)
    """
    if isinstance(value, type):
        raise TypeError(f"pass an instance, {value.__name__}(...), in place of the class as {name}")
    if not isinstance(value, kind):
        raise TypeError(f"{name} must be an object such as {example}; found {_found(value, kind)}")


def check_at_least(least: int, **counts: Any) -> None:
    """Raise unless every count is a whole number of at least ``least``.

    Raises
    ------
    ValueError
        One is not.
    """
    for name, value in counts.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ValueError(f"{name} must be a whole number of at least {least}; found {value!r}")


def _check_number(name: str, value: Any) -> None:
    if not math.isfinite(value):
        raise ValueError(f"{name} must be finite; found {value}")
    rule = _RULES.get(name)
    if rule is not None and not rule.holds(value):
        raise ValueError(f"{name} must be {rule.text}; found {brief(value)}")
    if rule is None and isinstance(value, Integral) and abs(int(value)) >= _MOST:
        raise ValueError(f"{name} must be less than 2^31; found {brief(value)}")


def _check_order(function: str, given: Mapping[str, Any], hints: Mapping[str, Any]) -> None:
    """Raise where data and model were passed in each other's place."""
    adata, model = given.get("adata"), given.get("model")
    if model is None or fits(adata, hints.get("adata", Any)):
        return
    if fits(model, hints["adata"]):
        raise TypeError(f"data come first, then the model: ct.{function}(adata, model, ...)")


@functools.cache
def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    return get_type_hints(function)


def _words(hint: Any) -> str:
    """Return what an annotation asks, in words."""
    if hint is None or hint is types.NoneType:
        return "None"
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(map(_words, inner)))
    if origin is Literal:
        return " or ".join(map(repr, inner))
    if origin is tuple and Ellipsis not in inner:
        return f"a tuple of {len(inner)}, {', '.join(map(_words, inner))}"
    if hint is Callable or origin is Callable:
        return "a function"
    if origin is not None and not issubclass(origin, Iterable):
        return _words(origin)
    if origin is not None:
        return "a dict" if issubclass(origin, Mapping) else f"a list of {_items_of(inner[0])}"
    name = getattr(hint, "__name__", str(hint))
    made = f" ({_MAKERS[name]})" if name in _MAKERS else ""
    return _WORDS.get(name, name) + made


def _items_of(hint: Any) -> str:
    """Return what the items of a list are, in words."""
    if get_origin(hint) in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(map(_items_of, get_args(hint))))
    name = getattr(hint, "__name__", str(hint))
    return _PLURALS.get(name, "them" if name in _MAKERS else name)


_PLURALS = {"int": "integers", "float": "numbers", "str": "texts", "bool": "True or False"}


_WORDS = {
    "AnnData": "an AnnData",
    "Modalities": "a MuData",
    "DataFrame": "a table",
    "int": "an integer",
    "float": "a number",
    "str": "a text",
    "bool": "True or False",
}
# what makes such an object, for an error to say
_MAKERS = {
    "Bridge": "as ct.tl.fit_bridge(adata) returns",
    "BirthDeath": "such as ct.models.BirthDeath()",
    "FlowMatching": "as ct.tl.fit_flow(adata) returns",
    "BridgeOptions": "such as ct.models.BridgeOptions()",
    "FlowOptions": "such as ct.models.FlowOptions()",
    "Interpolant": "such as ct.models.SplineInterpolant()",
    "LeastAction": "such as ct.models.LeastAction(n_points=100)",
    "LearnedGrowth": "such as ct.models.LearnedGrowth()",
    "MetaFlowMatching": "as ct.tl.fit_response(adata, ...) returns",
    "Process": "a law of motion, as ct.tl.fit_bridge(adata) returns",
    "Reference": "such as ct.models.OrnsteinUhlenbeck()",
    "ResponseOptions": "such as ct.models.ResponseOptions()",
    "SdeSolver": "such as ct.models.Midpoint(n_steps=50)",
    "Solver": "such as ct.ot.solve or ct.ot.Unbalanced()",
    "Training": "such as ct.models.Training(max_steps=2000)",
    "TrainerOptions": "such as ct.models.TrainerOptions()",
}


def _found(value: object, hint: Any) -> str:
    """Return a value in a few letters, and what it lacks of a protocol or holds instead."""
    missing = lacking(value, hint)
    lacks = f", which has no {' and no '.join(missing)}" if missing else ""
    return brief(value) + (advice_for(value) or lacks)
