"""Draw embedded populations."""

from __future__ import annotations

from typing import Unpack

import numpy as np
from anndata import AnnData
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.text import Annotation

from celltraj._anndata.results import EMBEDDING
from celltraj._checks import checked
from celltraj.pl._colors import Colors, colors_of, explain, one_color
from celltraj.pl._finish import Save, axes_of, finish, tidy
from celltraj.pl._style import Style
from celltraj.pl._styled import CellStyle, styled

_MOST_NAMES = 30
_COLOR = "C0"
_TINY = 1e-12
_AREA = 40.0  # of a dot, in square points
_SWEEPS = 3  # over all names, until none would rather stand elsewhere
_SIDES = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (1, -1), (-1, 1), (-1, -1))


@tidy
@checked
@styled
def populations(
    embedded: AnnData,
    *,
    color: str | None = None,
    ax: Axes | None = None,
    show: bool | None = None,
    save: Save = None,
    return_fig: bool = False,
    **style: Unpack[CellStyle],
) -> object:
    """Draw populations in the first two principal components of their embeddings.

    Populations that are near each other look alike to the response; those it was not trained on are
    diamonds. An embedding of one number is drawn as it is, population by population. Up to 30 are
    named.

    Parameters
    ----------
    embedded
        Result of :func:`celltraj.tl.embed_populations`; not changed.
    color
        Column of ``obs`` such as ``"embedding_ratio"``; categories take ``uns[f"{color}_colors"]``,
        or the palette that scanpy would choose.
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
        ``embedded`` is something else, or ``color`` is not a column.
    ValueError
        ``color`` holds no value or too many categories.

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.interacting_populations(n_populations=5, n_cells=40, seed=0)
    >>> model = ct.tl.fit_response(
    ...     adata, population_key="population", condition_key="condition", control="before",
    ...     training=ct.models.Training(max_steps=20), progress=False,
    ... )
    >>> embedded = ct.tl.embed_populations(adata, model)
    >>> ct.pl.populations(embedded, color="n_cells", show=False).get_xlabel()[:12]
    'embedding PC'
    """
    look = Style(**style)
    _check(embedded)
    found = _colors(embedded, color, look)
    places, labels = _places(np.asarray(embedded.X, dtype=float))
    ax = axes_of(ax, look)
    is_known = embedded.obs["in_training"].to_numpy(bool)
    for marker, these in (("o", is_known), ("D", ~is_known)):
        edge = {"marker": marker, "lw": 0.6, "edgecolors": "black", "zorder": 3}
        dots = look.dots(_AREA) | edge
        ax.scatter(*places[these].T, color=found.shades[these], **dots)
    ax.set(xlabel=labels[0], ylabel=labels[1])
    ax.margins(0.12)
    if color is not None:
        explain(ax, found, color, look, cells=places)
    if not is_known.all():
        _explain_markers(ax)
    names = [str(name) for name in embedded.obs_names]
    if embedded.n_vars == 1:
        _name_rows(ax, names, places[:, 1])
    elif len(names) <= _MOST_NAMES:
        _name_points(ax, names, places)
    if look.frameon is False:
        ax.set_axis_off()
    return finish("populations", ax, show=show, save=save, return_fig=return_fig, look=look)


def _check(embedded: AnnData) -> None:
    if EMBEDDING.find(embedded) is None or "in_training" not in embedded.obs:
        raise KeyError(
            "embedded holds no populations; make it with ct.tl.embed_populations(adata, model)"
        )


def _colors(embedded: AnnData, color: str | None, look: Style) -> Colors:
    if color is None:
        return one_color(_COLOR, embedded.n_obs)
    return colors_of(embedded, np.zeros(embedded.n_obs), color, look)


def _places(phi: np.ndarray) -> tuple[np.ndarray, tuple[str, str]]:
    """Return where to draw embeddings ``(p, e)``, and what the axes mean."""
    if phi.shape[1] == 1:
        rank = np.argsort(np.argsort(phi[:, 0], kind="stable"))
        return np.column_stack([phi[:, 0], rank]), ("embedding", "")
    centred = phi - phi.mean(0)
    left, values, axes = np.linalg.svd(centred, full_matrices=False)
    # which way an axis points is arbitrary: its largest loading is made positive
    signs = np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(1)])
    scores = np.zeros((len(phi), 2))
    scores[:, : len(values)] = (left * values * signs)[:, :2]
    shares = np.append(np.square(values), 0.0)[:2] / max(np.square(values).sum(), _TINY)
    scores[:, shares < _TINY] = 0.0  # rounding, which an axis would show as if it were something
    return scores, (f"embedding PC 1 ({shares[0]:.0%})", f"embedding PC 2 ({shares[1]:.0%})")


def _name_rows(ax: Axes, names: list[str], rows: np.ndarray) -> None:
    """Name the populations of an embedding of one number, each in a row of its own."""
    few = len(names) <= _MOST_NAMES
    ax.set_yticks(rows if few else [], names if few else [])
    if few:
        ax.grid(axis="y", lw=0.4)
    else:
        ax.set_ylabel("populations")


def _name_points(ax: Axes, names: list[str], places: np.ndarray) -> None:
    """Write each name on the side of its point where it covers least of points and names."""
    ax.figure.canvas.draw()  # until then it is open where points come to stand
    radius = np.sqrt(_AREA) / 2 * ax.figure.dpi / 72
    centres = ax.transData.transform(places)
    dots = np.hstack([centres - radius, centres + radius])
    texts = [
        [_name_at(ax, *one, *side) for side in _SIDES] for one in zip(names, places, strict=True)
    ]
    boxes = np.array([[text.get_window_extent().extents for text in row] for row in texts])
    kept = _least_covering(boxes, dots, ax.bbox.extents)
    for row, side in zip(texts, kept, strict=True):
        for text in (*row[:side], *row[side + 1 :]):
            text.remove()


def _name_at(ax: Axes, name: str, place: np.ndarray, right: int, up: int) -> Annotation:
    """Write a name right or left (1, -1), above or below (1, -1) of a point, or both."""
    return ax.annotate(
        name,
        place,
        xytext=(5 * right, 5 * up if right == 0 else 3 * up),
        textcoords="offset points",
        ha=("center", "left", "right")[right],
        va=("center", "bottom", "top")[up],
        fontsize="small",
    )


def _least_covering(boxes: np.ndarray, dots: np.ndarray, frame: np.ndarray) -> np.ndarray:
    """Return which of the ``(n, s, 4)`` boxes of each name to take, each given all others."""
    n = len(boxes)
    outside = _overlap(boxes, boxes) - _overlap(boxes, frame)
    alone = _overlap(boxes[:, :, None], dots).sum(-1) + 2 * outside
    chosen: np.ndarray = alone.argmin(1)
    for k in np.tile(np.arange(n), _SWEEPS):
        others = np.delete(boxes[np.arange(n), chosen], k, axis=0)
        chosen[k] = (alone[k] + _overlap(boxes[k][:, None], others).sum(-1)).argmin()
    return chosen


def _overlap(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the area common to boxes ``(..., 4)``: left, bottom, right, top."""
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    area: np.ndarray = sides.clip(min=0).prod(-1)
    return area


def _explain_markers(ax: Axes) -> None:
    """Say above the axes which populations were trained on; what explains colours stays."""
    colors = ax.get_legend()
    style = {"ls": "", "color": "0.6", "mec": "black", "mew": 0.6}
    handles = [
        Line2D([], [], marker="o", label="in the training", **style),
        Line2D([], [], marker="D", label="new", **style),
    ]
    ax.legend(handles=handles, frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
    if colors is not None:
        ax.add_artist(colors)
        colors.set_clip_on(False)  # it stands beside the axes
