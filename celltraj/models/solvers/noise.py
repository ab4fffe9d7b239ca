r"""Noise that depends on the state, and what its derivative adds wherever a score is used.

With diagonal noise ``s_i(t, x)`` the density moves by the current ``b_i p - d_i (s_i^2 p) / 2``, so
that

    probability flow  ``b_i - (d_i s_i^2 + s_i^2 score_i) / 2``
    backward drift    ``b_i - (d_i s_i^2 + s_i^2 score_i)``

with ``d_i`` the derivative by the variable itself: zero where the noise is the same everywhere. The
schemes themselves need nothing more, since each takes the noise of the start of its step, which is
Ito's. Anderson, *Reverse-time diffusion equation models* (1982); Haussmann & Pardoux, *Time
reversal of diffusions* (1986), eq. 2.1.
"""

from __future__ import annotations

import torch
from torch import Tensor

from celltraj._typing import Cells
from celltraj.models.process import KnownNoise, Process

_PROBE = 1e-3  # relative; how far a state is moved to see whether the noise depends on it
_ROUNDING = 1e3  # units of the last digit in which two products of one graph may differ
_GOLDEN = 0.6180339887498949  # its multiples modulo one are irregular: no sums of them cancel


def normal_like(x: Cells, generator: torch.Generator) -> Cells:
    """Return standard normal noise of the shape and type of ``x``, wherever it is drawn."""
    drawn = torch.randn(x.shape, dtype=x.dtype, device=generator.device, generator=generator)
    return drawn.to(x.device)


class DiagonalNoise:
    """Evaluate the variance of a process and its derivative; one of these for one simulation.

    Parameters
    ----------
    process
        Law of motion. One that knows the derivative gives it by
        ``variance_divergence(t, x)``; otherwise autograd takes it from ``diffusion``.
    """

    def __init__(self, process: Process) -> None:
        self.process = process
        self._is_probed = self._is_own = False

    def variance(self, t: float, x: Cells) -> tuple[Cells, Cells | None]:
        """Return ``s_i^2``, in [x]^2/[t], and ``d_i s_i^2``, in [x]/[t], both ``(n, d)``.

        The second is None where the noise does not depend on the state.

        Raises
        ------
        ValueError
            The derivative cannot be had from ``diffusion``, is not finite, or reaches across cells.
        """
        if isinstance(self.process, KnownNoise):
            known = self.process.variance_divergence(t, x)
            return self.process.diffusion(t, x).square(), self._finite(t, known)
        with torch.enable_grad():
            point = x.detach().requires_grad_()
            variance = self._diffusion(t, point).square()
            slope = _slope(variance.sum(), point) if variance.requires_grad else None
            if slope is None:
                self._check_constant(t, x, variance.detach())
                return variance.detach(), None
            return variance.detach(), self._finite(t, self._own(slope, variance, point))

    def _diffusion(self, t: float, point: Cells) -> Cells:
        try:
            return self.process.diffusion(t, point)
        except RuntimeError:
            # numpy inside refuses a tensor that asks for a derivative; whether there is one to ask
            # for is seen from its values
            return self.process.diffusion(t, point.detach())

    def _check_constant(self, t: float, x: Cells, variance: Cells) -> None:
        """Raise where the noise depends on the state and autograd does not see it."""
        varies = bool((variance != variance[:1]).any())
        if not varies and not self._is_probed:
            moved = self.process.diffusion(t, x + _PROBE * (1 + x.abs()))
            varies = not torch.equal(moved.detach().square(), variance)
        self._is_probed = True
        if varies:
            raise ValueError(
                f"the diffusion of {self._name} depends on the state, in a way that torch cannot "
                "differentiate (NumPy, detach or no_grad inside). Backwards in time and in the "
                "probability flow its derivative counts: compute it with torch, or give "
                f"{self._name} a method {_REMEDY}"
            )

    def _own(self, slope: Cells, variance: Cells, point: Cells) -> Cells:
        """Return the derivative of each component by its own variable."""
        weights = 1 + (_GOLDEN * torch.arange(1, point.numel() + 1, dtype=torch.float64)) % 1
        weights = weights.reshape(point.shape).to(point)
        # one product for all components is right where each depends on its own variable alone: a
        # weighted sum has then a weighted slope, and otherwise not
        if _agree(_slope((weights * variance).sum(), point), weights * slope):
            return slope
        own, column = torch.zeros_like(slope), weights[:, 0]
        for i in range(point.shape[1]):
            found = _slope(variance[:, i].sum(), point)
            own[:, i] = 0.0 if found is None else found[:, i]
            if found is not None and not self._is_own:
                weighted = _slope((column * variance[:, i]).sum(), point)
                if not _agree(weighted, column[:, None] * found):
                    raise ValueError(
                        f"the noise of a cell under {self._name} depends on other cells, and its "
                        f"derivative by the cell alone is not known; give {self._name} a method "
                        + _REMEDY
                    )
        self._is_own = True
        return own

    def _finite(self, t: float, divergence: Cells) -> Cells:
        n_bad = int((~torch.isfinite(divergence)).any(1).sum())
        if n_bad:
            raise ValueError(
                f"the derivative of the variance of {self._name} is not finite for {n_bad} of "
                f"{len(divergence)} states at time {t:g}, such as that of sqrt(x)^2 at 0; give "
                f"{self._name} a method {_REMEDY}"
            )
        return divergence

    @property
    def _name(self) -> str:
        return type(self.process).__name__


_REMEDY = (
    "variance_divergence(t, x) that returns (n, d): the derivative of diffusion_i^2 by x_i, in "
    "[x]/[t]"
)


def _slope(value: Tensor, point: Cells) -> Cells | None:
    (slope,) = torch.autograd.grad(value, point, retain_graph=True, allow_unused=True)
    return slope


def _agree(a: Cells | None, b: Cells) -> bool:
    """Whether two results of the same products differ by rounding only; NaN is met elsewhere."""
    if a is None:
        return False
    tolerance = _ROUNDING * torch.finfo(b.dtype).eps * float(b.detach().abs().max())
    return not bool(((a - b).abs() > tolerance).any())
