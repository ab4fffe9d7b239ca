"""Put arms together from facts and tensors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from celltraj.models._facts import Stored, facts_as
from celltraj.models._files import Content
from celltraj.models._own_code import Classes
from celltraj.models._saved import FORMAT
from celltraj.models.arms.arms import Arm, Arms
from celltraj.models.bridge.bridge import Bridge
from celltraj.models.bridge.unpack import unpack_bridge
from celltraj.models.references import PackedReference, unpack_reference
from celltraj.models.references.family import Reference


@dataclass(frozen=True)
class _Facts:
    own: float
    candidates: tuple[tuple[float, float | None], ...]
    seen: tuple[Arm, ...]
    parts: dict[str, Any]


def unpack_arms(content: Content, classes: Classes) -> Arms:
    """Return the arms.

    Raises
    ------
    ValueError
        Facts or tensors are not those of arms.
    """
    facts = facts_as(_Facts, content.facts, "the arms")
    _check(facts)
    parts = _parts(content, len(facts.seen))
    bridges: dict[str, Bridge] = {}
    for one, tensors in zip(facts.seen, parts, strict=True):
        if len(one.times) > 1:
            part = Content("bridge", FORMAT, facts.parts[one.name], tensors)
            bridges[one.name] = unpack_bridge(part, classes)
    dims = {one.dim for one in bridges.values()}
    if len(dims) != 1:
        raise ValueError(f"the bridges of the arms have {sorted(dims)} variables")
    laws: dict[str, Reference] = {}
    for one, tensors in zip(facts.seen, parts, strict=True):
        if one.name in bridges:
            laws[one.name] = bridges[one.name].reference
            continue
        packed = facts_as(PackedReference, facts.parts[one.name], f"the law of {one.name!r}")
        stored = Stored(tensors)
        laws[one.name] = unpack_reference(packed, stored, dim=min(dims), classes=classes)
        stored.finish()
    return Arms(bridges, laws, facts.own, facts.candidates, facts.seen)


def _check(facts: _Facts) -> None:
    """Raise where facts contradict each other."""
    names = [one.name for one in facts.seen]
    if list(facts.parts) != names or len(set(names)) < len(names):
        raise ValueError(f"the arms have parts {list(facts.parts)} of the conditions {names}")
    if facts.own not in dict(facts.candidates):
        raise ValueError(f"own={facts.own} is none of its candidates {facts.candidates}")
    for one in facts.seen:
        if not len(one.n_cells) == len(one.times) == len(one.misses) + 1:
            raise ValueError(f"{one.name!r} has {len(one.times)} times, and other numbers of cells")


def _parts(content: Content, n: int) -> list[dict[str, Tensor]]:
    """Return the tensors of each condition, under names of its own."""
    parts: list[dict[str, Tensor]] = [{} for _ in range(n)]
    places = {str(k): k for k in range(n)}
    for name, value in content.tensors.items():
        place, _, inner = name.partition(".")
        if place not in places:
            raise ValueError(f"nothing asks for the tensor {name!r}")
        parts[places[place]][inner] = value
    return parts
