"""Rate, score and mass of a law of motion as one network of state and time."""

from __future__ import annotations

import torch
from torch import Tensor

from celltraj._card import card
from celltraj._typing import Cells, Column
from celltraj.models.networks._scale import scale_of
from celltraj.models.networks.mlp import mlp
from celltraj.snapshots import Snapshots


@card()
class TwoHeads(torch.nn.Module):
    """Predict a rate and a score; standardisation is part of the saved state.

    States and times are taken as they are, in double precision: float32 begins once they are
    standardised, so that neither may lie far from zero for its digits to count.

    Parameters
    ----------
    snapshots
        Sets the scales of states, rates and time.
    width
        Width of the three hidden layers.
    generator
        Draws the first weights.
    n_conditions
        Further inputs, such as an embedding of a treatment; none by default.
    has_mass
        Whether a third head predicts what cells send and meet, from which growth follows.
    noise
        Standard deviation of the paths around their means in the middle of the widest gap, in [x]:
        a variable that is narrower is seen in units of it, as the paths are wider than its cells.
    """

    centre: Tensor
    scale: Tensor
    speed: Tensor
    times: Tensor

    def __init__(
        self,
        snapshots: Snapshots,
        *,
        width: int,
        generator: torch.Generator,
        n_conditions: int = 0,
        has_mass: bool = False,
        noise: float = 0.0,
    ) -> None:
        super().__init__()
        self.n_conditions, self.has_mass = n_conditions, has_mass
        cells = torch.cat(snapshots.x)
        scale = scale_of(cells.std(0), noise)
        duration = snapshots.times[-1] - snapshots.times[0]
        self.register_buffer("centre", cells.mean(0).double())
        self.register_buffer("scale", scale.float())
        self.register_buffer("speed", (scale / duration).float() * len(snapshots.gaps))
        self.register_buffer("times", torch.tensor(snapshots.times, dtype=torch.float64))
        n_inputs = snapshots.dim + 1 + len(snapshots.times) + n_conditions
        n_outputs = 2 * snapshots.dim + 2 * has_mass
        self.net = mlp(n_inputs, n_outputs, width=width, generator=generator)

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
        if self.n_conditions:
            if c is None:
                raise ValueError(f"this network asks for {self.n_conditions} conditions; pass c=")
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


def _at(t: float, x: Cells) -> Column:
    return torch.full((len(x), 1), t, dtype=torch.float64)
