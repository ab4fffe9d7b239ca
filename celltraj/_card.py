"""Short cards of models and results, as text and as HTML, in place of all that they hold."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from html import escape
from numbers import Number
from typing import Any, TypeVar

import numpy as np
import torch
from scipy.sparse import issparse

Facts = Callable[[Any], Mapping[str, object]]
Kind = TypeVar("Kind", bound=type)

_MOST = 11  # facts, so that a card has fewer than 1,000 letters
_WIDTH = 76  # letters of a line
_LISTED = 8  # numbers or names of a list
_ROUND_PLACES = 4


def card(facts: Facts | None = None) -> Callable[[Kind], Kind]:
    """Return a class decorator that shows instances by a card; above ``@dataclass``.

    Tensors are told by their shapes, models within by their names. Facts that are not known, None,
    NaN or empty, are left out.

    Parameters
    ----------
    facts
        From an instance to what its card says, name by name; by default its fields.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> import torch
    >>> from celltraj._card import card
    >>> @card()
    ... @dataclass
    ... class Cloud:
    ...     x: torch.Tensor
    ...     unit: str | None = None
    >>> Cloud(torch.zeros(60, 3))
    Cloud
      x  60 × 3
    """
    tell = facts or facts_of

    def decorated(kind: Kind) -> Kind:
        methods = {
            "__repr__": lambda self: _as_text(self, tell),
            "_repr_html_": lambda self: _as_html(self, tell),
        }
        for name, method in methods.items():
            setattr(kind, name, method)
        return kind

    return decorated


def facts_of(one: object) -> dict[str, object]:
    """Return the fields of an instance, or of a network its size and its numbers."""
    if isinstance(one, torch.nn.Module):
        size = sum(p.numel() for p in one.parameters())
        plain = {k: v for k, v in vars(one).items() if k[0] != "_" and k != "training"}
        numbers = {_label(k): v for k, v in plain.items() if isinstance(v, Number)}
        return {"parameters": size, **numbers}
    shown = [field.name for field in fields(one) if field.repr]  # type: ignore[arg-type]
    return {_label(name): getattr(one, name) for name in shown}


def _label(name: str) -> str:
    return name.removeprefix("n_").removeprefix("has_").replace("_", " ")


def phrase(value: object) -> str | None:
    """Return what a card says of a value, in one line; None where there is nothing to say."""
    if isinstance(value, torch.Tensor | np.ndarray) or issparse(value):
        return _of_array(value)
    if isinstance(value, Mapping):
        pairs = [f"{key} {text}" for key, v in value.items() if (text := phrase(v)) is not None]
        return _listed(pairs) or None
    if isinstance(value, str | bytes | bytearray):
        return _one_line(str(value)) or None
    if isinstance(value, Sequence):
        return _of_many(value)
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, Number):
        return _of_number(value)
    return None if value is None else _of_object(value)


def _of_number(value: Any) -> str | None:
    if value != value:
        return None
    if isinstance(value, int | np.integer):
        return f"{value:,}"
    return f"{value:.{_ROUND_PLACES}g}"


def _of_array(value: Any) -> str | None:
    if issparse(value):
        return f"{_shape(value)}, {value.nnz:,} entries"
    if math.prod(value.shape) == 0:
        return None
    is_alone = math.prod(value.shape) == 1 and not value.shape
    return phrase(value.item()) if is_alone else _shape(value)


def _shape(value: Any) -> str:
    lengths = [f"{n:,}" for n in value.shape]
    return " × ".join(lengths) if len(lengths) > 1 else f"{lengths[0]} numbers"


def _of_many(values: Sequence[Any]) -> str | None:
    """Return the parts of a list where they are few and short, else how many of what they are."""
    if not values:
        return None
    if all(isinstance(v, Number | str) for v in values):
        return _listed([text for v in values if (text := phrase(v)) is not None]) or None
    texts = [text for v in values if (text := phrase(v)) is not None]
    if all(isinstance(v, torch.Tensor | np.ndarray) for v in values):
        few = list(dict.fromkeys(texts))
        return f"{len(values)} of {few[0]}" + (f" to {few[-1]}" if len(few) > 1 else "")
    kinds = list(dict.fromkeys(type(v).__name__ for v in values))
    return f"{len(values)} of {_listed(kinds)}"


def _listed(texts: Sequence[str]) -> str:
    if len(texts) <= _LISTED:
        return ", ".join(texts)
    return f"{', '.join(texts[: _LISTED - 2])}, …, {texts[-1]} ({len(texts):,})"


def _of_object(value: object) -> str:
    """Return the name of a class or function, and with it the numbers of a dataclass."""
    name = getattr(value, "__qualname__", None) or type(value).__name__
    if isinstance(value, torch.nn.Module):
        return f"{name}, {sum(p.numel() for p in value.parameters()):,} parameters"
    if not is_dataclass(value) or isinstance(value, type):
        return str(name)
    plain = {field.name: getattr(value, field.name, None) for field in fields(value)}
    said = {k: phrase(v) for k, v in plain.items() if isinstance(v, Number | str)}
    numbers = ", ".join(f"{k}={v}" for k, v in said.items() if v is not None)
    return f"{name}({numbers})" if numbers else str(name)


def _one_line(text: str, width: int = _WIDTH) -> str:
    """Return a text without line breaks, cut to a width."""
    text = " ".join(text[: 4 * width].split())
    return text if len(text) <= width else f"{text[: width - 1]}…"


def _rows(one: object, tell: Facts) -> list[tuple[str, str]]:
    """Return names and texts; none of what is not yet whole, as an error in its making shows it."""
    held = vars(one)
    needed = [f.name for f in fields(one)] if is_dataclass(one) else ["_parameters"]
    if any(name not in held for name in needed):
        return []
    found = {name: phrase(value) for name, value in tell(one).items()}
    rows = [(_one_line(name, 24), text) for name, text in found.items() if text is not None]
    return rows[:_MOST]


def _as_text(one: object, tell: Facts) -> str:
    rows = _rows(one, tell)
    longest = max((len(name) for name, _ in rows), default=0)
    lines = [f"  {name:<{longest}}  {_one_line(text, _WIDTH - longest)}" for name, text in rows]
    return "\n".join([type(one).__name__, *lines])


def _as_html(one: object, tell: Facts) -> str:
    rows = "".join(
        f"<tr><th>{escape(name)}</th><td>{escape(_one_line(text))}</td></tr>"
        for name, text in _rows(one, tell)
    )
    table = f'<table style="text-align:left">{rows}</table>'
    return f"<div><strong>{escape(type(one).__name__)}</strong>{table}</div>"
