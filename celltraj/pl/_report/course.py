"""What moves on the page: simulated trajectories, or the observed snapshots in turn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from anndata import AnnData

from celltraj._anndata import dimension_of, read_times, unique_names
from celltraj._anndata.results import SIMULATE
from celltraj.pl._cells import check_path, default_basis, plane

USUAL = 64  # weight of a usual cell, so that one of four times its diameter still has one
_COARSE = 4  # steps of weights that nobody sees, and that take room
_LARGEST = 252 / USUAL
_MOST_CELLS = 50_000
_MOST_STATES = 1_050_000  # cells times frames, of about 3 bytes each


@dataclass(frozen=True, eq=False)
class Course:
    """Hold cells at times, in two components.

    Parameters
    ----------
    basis
        Representation.
    times
        ``(T,)`` times of the frames, increasing, in [t].
    positions
        ``(T, n, 2)`` of cells that move, ``(1, n, 2)`` of cells that stay.
    weights
        ``(T, n)`` uint8, diameter of each cell, 64 for a usual one; None where all are alike.
    rows
        ``(n,)`` row in the observed cells that each is, or starts from.
    names
        ``(n,)`` names of the cells.
    is_beyond
        ``(T,)``, whether a time lies outside those of the fit.
    background
        ``(m, 2)`` observed cells.
    left_out
        What is not shown for want of room, in words.
    """

    basis: str
    times: np.ndarray
    positions: np.ndarray
    weights: np.ndarray | None
    rows: np.ndarray
    names: np.ndarray
    is_beyond: np.ndarray
    background: np.ndarray
    left_out: tuple[str, ...]

    @property
    def moves(self) -> bool:
        """Whether cells change their place."""
        return len(self.positions) > 1

    @property
    def box(self) -> tuple[np.ndarray, np.ndarray]:
        """The least and the largest of each component, with a margin."""
        points = np.concatenate([self.background, self.positions.reshape(-1, 2)])
        low, high = points.min(0), points.max(0)
        margin = 0.04 * (high - low) + (high == low)
        return low - margin, high + margin


def in_turn(adata: AnnData, time_key: str, basis: str | None) -> Course:
    """Return the observed cells, each of which is there at its own time alone.

    Raises
    ------
    KeyError
        A column or representation does not exist.
    """
    name, cells = plane(adata, default_basis(adata, basis), (0, 1))
    rows = _some(adata.n_obs, _MOST_CELLS)
    times = read_times(adata, time_key)[rows]
    unique = np.unique(times)
    return Course(
        basis=name,
        times=unique,
        positions=cells[None, rows],
        weights=np.where(times == unique[:, None], USUAL, 0).astype(np.uint8),
        rows=rows,
        names=adata.obs_names[rows].to_numpy(),
        is_beyond=np.zeros(len(unique), dtype=bool),
        background=cells[rows],
        left_out=_fewer(len(rows), adata.n_obs, "cells"),
    )


def simulated(adata: AnnData, trajectories: AnnData, basis: str | None) -> Course:
    """Return simulated cells as they move.

    Raises
    ------
    KeyError
        A column or representation does not exist, or trajectories start from cells that ``adata``
        does not have.
    ValueError
        They were simulated in another representation, or are not all there at every time.
    """
    name, cells = plane(adata, default_basis(adata, basis, lives_in=trajectories), (0, 1))
    states = _states(adata, trajectories, name)
    table, times = _by_time(trajectories)
    kept = _some(table.shape[1], _MOST_CELLS)
    frames = _some(len(times), max(2, _MOST_STATES // len(kept)))
    table = table[np.ix_(frames, kept)]
    obs = trajectories.obs
    starts = obs["source"].astype(str).to_numpy()[table[0]]
    numbers = obs["trajectory"].to_numpy()[table[0]]
    shown = _some(adata.n_obs, _MOST_CELLS)
    is_beyond = np.asarray(obs.get("extrapolated", np.zeros(len(obs))), dtype=bool)
    return Course(
        basis=name,
        times=times[frames],
        positions=states[table],
        weights=_weights(obs["mass"].to_numpy(float)[table]) if "mass" in obs else None,
        rows=_rows_of(adata, starts),
        names=np.array([f"{a}, trajectory {b}" for a, b in zip(starts, numbers, strict=True)]),
        is_beyond=is_beyond[table[:, 0]],
        background=cells[shown],
        left_out=(
            *_fewer(len(kept), obs["trajectory"].nunique(), "trajectories"),
            *_fewer(len(frames), len(times), "times of the simulation"),
            *_fewer(len(shown), adata.n_obs, "observed cells"),
        ),
    )


def _states(adata: AnnData, trajectories: AnnData, name: str) -> np.ndarray:
    """Return the ``(n, 2)`` simulated states in the representation that is drawn."""
    if name in trajectories.obsm:
        return np.asarray(trajectories.obsm[name], dtype=float)[:, :2]
    check_path(trajectories, "trajectory", dimension_of(adata, name), name, "basis")
    own = (SIMULATE.find(trajectories) or {}).get("params", {}).get("use_rep", name)
    if own != name:
        raise ValueError(
            f"trajectories were simulated in {own} and are to be drawn in {name}, which "
            f"trajectories.obsm does not hold; pass basis={str(own)!r}"
        )
    return np.asarray(trajectories.X, dtype=float)[:, :2]


def _by_time(trajectories: AnnData) -> tuple[np.ndarray, np.ndarray]:
    """Return the row of each trajectory at each time ``(T, n)``, and the times, increasing."""
    needed = ("trajectory", "time", "source")
    if missing := [name for name in needed if name not in trajectories.obs]:
        raise KeyError(
            f"trajectories.obs has no {missing}, only {list(trajectories.obs.columns)}; make them "
            "with ct.tl.simulate(adata, model, start=..., stop=...)"
        )
    times, at = np.unique(trajectories.obs["time"].to_numpy(float), return_inverse=True)
    which, labels = pd.factorize(trajectories.obs["trajectory"])
    table = np.full((len(times), len(labels)), -1)
    table[at, which] = np.arange(trajectories.n_obs)
    if (table < 0).any() or table.size != trajectories.n_obs:
        raise ValueError(
            f"trajectories must each be there once at every time; found {trajectories.n_obs} rows "
            f"of {len(labels)} trajectories and {len(times)} times. Pass the result of "
            "ct.tl.simulate(adata, model, start=..., stop=...) as it is"
        )
    return table, times


def _weights(mass: np.ndarray) -> np.ndarray:
    """Return diameters ``(T, n)`` whose squares are as the mass, of mean 1 at every time."""
    share = np.sqrt(mass / mass.mean(1, keepdims=True))
    steps = np.rint(USUAL / _COARSE * np.clip(share, 0.3, _LARGEST))
    weights: np.ndarray = (_COARSE * steps).astype(np.uint8)
    return weights


def _rows_of(adata: AnnData, names: np.ndarray) -> np.ndarray:
    rows: np.ndarray = unique_names(adata.obs_names, "cells").get_indexer(names)
    if (rows < 0).any():
        raise KeyError(
            f"{int((rows < 0).sum())} trajectories start from cells that adata does not have; pass "
            "the cells that ct.tl.simulate started from"
        )
    return rows


def _some(n: int, most: int) -> np.ndarray:
    """Return at most so many of ``n`` numbers, evenly spread, both ends among them."""
    return np.unique(np.linspace(0, n - 1, min(n, most)).round().astype(int))


def _fewer(shown: int, there: int, what: str) -> tuple[str, ...]:
    return () if shown == there else (f"{shown:,} of {there:,} {what} are shown, evenly chosen",)
