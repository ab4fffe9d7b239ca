"""Where the untreated populations of a training lie and how wide they are, variable by variable.

Distances look outwards only: cells at half their scale lie within those of the training. Here
centres and spreads are compared, with the differences among the training populations as the
yardstick.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

_FEWEST = 10  # cells: of fewer nothing tells how wide a population is
_MANY = 30  # populations: one of these does not move the median of all
_SPREAD, _CENTRE = math.log(1.15), 0.2  # beyond what the training shows, or sampling makes
_SPREAD_ALONE, _CENTRE_ALONE = math.log(1.5), 0.5  # where one population cannot show a difference
_VARIABLE = math.log(3), 2.0  # the same of a single variable: some of many stand out by chance


@dataclass(frozen=True)
class ScaleChange:
    """Say how a population differs from those of a training in scale and place.

    Parameters
    ----------
    spread, usual_spread
        Factor by which its cells are spread more widely, in the median over variables, and the
        greatest that a training population has to the others, up or down.
    centre, usual_centre
        Root mean square distance over variables of its centre, in units of the field, and the
        greatest of a training population.
    variables
        Indices of variables that stand out by themselves.
    is_unusual
        Whether spread or centre lies beyond what the training and sampling explain.
    """

    spread: float
    usual_spread: float
    centre: float
    usual_centre: float
    variables: tuple[int, ...]
    is_unusual: bool


@dataclass(frozen=True)
class PopulationScales:
    """Hold centres and spreads of populations.

    Parameters
    ----------
    centres
        ``(p, d)`` means, in units of the field.
    spreads
        ``(p, d)`` logs of standard deviations; NaN where a variable is constant.
    """

    centres: Tensor
    spreads: Tensor

    @classmethod
    def of(cls, cells: Tensor, owner: Tensor) -> PopulationScales:
        """Return those of cells ``(k, d)`` of populations ``owner (k,)``, where they are enough."""
        counts = torch.bincount(owner).tolist()
        groups = [cells[owner == k] for k, count in enumerate(counts) if count >= _FEWEST]
        both = [_centre_and_spread(group) for group in groups]
        if not both:
            return cls(torch.empty(0, cells.shape[1]), torch.empty(0, cells.shape[1]))
        return cls(torch.stack([one[0] for one in both]), torch.stack([one[1] for one in both]))

    @cached_property
    def _usual(self) -> tuple[Tensor, Tensor]:
        """Differences ``(p, d)`` of each population from the others, in spread and in centre."""
        p = len(self.centres)
        found = []
        for k in range(p):
            others = torch.arange(p) != k if p <= _MANY else torch.ones(p, dtype=torch.bool)
            found.append(self._from(others, self.centres[k], self.spreads[k]))
        return torch.stack([one[0] for one in found]), torch.stack([one[1] for one in found])

    def _from(self, others: Tensor, centre: Tensor, spread: Tensor) -> tuple[Tensor, Tensor]:
        spreads, centres = self.spreads[others], self.centres[others]
        return spread - spreads.median(0).values, centre - centres.median(0).values

    def change(self, cells: Tensor) -> ScaleChange | None:
        """Return how cells ``(n, d)`` differ; None where too few are there on either side."""
        p, n = len(self.centres), len(cells)
        if p == 0 or n < _FEWEST:
            return None
        spreads, centres = self._from(torch.ones(p, dtype=torch.bool), *_centre_and_spread(cells))
        spread, centre = _median(spreads), _length(centres)
        usual_spread, usual_centre = _SPREAD_ALONE, _CENTRE_ALONE
        stands_out = torch.zeros(len(centres), dtype=torch.bool)
        if p > 1:
            usual_spread = max(abs(_median(one)) for one in self._usual[0])
            usual_centre = max(_length(one) for one in self._usual[1])
            for found, usual, most in zip((spreads, centres), self._usual, _VARIABLE, strict=True):
                stands_out |= found.abs() > usual.abs().amax(0) + most
        sampling = 1 / math.sqrt(n)
        return ScaleChange(
            math.exp(spread),
            math.exp(usual_spread),
            centre,
            usual_centre,
            tuple(stands_out.nonzero()[:, 0].tolist()),
            abs(spread) > usual_spread + _SPREAD + sampling
            or centre > usual_centre + _CENTRE + sampling,
        )


def _centre_and_spread(cells: Tensor) -> tuple[Tensor, Tensor]:
    centre, spread = cells.double().mean(0), cells.double().std(0)
    return centre, torch.where(spread > 0, spread.log(), torch.nan)


def _median(values: Tensor) -> float:
    """Return the median of what is known, 0 where nothing is."""
    known = values[~values.isnan()]
    return float(known.median()) if len(known) else 0.0


def _length(values: Tensor) -> float:
    return float(values.square().mean().sqrt())
