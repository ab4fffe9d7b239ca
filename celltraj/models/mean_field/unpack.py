"""Put a mean-field law and its bridges together from facts and tensors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from celltraj.models._facts import facts_as
from celltraj.models._files import Content
from celltraj.models._own_code import Classes
from celltraj.models._saved import FORMAT
from celltraj.models.bridge.unpack import unpack_bridge
from celltraj.models.mean_field.bridges import MeanFieldBridges, SeenPopulation
from celltraj.models.references.mean_field_process import MeanFieldProcess


@dataclass(frozen=True)
class _Facts:
    own: float
    candidates: tuple[tuple[float, float], ...]
    seen: tuple[SeenPopulation, ...]
    parts: dict[str, Any]


def unpack_mean_field(content: Content, classes: Classes) -> MeanFieldBridges:
    """Return the law and its bridges.

    Raises
    ------
    ValueError
        Facts or tensors are not those of such a fit.
    """
    facts = facts_as(_Facts, content.facts, "the mean field")
    names = [one.name for one in facts.seen]
    if not names or list(facts.parts) != names or len(set(names)) < len(names):
        raise ValueError(f"there are parts {list(facts.parts)} of the populations {names}")
    candidates = dict(facts.candidates)
    if facts.own not in candidates or 0.0 not in candidates:
        raise ValueError(f"own={facts.own} or 0 is none of its candidates {facts.candidates}")
    parts = _parts(content, len(names))
    bridges = {
        name: unpack_bridge(Content("bridge", FORMAT, facts.parts[name], tensors), classes)
        for name, tensors in zip(names, parts, strict=True)
    }
    if len({one.dim for one in bridges.values()}) != 1:
        raise ValueError("the bridges have different numbers of variables")
    for name, one in bridges.items():
        if not isinstance(one.reference, MeanFieldProcess):
            kind = type(one.reference).__name__
            raise ValueError(f"the bridge of {name!r} is on {kind}, not on a mean-field law")
    return MeanFieldBridges(bridges, facts.own, facts.candidates, facts.seen)


def _parts(content: Content, n: int) -> list[dict[str, Tensor]]:
    """Return the tensors of each population, under names of its own."""
    parts: list[dict[str, Tensor]] = [{} for _ in range(n)]
    places = {str(k): k for k in range(n)}
    for name, value in content.tensors.items():
        place, _, inner = name.partition(".")
        if place not in places:
            raise ValueError(f"nothing asks for the tensor {name!r}")
        parts[places[place]][inner] = value
    return parts
