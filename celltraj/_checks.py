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
from collections.abc import Callable, Mapping, Sequence
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

from celltraj._signature import bound, public_name

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
_MOST = 2**31  # no count is as large, and one that is would end in memory that nobody has
_SHOWN = 60  # characters of a value in a message


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
    made = cls.__init__  # type: ignore[misc]
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
    if isinstance(value, str) and _names_choices(hint):
        if not fits(value, hint):
            raise ValueError(f"{name} must be {_words(hint)}; found {value!r}")
    elif not fits(value, hint):
        raise TypeError(f"{name} must be {_words(hint)}; found {_brief(value)}")
    if isinstance(value, str) and not value.strip():
        raise ValueError(f"{name} is empty; give it a value, or leave {name}= out")
    if isinstance(value, Real) and not isinstance(value, bool | np.bool_):
        _check_number(name, value)


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
    items = _items(value)
    if items is None:
        return False
    if origin is tuple and Ellipsis not in inner:
        return len(items) == len(inner) and all(map(fits, items, inner))
    return all(fits(one, inner[0]) for one in items)


def _names_choices(hint: Any) -> bool:
    """Return whether some texts are allowed and others are not."""
    return get_origin(hint) is Literal or any(map(_names_choices, get_args(hint)))


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


def _check_number(name: str, value: Any) -> None:
    if not math.isfinite(value):
        raise ValueError(f"{name} must be finite; found {value}")
    rule = _RULES.get(name)
    if rule is not None and not rule.holds(value):
        raise ValueError(f"{name} must be {rule.text}; found {_brief(value)}")
    if rule is None and isinstance(value, Integral) and abs(int(value)) >= _MOST:
        raise ValueError(f"{name} must be less than 2^31; found {_brief(value)}")


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
    "FlowTraining": "such as ct.models.FlowTraining(max_steps=2000)",
    "Interpolant": "such as ct.models.SplineInterpolant()",
    "LearnedGrowth": "such as ct.models.LearnedGrowth()",
    "MetaFlow": "such as ct.models.MetaFlow()",
    "MetaFlowMatching": "as ct.tl.fit_response(adata, ...) returns",
    "NeuralDrift": "such as ct.models.NeuralDrift()",
    "PlugInDrift": "such as ct.models.PlugInDrift()",
    "Process": "a law of motion, as ct.tl.fit_bridge(adata) returns",
    "Reference": "such as ct.models.OrnsteinUhlenbeck()",
    "ResponseTraining": "such as ct.models.ResponseTraining()",
    "SdeSolver": "such as ct.models.Midpoint(n_steps=50)",
    "Solver": "such as ct.ot.solve or ct.ot.Unbalanced()",
    "TrainerOptions": "such as ct.models.TrainerOptions()",
}


def _brief(value: object) -> str:
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
