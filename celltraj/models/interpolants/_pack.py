"""Take an interpolant apart into numbers and tensors, and put it together again; no pickle."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, cast

from torch import Tensor

from celltraj.models._facts import FLOATS, Stored, facts_as
from celltraj.models._own_code import Classes, own_part, own_parts
from celltraj.models.interpolants._interpolant import Interpolant
from celltraj.models.interpolants.brownian_bridge import BrownianBridgeInterpolant
from celltraj.models.interpolants.encoding_decoding import EncodingDecodingInterpolant
from celltraj.models.interpolants.kinetic import KineticInterpolant
from celltraj.models.interpolants.linear import LinearInterpolant
from celltraj.models.interpolants.one_sided import OneSidedInterpolant
from celltraj.models.interpolants.reference import ReferenceInterpolant
from celltraj.models.interpolants.spline import SplineInterpolant
from celltraj.models.interpolants.trigonometric import TrigonometricInterpolant
from celltraj.models.references import PackedReference, pack_reference, unpack_reference
from celltraj.models.references.family import Reference

_KINDS: dict[str, Any] = {
    kind.__name__: kind
    for kind in (
        BrownianBridgeInterpolant,
        EncodingDecodingInterpolant,
        KineticInterpolant,
        LinearInterpolant,
        OneSidedInterpolant,
        ReferenceInterpolant,
        SplineInterpolant,
        TrigonometricInterpolant,
    )
}
_LAW = "reference"
_TENSORS = {"centre", "centres", "schedule"}


@dataclass(frozen=True)
class PackedInterpolant:
    """Hold name and numbers of an interpolant, and those of its law, as a file does."""

    name: str
    options: dict[str, Any]
    reference: PackedReference | None = None


def pack_interpolant(interpolant: Interpolant) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return name and numbers of an interpolant, and its tensors.

    Raises
    ------
    TypeError
        It holds code of the user's that is more than numbers and tensors.
    """
    name = type(interpolant).__name__
    kind: Any = _KINDS.get(name)
    if type(interpolant) is not kind:
        options, tensors = own_parts(interpolant, "interpolant", ours=_KINDS)
        return {"name": name, "options": options}, tensors
    values: dict[str, Any] = {
        one.name: getattr(interpolant, one.name) for one in fields(cast("Any", kind))
    }
    tensors = {name: value for name, value in values.items() if isinstance(value, Tensor)}
    options = {name: value for name, value in values.items() if not isinstance(value, Tensor)}
    law = options.pop(_LAW, None)
    facts: dict[str, Any] = {"name": name, "options": options}
    if isinstance(law, Reference):
        family, numbers, state = pack_reference(law)
        facts[_LAW] = {"name": family, "options": numbers}
        tensors |= {f"{_LAW}.{key}": value for key, value in state.items()}
    return facts, tensors


def unpack_interpolant(
    facts: PackedInterpolant, tensors: Stored, *, n_times: int, dim: int, classes: Classes
) -> Interpolant:
    """Return the interpolant that :func:`pack_interpolant` took apart.

    Raises
    ------
    ValueError
        Facts or tensors are not those of an interpolant fitted to ``n_times`` snapshots of ``dim``
        variables.
    """
    if facts.name not in _KINDS:
        users: Interpolant = own_part(facts.name, facts.options, tensors, classes, "interpolant")
        return users
    kind = _KINDS[facts.name]
    own = {one.name for one in fields(kind)}
    shapes = {"centre": (dim,), "centres": (n_times, dim)}
    if "schedule" in tensors.names:
        shapes["schedule"] = (n_times - 1, tensors.shape("schedule", 2)[1])
    given: dict[str, Any] = {
        name: tensors.take(name, *shape, dtypes=FLOATS)
        for name, shape in shapes.items()
        if name in own & tensors.names
    }
    given |= dict.fromkeys(_TENSORS & own - tensors.names)
    options = {k: v for k, v in facts.options.items() if k not in given or v is not None}
    if (_LAW in own) != (facts.reference is not None):
        raise ValueError(f"interpolant {facts.name} has {'no' if _LAW in own else 'a'} {_LAW}")
    if facts.reference is not None:
        given[_LAW] = unpack_reference(
            facts.reference, tensors.below(f"{_LAW}."), dim=dim, classes=classes
        )
    interpolant: Interpolant = facts_as(kind, options, f"interpolant {facts.name}", given)
    if interpolant.sigma is None:
        raise ValueError(f"interpolant {facts.name} was never fitted: it has no sigma")
    return interpolant
