"""Read representations and snapshots from AnnData."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from anndata import AnnData

from celltraj._anndata.columns import check_adata, column_of, has_column
from celltraj._anndata.counts import read_counts
from celltraj._anndata.observed import Observed
from celltraj._anndata.states import States
from celltraj._anndata.times import read_times
from celltraj._errors import DataWarning, FitWarning, some, warn
from celltraj._typing import Counts
from celltraj.models import Bridge, Process
from celltraj.models.growth.population_sizes import population_sizes
from celltraj.models.process import dim_of
from celltraj.models.representation import Represented
from celltraj.snapshots import Snapshots

_FEW_VARIABLES = 50
_FEW_TO_LEARN = 50


def find_representation(adata: AnnData, use_rep: str | None) -> str:
    """Return the name of the representation to work in: ``"X"`` or a key of ``obsm``.

    Raises
    ------
    TypeError
        ``adata`` is not an AnnData in memory.
    KeyError
        ``use_rep`` is not in ``obsm``.
    ValueError
        Nothing suitable without ``use_rep``, or ``X`` is asked for and there is none.
    """
    check_adata(adata)
    if use_rep is None:
        use_rep = _default_representation(adata)
    if use_rep != "X" and use_rep not in adata.obsm:
        raise KeyError(
            f"no obsm[{use_rep!r}]; found {some(adata.obsm)}. Run sc.pp.pca(adata) for 'X_pca', "
            "or use_rep='X' for the matrix itself"
        )
    if use_rep == "X" and adata.X is None:
        raise ValueError(f"adata.X is None; pass use_rep= with one of obsm {some(adata.obsm)}")
    return use_rep


def _default_representation(adata: AnnData) -> str:
    if "X_pca" in adata.obsm:
        return "X_pca"
    if adata.n_vars <= _FEW_VARIABLES:
        return "X"
    raise ValueError(
        f"adata has {adata.n_vars} variables and no obsm['X_pca']; "
        "run sc.pp.pca(adata) first or pass use_rep="
    )


def read_representation(adata: AnnData, use_rep: str | None) -> tuple[str, np.ndarray]:
    """Return the name and the ``(n_obs, d)`` float64 array of the representation to work in.

    Raises
    ------
    KeyError
        ``use_rep`` is not in ``obsm``.
    ValueError
        Nothing suitable without ``use_rep``, no variables, or values that are not finite numbers.
    """
    name = find_representation(adata, use_rep)
    return name, States.of(adata, name).whole()


def dimension_of(adata: AnnData, use_rep: str) -> int:
    """Return the number of variables of ``"X"`` or a key of ``obsm``, without reading cells."""
    return int(adata.n_vars if use_rep == "X" else adata.obsm[use_rep].shape[1])


def variables_of(adata: AnnData, use_rep: str) -> tuple[str, ...]:
    """Return the names of the variables of ``"X"``; of a key of ``obsm`` they are numbered."""
    if use_rep == "X":
        return tuple(map(str, adata.var_names))
    return tuple(f"{use_rep}_{i}" for i in range(dimension_of(adata, use_rep)))


def check_dimension(process: Process, n_variables: int, use_rep: str) -> None:
    """Raise where a process was fitted in another number of variables than ``use_rep`` has.

    Raises
    ------
    TypeError
        It is no process.
    ValueError
        It was fitted in another number of variables.
    """
    if not isinstance(process, Process):
        raise TypeError(
            "expected a fitted process, such as ct.tl.fit_bridge(adata) returns; found "
            f"{type(process).__name__}"
        )
    fitted = dim_of(process)
    if fitted not in (None, n_variables):
        noun = "bridge" if isinstance(process, Bridge) else type(process).__name__
        raise ValueError(
            f"the {noun} has {fitted} variables, {use_rep} has {n_variables}; "
            f"pass the use_rep= that the {noun} was fitted in"
        )


def find_space(adata: AnnData, process: Process, use_rep: str | None) -> str:
    """Return the representation that a process works in, by default the one of its fit.

    Raises
    ------
    TypeError
        It is no process.
    KeyError
        There is no such representation.
    ValueError
        It was fitted in another number of variables, or in these in another order.
    """
    known = process.representation if isinstance(process, Represented) else None
    if use_rep is None and known is not None:
        use_rep = known.name
    name = find_representation(adata, use_rep)
    check_dimension(process, dimension_of(adata, name), name)
    if name == "X" and known is not None and known.name == "X":
        _check_order(adata, known.variables)
    return name


def read_space(
    adata: AnnData, process: Process, use_rep: str | None, time_key: str | None = None
) -> tuple[str, np.ndarray]:
    """Return name and ``(n_obs, d)`` states of :func:`find_space`, with a warning of another scale.

    With ``time_key`` cells are compared with those of the same time.

    Raises
    ------
    TypeError
        It is no process.
    KeyError
        There is no such representation.
    ValueError
        It does not suit the process, or holds values that are not finite numbers.
    """
    name, x = read_representation(adata, find_space(adata, process, use_rep))
    known = process.representation if isinstance(process, Represented) else None
    has_times = has_column(adata, time_key)
    times = torch.from_numpy(read_times(adata, str(time_key))) if has_times else None
    doubt = None if known is None else known.doubt(torch.from_numpy(x), times)
    if doubt is not None and known is not None:
        warn(
            f"the cells in {name} do not look like those in {known.name} that the "
            f"{type(process).__name__} was fitted to: {doubt}. Pass use_rep= with the space of the "
            "fit, processed as it was then",
            DataWarning,
        )
    return name, x


def _check_order(adata: AnnData, variables: Sequence[str]) -> None:
    found = tuple(map(str, adata.var_names))
    if found != tuple(variables) and sorted(found) == sorted(variables):
        raise ValueError(
            "adata.var_names hold the variables of the fit in another order; pass "
            f"adata[:, names].copy() with names {list(variables)[:5]} and so on"
        )


def check_bridge(process: object) -> None:
    """Raise where something else than a bridge was passed.

    Raises
    ------
    TypeError
        It is not a bridge.
    """
    if not isinstance(process, Bridge):
        raise TypeError(
            f"expected a bridge, from ct.tl.fit_bridge(adata); found {type(process).__name__}"
        )


def read_rates(adata: AnnData, key: str) -> np.ndarray:
    """Return the ``(n_obs,)`` rates of growth in ``obs``, in 1/[t].

    Raises
    ------
    KeyError
        ``key`` is not in ``obs``.
    ValueError
        Rates that are not finite numbers.
    """
    way = "Run ct.pp.score_growth(adata), or pass growth_key= with rates of your own, or None"
    column = column_of(adata, key, what="growth", way=way)
    if column.dtype.kind not in "fiu":
        raise ValueError(f"adata.obs[{key!r}] has dtype {column.dtype}; rates must be numbers")
    rates: np.ndarray = column.to_numpy(dtype=float, na_value=np.nan)
    bad = ~np.isfinite(rates)
    if bad.any():
        raise ValueError(
            f"adata.obs[{key!r}] is missing or infinite for {int(bad.sum())} cells (first: "
            f"{adata.obs_names[bad][0]!r}); give 0 where nothing is expected"
        )
    return rates


def read_snapshots(
    adata: AnnData,
    *,
    time_key: str,
    use_rep: str | None,
    weights_key: str | None = None,
    growth_key: str | None = None,
    counts: Counts = "proportions",
) -> tuple[Snapshots, str]:
    """Return the validated snapshots and the name of the representation that was read.

    What ``counts`` may be: see :func:`celltraj._anndata.counts.read_counts`.
    """
    observed = read_observed(
        adata,
        time_key=time_key,
        use_rep=use_rep,
        weights_key=weights_key,
        growth_key=growth_key,
        counts=counts,
    )
    return observed.snapshots(), observed.states.name


def read_observed(
    adata: AnnData,
    *,
    time_key: str,
    use_rep: str | None,
    weights_key: str | None = None,
    growth_key: str | None = None,
    counts: Counts = "proportions",
) -> Observed:
    """Return the cells of a time course, all of them validated but their states, not yet read."""
    times = read_times(adata, time_key)
    states = States.of(adata, find_representation(adata, use_rep))
    unique = np.unique(times)
    if len(unique) == 1:
        raise ValueError(
            f"all cells have time {unique[0]:g} in adata.obs[{time_key!r}]; dynamics need two "
            "times or more"
        )
    rows = [np.flatnonzero(times == t) for t in unique]
    w, given = read_counts(adata, counts, times, time_key=time_key, weights_key=weights_key)
    weights: tuple[torch.Tensor, ...] = ()
    if w is not None:
        weights = tuple(torch.from_numpy(w[here]) for here in rows)
    growth: tuple[torch.Tensor, ...] = ()
    if growth_key is not None:
        rates = read_rates(adata, growth_key)
        growth = tuple(torch.from_numpy(rates[here]) for here in rows)
    sizes = population_sizes(unique.tolist(), list(map(len, rows)), given)
    # a float64 holds the number of any row
    cells = tuple(torch.from_numpy(here[:, None].astype(np.float64)) for here in rows)
    return Observed(states, times, Snapshots(tuple(unique), cells, weights, growth, sizes))


def warn_of_limits(snapshots: Snapshots) -> None:
    """Say what so few cells or snapshots cannot teach a model of dynamics."""
    clouds = zip(snapshots.times, snapshots.x, strict=True)
    few = {f"{t:g}": len(x) for t, x in clouds if len(x) < _FEW_TO_LEARN}
    if few:
        warn(
            f"fewer than {_FEW_TO_LEARN} cells at times {few}: who becomes whom is mostly chance "
            "there, and a learned law seldom predicts better than straight lines between "
            "snapshots, which are the default below 40 cells; ct.tl.which_model(adata) compares "
            "them",
            FitWarning,
        )
    if len(snapshots.times) == 2:
        warn(
            "two snapshots tell neither one law of motion nor whether cells grow or move, and "
            "nothing can be held out to check it: unless told otherwise cells move on straight "
            "lines and keep their mass; growth=ct.models.LearnedGrowth() takes the growth of the "
            "only gap, unchecked",
            FitWarning,
        )
