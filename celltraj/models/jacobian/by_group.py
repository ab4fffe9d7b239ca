"""Derivatives of a law of motion over groups of cells: what each cell, and all on average, have.

Blocks of cells are gone through twice: once for means, which say which pairs of genes are the
strongest, and once for how far cells agree on these. No array of all cells and pairs of variables
is held.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from tqdm.auto import tqdm

from celltraj._typing import Cells, Earlier
from celltraj.models.jacobian.jacobian import BLOCK, Slopes
from celltraj.models.jacobian.pairs import PairMoments, pair_values, strongest_pairs
from celltraj.models.process import Process


@dataclass(frozen=True)
class GeneSlopes:
    """Say of which pairs of genes derivatives are wanted.

    Parameters
    ----------
    loadings
        ``(g, d)`` rows of genes in the variables.
    pairs
        ``(p, 2)`` targets and regulators; None for the strongest.
    n_top
        How many of these, in each group and time.
    """

    loadings: Float[Tensor, "g d"]
    pairs: Int[Tensor, "p 2"] | None
    n_top: int


@dataclass(frozen=True)
class GroupSlopes:
    """Hold derivatives of the velocity by the state, in 1/[t].

    Parameters
    ----------
    by
        How they were taken: ``"known"``, ``"torch"`` or ``"differences"``.
    divergence, instability
        ``(n,)`` trace, and largest real part of the eigenvalues, of each cell.
    values
        ``(n, p)`` derivatives of the pairs that were asked for; None without.
    group, time, n_cells
        Number of the group, time and number of cells of each mean.
    means
        ``(r, d, d)`` means over these cells.
    moments
        Pairs of genes of each mean.
    """

    by: str
    divergence: Earlier
    instability: Earlier
    values: Float[Tensor, "n p"] | None
    group: tuple[int, ...]
    time: tuple[float, ...]
    n_cells: tuple[int, ...]
    means: Float[Tensor, "r d d"]
    moments: tuple[PairMoments, ...]


def slopes_by_group(
    process: Process,
    x: Cells,
    times: Earlier,
    groups: Int[Tensor, " n"],
    genes: GeneSlopes,
    *,
    progress: bool = False,
) -> GroupSlopes:
    """Return derivatives of the mean velocity at cells, and their means by group and time.

    Parameters
    ----------
    process
        Law of motion.
    x, times
        ``(n, d)`` states and ``(n,)`` times of cells, in the user's units.
    groups
        ``(n,)`` number of the group of each cell, below zero for none.
    genes
        Which pairs of genes are described.
    progress
        Whether to show a bar over blocks of cells.

    Examples
    --------
    >>> import torch
    >>> from celltraj.models import OrnsteinUhlenbeck
    >>> from celltraj.models.jacobian.by_group import GeneSlopes, slopes_by_group
    >>> pull = OrnsteinUhlenbeck(
    ...     matrix=torch.tensor([[-1.0, 2.0], [0.0, -1.0]]), shift=torch.zeros(2), sigma=1.0
    ... )
    >>> found = slopes_by_group(
    ...     pull, torch.zeros(3, 2).double(), torch.zeros(3).double(), torch.zeros(3).long(),
    ...     GeneSlopes(torch.eye(2).double(), None, 1),
    ... )
    >>> found.moments[0].pairs, found.moments[0].mean  # the second moves the first
    (tensor([[0, 1]]), tensor([2.], dtype=torch.float64))
    """
    n, d = x.shape
    slopes = Slopes.of(process, float(times[0]), x)
    cells = {
        (int(g), float(t)): torch.nonzero((groups == g) & (times == t))[:, 0]
        for t in times.unique()
        for g in groups.unique()
    }
    cells = {at: rows for at, rows in cells.items() if len(rows)}
    told = [at for at in sorted(cells) if at[0] >= 0]
    divergence, instability = torch.empty(n, dtype=x.dtype), torch.empty(n, dtype=x.dtype)
    values = None if genes.pairs is None else torch.empty(n, len(genes.pairs), dtype=x.dtype)
    means, moments = [], []
    n_blocks = sum(-(-len(rows) // BLOCK) for rows in cells.values())
    with tqdm(total=n_blocks, desc="jacobian", unit="block", disable=not progress) as bar:
        for at in (*told, *(one for one in cells if one[0] < 0)):
            total = torch.zeros(d, d, dtype=x.dtype)
            for rows in cells[at].split(BLOCK):
                found = slopes(at[1], x[rows]).to(x.dtype)
                total += found.sum(0)
                divergence[rows] = found.diagonal(dim1=1, dim2=2).sum(1)
                instability[rows] = torch.linalg.eigvals(found).real.amax(1)
                if values is not None and genes.pairs is not None:
                    values[rows] = pair_values(found, genes.loadings, genes.pairs)
                bar.update()
            if at[0] >= 0:
                means.append(total / len(cells[at]))
                blocks = (slopes(at[1], x[rows]) for rows in cells[at].split(BLOCK))
                moments.append(_described(means[-1], blocks, genes))
    return GroupSlopes(
        slopes.by,
        divergence,
        instability,
        values,
        tuple(g for g, _ in told),
        tuple(t for _, t in told),
        tuple(len(cells[at]) for at in told),
        torch.stack(means),
        tuple(moments),
    )


def _described(mean: Tensor, blocks: Iterator[Tensor], genes: GeneSlopes) -> PairMoments:
    """Return what cells say of pairs of genes, of the strongest ones unless told which."""
    pairs = genes.pairs
    if pairs is None:
        pairs = strongest_pairs(mean, genes.loadings, genes.n_top)
    found = PairMoments(genes.loadings, pairs)
    for one in blocks:
        found.add(one.to(genes.loadings.dtype))
    return found
