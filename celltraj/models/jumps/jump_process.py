r"""Cells that jump between states, divide and die, each at a constant rate.

A cell in state ``i`` becomes one of state ``j`` at the rate ``q_ij`` and leaves ``r_i`` more of its
kind per unit of time. Shares of states then follow

    dp/dt = p (Q + diag r) - (p . r) p,    Q_ij = q_ij,  Q_ii = -sum_j q_ij,

whose solution is ``p(t) ~ p(0) exp((Q + diag r) t)``, scaled to one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float64
from torch import Tensor


@dataclass(frozen=True, eq=False)
class JumpProcess:
    """Hold the rates of a Markov process of cell states.

    Parameters
    ----------
    states
        Names of the ``K`` states.
    rates
        ``(K, K)`` rates from state to state, in 1/[t], the diagonal zero.
    growth
        ``(K,)`` net growth of each state, in 1/[t].

    Examples
    --------
    >>> import torch
    >>> from celltraj.models.jumps.jump_process import JumpProcess
    >>> rates = torch.tensor([[0.0, 1.0], [0.0, 0.0]], dtype=torch.float64)
    >>> process = JumpProcess(("stem", "mature"), rates, torch.zeros(2, dtype=torch.float64))
    >>> start = torch.tensor([1.0, 0.0], dtype=torch.float64)
    >>> round(float(process.shares(start, 1.0)[0]), 4)  # exp(-1)
    0.3679
    """

    states: tuple[str, ...]
    rates: Float64[Tensor, "K K"]
    growth: Float64[Tensor, " K"]

    def shares(self, start: Float64[Tensor, "*s K"], duration: float) -> Float64[Tensor, "*s K"]:
        """Return the shares of states after ``duration``, in [t], from those at its start."""
        return shares_after(self.rates, self.growth, start, (duration,))[..., 0, :]


def shares_after(
    rates: Tensor, growth: Tensor, start: Tensor, durations: Sequence[float]
) -> Float64[Tensor, "*s T K"]:
    """Return ``start exp((Q + diag r) t)`` scaled to one, for durations ``t``; differentiable."""
    moving = rates - torch.diag(rates.sum(1)) + torch.diag(growth)
    # a constant does not change shares, and keeps the exponential in range
    moving = moving - growth.max() * torch.eye(len(growth), dtype=rates.dtype)
    times = torch.tensor(durations, dtype=rates.dtype)[:, None, None]
    found: Tensor = torch.einsum("...i,tij->...tj", start, torch.linalg.matrix_exp(moving * times))
    return found / found.sum(-1, keepdim=True)
