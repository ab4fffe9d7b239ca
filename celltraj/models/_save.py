"""Write and read fitted models as safetensors and JSON; no pickle."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from celltraj._snapshots import Snapshots
from celltraj.models._bridge import Bridge, Round
from celltraj.models._condition import ConditionCoder, Covariate
from celltraj.models._flow import gap_flow
from celltraj.models._flow_matching import FlowMatching
from celltraj.models._masses import Growth, Masses
from celltraj.models._meta_flow_matching import MetaFlowMatching
from celltraj.models._neural import NeuralField
from celltraj.models._plug_in import PlugInField
from celltraj.models._process import Reference
from celltraj.models._projection import Projection
from celltraj.models._response_support import ResponseSource, Support
from celltraj.models._response_training import MetaNetwork
from celltraj.models.encoders import pack_encoder, unpack_encoder
from celltraj.models.interpolants._pack import pack_interpolant, unpack_interpolant
from celltraj.models.networks import FieldSizes, ResponseField, TwoHeads
from celltraj.models.references import pack_reference, unpack_reference
from celltraj.ot import Cost, Coupling, Effort

_FORMAT = 5
_POTENTIALS = ("f", "g", "row_mass", "column_mass")
_FACTS = ("epsilon", "marginal_error", "converged", "n_iters")


def save(bridge: Bridge, directory: str | os.PathLike) -> None:
    """Write ``bridge`` to ``directory``: ``tensors.safetensors`` and ``bridge.json``."""
    tensors = {}
    clouds = zip(bridge.snapshots.x, bridge.snapshots.weights, strict=True)
    for k, (x, weights) in enumerate(clouds):
        tensors[f"x.{k}"], tensors[f"weights.{k}"] = x.contiguous(), weights.contiguous()
    tensors |= {f"growth.{k}": rates for k, rates in enumerate(bridge.snapshots.growth)}
    for k, coupling in enumerate(bridge.couplings):
        tensors |= {f"{name}.{k}": getattr(coupling, name) for name in _POTENTIALS}
    name, options, state = pack_reference(bridge.reference)
    tensors |= {f"reference.{key}": value.contiguous() for key, value in state.items()}
    if bridge.masses is not None:
        tensors |= _packed_masses(bridge.masses)
    width: int | None = None
    history: tuple[float, ...] = ()
    if isinstance(bridge.field, NeuralField):
        width, history = bridge.field.width, bridge.field.history
        tensors |= {f"field.{name}": v for name, v in bridge.field.state_dict().items()}
    facts = {
        "format": _FORMAT,
        "times": bridge.snapshots.times,
        "sizes": bridge.snapshots.sizes,
        "reference": {"name": name, "options": options},
        "rounds": [asdict(one) for one in bridge.rounds],
        "width": width,
        "history": history,
        "couplings": [
            {key: getattr(c, key) for key in _FACTS} | {"effort": asdict(c.effort)}
            for c in bridge.couplings
        ],
    }
    _write(Path(directory), tensors, "bridge.json", facts)


def save_flow(flow: FlowMatching, directory: str | os.PathLike) -> None:
    """Write ``flow`` to ``directory``: ``tensors.safetensors`` and ``flow.json``."""
    interpolant, tensors = pack_interpolant(flow.interpolant)
    facts = {
        "format": _FORMAT,
        "times": flow.times,
        "interpolant": interpolant,
        "width": flow.heads.net[0].out_features,
        "noise": flow.noise,
        "history": flow.history,
    }
    parts: dict[str, Mapping[str, Tensor]] = {
        "heads": flow.heads.state_dict(),
        "interpolant": tensors,
    }
    if flow.mass is not None:
        parts["mass"] = vars(flow.mass)
    _write(Path(directory), _named(parts) | {"box": flow.box}, "flow.json", facts)


def save_response(model: MetaFlowMatching, directory: str | os.PathLike) -> None:
    """Write ``model`` to ``directory``: ``tensors.safetensors`` and ``response.json``."""
    interpolant, tensors = pack_interpolant(model.interpolant)
    coder, support, projection = model.coder, model.support, model.projection
    facts = {
        "format": _FORMAT,
        "sizes": asdict(model.network.field.sizes),
        "encoder": None if model.encoder is None else pack_encoder(model.encoder),
        "interpolant": interpolant,
        "coder": {
            "drugs": coder.drugs,
            "has_own_features": coder.has_own_features,
            "log_dose": coder.log_dose,
            "covariates": [asdict(one) for one in coder.covariates],
        },
        "populations": support.names,
        "history": model.history,
        "source": None if model.source is None else asdict(model.source),
        "projection": None
        if projection is None
        else {key: getattr(projection, key) for key in ("names", "layer", "use_rep")},
    }
    parts: dict[str, Mapping[str, Tensor]] = {
        "network": model.network.state_dict(),
        "interpolant": tensors,
        "coder": {"features": coder.features},
        "support": {key: getattr(support, key) for key in ("embeddings", "cells", "owner")},
    }
    if projection is not None:
        parts["projection"] = {
            key: torch.from_numpy(getattr(projection, key)) for key in ("mean", "loadings")
        }
    _write(Path(directory), _named(parts), "response.json", facts)


def _named(parts: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
    return {f"{part}.{k}": v.contiguous() for part, of in parts.items() for k, v in of.items()}


def _write(folder: Path, tensors: dict[str, Tensor], name: str, facts: dict[str, Any]) -> None:
    """Write each file beside its final place and rename it: an interrupted call harms nothing."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        save_file(tensors, Path(scratch) / "tensors.safetensors")
        (Path(scratch) / name).write_text(json.dumps(facts))
        for file in ("tensors.safetensors", name):
            (Path(scratch) / file).replace(folder / file)
    for other in set(_READERS) - {name}:  # a model of another kind that stood here before
        (folder / other).unlink(missing_ok=True)


def load(directory: str | os.PathLike) -> Bridge | FlowMatching | MetaFlowMatching:
    """Read a bridge, a flow or a response that its ``save`` wrote.

    Raises
    ------
    FileNotFoundError
        The folder holds no saved model.
    ValueError
        It was written in a format this version does not know.

    Examples
    --------
    >>> import tempfile
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=50, seed=0)
    >>> bridge = ct.tl.fit_bridge(adata, drift=ct.models.PlugInDrift(), seed=0, progress=False)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     bridge.save(folder)
    ...     ct.load(folder).reference == bridge.reference
    True
    """
    folder = Path(directory)
    found = [name for name in _READERS if (folder / name).exists()]
    if not found:
        raise FileNotFoundError(
            f"{folder} holds none of {', '.join(_READERS)}; write one with model.save(...)"
        )
    facts = json.loads((folder / found[0]).read_text())
    if facts["format"] != _FORMAT:
        raise ValueError(
            f"format {facts['format']} found, {_FORMAT} expected; update celltraj, or fit the "
            "model again"
        )
    return _READERS[found[0]](facts, load_file(folder / "tensors.safetensors"))


def _flow_of(facts: dict[str, Any], tensors: dict[str, Tensor]) -> FlowMatching:
    times = tuple(facts["times"])
    dim = tensors["box"].shape[2]
    # scales and weights are those of the file; two cells stand in for the data
    blank = Snapshots(times, tuple(torch.zeros(2, dim) for _ in times))
    generator = torch.Generator().manual_seed(0)
    mass = _below("mass.", tensors)
    heads = TwoHeads(blank, width=facts["width"], generator=generator, has_mass=bool(mass))
    heads.load_state_dict(_below("heads.", tensors))
    interpolant = unpack_interpolant(facts["interpolant"], _below("interpolant.", tensors))
    return FlowMatching(
        heads,
        times,
        interpolant,
        tensors["box"],
        facts["noise"],
        tuple(facts["history"]),
        Growth(**mass) if mass else None,
    )


def _response_of(facts: dict[str, Any], tensors: dict[str, Tensor]) -> MetaFlowMatching:
    sizes = FieldSizes(**facts["sizes"])
    generator = torch.Generator().manual_seed(0)  # weights are those of the file
    encoder = None if facts["encoder"] is None else unpack_encoder(facts["encoder"])
    built = None if encoder is None else encoder.build(sizes.dim, generator=generator)
    blank = torch.ones(sizes.dim)
    field = ResponseField(sizes, blank, blank, torch.stack([blank, blank]), generator=generator)
    network = MetaNetwork(field, built, generator=generator)
    network.load_state_dict(_below("network.", tensors))
    record = facts["coder"]
    coder = ConditionCoder(
        tuple(record["drugs"]),
        tensors["coder.features"],
        record["has_own_features"],
        None if record["log_dose"] is None else tuple(record["log_dose"]),
        tuple(Covariate(**_tuples(one)) for one in record["covariates"]),
    )
    plane = None
    if facts["projection"] is not None:
        mean, loadings = (tensors[f"projection.{key}"].numpy() for key in ("mean", "loadings"))
        plane = Projection(mean, loadings, **_tuples(facts["projection"]))
    return MetaFlowMatching(
        network,
        encoder,
        unpack_interpolant(facts["interpolant"], _below("interpolant.", tensors)),
        coder,
        Support(tuple(facts["populations"]), **_below("support.", tensors)),
        tuple(facts["history"]),
        None if facts["source"] is None else ResponseSource(**_tuples(facts["source"])),
        plane,
    )


def _tuples(facts: dict[str, Any]) -> dict[str, Any]:
    """Return the facts with tuples in place of JSON's lists."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in facts.items()}


def _bridge_of(facts: dict[str, Any], tensors: dict[str, Tensor]) -> Bridge:
    n = len(facts["times"])
    snapshots = Snapshots(
        tuple(facts["times"]),
        tuple(tensors[f"x.{k}"] for k in range(n)),
        tuple(tensors[f"weights.{k}"] for k in range(n)),
        tuple(rates for _, rates in sorted(_below("growth.", tensors).items(), key=_number)),
        tuple(facts["sizes"]),
    )
    masses = _masses_of(snapshots, tensors)
    reference = unpack_reference(**facts["reference"], tensors=_below("reference.", tensors))
    rounds = tuple(Round(**one) for one in facts["rounds"])
    couplings = tuple(
        Coupling(
            cost=_cost(snapshots, reference, k),
            f=tensors[f"f.{k}"],
            g=tensors[f"g.{k}"],
            a=snapshots.weights[k],
            b=snapshots.weights[k + 1],
            row_mass=tensors[f"row_mass.{k}"],
            column_mass=tensors[f"column_mass.{k}"],
            **record | {"effort": Effort(**record["effort"])},
        )
        for k, record in enumerate(facts["couplings"])
    )
    field: PlugInField | NeuralField
    if facts["width"] is None:
        field = PlugInField(snapshots, reference, couplings, masses)
    else:
        generator = torch.Generator().manual_seed(0)
        field = NeuralField(
            snapshots,
            reference,
            width=facts["width"],
            generator=generator,
            has_mass=masses is not None,
        )
        field.load_state_dict(_below("field.", tensors))
        field.history = tuple(facts["history"])
    return Bridge(snapshots, reference, couplings, field, rounds, masses)


def _number(named: tuple[str, Tensor]) -> int:
    return int(named[0])


def _packed_masses(masses: Masses) -> dict[str, Tensor]:
    cells = {"sent": masses.sent, "met": masses.met}
    named = {f"{name}.{k}": v for name, of in cells.items() for k, v in enumerate(of)}
    arrays = named | {"totals": masses.totals, "size_changes": masses.sizes}
    return {name: torch.from_numpy(np.ascontiguousarray(v)) for name, v in arrays.items()}


def _masses_of(snapshots: Snapshots, tensors: dict[str, Tensor]) -> Masses | None:
    if "totals" not in tensors:
        return None
    sent, met = (
        tuple(tensors[f"{name}.{k}"].numpy() for k in range(len(snapshots.gaps)))
        for name in ("sent", "met")
    )
    totals, sizes = (tensors[name].numpy() for name in ("totals", "size_changes"))
    return Masses(snapshots.times, sent, met, totals, sizes)


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)}


def _cost(snapshots: Snapshots, reference: Reference, k: int) -> Cost:
    flow = gap_flow(reference, snapshots.x[k], snapshots.times[k], snapshots.times[k + 1])
    return flow.problem(snapshots.x[k + 1])[0]


_Reader = Callable[[dict[str, Any], dict[str, Tensor]], Bridge | FlowMatching | MetaFlowMatching]
_READERS: dict[str, _Reader] = {
    "bridge.json": _bridge_of,
    "flow.json": _flow_of,
    "response.json": _response_of,
}
