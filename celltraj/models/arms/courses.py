"""Cells of several conditions, as laws and bridges are fitted to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from torch import Tensor

from celltraj._errors import some
from celltraj.models.arms.similarity import KINDS, similarity_root
from celltraj.models.response.condition import Value
from celltraj.models.several import common_sigma
from celltraj.snapshots import Snapshots

_MOST = 60  # conditions, whose laws are solved together


@dataclass(frozen=True, eq=False)
class ArmCourses:
    """Hold the cells of several conditions.

    Parameters
    ----------
    courses
        Snapshots of each condition that was seen twice or more.
    once
        Time and cells ``(n, d)`` of each condition that was seen at one time.
    covariates
        Value of each covariate by condition, by name.

    Raises
    ------
    ValueError
        Fewer than two conditions or more than 60, or none that was seen twice.

    Examples
    --------
    >>> import torch
    >>> from celltraj.models.arms.courses import ArmCourses
    >>> from celltraj.snapshots import Snapshots
    >>> x = torch.zeros(5, 1)
    >>> still = Snapshots((0.0, 1.0), (x, x + 2))
    >>> ArmCourses({"b": still}, {"a": (0.0, x)}).sigma  # of the only gap, sqrt(.01 x 2^2)
    0.2
    """

    courses: Mapping[str, Snapshots]
    once: Mapping[str, tuple[float, Tensor]] = field(default_factory=dict)
    covariates: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n = len(self.names)
        if n < 2:
            raise ValueError(
                f"arms are two conditions or more; found {list(self.names)}. For one condition "
                "there is ct.tl.fit_bridge"
            )
        if n > _MOST:
            raise ValueError(
                f"laws of at most {_MOST} conditions are solved together; found {n}. Fit fewer at "
                "a time"
            )
        if not self.courses:
            raise ValueError(
                f"none of the conditions {some(self.names)} was seen at two times or more, and "
                f"dynamics need two snapshots of one condition. {self._way_out()}"
            )

    def _way_out(self) -> str:
        """Say what is possible where no condition was seen twice."""
        times = {time for time, _ in self.once.values()}
        if len(times) == 1:
            return (
                f"All cells are of time {times.pop():g}: how conditions of one time differ from "
                "one that is a control, ct.tl.fit_response tells"
            )
        return (
            "Conditions say what was done to cells, and not when: is their column that of times "
            "or of samples? ct.tl.fit_bridge takes all cells as one course"
        )

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of all conditions, in one order whatever that of the cells."""
        return tuple(sorted({*self.courses, *self.once}))

    @cached_property
    def roots(self) -> dict[str, Tensor]:
        """Roots ``(C, r)`` of similarities of conditions, that of the simplest laws first."""
        told = {key: [of[one] for one in self.names] for key, of in self.covariates.items()}
        kinds = KINDS if told else ("names",)
        return {kind: similarity_root(self.names, told, kind) for kind in kinds}

    @cached_property
    def sigma(self) -> float:
        """Diffusion by which a hundredth of the mean squared displacement rate is noise.

        In the mean over all gaps of all conditions, see :func:`celltraj.models.default_sigma`.

        Raises
        ------
        ValueError
            All snapshots of each condition coincide.
        """
        return common_sigma(self.courses)
