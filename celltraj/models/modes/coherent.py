r"""Coherent sets of couplings: which cells stay together, and how long.

The couplings of a time course from ``t0`` to ``t1`` carry the mass ``P_ij`` from cell ``i`` to cell
``j``, the product of the plans of all gaps, with row sums ``a`` and column sums ``b``. Time is
explicit, so that there are no eigenvalues, but there are singular values of

    B = diag(a)^-1/2 P diag(b)^-1/2,    1 = s_0 >= s_1 >= ...,

the greatest correlations that functions of cells at ``t0`` and at ``t1`` can have along the
couplings. The functions ``u_k / sqrt(a)`` and ``v_k / sqrt(b)`` are constant on sets of cells whose
descendants stay together and that mix with others only slowly; a correlation that decayed at a
constant rate would do so at ``-log s_k / (t1 - t0)``. A plan is applied by ``push`` and ``pull``,
no ``n x m`` array is made.

Cells count by their descendants at ``t1``: where cells divide and die, ``a`` is the mass of the
descendants that a cell of ``t0`` has there.

Froyland, *An analytic framework for identifying finite-time coherent sets in time-dependent
dynamical systems* (2013); Wu & Noe, *Variational approach for learning Markov processes from time
series data* (2020).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from celltraj.models.lineage.lineage import Lineage
from celltraj.models.modes.chain import Chain
from celltraj.models.modes.influence import standard_errors
from celltraj.models.modes.singular import singular_vectors

_BESIDE = 6  # modes beside those that are asked for, through which plans answer to weights


@dataclass(frozen=True, eq=False)
class CoherentModes:
    """Hold singular values of couplings, and their functions of the cells at all times between.

    Parameters
    ----------
    times
        ``(T,)`` the first time, the last, and those between, in [t].
    values
        ``(K,)`` singular values, without the first, which is 1.
    errors
        ``(K,)`` their standard errors, see :func:`coherent_modes`.
    functions
        ``T`` tensors ``(n_k, K)``: at the last time ``v_k / sqrt(b)``, before it the mean of that
        over the descendants of a cell, which at the first time is ``s_k u_k / sqrt(a)``. NaN for a
        cell without descendants, or at the last time without ancestors.
    masses
        ``T`` tensors ``(n_k,)``: the share of the cells of ``t1`` whose ancestor a cell is.
    """

    times: tuple[float, ...]
    values: Tensor
    errors: Tensor
    functions: tuple[Tensor, ...]
    masses: tuple[Tensor, ...]

    @property
    def duration(self) -> float:
        """From the first time to the last, in [t]."""
        return self.times[-1] - self.times[0]

    @property
    def rates(self) -> Tensor:
        """Rates ``-log s / (t1 - t0)``, ``(K,)``, in 1/[t]; infinite where ``s`` is zero."""
        return -self.values.clamp(max=1).log() / self.duration

    @property
    def log_errors(self) -> Tensor:
        """Standard errors of the rates, ``(K,)``, in 1/[t]."""
        return self.errors / self.values / self.duration


def coherent_modes(
    lineage: Lineage,
    source: float,
    target: float,
    n_modes: int,
    *,
    generator: torch.Generator,
    progress: bool = False,
) -> CoherentModes:
    r"""Return the slowest modes of couplings between two times.

    Standard errors are those of cells of all times drawn anew, see
    :mod:`celltraj.models.modes.influence`.

    Parameters
    ----------
    lineage
        Couplings.
    source, target
        Two times, the first before the second, in the user's unit.
    n_modes
        Modes beside the constant one.
    generator
        Draws the vectors that the iteration begins with.
    progress
        Whether to show a progress bar.

    Raises
    ------
    ValueError
        No cells at one of the times, ``source`` is not before ``target``, or there are not more
        cells than modes.

    Examples
    --------
    >>> import torch
    >>> from scipy.sparse import csr_array
    >>> from celltraj.models import Lineage
    >>> from celltraj.models.modes.coherent import coherent_modes
    >>> from celltraj.ot import SparseCoupling
    >>> plan = SparseCoupling(csr_array([[0.4, 0.1], [0.1, 0.4]]))
    >>> half = torch.tensor([0.5, 0.5]).double()
    >>> lineage = Lineage((0.0, 1.0), (plan,), (half, half))
    >>> modes = coherent_modes(lineage, 0.0, 1.0, 1, generator=torch.Generator())
    >>> modes.values
    tensor([0.6000], dtype=torch.float64)
    """
    first, last = lineage.span(source, target)
    cells = [len(lineage.weights[k]) for k in (first, last)]
    if min(cells) <= n_modes:
        raise ValueError(
            f"{n_modes} modes need more cells than that at both ends; found {cells[0]} at "
            f"{source:g} and {cells[1]} at {target:g}. Ask for fewer, n_modes={min(cells) - 1}"
        )
    chain = Chain.of(lineage, first, last)
    a, b = chain.product(torch.ones(cells[1], 1, dtype=torch.float64))[:, 0], chain.reached[-1]
    roots = [torch.where(one > 0, one.rsqrt(), 0.0)[:, None] for one in (a, b)]
    found = singular_vectors(
        lambda v: roots[0] * chain.product(roots[1] * v),
        lambda u: roots[1] * chain.adjoint(roots[0] * u),
        b.sqrt(),
        1 + min(n_modes + _BESIDE, min(cells) - 1),
        generator=generator,
        progress=progress,
    )
    values = found.values[1:].clamp(max=1)
    left, right = roots[0] * found.left[:, 1:], roots[1] * found.right[:, 1:]
    functions, masses = chain.means(right)
    errors = standard_errors(chain, values, (left, right), functions, masses)
    kept = slice(n_modes)
    return CoherentModes(
        lineage.times[first : last + 1],
        values[kept],
        errors[kept],
        tuple(one[:, kept] for one in functions),
        masses,
    )
