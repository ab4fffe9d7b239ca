"""Predicted and observed cells of the same populations and conditions, gene by gene."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.sparse import issparse

from celltraj._anndata.columns import check_adata, in_memory
from celltraj._anndata.samples import ResponseKeys, read_samples

TARGET, UNTREATED = "target", "non-targeting"  # the words that cell-eval looks for by itself


class GenePair(NamedTuple):
    """Hold cells with the same genes in the same order, untreated ones of ``observed`` in both.

    ``obs`` of both has ``population`` and ``target``.
    """

    predicted: AnnData
    observed: AnnData


def gene_pair(predicted: AnnData, observed: AnnData, keys: ResponseKeys, *, seed: int) -> GenePair:
    """Return the pair, with observed cells of the conditions that were predicted alone.

    Parameters
    ----------
    predicted
        Predictions with genes in ``X``, as ``ct.tl.decode`` returns them.
    observed
        Untreated and treated cells with these genes.
    keys
        Columns of ``observed``.
    seed
        Of the draw by mass, where cells keep unequal mass.

    Raises
    ------
    TypeError
        One of them is not an AnnData.
    KeyError
        ``predicted`` is no prediction, or a column does not exist.
    ValueError
        Genes that ``observed`` lacks, something predicted that was not observed, or values that are
        no ``log1p`` of normalised counts.
    """
    check_adata(predicted)
    if not {"population", "condition"} <= set(predicted.obs):
        raise KeyError(
            "predicted is no prediction; make it with ct.tl.predict_response(adata, model, "
            "condition=...), and lead it to genes by ct.tl.decode"
        )
    told = _told(predicted, seed=seed)
    samples = {
        (one.population, None if one.condition is None else one.condition.name): one.rows
        for one in read_samples(observed, keys)
    }
    cases = dict.fromkeys(zip(told.obs["population"], told.obs[TARGET], strict=True))
    _check_observed(list(cases), set(samples))
    genes = _genes(predicted, observed)
    before = [(name, None) for name in dict.fromkeys(name for name, _ in cases)]
    parts = [_cells(observed, samples[one], genes, one) for one in [*before, *cases]]
    control = _concatenated(parts[: len(before)])
    return GenePair(_concatenated([control, told]), _concatenated([control, *parts[len(before) :]]))


def _told(predicted: AnnData, *, seed: int) -> AnnData:
    """Return the predicted cells, drawn by the mass they keep, none of their values below zero."""
    rows = np.arange(predicted.n_obs)
    if "survival" in predicted.obs:
        rng, groups = (
            np.random.default_rng(seed),
            predicted.obs.groupby(["population", "condition"], observed=True, sort=True),
        )
        mass = predicted.obs["survival"].to_numpy(float)
        drawn = [
            rng.choice(at, len(at), p=mass[at] / mass[at].sum()) for at in groups.indices.values()
        ]
        rows = np.concatenate(drawn)
    # components lead back to values a little below zero, which no logarithm of a count has
    x = np.maximum(_dense(predicted, rows), 0)
    return _labelled(
        x,
        predicted.var_names,
        predicted.obs["population"].astype(str).to_numpy()[rows],
        predicted.obs["condition"].astype(str).to_numpy()[rows],
    )


def _check_observed(cases: list[tuple[str, str]], known: set[tuple[str, str | None]]) -> None:
    untreated = {(name, None) for name, _ in cases}
    if missing := sorted(map(str, {*cases, *untreated} - known)):
        raise ValueError(
            f"observed has no cells of (population, condition) {missing[:5]}, where None is "
            "untreated; leave out what was not observed"
        )


def _genes(predicted: AnnData, observed: AnnData) -> pd.Index:
    names = predicted.var_names
    if not names.is_unique or not observed.var_names.is_unique:
        raise ValueError("names of genes are not unique; call var_names_make_unique() first")
    if missing := names.difference(observed.var_names).tolist():
        raise ValueError(
            f"observed lacks {len(missing)} of the {len(names)} predicted genes: {missing[:5]}"
        )
    return names


def _cells(
    observed: AnnData, rows: np.ndarray, genes: pd.Index, case: tuple[str, str | None]
) -> AnnData:
    x = _dense(observed, rows)[:, observed.var_names.get_indexer(genes)]
    if x.min() < 0 or np.expm1(x.max()) == np.inf or not np.isfinite(x).all():
        raise ValueError(
            "observed must hold log1p of normalised counts in X, finite and not below zero; call "
            "sc.pp.normalize_total and sc.pp.log1p"
        )
    name, condition = case
    return _labelled(x, genes, [name] * len(rows), [condition or UNTREATED] * len(rows))


def _dense(adata: AnnData, rows: np.ndarray) -> np.ndarray:
    values = in_memory(adata.X[rows])
    return np.asarray(values.toarray() if issparse(values) else values, dtype=np.float32)


def _labelled(x: np.ndarray, genes: pd.Index, names: object, targets: object) -> AnnData:
    obs = pd.DataFrame({"population": names, TARGET: targets}).rename(index=str)
    return AnnData(x, obs=obs, var=pd.DataFrame(index=genes.astype(str)))


def _concatenated(parts: list[AnnData]) -> AnnData:
    obs = pd.concat([one.obs for one in parts], ignore_index=True).rename(index=str)
    obs = obs.astype({"population": "category", TARGET: "category"})
    return AnnData(np.concatenate([one.X for one in parts]), obs=obs, var=parts[0].var)
