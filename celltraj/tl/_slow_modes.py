"""Tell what is slow: modes, sets of cells that stay together, and how fast they mix."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from anndata import AnnData

from celltraj._anndata import (
    annotated,
    has_column,
    read_lineage,
    read_space,
    read_times,
    sample_record,
    time_key_of_model,
)
from celltraj._anndata.results import SLOW_MODES
from celltraj._anndata.slow_modes import (
    crossings_table,
    labels_of_course,
    scales_table,
    set_column,
    sets_of_course,
    sets_of_law,
)
from celltraj._anndata.source import Source
from celltraj._checks import check_at_least, checked
from celltraj._errors import DataWarning, warn
from celltraj._typing import Time
from celltraj.models import Process
from celltraj.models.modes.coherent import coherent_modes
from celltraj.models.modes.course import coherent_sets
from celltraj.models.modes.law import check_without_time, law_modes
from celltraj.models.modes.scales import TimeScales

CONFIDENCE = 0.95  # of intervals


@checked
def slow_modes(
    adata: AnnData,
    model: Process | None = None,
    *,
    source: Time | None = None,
    target: Time | None = None,
    n_modes: int = 6,
    n_sets: int | None = None,
    key: str = "couplings",
    use_rep: str | None = None,
    key_added: str = "ct_modes",
    copy: bool = False,
    seed: int = 0,
    progress: bool = True,
) -> AnnData | None:
    r"""Metastable states: find what is slow, terminal and initial states without annotation.

    Without a model, coherent sets of couplings: with the joint plan ``P`` of two times, the product
    of the plans between them, and its sums ``a`` and ``b``, the singular values ``s_k`` of
    ``diag(a)^-1/2 P diag(b)^-1/2`` are the greatest correlations of functions of a cell with
    functions of its descendants, and ``-log s_k / (t1 - t0)`` the rates at which these are
    forgotten. With a law of motion without explicit time, eigenfunctions of its generator,
    ``b . grad psi + s^2 lap psi / 2 = mu psi``, with rates ``-Re mu`` and frequencies ``Im mu``.

    Cells are then gathered by their slowest modes into sets within which they mix fast and between
    which they change slowly.

    Parameters
    ----------
    adata
        Cells of all times.
    model
        A law without explicit time: ``PotentialLandscape``, ``OrnsteinUhlenbeck``,
        ``GeneRegulation``, ``KernelReference``, a simulator or a process of your own, such as the
        ``reference`` of a bridge. By default couplings are read; bridges and flows depend on time
        and have none but theirs.
    source, target
        Two sampling times, in the user's unit or as their labels, the first before the second; by
        default the first and the last. Of couplings alone.
    n_modes
        Modes to find, beside the constant one.
    n_sets
        Sets of cells, at most one more than modes; by default where the largest gap between rates
        lies, and a single one where no rate is 2.5 times the one before: even those of cells that
        are held in one place are as one to two.
    key
        Couplings to read, the ``key_added`` of :func:`celltraj.tl.couplings`; with a model their
        cells are not read.
    use_rep
        ``"X"`` or a key of ``obsm`` in which the model lives; by default the one that it was fitted
        in, else ``X_pca``, or ``X`` with at most 50 variables.
    key_added
        Name of the result.
    copy
        Whether to leave ``adata`` as it is and return an annotated copy.
    seed
        Seed of everything random.
    progress
        Whether to show progress bars.

    Returns
    -------
    None, or with ``copy=True`` the annotated copy. Written: ``obsm[key_added]`` (``(n_obs, K)``
    modes; before ``target`` the mean over descendants), ``obs[f"{key_added}_metastable"]`` (sets,
    named by their size), ``_terminal`` and ``_initial`` (the same at the last and the first time
    alone; of a law only sets that are likelier than not to be kept for as long as the time course
    are terminal), and ``uns["celltraj"][key_added]`` (params, version, seed, table of rates and
    times with intervals, sets, and of a law rates between sets), which
    :func:`celltraj.get.slow_modes` reads.

    Warns
    -----
    DataWarning
        No gap between rates tells sets apart.

    Raises
    ------
    KeyError
        There are no couplings, or no such representation.
    ValueError
        The model depends on time, or its cells divide and die, or nothing holds them; no cells at a
        time, ``source`` not before ``target`` or given with a model; fewer cells than modes, or
        than ten for each linear feature; an ``n_sets`` that is not between 1 and ``n_modes + 1``.

    Notes
    -----
    Where cells divide and die, those of couplings count by their descendants at ``target``. Mass
    that plans carry across, as entropic ones do, makes modes faster than those of the cells.

    Modes of a law are made of linear, quadratic and Gaussian features, chosen by cells that were
    left out. They tell sets apart well, and overstate how fast a high barrier is crossed by factors
    of 2 to 10: rates between sets are therefore those of simulated crossings between their cores,
    and ``by`` in the table says which number is which.

    Intervals, of 95 %, are those of cells drawn anew: of couplings with plans that answer to it, of
    a law with the law and the features as they are; how far these are off, they do not say. Those
    of crossings are of the counts.

    References
    ----------
    Froyland, *An analytic framework for identifying finite-time coherent sets* (2013); Wu & Noe,
    *Variational approach for learning Markov processes* (2020); Klus et al., *Data-driven
    approximation of the Koopman generator* (2020).

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=100, seed=0)
    >>> ct.tl.couplings(adata, progress=False)
    >>> ct.tl.slow_modes(adata, progress=False)
    >>> adata.obs["ct_modes_terminal"].cat.categories.tolist()
    ['0', '1']
    """
    SLOW_MODES.claim(adata, key_added)
    check_at_least(1, n_modes=n_modes)
    _check_sets(n_sets, n_modes)
    options = _Options(n_modes, n_sets)
    generator = torch.Generator().manual_seed(seed)
    if model is None:
        if use_rep is not None:
            raise ValueError(
                "use_rep= says where a model lives, and couplings know theirs; leave it out, or "
                "pass the model"
            )
        made = _of_couplings(
            adata, key, (source, target), options, generator, key_added, progress=progress
        )
    else:
        if source is not None or target is not None:
            raise ValueError(
                "source= and target= are times of couplings, and a law without explicit time is "
                "the same at all; leave them out, or leave model= out"
            )
        made = _of_law(adata, model, use_rep, options, generator, key_added, progress=progress)
    if made.n_sets == 1 and n_sets is None:
        warn(
            "no gap between the rates of these modes tells sets of cells apart: all cells are of "
            "one. n_sets= asks for more all the same",
            DataWarning,
        )
    adata = annotated(adata, copy)
    record = sample_record(made.params, seed) | made.tables
    SLOW_MODES.write(adata, key_added, record, made.columns, source=made.source)
    return adata if copy else None


class _Options(NamedTuple):
    """Hold how many modes and sets were asked for."""

    n_modes: int
    n_sets: int | None


class _Made(NamedTuple):
    """Hold what is to be written."""

    params: dict[str, Any]
    tables: dict[str, Any]
    columns: dict[str, Any]
    source: Source
    n_sets: int


def _check_sets(n_sets: int | None, n_modes: int) -> None:
    if n_sets is not None and not 1 <= n_sets <= n_modes + 1:
        raise ValueError(
            f"n_sets must lie between 1 and n_modes + 1 = {n_modes + 1}; found {n_sets}"
        )


def _of_couplings(
    adata: AnnData,
    key: str,
    ends: tuple[Time | None, Time | None],
    options: _Options,
    generator: torch.Generator,
    name: str,
    *,
    progress: bool,
) -> _Made:
    """Return coherent modes and sets."""
    tied = read_lineage(adata, key)
    times = tied.lineage.times
    start, stop = (
        usual if one is None else tied.times_of(adata, one)[0]
        for one, usual in zip(ends, (times[0], times[-1]), strict=True)
    )
    modes = coherent_modes(
        tied.lineage, start, stop, options.n_modes, generator=generator, progress=progress
    )
    sets = coherent_sets(tied.lineage, modes, n_sets=options.n_sets, generator=generator)
    first, last = tied.lineage.span(start, stop)
    there = dict(enumerate(tied.rows[first : last + 1], first))
    labels = labels_of_course(there, sets, adata.n_obs)
    at = [np.isin(np.arange(adata.n_obs), tied.rows[k]) for k in (last, first)]
    scales = TimeScales.of_couplings(modes, CONFIDENCE)
    tables = {
        "table": scales_table([scales], modes.values),
        "sets": sets_of_course(sets, modes.times),
    }
    values = dict(zip(there, modes.functions, strict=True))
    columns = {name: tied.column(adata.n_obs, values, len(modes.values))}
    columns |= _set_columns(name, labels, sets.n_sets, at[0], at[1])
    params = {
        "couplings": tied.name,
        "time_key": tied.time_key,
        "source": start,
        "target": stop,
        **options._asdict(),
    }
    return _Made(params, tables, columns, tied.source, sets.n_sets)


def _of_law(
    adata: AnnData,
    model: Process,
    use_rep: str | None,
    options: _Options,
    generator: torch.Generator,
    name: str,
    *,
    progress: bool,
) -> _Made:
    """Return modes, sets and rates of a law of motion."""
    time_key: str | None = time_key_of_model(adata, model)
    time_key = time_key if has_column(adata, time_key) else None
    use_rep, states = read_space(adata, model, use_rep, time_key)
    times = np.zeros(adata.n_obs) if time_key is None else read_times(adata, time_key)
    x, ends = torch.from_numpy(states), (times.min(), times.max())
    check_without_time(model, x, [ends[0], times.mean(), ends[1]])
    law = law_modes(
        model,
        x,
        options.n_modes,
        n_sets=options.n_sets,
        generator=generator,
        progress=progress,
    )
    scales = [TimeScales.of_features(law.modes, CONFIDENCE)]
    tables: dict[str, Any] = {}
    if law.crossings is not None:
        crossed = TimeScales.of_crossings(law.crossings, CONFIDENCE, generator=generator)
        scales.append(crossed)
        tables["rates"] = crossings_table(law.crossings, CONFIDENCE)
    tables["table"] = scales_table(scales)
    labels, duration = law.labels.numpy(), float(ends[1] - ends[0])
    tables["sets"] = sets_of_law(labels, times, law.stays(duration))
    there = (None, None)
    if duration:
        there = (times == ends[1]) & law.is_terminal(duration).numpy()[labels], times == ends[0]
    columns = {name: law.functions.numpy().astype(np.float32)}
    columns |= _set_columns(name, labels, law.sets.n_sets, *there)
    params = {
        "model": type(model).__name__,
        "reversible": law.is_reversible,
        "time_key": time_key,
        "use_rep": use_rep,
        **options._asdict(),
    }
    source = Source.of(adata, time_key, use_rep)
    return _Made(params, tables, columns, source, law.sets.n_sets)


def _set_columns(
    name: str,
    labels: np.ndarray,
    n_sets: int,
    is_terminal: np.ndarray | None,
    is_initial: np.ndarray | None,
) -> dict[str, Any]:
    """Return the columns with the sets of all cells, and of those at either end."""
    columns = {f"{name}_metastable": set_column(labels, n_sets)}
    for end, there in (("terminal", is_terminal), ("initial", is_initial)):
        if there is not None:
            columns[f"{name}_{end}"] = set_column(labels, n_sets, there)
    return columns
