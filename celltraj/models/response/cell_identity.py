"""What makes a cell the one it is, whatever its row: an order, a key, and noise of its own."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from celltraj._typing import Cells

_KNOTS = 64  # times at which the noise of a cell is drawn; a line between them


def content_order(x: Cells, types: Tensor | None = None) -> Tensor:
    """Return the rows ``(n,)`` of cells in an order that depends on what they hold alone.

    Draws by position from cells in this order do not depend on the order they came in. They are
    sorted by their first variable, among equals by the next: moving and stretching the variables
    leaves the order as it is, rounding nearly so.

    Examples
    --------
    >>> import torch
    >>> from celltraj.models.response.cell_identity import content_order
    >>> x = torch.tensor([[1.0], [0.0], [2.0]])
    >>> content_order(x), content_order(x[content_order(x)])
    (tensor([1, 0, 2]), tensor([0, 1, 2]))
    """
    values = x.detach().double().cpu().numpy()
    kinds = () if types is None else (types.numpy(),)
    return torch.from_numpy(np.lexsort((*kinds, *values.T[::-1])))


def key_of(*parts: str | int) -> int:
    """Return a number below 2^63 that stands for these words and numbers.

    Examples
    --------
    >>> from celltraj.models.response.cell_identity import key_of
    >>> key_of("a", "bc") == key_of("ab", "c")
    False
    """
    digest = hashlib.blake2b(
        json.dumps([str(part) for part in parts]).encode(), digest_size=8
    ).digest()
    return int.from_bytes(digest, "little") >> 1


def content_keys(x: Cells) -> list[int]:
    """Return a key for each of ``n`` cells by what it holds; equal cells are counted through."""
    rows, seen = row_bytes(x), Counter[bytes]()
    keys = []
    for row in rows:
        keys.append(key_of(row.hex(), seen[row]))
        seen[row] += 1
    return keys


def row_bytes(x: Cells) -> list[bytes]:
    """Return what each cell holds, as bytes; equal numbers give equal bytes."""
    values = np.ascontiguousarray(x.detach().cpu().numpy() + 0.0)  # of minus zero as well
    return [row.tobytes() for row in values]


def brownian_paths(keys: Sequence[int], dim: int, *, seed: int) -> Tensor:
    """Return standard Brownian paths ``(T, n, d)`` on [0, 1], each drawn by the key of its cell.

    Counter-based (Salmon et al., *Parallel random numbers: as easy as 1, 2, 3*, 2011): the path of
    a cell does not depend on which others are drawn.
    """
    paths = np.zeros((_KNOTS + 1, len(keys), dim))
    for k, key in enumerate(keys):
        source = np.random.Generator(np.random.Philox(key=[seed, key]))
        paths[1:, k] = source.standard_normal((_KNOTS, dim)).cumsum(0)
    return torch.from_numpy(paths / np.sqrt(_KNOTS))
