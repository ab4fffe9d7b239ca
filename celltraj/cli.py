"""The shell: ``celltraj demo`` and ``celltraj fit``."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import anndata as ad

import celltraj as ct


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    parser = argparse.ArgumentParser(prog="celltraj", description=ct.__doc__)
    commands = parser.add_subparsers(required=True)
    demo = commands.add_parser("demo", help="fit a bridge to a simulated, branching population")
    demo.set_defaults(run=_demo)
    fit = commands.add_parser("fit", help="fit a bridge to an h5ad file")
    fit.add_argument("data", type=Path)
    fit.set_defaults(run=_fit)
    evaluate = commands.add_parser("evaluate", help="score held-out snapshots")
    evaluate.add_argument("data", type=Path)
    evaluate.add_argument("--hold-out", type=float, nargs="+", required=True)
    evaluate.set_defaults(run=_evaluate)
    for command, out in ((demo, "demo"), (fit, "run"), (evaluate, "run")):
        command.add_argument("--out", type=Path, default=Path(out))
        command.add_argument("--seed", type=int, default=0)
    for command in (fit, evaluate):
        command.add_argument("--time-key", default="time")
        command.add_argument("--use-rep", default=None)
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
    arguments = parser.parse_args(argv)
    arguments.out.mkdir(parents=True, exist_ok=True)
    try:
        arguments.run(arguments)
    except (KeyError, ValueError, OSError, ct.ConvergenceError) as error:
        parser.exit(2, f"celltraj: {error}\n")
    return 0


def _demo(arguments: argparse.Namespace) -> None:
    _fit_and_draw(ct.datasets.branching(seed=arguments.seed), "time", "X", arguments)


def _fit(arguments: argparse.Namespace) -> None:
    adata = ad.read_h5ad(arguments.data)
    _fit_and_draw(adata, arguments.time_key, arguments.use_rep, arguments)


def _evaluate(arguments: argparse.Namespace) -> None:
    adata = ad.read_h5ad(arguments.data)
    _score(adata, arguments.time_key, arguments.use_rep, arguments.hold_out, arguments)


def _fit_and_draw(
    adata: ad.AnnData, time_key: str, use_rep: str | None, arguments: argparse.Namespace
) -> None:
    out, seed = arguments.out, arguments.seed
    bridge = ct.tl.fit_bridge(adata, time_key=time_key, use_rep=use_rep, seed=seed)
    basis = adata.uns["celltraj"]["bridge"]["params"]["use_rep"]
    bridge.save(out / "model")
    scratch = out / "fitted.h5ad.part"
    adata.write_h5ad(scratch)
    scratch.replace(out / "fitted.h5ad")
    times = ct.pp.check_times(adata, time_key=time_key)["time"].tolist()
    path = ct.tl.simulate(
        adata, bridge, start=times[0], stop=times[-1], n_cells=300, time_key=time_key,
        use_rep=use_rep, seed=seed,
    )
    ct.pl.trajectories(
        adata, path, time_key=time_key, basis=basis, show=False, save=out / "trajectories.png"
    )
    if len(times) > 2:
        _score(adata, time_key, use_rep, times[1:-1], arguments)


def _score(
    adata: ad.AnnData, time_key: str, use_rep: str | None, hold_out: list[float],
    arguments: argparse.Namespace,
) -> None:
    scores = ct.tl.cross_validate(
        adata, time_key=time_key, use_rep=use_rep, fit=ct.tl.fit_bridge, hold_out=hold_out,
        seed=arguments.seed,
    )
    scores.to_csv(arguments.out / "scores.csv", index=False)
    ct.pl.cross_validation(scores, show=False, save=arguments.out / "scores.png")
    print(scores.groupby("method")["value"].mean().sort_values().to_string())
