"""Compare the numbers that executed tutorials print with those they are shown with.

``python tutorials/compare.py tutorials build`` compares each notebook of the first folder with the
one of its name in the second, cell by cell, and ends with 1 where they differ.

Two numbers agree that are within a tenth of the larger one, or within .02. A training on another
processor, or by other versions of torch, ends a few per cent elsewhere, and no sentence of a
tutorial rests on less than a tenth. The floor is for what is near zero by right, where no share of
it means anything: errors of a solver, p values, differences. Of shares, correlations and p values,
which end at 1, .02 is less than a tutorial reads from them.

A cell whose numbers are times, or vary for another good reason that its text tells, carries the tag
``varies``: it is left out, counted and named. What is compared is what cells print and the plain
text of what they return: not pictures, not warnings, and not HTML, which holds the same numbers.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RELATIVE = 0.1
FLOOR = 0.02
VARIES = "varies"

# a number by itself: not the digits of ISG15, 640x480 or 1.2.3
_NUMBER = re.compile(
    r"(?<![\w.])[-+]?(?:nan|inf|(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?)(?!\.?\w)", re.IGNORECASE
)


@dataclass(frozen=True)
class Comparison:
    """What comparing one notebook found."""

    notebook: str
    n_numbers: int
    varying: tuple[int, ...]
    faults: tuple[str, ...]

    def __str__(self) -> str:
        """Return a line, and one more for each fault."""
        cells = ", ".join(map(str, self.varying)) or "none"
        told = f"{self.notebook}: {self.n_numbers} numbers, {len(self.faults)} differ"
        return "\n".join([f"{told}; cells that may vary: {cells}", *self.faults])


def numbers(text: str) -> list[float]:
    """Return the numbers of a text, in order."""
    return [float(found) for found in _NUMBER.findall(text)]


def agree(one: float, other: float) -> bool:
    """Return whether two numbers are the same as far as a tutorial is concerned."""
    if math.isnan(one) or math.isnan(other):
        return math.isnan(one) and math.isnan(other)
    return math.isclose(one, other, rel_tol=RELATIVE, abs_tol=FLOOR)


def compare(shown: dict[str, Any], executed: dict[str, Any], notebook: str) -> Comparison:
    """Compare the cells of two notebooks, as read from their files.

    Parameters
    ----------
    shown
        The notebook with the outputs that readers see.
    executed
        The same notebook, executed now.
    notebook
        Its name.
    """
    pairs = list(zip(shown["cells"], executed["cells"], strict=False))
    faults = [] if _sources(shown) == _sources(executed) else [f"{notebook}: cells were changed"]
    varying = tuple(k for k, (cell, _) in enumerate(pairs) if VARIES in _tags(cell))
    n_numbers = 0
    for k, (before, now) in enumerate(pairs):
        if k not in varying:
            found = numbers(_text(before)), numbers(_text(now))
            n_numbers += len(found[0])
            faults += [f"{notebook}, cell {k}: {fault}" for fault in _faults(*found)]
    return Comparison(notebook, n_numbers, varying, tuple(faults))


def _faults(shown: Sequence[float], executed: Sequence[float]) -> Iterator[str]:
    """Yield how the numbers of a cell differ."""
    if len(shown) != len(executed):
        yield f"shown with {len(shown)} numbers, and {len(executed)} now"
        return
    for k, (one, other) in enumerate(zip(shown, executed, strict=True), start=1):
        if not agree(one, other):
            yield f"shown with {one:g}, and {other:g} now (number {k} of {len(shown)})"


def _sources(notebook: dict[str, Any]) -> list[str]:
    return ["".join(cell["source"]) for cell in notebook["cells"]]


def _tags(cell: dict[str, Any]) -> Sequence[str]:
    tags: Sequence[str] = cell.get("metadata", {}).get("tags", ())
    return tags


def _text(cell: dict[str, Any]) -> str:
    """Return what a cell printed, and the plain text of what it returned unless it is a picture."""
    return "\n".join(
        "".join(output["text"] if "text" in output else output["data"]["text/plain"])
        for output in cell.get("outputs", ())
        if output.get("name") == "stdout"
        or ("text/plain" in output.get("data", {}) and "image/png" not in output["data"])
    )


def _read(path: Path) -> dict[str, Any]:
    notebook: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return notebook


def main(shown: Path, executed: Path) -> int:
    """Print what comparing each notebook of a folder found; return 1 where one differs."""
    notebooks = sorted(shown.glob("*.ipynb"))
    n_failed = 0
    for path in notebooks:
        now = executed / path.name
        if not now.is_file():
            print(f"{path.name}: was not executed")
            n_failed += 1
            continue
        found = compare(_read(path), _read(now), path.name)
        print(found)
        n_failed += bool(found.faults)
    return int(n_failed > 0 or not notebooks)


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:3])))
