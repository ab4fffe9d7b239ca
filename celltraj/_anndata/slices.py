"""Read and write slices of a tissue: cells with places at several times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import torch
from anndata import AnnData

from celltraj._anndata.columns import check_adata
from celltraj._anndata.coupled import Coupled
from celltraj._anndata.lineage import Tied, read_lineage, rows_of
from celltraj._anndata.read import read_representation
from celltraj._anndata.results import COUPLINGS
from celltraj._errors import some
from celltraj.models import Lineage
from celltraj.models.space.coupling import CoupledSlices
from celltraj.models.space.slices import Slices
from celltraj.ot import Coupling, Similarity
from celltraj.snapshots import Snapshots

_DIMENSIONS = (2, 3)
_MOVED = 1e-4  # of the spread of registered places, by which places in single precision may differ


@dataclass(frozen=True)
class ReadSlices:
    """Hold coupled slices as they were read back.

    Parameters
    ----------
    tied
        Their couplings.
    slices
        Features and places.
    similarities
        What takes each slice onto the next.
    joint
        Snapshots of the states that were coupled.
    use_rep, spatial_key
        Names of features and places.
    """

    tied: Tied
    slices: Slices
    similarities: tuple[Similarity, ...]
    joint: Snapshots
    use_rep: str
    spatial_key: str


def read_places(adata: AnnData, spatial_key: str, time_key: str) -> tuple[torch.Tensor, ...]:
    """Return the places ``(n_k, k)`` of the cells of each time, float64.

    Raises
    ------
    TypeError
        ``adata`` is not an AnnData in memory.
    KeyError
        ``spatial_key`` is not in ``obsm``.
    ValueError
        Places that are no numbers, neither in two nor in three dimensions, missing for some cells,
        all at one point, or flat at some times and not at others.
    """
    check_adata(adata)
    if spatial_key not in adata.obsm:
        raise KeyError(
            f"no obsm[{spatial_key!r}] with the places of cells; found {some(adata.obsm)}. Pass "
            "spatial_key= with two or three coordinates of each cell, or couple without places: "
            "ct.tl.couplings(adata)"
        )
    values = np.asarray(adata.obsm[spatial_key])
    if values.dtype.kind not in "fiu" or values.ndim != 2 or values.shape[1] not in _DIMENSIONS:
        raise ValueError(
            f"adata.obsm[{spatial_key!r}] must hold two or three coordinates of each cell; found "
            f"shape {values.shape} of {values.dtype}"
        )
    places, rows = values.astype(float), rows_of(adata, time_key)
    times = adata.obs[time_key]
    labels = [str(times.iloc[r[0]]) for r in rows]
    _check_missing(adata, places, rows, labels, spatial_key)
    _check_flat(places, rows, labels, spatial_key)
    return tuple(torch.from_numpy(places[r]) for r in rows)


def _check_missing(
    adata: AnnData,
    places: np.ndarray,
    rows: Sequence[np.ndarray],
    labels: Sequence[str],
    spatial_key: str,
) -> None:
    """Raise where cells have no places, and say where whole slices lack one coordinate."""
    lacking = ~np.isfinite(places)
    if not lacking.any():
        return
    flat = [label for r, label in zip(rows, labels, strict=True) if lacking[r].all(0)[-1]]
    if flat and not lacking[:, :2].any() and places.shape[1] == _DIMENSIONS[1]:
        raise ValueError(
            f"adata.obsm[{spatial_key!r}] has three coordinates, of which the slices at {flat} "
            "lack the last: slices in two and in three dimensions have no similarity between them. "
            f"Take two of all, adata.obsm['plane'] = adata.obsm[{spatial_key!r}][:, :2], or the "
            "slices of one kind"
        )
    cells = lacking.any(1)
    raise ValueError(
        f"adata.obsm[{spatial_key!r}] is missing or infinite for {int(cells.sum())} of "
        f"{len(cells)} cells (first: {adata.obs_names[cells][0]!r}); leave these cells out, or "
        "couple all without places: ct.tl.couplings(adata)"
    )


def _check_flat(
    places: np.ndarray, rows: Sequence[np.ndarray], labels: Sequence[str], spatial_key: str
) -> None:
    """Raise where a slice is a point, or some slices are flat and others are not."""
    extents = np.stack([np.ptp(places[r], axis=0) for r in rows])
    points = [label for label, one in zip(labels, extents, strict=True) if not one.any()]
    if points:
        raise ValueError(
            f"all cells at the times {points} lie at one point in adata.obsm[{spatial_key!r}]: "
            "such a slice has neither size nor direction. Leave it out, or couple without places: "
            "ct.tl.couplings(adata)"
        )
    flat = (extents == 0).any(1)
    if flat.any() and not flat.all():
        names = [label for label, one in zip(labels, flat, strict=True) if one]
        raise ValueError(
            f"the slices at the times {names} are flat in adata.obsm[{spatial_key!r}], one "
            "coordinate is the same for all their cells, and the others are not: slices in two and "
            "in three dimensions have no similarity between them. Take the coordinates that all "
            "have"
        )


def coupled_slices(
    adata: AnnData, slices: Slices, found: CoupledSlices, params: Mapping[str, Any], key: str
) -> Coupled:
    """Return what is to be written of coupled slices."""
    time_key, features = str(params["time_key"]), slices.features
    rows, joint = rows_of(adata, time_key), f"{key}_joint"
    matrices = {f"{key}_registered": found.registered, joint: found.joint.x}
    return Coupled(
        Lineage(features.times, found.couplings, features.weights, features.sizes),
        time_key,
        joint,
        {name: value for name, value in params.items() if name != "time_key"},
        has_potentials=all(isinstance(one, Coupling) for one in found.couplings),
        matrices={name: _column(adata.n_obs, rows, parts) for name, parts in matrices.items()},
        tables={"registration": registration_table(features.times, found.similarities)},
    )


def _column(n_obs: int, rows: Sequence[np.ndarray], parts: Sequence[torch.Tensor]) -> np.ndarray:
    found = np.full((n_obs, parts[0].shape[1]), np.nan)
    for r, part in zip(rows, parts, strict=True):
        found[r] = part.numpy()
    return found


def registration_table(times: Sequence[float], similarities: Sequence[Similarity]) -> pd.DataFrame:
    """Return one row per gap with all that a similarity is."""
    table = []
    for (t0, t1), one in zip(pairwise(times), similarities, strict=True):
        k = range(len(one.origin))
        row = {"t0": t0, "t1": t1, "scale": one.scale, "angle": one.angle}
        row |= {f"offset_{i}": float(one.offset[i]) for i in k}
        row |= {f"rotation_{i}{j}": float(one.rotation[i, j]) for i in k for j in k}
        row |= {f"origin_{i}": float(one.origin[i]) for i in k}
        row |= {f"target_{i}": float(one.target[i]) for i in k}
        table.append(row)
    return pd.DataFrame(table)


def similarities_of(table: pd.DataFrame) -> tuple[Similarity, ...]:
    """Return the similarities of a table."""
    k = sum(name.startswith("origin_") for name in table.columns)
    found = []
    for _, row in table.iterrows():
        rotation = [[float(row[f"rotation_{i}{j}"]) for j in range(k)] for i in range(k)]
        ends = ([float(row[f"{name}_{i}"]) for i in range(k)] for name in ("origin", "target"))
        origin, target = (torch.tensor(one, dtype=torch.float64) for one in ends)
        whole = torch.tensor(rotation, dtype=torch.float64)
        found.append(Similarity(whole, float(row["scale"]), origin, target))
    return tuple(found)


def registration_of(adata: AnnData, key: str) -> pd.DataFrame:
    """Return the table of the registration of couplings, a row for each gap.

    Raises
    ------
    KeyError
        There are no couplings of that name, or they come without places.
    """
    record = COUPLINGS.read(adata, key)
    if "registration" not in record:
        raise KeyError(
            f"the couplings {key!r} know no places; run ct.tl.couple_space(adata), which registers "
            "slices and couples them"
        )
    return COUPLINGS.plain(record["registration"], "registration")


def read_slices(adata: AnnData, key: str) -> ReadSlices:
    """Return slices that were coupled.

    Raises
    ------
    KeyError
        There are no couplings of that name, or they come without places.
    ValueError
        The cells or their places are not those that were coupled.
    """
    table = registration_of(adata, key)
    params = COUPLINGS.peek(adata, key)["params"]
    tied = read_lineage(adata, key)
    use_rep, spatial_key = str(params["features"]), str(params["spatial_key"])
    _, x = read_representation(adata, use_rep)
    _, joint = read_representation(adata, str(params["use_rep"]))
    places = read_places(adata, spatial_key, tied.time_key)
    times, weights = tied.lineage.times, tied.lineage.weights
    clouds, coupled = (
        tuple(torch.from_numpy(values[r]) for r in tied.rows) for values in (x, joint)
    )
    here = table["t0"].isin(times) & table["t1"].isin(times)
    slices = Slices(Snapshots(times, clouds, weights), places)
    found = ReadSlices(
        tied,
        slices,
        similarities_of(table[here]),
        Snapshots(times, coupled, weights),
        use_rep,
        spatial_key,
    )
    _check_places(adata, key, found, similarities_of(table), times)
    return found


def _check_places(
    adata: AnnData,
    key: str,
    found: ReadSlices,
    similarities: Sequence[Similarity],
    times: Sequence[float],
) -> None:
    """Raise where places are others than those that were registered."""
    record = COUPLINGS.peek(adata, key)
    known = np.asarray(adata.obsm[f"{key}_registered"], dtype=float)
    all_times = list(np.asarray(record["time_points"], dtype=float))
    spread = float(known.std()) or 1.0
    for k, rows in enumerate(found.tied.rows):
        places = found.slices.places[k]
        first = all_times.index(times[k])
        for one in similarities[first:]:
            places = one(places)
        if np.abs(places.numpy() - known[rows]).max() > _MOVED * spread:
            raise ValueError(
                f"the couplings {key!r} are stale: places in adata.obsm[{found.spatial_key!r}] "
                "have changed since they were registered. Run ct.tl.couple_space(adata) again"
            )
