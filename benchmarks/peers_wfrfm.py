"""WFR-FM behind the signature that ``ct.tl.cross_validate`` calls.

Peng et al., *WFR-FM: simulation-free dynamic unbalanced optimal transport* (2026): a velocity and a
growth rate are regressed on the Wasserstein-Fisher-Rao geodesics between the cells that an
unbalanced plan of each gap pairs; numbers of cells are masses. Their program runs as it is, from a
checkout of QiangweiPeng/WFR-FM that ``WFRFM_HOME`` names, beside torchdiffeq and on the CPU.

Settings are those that its authors publish for A549 cells in 10 components, read from their file,
whatever the data; all their sets of that size share them but for delta, the length that weighs
moving against growing. They choose it for each set: in standard deviations of a component, averaged
over components, 1.8 (dygen), 2.0 (embryoid bodies in 5 components), 2.1 (simulation) and 12.7
(A549). Here it is 2 of them, and cells are scaled by one number for all components, so that
embryoid bodies see the published setting itself. Times are scaled alike: theirs count snapshots,
and here the shortest gap is 1.
"""

from __future__ import annotations

import importlib
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType

import pandas as pd
import torch
from anndata import AnnData
from torch import Tensor

from benchmarks._peer import one_thread, seeded
from celltraj._anndata import read_snapshots

DELTA = 2.0
_MODULES = ("experiment_configs", "ema", "models", "utils", "train")


@dataclass(frozen=True)
class GeodesicFlow:
    """Hold a trained WFR-FM model as a ``Process`` without noise whose cells grow.

    Parameters
    ----------
    velocity, rate
        Their networks of clock and scaled state, ``(n, d)`` and ``(n, 1)``.
    times
        ``(T,)`` sampling times, in the user's unit.
    unit
        How long a unit of the clock is, in the same unit.
    centre, scale
        ``(d,)`` mean of the training cells and the root-mean-square standard deviation of their
        components, in [x].
    """

    velocity: torch.nn.Module
    rate: torch.nn.Module
    times: tuple[float, ...]
    unit: float
    centre: Tensor
    scale: Tensor

    @property
    def breakpoints(self) -> tuple[float, ...]:
        """Return the sampling times, at which geodesics bend."""
        return self.times

    def drift(self, t: float, x: Tensor) -> Tensor:
        """Return the ``(n, d)`` velocity, in [x]/[t]."""
        return self._of(self.velocity, t, x) * self.scale / self.unit

    def growth(self, t: float, x: Tensor) -> Tensor:
        """Return the ``(n,)`` net rate at which mass grows, in 1/[t]."""
        return self._of(self.rate, t, x)[:, 0] / self.unit

    def diffusion(self, t: float, x: Tensor) -> Tensor:
        """Return zeros: the flow is deterministic."""
        return torch.zeros_like(x)

    def _of(self, network: torch.nn.Module, t: float, x: Tensor) -> Tensor:
        clock = torch.full((len(x), 1), (t - self.times[0]) / self.unit)
        with torch.no_grad():
            return network(clock, ((x - self.centre) / self.scale).float()).to(x.dtype)


def fit_wfr_fm(
    adata: AnnData,
    *,
    time_key: str = "time",
    use_rep: str | None = None,
    seed: int = 0,
    max_steps: int = 3000,
) -> GeodesicFlow:
    """Train WFR-FM by its authors' loop, and take the running average of its weights as they do."""
    snapshots, _ = read_snapshots(adata, time_key=time_key, use_rep=use_rep)
    cells = torch.cat(snapshots.x)
    centre = cells.mean(0)
    scale, unit = (cells - centre).square().mean().sqrt(), min(snapshots.gaps)
    frame = pd.concat(
        pd.DataFrame(((x - centre) / scale).numpy()).assign(samples=(t - snapshots.times[0]) / unit)
        for t, x in zip(snapshots.times, snapshots.x, strict=True)
    )
    # they take the first column for the time, whatever its name
    frame.insert(0, "samples", frame.pop("samples"))
    with seeded(seed), one_thread(), _unheard():
        velocity, rate = _train(frame, max_steps)
    return GeodesicFlow(velocity, rate, snapshots.times, unit, centre, scale)


def _train(frame: pd.DataFrame, max_steps: int) -> tuple[torch.nn.Module, torch.nn.Module]:
    """Return the networks of velocity and growth, set up as their runner sets them up."""
    program = _program()
    published = program["experiment_configs"].EXPERIMENTS["emt"]
    model = program["models"].FNet(
        in_out_dim=frame.shape[1] - 1,
        hidden_dim=published.hidden_dim,
        n_hiddens=published.n_hiddens,
        activation="leakyrelu",
    )
    average = program["ema"].EMA(model, decay=published.ema_decay)
    networks = {model.v_net: published.lr_v, model.g_net: published.lr_g}
    optimisers = [torch.optim.Adam(net.parameters(), lr=lr) for net, lr in networks.items()]
    first, second = (
        torch.optim.lr_scheduler.CosineAnnealingLR(one, T_max=max_steps, eta_min=published.eta_min)
        for one in optimisers
    )
    program["train"].pretrain(
        model,
        frame,
        *optimisers,
        scheduler_1=first,
        scheduler_2=second,
        n_epoch=max_steps,
        batch_size=published.batch_size,
        hold_out=None,
        delta=DELTA,
        ema=average,
    )
    average.apply_shadow()
    return model.v_net.eval(), model.g_net.eval()


@cache
def _program() -> dict[str, ModuleType]:
    """Import their modules, and leave names as common as ``utils`` to whoever else has them."""
    source = str(Path(os.environ["WFRFM_HOME"]) / "src")
    others = {name: sys.modules.pop(name) for name in _MODULES if name in sys.modules}
    sys.path.insert(0, source)
    try:
        return {name: importlib.import_module(name) for name in _MODULES}
    finally:
        sys.path.remove(source)
        for name in _MODULES:
            sys.modules.pop(name, None)
        sys.modules.update(others)


@contextmanager
def _unheard() -> Iterator[None]:
    """Keep their bars and prints, which no option turns off, out of the table."""
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        yield
