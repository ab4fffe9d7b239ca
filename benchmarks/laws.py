"""Laws of motion that are known exactly, and cells that follow them.

Lotka-Volterra and the repressilator are those of :mod:`celltraj.datasets`, in finer steps. The
chaotic ones are of the package dysts (Gilpin, *Chaos as an interpretable benchmark for forecasting
and data-driven modelling*, 2021), where it is installed: their cells start in a cloud of a tenth of
the width of the attractor, and snapshots lie a twentieth of a Lyapunov time apart at least, so that
the first ones are easy; an error made there grows e-fold within twenty such spacings.
"""

from __future__ import annotations

import importlib.util
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

import celltraj as ct
from celltraj.models import LotkaVolterra, OrnsteinUhlenbeck, Process, Repressilator, simulate

IN_LYAPUNOV_TIMES = 0.05
WIDTH = 0.1  # of the cloud that chaotic cells start in, over that of the attractor
# of three variables, LorenzStenflo of four; less than a seventh of a turn lies between neighbouring
# training snapshots at the shortest spacing, and no cell leaves the basin of the attractor
CHAOTIC = (
    "Arneodo",
    "Halvorsen",
    "HastingsPowell",
    "Lorenz",
    "LorenzStenflo",
    "Rucklidge",
    "SprottS",
    "VallisElNino",
)


@dataclass(frozen=True)
class Law:
    """Hold a law of motion, where cells start, and when they are looked at.

    Parameters
    ----------
    process
        The law.
    start
        ``start(n, generator)`` draws the cells ``(n, d)`` of time 0, in [x].
    spacing
        Shortest time between snapshots, in [t].
    n_snapshots
        Number of snapshots, odd, so that the last one is for training.
    learned_at
        Multiple of ``spacing`` at which the numbers of cells are compared.
    """

    process: Process
    start: Callable[[int, torch.Generator], Tensor]
    spacing: float
    n_snapshots: int = 11
    learned_at: int = 1

    def times(self, multiple: int) -> tuple[float, ...]:
        """Return the ``(T,)`` times of snapshots ``multiple`` spacings apart, in [t]."""
        return tuple(multiple * k * self.spacing for k in range(self.n_snapshots))

    def cells(
        self, times: tuple[float, ...], n: int, generator: torch.Generator
    ) -> tuple[Tensor, ...]:
        """Return ``n`` cells at each of the ``times``, ``(n, d)``, no cell seen twice."""
        moving = self.start(n * len(times), generator)
        one = torch.ones(moving.shape[1], dtype=torch.float64)
        law = InUnits.of(self, 0 * one, one, times[-1])
        found = [moving[:n]]
        for now, then in itertools.pairwise(times):
            # those that were looked at are left behind
            moving = simulate(law, moving[n:], (now, then), generator=generator).x[-1]
            found.append(moving[:n])
        return tuple(found)


@dataclass(frozen=True)
class InUnits:
    """Hold a law in other units of the state, ``z = (x - centre) / scale``.

    Parameters
    ----------
    process
        The law of ``x``.
    centre, scale
        ``(d,)``, in [x].
    breakpoints
        Times onto which a solver steps, so that its steps do not grow with the time between
        snapshots.
    """

    process: Process
    centre: Tensor
    scale: Tensor
    breakpoints: tuple[float, ...]

    @classmethod
    def of(cls, law: Law, centre: Tensor, scale: Tensor, until: float) -> InUnits:
        """Return the process of a law, with a breakpoint every other spacing until a time."""
        n = round(until / law.spacing)
        return cls(law.process, centre, scale, tuple(k * law.spacing for k in range(2, n + 1, 2)))

    def drift(self, t: float, x: Tensor) -> Tensor:
        """Return the ``(n, d)`` drift, in units of the scale per [t]."""
        return self.process.drift(t, self.centre + self.scale * x) / self.scale

    def diffusion(self, t: float, x: Tensor) -> Tensor:
        """Return the ``(n, d)`` diffusion, in units of the scale per sqrt([t])."""
        return self.process.diffusion(t, self.centre + self.scale * x) / self.scale


@dataclass(frozen=True)
class DoubleWell:
    """Roll down ``(x^2 - 1)^2 / 4 + |y|^2 / 2``, where x is the first variable and y the others.

    Parameters
    ----------
    sigma
        Diffusion, in [x]/sqrt([t]).
    """

    sigma: float

    def drift(self, t: float, x: Tensor) -> Tensor:
        """Return the ``(n, d)`` drift, in [x]/[t]."""
        return torch.cat([x[:, :1] - x[:, :1] ** 3, -x[:, 1:]], 1)

    def diffusion(self, t: float, x: Tensor) -> Tensor:
        """Return ``sigma`` everywhere, ``(n, d)``, in [x]/sqrt([t])."""
        return torch.full_like(x, self.sigma)


class Chaotic:
    """Follow a system of dysts, without noise.

    Parameters
    ----------
    name
        Class in ``dysts.flows``.
    """

    def __init__(self, name: str) -> None:
        from dysts import flows

        self.system = getattr(flows, name)()

    def drift(self, t: float, x: Tensor) -> Tensor:
        """Return the ``(n, d)`` drift, in [x]/[t]."""
        return torch.from_numpy(np.stack(self.system.rhs(x.numpy(), t), 1))

    def diffusion(self, t: float, x: Tensor) -> Tensor:
        """Return no noise, ``(n, d)``."""
        return torch.zeros_like(x)


def lotka_volterra() -> Law:
    """Return prey and predator as ``ct.datasets.lotka_volterra_simulation`` has them."""
    known = _parameters(ct.datasets.lotka_volterra_simulation)
    return Law(LotkaVolterra(**known), _box([5.0, 4.0]), 0.25, 9, learned_at=4)


def repressilator() -> Law:
    """Return three genes as ``ct.datasets.repressilator_simulation`` has them."""
    known = _parameters(ct.datasets.repressilator_simulation)
    return Law(Repressilator(**known), _box([1.0, 1.0, 2.0]), 0.1875, 11, learned_at=4)


def ornstein_uhlenbeck() -> Law:
    """Return a damped rotation: a turn takes 2 pi, and the swing halves in 7."""
    matrix = torch.tensor([[-0.1, -1.0], [1.0, -0.1]])
    process = OrnsteinUhlenbeck(matrix=matrix, shift=torch.zeros(2), sigma=0.3)
    return Law(process, _cloud([3.0, 0.0], [0.3, 0.3]), 0.5)


def double_well() -> Law:
    """Return cells that leave the ridge between two wells, to either side."""
    return Law(DoubleWell(0.3), _cloud([0.0, 2.0], [0.1, 0.3]), 0.25, learned_at=2)


def chaotic(name: str) -> Law:
    """Return a chaotic law; its cells start around a point of the attractor."""
    process = Chaotic(name)
    system = process.system
    spacing = IN_LYAPUNOV_TIMES / system.maximum_lyapunov_estimated
    return Law(process, _cloud(system.ic, WIDTH * system.std), float(spacing))


LAWS: dict[str, Callable[[], Law]] = {
    law.__name__: law for law in (lotka_volterra, repressilator, ornstein_uhlenbeck, double_well)
}
ABSENT = () if importlib.util.find_spec("dysts") else CHAOTIC
LAWS |= {name: partial(chaotic, name) for name in CHAOTIC if name not in ABSENT}


def _parameters(simulation: Callable) -> dict[str, float]:
    """Return what a simulated data set says of its law."""
    told = simulation(n_cells=1).uns["parameters"]
    return {name: value for name, value in told.items() if name not in ("n_cells", "seed")}


def _box(corner: list[float]) -> Callable[[int, torch.Generator], Tensor]:
    """Return a start, uniform in a box of side .1 above ``corner``."""
    low = torch.tensor(corner).double()
    return lambda n, generator: (
        low + 0.1 * torch.rand(n, len(low), generator=generator, dtype=torch.float64)
    )


def _cloud(
    centre: list[float] | np.ndarray, width: list[float] | np.ndarray
) -> Callable[[int, torch.Generator], Tensor]:
    """Return a Gaussian start of the standard deviations ``width``."""
    mean, deviation = torch.as_tensor(centre).double(), torch.as_tensor(width).double()
    return lambda n, generator: (
        mean + deviation * torch.randn(n, len(mean), generator=generator, dtype=torch.float64)
    )
