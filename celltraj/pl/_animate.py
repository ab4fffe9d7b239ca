"""Draw simulated cells as they move."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Unpack, cast

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import scanpy as sc
from anndata import AnnData
from matplotlib.animation import FFMpegWriter, FuncAnimation, PillowWriter
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure

from celltraj._anndata import dimension_of, unique_names
from celltraj._checks import checked
from celltraj.pl._cells import (
    check_path,
    default_basis,
    label_plane,
    plane,
    size_of,
    time_label,
)
from celltraj.pl._colors import Colors, colors_of, explain, one_color
from celltraj.pl._finish import Save, axes_of, tidy, warn_of_text
from celltraj.pl._style import Style
from celltraj.pl._styled import MovingCellStyle, styled

_WRITERS: dict[str, type[PillowWriter | FFMpegWriter]] = {
    ".gif": PillowWriter,
    ".mp4": FFMpegWriter,
}
_DPI = 120


@tidy
@checked
@styled
def animate(
    adata: AnnData,
    path: AnnData,
    *,
    basis: str | None = None,
    components: tuple[int, int] = (0, 1),
    time_key: str = "time",
    color: str | None = None,
    fps: float = 10.0,
    ax: Axes | None = None,
    show: bool | None = None,
    save: Save = None,
    return_fig: bool = False,
    **style: Unpack[MovingCellStyle],
) -> object:
    """Draw simulated cells moving over the observed ones, one frame per time of the simulation.

    Where trajectories carry mass, a dot is as large as its share of the mass of that time. The
    title marks times that the process was not fitted to.

    Parameters
    ----------
    adata
        Observed cells, drawn in grey; not changed.
    path
        Result of :func:`celltraj.tl.simulate` in the representation ``basis``.
    basis
        Representation that ``path`` was simulated in, by default the one that it names.
    components
        Two variables of it.
    time_key
        Column of ``obs`` with the sampling times, whose name stands in the title.
    color
        Column of ``path.obs``, or of ``adata.obs`` for the observed cell that a simulated one
        starts from; black by default.
    fps
        Frames per second.
    ax, show, return_fig
        As in scanpy.
    save
        A :class:`~pathlib.Path` that ends in ``.gif`` or ``.mp4`` (which takes ffmpeg) is written;
        ``True``, or a text to end the name with such as ``"_days.gif"``, writes to
        ``sc.settings.figdir`` and warns, as in scanpy 1.12. An older file stays until the new one
        is complete.

    Returns
    -------
    The :class:`~matplotlib.animation.FuncAnimation`, whose ``to_jshtml()`` plays in a notebook; the
    figure with ``return_fig``, nothing once shown.

    Raises
    ------
    KeyError
        A column or representation does not exist, or trajectories start from cells that ``adata``
        does not have.
    ValueError
        ``path`` was simulated in another representation, ``fps`` is not positive, or the name of
        the file ends otherwise.
    RuntimeError
        An ``.mp4`` is asked for without ffmpeg.

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=50, seed=0)
    >>> bridge = ct.tl.fit_bridge(adata, training=None, seed=0, progress=False)
    >>> path = ct.tl.simulate(
    ...     adata, bridge, start=0.0, stop=4.0, n_cells=9, n_times=5, progress=False
    ... )
    >>> animation = ct.pl.animate(adata, path, show=False)
    >>> len(list(animation.new_saved_frame_seq()))
    5
    """
    if not fps > 0:
        raise ValueError(f"fps must be above 0; found {fps:g}")
    look = Style(**style)
    file = _file_of(sc.settings.autosave if save is None else save)
    name, cells = plane(adata, default_basis(adata, basis, lives_in=path), components)
    check_path(path, "trajectory", dimension_of(adata, name), name, "basis")
    moving = np.asarray(path.X)[:, list(components)]
    found = _colors(adata, path, color, look)
    is_new = ax is None
    ax = axes_of(ax, look)
    ax.scatter(*cells.T, color="0.85", s=size_of(len(cells)), lw=0, rasterized=True)
    if color is not None:
        explain(ax, found, color, look)
    label_plane([ax], adata, name, components, look)
    look.finish([ax])
    _hold_limits(ax, np.concatenate([cells, moving]))
    frames = _Frames(
        ax, path, moving, found.shades, _title(look, time_label(adata, time_key)), look
    )
    frames.draw(0)  # so that the layout has room for a title
    figure = cast("Figure", ax.figure)
    animation = FuncAnimation(
        figure, frames.draw, frames=len(frames.times), interval=1000 / fps, blit=False
    )
    figure.canvas.draw()  # else matplotlib warns where nobody ever looks at the animation
    if is_new:
        figure.set_layout_engine("none")  # nothing shall jump from frame to frame
    if file is not None:
        _write(animation, file, fps)
        warn_of_text("animate", save)
    if return_fig:
        return figure
    if sc.settings.autoshow if show is None else show:
        plt.show()
        return None
    return animation


def _file_of(save: Save) -> Path | None:
    """Return where to write: a ``Path`` as it is, else ``animate`` in scanpy's figure folder."""
    if not save:
        return None
    suffix = save if isinstance(save, str) else ""
    ending = "" if suffix.endswith(tuple(_WRITERS)) else ".gif"
    file = save if isinstance(save, Path) else Path(sc.settings.figdir) / f"animate{suffix}{ending}"
    if file.suffix not in _WRITERS:
        raise ValueError(f"an animation is written as .gif or .mp4; found save={str(file)!r}")
    if not _WRITERS[file.suffix].isAvailable():
        raise RuntimeError(
            f"an {file.suffix} needs the program ffmpeg, which is not installed; write a .gif "
            f"instead, with save=Path({file.with_suffix('.gif').name!r})"
        )
    return file


def _write(animation: FuncAnimation, file: Path, fps: float) -> None:
    """Write the animation beside ``file``, then put it there once it is complete."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".celltraj-", dir=file.parent) as folder:
        complete = Path(folder) / file.name
        animation.save(complete, writer=_WRITERS[file.suffix](fps=fps), dpi=_DPI)
        complete.replace(file)


def _title(look: Style, label: str) -> str:
    """Return what stands before the time of each frame."""
    return f"{look.title}\n{label}" if isinstance(look.title, str) else label


def _colors(adata: AnnData, path: AnnData, color: str | None, look: Style) -> Colors:
    """Return the colour of each row of ``path``, and what explains them."""
    if color is None:
        return one_color("black", path.n_obs)
    if color in path.obs:
        return colors_of(path, np.empty(0), color, look)
    found = colors_of(adata, np.empty(0), color, look)
    row = _sources(adata, path, color)
    return replace(found, shades=found.shades[row], labels=found.labels[row])


def _sources(adata: AnnData, path: AnnData, color: str) -> np.ndarray:
    """Return the row of ``adata`` from which each row of ``path`` starts."""
    if "source" not in path.obs:
        raise KeyError(
            f"path.obs has neither {color!r} nor 'source', only {list(path.obs.columns)}; make it "
            "with ct.tl.simulate(adata, model, start=..., stop=...)"
        )
    row: np.ndarray = unique_names(adata.obs_names, "cells").get_indexer(
        path.obs["source"].astype(str)
    )
    if (row < 0).any():
        raise KeyError(
            f"{int((row < 0).sum())} rows of path start from cells that adata does not have, so "
            f"that they have no {color!r}; pass the cells that ct.tl.simulate started from"
        )
    return row


def _hold_limits(ax: Axes, points: np.ndarray) -> None:
    """Make room for all that will be drawn."""
    low, high = points.min(0), points.max(0)
    margin = 0.04 * (high - low) + (high == low)
    ax.set(xlim=(low[0] - margin[0], high[0] + margin[0]))
    ax.set(ylim=(low[1] - margin[1], high[1] + margin[1]))


class _Frames:
    """Draw the cells of one time after the other."""

    def __init__(
        self,
        ax: Axes,
        path: AnnData,
        xy: np.ndarray,
        shades: np.ndarray,
        label: str,
        look: Style,
    ) -> None:
        self.ax, self.xy, self.shades, self.label = ax, xy, shades, label
        edge = {"lw": 0.3, "edgecolors": "white", "zorder": 3}
        self.dots = ax.scatter([], [], alpha=look.opacity(0.8), **edge)
        self.row, self.times = pd.factorize(path.obs["time"])
        self.is_outside = np.asarray(path.obs.get("extrapolated", np.zeros(len(xy), dtype=bool)))
        n_cells = len(xy) / len(self.times)
        self.area = (look.size or size_of(n_cells)) * self._shares(path)
        self.n_decimals = _decimals(np.asarray(self.times, dtype=float))

    def _shares(self, path: AnnData) -> np.ndarray:
        """Return the mass of each row over the mean of its time, 1 without growth, bounded."""
        if "mass" not in path.obs:
            return np.ones(path.n_obs)
        mass = path.obs["mass"].astype(float)
        mean = mass.groupby(self.row).transform("mean").replace(0.0, 1.0)
        shares: np.ndarray = np.clip(mass / mean, 0.1, 6.0).to_numpy()
        return shares

    def draw(self, k: int) -> tuple[PathCollection]:
        here = self.row == k
        self.dots.set_offsets(self.xy[here])
        self.dots.set_sizes(self.area[here])
        self.dots.set_facecolor(self.shades[here])
        beyond = ", beyond the data" if self.is_outside[here].any() else ""
        self.ax.set_title(f"{self.label} {self.times[k]:.{self.n_decimals}f}{beyond}")
        return (self.dots,)


def _decimals(times: np.ndarray) -> int:
    """Return how many decimals show all times, or at least tell them apart."""
    if len(times) < 2:
        return 2
    step = np.abs(np.diff(times)).min()
    most = max(0, int(np.ceil(-np.log10(step))) + 1)
    shown = [d for d in range(most) if np.allclose(times, np.round(times, d), atol=1e-6 * step)]
    return shown[0] if shown else most
