"""Draw velocities in an embedding as streams."""

from __future__ import annotations

from typing import Unpack

import numpy as np
from anndata import AnnData
from matplotlib.axes import Axes
from scipy.spatial import cKDTree

from celltraj._anndata import read_times
from celltraj._anndata.results import check_place_fresh
from celltraj._checks import checked
from celltraj._errors import some
from celltraj.pl._cells import color_label, default_basis, label_plane, plane, size_of
from celltraj.pl._colors import colors_of, explain
from celltraj.pl._finish import Save, axes_of, finish, tidy
from celltraj.pl._style import Style
from celltraj.pl._styled import CellStyle, styled

_WIDTH = 0.8  # spacings of the grid, of the kernel
_REACH = 3.0  # widths of the kernel beyond which it is zero
_LEAST = 1.0  # cells, as heavy as the kernel makes them, below which nothing is drawn
_SPARSE = 0.01  # of what is near a point in the crowd
_THIN, _THICK = 0.5, 1.6
_SHORTEST = 0.07  # of the axes, so that small islands of cells get lines


@tidy
@checked
@styled
def stream(
    adata: AnnData,
    *,
    basis: str | None = None,
    key: str | None = None,
    color: str | None = None,
    time_key: str = "time",
    density: float = 1.0,
    n_grid: int = 50,
    ax: Axes | None = None,
    show: bool | None = None,
    save: Save = None,
    return_fig: bool = False,
    **style: Unpack[CellStyle],
) -> object:
    """Draw the mean velocity of an embedding as streams over the cells.

    At each point of a grid, the mean of the velocities of the cells around it, by a Gaussian kernel
    of 0.8 spacings; none where few cells are near. Lines are wider where cells are faster.

    Parameters
    ----------
    adata
        Cells after ``ct.tl.velocity(adata, model, basis=basis)``; not changed.
    basis
        ``"X"``, a key of ``obsm``, or a name such as ``"umap"`` for ``obsm["X_umap"]``; by default
        the UMAP or another picture of the cells, else ``X_pca``, or ``X`` with at most 50
        variables. Its first two variables are drawn.
    key
        Key of ``obsm`` with the velocities in it, ``"velocity_{basis}"`` by default.
    color
        Column of ``obs`` for the cells, by default time; categories take
        ``uns[f"{color}_colors"]``, or the palette that scanpy would choose.
    time_key
        Column of ``obs`` with the sampling times; not read where ``color`` is given.
    density
        How close lines are, as in matplotlib's ``streamplot``.
    n_grid
        Points of the grid in each direction.
    ax, show, return_fig
        As in scanpy.
    save
        A :class:`~pathlib.Path` is written as it is; ``True``, or a text to end the name with such
        as ``"_days.png"``, writes to ``sc.settings.figdir`` and warns, as in scanpy 1.12.

    Returns
    -------
    The axes, the figure with ``return_fig``, nothing once shown.

    Raises
    ------
    KeyError
        The embedding, its velocities or a column do not exist.
    ValueError
        Velocities with fewer than two variables, or zero for all cells; an ``n_grid`` below 2, or a
        ``density`` that is not positive.

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=50, seed=0)
    >>> bridge = ct.tl.fit_bridge(adata, training=None, progress=False)
    >>> ct.tl.velocity(adata, bridge, basis="X", progress=False)
    >>> ct.pl.stream(adata, basis="X", color="arm", show=False).get_xlabel()
    'x'
    """
    if n_grid < 2 or not density > 0:
        raise ValueError(
            f"n_grid must be at least 2 and density above 0; found {n_grid} and {density:g}"
        )
    look = Style(**style)
    name, cells = plane(adata, default_basis(adata, basis), (0, 1))
    velocity = _velocity_of(adata, name, key)
    times = read_times(adata, time_key) if color is None else np.empty(0)
    found = colors_of(adata, times, color, look)
    x, y, mean = mean_on_grid(cells, velocity, n_grid)
    speed = np.linalg.norm(mean.filled(0), axis=-1)
    if not speed.any():
        raise ValueError(f"velocities in {name} are zero wherever cells are: nothing to draw")
    ax = axes_of(ax, look)
    order = found.order(np.arange(len(cells)))
    ax.scatter(*cells[order].T, color=found.shades[order], **look.dots(size_of(len(cells)), 0.5))
    fast = np.quantile(speed[speed > 0], 0.95)  # a few much faster ones would make all others thin
    width = _THIN + (_THICK - _THIN) * np.minimum(speed / fast, 1)
    shape = {"density": density, "minlength": _SHORTEST, "linewidth": width}
    ax.streamplot(x, y, *np.moveaxis(mean, -1, 0), color="black", zorder=3, **shape)
    ax.use_sticky_edges = False
    ax.margins(0.03)  # lines end inside the frame
    label_plane([ax], adata, name, (0, 1), look)
    label, ticks = color_label(adata, times, time_key, color)
    explain(ax, found, label, look, ticks=ticks, cells=cells)
    return finish("stream", ax, show=show, save=save, return_fig=return_fig, look=look)


def _velocity_of(adata: AnnData, name: str, key: str | None) -> np.ndarray:
    """Return the ``(n_obs, 2)`` velocities in the first two variables of an embedding."""
    short = name.removeprefix("X_")
    key = f"velocity_{short}" if key is None else key
    if key not in adata.obsm:
        raise KeyError(
            f"no adata.obsm[{key!r}]; found {some(adata.obsm)}. "
            f"Run ct.tl.velocity(adata, model, basis={short!r}) first"
        )
    check_place_fresh(adata, "obsm", key)
    velocity = np.asarray(adata.obsm[key], dtype=float)
    if velocity.ndim != 2 or velocity.shape[1] < 2:
        raise ValueError(
            f"adata.obsm[{key!r}] has shape {velocity.shape}, and velocities in two variables are "
            "drawn; pass basis= with an embedding of two"
        )
    return velocity[:, :2]


def mean_on_grid(
    cells: np.ndarray, velocity: np.ndarray, n_grid: int
) -> tuple[np.ndarray, np.ndarray, np.ma.MaskedArray]:
    """Return both axes and ``(n_grid, n_grid, 2)`` mean velocities, by row ``y`` and column ``x``.

    ``sum_i w_i v_i / sum_i w_i`` with ``w_i = exp(-|g - y_i|^2 / 2 h^2)`` at the point ``g``, both
    measured in spacings, so that neither variable counts for more. Masked where few cells are near.
    """
    low, high = cells.min(0), cells.max(0)
    margin = 0.02 * (high - low) + (high == low)
    axes = [np.linspace(a - m, b + m, n_grid) for a, b, m in zip(low, high, margin, strict=True)]
    spacing = np.array([axis[1] - axis[0] for axis in axes])
    points = np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 2)
    pairs = cKDTree(points / spacing).sparse_distance_matrix(
        cKDTree(cells / spacing), _REACH * _WIDTH, output_type="coo_matrix"
    )
    pairs.data = np.exp(-((pairs.data / _WIDTH) ** 2) / 2)
    weight = pairs.tocsr()
    mass = np.asarray(weight.sum(1)).ravel()
    crowd = np.quantile(mass[mass > 0], 0.99)
    is_near = mass >= max(min(_LEAST, crowd / 2), _SPARSE * crowd)  # a handful lie all apart
    mean = (weight @ velocity) / np.where(is_near, mass, 1)[:, None]
    hidden = np.broadcast_to(~is_near[:, None], mean.shape)
    shape = (n_grid, n_grid, 2)
    return axes[0], axes[1], np.ma.MaskedArray(mean.reshape(shape), hidden.reshape(shape))
