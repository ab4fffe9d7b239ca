"""Read arrays of snapshots, those too that were stored as pickled lists of arrays."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np

# what a pickled array asks for: the function that numpy itself names, wherever it lies
_REBUILD = np.empty(0).__reduce__()[0]
_ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"): _REBUILD,
    ("numpy._core.multiarray", "_reconstruct"): _REBUILD,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}


class _ArraysOnly(pickle.Unpickler):
    """Build arrays and nothing else: a pickle can name any function, and have it called."""

    def find_class(self, module: str, name: str) -> Any:
        """Return what an array is made of, or raise."""
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise ValueError(f"a pickle of arrays asks for {module}.{name}") from None


def read_snapshots(path: Path) -> list[np.ndarray]:
    """Return one ``(n_t, d)`` array for each time of an ``.npy`` file.

    Parameters
    ----------
    path
        A file of one ``(T, n, d)`` array, or of a pickled array of ``T`` arrays.

    Raises
    ------
    ValueError
        The pickle asks for more than arrays.
    """
    with path.open("rb") as file:
        version = np.lib.format.read_magic(file)
        if version != (1, 0):
            raise ValueError(f"{path} is of version {version} of the npy format, expected (1, 0)")
        _, _, dtype = np.lib.format.read_array_header_1_0(file)
        if dtype.hasobject:
            return [np.asarray(block) for block in _ArraysOnly(file).load().ravel()]
    return list(np.load(path))
