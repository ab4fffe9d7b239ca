r"""Sums over the plan of two potentials on a GPU, in blocks of rows that are reduced as they come.

``log P_ij = f_i + g_j - C_ij / epsilon`` with potentials in units of epsilon, in float64. A cost
that is a product of features is computed on the device; any other is sent block by block.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from celltraj._typing import Earlier, Later
from celltraj.ot._cost import Cost, Factors, ProductCost

_ENTRIES = 2**26  # of a block: 512 MB, of which three are held


def device_named(name: str | torch.device) -> torch.device:
    """Return a device.

    Raises
    ------
    ValueError
        There is none of this name, or no GPU here.
    """
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(f"device must be 'cpu' or 'cuda'; found {name!r}") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"device is {str(name)!r}, but torch finds no GPU here; leave it out")
    return device


@dataclass(frozen=True)
class DeviceTiles:
    """Hold a cost so that sums over its plans are computed on a device.

    Parameters
    ----------
    cost
        ``(n, m)`` ground cost.
    device
        Where its entries are computed.
    factors
        Its features there; None for a cost in blocks.
    epsilon
        Regularisation, in units of the cost.
    """

    cost: Cost
    device: torch.device
    factors: Factors | None
    epsilon: float

    @classmethod
    def of(cls, cost: Cost, epsilon: float, device: torch.device) -> DeviceTiles:
        """Return the tiles of a cost, whose features are sent once."""
        factors = None
        if isinstance(cost, ProductCost):
            here = cost.factors()
            parts = (here.left, here.right, here.u, here.v)
            factors = Factors(*(part.to(device) for part in parts))
        return cls(cost, device, factors, epsilon)

    def at(self, epsilon: float) -> DeviceTiles:
        """Return the tiles at another epsilon."""
        return replace(self, epsilon=epsilon)

    def _blocks(self) -> Iterator[tuple[slice, Tensor]]:
        """Yield ``(rows, C[rows] / epsilon)``."""
        if self.factors is None:
            for rows, block in self.cost.blocks():
                yield rows, block.to(self.device) / self.epsilon
            return
        parts, scale = self.factors, 1 / self.epsilon
        n, m = self.cost.shape
        step = max(1, _ENTRIES // m)
        for start in range(0, n, step):
            rows = slice(start, min(start + step, n))
            left, u = parts.left[rows], parts.u[rows, None]
            block = torch.addmm(parts.v, left, parts.right.T, beta=scale, alpha=scale)
            yield rows, block.add_(u, alpha=scale)

    def log_rows(self, g: Later) -> Earlier:
        """Return ``(n,)`` sums ``log sum_j exp(g_j - C_ij / epsilon)``."""
        return torch.cat([torch.logsumexp(g - block, 1) for _, block in self._blocks()])

    def log_columns(self, f: Earlier) -> Later:
        """Return ``(m,)`` sums ``log sum_i exp(f_i - C_ij / epsilon)``."""
        found = f.new_full((self.cost.shape[1],), -torch.inf)
        for rows, block in self._blocks():
            found = torch.logaddexp(found, torch.logsumexp(f[rows, None] - block, 0))
        return found

    def push(self, f: Earlier, g: Later, v: Tensor) -> Tensor:
        """Return ``P' v`` for ``v`` of shape ``(n,)`` or ``(n, k)``."""
        found = v.new_zeros((len(g), *v.shape[1:]))
        for rows, block in self._blocks():
            found += (f[rows, None] + g).sub_(block).exp_().T @ v[rows]
        return found

    def pull(self, f: Earlier, g: Later, v: Tensor) -> Tensor:
        """Return ``P v`` for ``v`` of shape ``(m,)`` or ``(m, k)``."""
        return torch.cat(
            [(f[rows, None] + g).sub_(block).exp_() @ v for rows, block in self._blocks()]
        )

    def marginals(self, f: Earlier, g: Later) -> tuple[Earlier, Later]:
        """Return both sums of the plan of potentials in units of the cost, all on the CPU."""
        f, g = ((v / self.epsilon).to(self.device) for v in (f, g))
        one = f.new_ones(1)
        return self.pull(f, g, one.expand(len(g))).cpu(), self.push(f, g, one.expand(len(f))).cpu()

    def alternate(
        self, logs: tuple[Earlier, Later], g: Later, tol: float, cap: int
    ) -> tuple[Earlier, Later, int]:
        """Return ``f``, ``g`` and sweeps after which columns miss by ``tol``, or after ``cap``.

        Sinkhorn, from ``g`` and the logarithms of both marginals, in units of epsilon.
        """
        log_a, log_b = logs
        for n_sweeps in range(1, cap + 1):
            f = log_a - self.log_rows(g)
            column = self.log_columns(f)
            error = float(((column + g).exp() - log_b.exp()).abs().sum())
            if error <= tol or n_sweeps == cap:
                break
            g = log_b - column
        return f, g, n_sweeps
