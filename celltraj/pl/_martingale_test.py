"""Draw how the residuals of clones depend on where they were."""

from __future__ import annotations

from typing import Unpack

import numpy as np
import pandas as pd
from anndata import AnnData
from matplotlib.axes import Axes

from celltraj._anndata.results import MARTINGALE
from celltraj._checks import checked
from celltraj.pl._finish import Save, axes_of, finish, tidy
from celltraj.pl._style import Style
from celltraj.pl._styled import DotOnlyStyle, styled

_FUNCTIONS = {"constant": "black", "linear": "0.45"}
_OTHER = "0.75"
_SIZE = 22.0  # square points of a dot
_BAND = 1.96  # standard errors, within which 95 % of moments of the right law lie
_SHOWN = 12  # variables, those farthest from zero


@tidy
@checked
@styled
def martingale_test(
    adata: AnnData,
    *,
    law: str | None = None,
    key: str = "martingale_test",
    ax: Axes | None = None,
    show: bool | None = None,
    save: Save = None,
    return_fig: bool = False,
    **style: Unpack[DotOnlyStyle],
) -> object:
    """Draw each moment of the residuals of clones, in standard errors, by variable.

    Of the right law 95 % lie in the grey band. Black: the mean residual; dark grey: its slope with
    the variable itself; light: bumps. The title gives p for each gap. Of many variables those with
    the largest moments are drawn.

    Parameters
    ----------
    adata
        After :func:`celltraj.tl.martingale_test`, also one that was read from a file; not changed.
    law
        Name of the law; by default the first.
    key
        The ``key_added`` of :func:`celltraj.tl.martingale_test`.
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
        There is no such record.
    ValueError
        No such law.

    Examples
    --------
    >>> import celltraj as ct
    >>> import matplotlib.pyplot as plt
    >>> adata = ct.datasets.branching(n_cells=60, seed=0)
    >>> adata.obs["clone"] = [f"clone {i % 30}" for i in range(adata.n_obs)]
    >>> still = ct.models.Brownian(0.1)
    >>> ct.tl.martingale_test(adata, still, clone_key="clone", n_draws=4, progress=False)
    >>> ct.pl.martingale_test(adata, show=False).get_xlabel()
    'residual of clones, standard errors'
    >>> plt.close()
    """
    look = Style(**style)
    table, moments = (MARTINGALE.table(adata, key, name) for name in ("table", "moments"))
    names = table["model"].unique().tolist()
    law = names[0] if law is None else law
    if law not in names:
        raise ValueError(f"no law {law!r} was tested; found {names}")
    table, moments = table[table["model"] == law], moments[moments["model"] == law]
    largest = moments["z"].abs().groupby(moments["variable"], sort=False).max()
    shown = [one for one in largest.index if one in largest.nlargest(_SHOWN).index]
    ax = axes_of(ax, look, (3.6, 0.3 * len(shown) + 1.1))
    ax.axvspan(-_BAND, _BAND, color="0.93", lw=0, zorder=0)
    _draw(ax, moments, shown, look)
    ax.set_yticks(range(len(shown)), shown)
    ax.set_ylim(len(shown) - 0.5, -0.5)
    ax.set_xlabel("residual of clones, standard errors")
    ps = ", ".join(f"{one.p:.2g} ({one.t0:g} to {one.t1:g})" for one in table.itertuples())
    ax.set_title(f"{law}: p {ps}", fontsize="medium")
    ax.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return finish("martingale_test", ax, show=show, save=save, return_fig=return_fig, look=look)


def _draw(ax: Axes, moments: pd.DataFrame, shown: list[str], look: Style) -> None:
    """Draw the moments of each function."""
    for name in moments["function"].unique():
        rows = moments[(moments["function"] == name) & moments["variable"].isin(shown)]
        at = np.array([shown.index(one) for one in rows["variable"]])
        shade = _FUNCTIONS.get(name, _OTHER)
        ax.scatter(rows["z"], at, color=shade, label=name, zorder=3, **look.dots(_SIZE))
