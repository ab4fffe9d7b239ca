"""Put a flow together from facts and tensors."""

from __future__ import annotations

from dataclasses import dataclass, fields
from itertools import pairwise

import torch

from celltraj.models._facts import FLOATS, Stored, check_sizes, facts_as
from celltraj.models._files import Content
from celltraj.models._own_code import Classes
from celltraj.models.flow.flow import FlowMatching
from celltraj.models.growth.path_mass import N_NODES, Growth
from celltraj.models.interpolants import PackedInterpolant, unpack_interpolant
from celltraj.models.networks import HeadSizes, TwoHeads
from celltraj.models.own_snapshots import PackedPassage
from celltraj.models.representation import Representation, known_space


@dataclass(frozen=True)
class _Facts:
    times: tuple[float, ...]
    interpolant: PackedInterpolant
    width: int
    noise: float
    history: tuple[float, ...]
    representation: Representation | None = None
    passages: tuple[PackedPassage, ...] = ()
    parent: str | None = None


def unpack_flow(content: Content, classes: Classes) -> FlowMatching:
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
    _check_times(facts.times)
    if facts.width < 1:
        raise ValueError("width must be at least 1; found 0")
    sizes = HeadSizes(dim, n_times, width=facts.width, has_mass=mass is not None)
    generator = torch.Generator().manual_seed(0)  # weights are those of the file
    heads = tensors.below("heads.").fill(lambda: TwoHeads(sizes, generator=generator))
    interpolant = unpack_interpolant(
        facts.interpolant, tensors.below("interpolant."), n_times=n_times, dim=dim, classes=classes
    )
    tensors.finish()
    space = known_space(facts.representation, dim)
    passages = tuple(one.unpacked() for one in facts.passages)
    told = (facts.history, mass, space, passages, facts.parent)
    flow = FlowMatching(heads, facts.times, interpolant, box, 0.0, *told)
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


def _check_times(times: tuple[float, ...]) -> None:
    if len(times) < 2 or any(t1 <= t0 for t0, t1 in pairwise(times)):
        raise ValueError(f"its times must be two or more and increase; found {list(times)}")
