"""What families with a few named, positive parameters share."""

from __future__ import annotations

from collections.abc import Sequence

from celltraj.models.references.family import Reference


def known(family: Reference, names: Sequence[str]) -> dict[str, float]:
    """Return the parameters ``names`` of ``family``.

    Raises
    ------
    ValueError
        They are not known yet.
    """
    values = {name: getattr(family, name) for name in names}
    if None in values.values():
        raise ValueError(
            f"{type(family).__name__} has no parameters yet; fit it, or pass {', '.join(names)}"
        )
    return values


def check_parameters(family: Reference, names: Sequence[str], positive: Sequence[str]) -> None:
    """Raise unless all or none of ``names`` are given, and ``positive`` and sigma are not negative.

    Raises
    ------
    ValueError
        Some are given and others not, or a number is out of range.
    """
    given = {name: getattr(family, name) for name in names}
    n_given = sum(value is not None for value in given.values())
    if 0 < n_given < len(given):
        raise ValueError(f"pass all of {', '.join(names)}, or none to have them fitted")
    if n_given and any(not given[name] >= 0 for name in positive):
        raise ValueError(f"{', '.join(positive)} must not be negative; found {given}")
    check_sigma(family)


def check_sigma(family: Reference) -> None:
    """Raise unless sigma is unknown, or positive and finite.

    Raises
    ------
    ValueError
        It is not.
    """
    if family.sigma is not None and not 0 < family.sigma < float("inf"):
        raise ValueError(f"sigma must be positive and finite; found {family.sigma}")
