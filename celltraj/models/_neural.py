r"""A network that learns drift and score of a bridge from reference bridges.

With ``x_s`` on the bridge of the reference from ``x0`` to ``x1`` over a gap of length ``D``, two
regressions without a singularity at either end give every velocity:

- ``m(t, x) = E[rate | x_s = x]``, where ``rate`` is ``(x1 - x0) / D`` under Brownian motion, and
  what :func:`~celltraj.models._paths.pinned_points` derives under any other reference,
- ``score(t, x) = E[score of the bridge between x0 and x1 | x_s = x]``, weighted by its variance;

``drift = b_ref + m + s sigma^2 score``; backwards ``b_ref + m - (1-s) sigma^2 score``. Both are
held to what every bridge satisfies: the mean end of a path through ``x`` lies within the cells of
that snapshot.
Tong et al., *Simulation-free Schroedinger bridges via score and flow matching* (2023), eq. 9.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import pytorch_lightning as lightning
import torch
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor
from tqdm.auto import tqdm

from celltraj._snapshots import Snapshots
from celltraj._typing import Cells, Column
from celltraj.models._fit import run_training
from celltraj.models._flow import flow_of, gap_flow
from celltraj.models._paths import apply, pinned_points
from celltraj.models._process import Reference, sigma_of
from celltraj.models.networks import mlp
from celltraj.ot import Coupling

_DRAWN_AT_ONCE = 50  # steps
_TOUCHING = 1e-9  # share of a gap within which a path is at the snapshot
_NODES = 32  # times in a gap that these points share, drawn afresh each time


@dataclass(frozen=True)
class NeuralDrift:
    """Ask for a drift learned by one time-conditioned network over all gaps.

    Parameters
    ----------
    max_steps
        Optimiser steps; by default one for every two cells, between 2,000 and 20,000: more cells
        draw finer snapshots, which take longer to learn.
    batch_size
        Bridge points per step.
    width
        Width of the three hidden layers.
    learning_rate
        Peak of AdamW's one-cycle schedule (Smith & Topin, *Super-convergence*, 2019).
    ema_decay
        Decay per step of the averaged weights that are used for prediction.

    Raises
    ------
    ValueError
        A number is not positive, or the decay not in [0, 1).

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=50, seed=0)
    >>> short = ct.models.NeuralDrift(max_steps=20)
    >>> len(ct.tl.fit_bridge(adata, drift=short, seed=0, progress=False).field.history)
    20
    """

    max_steps: int | None = None
    batch_size: int = 512
    width: int = 128
    learning_rate: float = 1e-2
    ema_decay: float = 0.995

    def __post_init__(self) -> None:
        counts = min(1 if self.max_steps is None else self.max_steps, self.batch_size, self.width)
        if counts < 1 or not self.learning_rate > 0 or not 0 <= self.ema_decay < 1:
            raise ValueError(
                "max_steps, batch_size, width and learning_rate must be positive and ema_decay in "
                f"[0, 1); found {self}"
            )

    def fit(
        self,
        snapshots: Snapshots,
        reference: Reference,
        couplings: tuple[Coupling, ...],
        *,
        generator: torch.Generator,
        progress: bool = True,
    ) -> NeuralField:
        """Return the trained field; its ``history`` holds the loss at each step."""
        field = NeuralField(snapshots, reference, width=self.width, generator=generator)
        n_cells = sum(len(cells) for cells in snapshots.x)
        n_steps = self.max_steps or min(max(n_cells // 2, 2_000), 20_000)
        training = _Training(field, self, n_steps, progress=progress)
        batches = _Batches(snapshots, reference, couplings, generator, n_steps, self.batch_size)
        run_training(training, batches)
        averaged = training.averaged
        averaged.history = tuple(float(v) for v in torch.stack(training.losses))
        return averaged


class NeuralField(torch.nn.Module):
    """Predict drift and score; standardisation is part of the saved state."""

    centre: Tensor
    scale: Tensor
    speed: Tensor
    times: Tensor

    def __init__(
        self, snapshots: Snapshots, reference: Reference, *, width: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        cells = torch.cat(snapshots.x)
        self.snapshots, self.reference, self.width = snapshots, reference, width
        self.history: tuple[float, ...] = ()
        scale = cells.std(0)
        # a constant variable carries no scale of its own; one keeps it where it is
        scale = torch.where(scale > 0, scale, torch.ones_like(scale))
        duration = snapshots.times[-1] - snapshots.times[0]
        self.boxes = tuple(cloud.aminmax(dim=0) for cloud in snapshots.x)
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

    def _predict(self, t: float, x: Cells) -> tuple[Cells, Cells]:
        with torch.no_grad():
            rate, score = self.heads(torch.full((len(x), 1), t), x.float())
            return (rate * self.speed).to(x.dtype), (score / self.scale).to(x.dtype)

    def drift(self, t: float, x: Cells) -> Cells:
        """Return ``b_ref + m + s sigma^2 score``, ``(n, d)``."""
        return self.reference.drift(t, x) + self._forward_tilt(t, x)

    def backward_drift(self, t: float, x: Cells) -> Cells:
        """Return ``b_ref + m - (1 - s) sigma^2 score``, ``(n, d)``."""
        return self.reference.drift(t, x) + self._backward_tilt(t, x)

    def score(self, t: float, x: Cells) -> Cells:
        """Return ``grad log p_t(x)``, ``(n, d)``."""
        difference = self._forward_tilt(t, x) - self._backward_tilt(t, x)
        return difference / sigma_of(self.reference) ** 2

    def _place(self, t: float) -> tuple[int, float]:
        """Return the gap of ``t`` and the share of it that is gone."""
        k = self.snapshots.gap_of(t)
        return k, (t - self.snapshots.times[k]) / self.snapshots.gaps[k]

    def _forward_tilt(self, t: float, x: Cells) -> Cells:
        rate, score = self._predict(t, x)
        k, s = self._place(t)
        tilt = rate + s * sigma_of(self.reference) ** 2 * score
        return self._ends_inside(t, k, x, tilt) if s < 1 - _TOUCHING else tilt

    def _backward_tilt(self, t: float, x: Cells) -> Cells:
        rate, score = self._predict(t, x)
        k, s = self._place(t)
        tilt = rate - (1 - s) * sigma_of(self.reference) ** 2 * score
        return self._starts_inside(t, k, x, tilt) if s > _TOUCHING else tilt

    def _ends_inside(self, t: float, k: int, x: Cells, tilt: Cells) -> Cells:
        """Return the tilt of the forward drift under which the mean end lies within its snapshot.

        With ``L = Sigma Phi'^-1 / sigma^2`` of the flow to the end, ``E[end | x] = m + L tilt`` is
        a weighted mean of the cells of a snapshot, hence within their box. A network keeps to that
        near the data; off the data, where it only extrapolates, this is what brings a path back.
        """
        end = self.snapshots.times[k + 1]
        share = (end - t) / self.snapshots.gaps[k]
        flow = gap_flow(self.reference, x, t, end, share)
        turn = torch.linalg.solve(flow.to_end[0], flow.covariance[-1]).mT
        lever = turn / sigma_of(self.reference) ** 2
        return _confined(tilt, flow.mean[-1], lever, self.boxes[k + 1])

    def _starts_inside(self, t: float, k: int, x: Cells, tilt: Cells) -> Cells:
        """Return the tilt of the backward drift under which the mean start does so.

        ``E[m(start) | x] = x - Sigma tilt / sigma^2`` is a weighted mean of where the flow takes
        the cells of the snapshot before.
        """
        start = self.snapshots.times[k]
        share = (t - start) / self.snapshots.gaps[k]
        flow = gap_flow(self.reference, self.snapshots.x[k], start, t, share)
        lever = -flow.covariance[-1].mean(0, keepdim=True) / sigma_of(self.reference) ** 2
        return _confined(tilt, x.double(), lever, flow.mean[-1].aminmax(dim=0))


def _confined(tilt: Cells, origin: Cells, lever: Tensor, box: tuple[Tensor, Tensor]) -> Cells:
    """Return the tilt nearest to the given one with ``origin + lever tilt`` inside ``box``."""
    rows = torch.arange(len(tilt))
    reached = origin + apply(lever, rows, tilt.double())
    excess = reached.clamp(*box) - reached
    return tilt + apply(torch.linalg.inv(lever), rows, excess).to(tilt.dtype)


class _Training(lightning.LightningModule):
    """Regress both heads and average the weights."""

    def __init__(
        self, field: NeuralField, options: NeuralDrift, n_steps: int, *, progress: bool
    ) -> None:
        super().__init__()
        self.field, self.options, self.n_steps = field, options, n_steps
        self.averaged = copy.deepcopy(field)
        self.losses: list[Tensor] = []
        # Lightning's hooks around a batch cost as much as a step of a network this small: a batch
        # is therefore a run of steps, taken here
        self.automatic_optimization = False
        self.bar = tqdm(total=n_steps, desc="training", unit="step", disable=not progress)

    def training_step(self, steps: list[tuple[Tensor, ...]], batch_idx: int) -> None:
        optimizer = cast("torch.optim.Optimizer", self.optimizers(use_pl_optimizer=False))
        schedule = cast("torch.optim.lr_scheduler.LRScheduler", self.lr_schedulers())
        for points in steps:
            loss = self._loss(*points)
            optimizer.zero_grad()
            self.manual_backward(loss)
            optimizer.step()
            schedule.step()
            self._average()
            self.losses.append(loss.detach())
        self.bar.update(len(steps))

    def _loss(self, t: Tensor, x: Tensor, rate: Tensor, z: Tensor, width: Tensor) -> Tensor:
        predicted_rate, score = self.field.heads(t, x)
        rate_loss = (predicted_rate - rate / self.field.speed).square().mean()
        score_loss = (z + width / self.field.scale * score).square().mean()
        return rate_loss + score_loss

    def _average(self) -> None:
        # the average warms up, so that it forgets the random initial weights
        n = len(self.losses)
        decay = min(self.options.ema_decay, (1 + n) / (10 + n))
        pairs = zip(self.averaged.parameters(), self.field.parameters(), strict=True)
        with torch.no_grad():
            for average, value in pairs:
                average.lerp_(value, 1 - decay)

    def on_train_end(self) -> None:
        self.bar.close()

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        peak, n = self.options.learning_rate, self.n_steps
        optimizer = torch.optim.AdamW(
            self.field.parameters(), lr=peak, weight_decay=0.0, fused=True
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, peak, total_steps=n, pct_start=0.1
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule}}


class _Batches:
    """Draw bridge points uniformly over the whole duration, from plans solved once per gap.

    Iterates over lists of steps, each a tuple of time, state, displacement rate, noise and width.
    """

    def __init__(
        self,
        snapshots: Snapshots,
        reference: Reference,
        couplings: tuple[Coupling, ...],
        generator: torch.Generator,
        n_steps: int,
        batch_size: int,
    ) -> None:
        self.snapshots, self.reference, self.generator = snapshots, reference, generator
        self.sigma = sigma_of(reference)
        self.n_steps, self.batch_size = n_steps, batch_size
        self.gaps = torch.tensor(snapshots.gaps, dtype=torch.float64)
        n = n_steps * batch_size
        self.gap_of = torch.multinomial(self.gaps, n, replacement=True, generator=generator)
        # all pairs of the training at once: one pass over each plan, which is never held
        self.i, self.j = torch.empty(2, n, dtype=torch.long)
        for k, coupling in enumerate(couplings):
            here = self.gap_of == k
            self.i[here], self.j[here] = coupling.sample(int(here.sum()), generator=generator)

    def __len__(self) -> int:
        return math.ceil(self.n_steps / _DRAWN_AT_ONCE)

    def __iter__(self) -> Iterator[list[tuple[Tensor, ...]]]:
        size = self.batch_size
        for rows in torch.arange(len(self.i)).split(_DRAWN_AT_ONCE * size):
            yield list(zip(*(v.split(size) for v in self._bridge_points(rows)), strict=True))

    def _bridge_points(self, rows: Tensor) -> tuple[Tensor, ...]:
        """Return time, state, rate, noise and width of the points ``rows``."""
        k, i, j = self.gap_of[rows], self.i[rows], self.j[rows]
        columns = torch.empty(len(rows), 3 * self.snapshots.dim + 2, dtype=torch.float64)
        for gap in range(len(self.gaps)):
            here = (k == gap).nonzero().flatten()
            for part, values in self._at_random_times(gap, i[here], j[here]):
                columns[here[part]] = values
        d = self.snapshots.dim
        parts = columns.float().split([1, d, d, d, 1], 1)
        return tuple(part.contiguous() for part in parts)

    def _at_random_times(self, gap: int, i: Tensor, j: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield groups of points that share a time, which are stratified over the gap."""
        start, length = self.snapshots.times[gap], self.snapshots.gaps[gap]
        jitter = torch.rand(_NODES, dtype=torch.float64, generator=self.generator)
        s = ((torch.arange(_NODES) + jitter.clamp(1e-3, 1 - 1e-3)) / _NODES).tolist()
        inner = [start + share * length for share in s]
        grid = [start, *inner, self.snapshots.times[gap + 1]]
        flow = flow_of(self.reference, self.snapshots.x[gap], grid)
        node = torch.randint(_NODES, (len(i),), generator=self.generator)
        for k, (t, share) in enumerate(zip(inner, s, strict=True)):
            part = (node == k).nonzero().flatten()
            y = self.snapshots.x[gap + 1][j[part]]
            drawn = pinned_points(flow, k + 1, i[part], y, self.sigma, generator=self.generator)
            width = self.sigma * math.sqrt(length * share * (1 - share))
            one = torch.ones(len(part), 1, dtype=torch.float64)
            values = (t * one, drawn.x, drawn.rate, -width * drawn.score, width * one)
            yield part, torch.cat(values, 1)
