"""What the commands take. What they do is loaded once one of them runs."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import celltraj as ct
from celltraj import cli
from celltraj.cli.types import Parser, assignment, number, times, whole


def parser_of_commands() -> argparse.ArgumentParser:
    """Return the parser of the command line, whose ``run`` is what a command does."""
    parser = Parser(prog="celltraj", description=ct.__doc__)
    parser.add_argument("--version", action="version", version=f"celltraj {ct.__version__}")
    commands = parser.add_subparsers(required=True)
    demo = commands.add_parser("demo", help="fit a model to a simulated, branching population")
    demo.set_defaults(run=lambda arguments: cli.time_course.demo(arguments), resume=False)
    fit = commands.add_parser("fit", help="fit a model to an h5ad file, draw and score it")
    fit.set_defaults(run=lambda arguments: cli.time_course.fit(arguments))
    fit.add_argument(
        "--resume",
        action="store_true",
        help="go on from the checkpoint that an interrupted fit of the same options left in --out",
    )
    evaluate = commands.add_parser("evaluate", help="score held-out snapshots")
    evaluate.set_defaults(run=lambda arguments: cli.time_course.evaluate(arguments))
    evaluate.add_argument(
        "--hold-out",
        type=times,
        nargs="+",
        required=True,
        metavar="TIME[,TIME]",
        help="times left out in turn, as numbers or as the labels that the column of times holds; "
        "those joined by a comma are left out together",
    )
    for command in (fit, evaluate):
        command.add_argument("data", type=Path, help="h5ad file")
        command.add_argument("--time-key", default="time", help="obs column with the times")
        command.add_argument("--use-rep", help="X or a key of obsm (X_pca where there is one)")
    for command in (demo, fit):
        command.add_argument(
            "--checkpoint-every",
            type=whole(1),
            metavar="STEPS",
            help="training steps between checkpoints",
        )
    for command, out in ((demo, "demo"), (fit, "run"), (evaluate, "run")):
        command.add_argument("--out", type=Path, default=Path(out), help="folder of the results")
        command.add_argument("--seed", type=whole(0), default=0)
        command.add_argument(
            "--model", choices=("bridge", "flow"), default="bridge", help="what is fitted"
        )
        command.add_argument("--max-steps", type=whole(1), help="training steps of each fit")
        command.add_argument("--quiet", action="store_true", help="show no progress bars")
    _add_response(commands)
    return parser


def _add_response(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the commands for treatment responses."""
    _add_fit(commands.add_parser("fit-response", help="fit the response to treatments"))
    _add_predict(commands.add_parser("predict", help="predict treated cells from untreated ones"))


def _add_fit(fit: argparse.ArgumentParser) -> None:
    fit.set_defaults(run=lambda arguments: cli.response.fit(arguments))
    fit.add_argument("data", type=Path, help="h5ad file with untreated and treated cells")
    column: dict[str, Any] = {"metavar": "COLUMN"}
    fit.add_argument("--population", required=True, help="obs column: patient, donor", **column)
    several: dict[str, Any] = {"nargs": "+", **column}
    fit.add_argument("--condition", required=True, help="obs columns with the drugs", **several)
    fit.add_argument(
        "--control", nargs="+", required=True, metavar="LABEL", help="labels of untreated cells"
    )
    fit.add_argument("--use-rep", help="X or a key of obsm (X_pca where there is one)")
    fit.add_argument("--cell-type", help="obs column within which cells are coupled", **column)
    fit.add_argument("--dose", help="obs columns with the dose of each drug", **several)
    fit.add_argument("--covariate", default=[], help="obs columns of treated cells", **several)
    fit.add_argument("--max-steps", type=whole(1), help="training steps")
    fit.add_argument(
        "--checkpoint-every",
        type=whole(1),
        metavar="STEPS",
        help="training steps between checkpoints",
    )
    fit.add_argument(
        "--resume",
        action="store_true",
        help="go on from the checkpoint that an interrupted fit of the same options left in --out",
    )
    fit.add_argument("--out", type=Path, default=Path("run"), help="folder of the results")
    _add_common(fit)


def _add_predict(predict: argparse.ArgumentParser) -> None:
    predict.set_defaults(run=lambda arguments: cli.response.predict(arguments))
    predict.add_argument("model", type=Path, help="folder of the model, such as run/model")
    predict.add_argument("data", type=Path, help="h5ad file with untreated cells")
    predict.add_argument(
        "--condition", nargs="+", required=True, metavar="DRUG", help="drugs given together"
    )
    predict.add_argument(
        "--dose", type=number(), nargs="+", help="dose of each drug, in the unit of the training"
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
        "--guidance", type=number(), default=1.0, help="weight of the condition, 1 as trained"
    )
    predict.add_argument("--noise", type=number(0.0), default=0.0, help="diffusion, 0 for an ODE")
    predict.add_argument("--out", type=Path, default=Path("predicted.h5ad"), help="file to write")
    _add_common(predict)


def _add_common(command: argparse.ArgumentParser) -> None:
    command.add_argument("--seed", type=whole(0), default=0)
    command.add_argument("--quiet", action="store_true", help="show no progress bars")
    command.add_argument(
        "--json", action="store_true", help="print the summary as one JSON object and nothing else"
    )
