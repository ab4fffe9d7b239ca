"""Take an interpolant apart into numbers and tensors, and put it together again; no pickle."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, cast

from torch import Tensor

from celltraj.models._process import Reference
from celltraj.models.interpolants._interpolant import Interpolant
from celltraj.models.interpolants.brownian_bridge import BrownianBridgeInterpolant
from celltraj.models.interpolants.encoding_decoding import EncodingDecodingInterpolant
from celltraj.models.interpolants.kinetic import KineticInterpolant
from celltraj.models.interpolants.linear import LinearInterpolant
from celltraj.models.interpolants.one_sided import OneSidedInterpolant
from celltraj.models.interpolants.reference import ReferenceInterpolant
from celltraj.models.interpolants.spline import SplineInterpolant
from celltraj.models.interpolants.trigonometric import TrigonometricInterpolant
from celltraj.models.references import pack_reference, unpack_reference

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


def pack_interpolant(interpolant: Interpolant) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return name and numbers of an interpolant, and its tensors.

    Raises
    ------
    TypeError
        It holds code of the user's, which no file can hold without pickle.
    """
    name = type(interpolant).__name__
    kind: Any = _KINDS.get(name)
    if type(interpolant) is not kind:
        raise TypeError(f"a flow on {name} cannot be saved, since its code is yours")
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


def unpack_interpolant(facts: dict[str, Any], tensors: dict[str, Tensor]) -> Interpolant:
    """Return the interpolant that :func:`pack_interpolant` took apart."""
    prefix = f"{_LAW}."
    state = {k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)}
    rest: dict[str, Any] = {k: v for k, v in tensors.items() if not k.startswith(prefix)}
    if _LAW in facts:
        rest[_LAW] = unpack_reference(**facts[_LAW], tensors=state)
    return _KINDS[facts["name"]](**facts["options"], **rest)
