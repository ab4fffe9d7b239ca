"""Couple slices of a tissue by the features and by the places of their cells."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from anndata import AnnData

from celltraj._anndata import annotated, read_observed, write_couplings
from celltraj._anndata.needs import check_couplings
from celltraj._anndata.results import COUPLINGS
from celltraj._anndata.slices import coupled_slices, read_places
from celltraj._anndata.write import recorded
from celltraj._checks import checked
from celltraj.models.space.coupling import couple_by_distances, couple_registered
from celltraj.models.space.slices import Slices, check_sizes
from celltraj.ot import FusedGromov, Registration, Unbalanced

SpaceMethod = Literal["registration", "gromov"] | Registration | FusedGromov


@checked
def couple_space(
    adata: AnnData,
    *,
    spatial_key: str = "spatial",
    alpha: float = 0.5,
    method: SpaceMethod = "registration",
    time_key: str = "time",
    use_rep: str | None = None,
    epsilon: float | None = None,
    growth_key: str | None = None,
    key_added: str = "couplings",
    copy: bool = False,
    seed: int = 0,
    progress: bool = True,
) -> AnnData | None:
    r"""Spatiotemporal couplings: tell which cells of each slice become which of the next.

    By features and by places at once, whose frames differ from slice to slice: a slice may be
    turned, moved and of another size. The result is that of :func:`celltraj.tl.couplings` and all
    that reads couplings reads it; :func:`celltraj.tl.interpolate_slice` draws slices between.

    ``"registration"`` turns and sizes each slice onto the next, in turns with transport of a
    thousand cells, and then couples all cells by ``min <C, P> + epsilon KL(P | w b')``, ``C_ij =
    (1 - alpha) |x_i - y_j|^2 / 2 + alpha (c / s) |S(u_i) - v_j|^2 / 2``, with features ``x, y``,
    places ``u, v``, the similarity ``S`` and the mean costs ``c`` and ``s`` of features and places:
    memory and time linear in the cells. It supposes that a tissue turns and grows about as a whole.
    ``"gromov"`` compares the distances within slices, fused Gromov-Wasserstein transport
    (:class:`celltraj.ot.FusedGromov`), of at most 3,000 cells a slice. Neither is convex; several
    starts are tried. Slices are not turned over: mirror them before if they may be.

    Parameters
    ----------
    adata
        Cells of all times.
    spatial_key
        Key of ``obsm`` with the places of the cells, ``(n_obs, 2)`` or ``(n_obs, 3)``, each slice
        in any frame and unit.
    alpha
        Weight of places beside features, in [0, 1].
    method
        ``"registration"`` or ``"gromov"``, or options of either, :class:`celltraj.ot.Registration`
        or :class:`celltraj.ot.FusedGromov`, whose ``alpha`` and ``seed`` are those given here. By
        default marginals are soft in registration, ``tau=(0.96, 0.96)``, so that parts of a tissue
        may grow more than others; those of ``"gromov"`` hold.
    time_key
        Column of ``obs`` with the sampling times; their unit is kept.
    use_rep
        ``"X"`` or a key of ``obsm`` with the features; ``X_pca`` by default, or ``X`` with at most
        50 variables.
    epsilon
        Regularisation in units of ``|x - y|^2 / 2``; by default a fiftieth of the mean cost of
        each gap, and none for ``"gromov"``.
    growth_key
        Column of ``obs`` with the net growth that couplings are to expect, per unit of time.
    key_added
        Name of the result.
    copy
        Whether to leave ``adata`` as it is and return an annotated copy.
    seed
        Seed of the cells that slices are registered with.
    progress
        Whether to show progress bars.

    Returns
    -------
    None, or with ``copy=True`` the annotated copy. Written: what :func:`celltraj.tl.couplings`
    writes, ``obsm["{key}_registered"]`` (places in the frame and unit of the last slice),
    ``obsm["{key}_joint"]`` (what was coupled) and ``uns["celltraj"][key]["registration"]``
    (rotation, scale and offset of each gap, see :func:`celltraj.get.registration`).

    Warns
    -----
    DataWarning
        Neighbouring slices differ in size by more than three, as slices in different units do;
        slices that still turn when the rounds are over; cells without descendants.

    Raises
    ------
    KeyError
        A named column, representation or key does not exist.
    ValueError
        Places that are missing, neither in two nor in three dimensions, in two at some times and in
        three at others, or all at one point; ``alpha`` outside [0, 1]; options that turn slices
        over; too many cells for ``"gromov"``.
    MemoryError
        It would take more than :func:`celltraj.memory_limit` allows.
    ConvergenceError
        ``epsilon`` is too small for the solver.

    References
    ----------
    Klein et al., *Mapping cells through time and space with moscot* (2025), for the problem;
    Alvarez-Melis, Jegelka & Jaakkola, *Towards optimal transport with global invariances* (2019);
    Vayer et al., *Optimal transport for structured data with application on graphs* (2019).

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.growing_tissue(n_cells=150, seed=0)
    >>> ct.tl.couple_space(adata, progress=False)
    >>> bool((ct.get.registration(adata)["angle"] > 0).all())
    True
    >>> ct.tl.transitions(adata, groupby="domain")
    """
    key = key_added
    COUPLINGS.claim(adata, key)
    options = _options(method, alpha, seed)
    places = read_places(adata, spatial_key, time_key)
    observed = read_observed(adata, time_key=time_key, use_rep=use_rep, growth_key=growth_key)
    slices = Slices(observed.snapshots(), places)
    if isinstance(options, FusedGromov):
        found = couple_by_distances(slices, options, epsilon=epsilon, progress=progress)
    else:
        check_couplings(observed, Unbalanced(*options.tau))
        found = couple_registered(slices, options, epsilon=epsilon, progress=progress)
    check_sizes(slices.features.times, found.similarities)
    params = {
        "time_key": time_key,
        "spatial_key": spatial_key,
        "features": observed.states.name,
        "options": recorded(options),
        "epsilon": epsilon,
        "growth_key": growth_key,
    }
    adata = annotated(adata, copy)
    write_couplings(adata, key, coupled_slices(adata, slices, found, params, key), seed)
    return adata if copy else None


def _options(method: SpaceMethod, alpha: float, seed: int) -> Registration | FusedGromov:
    """Return the options of a method, with the weight of places and the seed of the call."""
    if not 0 <= alpha <= 1:
        raise ValueError(
            f"alpha must lie in [0, 1], 0 for features alone and 1 for places alone; found {alpha}"
        )
    if method == "gromov" or isinstance(method, FusedGromov):
        return replace(FusedGromov() if method == "gromov" else method, alpha=alpha)
    options = method if isinstance(method, Registration) else Registration()
    if options.reflects:
        raise ValueError(
            "slices that are turned over have no slice between them: mirror the places of one, "
            "adata.obsm[spatial_key][rows, 0] *= -1, and leave reflects out"
        )
    return replace(options, alpha=alpha, seed=seed)
