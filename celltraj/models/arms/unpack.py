"""Put arms together from facts and tensors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

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
    names = [one.name for one in facts.seen]
    if list(facts.parts) != names or len(set(names)) < len(names):
        raise ValueError(f"the arms have parts {list(facts.parts)} of the conditions {names}")
    if facts.own not in dict(facts.candidates):
        raise ValueError(f"own={facts.own} is none of its candidates {facts.candidates}")
    bridges: dict[str, Bridge] = {}
    laws: dict[str, Reference] = {}
    seen_once = []
    for k, one in enumerate(facts.seen):
        if len(one.n_cells) != len(one.times) or len(one.misses) != len(one.times) - 1:
            raise ValueError(f"{one.name!r} has {len(one.times)} times, and other numbers of cells")
        if len(one.times) == 1:
            seen_once.append((k, one.name))
            continue
        start = f"{k}."
        tensors = {
            name.removeprefix(start): value
            for name, value in content.tensors.items()
            if name.startswith(start)
        }
        part = Content("bridge", FORMAT, facts.parts[one.name], tensors)
        bridges[one.name] = unpack_bridge(part, classes)
        laws[one.name] = bridges[one.name].reference
    if not bridges:
        raise ValueError("the arms hold no bridge")
    dim = next(iter(bridges.values())).dim
    if any(one.dim != dim for one in bridges.values()):
        raise ValueError("the bridges of the arms have other numbers of variables")
    for k, name in seen_once:
        packed = facts_as(PackedReference, facts.parts[name], f"the law of {name!r}")
        tensors = Stored(
            {key: value for key, value in content.tensors.items() if key.startswith(f"{k}.")}
        )
        laws[name] = unpack_reference(packed, tensors.below(f"{k}."), dim=dim, classes=classes)
        tensors.finish()
    _check_tensors(content, len(names))
    return Arms(bridges, {name: laws[name] for name in names}, *_chosen(facts))


def _chosen(facts: _Facts) -> tuple[float, tuple[tuple[float, float | None], ...], tuple[Arm, ...]]:
    return facts.own, facts.candidates, facts.seen


def _check_tensors(content: Content, n: int) -> None:
    """Raise where a tensor belongs to no condition."""
    known = {str(k) for k in range(n)}
    if strays := [name for name in content.tensors if name.split(".")[0] not in known]:
        raise ValueError(f"nothing asks for the tensor {strays[0]!r}")
