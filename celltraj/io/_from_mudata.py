"""Read a representation of a MuData."""

from __future__ import annotations

from collections.abc import Sequence

from anndata import AnnData

from celltraj._anndata.containers import Modalities, joined
from celltraj._checks import checked


@checked
def from_mudata(mdata: Modalities, representations: str | Sequence[str]) -> AnnData:
    """Multimodal data: take representations of modalities as an AnnData, which all else reads.

    The cells that all named modalities have, in the order of the first, with ``X``, ``var``,
    ``layers``, ``obsm`` and ``uns`` of the first, and the columns of ``mdata.obs`` beside its own.

    Parameters
    ----------
    mdata
        A MuData, of the package ``mudata``, which stays as it is.
    representations
        Modality and representation, ``"rna:X_pca"`` or ``"rna:X"``; or several of them.

    Returns
    -------
    An AnnData with ``obsm["rna:X_pca"]`` for each name, which ``use_rep=`` then takes by that name
    in every function.

    Raises
    ------
    TypeError
        ``mdata`` is no MuData; of SpatialData the message names the tables.
    KeyError
        There is no such modality or representation.
    ValueError
        A name has not this form, or no cell is in all modalities.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> import celltraj as ct
    >>> rna = ct.datasets.branching(n_cells=50, seed=0)
    >>> mdata = SimpleNamespace(mod={"rna": rna}, obs=rna.obs)  # in place of mudata.MuData
    >>> adata = ct.io.from_mudata(mdata, "rna:X")
    >>> list(adata.obsm)
    ['rna:X']
    """
    names = [representations] if isinstance(representations, str) else list(representations)
    if not names:
        raise ValueError("representations must name one, such as 'rna:X_pca'; found none")
    return joined(mdata, names)
