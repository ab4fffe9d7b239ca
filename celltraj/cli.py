"""The shell: ``celltraj demo | fit | evaluate``."""

from __future__ import annotations

import argparse
import logging
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TextIO

import anndata as ad
import numpy as np

import celltraj as ct
from celltraj._anndata import read_representation
from celltraj.models import (
    Bridge,
    FlowMatching,
    FlowTraining,
    NeuralDrift,
    TrainerOptions,
    remove_checkpoint,
)

_SCRATCH = ".part-"
_CHECKPOINT = "checkpoint"


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return the exit status.

    Results go to the folder ``--out``, the table of scores to stdout, everything else to stderr.
    A failure ends with status 2, one line that says what mends it, and no file written; once a
    training was under way, its checkpoint stays in ``--out`` for ``--resume``.
    """
    parser = _parser()
    arguments = parser.parse_args(argv)
    logging.basicConfig(format="%(name)s: %(message)s")
    logging.getLogger("celltraj").setLevel(logging.INFO)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
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
        parser.exit(2, f"celltraj: {' '.join(str(message).split())}\n")
    except KeyboardInterrupt:
        parser.exit(130, "celltraj: interrupted; fit goes on from its checkpoint with --resume\n")
    return 0


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Show a warning as one line: the place in the code means nothing in a shell."""
    logging.getLogger("celltraj").warning("%s", message)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="celltraj", description=ct.__doc__)
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
        type=_fold,
        nargs="+",
        required=True,
        metavar="TIME[,TIME]",
        help="times left out in turn; those joined by a comma are left out together",
    )
    for command in (fit, evaluate):
        command.add_argument("data", type=Path, help="h5ad file")
        command.add_argument("--time-key", default="time", help="obs column with the times")
        command.add_argument("--use-rep", help="X or a key of obsm (X_pca where there is one)")
    for command in (demo, fit):
        command.add_argument(
            "--checkpoint-every",
            type=int,
            default=TrainerOptions.checkpoint_every,
            metavar="STEPS",
            help="training steps between checkpoints",
        )
    for command, out in ((demo, "demo"), (fit, "run"), (evaluate, "run")):
        command.add_argument("--out", type=Path, default=Path(out), help="folder of the results")
        command.add_argument("--seed", type=int, default=0)
        command.add_argument(
            "--model", choices=("bridge", "flow"), default="bridge", help="what is fitted"
        )
        command.add_argument("--max-steps", type=int, help="training steps of each fit")
        command.add_argument("--quiet", action="store_true", help="show no progress bars")
    return parser


def _fold(text: str) -> tuple[float, ...]:
    return tuple(float(time) for time in text.split(","))


def _demo(arguments: argparse.Namespace) -> None:
    arguments.time_key, arguments.use_rep = "time", "X"
    _fit_and_draw(ct.datasets.branching(seed=arguments.seed), arguments)


def _fit(arguments: argparse.Namespace) -> None:
    _fit_and_draw(_read(arguments), arguments)


def _evaluate(arguments: argparse.Namespace) -> None:
    adata = _read(arguments)
    with _staged(arguments.out) as folder:
        _score(adata, arguments.hold_out, arguments, folder)


def _read(arguments: argparse.Namespace) -> ad.AnnData:
    path, time_key = arguments.data, arguments.time_key
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}; give the path of an h5ad file")
    try:
        with warnings.catch_warnings():
            # an old or foreign file is read, or refused below
            warnings.simplefilter("ignore", ad.OldFormatWarning)
            adata = ad.read_h5ad(path)
    except (OSError, TypeError, AttributeError, KeyError, ValueError) as error:
        # what anndata raises depends on what the file holds in place of an AnnData
        raise ValueError(
            f"cannot read {path} as h5ad ({error}); it is truncated or of another format, "
            "write it again with adata.write_h5ad"
        ) from error
    if time_key not in adata.obs:
        raise KeyError(
            f"{path} has no obs column {time_key!r}; pass --time-key with one of "
            f"{list(adata.obs.columns)}"
        )
    return adata


@contextmanager
def _staged(out: Path) -> Iterator[Path]:
    """Yield a scratch folder inside ``out`` whose files move to ``out`` once all are complete."""
    is_new = not out.exists()
    out.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(dir=out, prefix=_SCRATCH) as scratch:
            yield Path(scratch)
            for file in sorted(p for p in Path(scratch).rglob("*") if p.is_file()):
                target = out / file.relative_to(scratch)
                target.parent.mkdir(exist_ok=True)
                file.replace(target)
    finally:
        if is_new and not any(out.iterdir()):
            out.rmdir()


def _fitter(arguments: argparse.Namespace, trainer: TrainerOptions) -> partial:
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
        checkpoint=arguments.out / _CHECKPOINT,
        checkpoint_every=arguments.checkpoint_every,
        resume=arguments.resume,
        variables=tuple(map(str, names)),
    )


def _fit_and_draw(adata: ad.AnnData, arguments: argparse.Namespace) -> None:
    time_key, seed = arguments.time_key, arguments.seed
    fit = _fitter(arguments, _trainer(adata, arguments))
    with _staged(arguments.out) as folder:
        if arguments.resume:
            _remove_scratch(arguments.out, but=folder)
        model = fit(adata, time_key=time_key, use_rep=arguments.use_rep, seed=seed)
        model.save(folder / "model")
        adata.write_h5ad(folder / "fitted.h5ad")
        _draw(adata, model, arguments, folder)
        if interior := model.breakpoints[1:-1]:
            _score(adata, [(time,) for time in interior], arguments, folder)
    remove_checkpoint(arguments.out / _CHECKPOINT)


def _remove_scratch(out: Path, *, but: Path) -> None:
    """Remove what a killed fit left; who resumes says that it is dead."""
    for scratch in out.glob(f"{_SCRATCH}*"):
        if scratch != but:
            shutil.rmtree(scratch)


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
    hold_out: list[tuple[float, ...]],
    arguments: argparse.Namespace,
    folder: Path,
) -> None:
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
    print(scores.groupby("method")["value"].mean().sort_values().to_string())
