"""Cells of a held-out time, predicted with and without growth."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import permutations

import numpy as np
import torch
from anndata import AnnData

import celltraj as ct
from celltraj._anndata import read_snapshots
from celltraj.metrics import split_half_floor, wasserstein
from celltraj.models import Bridge, Brownian, LearnedGrowth, Process
from celltraj.models._predict import predict
from celltraj.models.coupling import couple_gap
from celltraj.models.evaluation.holdout import exact_plans
from celltraj.ot import SquaredEuclidean, Unbalanced
from celltraj.ot.sampling import systematic
from celltraj.snapshots import Snapshots

DRAWN = 2000  # cells of a prediction that are drawn, and of one that is judged at most
PRIOR = "growth_prior"
# Waddington-OT's own weights of the marginals, 1 and 50, against an epsilon of .05
WOT_EPSILON, WOT_TAU = 0.05, (1 / 1.05, 50 / 50.05)
_PLUG_IN = {"training": None, "reference": Brownian()}
_LEARN = {"growth": LearnedGrowth()}
MODELS: dict[str, Callable[..., Process]] = {
    "bridge": ct.tl.fit_bridge,
    "bridge_plug_in": partial(ct.tl.fit_bridge, **_PLUG_IN),
    "bridge_growth": partial(ct.tl.fit_bridge, **_LEARN),
    "bridge_growth_plug_in": partial(ct.tl.fit_bridge, **_LEARN, **_PLUG_IN),
    "flow": ct.tl.fit_flow,
}
# with what is expected of the genes of each cell
WITH_PRIOR: dict[str, Callable[..., Process]] = {
    "bridge_prior": partial(ct.tl.fit_bridge, growth_key=PRIOR),
    "bridge_prior_growth": partial(ct.tl.fit_bridge, growth_key=PRIOR, **_LEARN),
    "flow_prior": partial(ct.tl.fit_flow, growth_key=PRIOR),
}


@dataclass(frozen=True)
class Cells:
    """Hold predicted cells ``(n, d)`` and their weights ``(n,)``, which sum to 1."""

    x: np.ndarray
    weights: np.ndarray

    @classmethod
    def equal(cls, x: np.ndarray) -> Cells:
        """Return cells of the same weight."""
        return cls(x, np.full(len(x), 1 / len(x)))

    def drawn(self, n: int, seed: int) -> Cells:
        """Return ``n`` of the cells, drawn by their weights; all where there are fewer."""
        if n >= len(self.x):
            return self
        generator = torch.Generator().manual_seed(seed)
        order = torch.randperm(len(self.x), generator=generator)
        rows = systematic(torch.from_numpy(self.weights)[order], n, generator)
        return Cells.equal(self.x[order[rows].numpy()])


@dataclass(frozen=True)
class Task:
    """Hold cells of all times, of which those of one are held out and predicted.

    Parameters
    ----------
    adata
        All cells.
    time
        Held-out time, between two others.
    use_rep
        Representation, fitted without the held-out cells.
    batches
        ``(n,)`` batch of each held-out cell; empty where there is but one.
    """

    adata: AnnData
    time: float
    use_rep: str
    batches: np.ndarray = field(default_factory=lambda: np.array([]))

    @property
    def training(self) -> AnnData:
        """Return a copy of the cells of all other times."""
        return self.adata[(self.adata.obs["time"] != self.time).to_numpy()].copy()

    @property
    def held_out(self) -> np.ndarray:
        """Return the cells ``(n, d)`` to predict."""
        return self.cells(self.time)

    def cells(self, time: float) -> np.ndarray:
        """Return the cells ``(n, d)`` of a time."""
        x = self.adata.X if self.use_rep == "X" else self.adata.obsm[self.use_rep]
        return np.asarray(x[(self.adata.obs["time"] == time).to_numpy()], float)

    @property
    def snapshots(self) -> Snapshots:
        """Return the clouds that a fit sees."""
        return self.snapshots_with(None)

    def snapshots_with(self, growth_key: str | None) -> Snapshots:
        """Return the clouds that a fit sees, with what growth is expected."""
        return read_snapshots(
            self.training, time_key="time", use_rep=self.use_rep, growth_key=growth_key
        )[0]

    @property
    def has_prior(self) -> bool:
        """Whether genes tell what growth to expect."""
        return PRIOR in self.adata.obs


def hematopoiesis_task() -> Task:
    """Return haematopoiesis in two dimensions, whose numbers of cells grow fourfold."""
    return Task(ct.datasets.hematopoiesis_2d(), 1.0, "X")


def reprogramming_task() -> Task:
    """Return reprogramming in 30 components of the other days, with a prior of growth."""
    adata = ct.datasets.reprogramming()
    adata.obs["is_training"] = adata.obs["time"] != 10.5
    ct.pp.pca_model(adata, n_comps=30, fit_on="is_training")
    # scores are relative to the cells given: those held out must not move them
    training = adata[adata.obs["is_training"].to_numpy()].copy()
    ct.pp.score_growth(training, organism="mouse", min_share=0.04)
    adata.obs[PRIOR] = training.obs[PRIOR].reindex(adata.obs_names)
    batch = adata.obs["batch"].to_numpy()[~adata.obs["is_training"].to_numpy()]
    return Task(adata, 10.5, "X_pca", batch)


def scores(task: Task, methods: list[str], seed: int) -> Iterator[dict]:
    """Yield W1 to the held-out cells by method; ``W1_batch`` with as many as a batch has.

    All predictions are judged by as many cells: in many dimensions W1 falls with their number.
    """
    yield {"method": "floor"} | _floor(task, seed)
    for name, cells in trivial(task, seed):
        yield {"method": name} | _score(task, cells, seed)
    fits = MODELS | (WITH_PRIOR if task.has_prior else {})
    for name in methods:
        if name in fits:
            yield {"method": name} | _fitted(task, fits[name], seed)


def _floor(task: Task, seed: int) -> dict[str, float]:
    """Return W1 between halves of the held-out cells, and between their batches."""
    found = {"W1": split_half_floor(task.held_out, seed=seed)}
    if not len(task.batches):
        return found
    pairs = [(_batch(task, a), _batch(task, b)) for a, b in _pairs(task)]
    return found | {"W1_batch": float(np.mean([wasserstein(a, b) for a, b in pairs]))}


def _score(task: Task, cells: Cells, seed: int) -> dict[str, float]:
    few = cells.drawn(min(DRAWN, len(task.held_out)), seed)
    found = {"W1": wasserstein(few.x, task.held_out, weights=few.weights)}
    if not len(task.batches):
        return found
    # of as many cells as the floor compares: fewer are further apart, whoever they are
    distances = []
    for a, b in _pairs(task):
        drawn = cells.drawn(int((task.batches == a).sum()), seed)
        distances.append(wasserstein(drawn.x, _batch(task, b), weights=drawn.weights))
    return found | {"W1_batch": float(np.mean(distances))}


def _pairs(task: Task) -> list[tuple[object, object]]:
    return list(permutations(np.unique(task.batches), 2))


def _batch(task: Task, name: object) -> np.ndarray:
    return task.held_out[task.batches == name]


def _fitted(task: Task, fit: Callable[..., Process], seed: int) -> dict[str, float]:
    """Return the scores of a model: cells drawn from a bridge, simulated ones of a flow."""
    training, start = task.training, time.process_time()
    model = fit(training, use_rep=task.use_rep, seed=seed, progress=False)
    seconds = time.process_time() - start
    simulated = _score(task, Cells(*predict(model, task.snapshots, task.time, seed=seed)), seed)
    found = simulated
    if isinstance(model, Bridge):
        drawn = ct.tl.interpolate(
            training, model, time=task.time, n_cells=DRAWN, use_rep=task.use_rep, seed=seed
        )
        found = _score(task, Cells.equal(np.asarray(drawn.X, float)), seed)
    return found | {"W1_simulated": simulated["W1"], "cpu_s": seconds}


def trivial(task: Task, seed: int) -> Iterator[tuple[str, Cells]]:
    """Yield predictions without a model: neighbouring days, displacement along transport.

    ``displacement`` keeps the mass of every cell. ``displacement_wot`` moves along the plan of
    Waddington-OT's settings, and lets the mass of each pair grow at a constant rate (Schiebinger et
    al. 2019); ``..._prior`` also expects what the genes of a cell say.
    """
    snapshots = task.snapshots
    k = snapshots.gap_of(task.time)
    share = (task.time - snapshots.times[k]) / snapshots.gaps[k]
    before, after = (Cells.equal(snapshots.x[j].numpy()) for j in (k, k + 1))
    yield "previous", before
    yield "next", after
    weights = np.concatenate([(1 - share) * before.weights, share * after.weights])
    yield "mixture", Cells(np.concatenate([before.x, after.x]), weights)
    yield "displacement", _between(before, after, exact_plans(snapshots)[k].toarray(), share, seed)
    yield "displacement_wot", _wot(task.snapshots, k, share, seed)
    if task.has_prior:
        yield "displacement_wot_prior", _wot(task.snapshots_with(PRIOR), k, share, seed)


def _wot(snapshots: Snapshots, k: int, share: float, seed: int) -> Cells:
    """Return cells between two days, by ``P_ij r_i^(s - 1)`` where cell ``i`` sends ``r_i``."""
    cost = SquaredEuclidean(snapshots.x[k], snapshots.x[k + 1])
    found = couple_gap(snapshots, k, Unbalanced(*WOT_TAU), cost, epsilon=WOT_EPSILON * cost.mean())
    sent = (found.row_mass / snapshots.weights[k]).numpy()
    plan = found.to_dense().numpy() * sent[:, None] ** (share - 1)
    before, after = (Cells.equal(snapshots.x[j].numpy()) for j in (k, k + 1))
    return _between(before, after, plan, share, seed)


def _between(before: Cells, after: Cells, plan: np.ndarray, share: float, seed: int) -> Cells:
    """Return points on the way between pairs of a plan, all pairs or ``DRAWN`` of many."""
    i, j = plan.nonzero()
    weights = torch.from_numpy(plan[i, j] / plan.sum())
    generator = torch.Generator().manual_seed(seed)
    if len(i) > DRAWN:
        rows = systematic(weights, DRAWN, generator).numpy()
        i, j, weights = i[rows], j[rows], torch.full((DRAWN,), 1 / DRAWN, dtype=torch.float64)
    return Cells((1 - share) * before.x[i] + share * after.x[j], weights.numpy())
