"""The shell: ``celltraj demo | fit | evaluate``."""

from __future__ import annotations

import argparse
import logging
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
from celltraj.models import Bridge, NeuralDrift


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return the exit status.

    Results go to the folder ``--out``, the table of scores to stdout, everything else to stderr.
    A failure ends with status 2, one line that says what mends it, and no file written.
    """
    parser = _parser()
    arguments = parser.parse_args(argv)
    logging.basicConfig(format="%(name)s: %(message)s")
    logging.getLogger("celltraj").setLevel(logging.INFO)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            arguments.run(arguments)
    except (KeyError, ValueError, OSError, ct.ConvergenceError) as error:
        # a KeyError shows its message in quotes
        message = error.args[0] if isinstance(error, KeyError) else str(error)
        parser.exit(2, f"celltraj: {' '.join(str(message).split())}\n")
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
    demo = commands.add_parser("demo", help="fit a bridge to a simulated, branching population")
    demo.set_defaults(run=_demo)
    fit = commands.add_parser("fit", help="fit a bridge to an h5ad file, draw and score it")
    fit.set_defaults(run=_fit)
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
    for command, out in ((demo, "demo"), (fit, "run"), (evaluate, "run")):
        command.add_argument("--out", type=Path, default=Path(out), help="folder of the results")
        command.add_argument("--seed", type=int, default=0)
        command.add_argument(
            "--max-steps",
            type=int,
            help="training steps of each fit",
        )
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
        with tempfile.TemporaryDirectory(dir=out, prefix=".part-") as scratch:
            yield Path(scratch)
            for file in sorted(p for p in Path(scratch).rglob("*") if p.is_file()):
                target = out / file.relative_to(scratch)
                target.parent.mkdir(exist_ok=True)
                file.replace(target)
    finally:
        if is_new and not any(out.iterdir()):
            out.rmdir()


def _fitter(arguments: argparse.Namespace) -> partial:
    drift = NeuralDrift(max_steps=arguments.max_steps)
    return partial(ct.tl.fit_bridge, drift=drift, progress=not arguments.quiet)


def _fit_and_draw(adata: ad.AnnData, arguments: argparse.Namespace) -> None:
    time_key, seed = arguments.time_key, arguments.seed
    with _staged(arguments.out) as folder:
        bridge = _fitter(arguments)(adata, time_key=time_key, use_rep=arguments.use_rep, seed=seed)
        bridge.save(folder / "model")
        adata.write_h5ad(folder / "fitted.h5ad")
        _draw(adata, bridge, arguments, folder)
        if interior := bridge.snapshots.times[1:-1]:
            _score(adata, [(time,) for time in interior], arguments, folder)


def _draw(adata: ad.AnnData, bridge: Bridge, arguments: argparse.Namespace, folder: Path) -> None:
    use_rep = adata.uns["celltraj"]["bridge"]["params"]["use_rep"]
    time_key, times = arguments.time_key, bridge.snapshots.times
    # a grid that holds every observed time, so that marginals can be compared there
    grid = np.unique([np.linspace(a, b, 11) for a, b in pairwise(times)]).tolist()
    path = ct.tl.simulate(
        adata,
        bridge,
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
    ct.pl.history(adata, show=False, save=folder / "history.png")


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
        fit=_fitter(arguments),
        hold_out=hold_out,
        seed=arguments.seed,
        progress=not arguments.quiet,
    )
    scores.to_csv(folder / "scores.csv", index=False)
    ct.pl.cross_validation(scores, show=False, save=folder / "scores.png")
    print(scores.groupby("method")["value"].mean().sort_values().to_string())
