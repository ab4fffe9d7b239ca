"""Draw descendants of cells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

from anndata import AnnData
from matplotlib.axes import Axes

from celltraj._checks import checked
from celltraj._typing import Time
from celltraj.pl._finish import Save, finish, tidy
from celltraj.pl._shares import draw_shares
from celltraj.pl._style import Style
from celltraj.pl._styled import ShareStyle, styled


@tidy
@checked
@styled
def push(
    adata: AnnData,
    *,
    basis: str | None = None,
    components: tuple[int, int] = (0, 1),
    times: Time | Sequence[Time] | None = None,
    key: str = "push",
    ax: Axes | None = None,
    show: bool | None = None,
    save: Save = None,
    return_fig: bool = False,
    **style: Unpack[ShareStyle],
) -> object:
    """Draw the cells that were followed and their descendants.

    All cells are grey; those of the chosen times go from there to a colour of their time, by their
    share over the largest one of that time. Cells with a large share are drawn last.

    Parameters
    ----------
    adata
        After :func:`celltraj.tl.push`, also one that was read from a file; not changed.
    basis
        ``"X"``, a key of ``obsm``, or a name such as ``"umap"`` for ``obsm["X_umap"]``; by default
        the UMAP or another picture of the cells, else ``X_pca``, or ``X`` with at most 50
        variables.
    components
        Two variables of it.
    times
        Sampling times whose cells are coloured, as numbers or labels; by default the first and the
        last of those that were followed.
    key
        The ``key_added`` of :func:`celltraj.tl.push`.
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
        There is no such result, or no such embedding.
    ValueError
        No cell of one of the ``times`` has a share.

    Examples
    --------
    >>> import celltraj as ct
    >>> import matplotlib.pyplot as plt
    >>> adata = ct.datasets.branching(n_cells=50, seed=0)
    >>> adata.obs["arm"] = ["up" if y > 0 else "down" for y in adata.X[:, 1]]
    >>> ct.tl.couplings(adata, progress=False)
    >>> ct.tl.push(adata, source=2.0, target=4.0, cells={"arm": "up"})
    >>> ct.pl.push(adata, basis="X", show=False).get_title()
    'descendants of up'
    >>> plt.close()
    """
    look, view = Style(**style), {"key": key, "basis": basis, "components": components}
    ax = draw_shares(adata, "push", times=times, ax=ax, look=look, **view)
    return finish("push", ax, show=show, save=save, return_fig=return_fig, look=look)
