"""Read times from labels, all those of a column together: what one means, the others tell."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from numbers import Real

import numpy as np

from celltraj._anndata.time_units import Meaning, converted, is_backwards, meaning_of

# a point after a letter parts it from the number, as in "day.3"
_NUMBER = re.compile(r"(?:\d+(?:\.\d+)?|(?<![^\W_])\.\d+)(?:[eE][-+−]?\d+)?")
_WORD = re.compile(r"[^\W\d_]+")
_HYPHENS = "-–—"
_SILENT = {"t", "tp", "time", "timepoint"}  # words that say nothing
_SHOWN = 8
_MOST = 30  # labels that a line to copy may hold


@dataclass(frozen=True)
class _Label:
    """One label: its number without sign, the mark before it, and what its words mean.

    ``mark`` is ``"+"`` or ``"-"`` for a sign, ``"?"`` for a hyphen that may be one, ``"."`` for a
    point between a letter and the number, ``" "`` where they stand apart, empty where they touch;
    ``stem`` is the text before it.
    """

    label: Hashable
    number: float
    mark: str = ""
    stem: str = ""
    meaning: Meaning = field(default_factory=Meaning)

    @property
    def text(self) -> str:
        """The label as text."""
        return text_of(self.label)

    @property
    def is_zero(self) -> bool:
        """Whether it is zero in every unit, such as ``0``, ``D0`` or ``t0``."""
        said = set(self.meaning.words) - _SILENT
        return self.number == 0 and not self.meaning.origin and not said


def text_of(label: Hashable) -> str:
    """Return a label as text."""
    return label.decode(errors="replace") if isinstance(label, bytes) else str(label)


def number_of(label: Real | Decimal) -> float:
    """Return a number as float64.

    Of a float32 the shortest decimal, which makes its 0.1 the 0.1 that a user would type.
    """
    return float(str(label)) if isinstance(label, np.floating) else float(label)


def read_labels(labels: Sequence[Hashable], place: str) -> list[float]:
    """Return the times of the different labels of a column, which ``place`` names.

    Numbers are read as they are; of a text its one number. A hyphen is a sign where other labels
    have the same word without one (``D-1``, ``D0``); where all labels have one, it
    parts word and number (``day-3``).

    Raises
    ------
    ValueError
        A label without exactly one number, signs that can be read in two ways, several units or
        origins, or labels that differ and read as one time.

    Examples
    --------
    >>> from celltraj._anndata.time_labels import read_labels
    >>> read_labels(["D-1", "D0", "D1"], "the column"), read_labels(["day-3", "day-7"], "")
    ([-1.0, 0.0, 1.0], [3.0, 7.0])
    """
    found = [_parsed(label, place) for label in labels]
    is_negative = _signs(found, place)
    signs = [-1.0 if one.mark == "-" or (one.mark == "?" and is_negative) else 1.0 for one in found]
    times = [sign * one.number for sign, one in zip(signs, found, strict=True)]
    _check_origins(found, place)
    _check_units(found, times, place)
    _check_words(found, place)
    _check_merged(found, times, place)
    return times


def _parsed(label: Hashable, place: str) -> _Label:
    text = text_of(label)
    if isinstance(label, Real | Decimal) and not isinstance(label, bool):
        return _Label(label, number_of(label))
    if text.strip().lower() in {"inf", "+inf", "-inf"}:
        return _Label(label, float(text))
    numbers = list(_NUMBER.finditer(text))
    if len(numbers) != 1:
        raise ValueError(
            f"cannot read one time from {text!r} in {place}; "
            f'use numbers or text with a single number, such as "{_example(text)}"'
        )
    (match,) = numbers
    mark, stem = _mark(text[: match.start()])
    after = text[match.end() :]
    joined = stem[-1:].isalpha(), after[:1].isalpha()
    meaning = meaning_of(_WORD.findall(stem), _WORD.findall(after), joined=joined)
    if is_backwards(meaning.words):
        raise ValueError(
            f"{text!r} in {place} counts backwards; write a column of numbers in which time "
            "increases, negative before its origin"
        )
    number = float(match.group().replace("−", "-"))
    return _Label(label, number, mark, " ".join(stem.casefold().split()), meaning)


def _example(text: str) -> str:
    return "day 1.5" if re.search(r"\d,\d", text) else "day 3"


def _mark(before: str) -> tuple[str, str]:
    """Return what stands between the words and the number, and the text in front of it."""
    text = before.rstrip()
    last, stem = text[-1:], text[:-1]
    is_joined = stem[-1:].isalnum()
    if last == "−":  # nobody parts words by a minus sign
        return "-", stem
    if last == "+":
        return "+", stem
    if last and last in _HYPHENS:
        is_open = is_joined or (text != before and bool(stem.strip()))
        return ("?" if is_open else "-"), stem
    if last == "." and is_joined and text == before:
        return ".", stem
    return ("" if text == before and text[-1:].isalpha() else " "), text


def _signs(labels: Sequence[_Label], place: str) -> bool:
    """Return whether the hyphens between words and numbers are signs."""
    dotted = [one for one in labels if one.mark == "."]
    stems = {one.stem for one in labels if one.mark in ("", "+")}  # D0 tells what D-1 is
    if any(one.stem in stems for one in dotted):
        what = "a decimal point or part word and number"
        raise ValueError(_two_ways(dotted, what, labels, place))
    marked = [one for one in labels if one.mark == "?"]
    if not marked:
        return False
    plain = [one for one in labels if one.mark != "?"]
    is_parting = any(one.number == 0 for one in marked)  # nobody writes minus zero
    if not plain and (is_parting or not all(len(one.stem) == 1 for one in marked)):
        return False
    if is_parting or not plain or not {one.stem for one in marked} <= stems:
        what = "a minus sign or part word and number"
        raise ValueError(_two_ways(marked, what, labels, place))
    return True


def _two_ways(marked: Sequence[_Label], what: str, labels: Sequence[_Label], place: str) -> str:
    return (
        f"the mark before the number of {[one.text for one in marked[:_SHOWN]]} in {place} may be "
        f"{what}, and the other labels do not tell; write a column of numbers: "
        f"{_map(_of(labels), place)}"
    )


def _check_origins(labels: Sequence[_Label], place: str) -> None:
    origins = _grouped(labels, lambda one: one.meaning.origin)
    if len(origins) > 1:
        said = [
            f"{texts} from {origin or 'an origin that is not named'}"
            for origin, texts in origins.items()
        ]
        raise ValueError(
            f"labels in {place} count time from different origins: {'; '.join(said)}. Write a "
            f"column of numbers that counts from one of them: {_map(_of(labels), place)}"
        )


def _check_units(labels: Sequence[_Label], times: Sequence[float], place: str) -> None:
    units = _grouped(labels, lambda one: one.meaning.unit)
    if len(units) < 2:
        return
    said = "; ".join(f"{texts} in {_named(unit)}" for unit, texts in units.items())
    known = [one.meaning.unit for one in labels if one.meaning.unit]
    pairs = list(zip(labels, times, strict=True))
    values = converted([t for one, t in pairs if one.meaning.unit], known)
    if values is None or None in units:
        way = f"write a column of numbers in one unit: {_map(_of(labels), place)}"
    else:
        unit, rest = values[0], iter(values[1])
        numbers = [next(rest) if one.meaning.unit else t for one, t in pairs]
        way = f"for {unit}s, {_map(_of(labels), place, numbers, f'{unit}s')}"
    raise ValueError(f"labels in {place} are in different units: {said}. To go on, {way}")


def _named(unit: str | None) -> str:
    if unit is None:
        return "no unit"
    return f"{unit!r}, minutes or months" if unit in ("m", "M") else f"{unit}s"


def _check_words(labels: Sequence[_Label], place: str) -> None:
    """Raise where no unit is named and words differ: they may count from different origins."""
    if any(one.meaning.unit for one in labels):
        return  # what is said beside a unit is a remark
    words = _grouped(labels, lambda one: " ".join(one.meaning.words))
    if len(words) > 1:
        said = "; ".join(f"{texts} from {word or 'no word'!r}" for word, texts in words.items())
        raise ValueError(
            f"labels in {place} have different words beside their numbers, which may count from "
            f"different origins: {said}. Write a column of numbers: {_map(_of(labels), place)}"
        )


def _check_merged(labels: Sequence[_Label], times: Sequence[float], place: str) -> None:
    """Raise where labels that say different things read as one time."""
    first: dict[float, _Label] = {}
    for one, time in zip(labels, times, strict=True):
        other = first.setdefault(time, one)
        if other.meaning.words != one.meaning.words and not (other.is_zero or one.is_zero):
            raise ValueError(
                f"{other.text!r} and {one.text!r} in {place} both read as time {time:g}; if they "
                "are one time, write a column of numbers, and keep the difference in a column of "
                f"its own: {_map(_of(labels), place, times)}"
            )


def _grouped(
    labels: Iterable[_Label], by: Callable[[_Label], str | None]
) -> dict[str | None, list[str]]:
    """Return the texts of the labels by what they say; zero is the same in every unit."""
    found: dict[str | None, list[str]] = {}
    for one in labels:
        if not one.is_zero:
            found.setdefault(by(one), []).append(one.text)
    return {key: texts[:_SHOWN] for key, texts in found.items()}


def _of(labels: Iterable[_Label]) -> list[Hashable]:
    return [one.label for one in labels]


def _map(
    labels: Sequence[Hashable],
    place: str,
    numbers: Sequence[float] | None = None,
    name: str = "numbers",
) -> str:
    """Return a line that writes a column of numbers, to copy or to fill in."""
    values = ["..."] * len(labels) if numbers is None else [f"{one:.12g}" for one in numbers]
    pairs = [f"{label!r}: {value}" for label, value in zip(labels, values, strict=True)]
    rest = ", ..." if len(pairs) > _MOST else ""
    table = f"{{{', '.join(pairs[:_MOST])}{rest}}}"
    return f'adata.obs["{name}"] = {place}.map({table}).astype(float)'
