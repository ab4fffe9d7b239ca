"""Write and read bridges as safetensors and JSON; no pickle."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from celltraj._snapshots import Snapshots
from celltraj.models._bridge import Bridge, Round
from celltraj.models._flow import gap_flow
from celltraj.models._neural import NeuralField
from celltraj.models._plug_in import PlugInField
from celltraj.models._process import Reference
from celltraj.models.references import pack_reference, unpack_reference
from celltraj.ot import Cost, Coupling, Effort

_FORMAT = 3
_POTENTIALS = ("f", "g", "row_mass", "column_mass")
_FACTS = ("epsilon", "marginal_error", "converged", "n_iters")


def save(bridge: Bridge, directory: str | os.PathLike) -> None:
    """Write ``bridge`` to ``directory``: ``tensors.safetensors`` and ``bridge.json``.

    Each file is written beside its final place and renamed, so an interrupted call harms nothing.
    """
    folder = Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {}
    clouds = zip(bridge.snapshots.x, bridge.snapshots.weights, strict=True)
    for k, (x, weights) in enumerate(clouds):
        tensors[f"x.{k}"], tensors[f"weights.{k}"] = x.contiguous(), weights.contiguous()
    for k, coupling in enumerate(bridge.couplings):
        tensors |= {f"{name}.{k}": getattr(coupling, name) for name in _POTENTIALS}
    name, options, state = pack_reference(bridge.reference)
    tensors |= {f"reference.{key}": value.contiguous() for key, value in state.items()}
    width: int | None = None
    history: tuple[float, ...] = ()
    if isinstance(bridge.field, NeuralField):
        width, history = bridge.field.width, bridge.field.history
        tensors |= {f"field.{name}": v for name, v in bridge.field.state_dict().items()}
    facts = {
        "format": _FORMAT,
        "times": bridge.snapshots.times,
        "reference": {"name": name, "options": options},
        "rounds": [asdict(one) for one in bridge.rounds],
        "width": width,
        "history": history,
        "couplings": [
            {key: getattr(c, key) for key in _FACTS} | {"effort": asdict(c.effort)}
            for c in bridge.couplings
        ],
    }
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        save_file(tensors, Path(scratch) / "tensors.safetensors")
        (Path(scratch) / "bridge.json").write_text(json.dumps(facts))
        for name in ("tensors.safetensors", "bridge.json"):
            (Path(scratch) / name).replace(folder / name)


def load(directory: str | os.PathLike) -> Bridge:
    """Read a bridge that :meth:`Bridge.save` wrote.

    Raises
    ------
    FileNotFoundError
        The folder holds no saved bridge.
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
    if not (folder / "bridge.json").exists():
        raise FileNotFoundError(f"{folder} holds no bridge.json; write one with bridge.save(...)")
    facts = json.loads((folder / "bridge.json").read_text())
    if facts["format"] != _FORMAT:
        raise ValueError(
            f"format {facts['format']} found, {_FORMAT} expected; update celltraj, or fit the "
            "bridge again"
        )
    tensors = load_file(folder / "tensors.safetensors")
    n = len(facts["times"])
    snapshots = Snapshots(
        tuple(facts["times"]),
        tuple(tensors[f"x.{k}"] for k in range(n)),
        tuple(tensors[f"weights.{k}"] for k in range(n)),
    )
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
        field = PlugInField(snapshots, reference, couplings)
    else:
        generator = torch.Generator().manual_seed(0)
        field = NeuralField(snapshots, reference, width=facts["width"], generator=generator)
        field.load_state_dict(_below("field.", tensors))
        field.history = tuple(facts["history"])
    return Bridge(snapshots, reference, couplings, field, rounds)


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)}


def _cost(snapshots: Snapshots, reference: Reference, k: int) -> Cost:
    flow = gap_flow(reference, snapshots.x[k], snapshots.times[k], snapshots.times[k + 1])
    return flow.problem(snapshots.x[k + 1])[0]
