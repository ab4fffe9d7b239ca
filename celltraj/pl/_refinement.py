"""Draw how a refinement went."""

from __future__ import annotations

from typing import Unpack

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from celltraj._anndata import check_bridge
from celltraj._checks import checked
from celltraj.models import Bridge
from celltraj.pl._finish import Save, finish, tidy
from celltraj.pl._legend import add_legend, legend_size
from celltraj.pl._palette import named_colors
from celltraj.pl._panels import panels_of
from celltraj.pl._style import Style
from celltraj.pl._styled import PanelLineStyle, styled

_MOST_LINES = 8
_COLUMNS = 8  # of the table before the estimates of the family


@tidy
@checked
@styled
def refinement(
    model: Bridge,
    *,
    ax: Axes | None = None,
    show: bool | None = None,
    save: Save = None,
    return_fig: bool = False,
    **style: Unpack[PanelLineStyle],
) -> object:
    """Draw log-likelihood, change and parameters against the round; a line marks the kept one.

    Parameters
    ----------
    model
        A bridge that was refined.
    ax
        Axes for the log-likelihood alone; by default every panel has its own.
    show, return_fig
        As in scanpy.
    save
        A :class:`~pathlib.Path` is written as it is; ``True``, or a text to end the name with such
        as ``"_days.png"``, writes to ``sc.settings.figdir`` and warns, as in scanpy 1.12.

    Returns
    -------
    The axes, one or an array, the figure with ``return_fig``, nothing once shown.

    Raises
    ------
    TypeError
        ``model`` is something else.
    ValueError
        The bridge was not refined.

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=40, seed=0)
    >>> bridge = ct.tl.fit_bridge(
    ...     adata, reference=ct.models.OrnsteinUhlenbeck(),
    ...     options=ct.models.BridgeOptions(refinement=ct.models.Refinement(max_rounds=2)),
    ...     training=None, progress=False,
    ... )
    >>> len(ct.pl.refinement(bridge, show=False))
    4
    """
    check_bridge(model)
    if not model.rounds:
        raise ValueError(
            "this bridge was not refined; fit one with ct.tl.fit_bridge(adata, reference=...)"
        )
    look = Style(**style)
    table = model.history.set_index("round")
    panels = _panels(table)
    if ax is not None:
        panels = dict(list(panels.items())[:1])
    shared = {"sharex": False, "sharey": False}
    size = {"size": (2.6, 2.6), "beside": (_beside(panels, look), 0.0)}
    axes = list(panels_of(len(panels), len(panels), look=look, ax=ax, **size, **shared))
    shades = _shades(panels, look)
    kept = int(table.index[table["kept"]][0])
    for panel, (label, columns) in zip(axes, panels.items(), strict=True):
        for column in columns:
            line = {"marker": "o", "ms": 3, "alpha": look.alpha, "label": column}
            panel.plot(table.index, table[column], color=shades[column], **line)
        panel.axvline(kept, color="grey", ls="--", lw=0.8)
        panel.set(xlabel="round", ylabel=label)
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))
        if len(columns) > 1:
            add_legend(panel, panel.get_lines()[: len(columns)], look)
    if len(panels) > 1:
        axes[1].set_yscale("log")
    # Brownian motion, where a family begins, is so far off that nothing else would be seen
    likely = table["log_likelihood"].iloc[1:] if len(table) > 2 else table["log_likelihood"]
    margin = 0.1 * (likely.max() - likely.min()) + 1e-9
    axes[0].set_ylim(likely.min() - margin, likely.max() + margin)
    drawn = axes[0] if ax is not None else axes
    return finish("refinement", drawn, show=show, save=save, return_fig=return_fig, look=look)


def _beside(panels: dict[str, list[str]], look: Style) -> float:
    """Return how wide a legend beside the last panel is, in inches."""
    names = list(panels.values())[-1]
    return legend_size(names, look)[0] if len(names) > 1 else 0.0


def _shades(panels: dict[str, list[str]], look: Style) -> dict[str, str]:
    """Return the colour of each line: the first one of a panel has the first colour."""
    most = max(panels.values(), key=len)
    of_most = named_colors(look, {column: f"C{k}" for k, column in enumerate(most)})
    colors = list(of_most.values())
    return {one: colors[k] for columns in panels.values() for k, one in enumerate(columns)}


def _panels(table: pd.DataFrame) -> dict[str, list[str]]:
    """Return the columns of each panel by the label of its axis."""
    panels = {
        "log-likelihood (nats per cell)": ["log_likelihood"],
        "relative change of the drift": ["change"],
        "effective share of the weights": ["effective_share"],
    }
    if table["held_out"].notna().any():
        panels["W1 to the held-out cells"] = ["held_out"]
    estimates = list(table.columns[_COLUMNS - 1 :])
    if 0 < len(estimates) <= _MOST_LINES:
        panels["estimates"] = estimates
    return panels
