"""Populations to learn from, populations to predict, and who predicts them.

A method is ``fit(task, size, seed)`` that returns ``predict(cells, **told)``, what becomes of
untreated cells of one population, and the controls of what else the fitted model reads. As a
control ``embedded=`` and ``neighbourhood=`` are cells of another population that a method is told
in its place; with ``carried=`` its cells carry the features of others of their own population, by
their rows.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from torch import Tensor

import celltraj as ct
from benchmarks.peers_response import (
    PeerResponse,
    PeerTraining,
    fit_alternating,
    fit_joint,
    fit_without_phi,
)
from celltraj._anndata import ResponseKeys, read_populations
from celltraj._stats.interval import bootstrap_interval, resampled_counts, resampled_means
from celltraj.datasets._euler_maruyama import euler_maruyama
from celltraj.metrics import split_half_floor, wasserstein
from celltraj.models import (
    Condition,
    DeepSets,
    GraphEncoder,
    Moments,
    PooledGraphEncoder,
    Populations,
    ResponseOptions,
    SetAttention,
    Training,
)
from celltraj.models.evaluation import OTHER_CELL, OTHER_EMBEDDING, OTHER_NEIGHBOURHOOD

Predict = Callable[..., np.ndarray]
Controls = tuple[tuple[str, str], ...]  # row of a control, and what of a prediction it exchanges
NO_CHANGE, FLOOR, TRUE_LAW = "no_change", "floor", "true_law"
NO_PHI, DEFAULT = "no_phi", "default"
# all but the default show what the network alone makes of a cell
FLOWS: dict[str, ResponseOptions] = {
    NO_PHI: ResponseOptions(encoder=None, n_kernels=0, base=0.0),
    "moments": ResponseOptions(encoder=Moments(), n_kernels=0, base=0.0),
    "deep_sets": ResponseOptions(encoder=DeepSets(), n_kernels=0, base=0.0),
    "pooled_graph": ResponseOptions(encoder=PooledGraphEncoder(), n_kernels=0, base=0.0),
    "set_attention": ResponseOptions(encoder=SetAttention(), n_kernels=0, base=0.0),
    "graph": ResponseOptions(encoder=GraphEncoder(), base=0.0),
    "graph_equivariant": ResponseOptions(encoder=GraphEncoder(is_equivariant=True), base=0.0),
    "kernels_alone": ResponseOptions(encoder=None, base=0.0),
    "network": ResponseOptions(base=0.0),
    DEFAULT: ResponseOptions(),
}
_N_BOOTSTRAP = 2000


@dataclass(frozen=True, eq=False)
class Task:
    """Hold populations to learn from and others to predict.

    Parameters
    ----------
    train
        Cells of the populations to learn from, before and after.
    control, treated
        Labels of untreated and treated cells in ``obs["condition"]``.
    before, after
        ``(n, d)`` and ``(m, d)`` cells of each population to predict.
    trivial
        ``trivial(seed)`` returns rows that need no fit: W1 by name and population.
    """

    train: AnnData
    control: str
    treated: str
    before: Mapping[str, np.ndarray]
    after: Mapping[str, np.ndarray]
    trivial: Callable[[int], dict[str, dict[str, float]]]

    @cached_property
    def populations(self) -> Populations:
        """The populations to learn from."""
        keys = ResponseKeys.of("population", "condition", self.control)
        return read_populations(self.train, keys, "X")[0]

    def predict(self, predict: Predict) -> dict[str, float]:
        """Return W1 of each population to what is predicted from its own untreated cells."""
        return {
            name: wasserstein(predict(torch.from_numpy(x)), self.after[name])
            for name, x in self.before.items()
        }

    def predict_told(self, predict: Predict, what: str, seed: int) -> dict[str, float]:
        """Return the same where ``what`` is that of some population of the training.

        All methods are told the same one. What diverges in another neighbourhood has no distance,
        NaN.
        """
        rng = np.random.default_rng(seed)
        found = {}
        for name, x in self.before.items():
            if what == "carried":
                rows = torch.from_numpy(rng.permutation(len(x)))
                found[name] = wasserstein(
                    predict(torch.from_numpy(x), carried=rows), self.after[name]
                )
                continue
            other = self.populations.controls[rng.integers(len(self.populations.controls))].x
            try:
                moved = predict(torch.from_numpy(x), **{what: other})
                found[name] = wasserstein(moved, self.after[name])
            except ValueError as error:
                if "non-finite" not in str(error):
                    raise
                print(f"{name}, told another population, diverges", flush=True)
                found[name] = float("nan")
        return found


def letters_task(**options: int | str) -> Task:
    """Return the letters, of which the test letter is predicted; its floor is a fresh draw."""
    adata = ct.datasets.letters(**options)
    before, after = (_cells(adata, "test", what) for what in ("blurred", "sharp"))
    angles = (
        adata.obs.drop_duplicates("population")
        .set_index("population")["rotation"]
        .astype(float)
        .to_dict()
    )

    def trivial(seed: int) -> dict[str, dict[str, float]]:
        fresh = fresh_letters(after, angles, seed)
        return {NO_CHANGE: _distances(before, after), FLOOR: _distances(fresh, after)}

    return Task(_training(adata), "blurred", "sharp", before, after, trivial)


def fresh_letters(
    sharp: Mapping[str, np.ndarray], angles: Mapping[str, float], seed: int
) -> dict[str, np.ndarray]:
    """Return other sharp cells of each population of the test letter, as many as there are."""
    n_cells = sum(map(len, sharp.values()))
    # another draw has another angle: from there each part of it is turned to one of ours
    drawn = ct.datasets.letters(n_cells=n_cells, n_rotations=1, letters="Y", seed=10_000 + seed)
    drawn = drawn[drawn.obs["condition"] == "sharp"]
    angle, parts = (
        float(drawn.obs["rotation"].iloc[0]),
        np.split(np.asarray(drawn.X, float), len(sharp)),
    )
    return {
        name: _turned(part, angles[name] - angle) for name, part in zip(sharp, parts, strict=True)
    }


def interacting_task(**options: int) -> Task:
    """Return the interacting populations, with the true law of their cells as a row."""
    adata = ct.datasets.interacting_populations(**options)
    before, after = (_cells(adata, "test", what) for what in ("before", "after"))
    truth, settings = adata.uns["truth"], adata.uns["parameters"]

    def trivial(seed: int) -> dict[str, dict[str, float]]:
        rng = np.random.default_rng(seed)
        law = partial(ct.datasets.interaction_drift, **truth)
        moved = {
            name: euler_maruyama(law, x, 1.0, settings["sigma"], rng, max_step=settings["step"])
            for name, x in before.items()
        }
        return {
            NO_CHANGE: _distances(before, after),
            FLOOR: {name: split_half_floor(x, seed=seed) for name, x in after.items()},
            TRUE_LAW: _distances(moved, after),
        }

    return Task(_training(adata), "before", "after", before, after, trivial)


def _training(adata: AnnData) -> AnnData:
    return adata[adata.obs["split"] == "train"].copy()


def _cells(adata: AnnData, split: str, condition: str) -> dict[str, np.ndarray]:
    """Return the cells of each population of a split under a condition, float64."""
    part = adata[(adata.obs["split"] == split) & (adata.obs["condition"] == condition)]
    names = part.obs["population"].astype(str).to_numpy()
    return {name: np.asarray(part.X[names == name], float) for name in pd.unique(names)}


def _turned(x: np.ndarray, degrees: float) -> np.ndarray:
    cos, sin = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return x @ np.array([[cos, sin], [-sin, cos]])


def _distances(
    predicted: Mapping[str, np.ndarray], after: Mapping[str, np.ndarray]
) -> dict[str, float]:
    return {name: wasserstein(x, after[name]) for name, x in predicted.items()}


def fit_ours(
    flow: ResponseOptions, task: Task, size: PeerTraining, seed: int
) -> tuple[Predict, Controls]:
    """Fit a response with steps, populations, points and width of the peers, else by default."""
    training = Training(max_steps=size.max_steps, batch_size=size.n_points, width=size.width)
    model = ct.tl.fit_response(
        task.train,
        population_key="population",
        condition_key="condition",
        control=task.control,
        use_rep="X",
        options=replace(flow, n_populations=size.n_populations),
        training=training,
        seed=seed,
        progress=False,
    )

    def predict(cells: Tensor, **told: Tensor) -> np.ndarray:
        generator = torch.Generator().manual_seed(seed)
        if "carried" in told:
            told = {"carried": model.carried(cells, cells)[told["carried"]]}
        moved = model.respond(cells, Condition((task.treated,)), **told, generator=generator)
        return moved.x.numpy()

    read = {
        OTHER_EMBEDDING: ("embedded", model.encoder is not None),
        OTHER_CELL: ("carried", model.network.field.carried is not None),
        OTHER_NEIGHBOURHOOD: ("neighbourhood", model.network.field.kernels is not None),
    }
    return predict, tuple((row, what) for row, (what, is_read) in read.items() if is_read)


def fit_peer(
    fit: Callable[..., PeerResponse], task: Task, size: PeerTraining, seed: int
) -> tuple[Predict, Controls]:
    """Fit a peer."""
    response = fit(task.populations, size, seed=seed)

    def predict(cells: Tensor, embedded: Tensor | None = None) -> np.ndarray:
        generator = torch.Generator().manual_seed(seed)
        return response.respond(cells, population=embedded, generator=generator).numpy()

    is_blind = fit is fit_without_phi
    return predict, () if is_blind else ((OTHER_EMBEDDING, "embedded"),)


METHODS: dict[str, Callable[[Task, PeerTraining, int], tuple[Predict, Controls]]] = {
    "peer_no_phi": partial(fit_peer, fit_without_phi),
    "peer_alternating": partial(fit_peer, fit_alternating),
    "peer_joint": partial(fit_peer, fit_joint),
    **{name: partial(fit_ours, flow) for name, flow in FLOWS.items()},
}


def trivial_records(task: Task, seed: int) -> pd.DataFrame:
    """Return W1 of the rows that need no fit, by method and population."""
    rows = [_records(method, seed, distances) for method, distances in task.trivial(seed).items()]
    return pd.concat(rows, ignore_index=True)


def fitted_records(
    task: Task, name: str, size: PeerTraining, seed: int, *, row: str | None = None
) -> pd.DataFrame:
    """Return W1 of one method with one seed, told the population and told another one in part.

    ``cpu_s`` is that of the whole fit, couplings included; ``row`` is what the row is called.
    """
    row = row or name
    start = time.process_time()
    predict, controls = METHODS[name](task, size, seed)
    cost = {"cpu_s": time.process_time() - start, "steps": size.max_steps}
    print(f"{row}, seed {seed}: {cost['cpu_s']:.0f} CPU seconds", flush=True)
    parts = [_records(row, seed, task.predict(predict), **cost)]
    parts += [
        _records(row + control, seed, task.predict_told(predict, what, seed))
        for control, what in controls
    ]
    return pd.concat(parts, ignore_index=True)


def _records(
    method: str, seed: int, distances: Mapping[str, float], **facts: float
) -> pd.DataFrame:
    return pd.DataFrame(
        {"method": method, "seed": seed, "population": name, "W1": distance, **facts}
        for name, distance in distances.items()
    )


def lost_by(records: pd.DataFrame, method: str, control: str) -> tuple[float, float]:
    """Return the 95 % interval, over populations, of the W1 that a control costs a method."""
    means = records.groupby(["method", "population"])["W1"].mean().unstack("method")
    if method + control not in means:
        return float("nan"), float("nan")
    lost = (means[method + control] - means[method]).dropna().to_numpy()
    counts = resampled_counts(len(lost), _N_BOOTSTRAP, rng=np.random.default_rng(0))
    return bootstrap_interval(resampled_means(lost, counts), len(lost))
