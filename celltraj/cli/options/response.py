"""Options of the commands for treatment responses."""

from __future__ import annotations

from pathlib import Path

from celltraj import cli
from celltraj.cli.options.shared import (
    COLUMN,
    COLUMNS,
    Commands,
    add_checkpoints,
    add_command,
    add_data,
    add_file,
    add_folder,
    add_model,
    add_processes,
    add_resume,
    add_seed,
    add_steps,
    add_use_rep,
)
from celltraj.cli.types import Parser, assignment, number, whole

# names of the shell, and of the classes that they stand for in ct.models and ct.ot
ENCODERS: dict[str, str | None] = {
    "auto": "auto",
    "moments": "Moments",
    "deep-sets": "DeepSets",
    "set-attention": "SetAttention",
    "graph": "GraphEncoder",
    "pooled-graph": "PooledGraphEncoder",
    "none": None,
}
COUPLINGS = {"balanced": "solve", "unbalanced": "Unbalanced"}

_CELLS = " with untreated and treated cells"


def add_fit(commands: Commands) -> None:
    """Add ``fit-response``."""
    text = "fit the response to treatments"
    fit = add_command(commands, "fit-response", lambda found: cli.response.fit(found), text)
    _add_cohort(fit)
    add_steps(fit)
    add_checkpoints(fit)
    add_resume(fit)
    add_seed(fit)
    add_folder(fit)


def add_cross_validate(commands: Commands) -> None:
    """Add ``cross-validate-response``."""
    text = "leave out what a response predicts, and judge it by trivial answers"
    scores = add_command(
        commands,
        "cross-validate-response",
        lambda found: cli.cross_validation.cross_validate_response(found),
        text,
    )
    _add_cohort(scores)
    scores.add_argument(
        "--hold-out",
        choices=("population", "cell_type", "condition", "dose"),
        default="population",
        help="what is left out in turn",
    )
    scores.add_argument(
        "--n-comps",
        type=whole(1),
        help="principal components of X, learned in each fold from its training cells alone",
    )
    add_steps(scores, "training steps of each fit")
    add_seed(scores)
    add_processes(scores)
    add_folder(scores)


def _add_cohort(command: Parser) -> None:
    """Add the cells of several populations, and the columns that say what they are."""
    add_data(command, _CELLS)
    command.add_argument("--population", required=True, help="obs column: patient, donor", **COLUMN)
    command.add_argument("--condition", required=True, help="obs columns with the drugs", **COLUMNS)
    command.add_argument(
        "--control", nargs="+", required=True, metavar="LABEL", help="labels of untreated cells"
    )
    add_use_rep(command)
    command.add_argument("--cell-type", help="obs column within which cells are coupled", **COLUMN)
    command.add_argument("--dose", help="obs columns with the dose of each drug", **COLUMNS)
    command.add_argument("--covariate", default=[], help="obs columns of treated cells", **COLUMNS)
    command.add_argument(
        "--encoder",
        choices=list(ENCODERS),
        default="auto",
        help="what embeds the untreated population: moments, unless a graph encoder predicts "
        "populations better that it has not seen (auto)",
    )
    command.add_argument(
        "--coupling",
        choices=list(COUPLINGS),
        default="balanced",
        help="balanced (default) keeps the mass of every cell, unbalanced lets cells die",
    )
    command.add_argument(
        "--features",
        type=Path,
        metavar="CSV",
        help="table with a row of numbers for each drug, under its name in the first column, by "
        "which drugs that were never given can be predicted",
    )
    command.add_argument(
        "--survival",
        help="obs column with counts or viabilities, by which the share killed is predicted",
        **COLUMN,
    )
    command.add_argument(
        "--ensemble",
        type=whole(1),
        default=1,
        metavar="N",
        help="networks whose mean is predicted; their disagreement is told of every cell (1)",
    )


def _add_strict(command: Parser) -> None:
    """Add that no variable may be missing."""
    command.add_argument(
        "--strict",
        action="store_true",
        help="refuse cells that lack a gene of the training, in place of taking its mean for it",
    )


def add_embed(commands: Commands) -> None:
    """Add ``embed``."""
    text = "place populations by their untreated cells, as a response does"
    embed = add_command(commands, "embed", lambda found: cli.response.embed(found), text)
    add_model(embed)
    add_data(embed, " with untreated cells")
    _add_strict(embed)
    add_file(embed, "embedded.h5ad", ".h5ad", ".csv")


def add_predict(commands: Commands) -> None:
    """Add ``predict``."""
    text = "predict treated cells from untreated ones"
    predict = add_command(commands, "predict", lambda found: cli.response.predict(found), text)
    add_model(predict)
    add_data(predict, " with untreated cells")
    predict.add_argument(
        "--condition",
        action="append",
        nargs="+",
        required=True,
        metavar="DRUG",
        help="drugs given together; once for each condition",
    )
    predict.add_argument(
        "--dose",
        action="append",
        type=number(),
        nargs="+",
        help="dose of each drug, in the unit of the training; once for each --condition, or for "
        "each dose of the only one",
    )
    predict.add_argument(
        "--covariate",
        type=assignment,
        nargs="+",
        default=[],
        metavar="NAME=VALUE",
        help="covariates, in place of those in obs",
    )
    predict.add_argument(
        "--features",
        type=Path,
        metavar="CSV",
        help="table with a row of numbers for each drug that was never given, as in the training",
    )
    predict.add_argument(
        "--guidance", type=number(), default=1.0, help="weight of the condition, 1 as trained"
    )
    _add_strict(predict)
    predict.add_argument("--noise", type=number(0.0), default=0.0, help="diffusion, 0 for an ODE")
    predict.add_argument("--out", type=Path, default=Path("predicted.h5ad"), help="file to write")
    add_seed(predict)
