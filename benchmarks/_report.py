"""Options, tables and files that all benchmarks share."""

from __future__ import annotations

import argparse
import json
import platform
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import torch

import celltraj as ct

LIBRARIES = ("torch", "numpy", "scipy", "pot")


def parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser that knows where results go."""
    options = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    return options


def add_seeds(options: argparse.ArgumentParser) -> None:
    """Let the user choose the seeds."""
    options.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])


def mean_and_error(values: pd.Series) -> pd.Series:
    """Return mean and standard error; the error of a single value is unknown, not zero."""
    return pd.Series({"mean": values.mean(), "error": values.sem()})


def report(name: str, records: pd.DataFrame, table: pd.DataFrame, out: Path) -> None:
    """Print ``table`` and write it with every single record to ``out/name.json``."""
    print(f"\n{name}\n{table.to_string(float_format='{:.3f}'.format)}", flush=True)
    content = {
        "versions": {"celltraj": ct.__version__, **{p: version(p) for p in LIBRARIES}},
        "machine": {"processor": platform.machine(), "threads": torch.get_num_threads()},
        "table": json.loads(table.reset_index().to_json(orient="records")),
        "records": json.loads(records.to_json(orient="records")),
    }
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")
