"""Write results to AnnData in forms that h5ad and zarr keep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData, ImplicitModificationWarning
from torch import Tensor

from celltraj import __version__
from celltraj._anndata.columns import column_of, has_column
from celltraj._anndata.results import ROOT
from celltraj._errors import warn
from celltraj.models import Bridge, FlowMatching, MetaFlowMatching, TrainerOptions
from celltraj.models.own_snapshots import Passage

_ROUNDED = 1e-4  # of the spread of a variable, what single precision may take from a state
_PLAIN = (bool, int, float, str, type(None))


def options_record(options: Any) -> dict[str, Any]:
    """Return the name and the fields of an options object, or of a function, for h5ad to keep.

    Examples
    --------
    >>> import celltraj as ct
    >>> from celltraj._anndata.write import options_record
    >>> options_record(ct.models.Midpoint(n_steps=5))
    {'name': 'Midpoint', 'n_steps': 5}
    """
    if not is_dataclass(options) or isinstance(options, type):
        return {"name": getattr(options, "__name__", type(options).__name__)}
    values = {one.name: getattr(options, one.name) for one in fields(options)}
    return {"name": type(options).__name__} | _given(
        {name: recorded(value) for name, value in values.items()}
    )


def recorded(value: Any) -> Any:
    """Return a number or text as it is, options as their record, anything else as its kind."""
    # what a fit filled in belongs to the model, and where it ran says nothing of it
    if isinstance(value, Tensor | TrainerOptions):
        return None
    if is_dataclass(value):
        return options_record(value)
    if isinstance(value, tuple) and all(isinstance(one, str) for one in value):
        return np.array(value, dtype=object) if value else None
    if isinstance(value, tuple) and all(isinstance(one, int | float) for one in value):
        return np.array(value)
    return value if isinstance(value, _PLAIN) else type(value).__name__


def sample_record(params: dict[str, Any], seed: int) -> dict[str, Any]:
    """Return what every record begins with: params, version and seed.

    A param that is None is left out: anndata 0.11 loses it on the way to a file.
    """
    return {"params": _given(params), "version": __version__, "seed": int(seed)}


def _given(options: dict[str, Any]) -> dict[str, Any]:
    """Return what is not None, numbers as Python's own: files may give back no other kind."""
    return {
        name: value.item() if isinstance(value, np.generic) else value
        for name, value in options.items()
        if value is not None
    }


def bridge_record(bridge: Bridge, params: dict[str, Any], seed: int) -> dict[str, Any]:
    """Return what is known of a fit: params, version, seed, time points, convergence, history."""
    refinement = {"refinement": bridge.history.rename(index=str)} if bridge.rounds else {}
    return (
        sample_record(params, seed)
        | refinement
        | {
            "time_points": np.asarray(bridge.snapshots.times),
            "convergence": pd.DataFrame(
                {
                    "t0": bridge.snapshots.times[:-1],
                    "t1": bridge.snapshots.times[1:],
                    "epsilon": [c.epsilon for c in bridge.couplings],
                    "marginal_error": [c.marginal_error for c in bridge.couplings],
                    "converged": [c.converged for c in bridge.couplings],
                    "n_iters": [c.n_iters for c in bridge.couplings],
                }
                | _met(bridge.passages)
            ).rename(index=str),
            "history": _losses(bridge.losses),
        }
    )


def flow_record(flow: FlowMatching, params: dict[str, Any], seed: int) -> dict[str, Any]:
    """Return the record of a fit: params, version, seed, time points and history."""
    gaps = {"t0": flow.times[:-1], "t1": flow.times[1:]}
    return sample_record(params, seed) | {
        "time_points": np.asarray(flow.times),
        "convergence": pd.DataFrame(gaps | _met(flow.passages)).rename(index=str),
        "history": _losses(flow.losses),
    }


def _met(passages: Sequence[Passage]) -> dict[str, list[float]]:
    """Return how trajectories from the first snapshot met the later one of each gap."""
    if not passages:
        return {}
    return {
        "W1": [one.distance for one in passages],
        "floor": [one.floor for one in passages],
        "effective": [one.effective for one in passages],
    }


def _losses(history: Sequence[float]) -> pd.DataFrame:
    losses = {"step": np.arange(len(history)), "loss": np.asarray(history, dtype=float)}
    return pd.DataFrame(losses).rename(index=str)


def warn_of_view(adata: AnnData) -> None:
    """Say that a view becomes an AnnData of its own once a fit is written to it."""
    if adata.is_view:
        warn(
            "adata is a view of another AnnData: it becomes an AnnData of its own to hold the "
            "results, and the other one does not get them; pass adata[...].copy() to say so",
            ImplicitModificationWarning,
        )


def cells_at(
    var_names: pd.Index,
    use_rep: str,
    states: np.ndarray,
    obs: pd.DataFrame,
    record: tuple[str, dict[str, Any]],
) -> AnnData:
    """Return an AnnData of ``(n, d)`` states in the space of ``use_rep``, ready for scanpy.

    Parameters
    ----------
    var_names
        Names of the ``d`` variables where ``use_rep`` is ``"X"``; else they are numbered.
    use_rep
        ``"X"``, or the key of ``obsm`` that holds the states besides ``X``.
    states
        ``(n, d)`` states, stored as float32, or as they are where they lie so far from zero that
        float32 has no digits for their spread.
    obs
        ``n`` rows about the states.
    record
        Name and content of the record in ``uns["celltraj"]``.
    """
    is_x = use_rep == "X"
    names = var_names if is_x else [f"{use_rep}_{i}" for i in range(states.shape[1])]
    x = _at_rest(states)
    obs = obs.set_axis([str(i) for i in range(len(obs))])
    result = AnnData(x, obs=obs, var=pd.DataFrame(index=pd.Index(names, dtype=str)))
    if not is_x:
        result.obsm[use_rep] = x.copy()
    result.uns[ROOT] = {record[0]: record[1]}
    return result


def with_time_key(adata: AnnData, obs: pd.DataFrame, time_key: str | None) -> pd.DataFrame:
    """Return rows with their ``time`` also under the user's name, where that column holds numbers.

    Labels are not translated back: most times of a simulation have none.

    Examples
    --------
    >>> import anndata as ad, pandas as pd
    >>> from celltraj._anndata.write import with_time_key
    >>> adata = ad.AnnData(obs=pd.DataFrame({"day": [0.0, 2.0]}, index=["a", "b"]))
    >>> with_time_key(adata, pd.DataFrame({"time": [0.5]}), "day").to_dict("list")
    {'time': [0.5], 'day': [0.5]}
    """
    if time_key is None or time_key in obs or not has_column(adata, time_key):
        return obs
    column = column_of(adata, time_key)
    is_number = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
    return obs.assign(**{time_key: obs["time"]}) if is_number else obs


def _at_rest(states: np.ndarray) -> np.ndarray:
    """Return the states in single precision, where that rounds them by little of their spread."""
    small = states.astype(np.float32)
    rounded = np.abs(small - states).max(0, initial=0.0)
    return states if (rounded > _ROUNDED * np.ptp(states, axis=0)).any() else small


def response_record(model: MetaFlowMatching, params: dict[str, Any], seed: int) -> dict[str, Any]:
    """Return the record of a fitted response, see :data:`celltraj._anndata.results.RESPONSE`."""
    return sample_record(params, seed) | {
        "populations": np.asarray(model.support.names, dtype=object),
        "base": model.strength,
        "base_reason": model.reason,
        "encoder": "none" if model.encoder is None else options_record(model.encoder),
        "encoder_reason": model.encoder_reason,
        "history": _losses(model.losses),
    }


def annotated(adata: AnnData, copy: bool) -> AnnData:  # noqa: FBT001
    """Return ``adata`` itself, or a copy in memory to write to."""
    if not copy:
        return adata
    return adata.to_memory() if adata.isbacked else adata.copy()
