"""Extend a fitted bridge or flow by snapshots that arrived since."""

from __future__ import annotations

import logging
import time
from typing import Any

from anndata import AnnData

from celltraj._anndata import bridge_record, flow_record, options_record, warn_of_view
from celltraj._anndata.arrived import Arrived
from celltraj._anndata.results import BRIDGE, FLOW
from celltraj._checks import checked
from celltraj.models import Bridge, FlowMatching, Process, Training
from celltraj.models.update.update import Replayed, updatable
from celltraj.models.update.update import update as updated_by

logger = logging.getLogger("celltraj")


@checked
def update(
    adata: AnnData,
    model: Process,
    *,
    time_key: str = "time",
    use_rep: str | None = None,
    replay: Replayed = "cells",
    training: Training = Training(),
    key_added: str | None = None,
    seed: int = 0,
    progress: bool = True,
) -> Bridge | FlowMatching:
    """Continual learning: extend a fitted bridge or flow by snapshots that arrived after its last.

    Only the gaps that are new are coupled, by the noise and the law of motion that the model has.
    A network grows by an input for each snapshot, in such a way that it says of every time before
    the end of its course what it said, and is then trained by

    ``loss = share of new gaps: |rate - rate of paths|^2 + ..., of the rest: |output - output of the
    model|^2``

    on paths through the new gaps and on its own predictions along the old ones, without which it
    would forget them. The drift of a bridge without a network follows from the couplings: its
    update is exact, and old gaps stay as they are to the last digit.

    Parameters
    ----------
    adata
        Cells of the new times, and of the old ones as ``replay`` says.
    model
        The bridge or flow, of :func:`celltraj.tl.fit_bridge`, :func:`celltraj.tl.fit_flow`, an
        update or a file; it is not changed.
    time_key
        Column of ``obs`` with the sampling times, in the unit of the fit.
    use_rep
        ``"X"`` or a key of ``obsm``; by default the one that the model was fitted in, and no other.
    replay
        What a flow is shown of its old course. ``"cells"`` (default): the cells that it was fitted
        to, which ``adata`` holds besides the new ones, each carried over its gap by the flow.
        ``"model"``: nothing but the flow, for cells that may not travel; cells of the first time
        are drawn from the means, standard deviations and score that it knows, and carried through
        the course, also to the gap that is new. It is less exact where the first snapshot is far
        from Gaussian. A bridge holds its own cells and takes none from ``adata``; those that are
        there must be the same.
    training
        How the network is trained, see :class:`celltraj.models.Training`: by default for 500 steps
        of 256 points. Its width is that of the model, whatever ``training`` says.
    key_added
        Name of the result; by default ``"bridge"`` or ``"flow"``, as the model is.
    seed
        Seed of everything random.
    progress
        Whether to show progress bars.

    Returns
    -------
    A model of the same class over all times, whose ``parent`` is the digest of the old one.
    Written as by a fit: ``obsm["{key}_velocity"]`` ([x]/[t]) of all cells of ``adata`` and
    ``uns["celltraj"][key]``, with ``replay`` and ``parent`` among its params.

    Warns
    -----
    FitWarning
        Trajectories miss a snapshot by more than 1.5 times the distance of its random halves; with
        ``replay="model"`` old snapshots are those that the old flow simulates.
    ImplicitModificationWarning
        ``adata`` is a view: it becomes an AnnData of its own, its parent gets nothing.

    Raises
    ------
    TypeError
        ``adata`` is not an AnnData, or ``model`` neither a bridge nor a flow.
    KeyError
        A named column or representation does not exist.
    ValueError
        The cells are in another space or unit of time than those of the fit, less than 50 of a
        time, or those of the last time once more; a new time does not come after all old ones, old
        cells are missing or were not in the fit (a donor that arrives: fit to all); or the model
        cannot be updated: paths fitted to all times together or without noise, noise that depends
        on the state, a population that was counted. The message says which call does it.
    ConvergenceError
        ``sigma`` of the model is too small for the solver to couple a new gap.
    TrainingError
        The loss became NaN. ``adata`` is unchanged by any of these.

    Notes
    -----
    The law of motion of paths or of a bridge is the one that old snapshots told: it is not fitted
    again. Growth is carried on: the rate of a state is what the model knows of it, and a model
    without growth stays without. The couplings of new gaps hold both of their snapshots; penalties
    of a fit are not taken again. An updated model has seen every snapshot, so that
    :func:`celltraj.tl.cross_validate` refuses it. Errors of updates upon updates add up: fit anew
    now and then.

    References
    ----------
    Li & Hoiem, *Learning without forgetting* (2016); Shin et al., *Continual learning with deep
    generative replay* (2017).

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=60, seed=0)
    >>> before = adata[adata.obs["time"] < 4].copy()
    >>> bridge = ct.tl.fit_bridge(before, training=None, progress=False)
    >>> longer = ct.tl.update(adata, bridge, progress=False)
    >>> bridge.span, longer.span
    ((0.0, 3.0), (0.0, 4.0))
    """
    start = time.perf_counter()
    known = updatable(model)
    result = BRIDGE if isinstance(known, Bridge) else FLOW
    key = result.key if key_added is None else key_added
    result.claim(adata, key)
    arrived = Arrived.of(adata, known, time_key=time_key, use_rep=use_rep)
    updated = updated_by(
        known,
        arrived.arrival,
        replay=replay,
        training=training.for_variables(arrived.arrival.space.variables),
        seed=seed,
        progress=progress,
    )
    params = {
        "time_key": time_key,
        "use_rep": arrived.use_rep,
        "replay": replay,
        "parent": updated.parent,
        "training": options_record(training),
    }
    velocity = {f"{key}_velocity": arrived.velocity(updated)}
    warn_of_view(adata)
    result.write(adata, key, _record(updated, params, seed), velocity, source=arrived.source)
    seconds = time.perf_counter() - start
    logger.info("update to times %s, %.1f s", list(arrived.arrival.times), seconds)
    return updated


def _record(model: Bridge | FlowMatching, params: dict[str, Any], seed: int) -> dict[str, Any]:
    if isinstance(model, Bridge):
        return bridge_record(model, params, seed)
    return flow_record(model, params, seed)
