"""Write a fitted model to one file of its folder; no pickle.

A folder holds ``model.safetensors``. Up to format 5 it held two files, a JSON named after the kind
of model and ``tensors.safetensors``: those that stood there before are removed, but only once the
new file is in its place, and whoever reads prefers that one.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from celltraj.models._files import Content, digest_of, parsed, write_file

FORMAT = 6
FILE = "model.safetensors"
OLD_FILES = ("bridge.json", "flow.json", "response.json")
OLD_TENSORS = "tensors.safetensors"
_MOST_JSON = 100_000_000  # bytes, as of a header of safetensors


class Saved(ABC):
    """Save what a fit found: the one ``save`` of bridges, flows and responses."""

    @abstractmethod
    def pack(self) -> Content:
        """Return the model as facts, plain values, and tensors."""

    def save(self, directory: str | os.PathLike[str]) -> None:
        """Write ``model.safetensors`` to the folder ``directory``; ``ct.load`` reads it.

        The file is replaced as a whole: whoever is interrupted leaves the model of before.

        Parameters
        ----------
        directory
            A folder, made where there is none.

        Raises
        ------
        OSError
            It cannot be written there; what stood there still does.
        TypeError
            A part of the model is code of yours that is no dataclass of numbers and tensors, which
            no file can hold without pickle.
        """
        folder = Path(directory)
        write_file(folder / FILE, self.pack())
        if old := old_models(folder):
            # the JSON last: while one is there, what is left of the older model is known as such
            (folder / OLD_TENSORS).unlink(missing_ok=True)
            for path in old:
                path.unlink(missing_ok=True)


def content_of(kind: str, facts: dict[str, Any], tensors: dict[str, Tensor]) -> Content:
    """Return what a model is packed as, in the present format."""
    return Content(kind, FORMAT, facts, tensors)


def content_digest(model: Saved) -> str:
    """Return a hexadecimal digest of all that a file of the model would hold."""
    return digest_of(model.pack())


def named(parts: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Return the tensors of several parts, each below the name of its part."""
    return {f"{part}.{k}": v for part, of in parts.items() for k, v in of.items()}


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


def _is_ours(path: Path) -> bool:
    if not path.is_file():
        return False
    try:
        return bool(read_json(path))
    except ValueError:
        return False
