"""Curves of an effect over doses."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares
from scipy.special import expit

_SLOPES = (0.2, 8.0)  # steeper or flatter than any drug binds
_BEYOND = math.log(100)  # how far outside the doses half of the effect is looked for
_GRID = 60, 12  # half-maximal doses and slopes that the search starts from
_HIGHEST = 10.0  # times the largest effect seen: what a curve may lead to beyond the doses
_FLAT = 1e-9  # of the values: what rounding leaves of no effect
_FEWEST = 3  # doses: as many as there are numbers to find


@dataclass(frozen=True)
class HillCurve:
    """Hold ``E(c) = bottom + (top - bottom) / (1 + (k / c)^n)``.

    Parameters
    ----------
    bottom
        Effect without the drug.
    top
        Effect of any amount of it.
    half_dose
        ``k``, the dose of half the effect.
    slope
        ``n``, positive.

    Examples
    --------
    >>> from celltraj._stats.hill import HillCurve
    >>> HillCurve(0.0, 2.0, 10.0, 1.0).at([0.0, 10.0, 30.0])
    array([0. , 1. , 1.5])
    """

    bottom: float
    top: float
    half_dose: float
    slope: float

    def at(self, doses: np.ndarray) -> np.ndarray:
        """Return the effect at each dose ``(n,)``, not negative; zero is no drug."""
        with np.errstate(divide="ignore"):
            ratio = self.half_dose / np.asarray(doses, dtype=float)
        effect: np.ndarray = self.bottom + (self.top - self.bottom) / (1 + ratio**self.slope)
        return effect

    def area(self, low: float, high: float) -> float:
        """Return the mean over the logarithm of doses of what the effect is above ``bottom``.

        ``(top - bottom) ln((c1^n + k^n) / (c0^n + k^n)) / (n ln(c1 / c0))`` between ``c0`` and
        ``c1``.
        """
        logs = self.slope * np.log([low, high, self.half_dose])
        risen = np.logaddexp(logs[1], logs[2]) - np.logaddexp(logs[0], logs[2])
        return float((self.top - self.bottom) * risen / (logs[1] - logs[0]))


def fit_hill(doses: np.ndarray, values: np.ndarray, *, bottom: float) -> HillCurve | None:
    """Return the curve of least squares through the effect without drug.

    Parameters
    ----------
    doses
        ``(n,)`` positive doses, three different ones at least.
    values
        ``(n,)`` effect at each.
    bottom
        Effect without the drug, which the curve starts at.

    Returns
    -------
    The curve; None where all values are those without the drug.

    Raises
    ------
    ValueError
        Fewer than three doses, or one that is not positive and finite.

    References
    ----------
    Hill (1910); Goutelle et al., *The Hill equation: a review of its capabilities in
    pharmacological modelling* (2008).

    Examples
    --------
    >>> import numpy as np
    >>> from celltraj._stats.hill import HillCurve, fit_hill
    >>> doses = np.array([0.1, 1.0, 10.0, 100.0])
    >>> curve = fit_hill(doses, HillCurve(0.5, -1.0, 3.0, 1.5).at(doses), bottom=0.5)
    >>> round(curve.half_dose, 3), round(curve.slope, 3), round(curve.top, 3)
    (3.0, 1.5, -1.0)
    """
    doses, effect = np.asarray(doses, dtype=float), np.asarray(values, dtype=float) - bottom
    if not ((doses > 0) & np.isfinite(doses)).all() or len(np.unique(doses)) < _FEWEST:
        raise ValueError(
            f"a curve needs three positive doses or more; found {np.unique(doses).tolist()}. No "
            "drug at all is the control, which the curve starts at"
        )
    size = float(np.abs(effect).max())
    if size <= _FLAT * max(abs(bottom), 1):
        return None
    log, share = np.log(doses), effect / size
    ends = log.min() - _BEYOND, log.max() + _BEYOND

    def missed(p: np.ndarray) -> np.ndarray:
        off: np.ndarray = p[0] * _risen(log, p[1], p[2]) - share
        return off

    logs = np.log(_SLOPES).tolist()
    least, most = [-_HIGHEST, ends[0], logs[0]], [_HIGHEST, ends[1], logs[1]]
    start = _start(log, share, ends)
    tight = {"ftol": 1e-14, "xtol": 1e-14, "gtol": 1e-14}
    top, half, slope = least_squares(missed, start, bounds=(least, most), **tight).x
    return HillCurve(bottom, bottom + size * float(top), math.exp(half), math.exp(slope))


def _risen(log: np.ndarray, half: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """Return the share of the effect at doses, all of them and the slope as logarithms."""
    share: np.ndarray = expit(np.exp(slope) * (log - half))
    return share


def _start(log: np.ndarray, share: np.ndarray, ends: tuple[float, float]) -> list[float]:
    """Return the best point of a grid, where the best height of each curve is known."""
    slopes = np.linspace(math.log(_SLOPES[0]), math.log(_SLOPES[1]), _GRID[1])
    half, slope = np.meshgrid(np.linspace(*ends, _GRID[0]), slopes)
    risen = _risen(log, half[..., None], slope[..., None])
    top = (risen @ share) / np.maximum((risen**2).sum(-1), 1e-300)
    top = np.clip(top, -0.99 * _HIGHEST, 0.99 * _HIGHEST)
    at = np.unravel_index(((top[..., None] * risen - share) ** 2).sum(-1).argmin(), top.shape)
    return [float(top[at]), float(half[at]), float(slope[at])]
