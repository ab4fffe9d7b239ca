"""Names beside axes, and what explains colours: legends and colour bars."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import fill
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, Normalize
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.text import Text

from celltraj.pl._style import PLAIN, Style

_MOST_TICKS = 10
_WIDEST = 26  # letters of a name in one line
_LETTER, _LINE = 0.085, 0.17  # inches, of letters and lines of usual size
_BESIDE = (None, "right margin")
_FEW = 8  # names on cells, that may be larger
_ROUNDS = 100
_PAD = 1.0  # pixels around a name


def wrapped(name: str, width: int = _WIDEST) -> str:
    """Return a name in lines short enough to stand beside axes; a dollar is no formula."""
    return fill(name, width).replace("$", r"\$")


def inches_of(names: Sequence[str]) -> float:
    """Return about how wide the longest line of names is."""
    return _LETTER * max(len(line) for name in names for line in wrapped(name).split("\n"))


def legend_size(names: Sequence[str], look: Style = PLAIN) -> tuple[float, float]:
    """Return about how wide and how high a legend beside axes is, in inches."""
    if not names or look.legend_loc not in _BESIDE:
        return 0.2, 0.0
    columns = legend_columns(len(names))
    n_rows = -(-len(names) // columns)
    n_lines = [1 + wrapped(name).count("\n") for name in names]
    most = max(sum(n_lines[k : k + n_rows]) for k in range(0, len(names), n_rows))
    return columns * (inches_of(names) + 0.5), _LINE * most + 0.07 * n_rows + 0.5


def legend_columns(n: int) -> int:
    """Return in how many columns a legend of ``n`` names stands."""
    return 1 + (n > 14) + (n > 30)  # as in scanpy


def dots_of(legend: dict[str, str]) -> list[Line2D]:
    """Return a dot of each colour with its name."""
    return [
        Line2D([], [], ls="", marker="o", color=shade, label=wrapped(name))
        for name, shade in legend.items()
    ]


def add_legend(
    ax: Axes,
    handles: Sequence[Artist],
    look: Style,
    *,
    title: str | None = None,
    whole: bool = False,
    usual: dict[str, Any] | None = None,
) -> None:
    """Add a legend where the style wants it, by default right of the axes.

    Parameters
    ----------
    ax
        Axes that get it, or of whose figure it is.
    handles
        What it explains.
    look
        The style.
    title
        What the handles are.
    whole
        Whether it stands beside all panels of the figure, where it stands beside axes.
    usual
        Where it stands unless told otherwise, as arguments of
        :meth:`~matplotlib.figure.Figure.legend`, or of :meth:`~matplotlib.axes.Axes.legend`.
    """
    if look.legend_loc == "none":
        return
    axes: Any = ax
    place = axes.figure if whole else axes
    columns = legend_columns(len(handles))
    style: dict[str, Any] = {"handles": handles, "title": title, "frameon": False, "ncols": columns}
    if look.legend_loc not in _BESIDE:
        axes.legend(loc=look.legend_loc, **style)
    elif usual is not None and look.legend_loc is None:
        place.legend(**style | usual)
    elif whole:
        place.legend(loc="outside right center", **style)
    else:
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), **style)


def add_bar(
    ax: Axes,
    scale: Normalize,
    colors: Colormap | str,
    label: str,
    *,
    ticks: np.ndarray | None = None,
    axes: object = None,
    **kind: Any,
) -> Any:
    """Add a colour bar beside ``ax``, or beside all ``axes``, with few enough ``ticks``."""
    shades = mpl.cm.ScalarMappable(scale, colors)
    few = ticks if ticks is not None and len(ticks) <= _MOST_TICKS else None
    beside = ax if axes is None else axes
    figure: Any = ax.figure
    return figure.colorbar(shades, ax=beside, label=label, ticks=few, **kind)


def name_on_data(ax: Axes, places: dict[str, np.ndarray]) -> None:
    """Write each name in the middle of its cells, ``(n, 2)``; names that meet step apart."""
    drawn = {name: cells[np.isfinite(cells).all(1)] for name, cells in places.items()}
    halo = [withStroke(linewidth=2.0, foreground="white")]
    style: dict[str, Any] = {"ha": "center", "va": "center", "fontweight": "bold"}
    style["fontsize"] = "small" if len(drawn) <= _FEW else "x-small"
    texts = []
    for name, cells in drawn.items():
        if len(cells):
            middle = np.median(cells, axis=0)
            texts.append(ax.text(middle[0], middle[1], wrapped(name), zorder=5, **style))
            texts[-1].set_path_effects(halo)
    if texts:
        _step_apart(ax, texts)


def _step_apart(ax: Axes, texts: Sequence[Text]) -> None:
    """Move texts that cover each other up and down, half of the overlap each."""
    figure: Any = ax.figure
    figure.draw_without_rendering()  # until then it is open how large axes and texts are
    boxes = np.array([text.get_window_extent().padded(_PAD).extents for text in texts])
    moved = np.zeros(len(texts))
    number = np.arange(len(texts))
    beside = _common(boxes[:, 0], boxes[:, 2]) > 0
    for _ in range(_ROUNDS):
        over = _common(boxes[:, 1] + moved, boxes[:, 3] + moved)
        is_met = beside & (over > 0) & (number[:, None] != number)
        if not is_met.any():
            break
        middle = boxes[:, 1] + boxes[:, 3] + 2 * moved
        above = np.sign(np.subtract.outer(middle, middle))
        above = np.where(above == 0, np.sign(np.subtract.outer(number, number)), above)
        moved += 0.5 * (np.where(is_met, over, 0.0) * above).sum(1)
    back = ax.transData.inverted()
    for text, shift in zip(texts, moved, strict=True):
        across, up = ax.transData.transform(text.get_position())
        text.set_position(back.transform((across, up + shift)))


def _common(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Return the length ``(n, n)`` that each two of ``n`` ranges have in common."""
    common: np.ndarray = np.minimum.outer(high, high) - np.maximum.outer(low, low)
    return common
