"""Couple slices of a tissue by the features and by the places of their cells."""

from __future__ import annotations

from functools import partial
from typing import Literal

from anndata import AnnData

from celltraj._anndata import annotated, read_observed, write_couplings
from celltraj._anndata.needs import check_couplings
from celltraj._anndata.results import COUPLINGS
from celltraj._anndata.slices import coupled_slices, read_places
from celltraj._checks import checked
from celltraj.models import Lineage
from celltraj.models.space.coupling import couple_by_distances, couple_registered
from celltraj.models.space.slices import Slices, check_sizes
from celltraj.ot import Unbalanced, solve


@checked
def couple_space(
    adata: AnnData,
    *,
    spatial_key: str = "spatial",
    alpha: float = 0.5,
    method: Literal["registration", "gromov"] = "registration",
    time_key: str = "time",
    use_rep: str | None = None,
    epsilon: float | None = None,
    tau: tuple[float, float] | None = None,
    growth_key: str | None = None,
    key_added: str = "couplings",
    copy: bool = False,
    progress: bool = True,
) -> AnnData | None:
    r"""Spatiotemporal couplings: tell which cells of each slice of a tissue become which of the next.

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
        ``"registration"`` or ``"gromov"``.
    time_key
        Column of ``obs`` with the sampling times; their unit is kept.
    use_rep
        ``"X"`` or a key of ``obsm`` with the features; ``X_pca`` by default, or ``X`` with at most
        50 variables.
    epsilon
        Regularisation in units of ``|x - y|^2 / 2``; by default a hundredth of the mean cost of
        each gap, and none for ``"gromov"``.
    tau
        How firmly the marginals of the earlier and of the later cells hold, in (0, 1], by default
        .98 both, so that parts of a tissue may grow more than others; those of ``"gromov"`` hold.
    growth_key
        Column of ``obs`` with the net growth that couplings are to expect, per unit of time.
    key_added
        Name of the result.
    copy
        Whether to leave ``adata`` as it is and return an annotated copy.
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
        three at others, or all at one point; ``alpha`` outside [0, 1]; a ``tau`` that is no pair or
        beside ``"gromov"``; too many cells for it.
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
    _check(alpha, tau, method)
    places = read_places(adata, spatial_key, time_key)
    observed = read_observed(adata, time_key=time_key, use_rep=use_rep, growth_key=growth_key)
    check_couplings(observed, solve)
    slices = Slices(observed.snapshots(), places)
    if method == "gromov":
        couple = partial(couple_by_distances, alpha=alpha, epsilon=epsilon)
    else:
        couple = partial(
            couple_registered,
            alpha=alpha,
            epsilon=epsilon,
            solver=Unbalanced(*(tau or (0.98, 0.98))),
        )
    found = couple(slices, progress=progress)
    check_sizes(slices.features.times, found.similarities)
    features = slices.features
    lineage = Lineage(features.times, found.couplings, features.weights, features.sizes)
    params = {
        "time_key": time_key,
        "spatial_key": spatial_key,
        "alpha": alpha,
        "method": method,
        "epsilon": epsilon,
        "growth_key": growth_key,
    }
    matrices = {f"{key}_registered": found.registered, f"{key}_joint": found.joint.x}
    adata = annotated(adata, copy)
    made = coupled_slices(adata, observed, lineage, found.similarities, params, matrices)
    write_couplings(adata, key, made, 0)
    return adata if copy else None


def _check(alpha: float, tau: tuple[float, float] | None, method: str) -> None:
    """Raise where options are out of range, or do not go together."""
    if not 0 <= alpha <= 1:
        raise ValueError(
            f"alpha must lie in [0, 1], 0 for features alone and 1 for places alone; found {alpha}"
        )
    if tau is not None and method == "gromov":
        raise ValueError(
            'tau= belongs to method="registration": the marginals of fused Gromov-Wasserstein '
            "transport hold; growth_key= tells it how cells multiply"
        )
    if tau is not None and len(tau) != 2:  # noqa: PLR2004
        raise ValueError(f"tau must be a pair, such as (0.95, 0.99); found {tau!r}")
