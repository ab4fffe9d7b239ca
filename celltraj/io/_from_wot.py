"""Read the transport maps of Waddington-OT."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeAlias

import anndata as ad
import numpy as np
from anndata import AnnData
from scipy.sparse import csr_array, issparse

from celltraj._anndata import annotated, times_of
from celltraj._anndata.plans import Pair, gaps_of, write_plans
from celltraj._anndata.results import COUPLINGS
from celltraj._checks import checked
from celltraj._typing import Time
from celltraj.ot import SparseCoupling
from celltraj.ot.checks import check_mass

Map: TypeAlias = AnnData | np.ndarray | csr_array
_NUMBER = r"(\d+(?:\.\d+)?)"
_FILE = re.compile(rf"_{_NUMBER}_{_NUMBER}$")


@checked
def from_wot(
    adata: AnnData,
    maps: str | Path | Mapping[tuple[Time, Time], Map],
    *,
    time_key: str = "time",
    mass: float = 0.0,
    key_added: str = "couplings",
    copy: bool = False,
) -> AnnData | None:
    """Read transport maps of Waddington-OT as couplings of the cells of ``adata``.

    All that works on :func:`celltraj.tl.couplings` then works on them: fates, push and pull,
    transitions, growth.

    Parameters
    ----------
    adata
        Cells of all times.
    maps
        A folder with Waddington-OT's files ``{name}_{t0}_{t1}.h5ad``; or the maps by their pair of
        times, as numbers or labels: AnnData (``obs`` the earlier, ``var`` the later cells, which
        are matched by name), or arrays whose rows and columns are the cells of the two times in
        the order of ``adata``.
    time_key
        Column of ``obs`` with the sampling times, as numbers, categories or text.
    mass
        Share of each row's mass that may be left out, in its smallest entries.
    key_added
        Name of the result.
    copy
        Whether to leave ``adata`` as it is and return an annotated copy.

    Returns
    -------
    None, or with ``copy=True`` the annotated copy. Written: ``obsp[key_added]`` (plans, rows =
    earlier cells) and ``uns["celltraj"][key_added]`` (params, version, seed, time_points, numbers,
    cells, gaps).

    Raises
    ------
    FileNotFoundError
        The folder holds no such files.
    KeyError
        ``time_key`` is not in ``obs``, or a map names cells that ``adata`` has not, or not all.
    ValueError
        No map between two neighbouring times or two of them in the folder, one of another shape or
        with negative entries, or ``mass`` lies outside [0, 1).

    Examples
    --------
    >>> import numpy as np
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=50, seed=0)
    >>> adata = adata[adata.obs["time"] < 2].copy()
    >>> ct.io.from_wot(adata, {(0.0, 1.0): np.eye(50)})
    >>> ct.tl.push(adata, source=0.0, target=1.0, cells={"time": "0.0"})
    """
    COUPLINGS.claim(adata, key_added)
    check_mass(mass)
    read = _in_folder(Path(maps)) if isinstance(maps, str | Path) else dict(maps)
    named = {_pair(adata, time_key, pair): one for pair, one in read.items()}
    rows = gaps_of(adata, time_key, list(named))
    plans = {}
    for pair, cells in rows.items():
        plan = _plan(adata, named[pair], *cells)
        plans[pair] = SparseCoupling(plan).to_sparse(mass=mass) if mass else plan
    adata = annotated(adata, copy)
    params = {"time_key": time_key, "origin": "wot", "mass": mass}
    write_plans(adata, plans, rows, params, key_added)
    return adata if copy else None


def _pair(adata: AnnData, time_key: str, typed: object) -> Pair:
    """Return the two times of a map, which may be typed as labels."""
    if not isinstance(typed, tuple) or len(typed) != 2:
        raise ValueError(f"maps are named by a pair of times, such as (0, 1); found {typed!r}")
    first, last = times_of(adata, time_key, typed)
    return first, last


def _in_folder(folder: Path) -> dict[Pair, AnnData]:
    found: dict[Pair, Path] = {}
    for path in sorted(folder.glob("*.h5ad")):
        times = _FILE.search(path.stem)
        if times is None:
            continue
        pair = float(times[1]), float(times[2])
        if pair in found:
            raise ValueError(
                f"{found[pair].name} and {path.name} in {folder} are maps between the same times; "
                "move those of each experiment to a folder of its own"
            )
        found[pair] = path
    if not found:
        raise FileNotFoundError(f"{folder} holds no files named as tmap_10_10.5.h5ad")
    return {pair: ad.read_h5ad(path) for pair, path in found.items()}


def _plan(adata: AnnData, one: Map, before: np.ndarray, after: np.ndarray) -> csr_array:
    """Return the map with rows and columns in the order of the cells of ``adata``."""
    matrix = one
    if isinstance(one, AnnData):
        places = [
            _places(names, adata.obs_names[rows].to_list())
            for names, rows in ((one.obs_names, before), (one.var_names, after))
        ]
        matrix = csr_array(one.X)[places[0]][:, places[1]]
    plan = csr_array(matrix if issparse(matrix) else np.asarray(matrix))
    return csr_array(plan.astype(float))


def _places(names: Iterable[str], wanted: list[str]) -> np.ndarray:
    """Return where the wanted cells are among the names of a map."""
    place = {name: i for i, name in enumerate(names)}
    missing = [name for name in wanted if name not in place]
    if missing or len(place) != len(wanted):
        raise KeyError(
            f"a map is of {len(place)} cells, adata has {len(wanted)} at that time, "
            f"{len(missing)} of them not in the map (first: {missing[:1]}); pass the cells that "
            "were coupled"
        )
    return np.array([place[name] for name in wanted])
