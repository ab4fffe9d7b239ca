"""A law of motion of cells that move as their population is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from celltraj._card import card
from celltraj._checks import checked_fields
from celltraj._typing import Cells, Targets
from celltraj.models.references.family import sigma_of
from celltraj.models.references.kernel import KernelReference
from celltraj.models.references.surroundings import Surroundings

_PAIRS = 200_000  # distances that widths are quantiles of
_SAME = 1e-5  # distance of cells at one place, in units of the variables


@card()
@checked_fields
@dataclass(frozen=True, eq=False)
class MeanField:
    r"""Mean-field law: ``dX = b(X; p_t) dt + sigma dW``, with ``p_t`` the law of ``X_t`` itself.

    ``b(x; p) = b0(x) + sum_h [c_h(rho_h(x)) + A_h M_h(x)] + kappa (mean - x)`` (McKean & Vlasov),
    with ``b0`` a :class:`KernelReference`, ``rho_h(x) = E K_h(y - x)`` the density of the
    population around a cell by Gaussian kernels of several widths ``h``, ``c_h`` linear between
    bends, and ``M_h(x) = E K_h(y - x) (y - x) / h`` the pull of those near by; each variable in its
    standard deviations. Wherever a population lies in space, what its cells see of each other is
    the same. Beyond what was seen each part counts as at its edge.

    Of one population a law that changes with time and one that looks at the population are the
    same: three populations or more tell them apart, see :func:`celltraj.tl.fit_mean_field`. With
    the population known over time it is a :class:`MeanFieldProcess`.

    Parameters
    ----------
    base
        Family of ``b0``, what does not depend on the population.
    quantiles
        Of the distances between cells of a population, which are the widths: so they hold in any
        unit and number of variables.
    n_bends
        Densities, of equal shares of the cells, at which the response to each may change its
        slope; 1 for a linear one.
    surroundings
        What cells see of each other, with widths and bends; None before a fit.
    weights
        ``(q, d)`` of the features of the surroundings, in [x]/[t]; None before a fit, and where
        nothing around a cell counts.

    Raises
    ------
    ValueError
        A quantile is not between 0 and 1, or there is no width or no bend.

    References
    ----------
    McKean, *A class of Markov processes associated with nonlinear parabolic equations* (1966);
    Sznitman, *Topics in propagation of chaos* (1991).

    Examples
    --------
    >>> import celltraj as ct
    >>> ct.models.MeanField(quantiles=(0.1, 0.5), n_bends=1).is_fitted
    False
    """

    base: KernelReference = field(default_factory=lambda: KernelReference(n_scales=2))
    quantiles: tuple[float, ...] = (0.05, 0.15, 0.4, 0.8)
    n_bends: int = 5
    surroundings: Surroundings | None = None
    weights: Tensor | None = None

    def __post_init__(self) -> None:
        if not self.quantiles or not all(0 < q < 1 for q in self.quantiles):
            raise ValueError(f"quantiles must lie between 0 and 1; found {self.quantiles}")
        if self.n_bends < 1:
            raise ValueError(f"n_bends must be at least 1; found {self.n_bends}")

    @property
    def is_fitted(self) -> bool:
        """Whether the weights are known."""
        return self.base.is_fitted

    @property
    def sigma(self) -> float:
        """Diffusion, in [x]/sqrt([t])."""
        return sigma_of(self.base)

    @property
    def is_mean_field(self) -> bool:
        """Whether cells move as their population is, or by the same law whatever it is."""
        return self.weights is not None

    def drift(self, x: Cells, crowd: Targets, *, is_own: bool = False) -> Cells:
        """Return ``b(x; p)``, ``(n, d)``, in [x]/[t], with ``crowd (m, d)`` cells of ``p``.

        ``is_own`` where ``x`` is the crowd itself, of which no cell sees itself.
        """
        drift = self.base.drift(0.0, x)
        if self.weights is None or self.surroundings is None:
            return drift
        features = self.surroundings.features(x, crowd, is_own=is_own)
        return drift + (features @ self.weights.to(x.device)).to(x.dtype)

    def drift_and_jacobian(self, x: Cells, crowd: Targets) -> tuple[Cells, Tensor]:
        """Return ``b(x; p)``, ``(n, d)``, and ``db_i/dx_j`` at a given ``p``, ``(n, d, d)``."""
        drift, slope = self.base.drift_and_jacobian(0.0, x)
        if self.weights is None or self.surroundings is None:
            return drift, slope
        weights = self.weights.to(x.device)
        features, slopes = self.surroundings.features_and_slopes(x, crowd)
        drift = drift + (features @ weights).to(x.dtype)
        return drift, slope + torch.einsum("nqj,qi->nij", slopes, weights).to(x.dtype)

    def framed(self, clouds: Sequence[Cells], *, sigma: float) -> MeanField:
        """Return the law with units, centres, widths and bends taken from clouds of cells.

        Parameters
        ----------
        clouds
            ``(n, d)`` cells of one population at one time, each.
        sigma
            Diffusion, in [x]/sqrt([t]).
        """
        # a generator of its own: what is fitted here changes nothing that is drawn later
        generator = torch.Generator().manual_seed(0)
        cells = torch.cat(list(clouds))
        base = replace(self.base, sigma=sigma).framed(cells, generator=generator)
        unit = cells.std(0)
        unit = torch.where(unit > 0, unit, torch.ones_like(unit))
        apart = torch.cat([torch.pdist(cloud / unit) for cloud in clouds])
        apart = apart[apart > _SAME]  # a cell may stand for several
        apart = apart if len(apart) else torch.ones_like(unit)
        apart = apart[torch.randint(len(apart), (_PAIRS,), generator=generator)]
        widths = torch.quantile(apart, torch.tensor(self.quantiles, dtype=apart.dtype))
        around = Surroundings(unit, widths, torch.zeros(len(widths), 1, dtype=unit.dtype))
        density = torch.cat([around.seen(x, x, is_own=True).density for x in clouds])
        shares = torch.arange(self.n_bends, dtype=unit.dtype) / self.n_bends
        bends = torch.quantile(density, shares, dim=0).T.contiguous()
        return replace(self, base=base, surroundings=replace(around, bends=bends), weights=None)
