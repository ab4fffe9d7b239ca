"""Rate, score and mass of a law of motion as one network of state and time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from celltraj._card import card
from celltraj._typing import Cells, Column
from celltraj.models.networks._scale import scale_of
from celltraj.models.networks.mlp import mlp
from celltraj.snapshots import Snapshots

_MASSES = 0.1  # weight of the loss of the masses: the trunk serves the motion first


@dataclass(frozen=True)
class HeadSizes:
    """Say how large the parts of a :class:`TwoHeads` are.

    Parameters
    ----------
    dim
        State variables d.
    n_times
        Snapshots.
    width
        Width of the three hidden layers.
    n_conditions
        Further inputs, such as an embedding of a treatment; none by default.
    has_mass
        Whether a third head predicts what cells send and meet, from which growth follows.
    """

    dim: int
    n_times: int
    width: int = 128
    n_conditions: int = 0
    has_mass: bool = False


@card()
class TwoHeads(torch.nn.Module):
    """Predict a rate and a score; standardisation is part of the saved state.

    States and times are taken as they are, in double precision: float32 begins once they are
    standardised, so that neither may lie far from zero for its digits to count. A new network is in
    units of 1 with snapshots at times from 0 to 1, see :meth:`scale_to`.

    Parameters
    ----------
    sizes
        How large its parts are.
    generator
        Draws the first weights.
    """

    centre: Tensor
    scale: Tensor
    speed: Tensor
    times: Tensor

    def __init__(self, sizes: HeadSizes, *, generator: torch.Generator) -> None:
        super().__init__()
        self.sizes = sizes
        self.register_buffer("centre", torch.zeros(sizes.dim, dtype=torch.float64))
        self.register_buffer("scale", torch.ones(sizes.dim))
        self.register_buffer("speed", torch.ones(sizes.dim))
        self.register_buffer("times", torch.linspace(0, 1, sizes.n_times, dtype=torch.float64))
        n_inputs = sizes.dim + 1 + sizes.n_times + sizes.n_conditions
        n_outputs = 2 * sizes.dim + 2 * sizes.has_mass
        self.net = mlp(n_inputs, n_outputs, width=sizes.width, generator=generator)

    def scale_to(self, snapshots: Snapshots, *, noise: float = 0.0) -> TwoHeads:
        """Take units of states, rates and time from ``snapshots``, and return the network.

        ``noise`` is the standard deviation of the paths around their means in the middle of the
        widest gap, in [x]: a variable that is narrower is seen in units of it, as the paths are
        wider than its cells.
        """
        cells = torch.cat(snapshots.x)
        scale = scale_of(cells.std(0), noise)
        duration = snapshots.times[-1] - snapshots.times[0]
        self.centre.copy_(cells.mean(0))
        self.scale.copy_(scale)
        self.speed.copy_((scale / duration).float() * len(snapshots.gaps))
        self.times.copy_(torch.tensor(snapshots.times, dtype=torch.float64))
        return self

    def heads(self, t: Column, x: Cells, c: Tensor | None = None) -> tuple[Cells, Cells]:
        """Return mean displacement rate in ``speed`` units and score in ``1 / scale`` units."""
        return self.all_heads(t, x, c)[:2]

    def all_heads(
        self, t: Column, x: Cells, c: Tensor | None = None
    ) -> tuple[Cells, Cells, Tensor]:
        """Return rate and score as :meth:`heads`, and logarithms of the masses sent and met.

        ``c (n, n_conditions)`` are the further inputs, where the network has some; the masses are
        ``(n, 2)``, or ``(n, 0)`` where it has no head for them.
        """
        inputs = [(x - self.centre).float() / self.scale, *self._time_features(t)]
        if self.sizes.n_conditions:
            if c is None:
                raise ValueError(
                    f"this network asks for {self.sizes.n_conditions} conditions; pass c="
                )
            inputs.append(c)
        outputs = self.net(torch.cat(inputs, 1))
        d = x.shape[1]
        return outputs[:, :d], outputs[:, d : 2 * d], outputs[:, 2 * d :]

    @property
    def mean_gap(self) -> Tensor:
        """Mean length of a gap, in [t]."""
        return (self.times[-1] - self.times[0]) / (len(self.times) - 1)

    def _time_features(self, t: Column) -> tuple[Tensor, Tensor]:
        """Return time as a share of the duration, and hat functions centred at the snapshots.

        The drift of a bridge has a kink at every snapshot, which the share alone cannot express.
        """
        t = t.double()
        position = torch.searchsorted(self.times, t, right=True).clamp_(1, len(self.times) - 1)
        before, after = self.times[position - 1], self.times[position]
        s = (t - before) / (after - before)
        hats = torch.zeros(len(t), len(self.times), dtype=t.dtype, device=t.device)
        hats.scatter_(1, position - 1, 1 - s).scatter_(1, position, s)
        share = (t - self.times[0]) / (self.times[-1] - self.times[0])
        return share.float(), hats.float()

    def predict(self, t: float, x: Cells) -> tuple[Cells, Cells]:
        """Return rate ``(n, d)``, in [x]/[t], and score, in 1/[x], at one time."""
        with torch.set_grad_enabled(x.requires_grad):
            rate, score = self.heads(_at(t, x), x)
            return (rate * self.speed).to(x.dtype), (score / self.scale).to(x.dtype)

    def predict_mass(self, t: float, x: Cells) -> Tensor:
        """Return logarithms of the masses sent and met, ``(n, 2)``, at one time."""
        with torch.set_grad_enabled(x.requires_grad):
            return self.all_heads(_at(t, x), x)[2].to(x.dtype)


class Points(NamedTuple):
    """Hold the points of bridges of one step: times and states float64, the rest float32.

    Parameters
    ----------
    t
        ``(n, 1)`` times.
    x
        ``(n, d)`` states on the bridges.
    rate
        ``(n, d)`` displacement rates, in [x]/[t].
    z
        ``(n, d)`` standardised noise.
    width
        ``(n, 1)`` standard deviation of the bridge there, in [x].
    mass
        ``(n, 1)`` mass of the path there.
    sent, met
        ``(n, 1)`` logarithms of what its ends send and meet, see
        :mod:`celltraj.models.growth.path_mass`.
    """

    t: Tensor
    x: Tensor
    rate: Tensor
    z: Tensor
    width: Tensor
    mass: Tensor
    sent: Tensor
    met: Tensor


def point_errors(network: TwoHeads, points: Points) -> Tensor:
    """Return the squared errors ``(n,)`` of rate, score and masses, each in its own unit."""
    rate, score, masses = network.all_heads(points.t, points.x)
    errors = (rate - points.rate / network.speed).square().mean(1)
    errors = errors + (points.z + points.width / network.scale * score).square().mean(1)
    if network.sizes.has_mass:
        wanted = torch.cat([points.sent, points.met], 1)
        errors = errors + _MASSES * (masses - wanted).square().sum(1)
    return errors


def two_heads_loss(network: TwoHeads, points: Points) -> Tensor:
    """Return the mean error of points, weighted by their mass."""
    return (points.mass[:, 0] * point_errors(network, points)).mean()


def _at(t: float, x: Cells) -> Column:
    return torch.full((len(x), 1), t, dtype=torch.float64, device=x.device)
