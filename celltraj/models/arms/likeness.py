"""The law of a condition of which no cell was seen, from those of conditions like it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Tensor

from celltraj._errors import FitWarning, warn
from celltraj.models.arms.similarity import shares_of
from celltraj.models.references.kernel import KernelReference
from celltraj.models.response.condition import Value

_FAR = 1.2  # standard deviations of the covariates, within which a condition is like another


@dataclass(frozen=True, eq=False)
class Likeness:
    """Say what conditions have in common.

    Parameters
    ----------
    covariates
        Value of each covariate by condition, by name.
    common
        What all share: the law of a condition that is like none of them.
    kind
        ``"linear"`` where laws change in proportion to covariates, ``"smooth"`` where they change
        in other ways too.

    Examples
    --------
    >>> import torch
    >>> from celltraj.models import KernelReference
    >>> from celltraj.models.arms.likeness import Likeness
    >>> family = KernelReference(frame=torch.tensor([[0.0], [1.0], [-9.0], [9.0]]).double(),
    ...     centres=torch.zeros(1, 1).double(), sigma=0.1)
    >>> def steady(speed):  # a law of one speed everywhere
    ...     return family.with_solution(torch.tensor([[speed], [0.0], [0.0]]).double())
    >>> doses = Likeness({"dose": {"a": 0.0, "b": 2.0}}, steady(1.0))
    >>> law = doses.law({"a": steady(0.0), "b": steady(2.0)}, {"dose": 1.0})
    >>> law.drift(0.0, torch.zeros(1, 1).double()).round(decimals=3)
    tensor([[1.]], dtype=torch.float64)
    """

    covariates: Mapping[str, Mapping[str, Value]]
    common: KernelReference
    kind: str = "smooth"

    def law(self, laws: Mapping[str, object], new: Mapping[str, Value]) -> KernelReference:
        """Return the law of a new condition.

        ``w_0 + sum_c a_c (w_c - w_0)``, with ``w_0`` what all share: what the regression gives for
        a condition without cells, of these covariates.

        Parameters
        ----------
        laws
            Laws of all conditions, of one family and frame.
        new
            Value of each covariate.

        Warns
        -----
        FitWarning
            It is like none of the conditions, or beyond what was seen.

        Raises
        ------
        ValueError
            Other covariates than the laws were fitted with, or a value that cannot be used.
        """
        if set(new) != set(self.covariates):
            raise ValueError(
                f"covariates= must have a value of each of {sorted(self.covariates)}, which arms "
                f"were fitted with; found {sorted(new)}"
            )
        # truth values are categories, and named as text where laws are fitted
        new = {key: str(of) if isinstance(of, bool) else of for key, of in new.items()}
        told = {key: [of[name] for name in laws] for key, of in self.covariates.items()}
        shares, distance = shares_of(told, new, self.kind)
        _warn_of_far(told, new, distance)
        common = _weights(self.common)
        each = torch.stack([_weights(cast("KernelReference", one)) for one in laws.values()])
        mixed = common + torch.einsum("c,cij->ij", shares, each - common)
        return replace(self.common, weights=mixed)


def _weights(law: KernelReference) -> Tensor:
    if law.weights is None:
        raise ValueError("KernelReference has no weights yet; fit it first")
    return law.weights


def _warn_of_far(
    told: Mapping[str, list[Value]], new: Mapping[str, Value], distance: float
) -> None:
    for key, values in told.items():
        seen = [one for one in values if not isinstance(one, str)]
        value = new[key]
        if seen and not isinstance(value, str) and not min(seen) <= value <= max(seen):
            warn(
                f"{key!r} is {value:g}, and conditions from {min(seen):g} to {max(seen):g} were "
                "seen: the law of this one is extrapolated",
                FitWarning,
            )
            return
    if distance > _FAR:
        warn(
            f"no condition like {dict(new)} was seen, the nearest one is {distance:.1f} standard "
            "deviations away: its law is extrapolated",
            FitWarning,
        )
