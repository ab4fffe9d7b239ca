"""Take fitted models apart, and write each to one file of its folder; no pickle.

A folder holds ``model.safetensors``. Up to format 5 it held two files, a JSON named after the kind
of model and ``tensors.safetensors``: those that stood there before are removed, but only once the
new file is in its place, and whoever reads prefers that one.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from celltraj.models._files import Content, parsed, write_file
from celltraj.models._representation import Representation
from celltraj.models.bridge.neural import NeuralField
from celltraj.models.encoders import pack_encoder
from celltraj.models.growth.path_mass import Masses
from celltraj.models.interpolants._pack import pack_interpolant
from celltraj.models.references import pack_reference

if TYPE_CHECKING:  # models write themselves by this file
    from celltraj.models.bridge.bridge import Bridge, Round
    from celltraj.models.flow.flow import FlowMatching
    from celltraj.models.response.response import MetaFlowMatching

FORMAT = 6
FILE = "model.safetensors"
OLD_FILES = ("bridge.json", "flow.json", "response.json")
OLD_TENSORS = "tensors.safetensors"
POTENTIALS = ("f", "g", "row_mass", "column_mass")
_MOST_JSON = 100_000_000  # bytes, as of a header of safetensors
_FACTS = ("epsilon", "marginal_error", "converged", "n_iters")


def save_bridge(bridge: Bridge, directory: str | os.PathLike) -> None:
    """Write ``bridge`` to ``model.safetensors`` in ``directory``."""
    tensors: dict[str, Tensor] = {}
    clouds = zip(bridge.snapshots.x, bridge.snapshots.weights, strict=True)
    for k, (x, weights) in enumerate(clouds):
        tensors |= {f"x.{k}": x, f"weights.{k}": weights}
    tensors |= {f"growth.{k}": rates for k, rates in enumerate(bridge.snapshots.growth)}
    for k, coupling in enumerate(bridge.couplings):
        tensors |= {f"{name}.{k}": getattr(coupling, name) for name in POTENTIALS}
    name, options, state = pack_reference(bridge.reference)
    tensors |= _named({"reference": state})
    if bridge.masses is not None:
        tensors |= _packed_masses(bridge.masses)
    width: int | None = None
    history: tuple[float, ...] = ()
    if isinstance(bridge.field, NeuralField):
        width, history = bridge.field.width, bridge.field.history
        tensors |= _named({"field": bridge.field.state_dict()})
    facts = {
        "times": bridge.snapshots.times,
        "sizes": bridge.snapshots.sizes,
        "reference": {"name": name, "options": options},
        "rounds": [_packed_round(one) for one in bridge.rounds],
        "width": width,
        "history": history,
        "couplings": [
            {key: getattr(c, key) for key in _FACTS} | {"effort": asdict(c.stats)}
            for c in bridge.couplings
        ],
        "representation": _packed_space(bridge.representation),
    }
    _write(directory, "bridge", facts, tensors)


def save_flow(flow: FlowMatching, directory: str | os.PathLike) -> None:
    """Write ``flow`` to ``model.safetensors`` in ``directory``."""
    interpolant, tensors = pack_interpolant(flow.interpolant)
    facts = {
        "times": flow.times,
        "interpolant": interpolant,
        "width": flow.heads.net[0].out_features,
        "noise": flow.noise,
        "history": flow.history,
        "representation": _packed_space(flow.representation),
    }
    parts: dict[str, Mapping[str, Tensor]] = {
        "heads": flow.heads.state_dict(),
        "interpolant": tensors,
    }
    if flow.mass is not None:
        parts["mass"] = vars(flow.mass)
    _write(directory, "flow", facts, _named(parts) | {"box": flow.box})


def _packed_space(space: Representation | None) -> dict[str, Any] | None:
    return None if space is None else asdict(space)


def save_response(model: MetaFlowMatching, directory: str | os.PathLike) -> None:
    """Write ``model`` to ``model.safetensors`` in ``directory``."""
    interpolant, tensors = pack_interpolant(model.interpolant)
    coder, support, projection = model.coder, model.support, model.projection
    facts = {
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
    _write(directory, "response", facts, _named(parts))


def old_models(folder: Path) -> list[Path]:
    """Return the JSON files of models of older formats in ``folder``, not those of anyone else."""
    return [folder / name for name in OLD_FILES if _is_ours(folder / name)]


def read_json(path: Path) -> dict[str, Any]:
    """Return the facts of a model of an older format, which wrote NaN for what is not known.

    Raises
    ------
    ValueError
        It is not such a file.
    """
    try:
        if path.stat().st_size > _MOST_JSON:
            raise ValueError(f"it has more than {_MOST_JSON} bytes")
        facts = parsed(path.read_text(encoding="utf-8"), has_nan=True)
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read ({error})") from error
    if not isinstance(facts, dict) or type(facts.get("format")) is not int:
        raise ValueError(f"{path} has no format: it is not of celltraj, or damaged")
    return facts


def _write(
    directory: str | os.PathLike, kind: str, facts: dict[str, Any], tensors: dict[str, Tensor]
) -> None:
    folder = Path(directory)
    write_file(folder / FILE, Content(kind, FORMAT, facts, tensors))
    if old := old_models(folder):
        # the JSON last: as long as one is there, what is left of the older model is known as such
        (folder / OLD_TENSORS).unlink(missing_ok=True)
        for path in old:
            path.unlink(missing_ok=True)


def _is_ours(path: Path) -> bool:
    if not path.is_file():
        return False
    try:
        return bool(read_json(path))
    except ValueError:
        return False


def _named(parts: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
    return {f"{part}.{k}": v for part, of in parts.items() for k, v in of.items()}


def _packed_round(one: Round) -> dict[str, Any]:
    """Return the fields, with null where a score is not known: JSON has no NaN."""
    return {
        key: None if isinstance(value, float) and math.isnan(value) else value
        for key, value in asdict(one).items()
    }


def _packed_masses(masses: Masses) -> dict[str, Tensor]:
    cells = {"sent": masses.sent, "met": masses.met}
    named = {f"{name}.{k}": v for name, of in cells.items() for k, v in enumerate(of)}
    arrays = named | {"totals": masses.totals, "size_changes": masses.sizes}
    return {name: torch.from_numpy(np.ascontiguousarray(v)) for name, v in arrays.items()}
