"""The network of a circuit that was fitted to snapshots."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import numpy as np
import pandas as pd
import torch
from anndata import AnnData

from celltraj._checks import checked
from celltraj._parallel import mapped, one_thread
from celltraj.models import Bridge, GeneRegulation, Refinement, refine
from celltraj.models.process import reference_of
from celltraj.models.references import allowed_edges
from celltraj.ot import Solver, solve


@checked
def regulation(
    adata: AnnData,
    model: Bridge,
    *,
    n_bootstrap: int = 20,
    coupling: Solver = solve,
    n_jobs: int = -1,
    seed: int = 0,
    progress: bool = True,
) -> pd.DataFrame:
    """Gene regulatory network: return the edges of a fitted circuit, with how sure their signs are.

    ``W_ij`` of :class:`celltraj.models.GeneRegulation`. The confidence is the share of Bayesian
    bootstrap draws in which the edge is there with the same sign: cells get exponential weights,
    and as many rounds of refinement as the bridge had begin anew. It tells how much an edge hangs
    on single cells, not whether it is causal: genes that move together, and hidden ones that move
    them, look alike in snapshots.

    Parameters
    ----------
    adata
        The data that the bridge was fitted to, for the names of the genes; not changed.
    model
        From ``ct.tl.fit_bridge(adata, use_rep="X", reference=ct.models.GeneRegulation())``.
    n_bootstrap
        Draws for the confidence; 0 leaves it NaN.
    coupling
        Coupling solver, such as ``ct.ot.solve``.
    n_jobs
        Processes, as in joblib; -1 for one on every core.
    seed
        Seed of the draws.
    progress
        Whether to show progress bars.

    Returns
    -------
    One row per edge whose weight is not zero, the strongest first: regulator, target, weight
    (input to the target's logistic at full effect, without unit), sign (1 activates, -1
    represses) and confidence (in [0, 1]).

    Raises
    ------
    TypeError
        The bridge stands on another family.
    ValueError
        ``adata`` has other variables than the bridge, or ``n_bootstrap`` is negative.

    References
    ----------
    Rubin, *The Bayesian bootstrap* (1981); Meinshausen & Buehlmann, *Stability selection* (2010).

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.repressilator_simulation(n_cells=40, seed=0)
    >>> bridge = ct.tl.fit_bridge(
    ...     adata, reference=ct.models.GeneRegulation(), sigma=0.1,
    ...     options=ct.models.BridgeOptions(refinement=ct.models.Refinement(max_rounds=2)),
    ...     training=None, progress=False,
    ... )
    >>> net = ct.tl.regulation(adata, bridge, n_bootstrap=2, n_jobs=1, progress=False)
    >>> list(net)
    ['regulator', 'target', 'weight', 'sign', 'confidence']
    """
    reference = reference_of(model)
    if not isinstance(reference, GeneRegulation):
        raise TypeError(
            f"{type(reference).__name__} has no genes that regulate each other; "
            "fit a bridge with ct.tl.fit_bridge(adata, reference=ct.models.GeneRegulation())"
        )
    if n_bootstrap < 0:
        raise ValueError(f"n_bootstrap must not be negative; found {n_bootstrap}")
    names = _gene_names(adata, model)
    weights = _weights(reference)
    family = replace(reference, production=None, degradation=None, bias=None, weights=None)
    work = mapped(
        _redrawn,
        ((k,) for k in range(n_bootstrap)),
        n_tasks=n_bootstrap,
        what=("bootstrap", "draw"),
        shared=(model, family, coupling, seed),
        n_jobs=n_jobs,
        progress=progress,
    )
    signs = list(work)
    agree = np.mean([s == np.sign(weights) for s in signs], 0) if signs else weights * np.nan
    target, regulator = np.nonzero(weights)
    table = pd.DataFrame(
        {
            "regulator": names[regulator],
            "target": names[target],
            "weight": weights[target, regulator],
            "sign": np.sign(weights[target, regulator]).astype(int),
            "confidence": agree[target, regulator],
        }
    )
    return table.sort_values("weight", key=abs, ascending=False, ignore_index=True)


def _gene_names(adata: AnnData, bridge: Bridge) -> np.ndarray:
    if adata.n_vars != bridge.snapshots.dim:
        raise ValueError(
            f"the bridge has {bridge.snapshots.dim} variables, adata {adata.n_vars}; pass the data "
            'that it was fitted to with use_rep="X"'
        )
    names: np.ndarray = adata.var_names.to_numpy()
    return names


def _weights(reference: GeneRegulation) -> np.ndarray:
    weights = reference.weights
    if weights is None:
        raise ValueError(
            "the circuit has no weights; fit it with options=ct.models.BridgeOptions(), whose "
            "refinement has max_rounds above 0"
        )
    kept: np.ndarray = weights.numpy() * allowed_edges(reference.edges, len(weights)).numpy()
    return kept


@one_thread()  # here as in a process of its own, so that both find the same
def _redrawn(
    bridge: Bridge, family: GeneRegulation, solver: Solver, seed: int, draw: int
) -> np.ndarray:
    """Return the signs of the weights that as many rounds find in reweighted cells."""
    generator = torch.Generator().manual_seed(seed * 1_000_003 + draw)
    cells = bridge.snapshots
    weights = tuple(
        w * -torch.rand(len(w), dtype=torch.float64, generator=generator).clamp(min=1e-300).log()
        for w in cells.weights
    )
    circuit, _ = refine(
        replace(cells, weights=weights),
        family,
        coupling=solver,
        refinement=Refinement(max_rounds=max(1, len(bridge.rounds) - 1)),
        generator=generator,
        progress=False,
    )
    signs: np.ndarray = np.sign(_weights(cast("GeneRegulation", circuit)))
    return signs
