"""Draw transitions between groups of cells as a matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

import numpy as np
from anndata import AnnData
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter
from matplotlib.transforms import ScaledTranslation

from celltraj._anndata.results import TRANSITIONS
from celltraj._anndata.tables import read_transitions, transition_matrix_of
from celltraj._checks import checked
from celltraj._typing import Time
from celltraj.pl._cells import time_label
from celltraj.pl._colors import MISSING, shades_of
from celltraj.pl._finish import Save, axes_of, finish, tidy
from celltraj.pl._legend import wrapped
from celltraj.pl._style import Style
from celltraj.pl._styled import MatrixStyle, styled

_MAP = "Blues"  # lightness falls all the way, so that it can be read in grey
_MEANINGS = {
    "forward": "descendants of a row (%)",
    "backward": "ancestors of a column (%)",
}
_LEAST = 0.005  # a share below is 0 %, and left out
_LIGHT = (0.299, 0.587, 0.114)  # how light red, green and blue are to the eye
_DARK = 0.55  # lightness, below which numbers are white
_FEW = 8  # groups, for which cells are large
_SMALLEST, _LARGEST = 4.5, 10.0  # points, of the numbers


@tidy
@checked
@styled
def transitions(
    adata: AnnData,
    *,
    direction: str = "forward",
    source: Time | None = None,
    target: Time | None = None,
    key: str = "transitions",
    ax: Axes | None = None,
    show: bool | None = None,
    save: Save = None,
    return_fig: bool = False,
    **style: Unpack[MatrixStyle],
) -> object:
    """Draw where the descendants of each group are, or where its ancestors were, as a matrix.

    Numbers are shares in percent, left out where they round to zero; a group with nothing to share
    is grey.

    Parameters
    ----------
    adata
        After :func:`celltraj.tl.transitions`, also one that was read from a file; not changed.
    direction
        ``"forward"``: rows are the shares of descendants and sum to 100; ``"backward"``: columns
        are the shares of ancestors and sum to 100.
    source, target
        Times of the transitions, as numbers or labels; needed where they were counted over several
        gaps.
    key
        The ``key_added`` of :func:`celltraj.tl.transitions`.
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
        There are no transitions of that name.
    ValueError
        Another direction, or no transitions, or several, between such times.

    Examples
    --------
    >>> import celltraj as ct
    >>> import matplotlib.pyplot as plt
    >>> adata = ct.datasets.branching(n_cells=50, seed=0)
    >>> adata.obs["arm"] = ["up" if y > 0 else "down" for y in adata.X[:, 1]]
    >>> ct.tl.couplings(adata, progress=False)
    >>> ct.tl.transitions(adata, groupby="arm")
    >>> ct.pl.transitions(adata, source=3.0, show=False).get_title()
    'time 3 to 4'
    >>> plt.close()
    """
    if direction not in _MEANINGS:
        raise ValueError(f"direction must be one of {tuple(_MEANINGS)}; found {direction!r}")
    look = Style(**style)
    rows = read_transitions(adata, key, source, target)
    params, span = TRANSITIONS.peek(adata, key)["params"], (rows["t0"].iloc[0], rows["t1"].iloc[0])
    matrix = transition_matrix_of(rows, direction)
    names, shares = (list(matrix.index), list(matrix.columns)), matrix.to_numpy(dtype=float)
    groupby = str(params.get("groupby", "group"))
    colors_of_names = shades_of(adata, groupby, list(dict.fromkeys([*names[0], *names[1]])), look)
    ax = axes_of(ax, look, _size(*names))
    colors, scale = look.map(_MAP).with_extremes(bad=MISSING), look.scale(shares, (0.0, 1.0))
    image = ax.imshow(shares, cmap=colors, norm=scale, aspect="auto")
    _label(ax, colors_of_names, *names)
    ax.set(ylabel=f"{groupby} at {span[0]:g}", xlabel=f"{groupby} at {span[1]:g}")
    when = time_label(adata, str(params.get("time_key", "time")))
    ax.set_title(f"{when} {span[0]:g} to {span[1]:g}", fontsize="medium")
    percent = PercentFormatter(xmax=1, symbol="")
    ax.figure.colorbar(image, ax=ax, label=_MEANINGS[direction], format=percent)
    _write_numbers(ax, shares, colors(scale(shares)))
    return finish("transitions", ax, show=show, save=save, return_fig=return_fig, look=look)


def _size(rows: Sequence[str], columns: Sequence[str]) -> tuple[float, float]:
    """Return inches with room for a number in each cell, and for the names."""
    cell = 0.5 if max(len(rows), len(columns)) <= _FEW else 0.34
    beside = 0.08 * max(len(line) for name in rows for line in wrapped(name).split("\n")) + 1.4
    below = 0.08 * max(len(line) for name in columns for line in wrapped(name).split("\n")) + 1.0
    return max(cell * len(columns), 1.2) + beside, max(cell * len(rows), 2.0) + below


def _label(ax: Axes, shades: dict[str, str], rows: Sequence[str], columns: Sequence[str]) -> None:
    """Name rows and columns, each with a square of its colour."""
    square = {"s": 30, "marker": "s", "lw": 0, "clip_on": False}
    beside, below = ax.get_yaxis_transform(), ax.get_xaxis_transform()
    offset = 7 / 72  # inches from the axes to the middle of a square
    for names, transform, direction in ((rows, beside, (-1, 0)), (columns, below, (0, -1))):
        place = np.arange(len(names)), np.zeros(len(names))
        xy = place if direction[0] == 0 else place[::-1]
        right, up = offset * direction[0], offset * direction[1]
        moved = transform + ScaledTranslation(right, up, ax.figure.dpi_scale_trans)
        ax.scatter(*xy, color=[shades[name] for name in names], transform=moved, **square)
    ax.set_yticks(range(len(rows)), [wrapped(name) for name in rows])
    ax.set_xticks(range(len(columns)), [wrapped(name) for name in columns], **_turned(columns))
    ax.tick_params(length=0, pad=12)
    ax.set(xlim=(-0.5, len(columns) - 0.5), ylim=(len(rows) - 0.5, -0.5))
    ax.spines[:].set_visible(False)


def _turned(names: Sequence[str]) -> dict[str, str | float]:
    """Return how names stand below columns, so that none runs into the next."""
    if max(map(len, names)) <= 4:
        return {}
    if len(names) > _FEW or any("\n" in wrapped(name) for name in names):
        return {"rotation": 90}
    return {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}


def _write_numbers(ax: Axes, shares: np.ndarray, shades: np.ndarray) -> None:
    """Write shares in percent as large as cells allow, or not at all in tiny ones.

    White where the ``(n, m, 4)`` shades are dark.
    """
    ax.figure.canvas.draw()  # until then it is open how large a cell becomes
    height, width = np.array([ax.bbox.height, ax.bbox.width]) * 72 / ax.figure.dpi / shares.shape
    size = min(_LARGEST, width / 2.1, height / 1.5)
    if size < _SMALLEST:
        return
    style = {"ha": "center", "va": "center", "fontsize": size}
    for (row, column), share in np.ndenumerate(shares):
        if share >= _LEAST:  # which NaN is not
            shade = "white" if shades[row, column, :3] @ _LIGHT < _DARK else "0.1"
            ax.text(column, row, f"{100 * share:.0f}", color=shade, **style)
