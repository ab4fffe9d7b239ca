"""Snapshots and masses of a bridge as named tensors."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from celltraj.models.growth.path_mass import Masses
from celltraj.snapshots import Snapshots


def pack_snapshots(snapshots: Snapshots) -> dict[str, Tensor]:
    """Return cells, weights and expected growth of each snapshot."""
    tensors: dict[str, Tensor] = {}
    for k, (x, weights) in enumerate(zip(snapshots.x, snapshots.weights, strict=True)):
        tensors |= {f"x.{k}": x, f"weights.{k}": weights}
    return tensors | {f"growth.{k}": rates for k, rates in enumerate(snapshots.growth)}


def pack_masses(masses: Masses | None) -> dict[str, Tensor]:
    """Return what cells send and meet; nothing where couplings keep the mass of every cell."""
    if masses is None:
        return {}
    cells = {"sent": masses.sent, "met": masses.met}
    named = {f"{name}.{k}": v for name, of in cells.items() for k, v in enumerate(of)}
    arrays = named | {"totals": masses.totals, "size_changes": masses.sizes}
    return {name: torch.from_numpy(np.ascontiguousarray(v)) for name, v in arrays.items()}
