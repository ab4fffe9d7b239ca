"""Fit a flow through all snapshots of an AnnData."""

from __future__ import annotations

import logging
import time
from dataclasses import replace

import torch
from anndata import AnnData

from celltraj import models
from celltraj._anndata import (
    cell_velocity,
    flow_record,
    options_record,
    read_snapshots,
    read_times,
    variables_of,
    warn_of_view,
)
from celltraj._anndata.results import FLOW
from celltraj._anndata.source import Source
from celltraj._checks import check_option, checked
from celltraj._errors import ConvergenceError
from celltraj._typing import Counts
from celltraj.models import (
    BrownianBridgeInterpolant,
    FlowMatching,
    FlowTraining,
    Interpolant,
    ReferenceInterpolant,
    TrainerOptions,
)
from celltraj.models._representation import Representation
from celltraj.ot import Solver, Unbalanced
from celltraj.snapshots import Snapshots

logger = logging.getLogger("celltraj")


# of the ten pairs tried the one that all data sets of the benchmark together do best with
TAU_A, TAU_B = 0.97, 0.99


@checked
def fit_flow(
    adata: AnnData,
    *,
    time_key: str = "time",
    use_rep: str | None = None,
    interpolant: Interpolant | None = None,
    sigma: float | None = None,
    coupling: Solver | None = None,
    training: FlowTraining | None = None,
    max_epochs: int | None = None,
    trainer: TrainerOptions | None = None,
    growth_key: str | None = None,
    counts: Counts = "proportions",
    weights_key: str | None = None,
    key_added: str | None = None,
    seed: int = 0,
    progress: bool = True,
) -> FlowMatching:
    """Learn velocity and score of one flow through all snapshots.

    ``dx = v(t, x) dt`` carries the cells of each snapshot to the next while their mass changes at
    the rate ``g(t, x)``; with ``v + noise^2/2 score`` an SDE of any noise has the same marginals.
    Neighbouring snapshots are coupled once; chains of cells along the couplings are joined by the
    interpolant, whose mean velocity, score and growth are learned.

    Parameters
    ----------
    adata
        Cells of all times.
    time_key
        Column of ``obs`` with the sampling times; their unit is kept everywhere.
    use_rep
        ``"X"`` or a key of ``obsm``; by default ``X_pca``, or ``X`` with at most 50 variables.
    interpolant
        Paths between cells. ``ReferenceInterpolant()`` (default) follows one law of motion that is
        learned from all snapshots together; ``SplineInterpolant()`` is smooth and asks for no such
        law; ``BrownianBridgeInterpolant()`` (default with two snapshots, where one gap alone tells
        no law) makes the flow a Schroedinger bridge; others in :mod:`celltraj.models`.
    sigma
        Noise of couplings and paths, in [x]/sqrt([t]); by default a hundredth of the mean squared
        displacement per unit of time goes to noise, see :func:`celltraj.models.default_sigma`.
    coupling
        Coupling solver. By default ``ct.ot.Unbalanced(tau_a=0.97, tau_b=0.99)``: cells may have
        more or fewer descendants than others, for a price, so that a population that outgrows
        another need not be explained by cells that change sides. ``ct.ot.solve`` keeps the mass of
        every cell.
    training
        How the network is trained, see :class:`celltraj.models.FlowTraining`.
    max_epochs
        Passes over the cells, in place of the steps that ``training`` asks for.
    trainer
        Device, precision, checkpoints and logger, see :class:`celltraj.models.TrainerOptions`.
    growth_key
        Column of ``obs`` with the net growth that is expected of each cell, per unit of time, such
        as that of :func:`celltraj.pp.score_growth`; none by default.
    counts
        What the numbers of cells mean. ``"proportions"``: nothing, cells are sampled;
        ``"population"``: the population itself was counted, so that it grows as the numbers do; or
        its size at each time, in any unit: a dict or Series by time (numbers or labels), such as
        ``value_counts()``, in any order; a plain list in the order of the times.
    weights_key
        Column of ``obs`` with non-negative cell weights; uniform by default.
    key_added
        Name of the record, ``"flow"`` by default.
    seed
        Seed of everything random.
    progress
        Whether to show progress bars.

    Returns
    -------
    The flow, an ODE until ``flow.with_noise(...)`` or ``ct.tl.simulate(..., noise=...)``. Written,
    only once all is computed: ``obsm["X_{key}_velocity"]`` ([x]/[t]) and
    ``uns["celltraj"][key]`` (params, version, seed, time_points, history).

    Warns
    -----
    DataWarning
        Few, constant or duplicate cells.
    ImplicitModificationWarning
        ``adata`` is a view: it becomes an AnnData of its own, its parent gets nothing.

    Raises
    ------
    TypeError
        ``adata`` is not an AnnData, or ``interpolant``, ``coupling``, ``training`` or ``trainer`` a
        class or a text and not such an object.
    KeyError
        A named column or representation does not exist.
    ValueError
        The data cannot carry a flow; the message says why.
    ConvergenceError
        ``sigma`` is too small for the solver to couple a gap.
    TrainingError
        The loss became NaN; its ``result`` holds the last good network. ``adata`` is unchanged by
        any of these.

    References
    ----------
    Albergo, Boffi & Vanden-Eijnden, *Stochastic interpolants* (2023), arXiv 2303.08797; Tong et
    al. (2023), arXiv 2302.00482.

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=50, seed=0)
    >>> short = ct.models.FlowTraining(max_steps=50)
    >>> flow = ct.tl.fit_flow(adata, training=short, progress=False)
    >>> adata.obsm["X_flow_velocity"].shape == adata.shape
    True
    """
    start, key = time.perf_counter(), key_added or "flow"
    snapshots, use_rep = read_snapshots(
        adata,
        time_key=time_key,
        use_rep=use_rep,
        weights_key=weights_key,
        growth_key=growth_key,
        counts=counts,
    )
    FLOW.claim(adata, key)
    generator = torch.Generator().manual_seed(seed)
    if sigma is not None and not 0 < sigma < float("inf"):
        raise ValueError(f"sigma must be positive and finite; found {sigma}")
    value = models.default_sigma(snapshots, generator=generator) if sigma is None else sigma
    interpolant = _default_paths(snapshots) if interpolant is None else interpolant
    coupling = Unbalanced(tau_a=TAU_A, tau_b=TAU_B) if coupling is None else coupling
    check_option(interpolant, Interpolant, "interpolant", "ct.models.SplineInterpolant()")
    names = variables_of(adata, use_rep)
    training = _training(training, max_epochs, trainer, names)
    try:
        flow = models.fit_flow(
            snapshots,
            interpolant,
            sigma=value,
            solver=coupling,
            training=training,
            generator=generator,
            progress=progress,
        )
    except ConvergenceError as error:
        raise ConvergenceError(
            f"no flow found with sigma={value:.3g}; pass a larger sigma=. {error}", error.result
        ) from error
    flow = replace(flow, representation=Representation.of(use_rep, names, snapshots))
    params = {
        "time_key": time_key,
        "use_rep": use_rep,
        "interpolant": options_record(flow.interpolant),
        "sigma": value,
        "sigma_source": "estimated" if sigma is None else "given",
        "coupling": options_record(coupling),
        "training": options_record(training),
        "growth_key": growth_key,
        "counts": counts if isinstance(counts, str) else "given",
        "weights_key": weights_key,
    }
    velocity = cell_velocity(flow, snapshots, read_times(adata, time_key))
    source, record = Source.of(adata, time_key, use_rep), flow_record(flow, params, seed)
    warn_of_view(adata)
    FLOW.write(adata, key, record, {f"X_{key}_velocity": velocity}, source=source)
    logger.info(
        "flow through %d snapshots: sigma %.4g, %d steps, %.1f s",
        len(snapshots.times),
        value,
        len(flow.history),
        time.perf_counter() - start,
    )
    return flow


def _default_paths(snapshots: Snapshots) -> Interpolant:
    has_other_gaps = len(snapshots.gaps) > 1
    return ReferenceInterpolant() if has_other_gaps else BrownianBridgeInterpolant()


def _training(
    training: FlowTraining | None,
    max_epochs: int | None,
    trainer: TrainerOptions | None,
    names: tuple[str, ...],
) -> FlowTraining:
    """Return the training with what was given beside it, and the variables for a checkpoint."""
    training = FlowTraining() if training is None else training
    check_option(training, FlowTraining, "training", "ct.models.FlowTraining(max_steps=2000)")
    if max_epochs is not None:
        training = replace(training, max_steps=None, max_epochs=max_epochs)
    trainer = training.trainer if trainer is None else trainer
    check_option(trainer, TrainerOptions, "trainer", "ct.models.TrainerOptions()")
    return replace(training, trainer=replace(trainer, variables=trainer.variables or names))
