"""Gradient flow of a learned potential, and a learned flow without one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Tensor

from celltraj._card import card
from celltraj._checks import checked_fields
from celltraj._typing import Cells, Earlier
from celltraj.models.networks import mlp
from celltraj.models.references._regression import fit_module, stack_points
from celltraj.models.references.family import Paths, sigma_of
from celltraj.models.references.module import evaluate


@card()
@checked_fields
@dataclass(frozen=True, eq=False)
class PotentialLandscape:
    r"""Potential landscape: ``dX = -grad U(X) dt + sigma dW``, ``U`` a smooth network.

    Waddington's picture, and the class of all reversible diffusions with constant noise. ``fit`` is
    least squares by L-BFGS with weight decay.

    Parameters
    ----------
    width
        Width of the hidden layers.
    decay
        Weight of the squared weight matrices, against 1 for the squared velocity.
    max_iter
        Iterations of L-BFGS in each fit.
    sigma
        Diffusion, in [x]/sqrt([t]); None takes that of the call that fits.
    network
        The fitted network; None before a fit.

    References
    ----------
    Weinreb et al., *Fundamental limits on dynamic inference from single-cell snapshots* (2018).

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=40, seed=0)
    >>> bridge = ct.tl.fit_bridge(
    ...     adata, reference=ct.models.PotentialLandscape(width=8),
    ...     options=ct.models.BridgeOptions(refinement=ct.models.Refinement(max_rounds=1)),
    ...     training=None, progress=False,
    ... )
    >>> bridge.reference.potential(bridge.snapshots.x[0]).shape
    torch.Size([40])
    """

    width: int = 32
    decay: float = 2e-3
    max_iter: int = 60
    sigma: float | None = None
    network: ScaledNetwork | None = None
    is_gradient = True

    @property
    def is_fitted(self) -> bool:
        """Whether the network is known."""
        return self.network is not None

    def drift(self, t: float, x: Cells) -> Cells:
        """Return ``-grad U(x)``, ``(n, d)``, in [x]/[t]."""
        return evaluate(fitted_network(self), t, x)

    def diffusion(self, t: float, x: Cells) -> Cells:
        """Return ``sigma`` everywhere, ``(n, d)``, in [x]/sqrt([t])."""
        return torch.full_like(x, sigma_of(self))

    def potential(self, x: Cells) -> Earlier:
        """Return ``U(x)``, ``(n,)``, in [x]^2/[t], up to a constant."""
        network = fitted_network(self)
        with torch.no_grad():
            potential: Tensor = (
                network.net(network.standardised(x.double()))[:, 0] * network.height
            ).to(x.dtype)
            return potential

    def estimates(self) -> dict[str, float]:
        """Return nothing: the weights of the network have no meaning of their own."""
        return {}

    def fit(
        self, paths: Sequence[Paths], *, generator: torch.Generator
    ) -> PotentialLandscape | NeuralReference:
        """Return the member nearest to ``paths``; ``generator`` draws the first weights."""
        start = self.network or ScaledNetwork.around(
            paths, width=self.width, is_gradient=self.is_gradient, generator=generator
        )
        network = fit_module(
            start, paths, decay=self.decay, max_iter=self.max_iter, generator=generator
        )
        return replace(self, network=cast("ScaledNetwork", network))


@card()
@checked_fields
@dataclass(frozen=True, eq=False)
class NeuralReference:
    r"""Move cells by ``dX = b(X) dt + sigma dW``, ``b`` a smooth network.

    The same law at all times, in difference to the drift of a bridge. ``fit`` is least squares by
    L-BFGS with weight decay.

    Parameters
    ----------
    width
        Width of the hidden layers.
    decay
        Weight of the squared weight matrices, against 1 for the squared velocity.
    max_iter
        Iterations of L-BFGS in each fit.
    sigma
        Diffusion, in [x]/sqrt([t]); None takes that of the call that fits.
    network
        The fitted network; None before a fit.

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=40, seed=0)
    >>> bridge = ct.tl.fit_bridge(
    ...     adata, reference=ct.models.NeuralReference(width=8),
    ...     options=ct.models.BridgeOptions(refinement=ct.models.Refinement(max_rounds=1)),
    ...     training=None, progress=False,
    ... )
    >>> bridge.reference.is_fitted
    True
    """

    width: int = 32
    decay: float = 2e-3
    max_iter: int = 60
    sigma: float | None = None
    network: ScaledNetwork | None = None
    is_gradient = False

    is_fitted = PotentialLandscape.is_fitted
    drift = PotentialLandscape.drift
    diffusion = PotentialLandscape.diffusion
    estimates = PotentialLandscape.estimates
    fit = PotentialLandscape.fit


def fitted_network(family: PotentialLandscape | NeuralReference) -> ScaledNetwork:
    """Return the network of ``family``.

    Raises
    ------
    ValueError
        There is none yet.
    """
    if family.network is None:
        raise ValueError(f"{type(family).__name__} has no network yet; fit it first")
    return family.network


@card()
class ScaledNetwork(torch.nn.Module):
    """Drift in the user's units from a network of standardised states.

    Parameters
    ----------
    dim, width
        Variables, and width of the hidden layers.
    is_gradient
        Whether the network is a potential whose negative gradient is the drift.
    generator
        Draws the first weights.
    """

    centre: Tensor
    scale: Tensor
    speed: Tensor

    def __init__(
        self, dim: int, *, width: int, is_gradient: bool, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.is_gradient = is_gradient
        self.net = mlp(dim, 1 if is_gradient else dim, width=width, generator=generator).double()
        self.register_buffer("centre", torch.zeros(dim, dtype=torch.float64))
        self.register_buffer("scale", torch.ones((), dtype=torch.float64))
        self.register_buffer("speed", torch.ones((), dtype=torch.float64))

    @classmethod
    def around(
        cls, paths: Sequence[Paths], *, width: int, is_gradient: bool, generator: torch.Generator
    ) -> ScaledNetwork:
        """Return a network of random weights in the scales of ``paths``."""
        _, x, v, w = stack_points(paths)
        network = cls(x.shape[1], width=width, is_gradient=is_gradient, generator=generator)
        network.centre.copy_(w @ x)
        # one scale for all variables, so that a gradient stays a gradient
        network.scale.copy_((w @ (x - network.centre).square()).mean().sqrt())
        network.speed.copy_((w @ v.square()).mean().sqrt())
        return network

    @property
    def height(self) -> Tensor:
        """Unit of the potential, in [x]^2/[t]."""
        return self.speed * self.scale

    def standardised(self, x: Tensor) -> Tensor:
        """Return ``x`` without unit."""
        return (x - self.centre) / self.scale

    def forward(self, t: Tensor, x: Tensor) -> Tensor:
        """Return the drift at ``x``, whatever the time."""
        z = self.standardised(x)
        if not self.is_gradient:
            potential: Tensor = self.speed * self.net(z)
            return potential
        is_training = torch.is_grad_enabled()
        with torch.enable_grad():
            z = z if z.requires_grad else z.detach().requires_grad_()
            (slope,) = torch.autograd.grad(self.net(z).sum(), z, create_graph=is_training)
        return -self.speed * slope
