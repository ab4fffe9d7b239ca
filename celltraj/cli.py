"""The shell: ``celltraj demo | fit | evaluate | fit-response | predict``."""

from __future__ import annotations

import argparse
import logging
import warnings
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np

import celltraj as ct
from celltraj._anndata import read_representation
from celltraj._cli_files import (
    CHECKPOINT,
    EVALUATED,
    check_column,
    check_training,
    check_writable,
    earlier_results,
    read_h5ad,
)
from celltraj._cli_lock import Lock
from celltraj._cli_response import add_commands
from celltraj._cli_swap import finish_swaps, staged, writing
from celltraj._cli_types import Parser, times, whole
from celltraj.models import (
    Bridge,
    FlowMatching,
    FlowTraining,
    NeuralDrift,
    TrainerOptions,
    remove_checkpoint,
)


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return the exit status.

    Results go to ``--out``, the table of scores or the summary to stdout, everything else to
    stderr. A failure ends with status 2, one line that says what mends it, and what stood in
    ``--out`` as it was; once a training was under way, its checkpoint stays for ``--resume``.
    """
    parser = _parser()
    arguments = parser.parse_args(argv)
    arguments.warnings = []
    logging.basicConfig(format="%(name)s: %(message)s")
    logging.getLogger("celltraj").setLevel(logging.INFO)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always", ct.DataWarning)
            warnings.showwarning = partial(_show_warning, arguments.warnings)
            arguments.run(arguments)
    except (
        KeyError,
        ValueError,
        OSError,
        ct.ConvergenceError,
        ct.TrainingError,
    ) as error:
        # a KeyError shows its message in quotes
        message = error.args[0] if isinstance(error, KeyError) else str(error)
        parser.exit(2, f"celltraj: {_in_one_line(message)}\n")
    except KeyboardInterrupt:
        hint = "; fit goes on from its checkpoint with --resume"
        is_fit = hasattr(arguments, "checkpoint_every")
        parser.exit(130, f"celltraj: interrupted{hint if is_fit else ''}\n")
    return 0


def _show_warning(
    noted: list[str], message: Warning | str, category: type[Warning], *place: object
) -> None:
    """Show a warning as one line, and note one about data for a summary.

    The place in the code means nothing in a shell.
    """
    text = _in_one_line(message)
    logging.getLogger("celltraj").warning("%s", text)
    if issubclass(category, ct.DataWarning):
        noted.append(text)


def _in_one_line(message: object) -> str:
    return " ".join(str(message).split())


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="celltraj", description=ct.__doc__)
    commands = parser.add_subparsers(required=True)
    demo = commands.add_parser("demo", help="fit a model to a simulated, branching population")
    demo.set_defaults(run=_demo, resume=False)
    fit = commands.add_parser("fit", help="fit a model to an h5ad file, draw and score it")
    fit.set_defaults(run=_fit)
    fit.add_argument(
        "--resume",
        action="store_true",
        help="go on from the checkpoint that an interrupted fit of the same options left in --out",
    )
    evaluate = commands.add_parser("evaluate", help="score held-out snapshots")
    evaluate.set_defaults(run=_evaluate)
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
            default=TrainerOptions.checkpoint_every,
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
    add_commands(commands)
    return parser


def _demo(arguments: argparse.Namespace) -> None:
    arguments.time_key, arguments.use_rep = "time", "X"
    check_training(arguments.out, reads=())
    with writing(arguments.out) as lock:
        _fit_and_draw(ct.datasets.branching(seed=arguments.seed), arguments, lock)


def _fit(arguments: argparse.Namespace) -> None:
    check_training(arguments.out, reads=[arguments.data])
    finish_swaps(arguments.data.parent)
    with writing(arguments.out) as lock:
        _fit_and_draw(_read(arguments), arguments, lock)


def _evaluate(arguments: argparse.Namespace) -> None:
    check_writable(arguments.out, EVALUATED, reads=[arguments.data])
    finish_swaps(arguments.data.parent)
    with writing(arguments.out) as lock:
        adata = _read(arguments)
        with staged(lock, EVALUATED) as folder:
            means = _score(adata, arguments.hold_out, arguments, folder)
    print(means)


def _read(arguments: argparse.Namespace) -> ad.AnnData:
    adata = read_h5ad(arguments.data)
    check_column(adata, arguments.data, arguments.time_key, "--time-key")
    return adata


def _fitter(arguments: argparse.Namespace, trainer: TrainerOptions) -> partial[Any]:
    progress = not arguments.quiet
    if arguments.model == "flow":
        training = FlowTraining(max_steps=arguments.max_steps)
        return partial(ct.tl.fit_flow, training=training, trainer=trainer, progress=progress)
    drift = NeuralDrift(max_steps=arguments.max_steps, trainer=trainer)
    return partial(ct.tl.fit_bridge, drift=drift, progress=progress)


def _trainer(adata: ad.AnnData, arguments: argparse.Namespace) -> TrainerOptions:
    """Return the options of a training that can be resumed."""
    name, x = read_representation(adata, arguments.use_rep)
    names = adata.var_names if name == "X" else [f"{name}_{k}" for k in range(x.shape[1])]
    return TrainerOptions(
        checkpoint=arguments.out / CHECKPOINT,
        checkpoint_every=arguments.checkpoint_every,
        resume=arguments.resume,
        variables=tuple(map(str, names)),
    )


def _fit_and_draw(adata: ad.AnnData, arguments: argparse.Namespace, lock: Lock) -> None:
    time_key, seed = arguments.time_key, arguments.seed
    fit = _fitter(arguments, _trainer(adata, arguments))
    means = ""
    with staged(lock, earlier_results(arguments.out)) as folder:
        model = fit(adata, time_key=time_key, use_rep=arguments.use_rep, seed=seed)
        model.save(folder / "model")
        adata.write_h5ad(folder / "fitted.h5ad")
        _draw(adata, model, arguments, folder)
        if interior := model.breakpoints[1:-1]:
            means = _score(adata, [(time,) for time in interior], arguments, folder)
    remove_checkpoint(arguments.out / CHECKPOINT)
    if means:
        print(means)


def _draw(
    adata: ad.AnnData, model: Bridge | FlowMatching, arguments: argparse.Namespace, folder: Path
) -> None:
    use_rep = adata.uns["celltraj"][arguments.model]["params"]["use_rep"]
    time_key, times = arguments.time_key, model.breakpoints
    # a grid that holds every observed time, so that marginals can be compared there
    grid = np.unique([np.linspace(a, b, 11) for a, b in pairwise(times)]).tolist()
    path = ct.tl.simulate(
        adata,
        model,
        start=grid[0],
        stop=grid[1:],
        time_key=time_key,
        use_rep=use_rep,
        seed=arguments.seed,
        progress=not arguments.quiet,
    )
    view = {"time_key": time_key, "show": False}
    ct.pl.snapshots(adata, basis=use_rep, save=folder / "snapshots.png", **view)
    ct.pl.trajectories(adata, path, basis=use_rep, save=folder / "trajectories.png", **view)
    ct.pl.marginals(adata, path, use_rep=use_rep, save=folder / "marginals.png", **view)
    ct.pl.history(adata, key=arguments.model, show=False, save=folder / "history.png")


def _score(
    adata: ad.AnnData,
    hold_out: Sequence[tuple[Any, ...]],
    arguments: argparse.Namespace,
    folder: Path,
) -> str:
    """Write scores and their picture, and return the mean of each method as text."""
    scores = ct.tl.cross_validate(
        adata,
        time_key=arguments.time_key,
        use_rep=arguments.use_rep,
        # each fold is another training, too short to resume
        fit={arguments.model: _fitter(arguments, TrainerOptions())},
        hold_out=hold_out,
        seed=arguments.seed,
        progress=not arguments.quiet,
    )
    scores.to_csv(folder / "scores.csv", index=False)
    ct.pl.cross_validation(scores, show=False, save=folder / "scores.png")
    table: str = scores.groupby("method")["value"].mean().sort_values().to_string()
    return table
