"""Write tensors and facts to one file, whole or not at all, and read it with every check.

Safetensors, with all that is no tensor as JSON in its header; no pickle. A file is written beside
its place, read back against a digest of all that is in it, and renamed: whoever is killed at any
moment leaves what stood there before or the new file, never a mixture.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from celltraj._writable import check_folder
from celltraj.models._scratch import beside, remove_leftovers

_KEY = "celltraj"  # a single entry of the header: of several, safetensors shuffles the order
_RECORD = {"kind": str, "format": int, "facts": dict, "digest": str}
_SIZES = 2**60  # elements of a tensor; a header may claim anything


@dataclass(frozen=True)
class Content:
    """Hold what a file holds.

    Parameters
    ----------
    kind
        What it is, such as ``"bridge"``.
    format
        Number that tells how facts and tensors are arranged.
    facts
        All that is no tensor; JSON, without numbers that are not finite.
    tensors
        The tensors by name. Those of a file that was read still lie in it: copy what is kept.
    """

    kind: str
    format: int
    facts: dict[str, Any]
    tensors: dict[str, Tensor]


def write_file(path: Path, content: Content) -> None:
    """Replace the file at ``path`` by one with this content, all at once.

    What processes that are dead left beside it is removed.

    Raises
    ------
    OSError
        It cannot be written, or is not read back as it was written; what stood there still does.
    """
    content = replace(
        content,
        facts=json.loads(_text(content.facts)),
        tensors=_apart(content.tensors),
    )
    record = {"kind": content.kind, "format": content.format, "facts": content.facts}
    header = {_KEY: _text(record | {"digest": digest_of(content)})}
    _make_folder(path.parent)
    remove_leftovers(path)
    with beside(path) as scratch:
        scratch.touch(exist_ok=False)
        mode = scratch.stat().st_mode  # as every new file; safetensors would hide it from others
        try:
            save_file(content.tensors, scratch, metadata=header)
        except SafetensorError as error:
            raise OSError(f"cannot write {path} ({error}); what stood there still does") from error
        scratch.chmod(mode)
        _flush(scratch)
        _check_written(path, scratch, content)
        scratch.replace(path)
        if os.name == "posix":  # elsewhere a folder cannot be opened
            _flush(path.parent)


def read_file(path: Path, *, formats: tuple[int, ...]) -> Content:
    """Return the content of a file; its tensors still lie on the disk, nothing is allocated.

    Parameters
    ----------
    path
        The file.
    formats
        Formats that the caller understands.

    Raises
    ------
    ValueError
        It cannot be read, is damaged, of another format, or no file of celltraj.
    """
    try:
        with safe_open(path, framework="pt") as file:
            record = _record((file.metadata() or {}).get(_KEY), path)
            if record["format"] not in formats:
                raise ValueError(
                    f"{path} has format {record['format']}, {formats[-1]} expected; use the "
                    "celltraj that wrote it, or a newer one"
                )
            tensors = _mapped(file, path)
    except (OSError, SafetensorError) as error:
        raise ValueError(f"{path} cannot be read ({error})") from error
    content = Content(record["kind"], record["format"], record["facts"], tensors)
    if digest_of(content) != record["digest"]:
        raise ValueError(f"{path} is damaged: it does not hold what was written (digest)")
    return content


def mapped(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file that has no record; they still lie on the disk.

    Raises
    ------
    ValueError
        It cannot be read.
    """
    try:
        with safe_open(path, framework="pt") as file:
            return _mapped(file, path)
    except (OSError, SafetensorError) as error:
        raise ValueError(f"{path} cannot be read ({error})") from error


def header_of(path: Path) -> dict[str, str]:
    """Return the entries of the header of a safetensors file.

    Raises
    ------
    ValueError
        It cannot be read.
    """
    try:
        with safe_open(path, framework="pt") as file:
            return file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise ValueError(f"{path} cannot be read ({error})") from error


def parsed(text: str, *, has_nan: bool = False) -> Any:
    """Return what JSON says, strictly: no key twice, nothing that is not a finite number.

    ``has_nan`` reads the literal ``NaN``, which is no JSON, as null.

    Raises
    ------
    ValueError
        It is not such JSON.
    """

    def constant(name: str) -> None:
        if name != "NaN" or not has_nan:
            raise ValueError(f"{name} is no finite number")

    def number(digits: str) -> float:
        value = float(digits)
        if not math.isfinite(value):
            raise ValueError(f"{digits} is no finite number")
        return value

    try:
        return json.loads(
            text, object_pairs_hook=_unique, parse_constant=constant, parse_float=number
        )
    except RecursionError as error:
        raise ValueError("JSON nested beyond all measure") from error


def digest_of(content: Content) -> str:
    """Return a hexadecimal digest of facts, names, types, shapes and values."""
    total = hashlib.sha256(_text([content.kind, content.format, content.facts]).encode())
    for name in sorted(content.tensors):
        value = content.tensors[name]
        total.update(_text([name, str(value.dtype), list(value.shape)]).encode())
        total.update(value.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()


def _make_folder(folder: Path) -> None:
    check_folder(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise NotADirectoryError(
            f"{folder} is, or lies in, a file and cannot be a folder; choose another folder"
        ) from error


def _flush(path: Path) -> None:
    """Have the disk hold what was written: a rename must not come before the content."""
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _check_written(path: Path, scratch: Path, content: Content) -> None:
    """Raise unless the disk gives back what was written."""
    try:
        read_file(scratch, formats=(content.format,))
    except ValueError as error:
        raise OSError(
            f"cannot write {path}: the disk does not give back what was written ({error})"
        ) from error


def _record(text: str | None, path: Path) -> dict[str, Any]:
    """Return what the header says of a file."""
    if text is None:
        raise ValueError(f"{path} was not written by this version of celltraj, or is damaged")
    try:
        record: dict[str, Any] = parsed(text)
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {error}") from error
    is_whole = isinstance(record, dict) and record.keys() == _RECORD.keys()
    if not is_whole or any(type(record[key]) is not kind for key, kind in _RECORD.items()):
        raise ValueError(f"{path} is damaged: its header lacks one of {', '.join(_RECORD)}")
    return record


def _mapped(file: Any, path: Path) -> dict[str, Tensor]:
    """Return the tensors of an open file, which still lie in it."""
    tensors = {}
    for name in file.keys():  # noqa: SIM118
        if math.prod(max(size, 1) for size in file.get_slice(name).get_shape()) > _SIZES:
            raise ValueError(f"{path} is damaged: the shape of tensor {name!r} is impossible")
        tensors[name] = file.get_tensor(name)
    return tensors


def _apart(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors on the CPU, each in memory of its own, as safetensors wants them."""
    seen: set[int] = set()
    own = {}
    for name, value in tensors.items():
        here = value.detach().cpu().contiguous()
        place = here.untyped_storage().data_ptr()
        own[name] = here.clone() if place in seen else here
        seen.add(place)
    return own


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("an object of JSON holds a key twice")
    return found


def _text(values: Any) -> str:
    """Return the one text of JSON that these values have, in their order."""
    return json.dumps(values, allow_nan=False, separators=(",", ":"))
