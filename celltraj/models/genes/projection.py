"""Principal components with the way back to genes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64
from scipy.sparse import issparse, sparray, spmatrix
from sklearn.decomposition import PCA
from torch import Tensor

from celltraj._card import card

_SMALL = 4096  # genes whose covariance matrix is decomposed directly
_NOTHING = 1e-6  # share of the norm of a matrix; singular values below are rounding of float32
_ORTHONORMAL = 1e-6


@card()
@dataclass(frozen=True, eq=False)
class Projection:
    """Lead from expression to principal components and back.

    ``z = (x - mean) W`` and ``x = mean + z W'``; the second after the first is the orthogonal
    projection onto the plane that the columns of ``W`` span through the mean.

    Parameters
    ----------
    mean
        ``(g,)`` mean expression of the cells that the plane was fitted to, in [x] of the genes.
    loadings
        ``(g, k)`` orthonormal columns, without unit.
    names
        ``g`` names of the genes.
    layer
        Where the expression stands, ``None`` for the matrix itself; only kept here.
    use_rep
        Name of the components; only kept here.

    Raises
    ------
    ValueError
        Shapes that do not fit together, names that are not unique, values that are not finite, or
        columns that are not orthonormal.

    Examples
    --------
    >>> import numpy as np
    >>> from celltraj.models.genes.projection import Projection
    >>> plane = Projection(np.array([1.0, 2.0]), np.array([[0.6], [0.8]]), ("CD4", "CD8"))
    >>> z = plane.encode(np.array([[4.0, 6.0]]))
    >>> z, plane.decode(z)
    (array([[5.]]), array([[4., 6.]]))
    """

    mean: np.ndarray
    loadings: np.ndarray
    names: tuple[str, ...]
    layer: str | None = None
    use_rep: str = "X_pca"

    def facts(self) -> dict[str, Any]:
        """Return the names as plain values, as a file holds them."""
        return {"names": self.names, "layer": self.layer, "use_rep": self.use_rep}

    def tensors(self) -> dict[str, Tensor]:
        """Return mean and loadings, as a file holds them."""
        return {"mean": torch.from_numpy(self.mean), "loadings": torch.from_numpy(self.loadings)}

    def __post_init__(self) -> None:
        mean, loadings = (np.asarray(a, dtype=np.float64) for a in (self.mean, self.loadings))
        _check_plane(mean, loadings, self.names)
        object.__setattr__(self, "mean", mean)
        object.__setattr__(self, "loadings", loadings)

    def encode(self, x: np.ndarray | spmatrix | sparray) -> Float64[np.ndarray, "n k"]:
        """Return the components ``(n, k)`` of expression ``(n, g)``, which may be sparse."""
        self._check_width(x.shape[1], 0)
        # centred after the product, so that what is sparse stays so
        return np.asarray(x @ self.loadings - self.mean @ self.loadings)

    def decode(self, z: np.ndarray) -> Float64[np.ndarray, "n g"]:
        """Return the expression ``(n, g)`` of components ``(n, k)``."""
        self._check_width(z.shape[1], 1)
        genes: np.ndarray = z @ self.loadings.T + self.mean
        return genes

    def _check_width(self, found: int, side: int) -> None:
        expected = self.loadings.shape[side]
        if found != expected:
            raise ValueError(f"expected {expected} {('genes', 'components')[side]}; found {found}")


def _check_plane(mean: np.ndarray, loadings: np.ndarray, names: tuple[str, ...]) -> None:
    if mean.ndim != 1 or loadings.ndim != 2 or not len(mean) == len(loadings) == len(names):
        raise ValueError(
            f"a mean (g,), loadings (g, k) and g names belong together; found {mean.shape}, "
            f"{loadings.shape} and {len(names)} names"
        )
    if len(set(names)) != len(names):
        raise ValueError(f"{len(names) - len(set(names))} names of genes stand more than once")
    if not (np.isfinite(mean).all() and np.isfinite(loadings).all()):
        raise ValueError("mean and loadings must be finite")
    error = np.abs(loadings.T @ loadings - np.eye(loadings.shape[1])).max(initial=0)
    if error > _ORTHONORMAL:
        raise ValueError(
            f"the columns of loadings must be orthonormal; found an error of {error:g}"
        )


def fit_projection(
    x: np.ndarray | spmatrix | sparray,
    names: tuple[str, ...],
    n_comps: int,
    *,
    generator: torch.Generator,
    layer: str | None = None,
    use_rep: str = "X_pca",
) -> Projection:
    """Return the projection onto the plane of largest variance, widest direction first.

    scikit-learn's PCA by an exact solver; the sign of each component makes its largest loading
    positive. A sparse matrix is not made dense, of a dense one a float64 copy is made.

    Parameters
    ----------
    x
        ``(n, g)`` expression of the cells to learn from.
    names, layer, use_rep
        See :class:`Projection`.
    n_comps
        Components, at most ``min(n - 1, g)`` (count).
    generator
        Source of the vector that Lanczos iterations begin with.

    Returns
    -------
    The projection.

    Raises
    ------
    ValueError
        More components than the cells span.

    References
    ----------
    Pearson (1901); Lehoucq, Sorensen & Yang, *ARPACK users' guide* (1998).

    Examples
    --------
    >>> import numpy as np, torch
    >>> from celltraj.models.genes.projection import fit_projection
    >>> x = np.array([[1.0, 0.0], [3.0, 0.0], [5.0, 0.0]])
    >>> plane = fit_projection(x, ("CD4", "CD8"), 1, generator=torch.Generator())
    >>> plane.mean, plane.encode(x).ravel()
    (array([3., 0.]), array([-2.,  0.,  2.]))
    """
    most = min(x.shape[0] - 1, x.shape[1])
    if not 1 <= n_comps <= most:
        raise ValueError(
            f"{x.shape[0]} cells with {x.shape[1]} genes have 1 to {most} components; "
            f"found n_comps={n_comps}"
        )
    if _is_constant(x):
        raise ValueError("the cells to learn from do not vary: they span 0 directions")
    start = int(torch.randint(2**31 - 1, (1,), generator=generator))
    solver = PCA(n_comps, svd_solver=_solver(x, n_comps), random_state=start)
    found = solver.fit(x.astype(np.float64))
    sizes = found.singular_values_
    n_spanned = int((sizes > _NOTHING * _norm(x)).sum())
    if n_spanned < n_comps:
        raise ValueError(
            f"the cells to learn from span {n_spanned} directions; pass n_comps= of at most that"
        )
    return Projection(found.mean_, found.components_.T, names, layer, use_rep)


def _solver(x: np.ndarray | spmatrix | sparray, k: int) -> str:
    """Return the solver that is exact and neither makes dense nor squares what is large."""
    if k == min(x.shape):
        return "covariance_eigh" if issparse(x) else "full"
    return "covariance_eigh" if x.shape[1] <= _SMALL and not issparse(x) else "arpack"


def _is_constant(x: np.ndarray | spmatrix | sparray) -> bool:
    """Return whether all cells are the same, which ARPACK cannot work on."""
    if issparse(x):
        top, low = x.max(0).toarray(), x.min(0).toarray()
        return bool((top == low).all())
    return bool((x == x[:1]).all())


def _norm(x: np.ndarray | spmatrix | sparray) -> float:
    """Return the Frobenius norm, without an array of squares."""
    values = x if isinstance(x, np.ndarray) else x.data[None]
    return float(np.sqrt(np.einsum("ij,ij->", values, values, dtype=np.float64)))
