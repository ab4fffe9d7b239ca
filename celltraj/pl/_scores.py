"""Draw held-out scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

import pandas as pd
from matplotlib.axes import Axes

from celltraj._checks import checked
from celltraj.models.evaluation import ScoreTable
from celltraj.pl._finish import Save, axes_of, finish, tidy
from celltraj.pl._panels import panels_of
from celltraj.pl._score_dots import draw_by_population
from celltraj.pl._score_lines import draw_by_time
from celltraj.pl._style import Style
from celltraj.pl._styled import PanelDotStyle, styled

_BESIDE = ("W1", "energy")


@tidy
@checked
@styled
def scores(
    scores: pd.DataFrame,
    *,
    metric: str | Sequence[str] | None = None,
    ax: Axes | None = None,
    show: bool | None = None,
    save: Save = None,
    return_fig: bool = False,
    **style: Unpack[PanelDotStyle],
) -> object:
    """Draw held-out scores: by time, or of responses each method with the best one on top.

    By time, each method is a line over the held-out times: models in colour, predictions without a
    model thin and grey, the noise floor dashed grey; several seeds are drawn as their mean with the
    standard error.

    Of responses, small dots are populations under a condition, averaged over seeds and what was
    held out; a large one is the mean over populations with its 95 % bootstrap interval, where there
    are three populations or more. Models are in colour, hollow where they are told of other
    populations; predictions without a model are grey. Lines mark the noise floor, no change at all,
    and for ``"size"`` the truth. A method that could not be judged everywhere says on how many dots
    it was.

    Parameters
    ----------
    scores
        Result of :func:`celltraj.tl.cross_validate` or
        :func:`celltraj.tl.cross_validate_response`, also from a file.
    metric
        The metric to draw, or several beside each other. By default W1 and the energy distance,
        where the table has both and no ``ax`` is given, else W1: W1 rewards predictions that are
        too narrow, the more so the more dimensions there are, and the energy distance does not.
    ax, show, return_fig
        As in scanpy.
    save
        A :class:`~pathlib.Path` is written as it is; ``True``, or a text to end the name with such
        as ``"_days.png"``, writes to ``sc.settings.figdir`` and warns, as in scanpy 1.12.

    Returns
    -------
    The axes (one, or an array of panels), the figure with ``return_fig``, nothing once shown.

    Raises
    ------
    ValueError
        ``scores`` lacks a column, holds no such metric, or of responses nothing but lines; or
        ``ax`` is given for more than one metric.

    Examples
    --------
    >>> import celltraj as ct, pandas as pd
    >>> scores = pd.DataFrame({
    ...     "method": ["floor", "bridge"], "held_out": [1.0, 1.0], "metric": "W1",
    ...     "value": [0.1, 0.3], "seed": 0,
    ... })
    >>> ct.pl.scores(scores, show=False).get_ylabel()
    'W1 to the held-out cells'
    >>> responses = scores.assign(population=["a", "a"], condition="drug")
    >>> ct.pl.scores(responses, show=False).get_xlabel()
    'W1 to the held-out cells'
    """
    look = Style(**style)
    table = ScoreTable(scores)
    names = _chosen(table, metric, has_ax=ax is not None)
    chosen = [table.of_metric(name) for name in names]
    draw = draw_by_population if table.is_response else draw_by_time
    if len(names) == 1:
        drawn = axes_of(ax, look)
        panels = [drawn]
    else:
        shared = {"sharex": False, "sharey": False}
        size = {"size": (5.0, 4.2), "beside": (1.6, 0.4)}
        panels = drawn = panels_of(len(names), len(names), look=look, **size, **shared)
    for panel, name, part in zip(panels, names, chosen, strict=True):
        draw(part.frame, name, panel, look)
    return finish("scores", drawn, show=show, save=save, return_fig=return_fig, look=look)


def _chosen(
    table: ScoreTable, metric: str | Sequence[str] | None, *, has_ax: bool
) -> tuple[str, ...]:
    """Return the metrics to draw."""
    if metric is None:
        there = set(table.known().frame["metric"])
        return _BESIDE if not has_ax and there >= set(_BESIDE) else _BESIDE[:1]
    names = (metric,) if isinstance(metric, str) else tuple(metric)
    if not names or (has_ax and len(names) > 1):
        raise ValueError(f"name one metric for ax=, one or more without it; found {list(names)}")
    return names
