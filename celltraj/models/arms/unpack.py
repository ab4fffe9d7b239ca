"""Put arms together from facts and tensors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from celltraj.models._facts import Stored, facts_as
from celltraj.models._files import Content
from celltraj.models._own_code import Classes
from celltraj.models._saved import FORMAT
from celltraj.models.arms.arms import Arm, Arms
from celltraj.models.arms.likeness import Likeness
from celltraj.models.arms.similarity import KINDS
from celltraj.models.bridge.bridge import Bridge
from celltraj.models.bridge.unpack import unpack_bridge
from celltraj.models.references import PackedReference, unpack_reference
from celltraj.models.references.family import Reference
from celltraj.models.references.kernel import KernelReference


@dataclass(frozen=True)
class _Likeness:
    covariates: dict[str, dict[str, Any]]
    law: PackedReference
    kind: str


@dataclass(frozen=True)
class _Facts:
    own: float
    candidates: tuple[tuple[float, float | None], ...]
    seen: tuple[Arm, ...]
    parts: dict[str, Any]
    likeness: _Likeness | None = None
    compared: tuple[tuple[str, float, float | None], ...] = ()


def unpack_arms(content: Content, classes: Classes) -> Arms:
    """Return the arms.

    Raises
    ------
    ValueError
        Facts or tensors are not those of arms.
    """
    facts = facts_as(_Facts, content.facts, "the arms")
    _check(facts)
    places = [str(k) for k in range(len(facts.seen))]
    by_place = _parts(content, places + ["common"] * (facts.likeness is not None))
    parts = [by_place[place] for place in places]
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
    likeness = _likeness(facts, by_place.get("common", {}), min(dims), classes)
    return Arms(bridges, laws, facts.own, facts.candidates, facts.seen, likeness, facts.compared)


def _likeness(
    facts: _Facts, tensors: dict[str, Tensor], dim: int, classes: Classes
) -> Likeness | None:
    if facts.likeness is None:
        return None
    if facts.likeness.kind not in KINDS:
        raise ValueError(f"likeness is one of {KINDS}; found {facts.likeness.kind!r}")
    names = {one.name for one in facts.seen}
    for key, of in facts.likeness.covariates.items():
        if set(of) != names or not all(_is_value(one) for one in of.values()):
            raise ValueError(f"the covariate {key!r} has no number or text for each condition")
    stored = Stored(tensors)
    common = unpack_reference(facts.likeness.law, stored, dim=dim, classes=classes)
    stored.finish()
    if not isinstance(common, KernelReference):
        raise ValueError(f"what conditions share is a {type(common).__name__}, no KernelReference")
    return Likeness(facts.likeness.covariates, common, facts.likeness.kind)


def _is_value(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, str) or (is_number and abs(value) < math.inf)


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


def _parts(content: Content, places: Sequence[str]) -> dict[str, dict[str, Tensor]]:
    """Return the tensors of each condition, under names of its own, and of what all share."""
    parts: dict[str, dict[str, Tensor]] = {place: {} for place in places}
    for name, value in content.tensors.items():
        place, _, inner = name.partition(".")
        if place not in parts:
            raise ValueError(f"nothing asks for the tensor {name!r}")
        parts[place][inner] = value
    return parts
