"""Take a reference apart into numbers and tensors, and put it together again; no pickle."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import torch
from torch import Tensor

from celltraj.models._process import Reference
from celltraj.models.references.brownian import Brownian
from celltraj.models.references.gene_regulation import GeneRegulation
from celltraj.models.references.kernel import KernelReference
from celltraj.models.references.lotka_volterra import LotkaVolterra
from celltraj.models.references.ornstein_uhlenbeck import OrnsteinUhlenbeck
from celltraj.models.references.potential_landscape import (
    NeuralReference,
    PotentialLandscape,
    ScaledNetwork,
)
from celltraj.models.references.repressilator import Repressilator
from celltraj.models.references.vortex import Vortex

_FAMILIES = {
    family.__name__: family
    for family in (
        Brownian,
        GeneRegulation,
        KernelReference,
        LotkaVolterra,
        NeuralReference,
        OrnsteinUhlenbeck,
        PotentialLandscape,
        Repressilator,
        Vortex,
    )
}


def pack_reference(reference: Reference) -> tuple[str, dict[str, Any], dict[str, Tensor]]:
    """Return the name of the family, its numbers, and its tensors.

    Raises
    ------
    TypeError
        The family holds code of the user's, which no file can hold without pickle.
    """
    name = type(reference).__name__
    if _FAMILIES.get(name) is not type(reference):
        raise TypeError(
            f"a bridge on {name} cannot be saved, since its code is yours; save the parameters, "
            "bridge.reference.estimates() or the state_dict of its module, and fit again"
        )
    values = {field.name: getattr(reference, field.name) for field in fields(reference)}
    network = values.pop("network", None)
    tensors = {key: value for key, value in values.items() if isinstance(value, Tensor)}
    if network is not None:
        tensors |= {f"network.{key}": value for key, value in network.state_dict().items()}
    return name, {key: v for key, v in values.items() if not isinstance(v, Tensor)}, tensors


def unpack_reference(name: str, options: dict[str, Any], tensors: dict[str, Tensor]) -> Reference:
    """Return the reference that :func:`pack_reference` took apart."""
    family: Any = _FAMILIES[name]  # each has its own arguments
    prefix = "network."
    state = {k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)}
    rest = {k: v for k, v in tensors.items() if not k.startswith(prefix)}
    if not state:
        return family(**options, **rest)
    network = ScaledNetwork(
        len(state["centre"]),
        width=options["width"],
        is_gradient=family.is_gradient,
        generator=torch.Generator().manual_seed(0),
    )
    network.load_state_dict(state)
    return family(**options, **rest, network=network)
