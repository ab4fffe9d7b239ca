"""Take an encoder apart into numbers, and put it together again; no pickle."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, cast

from celltraj.models._facts import Stored, check_sizes, facts_as
from celltraj.models._own_code import Classes, own_part, own_parts
from celltraj.models.encoders._kinds import Encoder
from celltraj.models.encoders.deep_sets import DeepSets
from celltraj.models.encoders.graph import GraphEncoder
from celltraj.models.encoders.moments import Moments
from celltraj.models.encoders.pooled_graph import PooledGraphEncoder
from celltraj.models.encoders.set_attention import SetAttention

_KINDS: dict[str, Any] = {
    kind.__name__: kind
    for kind in (DeepSets, GraphEncoder, Moments, PooledGraphEncoder, SetAttention)
}


@dataclass(frozen=True)
class _Packed:
    """Hold name and numbers of an encoder, as a file does."""

    name: str
    options: dict[str, Any]


def pack_encoder(encoder: Encoder) -> dict[str, Any]:
    """Return name and numbers of an encoder; the weights are the state of the network it builds.

    Raises
    ------
    TypeError
        It is code of the user's that is more than numbers.

    Examples
    --------
    >>> from celltraj.models.encoders import Moments
    >>> pack_encoder(Moments(n_features=4))
    {'name': 'Moments', 'options': {'n_features': 4, 'width': 64}}
    """
    name = type(encoder).__name__
    kind: Any = _KINDS.get(name)
    if type(encoder) is not kind:
        options, tensors = own_parts(encoder, "encoder", ours=_KINDS)
        if tensors:
            raise TypeError(
                f"a response with the encoder {name} cannot be saved: its options hold tensors "
                f"({', '.join(tensors)}), which belong to the network that it builds"
            )
        return {"name": name, "options": options}
    options = {one.name: getattr(encoder, one.name) for one in fields(cast("Any", kind))}
    return {"name": name, "options": options}


def unpack_encoder(facts: dict[str, Any], *, classes: Classes) -> Encoder:
    """Return the encoder that :func:`pack_encoder` took apart.

    Raises
    ------
    ValueError
        The facts are not those of an encoder.

    Examples
    --------
    >>> from celltraj.models.encoders import Moments
    >>> unpack_encoder(pack_encoder(Moments(n_features=4)), classes={})
    Moments(n_features=4, width=64)
    """
    packed = facts_as(_Packed, facts, "encoder")
    if packed.name == GraphEncoder.__name__ and "share" in packed.options:
        packed = replace(packed, name=PooledGraphEncoder.__name__)  # its name up to 0.1
    if packed.name not in _KINDS:
        users: Encoder = own_part(packed.name, packed.options, Stored({}), classes, "encoder")
        return users
    kind = _KINDS[packed.name]
    encoder: Encoder = facts_as(kind, packed.options, f"encoder {packed.name}")
    check_sizes(**{name: v for name, v in vars(encoder).items() if isinstance(v, int)})
    return encoder
