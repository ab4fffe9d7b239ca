r"""One step of a law of motion as a function of standard normal noise.

Whatever the scheme, a step is a function of the state and of noise ``z ~ N(0, I)``. Steering draws
``z`` from another normal law and puts the ratio of both densities on the weight of the path, which
is exact for any scheme: only the law that is steered depends on the step.

An affine law is stepped by its exact transition. Others take the midpoint with noise of both halves
of the step, of weak order two where the noise is the same everywhere and of order one elsewhere.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from celltraj._typing import Cells, Earlier
from celltraj.models.process import Affine, GrowingProcess, Process, is_growing
from celltraj.models.references.gaussian_law import flow_of
from celltraj.models.solvers.noise import normal_like
from celltraj.models.solvers.solver import after, centre


@dataclass(frozen=True, eq=False)
class Ahead:
    """Hold where a step leads to first order.

    Parameters
    ----------
    mean
        ``(n, d)`` next state without noise, in [x].
    root
        ``(c, d, d)`` what the noise is multiplied by, in [x]; ``c`` is 1 where all cells share it.
    slope
        ``(n, d)`` drift at the start of the step.
    """

    mean: Tensor
    root: Tensor
    slope: Tensor


@runtime_checkable
class Steps(Protocol):
    """A scheme."""

    @property
    def process(self) -> Process:
        """Return the law that is stepped."""
        ...

    def ahead(self, start: float, stop: float, x: Cells) -> Ahead:
        """Return where the step leads from ``x``."""
        ...

    def move(
        self, span: tuple[float, float], x: Cells, ahead: Ahead, z: Tensor, spare: torch.Generator
    ) -> tuple[Cells, Earlier]:
        """Return the next states, and the growth that was gathered, both of noise ``z (n, d)``."""
        ...


@dataclass(frozen=True)
class ExactSteps:
    """Step an affine law by its transition ``N(F x + c, Q)``."""

    process: Process

    def ahead(self, start: float, stop: float, x: Cells) -> Ahead:
        """Return ``F x + c`` and a root of ``Q``."""
        law = flow_of(self.process, x, (start, stop))  # type: ignore[arg-type]
        return Ahead(law.mean[-1], torch.linalg.cholesky(law.noises[0]), x)

    def move(
        self, span: tuple[float, float], x: Cells, ahead: Ahead, z: Tensor, spare: torch.Generator
    ) -> tuple[Cells, Earlier]:
        """Return the next states, and no growth."""
        return ahead.mean + (ahead.root @ z[..., None])[..., 0], torch.zeros_like(x[:, 0])


@dataclass(frozen=True)
class MidpointSteps:
    """Step any law by its drift at the middle, where half of the noise has acted."""

    process: Process

    def ahead(self, start: float, stop: float, x: Cells) -> Ahead:
        """Return Euler's prediction and the noise of the start, which is Ito's."""
        h, t = stop - start, after(start, stop)
        slope = self.process.drift(t, x)
        noise = math.sqrt(h) * self.process.diffusion(t, x)
        is_common = bool((noise == noise[:1]).all())
        return Ahead(x + h * slope, torch.diag_embed(noise[:1] if is_common else noise), slope)

    def move(
        self, span: tuple[float, float], x: Cells, ahead: Ahead, z: Tensor, spare: torch.Generator
    ) -> tuple[Cells, Earlier]:
        """Return the next states, and the growth at the middle times the step."""
        start, stop = span
        h, t = stop - start, centre(start, stop)
        noise = ahead.root.diagonal(dim1=1, dim2=2)
        # of the noise of a step, half has acted by its middle, give or take
        half = noise * (z + normal_like(z, spare)) / 2
        middle = x + h / 2 * ahead.slope + half
        moved = x + h * self.process.drift(t, middle) + noise * z
        if not is_growing(self.process):
            return moved, torch.zeros_like(x[:, 0])
        process: GrowingProcess = self.process
        return moved, h * process.growth(t, middle)


def check_finite(process: object, x: Cells, t: float) -> None:
    """Raise where paths have left the finite numbers.

    Raises
    ------
    ValueError
        They have.
    """
    n_bad = int((~torch.isfinite(x)).any(1).sum())
    if n_bad:
        raise ValueError(
            f"{n_bad} of {len(x)} paths of {type(process).__name__} leave the finite numbers by "
            f"time {t:g}: its drift is not finite, or too steep for the steps that are taken"
        )


def steps_of(process: Process) -> Steps:
    """Return the scheme for a process."""
    is_exact = isinstance(process, Affine) and not is_growing(process)
    return ExactSteps(process) if is_exact else MidpointSteps(process)
