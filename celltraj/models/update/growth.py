"""The growth of a flow, carried on to gaps that follow its last one."""

from __future__ import annotations

import torch
from torch import Tensor

from celltraj._typing import Cells, Earlier
from celltraj.models.flow.flow import FlowMatching
from celltraj.models.growth.path_mass import Growth


def carried_rate(flow: FlowMatching, x: Cells) -> Earlier:
    """Return the net rate ``(n,)``, in 1/[t], that the last gap of a flow tells of states.

    ``log r / Delta``: what cells at ``x`` were found to send over the gap; beyond the cells of
    that gap, what its nearest states send. Relative to the mean of the population.
    """
    if flow.mass is None:
        return torch.zeros(len(x), dtype=torch.float64)
    box = flow.box[-2:].double()
    inside = x.double().clamp(box[:, 0].amin(0), box[:, 1].amax(0))
    sent = flow.heads.predict_mass(flow.times[-2], inside)[:, 0]
    return sent.clamp(*flow.mass.bounds[-1, 0].tolist()) / (flow.times[-1] - flow.times[-2])


def continued(old: Growth, new: Growth) -> Growth:
    """Return the growth of a course and of the one that begins at its last snapshot as one."""
    return Growth(
        _after(old.times, new.times[1:]),
        _after(old.drift, new.drift),
        _after(old.bounds, new.bounds),
        _after(old.sizes, new.sizes),
    )


def _after(one: Tensor, other: Tensor) -> Tensor:
    return torch.cat([one, other.to(one)])
