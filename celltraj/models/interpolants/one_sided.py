"""Straight lines from Gaussian noise to the cells of one snapshot."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from celltraj._card import card
from celltraj._checks import checked_fields
from celltraj.models.interpolants._centred import centres_of, check_scale, spread_of
from celltraj.models.interpolants._curves import HermiteCurves, straight_lines
from celltraj.models.interpolants._interpolant import ends_of, fitted, share_of


@card()
@checked_fields
@dataclass(frozen=True, eq=False)
class OneSidedInterpolant:
    r"""Join Gaussian noise, in place of the first snapshot, to the cells of the second.

    ``x_t = s x1 + (1 - s) (centre + scale z)`` with ``s = (t - t0)/(t1 - t0)``. The noise is the
    start itself, so that gamma is ``scale (1 - s)`` and the score of the population exact up to the
    end. The first of the two snapshots is met in mean and spread only, as ``N(centre, scale^2)``:
    a generator of cells of the second, and a flow between the two where the first is Gaussian.

    Parameters
    ----------
    scale
        Standard deviation of the noise, in [x]; None takes the root mean square standard deviation
        of the cells of the first snapshot.
    centre
        ``(d,)`` mean of the noise, in [x]; None takes that of those cells.

    Raises
    ------
    ValueError
        ``scale`` is not positive.

    References
    ----------
    Albergo, Boffi & Vanden-Eijnden, *Stochastic interpolants* (2023), "one-sided"; Lipman et al.,
    *Flow matching for generative modeling* (2022).

    Examples
    --------
    >>> import torch
    >>> from celltraj.models import OneSidedInterpolant
    >>> path = OneSidedInterpolant(scale=2.0)
    >>> path.noise(torch.tensor([0.0, 4.0]), torch.tensor([0.0, 3.0]))
    (tensor([2.0000, 0.5000]), tensor([-1.0000, -0.2500]))
    """

    scale: float | None = None
    centre: Tensor | None = None

    def __post_init__(self) -> None:
        check_scale(self.scale)

    @property
    def sigma(self) -> float | None:
        """Return ``scale``, in [x] and not [x]/sqrt([t]): above 0, since there is a score.

        The noise does not grow with the root of time, and no sigma describes it.
        """
        return self.scale

    def fit(
        self, times: Tensor, chain: Tensor, gap: Tensor, *, sigma: float
    ) -> OneSidedInterpolant:
        """Return the interpolant with scale and centre of the first cells; no sigma is used.

        Raises
        ------
        ValueError
            There are more than two snapshots, or all cells of the first are one.
        """
        _check_two(times)
        return replace(
            self,
            scale=spread_of(chain[:1]) if self.scale is None else self.scale,
            centre=centres_of(chain)[0] if self.centre is None else self.centre,
        )

    def curves(self, times: Tensor, chain: Tensor, gap: Tensor) -> HermiteCurves:
        """Return the line from the centre to the end of each chain ``(2, n, d)``.

        Raises
        ------
        ValueError
            There are more than two snapshots, or the centre is unknown or not of ``d`` variables.
        """
        _check_two(times)
        centre = fitted(self, self.centre, "centre").to(chain.dtype)
        if tuple(centre.shape) != (chain.shape[2],):
            raise ValueError(
                f"centre must have shape ({chain.shape[2]},); found {tuple(centre.shape)}"
            )
        _, x1 = ends_of(chain, gap)
        return straight_lines(times[gap], times[gap + 1] - times[gap], centre.expand_as(x1), x1)

    def noise(self, times: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Return gamma ``(n,)``, in [x], and ``gamma gamma'``, in [x]^2/[t], at ``t (n,)``.

        Raises
        ------
        ValueError
            There is no scale yet.
        """
        if self.scale is None:
            raise ValueError("OneSidedInterpolant has no scale yet; fit it to chains first")
        length, s = share_of(times, t)
        return self.scale * (1 - s), -(self.scale**2) * (1 - s) / length


def _check_two(times: Tensor) -> None:
    if len(times) != 2:
        raise ValueError(
            f"OneSidedInterpolant joins noise to one snapshot and takes 2 times; found {len(times)}"
        )
