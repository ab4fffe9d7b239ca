"""Rates at which cells divide and die, from what their genes say of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from scipy.special import expit

from celltraj._checks import checked_fields


@checked_fields
@dataclass(frozen=True)
class BirthDeath:
    """Turn scores of proliferation and apoptosis into rates of birth and death per day.

    ``birth(s) = birth_min + (birth_max - birth_min) / (1 + exp(-4 (s - birth_center) /
    birth_width))``, ``death(a)`` likewise, and ``net(s, a) = birth(s) - death(a)``: a population
    with these scores grows by ``exp(net)`` a day. A score half a width above its centre is at 88 %
    of the way from the least to the greatest rate. The defaults are those of Schiebinger et al.:
    0.3 to 1.7 per day is a doubling every 55 to 10 hours.

    Parameters
    ----------
    birth_min, birth_max
        Least and greatest rate of birth, per day.
    birth_center
        Score of proliferation whose rate of birth is half way between them.
    birth_width
        Range of scores over which the rate rises.
    death_min, death_max
        Least and greatest rate of death, per day.
    death_center
        Score of apoptosis whose rate of death is half way between them.
    death_width
        Range of scores over which the rate rises.

    Raises
    ------
    ValueError
        Rates that are negative, infinite or out of order, a centre that is not a finite number, or
        a width that is not positive.

    References
    ----------
    Schiebinger et al., *Optimal-transport analysis of single-cell gene expression identifies
    developmental trajectories in reprogramming* (2019), STAR Methods.

    Examples
    --------
    >>> import numpy as np
    >>> from celltraj.models import BirthDeath
    >>> rates = BirthDeath()
    >>> rates.birth(np.array([-9.0, 0.25, 9.0])).round(2).tolist()
    [0.3, 1.0, 1.7]
    >>> rates.net(np.array([0.25]), np.array([0.1])).tolist()
    [0.0]
    """

    birth_min: float = 0.3
    birth_max: float = 1.7
    birth_center: float = 0.25
    birth_width: float = 0.5
    death_min: float = 0.3
    death_max: float = 1.7
    death_center: float = 0.1
    death_width: float = 0.2

    def __post_init__(self) -> None:
        for name in ("birth", "death"):
            low, high, center, width = (
                getattr(self, f"{name}_{part}") for part in ("min", "max", "center", "width")
            )
            if not 0 <= low <= high < float("inf"):
                raise ValueError(
                    f"{name}_min and {name}_max must be rates per day, the first not above the "
                    f"second and neither negative; found {low} and {high}"
                )
            if not np.isfinite(center):
                raise ValueError(f"{name}_center must be a finite number; found {center}")
            if not 0 < width < float("inf"):
                raise ValueError(f"{name}_width must be positive; found {width}")

    def birth(self, proliferation: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
        """Return the ``(n,)`` rates of birth per day, of ``(n,)`` scores of proliferation."""
        rise = expit(4 * (proliferation - self.birth_center) / self.birth_width)
        rate: np.ndarray = self.birth_min + (self.birth_max - self.birth_min) * rise
        return rate

    def death(self, apoptosis: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
        """Return the ``(n,)`` rates of death per day, of ``(n,)`` scores of apoptosis."""
        rise = expit(4 * (apoptosis - self.death_center) / self.death_width)
        rate: np.ndarray = self.death_min + (self.death_max - self.death_min) * rise
        return rate

    def net(
        self, proliferation: Float64[np.ndarray, " n"], apoptosis: Float64[np.ndarray, " n"]
    ) -> Float64[np.ndarray, " n"]:
        """Return the ``(n,)`` net rates of growth per day, births less deaths."""
        rate: np.ndarray = self.birth(proliferation) - self.death(apoptosis)
        return rate
