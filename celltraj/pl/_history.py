"""Draw how the training went."""

from __future__ import annotations

from anndata import AnnData
from matplotlib.axes import Axes

from celltraj._anndata.results import losses_of
from celltraj._checks import checked
from celltraj.pl._finish import Save, axes_of, finish, tidy


@tidy
@checked
def history(
    adata: AnnData,
    *,
    key: str = "bridge",
    window: int = 50,
    ax: Axes | None = None,
    show: bool | None = None,
    save: Save = None,
    return_fig: bool = False,
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
        as ``"_days.png"``, writes to ``sc.settings.figdir``, as in scanpy.

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
    table = losses_of(adata, key)
    ax = axes_of(ax)
    for k, column in enumerate(table.select_dtypes("number").columns.drop("step")):
        ax.plot(table["step"], table[column], color=f"C{k}", lw=0.5, alpha=0.3)
        mean = table[column].rolling(window, min_periods=1, center=True).mean()
        ax.plot(table["step"], mean, color=f"C{k}", label=column)
    ax.set(xlabel="step", ylabel="loss")
    ax.legend(frameon=False)
    return finish("history", ax.figure, ax, show=show, save=save, return_fig=return_fig)
