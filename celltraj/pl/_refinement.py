"""Draw how a refinement went."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from celltraj._anndata import check_bridge
from celltraj._checks import checked
from celltraj.models import Bridge
from celltraj.pl._finish import Save, finish, tidy

_MOST_LINES = 8
_COLUMNS = 8  # of the table before the estimates of the family


@tidy
@checked
def refinement(
    bridge: Bridge,
    *,
    ax: Axes | None = None,
    show: bool | None = None,
    save: Save = None,
    return_fig: bool = False,
) -> object:
    """Draw log-likelihood, change and parameters against the round; a line marks the kept one.

    Parameters
    ----------
    bridge
        A bridge that was refined.
    ax
        Axes for the log-likelihood alone; by default every panel has its own.
    show, return_fig
        As in scanpy.
    save
        A :class:`~pathlib.Path` is written as it is; ``True``, or a text to end the name with such
        as ``"_days.png"``, writes to ``sc.settings.figdir``, as in scanpy.

    Returns
    -------
    The axes, one or an array, the figure with ``return_fig``, nothing once shown.

    Raises
    ------
    TypeError
        ``bridge`` is something else.
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
    check_bridge(bridge)
    if not bridge.rounds:
        raise ValueError(
            "this bridge was not refined; fit one with ct.tl.fit_bridge(adata, reference=...)"
        )
    table = bridge.history.set_index("round")
    panels = _panels(table)
    if ax is not None:
        panels = dict(list(panels.items())[:1])
        axes = [ax]
    else:
        size = (2.6 * len(panels), 2.6)
        axes = list(plt.subplots(1, len(panels), figsize=size, layout="constrained")[1])
    kept = int(table.index[table["kept"]][0])
    for panel, (label, columns) in zip(axes, panels.items(), strict=True):
        for k, column in enumerate(columns):
            panel.plot(table.index, table[column], marker="o", ms=3, color=f"C{k}", label=column)
        panel.axvline(kept, color="grey", ls="--", lw=0.8)
        panel.set(xlabel="round", ylabel=label)
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))
        if len(columns) > 1:
            panel.legend(frameon=False, loc="center right")
    if len(panels) > 1:
        axes[1].set_yscale("log")
    # Brownian motion, where a family begins, is so far off that nothing else would be seen
    likely = table["log_likelihood"].iloc[1:] if len(table) > 2 else table["log_likelihood"]
    margin = 0.1 * (likely.max() - likely.min()) + 1e-9
    axes[0].set_ylim(likely.min() - margin, likely.max() + margin)
    drawn = axes[0] if ax is not None else axes
    return finish("refinement", axes[0].figure, drawn, show=show, save=save, return_fig=return_fig)


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
