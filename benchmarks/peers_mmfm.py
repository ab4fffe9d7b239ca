"""Push cells by Multi-Marginal Flow Matching, in the Python that has what it needs.

Rohbeck et al., *Modeling complex system dynamics with flow matching across time and conditions*
(2025); a checkout of Genentech/MMFM that ``MMFM_HOME`` names, beside ``pip install torch scipy
addict matplotlib seaborn``. ``python -m benchmarks.peers_mmfm GIVEN FOUND`` reads and writes what
``benchmarks._arms_mmfm`` says: training cells with their time in [0, 1] and condition, a whole
number from 1, and ``cells`` to push, each from ``begin`` to ``end`` under its ``label``.

Fixed before any score was seen: the settings of the one fit that its source spells out for its
synthetic data (a comment in ``mmfm/data.py``), close to which its grid search looks: cubic
splines through chains along one exact plan per gap and condition, sigma .01, networks 64 and
embeddings 32 wide, three layers out, 300 epochs of a single batch, Adam at .01, the condition
withheld from 5 % of the chains of a step. Cells are pushed with guidance 1, which is the
conditional velocity, by a hundred Runge-Kutta steps over the whole duration. Combinations that are
missing are NaN, which its splines leave out; beyond the last snapshot of a condition they
extrapolate, unless ``within`` asks for times up to it alone.
"""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

# before torch, which reads it once
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from torch import Tensor

from benchmarks._peer import one_thread, seeded

SIGMA, WITHOUT = 0.01, 0.05
WIDTH, EMBEDDED, LAYERS = 64, 32, 3
N_EPOCHS, RATE = 300, 0.01
STEPS = 100  # over the whole duration
Velocity = Callable[[float, Tensor], Tensor]


def chains(x: np.ndarray, times: np.ndarray) -> dict[float, np.ndarray]:
    """Return the cells of each time, row by row those that exact plans pair.

    Raises
    ------
    ValueError
        Times have different numbers of cells, which its loader cannot pair either.
    """
    present = np.unique(times).tolist()
    sizes = {t: int((times == t).sum()) for t in present}
    if len(set(sizes.values())) > 1:
        raise ValueError(f"every time of a condition must have as many cells; found {sizes}")
    found = {present[0]: x[times == present[0]]}
    for before, after in pairwise(present):
        later = x[times == after]
        _, partner = linear_sum_assignment(cdist(found[before], later, "sqeuclidean"))
        found[after] = later[partner]
    return found


def paths(
    x: np.ndarray, times: np.ndarray, labels: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return chains ``(n, T, d)``, NaN where a time is missing, their times and their labels."""
    every = np.unique(times)
    found, names = [], []
    for label in np.unique(labels):
        own = chains(x[labels == label], times[labels == label])
        n_cells = len(next(iter(own.values())))
        nothing = np.full((n_cells, x.shape[1]), np.nan)
        found.append(np.stack([own.get(t, nothing) for t in every.tolist()], axis=1))
        names.append(np.full(n_cells, label))
    whole = np.concatenate(found).astype(np.float32)
    return whole, np.tile(every, (len(whole), 1)), np.concatenate(names)


def trained(given: dict[str, np.ndarray]) -> torch.nn.Module:
    """Return the velocity of state, label and time, trained as its script trains it."""
    from mmfm.models import VectorFieldModel
    from mmfm.multi_marginal_fm import MultiMarginalFlowMatcher

    chain, times, labels = paths(given["x"], given["time"], given["condition"])
    names = np.unique(labels).tolist()
    model: torch.nn.Module = VectorFieldModel(
        data_dim=chain.shape[-1],
        x_latent_dim=WIDTH,
        time_embed_dim=EMBEDDED,
        cond_embed_dim=EMBEDDED,
        conditional_model=True,
        embedding_type=str(given["embedding"]),
        n_classes=len(names),
        label_list=names,
        activation="LeakyReLU",
        num_out_layers=LAYERS,
    )
    for weight in model.parameters():
        if weight.dim() > 1:
            torch.nn.init.xavier_normal_(weight, gain=1.4)
    matcher = MultiMarginalFlowMatcher(sigma=SIGMA, interpolation=str(given["interpolation"]))
    known = np.where(np.isnan(chain[..., 0]), 0, times).max(1)
    ends = known if given["within"] else np.ones(len(known))
    told = (chain, times, labels.astype(np.float32), ends.astype(np.float32))
    every = [torch.from_numpy(one) for one in told]
    _train(model, matcher, every, int(given["batch"]) or len(chain))
    return model.eval()


def _train(model: torch.nn.Module, matcher: Any, every: list[Tensor], batch: int) -> None:
    optimiser = torch.optim.Adam(model.parameters(), lr=RATE)
    # a thousand epochs to the least rate, whatever their number: so has it its script
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=1000, eta_min=1e-4)
    for _ in range(N_EPOCHS):
        for rows in _batches(len(every[0]), batch):
            chain, times, labels, ends = (one[rows] for one in every)
            t = ends * torch.rand(len(ends))
            _, xt, ut, _, _ = matcher.sample_location_and_conditional_flow(chain, times, t)
            told = torch.where(torch.rand(len(labels)) > WITHOUT, labels, 0.0)
            found = model(torch.cat([xt.squeeze(1), told[:, None], t[:, None]], dim=1))
            loss = (found - ut.squeeze(1)).square().mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        schedule.step()


def _batches(n_rows: int, size: int) -> Iterator[Tensor]:
    yield from torch.randperm(n_rows).split(size)


def pushed(velocity: Velocity, x: Tensor, begin: float, end: float) -> Tensor:
    """Return where cells ``(n, d)`` are at ``end``, by Runge-Kutta steps of fourth order."""
    n_steps = max(1, math.ceil(round(STEPS * (end - begin), 6)))
    step = (end - begin) / n_steps
    for t in begin + step * np.arange(n_steps):
        first = velocity(t, x)
        second = velocity(t + step / 2, x + step / 2 * first)
        third = velocity(t + step / 2, x + step / 2 * second)
        last = velocity(t + step, x + step * third)
        x = x + step / 6 * (first + 2 * second + 2 * third + last)
    return x


def predict(model: torch.nn.Module, given: dict[str, np.ndarray]) -> np.ndarray:
    """Return all ``cells`` at their ``end``."""
    cells, labels = (torch.from_numpy(given[name]).float() for name in ("cells", "label"))
    spans = np.column_stack([given["begin"], given["end"]])

    def velocity(told: Tensor, t: float, x: Tensor) -> Tensor:
        found: Tensor = model(torch.cat([x, told, torch.full_like(told, t)], dim=1))
        return found

    found = torch.empty_like(cells)
    with torch.no_grad():
        for begin, end in np.unique(spans, axis=0):
            rows = torch.from_numpy((spans == (begin, end)).all(1))
            of_them = partial(velocity, labels[rows][:, None])
            found[rows] = pushed(of_them, cells[rows], float(begin), float(end))
    return found.numpy()


def main(argv: list[str]) -> None:
    """Learn from one file and write where its cells are pushed to another."""
    source, target = map(Path, argv)
    home = os.environ.get("MMFM_HOME")
    if home is None:
        raise ValueError("set MMFM_HOME to a checkout of github.com/Genentech/MMFM; it is not set")
    sys.path.insert(0, str(Path(home) / "src"))
    with np.load(source) as file:
        given = dict(file)
    with seeded(int(given["seed"])), one_thread():
        start = time.process_time()
        model = trained(given)
        cpu_s = time.process_time() - start
        x = predict(model, given)
    np.savez(target, x=x, cpu_s=cpu_s)


if __name__ == "__main__":
    main(sys.argv[1:])
