"""Courses of several populations, of which one mean-field law is learned."""

from __future__ import annotations

from celltraj._anndata.named_cells import SHOWN, NamedCells
from celltraj._errors import some
from celltraj.models.mean_field.courses import PopulationCourses

_FEW_CELLS = 20  # of a population at a time, of whose density they tell next to nothing
_FEWEST = 3


def population_courses(cells: NamedCells) -> PopulationCourses:
    """Return the snapshots of every population.

    Raises
    ------
    ValueError
        A population was seen at one time or there are fewer than three, there are fewer than three
        cells of one at a time, or gaps are too short beside others.
    """
    if once := cells.seen_once():
        raise ValueError(
            f"populations {some(once, SHOWN)} in adata.obs[{cells.key!r}] were seen at "
            "one time, and a mean-field law is learned from those that were seen twice or more. "
            "Drop them, and ask fitted.of(their cells, start=, stop=) how they move"
        )
    (name, t), n = min(cells.counts().items(), key=lambda one: one[1])
    if n < _FEWEST:
        raise ValueError(
            f"population {name!r} has {n} cells at {t:g}; what is around a cell takes three or "
            "more. Drop or merge it"
        )
    cells.warn_of_few(_FEW_CELLS, "how dense they lie is mostly noise")
    return PopulationCourses({name: cells.snapshots(name) for name in cells.states.conditions})
