"""What the numbers of cells mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from celltraj._typing import Counts

_COUNTS = ("proportions", "population")


def population_sizes(
    times: Sequence[float], numbers: Sequence[int], counts: Counts
) -> tuple[float, ...]:
    """Return the size of the population at each time, relative to the first.

    Parameters
    ----------
    times
        ``(T,)`` sampling times, in the user's unit.
    numbers
        ``(T,)`` numbers of cells.
    counts
        ``"proportions"`` where numbers of cells say nothing: the size stays 1; ``"population"``
        where the population was counted: the numbers of cells; or the sizes, in any unit: a dict
        by time in any order, or a list in the order of ``times``.

    Raises
    ------
    ValueError
        Another text, another number of sizes than there are times, a time without a size or a size
        without a time, or one that is not positive.

    Examples
    --------
    >>> from celltraj.models.growth.population_sizes import population_sizes
    >>> population_sizes([0.0, 1.0], [3, 6], "population")
    (1.0, 2.0)
    >>> population_sizes([0.0, 1.0], [3, 6], "proportions")
    (1.0, 1.0)
    >>> population_sizes([0.0, 1.0], [3, 6], {1: 500, 0: 100})
    (1.0, 5.0)
    """
    if isinstance(counts, str):
        if counts not in _COUNTS:
            raise ValueError(
                f"counts must be one of {_COUNTS}, or the size of the population at each of the "
                f"{len(times)} times; found {counts!r}"
            )
        sizes = [float(n) if counts == "population" else 1.0 for n in numbers]
    elif isinstance(counts, Mapping):
        sizes = _by_time(times, counts)
    else:
        sizes = [float(size) for size in counts]
    if len(sizes) != len(times) or not all(0 < size < float("inf") for size in sizes):
        raise ValueError(
            f"counts must hold a positive size for each of the {len(times)} times "
            f"{[float(t) for t in times]}; found {sizes}"
        )
    return tuple(size / sizes[0] for size in sizes)


def _by_time(times: Sequence[float], counts: Mapping[Any, float]) -> list[float]:
    """Return the sizes in the order of ``times``, whatever the order they are given in."""
    missing = [float(t) for t in times if t not in counts]
    extra = [t for t in counts if t not in times]
    if missing or extra:
        found = [f"no size for the times {missing}"] * bool(missing)
        found += [f"sizes for {extra}, at which there are no cells"] * bool(extra)
        raise ValueError(
            f"counts= has {', '.join(found)}; give one size for each of the times "
            f"{[float(t) for t in times]}"
        )
    return [float(counts[t]) for t in times]
