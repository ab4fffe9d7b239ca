"""Draw a slice of a tissue between two that were observed."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from anndata import AnnData

from celltraj._anndata.results import SLICE
from celltraj._anndata.slices import read_slices
from celltraj._anndata.write import cells_at, sample_record, with_time_key
from celltraj._checks import checked
from celltraj._typing import Time
from celltraj.models.space.between import slice_between


@checked
def interpolate_slice(
    adata: AnnData, *, at: Time, n_cells: int = 1000, key: str = "couplings", seed: int = 0
) -> AnnData:
    """Spatial interpolation: draw the cells of a slice at a time that was not observed.

    A pair of cells from the plan of the gap, by the mass of the path between them where cells
    divide and die. Features lie on the straight line, ``(1 - s) x_i + s y_j``; places on the
    straight line ``(1 - s) u_i + s S^-1(v_j)`` in the frame of the earlier slice, which is then
    taken a share of the registration ``S``: rotation by ``s`` of its angle, scale to the power
    ``s``, centre by ``s``. So a tissue that turns does not shrink on its way, as between places
    themselves it would.

    Parameters
    ----------
    adata
        After :func:`celltraj.tl.couple_space`.
    at
        Time of the slice, between the first and the last, in the user's unit, or a label of the
        column of times.
    n_cells
        Cells to draw.
    key
        The ``key_added`` of :func:`celltraj.tl.couple_space`.
    seed
        Seed of the draws.

    Returns
    -------
    AnnData of ``n_cells`` cells: ``X`` the features, also in ``obsm[use_rep]`` unless that is
    ``"X"``; ``obsm[spatial_key]`` places, in a frame and unit between those of the two slices;
    ``obs["time"]`` ([t]), the same under the name of the user's column where that holds numbers,
    ``obs["source"]`` and ``obs["target"]``, the names of the cells that each
    lies between; ``uns["celltraj"]["interpolate_slice"]`` (params, version, seed).

    Warns
    -----
    DataWarning
        The two slices differ in size by more than three, as slices in different units do.

    Raises
    ------
    KeyError
        There are no couplings of that name, or they come without places.
    ValueError
        ``at`` lies outside the observed times, ``n_cells`` is less than 1, or cells or places have
        changed since they were coupled.

    References
    ----------
    Schiebinger et al. (2019), on interpolation along transport with growth.

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.growing_tissue(n_cells=150, seed=0)
    >>> ct.tl.couple_space(adata, progress=False)
    >>> between = ct.tl.interpolate_slice(adata, at=0.5, n_cells=20)
    >>> between.obsm["spatial"].shape
    (20, 2)
    """
    if n_cells < 1:
        raise ValueError(f"n_cells must be at least 1; found {n_cells}")
    found = read_slices(adata, key)
    (moment,) = found.tied.times_of(adata, at)
    drawn = slice_between(
        found.tied.lineage,
        found.slices,
        (found.joint, found.similarities),
        time=moment,
        n=n_cells,
        generator=torch.Generator().manual_seed(seed),
    )
    names, rows = adata.obs_names.to_numpy(dtype=object), found.tied.rows
    obs = pd.DataFrame(
        {
            "time": np.full(n_cells, moment),
            "source": names[rows[drawn.gap][drawn.earlier.numpy()]],
            "target": names[rows[drawn.gap + 1][drawn.later.numpy()]],
        }
    )
    obs = with_time_key(adata, obs, found.tied.time_key)
    params = {
        "at": moment,
        "n_cells": n_cells,
        "use_rep": found.use_rep,
        "spatial_key": found.spatial_key,
    }
    record = ("interpolate_slice", SLICE.made(sample_record(params, seed), []))
    result = cells_at(adata.var_names, found.use_rep, drawn.states.numpy(), obs, record)
    result.obsm[found.spatial_key] = drawn.places.numpy()
    return result
