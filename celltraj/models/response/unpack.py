"""Put a response together from facts and tensors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from celltraj.models._facts import FLOATS, Stored, check_sizes, facts_as
from celltraj.models._files import Content
from celltraj.models._own_code import Classes
from celltraj.models.encoders import Encoder, carrying, pooling, unpack_encoder
from celltraj.models.genes.projection import Projection
from celltraj.models.interpolants import PackedInterpolant, unpack_interpolant
from celltraj.models.networks import FieldSizes, MetaNetwork, ResponseField
from celltraj.models.response.condition import Condition, ConditionCoder, Covariate
from celltraj.models.response.neighbours import Moves, NeighbourTransfer
from celltraj.models.response.response import MetaFlowMatching
from celltraj.models.response.support import ResponseSource, Support


@dataclass(frozen=True)
class _Coder:
    drugs: tuple[str, ...]
    has_own_features: bool
    log_dose: tuple[float, float] | None
    covariates: tuple[Covariate, ...]


@dataclass(frozen=True)
class _Projection:
    names: tuple[str, ...]
    layer: str | None
    use_rep: str


@dataclass(frozen=True)
class _Moves:
    population: str
    drugs: tuple[str, ...]
    doses: tuple[float, ...]
    words: tuple[str, ...]


@dataclass(frozen=True)
class _Base:
    strength: float
    moves: tuple[_Moves, ...]


@dataclass(frozen=True)
class _Facts:
    sizes: FieldSizes
    encoder: dict[str, Any] | None
    interpolant: PackedInterpolant
    coder: _Coder
    populations: tuple[str, ...]
    history: tuple[float, ...]
    source: ResponseSource | None
    projection: _Projection | None
    base: _Base | None = None  # files up to format 6 may have none
    others: int = 0
    has_lived: bool = False
    reason: str = ""
    encoder_reason: str = ""


def unpack_response(content: Content, classes: Classes) -> MetaFlowMatching:
    """Return the response.

    Raises
    ------
    ValueError
        Facts or tensors are not those of a response.
    """
    facts = facts_as(_Facts, content.facts, "the response")
    tensors = Stored(content.tensors)
    encoder = None if facts.encoder is None else unpack_encoder(facts.encoder, classes=classes)
    coder = _coder(facts.coder, tensors.below("coder."))
    _check_sizes(facts.sizes, encoder, coder)
    sizes = facts.sizes
    network = tensors.below("network.").fill(lambda: _network(sizes, encoder))
    interpolant = unpack_interpolant(
        facts.interpolant, tensors.below("interpolant."), n_times=2, dim=sizes.dim, classes=classes
    )
    support = _support(facts, tensors.below("support."))
    plane = None
    if facts.projection is not None:
        plane = _plane(facts.projection, tensors.below("projection."), sizes.dim)
    base = None
    if facts.base is not None:
        base = _base(facts.base, tensors.below("base."), sizes.dim)
    _check_source(facts.source, sizes.dim)
    others = tuple(
        tensors.below(f"other_{k}.").fill(lambda: _network(sizes, encoder))
        for k in range(facts.others)
    )
    tensors.finish()
    if facts.has_lived and not sizes.has_survival:
        raise ValueError("it knows what share of the cells lived, and has no survival")
    return MetaFlowMatching(
        *(network, encoder, interpolant, coder, support, facts.history, facts.source, plane),
        base,
        0.0 if facts.base is None else facts.base.strength,
        others,
        facts.has_lived,
        facts.reason,
        facts.encoder_reason,
    )


def _network(sizes: FieldSizes, encoder: Encoder | None) -> MetaNetwork:
    generator = torch.Generator().manual_seed(0)  # weights are those of the file
    pooled = pooling(encoder)
    built = None if pooled is None else pooled.build(sizes.dim, generator=generator)
    field = ResponseField(sizes, generator=generator)
    return MetaNetwork(field, built, generator=generator)


def _coder(facts: _Coder, tensors: Stored) -> ConditionCoder:
    n_drugs, n_features = len(facts.drugs), tensors.shape("features", 2)[1]
    features = tensors.take("features", n_drugs, n_features, dtypes=FLOATS)
    if not n_drugs or len(set(facts.drugs)) < n_drugs:
        raise ValueError(f"it must name one drug or more, each once; found {list(facts.drugs)}")
    scales = [one.scale for one in facts.covariates]
    if facts.log_dose is not None:
        scales.append(facts.log_dose[1])
    if not all(scale > 0 for scale in scales):
        raise ValueError(f"scales of doses and covariates must be positive; found {scales}")
    return ConditionCoder(
        facts.drugs, features, facts.has_own_features, facts.log_dose, facts.covariates
    )


def _check_sizes(sizes: FieldSizes, encoder: Encoder | None, coder: ConditionCoder) -> None:
    """Raise unless the parts of the network fit together, and are no larger than they may be."""
    counts = {name: size for name, size in vars(sizes).items() if name != "has_survival"}
    check_sizes(**counts)
    if min(sizes.dim, sizes.width, sizes.token) < 1:
        raise ValueError(f"dim, width and token must be at least 1; found {counts}")
    pooled, carried = pooling(encoder), carrying(encoder)
    wanted = {
        "embedding": 0 if pooled is None else pooled.n_features,
        "vectors": 0 if carried is None else carried.n_vectors,
        "scalars": 0 if carried is None else carried.n_scalars,
        "token": coder.token_size,
        "covariates": coder.n_covariates,
    }
    for name, size in wanted.items():
        if counts[name] != size:
            raise ValueError(f"the field reads {counts[name]} of {name}, and there are {size}")


def _support(facts: _Facts, tensors: Stored) -> Support:
    n, dim = len(facts.populations), facts.sizes.dim
    n_cells = tensors.shape("cells", 2)[0]
    # what cells carry is averaged, where a population is not embedded
    n_features = facts.sizes.embedding or facts.sizes.scalars
    embeddings = tensors.take("embeddings", n, n_features, dtypes=FLOATS)
    cells = tensors.take("cells", n_cells, dim, dtypes=FLOATS)
    owner = tensors.take("owner", n_cells, dtypes=(torch.int64,))
    if n_cells and not 0 <= int(owner.min()) <= int(owner.max()) < n:
        raise ValueError(f"its cells belong to other than its {n} populations")
    return Support(facts.populations, embeddings, cells, owner)


def _plane(facts: _Projection, tensors: Stored, dim: int) -> Projection:
    n_genes = len(facts.names)
    mean = tensors.take("mean", n_genes).numpy()
    loadings = tensors.take("loadings", n_genes, dim).numpy()
    return Projection(mean, loadings, **vars(facts))


def _base(facts: _Base, tensors: Stored, dim: int) -> NeighbourTransfer:
    if not 0 <= facts.strength <= 1 or not facts.moves:
        raise ValueError(
            "the weight of its base must lie between 0 and 1, and it must have moves; found "
            f"{facts.strength:g} and {len(facts.moves)}"
        )
    counts = tensors.take("counts", len(facts.moves), dtypes=(torch.int64,)).tolist()
    n = tensors.shape("start", 2)[0]
    if min(counts) < 0 or sum(counts) != n:
        raise ValueError(f"the {n} cells of its base are not those that its populations have")
    parts = (tensors.take(part, n, dim, dtypes=(torch.float32,)) for part in ("start", "shift"))
    cells = zip(facts.moves, *(part.split(counts) for part in parts), strict=True)
    return NeighbourTransfer(
        tuple(
            Moves(one.population, Condition(one.drugs, one.doses, one.words), start, shift)
            for one, start, shift in cells
        )
    )


def _check_source(source: ResponseSource | None, dim: int) -> None:
    if source is not None and len(source.variables) != dim:
        raise ValueError(f"it names {len(source.variables)} variables, and has {dim}")
