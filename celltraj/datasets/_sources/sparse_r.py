"""Turn the sparse matrices of R's package Matrix."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from celltraj.datasets._sources.r_data import RObject


def cells_by_genes(matrix: RObject) -> sp.csr_matrix:
    """Return genes by cells, stored by columns, as cells by genes, stored by rows."""
    n_genes, n_cells = matrix["Dim"].value
    parts = (matrix["x"].value.astype(np.float32), matrix["i"].value, matrix["p"].value)
    return sp.csr_matrix(parts, shape=(n_cells, n_genes))
