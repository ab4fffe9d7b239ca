"""What a command says on stdout once its files are in place."""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import celltraj as ct


def say(arguments: argparse.Namespace, facts: dict[str, Any], text: str) -> None:
    """Print the facts as one JSON object where ``--json`` asks for it, else the text."""
    print(as_json(facts | common(arguments)) if arguments.json else text)


def common(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what every summary holds: warnings, the seed of a command that has one, and so on."""
    seed = {"seed": arguments.seed} if "seed" in arguments else {}
    return {
        "warnings": arguments.warnings,
        **seed,
        "seconds": round(time.perf_counter() - arguments.began, 3),
        "version": ct.__version__,
    }


def as_json(summary: dict[str, Any]) -> str:
    """Return a summary as one line of JSON."""
    return json.dumps(summary, allow_nan=False)


def rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows for JSON, which has no NaN and no infinity: they become null."""
    # to_json of pandas rounds to so many decimals, which makes small p values 0
    records = table.to_dict("records")
    return [{str(name): _plain(value) for name, value in row.items()} for row in records]


def _plain(value: Any) -> Any:
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and not math.isfinite(value) else value


def staged_files(scratch: Path, out: Path) -> list[str]:
    """Return the paths that the files of a scratch folder are about to have."""
    names = sorted(p.relative_to(scratch) for p in scratch.rglob("*") if p.is_file())
    return [str(out / name) for name in names]
