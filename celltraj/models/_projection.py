"""Principal components with the way back to genes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float64
from scipy.linalg import eigh, qr
from scipy.sparse import issparse, sparray, spmatrix
from scipy.sparse.linalg import LinearOperator, svds

_SMALL = 4096  # rows or columns of a dense matrix whose Gram matrix is decomposed directly
_NOTHING = 1e-6  # share of the norm of a matrix; singular values below are rounding of float32
_ORTHONORMAL = 1e-6
_TIE = 1e-6  # loadings that differ by less count as equally large


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
    >>> from celltraj.models._projection import Projection
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
        return z @ self.loadings.T + self.mean

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

    The sign of each component makes its largest loading positive. A sparse matrix is not made
    dense: Lanczos iterations act on it and its mean. Of a dense one a float64 copy is made.

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
    >>> from celltraj.models._projection import fit_projection
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
    mean = np.asarray(x.mean(0, dtype=np.float64)).ravel()
    size = _norm(x)
    # asked beforehand, because ARPACK fails where there is no variance at all
    n_spanned = int(size**2 - x.shape[0] * mean @ mean > (_NOTHING * size) ** 2)
    if n_spanned > 0:
        sizes, axes = _principal_axes(x, mean, n_comps, generator)
        n_spanned = int((sizes > _NOTHING * size).sum())
    if n_spanned < n_comps:
        raise ValueError(
            f"the cells to learn from span {n_spanned} directions; pass n_comps= of at most that"
        )
    return Projection(mean, axes * _signs(axes), names, layer, use_rep)


def _norm(x: np.ndarray | spmatrix | sparray) -> float:
    """Return the Frobenius norm, without an array of squares."""
    values = x if isinstance(x, np.ndarray) else x.data[None]
    return float(np.sqrt(np.einsum("ij,ij->", values, values, dtype=np.float64)))


def _principal_axes(
    x: np.ndarray | spmatrix | sparray, mean: np.ndarray, k: int, generator: torch.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return the ``k`` largest singular values of ``x - mean`` and their right vectors."""
    if issparse(x) and k < min(x.shape):
        return _lanczos(_centred(x.astype(np.float64), mean), k, generator)
    dense = (x if isinstance(x, np.ndarray) else x.toarray()) - mean
    if min(dense.shape) > max(_SMALL, k):
        return _lanczos(dense, k, generator)
    return _gram(dense, k)


def _centred(x: spmatrix | sparray, mean: np.ndarray) -> LinearOperator:
    """Return ``x - 1 mean'`` as an operator."""

    def forth(v: np.ndarray) -> np.ndarray:
        return x @ v - mean @ v

    def back(u: np.ndarray) -> np.ndarray:
        return x.T @ u - np.multiply.outer(mean, u.sum(0))

    return LinearOperator(
        x.shape, matvec=forth, rmatvec=back, matmat=forth, rmatmat=back, dtype=np.float64
    )


def _lanczos(
    a: np.ndarray | LinearOperator, k: int, generator: torch.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return them by iteration on products with vectors alone, from a random start."""
    start = torch.rand(min(a.shape), dtype=torch.float64, generator=generator).numpy()
    _, sizes, rows = svds(a, k, v0=start, solver="arpack")
    return sizes[::-1], rows[::-1].T


def _gram(a: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return them from the smaller Gram matrix, the faster way for a dense matrix."""
    n, g = a.shape
    m = min(n, g)
    gram = a.T @ a if g <= n else a @ a.T
    squares, vectors = eigh(gram, subset_by_index=(m - k, m - 1))
    sizes, vectors = np.sqrt(squares[::-1].clip(min=0)), vectors[:, ::-1]
    # the columns of a'u are orthogonal up to rounding, which is large where they are short
    return sizes, vectors if g <= n else qr(a.T @ vectors, mode="economic")[0]


def _signs(axes: np.ndarray) -> np.ndarray:
    """Return the sign ``(k,)`` of the largest loading of each component, the first among equals."""
    height = np.abs(axes)
    first = (height >= (1 - _TIE) * height.max(0)).argmax(0)
    return np.where(np.take_along_axis(axes, first[None], 0)[0] < 0, -1.0, 1.0)
