"""Options of the commands for what becomes of cells."""

from __future__ import annotations

from pathlib import Path

from celltraj import cli
from celltraj.cli.options.shared import (
    COLUMN,
    Commands,
    add_command,
    add_data,
    add_file,
    add_growth,
    add_name,
    add_processes,
    add_seed,
)
from celltraj.cli.types import Parser, moment, number, whole

_EITHER = "file to write: .h5ad the annotated cells, .csv the table"


def add_couplings(commands: Commands) -> None:
    """Add ``couplings``."""
    text = "tell which cells of each snapshot become which of the next"
    couplings = add_command(commands, "couplings", lambda found: cli.lineage.couplings(found), text)
    add_data(couplings)
    couplings.add_argument(
        "--model", type=Path, help="folder of a fitted model, such as run/model (plain transport)"
    )
    couplings.add_argument("--time-key", help="obs column with the times (of the model, or time)")
    couplings.add_argument("--use-rep", help="X or a key of obsm (of the model, or X_pca)")
    add_growth(couplings, default=None)
    add_processes(couplings)
    couplings.add_argument(
        "--growth-key", help="obs column with the net growth per unit of time", **COLUMN
    )
    couplings.add_argument(
        "--epsilon", type=number(0.0), help="regularisation of plain transport, in units of cost"
    )
    couplings.add_argument(
        "--tau",
        type=number(0.0),
        nargs=2,
        metavar=("EARLIER", "LATER"),
        help="how firmly marginals hold in plain transport, in (0, 1]",
    )
    add_name(couplings, "couplings")
    add_seed(couplings)
    add_file(couplings, "coupled.h5ad", ".h5ad")


def add_fates(commands: Commands) -> None:
    """Add ``fates``."""
    text = "tell which share of a cell's descendants is in each group at a time"
    fates = add_command(commands, "fates", lambda found: cli.lineage.fates(found), text)
    add_data(fates, " with couplings")
    _add_groupby(fates)
    fates.add_argument("--at", type=moment, metavar="TIME", help="time of the fates (the last)")
    fates.add_argument(
        "--key",
        nargs="+",
        default=["couplings"],
        help="couplings to read; several give an interval of the fit",
    )
    _add_confidence(fates, "share of several couplings that the interval covers (0.95)")
    add_name(fates, "ct_fates")
    add_file(fates, "fates.h5ad", ".h5ad", ".csv", text=_EITHER)


def add_transitions(commands: Commands) -> None:
    """Add ``transitions``."""
    text = "count how much mass moves between groups of cells"
    transitions = add_command(
        commands, "transitions", lambda found: cli.lineage.transitions(found), text
    )
    add_data(transitions, " with couplings")
    _add_groupby(transitions)
    for name in ("--source", "--target"):
        transitions.add_argument(
            name, type=moment, metavar="TIME", help="a time (all neighbouring times)"
        )
    transitions.add_argument("--key", default="couplings", help="couplings to read")
    add_name(transitions, "transitions")
    add_file(transitions, "transitions.csv", ".h5ad", ".csv", text=_EITHER)


def add_drivers(commands: Commands) -> None:
    """Add ``drivers``."""
    text = "correlate the expression of genes with the fates of cells"
    drivers = add_command(commands, "drivers", lambda found: cli.lineage.drivers(found), text)
    add_data(drivers, " with fates")
    drivers.add_argument(
        "--key", default="ct_fates", help="fates in obsm, or an obs column with numbers"
    )
    drivers.add_argument("--layer", help="layer with the expression (X)")
    drivers.add_argument(
        "--sample-key", help="obs column with the samples, which count in place of cells", **COLUMN
    )
    drivers.add_argument(
        "--time",
        type=moment,
        nargs="+",
        help="times to take cells of (those before the fates); pooled compares across times",
    )
    genes = drivers.add_mutually_exclusive_group()
    genes.add_argument("--genes", nargs="+", metavar="GENE", help="genes to look at (all)")
    genes.add_argument("--gene-column", help="boolean var column of the genes to look at", **COLUMN)
    drivers.add_argument(
        "--n-permutations", type=whole(1), help="exchanges behind p (Student's distribution)"
    )
    _add_confidence(drivers, "level of the intervals (0.95)")
    add_name(drivers, "drivers")
    add_seed(drivers)
    add_file(drivers, "drivers.csv", ".h5ad", ".csv", text=_EITHER)


def _add_groupby(command: Parser) -> None:
    command.add_argument(
        "--groupby", required=True, help="obs column with the groups of cells", **COLUMN
    )


def _add_confidence(command: Parser, text: str) -> None:
    command.add_argument("--confidence", type=number(0.0), default=0.95, help=text)
