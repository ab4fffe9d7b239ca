"""Read the files in which R saves objects, without R.

The format is that of *R Internals*, section 1.8 (serialization formats): big-endian numbers, each
item headed by a word of its type and flags. What only code needs (bytecode, promises of packages)
is refused by its number. Reading builds plain data and runs nothing of the file.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

_OPENERS: dict[bytes, Callable[..., Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZ": bz2.open,
    b"\xfd7": lzma.open,
}
_HAS_ATTRIBUTES, _HAS_TAG = 0x200, 0x400
_EMPTY = (241, 242, 247, 251, 252, 253, 254)  # environments that every R has, and NULL
_VECTORS = {10: ">i4", 13: ">i4", 14: ">f8", 24: "u1"}  # logical, integer, real, raw


@dataclass(frozen=True)
class RObject:
    """Hold a value of R and its attributes.

    Parameters
    ----------
    value
        An array, a list, or None for an object that has slots only.
    attributes
        By name: slots of such an object, ``names``, ``dim``, ``levels``.
    """

    value: Any
    attributes: dict[str, Any] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Any:
        """Return the attribute, else the element, of that name."""
        if name in self.attributes:
            return self.attributes[name]
        names = list(self.attributes["names"].value)
        return self.value[names.index(name)]


def read_r_data(path: Path) -> dict[str, Any]:
    """Return the objects of a file of R's ``save``, by name.

    Parameters
    ----------
    path
        The file, plain or compressed by gzip, bzip2 or xz.

    Raises
    ------
    ValueError
        It is not such a file, or holds what only R can read.
    """
    with path.open("rb") as file:
        opener = _OPENERS.get(file.read(2), open)
    with opener(path, "rb") as file:
        content = file.read()
    if content[:7] not in (b"RDX2\nX\n", b"RDX3\nX\n"):
        raise ValueError(f"{path} is no file of R's save in its binary form")
    return dict(_Reader(content, start=7).read())


class _Reader:
    """Read one item after another."""

    def __init__(self, content: bytes, *, start: int) -> None:
        self._content = content
        self._at = start
        self._references: list[Any] = []
        readers: dict[tuple[int, ...], Callable[[int], Any]] = {
            _EMPTY: lambda _: None,
            (255,): self._reference,
            (1,): self._symbol,
            (4,): self._environment,
            (249, 250): self._package,
            (2, 3, 5, 6, 17, 239, 240): self._pairs,
            (9,): self._characters,
            tuple(_VECTORS): self._vector,
            (16, 19, 20): self._list,
            (25,): self._slots,
        }
        self._readers = {kind: read for kinds, read in readers.items() for kind in kinds}

    def read(self) -> Any:
        """Return the object that follows the version of the format."""
        version, _, _ = self._words(3)
        if version == 3:
            self._take(self._words(1)[0])  # the encoding
        return self._item()

    def _take(self, n: int) -> bytes:
        taken = self._content[self._at : self._at + n]
        if len(taken) < n:
            raise ValueError(f"the file of R ends {n - len(taken)} bytes too soon")
        self._at += n
        return taken

    def _words(self, n: int) -> tuple[int, ...]:
        return struct.unpack(f">{n}i", self._take(4 * n))

    def _item(self) -> Any:
        (flags,) = self._words(1)
        kind = flags & 0xFF
        if kind == 239 or kind == 240:
            flags |= _HAS_ATTRIBUTES
        if kind not in self._readers:
            raise ValueError(f"the file of R holds an item of type {kind}, which only R can read")
        return self._readers[kind](flags)

    def _attributes(self, flags: int) -> dict[str, Any]:
        return dict(self._item() or ()) if flags & _HAS_ATTRIBUTES else {}

    def _reference(self, flags: int) -> Any:
        return self._references[(flags >> 8 or self._words(1)[0]) - 1]

    def _symbol(self, _: int) -> Any:
        name = self._item()
        self._references.append(name)
        return name

    def _environment(self, _: int) -> None:
        self._words(1)  # locked or not
        self._references.append(None)
        for _part in range(4):  # what encloses it, its frame, its table, its attributes
            self._item()

    def _package(self, _: int) -> Any:
        _, n = self._words(2)
        name = [self._item() for _ in range(n)]
        self._references.append(name)
        return name

    def _pairs(self, flags: int) -> list[tuple[Any, Any]]:
        """Return the (name, value) pairs of a list of R's older kind, in a loop: it may be long."""
        pairs: list[tuple[Any, Any]] = []
        while True:
            if flags & _HAS_ATTRIBUTES:
                self._item()
            tag = self._item() if flags & _HAS_TAG else None
            pairs.append((tag, self._item()))
            (flags,) = self._words(1)
            if flags & 0xFF != 2:
                break
        if flags & 0xFF != 254:
            raise ValueError("the file of R holds a list without an end")
        return pairs

    def _characters(self, _: int) -> str | None:
        (n,) = self._words(1)
        return None if n < 0 else self._take(n).decode()

    def _vector(self, flags: int) -> RObject:
        dtype = np.dtype(_VECTORS[flags & 0xFF])
        values = np.frombuffer(self._take(self._length() * dtype.itemsize), dtype)
        return RObject(values.astype(dtype.newbyteorder("=")), self._attributes(flags))

    def _list(self, flags: int) -> RObject:
        values = [self._item() for _ in range(self._length())]
        return RObject(values, self._attributes(flags))

    def _slots(self, flags: int) -> RObject:
        return RObject(None, self._attributes(flags))

    def _length(self) -> int:
        (n,) = self._words(1)
        if n < 0:
            high, low = self._words(2)
            n = (high << 32) + low
        return n
