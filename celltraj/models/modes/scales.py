"""Rates of slow modes and the times that they imply, with intervals."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from scipy.stats import norm
from torch import Tensor

from celltraj.models.modes.coherent import CoherentModes
from celltraj.models.modes.crossings import Crossings
from celltraj.models.modes.generator import GeneratorModes

COUPLINGS, FEATURES, CROSSINGS = "couplings", "features", "crossings"


@dataclass(frozen=True, eq=False)
class TimeScales:
    """Hold how fast modes are forgotten, and by what this is known.

    Parameters
    ----------
    by
        ``"couplings"``, ``"features"`` (for crossings of a barrier an upper bound of the rate) or
        ``"crossings"``.
    rates, lower, upper
        ``(K,)`` rates and both ends of their intervals, in 1/[t].
    frequencies
        ``(K,)`` angular frequencies of rotations, in 1/[t].
    """

    by: str
    rates: Tensor
    lower: Tensor
    upper: Tensor
    frequencies: Tensor

    @classmethod
    def of_couplings(cls, modes: CoherentModes, confidence: float) -> TimeScales:
        """Return those of the singular values of couplings."""
        ends = _interval(modes.rates, modes.log_errors, confidence)
        return cls(COUPLINGS, modes.rates, *ends, torch.zeros_like(modes.rates))

    @classmethod
    def of_features(cls, modes: GeneratorModes, confidence: float) -> TimeScales:
        """Return those of the eigenvalues of a law within features."""
        ends = _interval(modes.rates, modes.errors, confidence)
        return cls(FEATURES, modes.rates, *ends, modes.frequencies)

    @classmethod
    def of_crossings(
        cls, crossings: Crossings, confidence: float, *, generator: torch.Generator
    ) -> TimeScales:
        """Return those at which the shares of sets relax."""
        rates = crossings.relaxation()
        ends = crossings.relaxation_intervals(confidence, generator=generator)
        return cls(CROSSINGS, rates, *ends, torch.zeros_like(rates))

    @property
    def times(self) -> tuple[Tensor, Tensor, Tensor]:
        """The times ``1 / rate`` ``(K,)`` and both ends of their intervals, in [t]."""
        found = [
            torch.where(one > 0, 1 / one, torch.inf) for one in (self.rates, self.upper, self.lower)
        ]
        return found[0], found[1], found[2]


def _interval(rates: Tensor, errors: Tensor, confidence: float) -> tuple[Tensor, Tensor]:
    """Return both ends of an interval that is normal in the log of a rate, where there is one."""
    half = float(norm.ppf((1 + confidence) / 2)) * errors
    factor = torch.where(rates > 0, half / rates, 0.0).exp()
    is_positive = (rates > 0) & rates.isfinite()
    low = torch.where(is_positive, rates / factor, rates - half)
    high = torch.where(is_positive, rates * factor, rates + half)
    return low, high
