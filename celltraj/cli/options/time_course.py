"""Options of the commands for a course of snapshots."""

from __future__ import annotations

from pathlib import Path

from celltraj import cli
from celltraj.cli.options.shared import (
    Commands,
    add_checkpoints,
    add_command,
    add_data,
    add_file,
    add_folder,
    add_growth,
    add_model,
    add_model_kind,
    add_processes,
    add_resume,
    add_seed,
    add_steps,
    add_time_key,
    add_use_rep,
)
from celltraj.cli.types import moment, number, result_file, times, whole

_STEPS = "training steps of each fit"


def add_demo(commands: Commands) -> None:
    """Add ``demo``."""
    text = "fit a model to a simulated, branching population"
    demo = add_command(commands, "demo", lambda found: cli.time_course.demo(found), text)
    demo.set_defaults(resume=False, growth="auto")
    add_model_kind(demo)
    add_steps(demo, _STEPS)
    add_checkpoints(demo)
    add_seed(demo)
    add_folder(demo, "demo")


def add_fit(commands: Commands) -> None:
    """Add ``fit``."""
    text = "fit a model to an h5ad file, draw and score it"
    fit = add_command(commands, "fit", lambda found: cli.time_course.fit(found), text)
    add_data(fit)
    add_time_key(fit)
    add_use_rep(fit)
    add_model_kind(fit)
    add_growth(fit)
    add_steps(fit, _STEPS)
    add_checkpoints(fit)
    add_resume(fit)
    add_seed(fit)
    add_processes(fit)
    add_folder(fit)


def add_evaluate(commands: Commands) -> None:
    """Add ``evaluate``."""
    text = "score held-out snapshots"
    evaluate = add_command(
        commands, "evaluate", lambda found: cli.time_course.evaluate(found), text
    )
    add_data(evaluate)
    evaluate.add_argument(
        "--hold-out",
        type=times,
        nargs="+",
        required=True,
        metavar="TIME[,TIME]",
        help="times left out in turn, as numbers or as the labels that the column of times holds; "
        "those joined by a comma are left out together",
    )
    add_time_key(evaluate)
    add_use_rep(evaluate)
    add_model_kind(evaluate)
    add_growth(evaluate)
    add_steps(evaluate, _STEPS)
    add_seed(evaluate)
    add_processes(evaluate)
    add_folder(evaluate)


def add_simulate(commands: Commands) -> None:
    """Add ``simulate``."""
    text = "simulate trajectories from the cells of a time, forwards or backwards"
    simulate = add_command(commands, "simulate", lambda found: cli.simulation.simulate(found), text)
    add_model(simulate)
    add_data(simulate, " with cells to start from")
    simulate.add_argument(
        "--start", type=moment, required=True, metavar="TIME", help="first time, number or label"
    )
    simulate.add_argument(
        "--stop",
        type=moment,
        nargs="+",
        required=True,
        metavar="TIME",
        help="last time, or all times of the result after the first, in order",
    )
    simulate.add_argument(
        "--n-cells", type=whole(1), help="trajectories, drawn among the cells (all of them)"
    )
    simulate.add_argument(
        "--n-times",
        type=whole(2),
        default=21,
        help="equally spaced times up to a single --stop (21)",
    )
    simulate.add_argument(
        "--noise", type=number(0.0), help="diffusion, 0 for an ODE (that of the model)"
    )
    add_time_key(simulate)
    simulate.add_argument("--use-rep", help="X or a key of obsm (that of the model)")
    add_seed(simulate)
    add_file(simulate, "simulated.h5ad", ".h5ad")


def add_report(commands: Commands) -> None:
    """Add ``report``."""
    text = "write one HTML page about a run"
    report = add_command(commands, "report", lambda found: cli.report.report(found), text)
    report.add_argument("folder", type=Path, help="--out of the fit, such as run")
    report.add_argument(
        "--cells",
        type=Path,
        metavar="FILE",
        help="h5ad file with more results, such as fates (fitted.h5ad in the folder)",
    )
    report.add_argument(
        "--trajectories",
        type=Path,
        metavar="FILE",
        help="h5ad file of celltraj simulate, whose cells move (trajectories.h5ad in the folder)",
    )
    report.add_argument("--key", help="name of a fit or couplings (all that there are)")
    report.add_argument("--basis", help="X or a key of obsm to draw cells in")
    report.add_argument("--title", help="title of the page")
    report.add_argument(
        "--out",
        type=result_file(".html"),
        help="file to write (report.html in the folder of the run)",
    )
