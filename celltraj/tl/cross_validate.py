"""Judge models on snapshots they have not seen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from anndata import AnnData

from celltraj import models
from celltraj._anndata import read_representation, read_times
from celltraj._snapshots import Snapshots
from celltraj.metrics import split_half_floor, wasserstein
from celltraj.models import Process
from celltraj.ot import exact_matching


def cross_validate(
    adata: AnnData,
    *,
    time_key: str = "time",
    use_rep: str | None = None,
    fit: Callable[..., Process] | Mapping[str, Callable[..., Process]],
    hold_out: Sequence[float | tuple[float, ...]],
    seed: int = 0,
) -> pd.DataFrame:
    """Leave snapshots out, predict them from the snapshots before, and measure the distance.

    Each cell of the last training snapshot before a held-out time is pushed to that time once.

    Parameters
    ----------
    adata
        Cells of all times; not changed.
    time_key
        Column of ``obs`` with the sampling times.
    use_rep
        Representation; it must not have been learned with the held-out cells.
    fit
        ``fit(adata, time_key=, use_rep=, seed=)`` that returns a process, or a dict of such
        callables by name.
    hold_out
        Interior times left out in turn; those in a tuple are left out together.
    seed
        Seed of fits, simulations and floors.

    Returns
    -------
    Columns method, time, metric (``"W1"``), value, seed. Besides the models: ``floor`` (split
    halves of the held-out cells) and the trivial ``previous``, ``next``, ``mixture`` of both and
    ``displacement`` (linear along exact transport).

    Raises
    ------
    ValueError
        A held-out time was not observed or is the first or last one.

    Examples
    --------
    >>> import celltraj as ct
    >>> from functools import partial
    >>> adata = ct.datasets.branching(n_cells=50, seed=0)
    >>> fit = partial(ct.tl.fit_bridge, drift=ct.models.PlugInDrift())
    >>> sorted(ct.tl.cross_validate(adata, fit=fit, hold_out=[2.0])["method"])
    ['bridge', 'displacement', 'floor', 'mixture', 'next', 'previous']
    """
    fits = fit if isinstance(fit, Mapping) else {"bridge": fit}
    times = read_times(adata, time_key)
    use_rep, x = read_representation(adata, use_rep)
    _check_hold_out(hold_out, np.unique(times))
    rows = []
    for entry in hold_out:
        held = entry if isinstance(entry, tuple) else (entry,)
        keep = ~np.isin(times, held)
        fitted = {
            name: call(adata[keep].copy(), time_key=time_key, use_rep=use_rep, seed=seed)
            for name, call in fits.items()
        }
        left = np.unique(times[keep])
        train = Snapshots(tuple(left), tuple(torch.from_numpy(x[times == t]) for t in left))
        for time in held:
            truth = x[times == time]
            scores = {"floor": split_half_floor(truth, seed=seed)}
            predictions = _trivial(train, time, seed) | {
                name: _predict(process, train, time, seed) for name, process in fitted.items()
            }
            scores |= {name: wasserstein(cells, truth) for name, cells in predictions.items()}
            rows += [(name, time, "W1", value, seed) for name, value in scores.items()]
    return pd.DataFrame(rows, columns=["method", "time", "metric", "value", "seed"])


def _check_hold_out(hold_out: Sequence[float | tuple[float, ...]], observed: np.ndarray) -> None:
    interior = set(observed[1:-1].tolist())
    for entry in hold_out:
        outside = set(entry if isinstance(entry, tuple) else (entry,)) - interior
        if outside:
            raise ValueError(
                f"cannot hold out {sorted(outside)}: choose among the interior times "
                f"{sorted(interior)}"
            )


def _predict(process: Process, train: Snapshots, time: float, seed: int) -> np.ndarray:
    k = train.gap_of(time)
    path = models.simulate(
        process, train.x[k], (train.times[k], time), generator=torch.Generator().manual_seed(seed)
    )
    return path.x[-1].numpy()


def _trivial(train: Snapshots, time: float, seed: int) -> dict[str, np.ndarray]:
    k = train.gap_of(time)
    s = (time - train.times[k]) / train.gaps[k]
    before, after = train.x[k].numpy(), train.x[k + 1].numpy()
    plan = exact_matching(before, after, train.weights[k].numpy(), train.weights[k + 1].numpy())
    rng = np.random.default_rng(seed)
    n = len(before)
    pair = rng.choice(plan.size, n, p=plan.ravel() / plan.sum())
    i, j = np.divmod(pair, plan.shape[1])
    return {
        "previous": before,
        "next": after,
        "mixture": np.concatenate(
            [before[rng.random(n) > s], after[rng.random(len(after)) < s]]
        ),
        "displacement": (1 - s) * before[i] + s * after[j],
    }
