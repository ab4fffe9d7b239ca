"""Cells of several populations over time, as one mean-field law is fitted to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from celltraj.models.several import common_sigma
from celltraj.snapshots import Snapshots

_FEWEST = 3  # populations


@dataclass(frozen=True, eq=False)
class PopulationCourses:
    """Hold the snapshots of several populations.

    Parameters
    ----------
    courses
        Snapshots of each population, at two times or more.

    Raises
    ------
    ValueError
        There are fewer than three populations.

    Examples
    --------
    >>> import torch
    >>> from celltraj.models.mean_field.courses import PopulationCourses
    >>> from celltraj.snapshots import Snapshots
    >>> x = torch.zeros(5, 1)
    >>> still = Snapshots((0.0, 1.0), (x, x + 2))
    >>> PopulationCourses({"a": still, "b": still, "c": still}).sigma  # sqrt(.01 x 2^2)
    0.2
    """

    courses: Mapping[str, Snapshots]

    def __post_init__(self) -> None:
        if len(self.courses) < _FEWEST:
            raise ValueError(
                f"a mean-field law needs {_FEWEST} populations or more, such as replicates or "
                f"wells; found {list(self.names)}. Where all cells are of one population, that "
                "they move as it is and that their law changes with time is the same, and two "
                "leave nothing to confirm it by. Fit ct.tl.fit_bridge to the cells in place of it"
            )

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the populations, in one order whatever that of the cells."""
        return tuple(sorted(self.courses))

    @cached_property
    def sigma(self) -> float:
        """Diffusion by which a hundredth of the mean squared displacement rate is noise.

        In the mean over all gaps of all populations, see :func:`celltraj.models.default_sigma`.

        Raises
        ------
        ValueError
            All snapshots of each population coincide.
        """
        return common_sigma(self.courses)
