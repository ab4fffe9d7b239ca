"""Read a fitted model that its ``save`` wrote, or refuse the file by name."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from celltraj._checks import checked
from celltraj.models._files import Content, mapped, read_file
from celltraj.models._migrate import OLDEST, migrated
from celltraj.models._own_code import Classes, by_name
from celltraj.models._saved import (
    FILE,
    FORMAT,
    OLD_FILES,
    OLD_TENSORS,
    old_models,
    read_json,
)
from celltraj.models.arms.arms import Arms
from celltraj.models.arms.unpack import unpack_arms
from celltraj.models.bridge.bridge import Bridge
from celltraj.models.bridge.unpack import unpack_bridge
from celltraj.models.flow.flow import FlowMatching
from celltraj.models.flow.unpack import unpack_flow
from celltraj.models.mean_field.bridges import MeanFieldBridges
from celltraj.models.mean_field.unpack import unpack_mean_field
from celltraj.models.response.response import MetaFlowMatching
from celltraj.models.response.unpack import unpack_response

Model = Bridge | FlowMatching | MetaFlowMatching | Arms | MeanFieldBridges
_READERS: dict[str, Callable[[Content, Classes], Model]] = {
    "arms": unpack_arms,
    "bridge": unpack_bridge,
    "flow": unpack_flow,
    "mean field": unpack_mean_field,
    "response": unpack_response,
}
logger = logging.getLogger("celltraj")


@checked
def load(directory: str | os.PathLike[str], *, classes: Sequence[type] = ()) -> Model:
    """Read a bridge, a flow, a response, arms or mean-field bridges that its ``save`` wrote.

    The model is the one that was saved, bit by bit: a digest in the file says whether it still
    holds what was written. Files of the two formats before have none, which is logged.

    Parameters
    ----------
    directory
        The folder that was given to ``save``.
    classes
        Dataclasses of yours that the model was fitted with, such as a reference, an encoder or an
        interpolant: a file holds their names and numbers, never their code.

    Raises
    ------
    TypeError
        ``classes`` holds something else than dataclasses.
    FileNotFoundError
        There is no such folder, or it holds no saved model.
    ValueError
        The model cannot be read: it is damaged, cut off or of a format that this version does not
        know, or holds what no model can, such as a negative epsilon or weights of another shape.
        The message names the file and what is wrong.

    Examples
    --------
    >>> import tempfile
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=50, seed=0)
    >>> bridge = ct.tl.fit_bridge(adata, training=None, seed=0, progress=False)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     bridge.save(folder)
    ...     ct.load(folder).reference.sigma == bridge.reference.sigma
    True
    """
    own = by_name(classes)
    folder = Path(directory)
    path = _file_in(folder)
    content = read_file(path, formats=(FORMAT,)) if path.name == FILE else _old(path)
    try:
        if content.kind not in _READERS:
            raise ValueError(f"it is a {content.kind!r}, not one of {', '.join(_READERS)}")
        return _READERS[content.kind](content, own)
    except ValueError as error:
        line = " ".join(str(error).split())
        raise ValueError(f"{path} holds no model that can be used: {line}") from error


def _file_in(folder: Path) -> Path:
    """Return the file that says what the model in ``folder`` is.

    Where a save was killed after the new file was in place, files of the older format still stand
    beside it. They are older; where they are not, an older celltraj wrote them since.
    """
    try:
        if folder.is_file():
            raise ValueError(f"{folder} is a file; pass the folder that holds {FILE}")
        is_there = (folder / FILE).is_file()
        old = old_models(folder) if is_there else []
        first = next((folder / name for name in OLD_FILES if (folder / name).is_file()), None)
        written = (folder / FILE).stat().st_mtime_ns if is_there else 0
        newer = [path for path in old if path.stat().st_mtime_ns > written]
    except OSError as error:
        raise ValueError(f"{folder} cannot be read ({error})") from error
    if newer:
        raise ValueError(
            f"{folder} holds {FILE} and, written after it by an older celltraj, {newer[0].name}; "
            f"remove the one that you do not mean"
        )
    if old:
        logger.warning(
            "%s holds %s, which is read, and beside it %s of an older celltraj; remove that one",
            folder,
            FILE,
            old[0].name,
        )
    if not is_there and first is None:
        raise FileNotFoundError(
            f"{folder} holds none of {', '.join((FILE, *OLD_FILES))}; write one with "
            "model.save(...)"
        )
    return folder / FILE if first is None or is_there else first


def _old(path: Path) -> Content:
    """Return a model of an older format, two files without a digest, as one of this format."""
    facts = read_json(path)
    number = facts.pop("format")
    if not OLDEST <= number < FORMAT:
        raise ValueError(
            f"{path}: format {number} found, {OLDEST} to {FORMAT} expected; update celltraj, or "
            "fit the model again"
        )
    tensors = mapped(path.with_name(OLD_TENSORS))
    try:
        content = migrated(Content(path.stem, number, facts, tensors))
    except ValueError as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    logger.warning(
        "%s is of the older format %d and has no digest, so that nothing tells whether it is "
        "whole; save it again with model.save",
        path,
        number,
    )
    return content
