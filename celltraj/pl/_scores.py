"""Draw held-out scores."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes

from celltraj._checks import checked
from celltraj.models.evaluation import ScoreTable
from celltraj.pl._finish import Save, finish, tidy
from celltraj.pl._score_dots import draw_by_population
from celltraj.pl._score_lines import draw_by_time


@tidy
@checked
def scores(
    scores: pd.DataFrame,
    *,
    metric: str = "W1",
    ax: Axes | None = None,
    show: bool | None = None,
    save: Save = None,
    return_fig: bool = False,
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
        The metric to draw.
    ax, show, return_fig
        As in scanpy.
    save
        A :class:`~pathlib.Path` is written as it is; ``True``, or a text to end the name with such
        as ``"_days.png"``, writes to ``sc.settings.figdir``, as in scanpy.

    Returns
    -------
    The axes, the figure with ``return_fig``, nothing once shown.

    Raises
    ------
    ValueError
        ``scores`` lacks a column, holds no such metric, or of responses nothing but lines.

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
    table = ScoreTable(scores).of_metric(metric)
    draw = draw_by_population if table.is_response else draw_by_time
    ax = draw(table.frame, metric, ax)
    return finish("scores", ax.figure, ax, show=show, save=save, return_fig=return_fig)
