"""Write the state of a training to one file, and go on from it; no pickle.

The file is replaced as a whole, see :mod:`celltraj.models._files`: a training killed at any moment
leaves either the checkpoint before or the one after, never a mixture.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from celltraj import __version__
from celltraj.models._facts import facts_as
from celltraj.models._files import Content, header_of, mapped, parsed, read_file, write_file
from celltraj.models.training.options import NETWORK
from celltraj.snapshots import Snapshots

_FORMAT = 2
_KIND = "training"
_FILE = "training.safetensors"
_DIGITS = 16  # of a digest, enough to tell two trainings apart
logger = logging.getLogger("celltraj")


@dataclass(frozen=True)
class Checkpoint:
    """Hold the state of a training.

    Parameters
    ----------
    facts
        What makes it this training and no other: options, data, shapes; JSON.
    state
        Counts and rates that it had come to; JSON.
    tensors
        Weights, their average, moments of the optimiser, losses, state of the generator.
    """

    facts: dict[str, Any]
    state: dict[str, Any]
    tensors: dict[str, Tensor]

    def below(self, prefix: str) -> dict[str, Tensor]:
        """Return the tensors whose names begin with ``prefix``, without it."""
        return {k[len(prefix) :]: v for k, v in self.tensors.items() if k.startswith(prefix)}


@dataclass(frozen=True)
class _Held:
    facts: dict[str, Any]
    state: dict[str, Any]


def write_checkpoint(folder: str | os.PathLike[str], checkpoint: Checkpoint) -> None:
    """Replace the checkpoint in ``folder``, all at once.

    Raises
    ------
    OSError
        It cannot be written; the one before still stands.
    """
    facts = {"facts": checkpoint.facts, "state": checkpoint.state}
    write_file(Path(folder) / _FILE, Content(_KIND, _FORMAT, facts, checkpoint.tensors))


def read_checkpoint(folder: str | os.PathLike[str], facts: Mapping[str, Any]) -> Checkpoint | None:
    """Return the checkpoint in ``folder``, None where there is none.

    Parameters
    ----------
    folder
        Where it was written.
    facts
        What it must have been written with.

    Raises
    ------
    ValueError
        It is of another training, version or format, or cannot be read; the message says what
        differs.
    """
    path = Path(folder) / _FILE
    if not path.is_file():
        return None
    try:
        content = _content(path)
        held = facts_as(_Held, content.facts, "the checkpoint")
    except ValueError as error:
        raise ValueError(
            f"cannot read the checkpoint: {error}; remove it, or use the celltraj that wrote it"
        ) from error
    if lines := _differences(held.facts, json.loads(json.dumps(facts))):
        raise ValueError(
            f"the checkpoint {path} is of another training: {'; '.join(lines)}. Pass what was "
            "passed then, or do without resume to start afresh"
        )
    return Checkpoint(held.facts, held.state, content.tensors)


def _content(path: Path) -> Content:
    """Return what is in the file; format 1 had no digest."""
    header = header_of(path)
    if header.get("format") != "1":
        return read_file(path, formats=(_FORMAT,))
    facts = {key: parsed(header.get(key, "")) for key in ("facts", "state")}
    logger.warning("%s is of the older format 1 and has no digest of what is in it", path)
    return Content(_KIND, 1, facts, mapped(path))


def remove_checkpoint(folder: str | os.PathLike[str]) -> None:
    """Remove the checkpoint in ``folder``, and the folder where nothing else is in it.

    Parameters
    ----------
    folder
        The ``checkpoint`` of :class:`celltraj.models.TrainerOptions`; it need not exist.

    Raises
    ------
    OSError
        The file cannot be removed.

    Examples
    --------
    >>> import tempfile
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=50, seed=0)
    >>> folder = tempfile.mkdtemp()
    >>> trainer = ct.models.TrainerOptions(checkpoint=folder)
    >>> drift = ct.models.Training(max_steps=20, trainer=trainer)
    >>> bridge = ct.tl.fit_bridge(adata, training=drift, seed=0, progress=False)
    >>> ct.models.remove_checkpoint(folder)
    """
    folder = Path(folder)
    if not folder.is_dir():
        return
    for one in folder.glob(f"{NETWORK}*"):  # those of an ensemble
        remove_checkpoint(one)
    for file in (_FILE, f".*-{_FILE}"):  # a killed process leaves its scratch file
        for path in folder.glob(file):
            path.unlink(missing_ok=True)
    if not any(folder.iterdir()):
        folder.rmdir()


def fingerprint(snapshots: Snapshots) -> dict[str, Any]:
    """Return what tells these snapshots from others, for a checkpoint to hold.

    Examples
    --------
    >>> import torch
    >>> from celltraj.snapshots import Snapshots
    >>> from celltraj.models.training.checkpoint import fingerprint
    >>> fingerprint(Snapshots((0.0, 2.0), (torch.zeros(3, 2), torch.ones(4, 2))))["n_cells"]
    [3, 4]
    """
    return {
        "dim": snapshots.dim,
        "times": list(snapshots.times),
        "n_cells": [len(x) for x in snapshots.x],
        "digest of the cells": digest([*snapshots.x, *snapshots.weights]),
    }


def digest(tensors: Sequence[Tensor]) -> str:
    """Return a short hexadecimal digest of the values."""
    total = hashlib.sha256()
    for tensor in tensors:
        total.update(tensor.contiguous().numpy().data)
    return total.hexdigest()[:_DIGITS]


def training_facts(
    field: torch.nn.Module,
    *,
    training: Mapping[str, Any],
    generator: torch.Generator,
    data: Mapping[str, Any],
    variables: Sequence[str],
) -> dict[str, Any]:
    """Return the facts of a training that is about to begin.

    Parameters
    ----------
    field
        The network.
    training
        Options that its result depends on.
    generator
        Source of the batches; its state says by which seed they are drawn.
    data
        Such as :func:`fingerprint` returns.
    variables
        Names of the state variables, where they are known.
    """
    return {
        "celltraj": __version__,
        "variables": list(variables),
        "data": dict(data),
        "training": dict(training),
        "network": {name: list(value.shape) for name, value in field.state_dict().items()},
        "digest of the seed's generator": digest([generator.get_state()]),
    }


def _differences(before: Any, now: Any, name: str = "") -> list[str]:
    """Return one line for each fact that is not the same."""
    if isinstance(before, dict) and isinstance(now, dict):
        keys = list(before | now)
        inner = {key: f"{name}.{key}" if name else key for key in keys}
        return [line for k in keys for line in _differences(before.get(k), now.get(k), inner[k])]
    if before == now:
        return []
    is_names = isinstance(before, list) and all(isinstance(one, str) for one in before)
    if name == "variables" and is_names:
        return [_other_names(before, now)]
    return [f"{name} was {before}, is {now}"]


def _other_names(before: Sequence[str], now: Sequence[str]) -> str:
    gone = [one for one in before if one not in now]
    new = [one for one in now if one not in before]
    if not gone and not new:
        return f"variables were in the order {list(before)}, are in {list(now)}"
    return f"variables {gone} are missing, {new} are new"
