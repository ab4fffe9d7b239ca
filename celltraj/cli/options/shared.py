"""Options that several commands share, so that each is worded once."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeAlias

import celltraj as ct
from celltraj.cli.types import Parser, number, result_file, whole

Commands: TypeAlias = "argparse._SubParsersAction[Parser]"


def add_command(
    commands: Commands, name: str, run: Callable[[argparse.Namespace], None], text: str
) -> Parser:
    """Add a command with what every command takes, and return its parser."""
    command = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
    command.set_defaults(run=run)
    command.add_argument("--version", action="version", version=f"celltraj {ct.__version__}")
    command.add_argument("--quiet", action="store_true", help="show no progress bars")
    command.add_argument(
        "--memory-limit",
        type=number(0.0),
        metavar="GB",
        help="end before the work where it would take more memory (that of the machine)",
    )
    command.add_argument(
        "--json", action="store_true", help="print the summary as one JSON object and nothing else"
    )
    return command


def add_data(command: Parser, content: str = "") -> None:
    """Add the file with cells."""
    command.add_argument("data", type=Path, help=f"h5ad file{content}")


def add_model(command: Parser) -> None:
    """Add the folder of a fitted model."""
    command.add_argument("model", type=Path, help="folder of the model, such as run/model")


def add_use_rep(command: Parser) -> None:
    """Add the representation to work in."""
    command.add_argument("--use-rep", help="X or a key of obsm (X_pca where there is one)")


def add_time_key(command: Parser) -> None:
    """Add the column of times."""
    command.add_argument("--time-key", default="time", help="obs column with the times")


def add_growth(command: Parser, *, default: str | None = "auto") -> None:
    """Add how much cells divide and die."""
    command.add_argument(
        "--growth",
        choices=("auto", "none"),
        default=default,
        help="whether cells divide and die: auto (default) as far as gaps foretell each other by "
        "it, none keeps the mass of every cell",
    )


def growth_of(arguments: argparse.Namespace) -> Literal["auto"] | None:
    """Return ``--growth`` as the functions take it."""
    return None if arguments.growth == "none" else "auto"


def add_model_kind(command: Parser) -> None:
    """Add which model of a time course is fitted."""
    command.add_argument(
        "--model", choices=("bridge", "flow"), default="bridge", help="what is fitted"
    )


def add_steps(command: Parser, of: str = "training steps") -> None:
    """Add the length of a training."""
    command.add_argument("--max-steps", type=whole(1), help=of)


def add_checkpoints(command: Parser) -> None:
    """Add how often a training is saved."""
    command.add_argument(
        "--checkpoint-every",
        type=whole(1),
        metavar="STEPS",
        help="training steps between checkpoints",
    )


def add_resume(command: Parser) -> None:
    """Add that a training goes on."""
    command.add_argument(
        "--resume",
        action="store_true",
        help="go on from the checkpoint that an interrupted fit of the same options left in --out",
    )


def add_processes(command: Parser) -> None:
    """Add where independent parts run: gaps of couplings, held-out folds."""
    where = command.add_mutually_exclusive_group()
    where.add_argument(
        "--jobs", type=whole(1), default=1, help="processes for gaps and held-out folds (1)"
    )
    where.add_argument(
        "--cluster",
        metavar="ADDRESS",
        help="run them on the workers of a Dask scheduler, such as tcp://node1:8786",
    )


def add_seed(command: Parser) -> None:
    """Add the seed of everything random."""
    command.add_argument("--seed", type=whole(0), default=0)


def add_folder(command: Parser, default: str = "run") -> None:
    """Add the folder of results."""
    command.add_argument("--out", type=Path, default=Path(default), help="folder of the results")


def add_file(command: Parser, default: str, *endings: str, text: str = "file to write") -> None:
    """Add the one file that a command writes, whose ending says what it holds."""
    command.add_argument("--out", type=result_file(*endings), default=Path(default), help=text)


def add_name(command: Parser, default: str) -> None:
    """Add the name of the result in the AnnData."""
    command.add_argument("--key-added", default=default, help=f"name of the result ({default})")


COLUMN: dict[str, Any] = {"metavar": "COLUMN"}
COLUMNS: dict[str, Any] = {"nargs": "+", **COLUMN}
