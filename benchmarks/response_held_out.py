"""Responses of donors, patients and pairs of drugs that are left out, each in turn."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import pandas as pd
import torch
from anndata import AnnData

import celltraj as ct
from benchmarks._timed import Timed
from benchmarks.response_tasks import DEFAULT, FLOOR, FLOWS, NO_CHANGE
from celltraj._anndata import ResponseKeys, read_samples
from celltraj.metrics import wasserstein
from celltraj.models import Condition, MetaFlowMatching, ResponseOptions, Training
from celltraj.models.evaluation import single_drugs

LABELLED = "default_labels"
BY_TYPE = "shift_by_type"
SCREEN = {
    "population_key": "population",
    "condition_key": ["drug_1", "drug_2"],
    "dose_key": ["dose_1", "dose_2"],
    "control": "control",
}
PLAIN = "mean of plain pairs"
_WITHOUT, _WITH, _ADDED = "without", "with", "added"


def fits(names: Iterable[str], training: Training) -> dict[str, Timed]:
    """Return the named fits, which keep their cost."""
    return {name: _fit(FLOWS[name], training) for name in names}


def _fit(flow: ResponseOptions, training: Training, **keys: object) -> Timed:
    fit = partial(ct.tl.fit_response, options=flow, training=training, progress=False, **keys)
    return Timed(fit)


def kang(adata: AnnData, names: Sequence[str], training: Training, seed: int) -> pd.DataFrame:
    """Return the scores of all donors, each left out, without cell types and a row with them."""
    keys = {
        "population_key": "donor",
        "condition_key": "condition",
        "control": "CTRL",
        "use_rep": "X",
    }
    plain = _scores(adata, fits(names, training), seed, **keys)
    labelled = {LABELLED: _fit(FLOWS[DEFAULT], training)}
    scores = _scores(adata, labelled, seed, **keys, cell_type_key="cell_type")
    # the other rows are there already
    added = scores[scores["method"].str.startswith((LABELLED, BY_TYPE))]
    return pd.concat([plain, added], ignore_index=True)


def glioblastoma(
    adata: AnnData,
    names: Sequence[str],
    training: Training,
    seed: int,
    *,
    n_comps: int = 20,
) -> pd.DataFrame:
    """Return the scores of all patients, each left out, in components of the other patients."""
    return _scores(
        adata,
        fits(names, training),
        seed,
        population_key="patient_id",
        condition_key="condition",
        control="ctrl",
        use_rep="X_pca",
        prepare=partial(ct.pp.pca_model, n_comps=n_comps, layer="logcounts"),
    )


def _scores(adata: AnnData, named: dict[str, Timed], seed: int, **keys: object) -> pd.DataFrame:
    """Return the scores with one seed; ``cpu_s`` is that of a fit, the mean over folds."""
    scores = ct.tl.cross_validate_response(adata, fit=named, seed=seed, progress=False, **keys)
    seconds = {name: np.mean(fit.seconds) for name, fit in named.items()}
    return scores.assign(cpu_s=scores["method"].map(seconds))


def summarise(scores: pd.DataFrame) -> pd.DataFrame:
    """Return W1 with its interval and skill, CPU seconds of a fit and the verdict, best first."""
    summary = ct.get.score_summary(scores)
    table = summary[summary["metric"] == "W1"].drop(columns="metric").set_index("method")
    table["cpu_s"] = scores.groupby("method")["cpu_s"].mean()
    names = ["mean", "low", "high", "skill", "skill_low", "skill_high", "cpu_s", "verdict"]
    return table[names].sort_values("mean")


@dataclass(frozen=True, eq=False)
class Screen:
    """Hold a screen, one half of the cells of each line and condition to learn from.

    What is predicted is judged by the other half: a model that has seen the pair would else be
    praised for the sampling noise of these very cells.

    Parameters
    ----------
    adata
        All cells.
    seed
        Seed of the halves.
    """

    adata: AnnData
    seed: int

    @cached_property
    def halves(self) -> tuple[dict, dict]:
        """Rows to learn from and to be judged by, by line and condition, None for the control."""
        rng = np.random.default_rng(self.seed)
        learned, judged = {}, {}
        for one in read_samples(self.adata, ResponseKeys.of(**SCREEN)):
            rows, key = rng.permutation(one.rows), (one.population, one.condition)
            learned[key], judged[key] = rows[: len(rows) // 2], rows[len(rows) // 2 :]
        return learned, judged

    @property
    def pairs(self) -> list[Condition]:
        """Pairs of drugs."""
        conditions = dict.fromkeys(what for _, what in self.halves[0] if what is not None)
        return [what for what in conditions if len(what.drugs) == 2]

    def interacts(self, pair: Condition) -> bool:
        """Return whether effects of a pair do not add."""
        return set(pair.drugs) == set(self.adata.uns["truth"]["interacting_drugs"])

    def training(self, left_out: Condition | None) -> AnnData:
        """Return the cells to learn from, without a pair."""
        kept = [
            rows for (_, what), rows in self.halves[0].items() if what is None or what != left_out
        ]
        return self.adata[np.sort(np.concatenate(kept))].copy()

    def cells(self, line: str, condition: Condition | None, *, judged: bool = True) -> np.ndarray:
        """Return the cells of one half of a line under a condition."""
        return np.asarray(self.adata.X[self.halves[judged][line, condition]], float)

    def added(self, line: str, pair: Condition) -> np.ndarray:
        """Return the untreated cells, moved by the mean shifts of both drugs in their line."""
        before = self.cells(line, None, judged=False).mean(0)
        shifts = [
            self.cells(line, one, judged=False).mean(0) - before for one in single_drugs(pair)
        ]
        return self.cells(line, None) + np.sum(shifts, axis=0)


def composition(adata: AnnData, training: Training, seed: int) -> pd.DataFrame:
    """Return the errors of all that is said of each line under each pair of drugs.

    ``with`` is one model of all pairs, ``without`` one that has not seen this pair.
    """
    screen = Screen(adata, seed)
    fit = _fit(FLOWS[DEFAULT], training, use_rep="X", **SCREEN)
    everything = fit(screen.training(None), seed=seed)
    rows = []
    for pair in screen.pairs:
        models = {_WITH: everything, _WITHOUT: fit(screen.training(pair), seed=seed)}
        for line in adata.uns["truth"]["lines"]:
            rows += _errors(screen, str(line), pair, models, seed)
        print(f"{pair.name}, seed {seed}: {fit.seconds[-1]:.0f} CPU seconds", flush=True)
    return pd.DataFrame(rows).assign(seed=seed, cpu_s=np.mean(fit.seconds))


def _errors(
    screen: Screen, line: str, pair: Condition, models: dict[str, MetaFlowMatching], seed: int
) -> list[dict]:
    """Return W1 and the error of the mean shift of all that is said of a line under a pair."""
    before, after = screen.cells(line, None), screen.cells(line, pair)
    predicted = {
        FLOOR: screen.cells(line, pair, judged=False),
        NO_CHANGE: before,
        _ADDED: screen.added(line, pair),
    }
    for name, model in models.items():
        generator = torch.Generator().manual_seed(seed)
        moved = model.respond(torch.from_numpy(before), pair, generator=generator)
        predicted[name] = moved.x.numpy()
    name = Condition(pair.drugs).name  # all pairs are given at the same doses
    label = {"pair": name, "interacts": screen.interacts(pair), "population": line}
    return [
        label
        | {
            "method": name,
            "W1": wasserstein(x, after),
            # of the mean itself: all start from the same untreated cells
            "shift": float(np.linalg.norm(x.mean(0) - after.mean(0))),
        }
        for name, x in predicted.items()
    ]


def compare(records: pd.DataFrame) -> pd.DataFrame:
    """Return errors of each pair by method, and their ratio without to with the pair.

    Errors are means over lines and seeds; the last row is the mean of the pairs that add.
    """
    errors = records.groupby(["pair", "interacts", "method"])[["W1", "shift"]].mean()
    table = errors.unstack("method").reset_index("interacts")
    plain = table[~table["interacts"]].mean().to_frame(PLAIN).T
    plain["interacts"] = False
    table = pd.concat([table, plain])
    found = table[["interacts"]].set_axis(["interacts"], axis=1)
    for metric in ("W1", "shift"):
        part = table[metric]
        found[f"{metric}_ratio"] = part[_WITHOUT] / part[_WITH]
        found[[f"{metric}_{name}" for name in part]] = part
    return found.rename_axis("pair")
