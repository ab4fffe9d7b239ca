"""Put a flow together from facts and tensors."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch

from celltraj.models._facts import FLOATS, Stored, check_sizes, facts_as
from celltraj.models._files import Content
from celltraj.models._representation import Representation, known_space
from celltraj.models.flow.flow import FlowMatching
from celltraj.models.growth.path_mass import N_NODES, Growth
from celltraj.models.interpolants._pack import PackedInterpolant, unpack_interpolant
from celltraj.models.networks import TwoHeads
from celltraj.snapshots import Snapshots


@dataclass(frozen=True)
class _Facts:
    times: tuple[float, ...]
    interpolant: PackedInterpolant
    width: int
    noise: float
    history: tuple[float, ...]
    representation: Representation | None = None


def flow_of(content: Content) -> FlowMatching:
    """Return the flow.

    Raises
    ------
    ValueError
        Facts or tensors are not those of a flow.
    """
    facts = facts_as(_Facts, content.facts, "the flow")
    tensors = Stored(content.tensors)
    n_times, dim = len(facts.times), tensors.shape("box", 3)[2]
    box = tensors.take("box", n_times, 2, dim, dtypes=FLOATS)
    mass = _growth(tensors.below("mass."), n_times)
    check_sizes(dim=dim, width=facts.width)
    # scales and weights are those of the file; two cells stand in for the data
    blank = Snapshots(facts.times, tuple(torch.zeros(2, dim) for _ in facts.times))
    generator = torch.Generator().manual_seed(0)
    heads = tensors.below("heads.").fill(
        lambda: TwoHeads(blank, width=facts.width, generator=generator, has_mass=mass is not None)
    )
    interpolant = unpack_interpolant(
        facts.interpolant, tensors.below("interpolant."), n_times=n_times, dim=dim
    )
    tensors.finish()
    space = known_space(facts.representation, dim)
    flow = FlowMatching(heads, facts.times, interpolant, box, 0.0, facts.history, mass, space)
    return flow.with_noise(facts.noise)


def _growth(tensors: Stored, n_times: int) -> Growth | None:
    if not tensors.names:
        return None
    n_gaps = n_times - 1
    shapes = {
        "times": (n_times,),
        "drift": (n_gaps, N_NODES),
        "bounds": (n_gaps, 2, 2),
        "sizes": (n_gaps,),
    }
    growth = Growth(
        **{
            one.name: tensors.take(one.name, *shapes[one.name], dtypes=FLOATS)
            for one in fields(Growth)
        }
    )
    if not bool((growth.times.diff() > 0).all()):
        raise ValueError("the times of its growth do not increase")
    return growth
