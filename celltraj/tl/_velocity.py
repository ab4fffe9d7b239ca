"""Velocity of every cell under a fitted model, also in an embedding."""

from __future__ import annotations

import logging

import numpy as np
import torch
from anndata import AnnData
from tqdm.auto import tqdm

from celltraj._anndata import (
    annotated,
    find_representation,
    read_representation,
    read_space,
    read_times,
    sample_record,
    time_of,
)
from celltraj._anndata.results import VELOCITY
from celltraj._anndata.source import Source
from celltraj._checks import checked
from celltraj._errors import some
from celltraj._typing import Time
from celltraj.models import Bridge, Process
from celltraj.models.embedding_velocity import mean_velocity, projected_velocity
from celltraj.models.process import span_of

logger = logging.getLogger("celltraj")


@checked
def velocity(
    adata: AnnData,
    model: Process,
    *,
    time: Time | None = None,
    time_key: str = "time",
    use_rep: str | None = None,
    basis: str | None = None,
    n_neighbors: int = 30,
    key_added: str = "velocity",
    copy: bool = False,
    seed: int = 0,
    progress: bool = True,
) -> AnnData | None:
    """Velocity field: write the mean velocity of every cell, and how it looks in an embedding.

    Of a flow the velocity of its ODE, of a bridge its drift, at the last time the backward drift:
    where cells are going, and where the last ones came from. In an embedding such as a UMAP, the
    cosines of ``v`` with the steps to the neighbours weigh the directions to them there, those
    behind against those ahead; their lengths follow the speed and how far the embedding stretches
    the surroundings of a cell. Such arrows are a picture and not a measurement: what the embedding
    tears apart, they cannot bridge. At times outside those of the fit, a bridge is its reference
    and a flow is extrapolated, which is logged as a warning.

    Parameters
    ----------
    adata
        Cells: the data of the fit, or any others in the same space.
    model
        A fitted bridge or flow, or any process.
    time
        Time at which all cells are taken, in the user's unit or as a label of ``time_key``; by
        default each at its own.
    time_key
        Column of ``obs`` with the sampling times; not read where ``time`` is a number.
    use_rep
        ``"X"`` or a key of ``obsm``; by default the one that ``model`` was fitted in.
    basis
        Embedding to project onto, such as ``"umap"`` for ``obsm["X_umap"]``; none by default. Where
        it is the representation of ``model``, velocities are written as they are.
    n_neighbors
        Neighbours in ``use_rep``, of all times, that the projection looks at.
    key_added
        Name of the result, as scVelo's ``vkey``.
    copy
        Whether to leave ``adata`` as it is and return an annotated copy.
    seed
        Seed of nothing, and recorded: there is nothing random here.
    progress
        Whether to show progress bars.

    Returns
    -------
    Nothing, with ``copy=True`` the annotated copy. Written: ``obsm[key_added]`` (``(n_obs, d)``,
    float32, [x]/[t]); with a ``basis`` also ``obsm["{key_added}_{basis}"]`` (``(n_obs, e)``,
    float32, in units of the embedding per [t]); ``uns["celltraj"][key_added]`` (params, version,
    seed).

    Raises
    ------
    KeyError
        A named column, representation or embedding does not exist.
    ValueError
        The model has another dimension than ``use_rep``, or ``n_neighbors`` is below 2 or not
        less than the number of cells.

    References
    ----------
    La Manno et al. (2018); Bergen et al. (2020).

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=50, seed=0)
    >>> adata.obsm["X_umap"] = adata.X[:, ::-1].copy()
    >>> bridge = ct.tl.fit_bridge(adata, training=None, progress=False)
    >>> ct.tl.velocity(adata, bridge, basis="umap", progress=False)
    >>> adata.obsm["velocity_umap"].shape == (adata.n_obs, 2)
    True
    """
    name, x = read_space(adata, model, use_rep, time_key if time is None else None)
    place = None if basis is None else _embedding_name(adata, basis)
    short = {} if place is None else {"basis": place.removeprefix("X_")}
    VELOCITY.claim(adata, key_added, **short)
    moment = None if time is None else time_of(adata, time_key, time)
    times = read_times(adata, time_key) if moment is None else np.full(len(x), moment)
    _warn_of_outside(model, times)
    moving = _at_their_times(model, x, times, progress=progress)
    params = {
        "model": type(model).__name__,
        "time": moment,
        "time_key": time_key if moment is None else None,
        "use_rep": name,
        "basis": place,
        "n_neighbors": n_neighbors if place not in (None, name) else None,
    }
    found = {key_added: moving}
    if place is not None:
        found[f"{key_added}_{short['basis']}"] = (
            moving
            if place == name
            else projected_velocity(
                x,
                moving,
                read_representation(adata, place)[1],
                n_neighbors=n_neighbors,
                progress=progress,
            )
        )
    source = Source.of(adata, time_key if time is None else None, name)
    adata = annotated(adata, copy)
    columns = {slot: values.astype(np.float32) for slot, values in found.items()}
    VELOCITY.write(adata, key_added, sample_record(params, seed), columns, source=source)
    return adata if copy else None


def _embedding_name(adata: AnnData, basis: str) -> str:
    """Return ``"X"`` or the key of ``obsm``; ``"umap"`` means ``"X_umap"``."""
    if basis == "X" or basis in adata.obsm:
        return find_representation(adata, basis)
    if f"X_{basis}" not in adata.obsm:
        raise KeyError(
            f"no embedding in adata.obsm['X_{basis}']; found {some(adata.obsm)}. "
            "Run sc.pp.neighbors(adata) and sc.tl.umap(adata) for basis='umap', or pass another"
        )
    return f"X_{basis}"


def _at_their_times(
    model: Process, x: np.ndarray, times: np.ndarray, *, progress: bool
) -> np.ndarray:
    """Return the velocity ``(n_obs, d)`` of each cell at its time."""
    found = np.empty_like(x)
    for t in tqdm(np.unique(times), desc="velocity", unit="time", disable=not progress):
        here = times == t
        found[here] = mean_velocity(model, float(t), torch.from_numpy(x[here])).numpy()
    return found


def _warn_of_outside(model: Process, times: np.ndarray) -> None:
    """Say how many cells are at times that ``model`` was not fitted to."""
    is_bridge = isinstance(model, Bridge)
    span = span_of(model)
    if span is None:
        return
    first, last = span
    n_outside = int(((times < first) | (times > last)).sum())
    if n_outside:
        logger.warning(
            "%d of %d cells are at times outside [%g, %g], which the %s was fitted to: %s there",
            n_outside,
            len(times),
            first,
            last,
            "bridge" if is_bridge else type(model).__name__,
            "it is its reference" if is_bridge else "it is extrapolated",
        )
