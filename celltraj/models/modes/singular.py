r"""The greatest singular values of a linear map that is known by its products alone.

Block Golub-Kahan iteration with full orthogonalisation: the map ``A`` meets the spaces spanned by
``V, A'A V, (A'A)^2 V, ...``, and the singular values of ``A`` on the span of all of them rise to
its own. A product with a block of vectors through couplings takes little longer than with one,
which is why they come in blocks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from tqdm.auto import tqdm

_BESIDE = 6  # vectors in a block beside those that are asked for
_MOST_BLOCKS = 30
_SETTLED = 1e-7  # change of singular values below which they are taken as found
_TINY = 1e-12  # of a direction that is left once those before are taken out


class Singular(NamedTuple):
    """Hold singular values ``(k,)``, and left ``(n, k)`` and right ``(m, k)`` vectors."""

    values: Tensor
    left: Tensor
    right: Tensor


def singular_vectors(
    forward: Callable[[Tensor], Tensor],
    backward: Callable[[Tensor], Tensor],
    known: Tensor,
    k: int,
    *,
    generator: torch.Generator,
    progress: bool = False,
) -> Singular:
    """Return the ``k`` greatest singular values of a map, with their vectors.

    Parameters
    ----------
    forward, backward
        ``A v`` of ``v (m, c)`` and ``A' u`` of ``u (n, c)``.
    known
        ``(m,)`` a right singular vector that is known, to begin with.
    k
        Number of singular values.
    generator
        Draws the vectors to begin with.
    progress
        Whether to show a progress bar over the products.

    References
    ----------
    Golub & Kahan, *Calculating the singular values and pseudo-inverse of a matrix* (1965); Musco &
    Musco, *Randomized block Krylov methods for stronger and faster approximate singular value
    decomposition* (2015).

    Examples
    --------
    >>> import torch
    >>> from celltraj.models.modes.singular import singular_vectors
    >>> a = torch.diag(torch.tensor([3.0, 2.0, 1.0], dtype=torch.float64))
    >>> first = torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64)
    >>> found = singular_vectors(a.mm, a.T.mm, first, 2, generator=torch.Generator())
    >>> found.values.round(decimals=6)
    tensor([3., 2.], dtype=torch.float64)
    """
    width = min(k + _BESIDE, len(known))
    drawn = torch.randn(len(known), width - 1, dtype=torch.float64, generator=generator)
    right = torch.linalg.qr(torch.cat([known[:, None], drawn], 1)).Q
    left, before = forward(right), torch.zeros(k, dtype=torch.float64)
    with tqdm(desc="modes", unit="product", disable=not progress) as bar:
        for _ in range(_MOST_BLOCKS):
            u, values, z = torch.linalg.svd(left, full_matrices=False)
            bar.update(2)
            if float((values[:k] - before).abs().max()) < _SETTLED:
                break
            before = values[:k]
            block = _beside(backward(torch.linalg.qr(left[:, -width:]).Q), right)
            if not block.shape[1]:
                break
            width = block.shape[1]
            right, left = torch.cat([right, block], 1), torch.cat([left, forward(block)], 1)
    return Singular(values[:k], u[:, :k], right @ z[:k].T)


def _beside(block: Tensor, basis: Tensor) -> Tensor:
    """Return an orthonormal basis ``(m, c)`` of what a block has beside an orthonormal basis."""
    norms = block.norm(dim=0)
    for _ in range(2):  # twice is enough
        block = block - basis @ (basis.T @ block)
    u, values, _ = torch.linalg.svd(block, full_matrices=False)
    room = max(0, len(basis) - basis.shape[1])
    found: Tensor = u[:, values > _TINY * norms.max().clamp(min=1e-300)][:, :room]
    return found
