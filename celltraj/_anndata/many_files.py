"""Columns and one representation of many files, in one table, without all that lies beside them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anndata as ad
import h5py
import numpy as np
import pandas as pd
from anndata import AnnData

_BASES = {"X_pca": "PCs"}  # of representations that files may have computed each for itself
_ROWS = 100_000  # read at once


def gathered(
    paths: Sequence[Path], use_rep: str, obs_keys: Sequence[str] | None, file_key: str
) -> AnnData:
    """Return ``obs`` and ``obsm[use_rep]`` of all files, one after the other, float32.

    Raises
    ------
    FileNotFoundError, KeyError, ValueError
        See :func:`celltraj.io.from_files`.
    """
    _check_names(paths)
    parts, width, basis = [], None, None
    for path in paths:  # whatever is wrong is told before the first cell is read
        with _opened(path) as store:
            obs = _obs(store, path, obs_keys, file_key)
            shape = _representation(store, path, use_rep).shape
            loadings = _loadings(store, use_rep)
        if len(shape) != 2 or shape[1] != (shape[1] if width is None else width):
            raise ValueError(
                f"obsm['{use_rep}'] has the shape {tuple(shape)} in {path.name}, and {width} "
                f"variables in {paths[0].name}"
            )
        if width is None:
            width, basis = shape[1], loadings
        _check_basis(basis, loadings, (paths[0], path), use_rep)
        obs[file_key] = path.stem
        parts.append(obs)
    obs = pd.concat(parts, join="outer" if obs_keys is None else "inner")
    obs[file_key] = pd.Categorical(obs[file_key], [path.stem for path in paths])
    obs.index = [f"{file}:{name}" for file, name in zip(obs[file_key], obs.index, strict=True)]
    x = np.empty((len(obs), width or 0), dtype=np.float32)
    _fill(x, paths, use_rep)
    return AnnData(obs=obs, obsm={use_rep: x})


def _fill(x: np.ndarray, paths: Sequence[Path], use_rep: str) -> None:
    """Write the representations of all files into ``x``, some rows at a time."""
    begin = 0
    for path in paths:
        with _opened(path) as store:
            values = _representation(store, path, use_rep)
            for start in range(0, values.shape[0], _ROWS):
                some = values[start : start + _ROWS]
                x[begin + start : begin + start + len(some)] = some
            begin += values.shape[0]


def _check_names(paths: Sequence[Path]) -> None:
    stems = [path.stem for path in paths]
    if not paths:
        raise ValueError("paths must name h5ad files or zarr stores; found none")
    if len(set(stems)) < len(stems):
        twice = sorted({stem for stem in stems if stems.count(stem) > 1})
        raise ValueError(f"files are told apart by their names, and {twice} is there twice")
    if missing := [str(path) for path in paths if not path.exists()]:
        raise FileNotFoundError(
            f"no file {', '.join(missing)}; give the paths of h5ad files or of zarr stores"
        )


@contextmanager
def _opened(path: Path) -> Iterator[Mapping[str, Any]]:
    """Open a file, or the directory of a zarr store, to be read."""
    if path.is_dir():
        import zarr  # comes with anndata, and few need it

        group: Any = zarr.open_group(path, mode="r")
        yield group
        return
    with h5py.File(path, "r") as file:
        yield file


def _obs(
    store: Mapping[str, Any], path: Path, obs_keys: Sequence[str] | None, file_key: str
) -> pd.DataFrame:
    """Return the columns of ``obs`` that are asked for; all of them by default."""
    obs: pd.DataFrame = ad.io.read_elem(store["obs"])
    if file_key in obs:
        raise ValueError(
            f"obs has a column '{file_key}' already in {path.name}; pass another file_key="
        )
    if obs_keys is None:
        return obs
    if absent := [key for key in obs_keys if key not in obs]:
        raise KeyError(f"no column {absent} in obs of {path.name}; found {list(obs.columns)}")
    return obs[list(obs_keys)]


def _representation(store: Mapping[str, Any], path: Path, use_rep: str) -> Any:
    """Return an array on disk, which is read as it is sliced."""
    found = store["obsm"].get(use_rep) if "obsm" in store else None
    if found is None or not hasattr(found, "shape"):
        there = sorted(store["obsm"]) if "obsm" in store else []
        raise KeyError(f"no array obsm['{use_rep}'] in {path.name}; found {there}")
    return found


def _loadings(store: Mapping[str, Any], use_rep: str) -> np.ndarray | None:
    """Return the loadings that a file keeps of a representation."""
    name = _BASES.get(use_rep)
    if name is None or "varm" not in store or name not in store["varm"]:
        return None
    return np.asarray(ad.io.read_elem(store["varm"][name]))


def _check_basis(
    first: np.ndarray | None,
    other: np.ndarray | None,
    paths: tuple[Path, Path],
    use_rep: str,
) -> None:
    """Refuse components that each file has computed for itself, as far as files tell."""
    if first is None or other is None:
        return
    if first.shape != other.shape or not np.allclose(first, other, rtol=1e-3, atol=1e-5):
        names = " and ".join(path.name for path in paths)
        raise ValueError(
            f"obsm['{use_rep}'] is of other components in {names}: their varm['{_BASES[use_rep]}'] "
            "differ. Compute one PCA of all cells, or project the cells of one file onto the "
            "loadings of the other, and read them then"
        )
