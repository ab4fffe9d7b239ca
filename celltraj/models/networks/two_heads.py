"""Rate and score of a law of motion as one network of state and time."""

from __future__ import annotations

import torch
from torch import Tensor

from celltraj._snapshots import Snapshots
from celltraj._typing import Cells, Column
from celltraj.models.networks.mlp import mlp


class TwoHeads(torch.nn.Module):
    """Predict a rate and a score; standardisation is part of the saved state.

    Parameters
    ----------
    snapshots
        Sets the scales of states, rates and time.
    width
        Width of the three hidden layers.
    generator
        Draws the first weights.
    """

    centre: Tensor
    scale: Tensor
    speed: Tensor
    times: Tensor

    def __init__(self, snapshots: Snapshots, *, width: int, generator: torch.Generator) -> None:
        super().__init__()
        cells = torch.cat(snapshots.x)
        scale = cells.std(0)
        # a constant variable carries no scale of its own; one keeps it where it is
        scale = torch.where(scale > 0, scale, torch.ones_like(scale))
        duration = snapshots.times[-1] - snapshots.times[0]
        self.register_buffer("centre", cells.mean(0).float())
        self.register_buffer("scale", scale.float())
        self.register_buffer("speed", (scale / duration).float() * len(snapshots.gaps))
        self.register_buffer("times", torch.tensor(snapshots.times, dtype=torch.float32))
        n_inputs = snapshots.dim + 1 + len(snapshots.times)
        self.net = mlp(n_inputs, 2 * snapshots.dim, width=width, generator=generator)

    def heads(self, t: Column, x: Cells) -> tuple[Cells, Cells]:
        """Return mean displacement rate in ``speed`` units and score in ``1 / scale`` units."""
        inputs = [(x - self.centre) / self.scale, *self._time_features(t)]
        return self.net(torch.cat(inputs, 1)).chunk(2, 1)

    def _time_features(self, t: Column) -> tuple[Tensor, Tensor]:
        """Return time as a share of the duration, and hat functions centred at the snapshots.

        The drift of a bridge has a kink at every snapshot, which the share alone cannot express.
        """
        position = torch.searchsorted(self.times, t, right=True).clamp_(1, len(self.times) - 1)
        before, after = self.times[position - 1], self.times[position]
        s = (t - before) / (after - before)
        hats = torch.zeros(len(t), len(self.times), dtype=t.dtype)
        hats.scatter_(1, position - 1, 1 - s).scatter_(1, position, s)
        return (t - self.times[0]) / (self.times[-1] - self.times[0]), hats

    def predict(self, t: float, x: Cells) -> tuple[Cells, Cells]:
        """Return rate ``(n, d)``, in [x]/[t], and score, in 1/[x], at one time."""
        with torch.set_grad_enabled(x.requires_grad):
            rate, score = self.heads(torch.full((len(x), 1), t), x.float())
            return (rate * self.speed).to(x.dtype), (score / self.scale).to(x.dtype)
