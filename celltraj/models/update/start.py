r"""The course of a flow without its cells: simulated from where it began.

Of the cells a flow keeps none, but the mean and the standard deviation of each snapshot, and the
score of all times. A Gaussian cloud of these moments, at a time inside the first gap, is led to the
density of the flow there by Langevin dynamics,

    x <- x + h score(t, x) + sqrt(2 h) z,

(Roberts & Tweedie 1996) and back to the first snapshot along the probability flow, where it is
given its moments.
"""

from __future__ import annotations

import torch

from celltraj._typing import Cells
from celltraj.models._simulate import simulate
from celltraj.models.flow.flow import FlowMatching
from celltraj.models.representation import Representation
from celltraj.snapshots import Snapshots

_CELLS = 1000  # of each snapshot
_INSIDE = 0.25  # of the first gap, where the paths have noise and the score is known
_STEPS = 100
_STEP = 0.5  # of the variance of the paths


def simulated_course(
    flow: FlowMatching, space: Representation, *, generator: torch.Generator, n: int = _CELLS
) -> Snapshots:
    """Return ``n`` simulated cells at each time of a flow, weighted by the mass that they gathered.

    Parameters
    ----------
    flow
        The flow.
    space
        Moments of the snapshots that it was fitted to.
    generator
        Source of randomness.
    n
        Cells of each snapshot.
    """
    start = _first(flow, space, n, generator)
    path = simulate(flow, start, flow.times, n_steps=10, generator=generator)
    mass = path.x.new_zeros(path.x.shape[:2]) if path.log_mass is None else path.log_mass
    return Snapshots(flow.times, tuple(path.x), tuple(torch.softmax(mass, 1)))


def _first(flow: FlowMatching, space: Representation, n: int, generator: torch.Generator) -> Cells:
    """Return ``n`` cells of the first snapshot as the flow and its moments tell them."""
    start, second = flow.times[:2]
    t = start + _INSIDE * (second - start)
    shape = (n, flow.dim)
    moments = torch.tensor([space.centres[:2], space.scales[:2]], dtype=torch.float64)
    centre, scale = torch.lerp(moments[:, 0], moments[:, 1], _INSIDE)
    x = centre + scale * torch.randn(shape, dtype=torch.float64, generator=generator)
    at = torch.tensor([t], dtype=torch.float64)
    h = _STEP * float(flow.interpolant.noise(torch.tensor(flow.times).double(), at)[0]) ** 2
    for _ in range(_STEPS):
        z = torch.randn(shape, dtype=torch.float64, generator=generator)
        x = x + h * flow.score(t, x) + (2 * h) ** 0.5 * z
    back = simulate(flow.with_noise(0.0), x, (t, start), n_steps=5, generator=generator)
    return _with_moments(back.x[-1], space)


def _with_moments(x: Cells, space: Representation) -> Cells:
    """Return cells shifted and stretched to the moments that are known of the first snapshot."""
    centre, scale = (torch.tensor(one[0]).double() for one in (space.centres, space.scales))
    found = x.std(0, correction=0)
    stretch = torch.where(found > 0, scale / found, torch.ones_like(scale))
    return centre + stretch * (x - x.mean(0))
