"""Put a bridge together from facts and tensors."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import torch

from celltraj.models._facts import Stored, check_sizes, facts_as
from celltraj.models._files import Content
from celltraj.models._own_code import Classes
from celltraj.models.bridge.bridge import Bridge, Round
from celltraj.models.bridge.fit import check_family
from celltraj.models.bridge.in_states import in_states
from celltraj.models.bridge.neural import NeuralField
from celltraj.models.bridge.plug_in import PlugInField
from celltraj.models.growth.path_mass import N_NODES, Masses
from celltraj.models.networks import HeadSizes, TwoHeads
from celltraj.models.own_snapshots import PackedPassage
from celltraj.models.references import PackedReference, unpack_reference
from celltraj.models.references.chart import straightened, straightened_snapshots
from celltraj.models.references.family import Reference, sigma_of
from celltraj.models.references.gaussian_law import gap_flow
from celltraj.models.representation import Representation, known_space
from celltraj.ot import Cost, Coupling, SolverStats
from celltraj.snapshots import Snapshots

_SUM = 1e-9  # by which weights may miss the sum of one


@dataclass(frozen=True)
class _Coupling:
    epsilon: float
    marginal_error: float
    converged: bool
    n_iters: int
    effort: SolverStats = field(default_factory=SolverStats)  # its name in files

    def unpacked(self) -> dict[str, Any]:
        """Return the fields as a coupling has them."""
        values = dict(vars(self))
        return values | {"stats": values.pop("effort")}


@dataclass(frozen=True)
class _Round:
    number: int
    log_likelihood: float
    change: float | None
    marginal_error: float
    effective_share: float
    held_out: float | None
    sigma: float
    kept: bool
    estimates: dict[str, float]

    def unpacked(self) -> Round:
        """Return the round, with NaN for what is not known."""
        values = vars(self) | {
            key: math.nan if value is None else value
            for key, value in (("change", self.change), ("held_out", self.held_out))
        }
        return Round(**values)


@dataclass(frozen=True)
class _Facts:
    times: tuple[float, ...]
    sizes: tuple[float, ...]
    reference: PackedReference
    rounds: tuple[_Round, ...]
    width: int | None
    history: tuple[float, ...]
    couplings: tuple[_Coupling, ...]
    representation: Representation | None = None
    passages: tuple[PackedPassage, ...] = ()
    parent: str | None = None


def unpack_bridge(content: Content, classes: Classes) -> Bridge:
    """Return the bridge.

    Raises
    ------
    ValueError
        Facts or tensors are not those of a bridge.
    """
    facts = facts_as(_Facts, content.facts, "the bridge")
    tensors = Stored(content.tensors)
    snapshots = _snapshots(facts, tensors)
    reference = unpack_reference(
        facts.reference, tensors.below("reference."), dim=snapshots.dim, classes=classes
    )
    masses = _masses(snapshots, tensors)
    _check_reference(reference, snapshots)
    states, snapshots = snapshots, straightened_snapshots(snapshots, reference)
    reference, network = straightened(reference), None
    if facts.width is not None:
        network = _network(facts, snapshots, reference, masses, tensors)
    parts = [_potentials(snapshots, k, tensors) for k in range(len(snapshots.gaps))]
    tensors.finish()
    couplings = _couplings(facts, snapshots, reference, parts)
    drift = network or PlugInField(snapshots, reference, couplings, masses)
    rounds = tuple(one.unpacked() for one in facts.rounds)
    space = known_space(facts.representation, snapshots.dim)
    passages = tuple(one.unpacked() for one in facts.passages)
    bridge = Bridge(
        snapshots, reference, couplings, drift, rounds, masses, space, passages, facts.parent
    )
    return in_states(bridge, states)


def _snapshots(facts: _Facts, tensors: Stored) -> Snapshots:
    times = facts.times
    dim = tensors.shape("x.0", 2)[1]
    n_cells = [tensors.shape(f"x.{k}", 2)[0] for k in range(len(times))]
    x = tuple(tensors.take(f"x.{k}", n, dim) for k, n in enumerate(n_cells))
    weights = tuple(tensors.take(f"weights.{k}", n) for k, n in enumerate(n_cells))
    growth: tuple[torch.Tensor, ...] = ()
    if tensors.below("growth.").names:
        growth = tuple(tensors.take(f"growth.{k}", n) for k, n in enumerate(n_cells))
    snapshots = Snapshots(times, x, weights, growth, facts.sizes)
    if any(abs(float(w.sum()) - 1) > _SUM for w in weights):
        raise ValueError("the weights of a snapshot do not sum to one")
    # they were divided by their sum when it was made: once more would change last digits
    object.__setattr__(snapshots, "weights", weights)
    return snapshots


def _check_reference(reference: Reference, snapshots: Snapshots) -> None:
    if not reference.is_fitted or reference.sigma is None:
        raise ValueError(f"its reference {type(reference).__name__} is not fitted")
    check_family(reference, snapshots)


def _network(
    facts: _Facts,
    snapshots: Snapshots,
    reference: Reference,
    masses: Masses | None,
    tensors: Stored,
) -> NeuralField:
    width = facts.width or 0
    if width < 1:
        raise ValueError("width must be at least 1; found 0")
    check_sizes(dim=snapshots.dim, width=width)
    sizes = HeadSizes(snapshots.dim, len(snapshots.times), width=width, has_mass=masses is not None)
    generator = torch.Generator().manual_seed(0)  # weights are those of the file
    heads = tensors.below("field.").fill(lambda: TwoHeads(sizes, generator=generator))
    return NeuralField(heads, snapshots, reference, facts.history)


def _masses(snapshots: Snapshots, tensors: Stored) -> Masses | None:
    if "totals" not in tensors.names:
        return None
    n_gaps, x = len(snapshots.gaps), snapshots.x
    # a cell may send nothing, or be met by nobody
    cells = {"sent": x[:-1], "met": x[1:]}
    ratios = {
        name: tuple(
            tensors.take(f"{name}.{k}", len(cloud), infinite=(-math.inf, math.inf)).numpy()
            for k, cloud in enumerate(clouds)
        )
        for name, clouds in cells.items()
    }
    totals = tensors.take("totals", n_gaps, N_NODES).numpy()
    changes = tensors.take("size_changes", n_gaps).numpy()
    return Masses(snapshots.times, ratios["sent"], ratios["met"], totals, changes)


def _potentials(snapshots: Snapshots, k: int, tensors: Stored) -> dict[str, torch.Tensor]:
    n, m = len(snapshots.x[k]), len(snapshots.x[k + 1])
    nothing = (-math.inf,)  # of a cell without weight
    return {
        "f": tensors.take(f"f.{k}", n, infinite=nothing),
        "g": tensors.take(f"g.{k}", m, infinite=nothing),
        "row_mass": tensors.take(f"row_mass.{k}", n),
        "column_mass": tensors.take(f"column_mass.{k}", m),
    }


def _couplings(
    facts: _Facts,
    snapshots: Snapshots,
    reference: Reference,
    parts: list[dict[str, torch.Tensor]],
) -> tuple[Coupling, ...]:
    if len(facts.couplings) != len(parts):
        raise ValueError(f"{len(parts)} gaps need as many couplings; found {len(facts.couplings)}")
    for one in facts.couplings:
        if not one.epsilon > 0 or not one.marginal_error >= 0:
            raise ValueError(
                "epsilon of a coupling must be positive and its marginal_error not negative; found "
                f"{one.epsilon} and {one.marginal_error}"
            )
    return tuple(
        Coupling(
            cost=_cost(snapshots, reference, k),
            a=snapshots.expected(k),
            b=snapshots.weights[k + 1],
            **one.unpacked() | parts[k],
        )
        for k, one in enumerate(facts.couplings)
    )


def _cost(snapshots: Snapshots, reference: Reference, k: int) -> Cost:
    try:
        flow = gap_flow(reference, snapshots.x[k], snapshots.times[k], snapshots.times[k + 1])
        return flow.problem(snapshots.x[k + 1])[0]
    except torch.linalg.LinAlgError as error:
        raise ValueError(
            f"its reference {type(reference).__name__}, with sigma {sigma_of(reference)}, has no "
            f"transition from {snapshots.times[k]:g} to {snapshots.times[k + 1]:g}"
        ) from error
