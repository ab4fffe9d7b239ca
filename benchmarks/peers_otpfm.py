"""OTP-FM behind the signature that ``ct.tl.cross_validate`` calls.

Kansal et al., *Multimarginal flow matching with optimal transport potentials* (2026): straight
lines from first to last snapshot, bent towards the cells between by potentials. Settings are those
of its authors' quick start, W2Inf potentials with Gaussian weights in time, whatever the data;
pairs are chains along one exact plan per gap. ``EMBRYOID_BODIES`` is what they publish for those in
5 components, at three to five times the cost: a row of its own, whatever the data.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from anndata import AnnData
from otpfm import OTPFM, Curriculum
from otpfm.potentials import W2InfPotential
from torch import Tensor

from benchmarks._peer import one_thread, seeded
from celltraj._anndata import read_snapshots
from celltraj.models.evaluation.holdout import exact_plans, sample_chains
from celltraj.snapshots import Snapshots


@dataclass(frozen=True)
class Settings:
    """Say how strong the potentials are and how the network is trained.

    Parameters
    ----------
    strength, width
        Of each potential; the width as a share of the whole duration.
    learning_rate
        Of Adam.
    batch_size
        Chains per step.
    network
        Options of its authors' network.
    """

    strength: float = 100.0
    width: float = 0.2
    learning_rate: float = 1e-3
    batch_size: int = 64
    network: dict[str, Any] = field(
        default_factory=lambda: {"hidden_dim": 128, "num_hidden_layers": 2}
    )


QUICK_START = Settings()
EMBRYOID_BODIES = Settings(
    strength=500.0,
    width=0.15,
    learning_rate=5e-4,
    batch_size=256,
    network={
        "hidden_dim": 256,
        "num_hidden_layers": 4,
        "layernorm": True,
        "dropout": 0.1,
        "residual_every": 2,
    },
)


@dataclass(frozen=True)
class PotentialFlow:
    """Hold a trained OTP-FM model as a ``Process`` without noise.

    Parameters
    ----------
    model
        The model, on times in [0, 1] and standardised states.
    times
        ``(T,)`` sampling times, in the user's unit.
    centre, scale
        ``(d,)`` mean and standard deviation of the training cells, in [x].
    """

    model: OTPFM
    times: tuple[float, ...]
    centre: Tensor
    scale: Tensor

    @property
    def breakpoints(self) -> tuple[float, ...]:
        """Return the sampling times, between which its authors count steps too."""
        return self.times

    def drift(self, t: float, x: Tensor) -> Tensor:
        """Return the ``(n, d)`` velocity, in [x]/[t]: the mean velocity over no time."""
        duration = self.times[-1] - self.times[0]
        clock = torch.full((len(x), 1), (t - self.times[0]) / duration)
        state = ((x - self.centre) / self.scale).float()
        with torch.no_grad():
            return self.model.v_func_ema(state, clock, clock).to(x.dtype) * self.scale / duration

    def diffusion(self, t: float, x: Tensor) -> Tensor:
        """Return zeros: the flow is deterministic."""
        return torch.zeros_like(x)


def fit_otp_fm(
    adata: AnnData,
    *,
    time_key: str = "time",
    use_rep: str | None = None,
    seed: int = 0,
    max_steps: int = 4000,
    settings: Settings = QUICK_START,
) -> PotentialFlow:
    """Train OTP-FM; with two snapshots only there are no potentials, and it is plain CFM."""
    snapshots, _ = read_snapshots(adata, time_key=time_key, use_rep=use_rep)
    cells = torch.cat(snapshots.x)
    centre, scale = cells.mean(0), cells.std(0)
    scaled = Snapshots(snapshots.times, tuple((x - centre) / scale for x in snapshots.x))
    with seeded(seed), one_thread():
        model = _model(scaled, settings)
        optimiser = torch.optim.Adam(model.parameters(), lr=settings.learning_rate)
        share = Curriculum(total_iterations=max_steps)
        batches = _batches(scaled, settings.batch_size, np.random.default_rng(seed))
        for step in range(max_steps):
            loss = model.forward_with_loss(
                next(batches), otp_alpha=share(step), do_otp=len(model.potentials) > 0
            )
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            model.update_ema()
    return PotentialFlow(model.eval(), snapshots.times, centre, scale)


def _model(snapshots: Snapshots, settings: Settings) -> OTPFM:
    start, duration = snapshots.times[0], snapshots.times[-1] - snapshots.times[0]
    inner = [(t - start) / duration for t in snapshots.times[1:-1]]
    potentials = OrderedDict(
        (
            t,
            W2InfPotential(
                tk=t, strength=settings.strength, lambda_type="gaussian", width=settings.width
            ),
        )
        for t in inner
    )
    return OTPFM(
        snapshots.dim,
        inner,
        potentials,
        flownet_args=settings.network,
        # what the model chooses for this potential, when there is one to choose for
        solver_type="direct",
    )


def _batches(snapshots: Snapshots, size: int, rng: np.random.Generator) -> Iterator[Tensor]:
    """Yield ``(size, T, d)`` chains without end; they are drawn anew after every cell's turn."""
    plans = exact_plans(snapshots)
    n_cells = len(snapshots.x[0])
    while True:
        chains = sample_chains(snapshots, plans, start=0, rng=rng).swapaxes(0, 1)
        for _ in range(max(1, n_cells // size)):
            yield torch.from_numpy(chains[rng.integers(n_cells, size=size)]).float()
