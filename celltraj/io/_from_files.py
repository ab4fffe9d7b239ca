"""Read many files as one table of states."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path

from anndata import AnnData

from celltraj._anndata.many_files import gathered
from celltraj._checks import checked


@checked
def from_files(
    paths: Sequence[str | PathLike[str]],
    *,
    representation: str = "X_pca",
    obs_keys: Sequence[str] | None = None,
    file_key: str = "file",
) -> AnnData:
    """Concatenate on disk: read states and columns of many files, and nothing of their genes.

    What a fit needs of ten million cells are some 50 numbers and a few columns of each, two
    gigabytes. Files of patients, days or plates are read one after the other, some rows at a time,
    into one table; their expression stays where it is.

    Parameters
    ----------
    paths
        Files ``.h5ad`` and directories ``.zarr``, each with its own name.
    representation
        Key of ``obsm`` that all have, of the same variables: one embedding of all cells.
    obs_keys
        Columns of ``obs`` to take, which all must have; by default all columns, missing where a
        file has none.
    file_key
        Column of ``obs`` to be written, with the name of the file of each cell.

    Returns
    -------
    An AnnData without ``X``, of all cells in the order of the files, with ``obs``,
    ``obs[file_key]`` (categorical) and ``obsm[representation]`` (float32). Names of cells begin
    with that of their file.

    Raises
    ------
    FileNotFoundError
        A file does not exist.
    KeyError
        A file lacks a column or the representation.
    ValueError
        No file, two of the same name, a ``file_key`` that is a column already, representations of
        different width, or principal components whose loadings ``varm["PCs"]`` differ.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import celltraj as ct
    >>> folder = Path(tempfile.mkdtemp())
    >>> for day in (0, 1):
    ...     cells = ct.datasets.branching(n_cells=20, seed=day)
    ...     cells.obsm["X_both"] = cells.X
    ...     cells.write_h5ad(folder / f"day_{day}.h5ad")
    >>> paths = sorted(folder.iterdir())
    >>> adata = ct.io.from_files(paths, representation="X_both", obs_keys=["time"])
    >>> list(adata.obs), adata.obsm["X_both"].shape[1]
    (['time', 'file'], 2)
    """
    return gathered([Path(path) for path in paths], representation, obs_keys, file_key)
