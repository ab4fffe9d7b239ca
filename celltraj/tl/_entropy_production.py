"""Tell how much entropy cells produce along a law of motion."""

from __future__ import annotations

import logging

import numpy as np
from anndata import AnnData

from celltraj._anndata import (
    annotated,
    read_groups,
    read_projection,
    read_representation,
    read_space,
    read_times,
    sample_record,
    variables_of,
)
from celltraj._anndata.noise_source import told_noise
from celltraj._anndata.results import ENTROPY_PRODUCTION
from celltraj._anndata.source import Source
from celltraj._checks import checked
from celltraj.models import Brownian, FlowMatching, KernelReference, Process
from celltraj.models.embedding_velocity import projected_velocity
from celltraj.models.process import is_growing, reference_of
from celltraj.models.thermodynamics.snapshots import Produced, produced
from celltraj.tl._velocity import _embedding_name

logger = logging.getLogger("celltraj")
_N_NEIGHBORS = 30  # that an embedding looks at, as tl.velocity
_ORIGINS = {"given": "as given", "estimated": "as estimated", "law": "of the law itself"}
_FAMILY = (
    "currents that leave the density as it is are not in snapshots; what is told of them is what "
    "the {name} says"
)
_PLAIN = (
    "snapshots tell only the currents that move the density: a cycle that leaves it as it is gives "
    "0 here, whatever cells spend on it"
)


@checked
def entropy_production(
    adata: AnnData,
    model: Process,
    *,
    sigma: float | None = None,
    time_key: str = "time",
    use_rep: str | None = None,
    groupby: str | None = None,
    basis: str | None = None,
    confidence: float = 0.95,
    key_added: str = "ct_entropy_production",
    copy: bool = False,
    seed: int = 0,
    progress: bool = True,
) -> AnnData | None:
    """Entropy production: write at what rate cells dissipate along a law of motion, and where.

    ``E[v' D^-1 v]`` with ``D = sigma^2 / 2`` and the mean velocity ``v = b - D grad log p`` that is
    left of the drift ``b`` once diffusion is taken off: zero in equilibrium, ``2 w^2 / k`` where
    cells turn at ``w`` and are pulled at ``k``. The score ``grad log p`` of each snapshot is
    matched in closed form, for each cell by the others. With its error ``e >= 0`` the ``lower``
    estimate is the truth less ``e`` and, where the density is stationary, ``plug_in`` the truth
    plus ``e`` and ``middle`` free of it.

    Parameters
    ----------
    adata
        Cells of the times of the model.
    model
        A bridge whose ``sigma`` was given or estimated, a flow with noise, or any process with
        noise that is the same for all cells.
    sigma
        Diffusion in [x]/sqrt([t]) that a bridge was fitted with, to vouch for it where no record in
        ``adata`` says that it was given. The default one, a hundredth of the displacement, is
        refused: the rate goes as ``1 / sigma^2``.
    time_key
        Column of ``obs`` with the sampling times.
    use_rep
        ``"X"`` or a key of ``obsm``; by default the one that ``model`` was fitted in.
    groupby
        Column of ``obs`` with groups to report by as well; none by default.
    basis
        Embedding to show the currents in, such as ``"umap"`` for ``obsm["X_umap"]``; none by
        default.
    confidence
        Level of the intervals, over resampled cells.
    key_added
        Name of the result, a column of ``obs``.
    copy
        Whether to leave ``adata`` as it is and return an annotated copy.
    seed
        Seed of folds and draws.
    progress
        Whether to show progress bars.

    Returns
    -------
    None, or with ``copy=True`` the annotated copy. Written: ``obs[key_added]`` (``v' D^-1 v`` of
    each cell, in nats per [t]) and ``obsm["{key}_velocity"]`` (``v``, in [x]/[t]), NaN at times
    that the model does not tell; with a ``basis`` ``obsm["{key}_velocity_{basis}"]``, zero there,
    which ``ct.pl.stream(key=...)`` draws; ``uns["celltraj"][key_added]``: params (with
    ``sigma_source`` and ``scope``, what snapshots cannot say), version, seed, table by time,
    variables, with ``groupby`` groups and with loadings genes, which
    :func:`celltraj.get.entropy_production` reads.

    Raises
    ------
    KeyError
        A named column, representation or embedding does not exist.
    ValueError
        The default sigma, one that nothing tells the origin of, or another than the model's; a
        model that grows, or has no noise or noise that depends on the state; too few cells.

    Notes
    -----
    At the last time of a fitted model, after which it knows no drift, nothing is told. ``least`` is
    the mean rate that any law needs between two snapshots, ``W2^2 / gap^2`` in the metric of
    ``D^-1`` (Benamou & Brenier), of their Gaussian parts: a ``lower`` far below it says that the
    model does not carry one snapshot to the next. Parts of variables, and of genes through
    orthonormal loadings, add up to ``plug_in``. Bounds hold for all cells of a time together; of a
    group it is the plug-in rate.

    References
    ----------
    Seifert, *Stochastic thermodynamics, fluctuation theorems and molecular machines* (2012), eq.
    36; Hyvärinen, *Estimation of non-normalized statistical models by score matching* (2005); Boffi
    & Vanden-Eijnden, *Deep learning probability flows and entropy production rates in active
    matter* (2024); Benamou & Brenier (2000).

    Examples
    --------
    >>> import celltraj as ct
    >>> import torch
    >>> turning = ct.models.OrnsteinUhlenbeck(
    ...     matrix=torch.tensor([[-1.0, -1.0], [1.0, -1.0]]), shift=torch.zeros(2), sigma=1.0
    ... )
    >>> cells = ct.datasets.branching(n_cells=200, seed=0)
    >>> ct.tl.entropy_production(cells, turning, progress=False)
    >>> ct.get.entropy_production(cells)["time"].tolist()
    [0.0, 1.0, 2.0, 3.0, 4.0]
    """
    name, x = read_space(adata, model, use_rep, time_key)
    place = None if basis is None else _embedding_name(adata, basis)
    short = {} if place is None else {"basis": place.removeprefix("X_")}
    ENTROPY_PRODUCTION.claim(adata, key_added, **short)
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1; found {confidence}")
    if is_growing(model):
        raise ValueError(
            f"cells of the {type(model).__name__} divide and die, and what that produces is not "
            "told here; fit it with growth=None"
        )
    origin = told_noise(adata, model, sigma)
    groups = None if groupby is None else read_groups(adata, groupby)
    found = produced(
        model, x, read_times(adata, time_key), confidence=confidence, seed=seed, progress=progress
    )
    scope = _scope(model)
    logger.warning("entropy production with sigma %s: %s", _ORIGINS[origin], scope)
    params = {
        "model": type(model).__name__,
        "sigma_source": origin,
        "scope": scope,
        "time_key": time_key,
        "use_rep": name,
        "basis": place,
        "groupby": groupby,
        "confidence": confidence,
    }
    tables = {"table": found.by_time(), "variables": found.by_variable(variables_of(adata, name))}
    if groups is not None:
        names = groups.cat.categories.tolist()
        tables["groups"] = found.by_group(groups.cat.codes.to_numpy(), names, confidence, seed)
    plane = read_projection(adata)
    if plane is not None and plane.use_rep == name:
        tables["genes"] = found.by_gene(plane.loadings, plane.names)
    columns = _columns(found, x.shape, key_added)
    if place is not None:
        columns[f"{key_added}_velocity_{short['basis']}"] = _shown(adata, x, found, name, place)
    source = Source.of(adata, time_key, name)
    adata = annotated(adata, copy)
    record = sample_record(params, seed) | {k: one.rename(index=str) for k, one in tables.items()}
    ENTROPY_PRODUCTION.write(adata, key_added, record, columns, source=source)
    return adata if copy else None


def _scope(model: Process) -> str:
    """Return what is not to be told from snapshots, and who tells it here."""
    law = reference_of(model)
    is_plain = isinstance(law, Brownian | KernelReference | FlowMatching)
    return _PLAIN if is_plain else _FAMILY.format(name=type(law).__name__)


def _columns(found: Produced, shape: tuple[int, int], key: str) -> dict[str, np.ndarray]:
    """Return rate and velocity of each cell; NaN at times that the model does not tell."""
    rows, rates = found.of_cells
    rate = np.full(shape[0], np.nan, dtype=np.float32)
    velocity = np.full(shape, np.nan, dtype=np.float32)
    rate[rows] = rates
    velocity[rows] = np.concatenate([one.velocity.numpy() for one in found.found])
    return {key: rate, f"{key}_velocity": velocity}


def _shown(adata: AnnData, x: np.ndarray, found: Produced, name: str, place: str) -> np.ndarray:
    """Return the currents in an embedding, ``(n_obs, e)``; zero where nothing is told."""
    rows, _ = found.of_cells
    moving = np.zeros_like(x)
    moving[rows] = np.concatenate([one.velocity.numpy() for one in found.found])
    if place == name:
        return moving.astype(np.float32)
    embedding = read_representation(adata, place)[1]
    return projected_velocity(x, moving, embedding, n_neighbors=_N_NEIGHBORS).astype(np.float32)
