"""Find out in a minute what to fit."""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

import pandas as pd
from anndata import AnnData

from celltraj._anndata import read_snapshots
from celltraj._checks import checked
from celltraj._parallel import mapped
from celltraj.models import BrownianBridgeInterpolant, FlowOptions, SplineInterpolant
from celltraj.models.evaluation import DISPLACEMENT, STRAIGHT, Advice, Finding, Survey
from celltraj.ot import Unbalanced
from celltraj.tl._fit_flow import fit_flow
from celltraj.tl._previews import flow_preview

logger = logging.getLogger("celltraj")

_SOFT = FlowOptions(coupling=Unbalanced(tau_a=0.97, tau_b=0.99))
# each candidate, the default first, and how its options are typed
_CANDIDATES: dict[str, tuple[dict[str, Any], str]] = {
    "flow": ({}, ""),
    "flow, balanced": ({"growth": None}, "growth=None"),
    "flow, soft plans": (
        {"options": _SOFT},
        "options=ct.models.FlowOptions(coupling=ct.ot.Unbalanced(tau_a=0.97, tau_b=0.99))",
    ),
    "splines": (
        {"interpolant": SplineInterpolant()},
        "interpolant=ct.models.SplineInterpolant()",
    ),
    STRAIGHT: (
        {"interpolant": BrownianBridgeInterpolant()},
        "interpolant=ct.models.BrownianBridgeInterpolant()",
    ),
}


@checked
def which_model(
    adata: AnnData,
    *,
    time_key: str = "time",
    use_rep: str | None = None,
    n_cells: int = 300,
    n_draws: int = 3,
    seed: int = 0,
    progress: bool = True,
) -> pd.DataFrame:
    """Model selection: find out in a minute, without training, what to fit to these snapshots.

    Every inner time is left out in turn (of ten times or more five of them, spread), and its cells
    are predicted from the three snapshots on each side. Flows are judged by the paths that their
    networks would learn, which predict within some per cent as the trained flow does.

    Parameters
    ----------
    adata
        Cells of all times; not changed.
    time_key
        Column of ``obs`` with the sampling times
    use_rep
        ``"X"`` or a key of ``obsm``; by default ``X_pca``, or ``X`` with at most 50 variables.
    n_cells
        Cells of each snapshot that are used at most.
    n_draws
        How often chains of cells are drawn anew.
    seed
        Seed of everything random.
    progress
        Whether to show progress bars.

    Returns
    -------
    One row for the floor (random halves of the held-out cells), each prediction without a model
    (those of :func:`celltraj.tl.cross_validate`) and each candidate: ``flow`` (``fit_flow`` as it
    is), ``flow, balanced``, ``flow, soft plans``, ``splines``, ``straight lines``. What to do, in
    words, is ``.attrs["advice"]``, also said by the logger. Columns:

    - method; kind, ``"floor"``, ``"trivial"`` or ``"candidate"``; call, what to type;
    - W1, energy: mean distances over held-out times; W1_sd, the standard deviation of the former
      over draws;
    - excess, energy_excess: ``(d - floor) / (d_best - floor)`` with the best row without a model,
      picked afterwards: below 1 is better than all of them, NaN where that row is at the floor;
    - variance_ratio: total variance of predicted over true cells. W1 rewards narrow predictions in
      many dimensions, the energy distance does not: below 1 beside a low W1 is suspicious;
    - won: at how many of the n_held_out times it is nearer than the best row without a model;
    - margin: by how many standard errors over held-out times it is nearer than ``flow``;
    - recommended. ``flow`` is, unless another candidate (``displacement`` among them, as
      interpolation along transport) has less W1 by 5 % of what ``flow`` has above the floor and by
      more than a standard error, and no more energy distance.

    With two times nothing can be left out: all numbers are NaN and the advice says so.

    Raises
    ------
    TypeError
        ``adata`` is not an AnnData.
    KeyError
        A named column or representation does not exist.
    ValueError
        ``n_cells`` or ``n_draws`` is less than 2, or 1, or there is but one time.
    ConvergenceError
        A gap could not be coupled.

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=60, seed=0)
    >>> adata = adata[adata.obs["time"] < 4].copy()
    >>> table = ct.tl.which_model(adata, n_draws=1, progress=False)
    >>> table["method"].tolist()[-2:]
    ['splines', 'straight lines']
    >>> table.loc[table["recommended"], "call"].item() in table.attrs["advice"]
    True
    """
    if n_cells < 2 or n_draws < 1:
        raise ValueError(
            f"n_cells must be at least 2 and n_draws at least 1; found {n_cells} and {n_draws}"
        )
    whole, _ = read_snapshots(adata, time_key=time_key, use_rep=use_rep)
    few = whole.at_most(n_cells, seed=seed)
    fits = {name: partial(fit_flow, **options) for name, (options, _) in _CANDIDATES.items()}
    survey = Survey(few, {name: flow_preview(fit) for name, fit in fits.items()}, n_draws, seed)
    judged = mapped(
        _judged,
        ((time,) for time in survey.times),
        n_tasks=len(survey.times),
        what=("held out", "time"),
        shared=(survey,),
        progress=progress,
    )
    findings = [one for part in judged for one in part]
    advice = Advice(findings, whole, _calls(time_key, use_rep))
    table, sentence = advice.table(), advice.sentence()
    table.attrs["advice"] = sentence
    logger.info(sentence)
    return table


def _judged(survey: Survey, time: float) -> list[Finding]:
    return list(survey.judge(time))


def _calls(time_key: str, use_rep: str | None) -> dict[str, str]:
    """Return what to type for each candidate on these cells."""
    keys = [] if time_key == "time" else [f"time_key={time_key!r}"]
    keys += [] if use_rep is None else [f"use_rep={use_rep!r}"]
    calls = {
        name: f"ct.tl.fit_flow({', '.join(['adata', *keys, *([typed] if typed else [])])})"
        for name, (_, typed) in _CANDIDATES.items()
    }
    couple = f"ct.tl.couplings({', '.join(['adata', *keys])})"
    return calls | {DISPLACEMENT: f"{couple} and ct.tl.interpolate(adata, time=...)"}
