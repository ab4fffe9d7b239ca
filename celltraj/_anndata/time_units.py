"""What the words beside the number of a time mean: a unit, and where time is counted from."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

CONCEPTION, BIRTH, GESTATION = "conception", "birth", "the start of gestation"

_SPELLINGS = {
    "second": "s sec secs second seconds",
    "minute": "min mins minute minutes",
    "hour": "h hr hrs hour hours",
    "day": "d day days",
    "week": "w wk wks week weeks",
    "month": "mo mos mth mths month months",
    "year": "y yr yrs yo year years",
}
_UNITS = {word: unit for unit, words in _SPELLINGS.items() for word in words.split()}
# a stage says both: E8.5 are days after conception, P0 is the day of birth
_STAGES = {
    **dict.fromkeys(("e", "ed", "pcd"), ("day", CONCEPTION)),
    **dict.fromkeys(("p", "pn", "pnd", "pd"), ("day", BIRTH)),
    **dict.fromkeys(("gw", "ga", "egw"), ("week", GESTATION)),
    "gd": ("day", GESTATION),
    "pcw": ("week", CONCEPTION),
    "pnw": ("week", BIRTH),
    "div": ("day", "the start of the culture"),
}
_LETTERS = {"e", "p"}  # stages only where they stand before the number
_AFTER = re.compile(r"(s|min|h|d|w|mo|m|y)([pa])([a-z])")  # dpf, hpi, wpc; das, dag
_SINCE = {
    **dict.fromkeys("fc", CONCEPTION),  # hours post fertilisation, days post coitum
    **dict.fromkeys("bnp", BIRTH),  # days post birth, natal, partum
}
_ORIGINS = {
    **dict.fromkeys(("conception", "fertilization", "fertilisation", "coitum"), CONCEPTION),
    **dict.fromkeys(("embryonic", "embryo", "postconception", "postconceptional"), CONCEPTION),
    **dict.fromkeys(("birth", "natal", "postnatal", "partum"), BIRTH),
    **dict.fromkeys(("gestation", "gestational"), GESTATION),
}
_POST = {"post", "after", "since"}
_BACKWARDS = {"before", "pre", "prior", "ago", "minus", "until", "prenatal", "antenatal"}

_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400, "week": 604_800}
_MONTHS = {"month": 1, "year": 12}  # no whole number of days


@dataclass(frozen=True)
class Meaning:
    """What the words of a label say; None or empty where they say nothing.

    Parameters
    ----------
    unit
        Name of the unit.
    origin
        What time is counted from.
    words
        All other words.
    """

    unit: str | None = None
    origin: str | None = None
    words: tuple[str, ...] = ()


def meaning_of(
    before: Sequence[str], after: Sequence[str], *, joined: tuple[bool, bool]
) -> Meaning:
    """Return what the words before and after a number mean.

    ``joined`` says whether the last word before and the first one after touch the number: ``6h`` is
    in hours whatever else is said.
    """
    near = [("after", joined[1]), ("before", joined[0]), ("before", True), ("after", True)]
    words = {"before": list(before), "after": list(after)}
    nearest = {"before": words["before"][-1:], "after": words["after"][:1]}
    unit, origin = None, None
    for side, counts in near:
        for word in nearest[side]:
            found = _unit(word, is_before=side == "before") if counts else None
            # a stage next to a unit, as in P7d, still says where time is counted from
            if found and (unit is None or found[1]):
                unit, origin = unit or found[0], origin or found[1]
                words[side].remove(word)
                nearest[side] = []
    rest = tuple(word.casefold() for word in (*words["before"], *words["after"]))
    return Meaning(unit, origin or _origin(rest), rest)


def is_backwards(words: Sequence[str]) -> bool:
    """Return whether words say that time is counted backwards."""
    return bool(_BACKWARDS & set(words))


def converted(values: Sequence[float], units: Sequence[str]) -> tuple[str, list[float]] | None:
    """Return the smallest unit and all values in it, None where they have no common measure.

    Examples
    --------
    >>> from celltraj._anndata.time_units import converted
    >>> converted([6.0, 3.0], ["hour", "day"])
    ('hour', [6.0, 72.0])
    """
    for sizes in (_SECONDS, _MONTHS):
        if set(units) <= set(sizes):
            least = min(units, key=lambda unit: sizes[unit])
            pairs = zip(values, units, strict=True)
            return least, [value * sizes[unit] / sizes[least] for value, unit in pairs]
    return None


def _unit(word: str, *, is_before: bool) -> tuple[str, str | None] | None:
    """Return unit and origin that a word names, None where it names none."""
    if word in ("m", "M"):
        return word, None  # minutes or months: a unit of its own
    name = word.casefold()
    if name in _UNITS:
        return _UNITS[name], None
    if name in _STAGES:
        return _STAGES[name] if is_before or name not in _LETTERS else None
    found = _AFTER.fullmatch(name)
    if found is None:
        return None
    unit, link, letter = found.groups()
    origin = _SINCE.get(letter, name[-2:]) if link == "p" else name[-2:]
    return ("m" if unit == "m" else _UNITS[unit]), origin


def _origin(words: Sequence[str]) -> str | None:
    """Return what time is counted from by the words around the unit."""
    for word, following in zip(words, [*words, ""][1:], strict=True):
        if word in _ORIGINS:
            return _ORIGINS[word]
        if word in _POST and following:
            return _ORIGINS.get(following, following)
    return None
