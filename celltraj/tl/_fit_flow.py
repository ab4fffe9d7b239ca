"""Fit a flow through all snapshots of an AnnData."""

from __future__ import annotations

import logging
import time
from dataclasses import replace

import torch
from anndata import AnnData

from celltraj import models
from celltraj._anndata import flow_record, options_record, recorded
from celltraj._anndata.course import Course
from celltraj._anndata.needs import check_flow
from celltraj._anndata.results import FLOW
from celltraj._checks import checked
from celltraj._errors import ConvergenceError
from celltraj._typing import Counts
from celltraj.models import (
    FlowMatching,
    FlowOptions,
    Interpolant,
    ReferenceInterpolant,
    Training,
)
from celltraj.models.course import default_paths
from celltraj.models.growth.convention import GrowthModel, with_growth

logger = logging.getLogger("celltraj")


@checked
def fit_flow(
    adata: AnnData,
    *,
    time_key: str = "time",
    use_rep: str | None = None,
    interpolant: Interpolant | None = None,
    sigma: float | None = None,
    growth: GrowthModel = "auto",
    growth_key: str | None = None,
    counts: Counts = "proportions",
    options: FlowOptions | None = None,
    training: Training = Training(),
    key_added: str = "flow",
    seed: int = 0,
    progress: bool = True,
) -> FlowMatching:
    """Flow matching: learn velocity and score of one flow through all snapshots.

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
        law; ``BrownianBridgeInterpolant()`` (default with two snapshots or less than 40 cells in
        one, which tell no law) makes the flow a Schroedinger bridge; others in
        :mod:`celltraj.models`.
    sigma
        Noise of couplings and paths, in [x]/sqrt([t]); by default a hundredth of the mean squared
        displacement per unit of time goes to noise, see :func:`celltraj.models.default_sigma`.
    growth
        How much cells divide and die. ``"auto"`` (default): at a rate that belongs to a state and
        is the same at all times, as far as gaps foretell each other by it and enough trajectories
        stay effective, else, and with two times, not at all; where ``growth_key`` or soft plans say
        it, only as they do. ``ct.models.LearnedGrowth(...)`` learns it in any case, on top of
        ``growth_key``. None: as ``growth_key`` expects, else not at all.
    growth_key
        Column of ``obs`` with the net growth that is expected of each cell, per unit of time, such
        as that of :func:`celltraj.pp.score_growth`; none by default.
    counts
        What the numbers of cells mean. ``"proportions"``: nothing, cells are sampled;
        ``"population"``: the population itself was counted, so that it grows as the numbers do; or
        its size at each time, in any unit: a dict or Series by time (numbers or labels), such as
        ``value_counts()``, in any order; a plain list in the order of the times.
    options
        How cells are coupled, and what the flow should be besides right, see
        :class:`celltraj.models.FlowOptions`.
    training
        How the network is trained, see :class:`celltraj.models.Training`.
    key_added
        Name of the result.
    seed
        Seed of everything random.
    progress
        Whether to show progress bars.

    Returns
    -------
    The flow: an ODE, or an SDE of the noise of its paths where that brings trajectories nearer to
    the snapshots; ``flow.with_noise(...)`` or ``ct.tl.simulate(..., noise=...)`` choose any other.
    ``flow.passages``, ``ct.get.convergence`` in a file, tell how trajectories from the first
    snapshot meet each later one. Written, only once all is computed: ``obsm["{key}_velocity"]``
    ([x]/[t]) and ``uns["celltraj"][key]`` (params, version, seed, time_points, convergence,
    history).

    Warns
    -----
    DataWarning
        Few, constant or duplicate cells.
    FitWarning
        Trajectories miss a snapshot by more than 1.5 times the distance of its random halves, or
        less than half of them carry the mass; fewer than 50 cells of a time, or two times, of which
        little can be learned.
    ImplicitModificationWarning
        ``adata`` is a view: it becomes an AnnData of its own, its parent gets nothing.

    Raises
    ------
    TypeError
        ``adata`` is not an AnnData, or ``interpolant``, ``options`` or ``training`` a class or a
        text and not such an object.
    KeyError
        A named column or representation does not exist.
    ValueError
        The data cannot carry a flow; the message says why.
    MemoryError
        It would take more than :func:`celltraj.memory_limit` allows.
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
    >>> short = ct.models.Training(max_steps=50)
    >>> flow = ct.tl.fit_flow(adata, training=short, progress=False)
    >>> adata.obsm["flow_velocity"].shape == adata.shape
    True
    """
    start, key = time.perf_counter(), key_added
    options = FlowOptions() if options is None else options
    if sigma is not None and not 0 < sigma < float("inf"):
        raise ValueError(f"sigma must be positive and finite; found {sigma}")
    course = Course.of(
        adata, time_key=time_key, use_rep=use_rep, growth_key=growth_key, counts=counts
    )
    check_flow(course.observed, options)
    representation = course.surveyed(FLOW, key)
    snapshots = course.observed.drawn(options.max_cells, seed)
    generator = torch.Generator().manual_seed(seed)
    value = models.default_sigma(snapshots, generator=generator) if sigma is None else sigma
    grown, found = with_growth(
        snapshots, growth, sigma=value, coupling=options.coupling, progress=progress
    )
    try:
        flow = models.fit_flow(
            grown,
            default_paths(snapshots) if interpolant is None else interpolant,
            sigma=value,
            options=options,
            training=training.for_variables(course.variables),
            generator=generator,
            progress=progress,
        )
    except ConvergenceError as error:
        raise ConvergenceError(
            f"no flow found with sigma={value:.3g}; pass a larger sigma=. {error}", error.result
        ) from error
    flow = replace(flow, representation=representation)
    params = {
        "interpolant": options_record(flow.interpolant),
        "sigma": value,
        "sigma_source": "estimated" if sigma is None else "given",
        "law": _law_in_words(flow),
        "options": options_record(options),
        "training": options_record(training),
        "growth": recorded(growth),
        "growth_found": found,
    }
    course.write(FLOW, key, flow_record(flow, course.params | params, seed), flow)
    _log(flow, value, time.perf_counter() - start)
    return flow


def _law_in_words(flow: FlowMatching) -> str | None:
    paths = flow.interpolant
    return paths.in_words if isinstance(paths, ReferenceInterpolant) else None


def _log(flow: FlowMatching, sigma: float, seconds: float) -> None:
    logger.info(
        "flow through %d snapshots: sigma %.4g, %d steps, %.1f s",
        len(flow.times),
        sigma,
        len(flow.losses),
        seconds,
    )
