"""Draw how the training went."""

from __future__ import annotations

from typing import Unpack

from anndata import AnnData
from matplotlib.axes import Axes

from celltraj._anndata.results import losses_of
from celltraj._checks import checked
from celltraj.pl._finish import Save, axes_of, finish, tidy
from celltraj.pl._legend import add_legend
from celltraj.pl._palette import named_colors
from celltraj.pl._style import Style
from celltraj.pl._styled import LineStyle, styled


@tidy
@checked
@styled
def history(
    adata: AnnData,
    *,
    key: str = "bridge",
    window: int = 50,
    ax: Axes | None = None,
    show: bool | None = None,
    save: Save = None,
    return_fig: bool = False,
    **style: Unpack[LineStyle],
) -> object:
    """Draw the training loss against the step, faint, with its running mean.

    Parameters
    ----------
    adata
        Annotated data that a model was fitted to.
    key
        Name of the fit, its ``key_added``.
    window
        Steps in the running mean.
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
        No fit of that name, or a record that is not of a fit.
    ValueError
        The drift of that fit is not trained, so that it has no history.

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=50, seed=0)
    >>> short = ct.models.Training(max_steps=20)
    >>> bridge = ct.tl.fit_bridge(adata, training=short, seed=0, progress=False)
    >>> ct.pl.history(adata, show=False).get_xlabel()
    'step'
    """
    look = Style(**style)
    table = losses_of(adata, key)
    columns = table.select_dtypes("number").columns.drop("step")
    shades = named_colors(look, {column: f"C{k}" for k, column in enumerate(columns)})
    ax = axes_of(ax, look)
    for column, shade in shades.items():
        ax.plot(table["step"], table[column], color=shade, lw=0.5, alpha=look.opacity(0.3))
        mean = table[column].rolling(window, min_periods=1, center=True).mean()
        ax.plot(table["step"], mean, color=shade, label=column)
    ax.set(xlabel="step", ylabel="loss")
    handles = ax.get_legend_handles_labels()[0]
    add_legend(ax, handles, look, usual={"loc": "best", "ncols": 1})
    return finish("history", ax, show=show, save=save, return_fig=return_fig, look=look)
