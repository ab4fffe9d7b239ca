"""Expression of chosen genes along simulated trajectories."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.stats import t as student
from sklearn.neighbors import NearestNeighbors

from celltraj._anndata import (
    Projected,
    annotated,
    column_of,
    projection_of,
    read_representation,
    read_times,
    sample_record,
    time_of,
    unique_names,
)
from celltraj._anndata.results import GENE_TRENDS, SIMULATE
from celltraj._checks import checked
from celltraj._typing import Time

logger = logging.getLogger("celltraj")
_LEVEL = 0.95
_ALL = "all"
_SHOWN = 5
_FEWEST = 5  # trajectories; an interval of two is nine standard deviations wide


@checked
def gene_trends(
    adata: AnnData,
    path: AnnData,
    *,
    genes: str | Sequence[str],
    groupby: str | None = None,
    at: Time | None = None,
    time_key: str = "time",
    n_neighbors: int = 15,
    loadings: AnnData | Projected | None = None,
    key_added: str = "gene_trends",
    copy: bool = False,
    seed: int = 0,
) -> AnnData | None:
    """Gene trends: average genes over time along simulated trajectories, by where these lead.

    ``sum_i m_i x_i / sum_i m_i`` over the trajectories of a group, with ``m_i`` the mass that each
    one has at that time, where it has one, and ``x_i`` its components led back to the gene. Of
    real cells this is the part of the expression that lies in the plane of the components. The
    intervals are those of a mean of so many trajectories, of five or more; that the law of motion
    is uncertain itself, and that cells of a sample resemble each other, they do not know.

    Parameters
    ----------
    adata
        Observed cells, in the representation of ``path``.
    path
        Result of :func:`celltraj.tl.simulate` from these cells.
    genes
        Names of one or more genes of the projection; only these are decoded. Of a ``path`` that was
        simulated in ``"X"``, variables of it.
    groupby
        Column of ``obs`` with the groups, such as cell types: a trajectory belongs to the one that
        most of its nearest observed cells of that time have at ``at``, in a tie to that of the
        nearer ones. Cells without a label do not count. By default there is one group, ``"all"``.
    at
        Time at which trajectories are told apart, one of ``path`` at which cells were observed, as
        a number or a label of ``time_key``; by default the one that they end at.
    time_key
        Column of ``obs`` with the sampling times, read with ``groupby``.
    n_neighbors
        Observed cells that decide where a trajectory ends.
    loadings
        Data that ``ct.pp.pca_model`` annotated, or a model with a ``projection``; by default
        ``adata`` itself carries the projection.
    key_added
        Name of the result.
    copy
        Whether to leave ``adata`` as it is and return an annotated copy.
    seed
        Seed of nothing, and recorded: there is nothing random here.

    Returns
    -------
    Nothing, with ``copy=True`` the annotated copy. Written: ``uns["celltraj"][key_added]`` (params,
    version, seed, and table: gene, group, time ([t]), mean, lower and upper (95 %, [x] of the
    genes, NaN where fewer than five trajectories count: ``(sum_i m_i)^2 / sum_i m_i^2``)), which
    :func:`celltraj.get.gene_trends` reads.

    Raises
    ------
    KeyError
        ``path`` is no simulation, or a column, representation, projection or gene does not exist.
    ValueError
        ``path`` was simulated in another representation than that of the projection, lacks some
        trajectories at some times, or does not reach ``at``; no cells with a label were observed
        then; no gene is named, or ``n_neighbors`` is less than 1.

    References
    ----------
    Cochran, *Sampling techniques* (1977), section 6.4: the variance of a ratio of means.

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=50, seed=0)
    >>> ct.pp.pca_model(adata, n_comps=2)
    >>> bridge = ct.tl.fit_bridge(adata, training=None, progress=False)
    >>> path = ct.tl.simulate(
    ...     adata, bridge, start=0.0, stop=4.0, n_cells=30, n_times=5, progress=False
    ... )
    >>> ct.tl.gene_trends(adata, path, genes="y", groupby="arm")
    >>> trends = ct.get.gene_trends(adata, gene="y").query("time == 4")
    >>> trends["group"].tolist(), (trends["mean"] > 0).tolist()
    (['upper', 'lower'], [True, False])
    """
    GENE_TRENDS.claim(adata, key_added)
    course = _Course.of(path)
    decoder = _decoder(path, adata if loadings is None else loadings, genes)
    groups = pd.Categorical([_ALL] * course.states.shape[1])
    ends = {}
    if groupby is not None:
        k = course.index(None if at is None else time_of(adata, time_key, at))
        ends = {"groupby": groupby, "at": course.times[k], "time_key": time_key}
        ends["n_neighbors"] = n_neighbors
        cells, labels = _labelled(adata, groupby, course.times[k], time_key, decoder.use_rep)
        groups = _nearest(course.states[k], cells, labels, n_neighbors)
    params = {"genes": decoder.names, "use_rep": decoder.use_rep} | ends
    record = sample_record(params, seed) | {"table": _table(course, decoder, groups)}
    adata = annotated(adata, copy)
    GENE_TRENDS.write(adata, key_added, record)
    return adata if copy else None


@dataclass(frozen=True, eq=False)
class _Course:
    """Trajectories in order: times ``(T,)``, states ``(T, n, d)`` and their mass ``(T, n)``."""

    times: np.ndarray
    states: np.ndarray
    mass: np.ndarray

    @classmethod
    def of(cls, path: AnnData) -> _Course:
        for column in ("trajectory", "time"):
            if column not in path.obs:
                raise KeyError(
                    f"path.obs has no {column!r}, only {list(path.obs.columns)}; make it with "
                    "ct.tl.simulate(adata, model, start=..., stop=...)"
                )
        names, number = np.unique(path.obs["trajectory"], return_inverse=True)
        row, times = pd.factorize(path.obs["time"])
        n_states = len(np.unique(row * len(names) + number))
        if not n_states == len(names) * len(times) == path.n_obs:
            raise ValueError(
                f"path has {path.n_obs} rows for {len(names)} trajectories at {len(times)} times; "
                "keep each of them at all times"
            )
        order = np.lexsort([number, row])
        shape = (len(times), len(names))
        mass = path.obs["mass"].to_numpy(float) if "mass" in path.obs else np.ones(path.n_obs)
        states = read_representation(path, "X")[1][order].reshape(*shape, -1)
        return cls(np.asarray(times, dtype=float), states, mass[order].reshape(shape))

    def index(self, at: float | None) -> int:
        """Return which of the times is ``at``, the last one by default."""
        if at is None:
            return len(self.times) - 1
        k = int(np.abs(self.times - at).argmin())
        if not _is_same(self.times[k], at, self.times):
            raise ValueError(
                f"path holds no states at={at:g}, only at {self.times.tolist()}; pass one of them, "
                "or name it in stop= of ct.tl.simulate"
            )
        return k


def _is_same(a: np.ndarray | float, b: float, times: np.ndarray) -> np.ndarray:
    """Return whether times are the same up to rounding."""
    same: np.ndarray = np.abs(a - b) <= 1e-9 * np.abs(times).max()
    return same


@dataclass(frozen=True, eq=False)
class _Decoder:
    """The way from states in ``use_rep`` to some genes: means ``(g,)``, loadings ``(g, k)``."""

    names: np.ndarray
    mean: np.ndarray
    loadings: np.ndarray
    use_rep: str

    def __call__(self, states: np.ndarray) -> np.ndarray:
        genes: np.ndarray = states @ self.loadings.T + self.mean
        return genes


def _decoder(path: AnnData, loadings: AnnData | Projected, genes: str | Sequence[str]) -> _Decoder:
    """Return the way from the states of ``path`` to the chosen genes alone."""
    names = [genes] if isinstance(genes, str) else list(dict.fromkeys(genes))
    if not names:
        raise ValueError("genes is empty; name one or more genes")
    params = (SIMULATE.find(path) or {}).get("params", {})
    if params.get("use_rep") == "X":
        known = unique_names(path.var_names, "variables of path")
        rows = _rows_of(names, known, "variables of path")
        return _Decoder(
            np.array(names, dtype=object), np.zeros(len(rows)), np.eye(path.n_vars)[rows], "X"
        )
    projection = projection_of(loadings)
    found = params.get("use_rep", projection.use_rep), path.n_vars
    expected = projection.use_rep, projection.loadings.shape[1]
    if found != expected:
        raise ValueError(
            f"path was simulated in the {found[1]} variables of {found[0]}, the projection leads "
            f"back from the {expected[1]} of {expected[0]}; fit and simulate with "
            f"use_rep={expected[0]!r}, or pass the loadings= that path was made with"
        )
    rows = _rows_of(names, pd.Index(projection.names), "genes of the projection")
    mean, kept = projection.mean[rows], projection.loadings[rows]
    return _Decoder(np.array(names, dtype=object), mean, kept, projection.use_rep)


def _rows_of(names: list[str], known: pd.Index, what: str) -> np.ndarray:
    rows: np.ndarray = known.get_indexer(pd.Index(names, dtype=object))
    unknown = [name for name, row in zip(names, rows, strict=True) if row < 0]
    if unknown:
        raise KeyError(
            f"{unknown} are not among the {len(known)} {what}, such as "
            f"{known[:_SHOWN].tolist()}; choose others, or keep them in ct.pp.pca_model"
        )
    return rows


def _labelled(
    adata: AnnData, groupby: str, at: float, time_key: str, use_rep: str
) -> tuple[np.ndarray, pd.Categorical]:
    """Return the cells observed at a time that have a label, ``(m, d)``, and the labels."""
    column = column_of(adata, groupby, what="groups")
    times = read_times(adata, time_key)
    here = _is_same(times, at, times)
    if not here.any():
        raise ValueError(
            f"no cells were observed at {at:g} to tell where trajectories lead; pass at= with one "
            f"of {np.unique(times).tolist()}, and name it in stop= of ct.tl.simulate"
        )
    here &= column.notna().to_numpy()
    if not here.any():
        raise ValueError(f"no cell at time {at:g} has a label in adata.obs[{groupby!r}]")
    labels = column[here].astype("category").cat.remove_unused_categories()
    return read_representation(adata, use_rep)[1][here], labels.array


def _nearest(
    states: np.ndarray, cells: np.ndarray, labels: pd.Categorical, n_neighbors: int
) -> pd.Categorical:
    """Return the label ``(n,)`` that most of the nearest cells of each state have."""
    if n_neighbors < 1:
        raise ValueError(f"n_neighbors must be at least 1; found {n_neighbors}")
    k = min(n_neighbors, len(cells))
    near = NearestNeighbors(n_neighbors=k).fit(cells).kneighbors(states, return_distance=False)
    is_label = np.asarray(labels.codes)[near][..., None] == np.arange(len(labels.categories))
    # hardly more for the nearer ones, which decides a tie and nothing else
    votes = 1 + 1e-6 * np.arange(k, 0, -1) / k**2
    chosen = (is_label * votes[:, None]).sum(1).argmax(1)
    return pd.Categorical.from_codes(chosen, labels.categories)


def _table(course: _Course, decoder: _Decoder, groups: pd.Categorical) -> pd.DataFrame:
    """Return one row per gene, group and time, in this order."""
    blocks = []
    for code, group in enumerate(groups.categories):
        mine = np.asarray(groups.codes) == code
        few = ", too few for intervals" if mine.sum() < _FEWEST else ""
        logger.info("%d of %d trajectories lead to %s%s", mine.sum(), len(mine), group, few)
        if not mine.any():
            continue
        for t, states, mass in zip(course.times, course.states, course.mass, strict=True):
            mean, half = _mean_and_half(decoder(states[mine]), mass[mine])
            block = {"gene": decoder.names, "group": str(group), "time": t, "mean": mean}
            blocks.append(pd.DataFrame(block | {"lower": mean - half, "upper": mean + half}))
    order = pd.Categorical(pd.concat(blocks)["gene"], decoder.names).codes
    table = pd.concat(blocks).iloc[np.argsort(order, kind="stable")]
    return table.reset_index(drop=True).rename(index=str)


def _mean_and_half(x: np.ndarray, mass: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the weighted mean ``(g,)`` of ``(n, g)``, and half the width of its interval.

    The variance of a ratio of two means; Student's distribution for as many trajectories as count.
    """
    share = mass / mass.sum()
    mean = share @ x
    n = 1 / np.square(share).sum()
    if n < _FEWEST - 1e-9:
        return mean, np.full(len(mean), np.nan)
    variance = np.square(share) @ np.square(x - mean) * n / (n - 1)
    return mean, student.ppf((1 + _LEVEL) / 2, n - 1) * np.sqrt(variance)
