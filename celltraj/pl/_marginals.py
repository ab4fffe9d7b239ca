"""Compare predicted and observed distributions."""

from __future__ import annotations

from typing import Unpack

import matplotlib.pyplot as plt
import numpy as np
from anndata import AnnData
from matplotlib.axes import Axes

from celltraj._anndata import read_representation, read_times
from celltraj._checks import checked
from celltraj.pl._cells import axis_name, check_components, check_path, default_basis
from celltraj.pl._finish import Save, finish, tidy
from celltraj.pl._legend import add_legend
from celltraj.pl._palette import named_colors
from celltraj.pl._style import Style
from celltraj.pl._styled import LineStyle, styled

_N_BINS = 30
_SHADES = {"observed": "0.8", "predicted": "C3"}


@tidy
@checked
@styled
def marginals(
    adata: AnnData,
    path: AnnData,
    *,
    time_key: str = "time",
    use_rep: str | None = None,
    components: tuple[int, ...] = (0, 1),
    ax: Axes | None = None,
    show: bool | None = None,
    save: Save = None,
    return_fig: bool = False,
    **style: Unpack[LineStyle],
) -> object:
    """Draw predicted (line) over observed (filled) distributions at every time both hold.

    Trajectories count by their mass where they have one.

    Parameters
    ----------
    adata
        Observed cells; not changed.
    path
        Result of :func:`celltraj.tl.simulate`; its times should include the sampling times.
    time_key
        Column of ``obs`` with the sampling times.
    use_rep
        Representation that ``path`` was simulated in, by default the one that it names.
    components
        Variables to draw, one row each.
    ax
        Axes for a single panel: one component and one common time.
    show, return_fig
        As in scanpy.
    save
        A :class:`~pathlib.Path` is written as it is; ``True``, or a text to end the name with such
        as ``"_days.png"``, writes to ``sc.settings.figdir`` and warns, as in scanpy 1.12.

    Returns
    -------
    The ``(components, times)`` array of axes, the figure with ``return_fig``, nothing once shown.

    Raises
    ------
    KeyError
        A column or representation does not exist.
    ValueError
        No time is common to both, ``path`` was simulated in another representation, or ``ax`` is
        given for more than one panel.

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=50, seed=0)
    >>> bridge = ct.tl.fit_bridge(adata, training=None, seed=0, progress=False)
    >>> path = ct.tl.simulate(
    ...     adata, bridge, start=0.0, stop=4.0, n_cells=40, n_times=5, progress=False
    ... )
    >>> ct.pl.marginals(adata, path, show=False).shape
    (2, 5)
    """
    look = Style(**style)
    observed = read_times(adata, time_key)
    name, x = read_representation(adata, default_basis(adata, use_rep, lives_in=path))
    check_path(path, "time", x.shape[1], name, "use_rep")
    check_components(components, x.shape[1], name)
    predicted = path.obs["time"].to_numpy(float)
    common = _common_times(observed, predicted)
    shape = (len(components), len(common))
    if ax is not None and shape != (1, 1):
        raise ValueError(f"ax= holds one panel; components and common times ask for {shape}")
    panels, shades = _grid(shape, ax, look), named_colors(look, _SHADES)
    states = np.asarray(path.X)
    mass = path.obs["mass"].to_numpy(float) if "mass" in path.obs else np.ones(len(states))
    for k, t in enumerate(common):
        at_t = _meets(predicted, t, observed)
        for row, component in enumerate(components):
            pair = x[observed == t, component], states[at_t, component]
            _draw_pair(panels[row, k], *pair, mass[at_t], shades, look)
            panels[row, 0].set_ylabel(f"{axis_name(adata, name, component)}\ndensity")
        panels[0, k].set_title(f"{time_key} {t:g}", fontsize="medium")
    handles = panels[0, -1].get_legend_handles_labels()[0]
    usual = {"loc": "best", "fontsize": "small", "ncols": 1}
    add_legend(panels[0, -1], handles, look, usual=usual)
    return finish("marginals", panels, show=show, save=save, return_fig=return_fig, look=look)


def _meets(predicted: np.ndarray, t: float, observed: np.ndarray) -> np.ndarray:
    # relative to the longest time, since a computed time zero is not exactly zero
    same: np.ndarray = np.abs(predicted - t) <= 1e-9 * np.abs(observed).max()
    return same


def _common_times(observed: np.ndarray, predicted: np.ndarray) -> list[float]:
    """Return the observed times that the simulation meets, in order."""
    times = np.unique(observed)
    common = [float(t) for t in times if _meets(predicted, t, observed).any()]
    if not common:
        raise ValueError(
            f"no common time: observed {times.tolist()}, simulated "
            f"{np.unique(predicted).tolist()}; choose start, stop and n_times of ct.tl.simulate "
            "so that sampling times are met"
        )
    return common


def _grid(shape: tuple[int, int], ax: Axes | None, look: Style) -> np.ndarray:
    look.check_new(ax)
    if ax is not None:
        return np.array([[ax]])
    size = look.figsize or (min(2.6 * shape[1], 16.0) + 0.8, 2.0 * shape[0] + 0.5)
    return plt.subplots(*shape, figsize=size, sharex="row", squeeze=False, layout="constrained")[1]


def _draw_pair(
    ax: Axes,
    observed: np.ndarray,
    predicted: np.ndarray,
    mass: np.ndarray,
    shades: dict[str, str],
    look: Style,
) -> None:
    bins = np.histogram_bin_edges(np.concatenate([observed, predicted]), _N_BINS)
    filled = {"color": shades["observed"], "alpha": look.alpha, "label": "observed"}
    ax.hist(observed, bins, density=True, **filled)
    line = {"histtype": "step", "color": shades["predicted"], "lw": 1.3, "label": "predicted"}
    ax.hist(predicted, bins, density=True, weights=mass, **line)
    ax.set_yticks([])
