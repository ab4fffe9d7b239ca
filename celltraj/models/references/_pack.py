"""Take a reference apart into numbers and tensors, and put it together again; no pickle."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, cast

import torch
from torch import Tensor

from celltraj.models._facts import FLOATS, Stored, check_sizes, facts_as
from celltraj.models._own_code import Classes, own_part, own_parts
from celltraj.models.references.brownian import Brownian
from celltraj.models.references.cox_ingersoll_ross import CoxIngersollRoss
from celltraj.models.references.crowd import Crowd
from celltraj.models.references.family import Reference, sigma_of, with_sigma
from celltraj.models.references.gene_regulation import GeneRegulation
from celltraj.models.references.geometric import Geometric
from celltraj.models.references.kernel import KernelReference
from celltraj.models.references.linear_noise import LinearNoise
from celltraj.models.references.lotka_volterra import LotkaVolterra
from celltraj.models.references.mean_field import MeanField
from celltraj.models.references.mean_field_process import MeanFieldProcess
from celltraj.models.references.module import ModuleReference
from celltraj.models.references.ornstein_uhlenbeck import OrnsteinUhlenbeck
from celltraj.models.references.potential_landscape import (
    NeuralReference,
    PotentialLandscape,
    ScaledNetwork,
)
from celltraj.models.references.repressilator import Repressilator
from celltraj.models.references.simulator import Simulator
from celltraj.models.references.surroundings import Surroundings
from celltraj.models.references.velocity import VelocityReference
from celltraj.models.references.vortex import Vortex

_FAMILIES: dict[str, Any] = {  # each has its own arguments
    family.__name__: family
    for family in (
        Brownian,
        CoxIngersollRoss,
        GeneRegulation,
        Geometric,
        KernelReference,
        LinearNoise,
        LotkaVolterra,
        NeuralReference,
        OrnsteinUhlenbeck,
        PotentialLandscape,
        Repressilator,
        Vortex,
    )
}
# shapes of the fields that are tensors, for d variables and m centres of a kernel
_SHAPES: dict[str, tuple[str | int, ...]] = {
    "matrix": ("d", "d"),
    "shift": ("d",),
    "edges": ("d", "d"),
    "half_level": ("d",),
    "production": ("d",),
    "degradation": ("d",),
    "bias": ("d",),
    "weights": ("d", "d"),
    "frame": (4, "d"),
    "centres": ("m", "d"),
    "rates": ("d",),
    "levels": ("d",),
}


@dataclass(frozen=True)
class PackedReference:
    """Hold the name of a family and its numbers, as a file does."""

    name: str
    options: dict[str, Any]


@dataclass(frozen=True)
class _PackedNoise:
    drift_of: PackedReference
    floor: float
    slope: float
    sigma: float | None


@dataclass(frozen=True)
class _PackedMeanField:
    base: PackedReference
    quantiles: tuple[float, ...]
    n_bends: int
    sigma: float | None


_DRIFT, _NOISE = "drift_of", ("floor", "slope", "sigma")


def is_ours(reference: Reference) -> bool:
    """Return whether a file can say what the family is, without code of the user's."""
    if isinstance(reference, VelocityReference | MeanFieldProcess):
        return True
    if isinstance(reference, LinearNoise):
        return is_ours(reference.drift_of)
    return _FAMILIES.get(type(reference).__name__) is type(reference)


def pack_reference(reference: Reference) -> tuple[str, dict[str, Any], dict[str, Tensor]]:
    """Return the name of the family, its numbers, and its tensors.

    Raises
    ------
    TypeError
        The family holds code of the user's that is more than numbers and tensors.
    """
    if isinstance(reference, VelocityReference):  # of which the law alone moves cells
        return pack_reference(with_sigma(reference.law, sigma_of(reference)))
    name = type(reference).__name__
    if isinstance(reference, LinearNoise):
        return _packed_noise(reference)
    if isinstance(reference, MeanFieldProcess):
        return _packed_mean_field(reference)
    if not is_ours(reference):
        _refuse_programs(reference)
        return name, *own_parts(reference, "reference", ours=_FAMILIES)
    values = {field.name: getattr(reference, field.name) for field in fields(_FAMILIES[name])}
    network = values.pop("network", None)
    tensors = {key: value for key, value in values.items() if isinstance(value, Tensor)}
    if network is not None:
        tensors |= {f"network.{key}": value for key, value in network.state_dict().items()}
    return name, {key: v for key, v in values.items() if not isinstance(v, Tensor)}, tensors


def _packed_noise(reference: LinearNoise) -> tuple[str, dict[str, Any], dict[str, Tensor]]:
    """Return the numbers of the noise beside the reference whose drift it has."""
    name, options, tensors = pack_reference(reference.drift_of)
    numbers = {key: getattr(reference, key) for key in _NOISE}
    inner = {f"{_DRIFT}.{key}": value for key, value in tensors.items()}
    return "LinearNoise", numbers | {_DRIFT: {"name": name, "options": options}}, inner


def _packed_mean_field(
    process: MeanFieldProcess,
) -> tuple[str, dict[str, Any], dict[str, Tensor]]:
    """Return the numbers of the law, and the population over time."""
    law, around = process.law, process.law.surroundings
    name, options, tensors = pack_reference(law.base)
    tensors = {f"base.{key}": value for key, value in tensors.items()}
    tensors |= {"crowd.times": process.crowd.times, "crowd.x": process.crowd.x}
    if around is not None and law.weights is not None:
        tensors["weights"] = law.weights
        for key in ("unit", "widths", "bends", "edges"):
            tensors[key] = getattr(around, key)
    facts = {
        "base": {"name": name, "options": options},
        "quantiles": list(law.quantiles),
        "n_bends": law.n_bends,
        "sigma": process.sigma,
    }
    return "MeanFieldProcess", facts, tensors


def _refuse_programs(reference: Reference) -> None:
    if isinstance(reference, ModuleReference | Simulator):
        name = type(reference).__name__
        raise TypeError(
            f"a model on {name} cannot be saved, since its code is yours; save the parameters, "
            "model.reference.estimates() or the state_dict of its module, and fit again"
        )


def unpack_reference(
    facts: PackedReference, tensors: Stored, *, dim: int, classes: Classes
) -> Reference:
    """Return the reference that :func:`pack_reference` took apart, of ``dim`` variables.

    Raises
    ------
    ValueError
        Facts or tensors are not those of a fitted reference.
    """
    if facts.name == "LinearNoise":
        return _unpacked_noise(facts, tensors, dim=dim, classes=classes)
    if facts.name == "MeanFieldProcess":
        return _unpacked_mean_field(facts, tensors, dim=dim, classes=classes)
    if facts.name not in _FAMILIES:
        users: Reference = own_part(facts.name, facts.options, tensors, classes, "reference")
        return users
    family: Any = _FAMILIES[facts.name]
    where = f"reference {facts.name}"
    there = {name.split(".")[0] for name in tensors.names}
    own = {field.name for field in fields(family)}
    given: dict[str, Any] = {
        name: _tensor(name, tensors, dim) for name in _SHAPES.keys() & own & there
    }
    given |= dict.fromkeys(_SHAPES.keys() & own - there)
    if "network" in own:
        given["network"] = None
    options = {k: v for k, v in facts.options.items() if k not in given or v is not None}
    reference: Any = facts_as(family, options, where, given)
    if "network" in there & own:
        reference = replace(reference, network=_network(reference, tensors, dim))
    if reference.sigma is not None and not reference.sigma > 0:
        raise ValueError(f"{where}: sigma must be positive; found {reference.sigma}")
    return cast("Reference", reference)


def _unpacked_noise(
    facts: PackedReference, tensors: Stored, *, dim: int, classes: Classes
) -> LinearNoise:
    packed = facts_as(_PackedNoise, facts.options, "reference LinearNoise")
    drift = unpack_reference(packed.drift_of, tensors.below(f"{_DRIFT}."), dim=dim, classes=classes)
    return LinearNoise(drift, packed.floor, packed.slope, packed.sigma)


def _unpacked_mean_field(
    facts: PackedReference, tensors: Stored, *, dim: int, classes: Classes
) -> MeanFieldProcess:
    packed = facts_as(_PackedMeanField, facts.options, "reference MeanFieldProcess")
    if packed.base.name != "KernelReference":
        raise ValueError(f"a mean-field law is on KernelReference, not {packed.base.name!r}")
    base = unpack_reference(packed.base, tensors.below("base."), dim=dim, classes=classes)
    around, weights = None, None
    if "weights" in tensors.names:
        n, n_bends = tensors.shape("bends", 2)
        around = Surroundings(
            tensors.take("unit", dim),
            tensors.take("widths", n),
            tensors.take("bends", n, n_bends),
            tensors.take("edges", 2, n * (n_bends + dim) + dim),
        )
        if not min(float(around.unit.min()), float(around.widths.min())) > 0:
            raise ValueError("units and widths of a mean-field law must be positive")
        weights = tensors.take("weights", around.size, dim)
    n_nodes, n_cells, _ = tensors.shape("crowd.x", 3)
    crowd = Crowd(
        tensors.take("crowd.times", n_nodes), tensors.take("crowd.x", n_nodes, n_cells, dim)
    )
    times = crowd.times
    if n_nodes < 2 or n_cells < 2 or bool((times.diff() < 0).any()) or not times[-1] > times[-2]:
        raise ValueError("the population of a mean-field law has no times that increase, or cells")
    if packed.sigma is not None and not packed.sigma > 0:
        raise ValueError(f"sigma must be positive; found {packed.sigma}")
    law = MeanField(
        cast("KernelReference", base), packed.quantiles, packed.n_bends, around, weights
    )
    return MeanFieldProcess(law, crowd, packed.sigma)


def _tensor(name: str, tensors: Stored, dim: int) -> Tensor:
    """Return a tensor of a reference; its sizes are ``d``, numbers, or those of the kernel."""
    rows = tensors.shape("centres", 2)[0] if "centres" in tensors.names else 0
    sizes = {"d": dim, "m": rows, "1 + d + m": 1 + dim + rows}
    names = _SHAPES[name]
    if name == "weights" and "centres" in tensors.names:
        names = ("1 + d + m", "d")
    shape = tuple(sizes[size] if isinstance(size, str) else size for size in names)
    return tensors.take(name, *shape, dtypes=(torch.bool,) if name == "edges" else FLOATS)


def _network(
    family: PotentialLandscape | NeuralReference, tensors: Stored, dim: int
) -> ScaledNetwork:
    check_sizes(dim=dim, width=family.width)
    if family.width < 1:
        raise ValueError("width must be at least 1; found 0")
    generator = torch.Generator().manual_seed(0)  # weights are those of the file
    return tensors.below("network.").fill(
        lambda: ScaledNetwork(
            dim, width=family.width, is_gradient=family.is_gradient, generator=generator
        )
    )
