"""Pack numbers and texts of cells for the page, whose ``unpack.js`` reads them again."""

from __future__ import annotations

import zlib
from base64 import b64encode
from collections.abc import Iterable

import numpy as np

_LEVELS = 4095  # steps across a picture, finer than the pixels of a screen
_STEP = 16  # so that the side of the box, of 65,520, nearly fills two bytes


def packed(values: np.ndarray | bytes) -> str:
    """Return bytes as text: zlib, then base64.

    Examples
    --------
    >>> import numpy as np
    >>> from celltraj.pl._report.packing import packed
    >>> len(packed(np.zeros(10_000, dtype=np.uint8)))
    44
    """
    content = values if isinstance(values, bytes) else values.tobytes()
    return b64encode(zlib.compress(content, 9)).decode()


def packed_texts(texts: Iterable[object]) -> str:
    """Return texts, one a line."""
    lines = (" ".join(str(text).splitlines()) for text in texts)
    return packed("\n".join(lines).encode())


def packed_positions(positions: np.ndarray, low: np.ndarray, high: np.ndarray) -> str:
    """Return positions ``(T, n, 2)`` within a box, frame by frame, in 4,095 steps a side.

    Cells move little from frame to frame, so that differences take the least room; their low and
    their high bytes stand apart.
    """
    share = (positions - low) / (high - low)
    steps = _STEP * np.rint(share * _LEVELS).astype(np.uint16)
    change = np.diff(steps, axis=0, prepend=np.zeros_like(steps[:1]))
    both = change.astype("<u2").reshape(-1, 1).view(np.uint8)
    return packed(np.ascontiguousarray(both.T))
