"""What the commands of the shell read and write."""

from __future__ import annotations

import os
import warnings
from collections.abc import Collection, Sequence
from pathlib import Path

import anndata as ad

from celltraj.cli.lock import check_idle

CHECKPOINT = "checkpoint"
FITTED, SCORES, REPORT = "fitted.h5ad", "scores.csv", "report.html"
TRAJECTORIES = "trajectories.h5ad"
EVALUATED = (SCORES, "scores.png")
# what a training writes; those in model/ also by the formats that ct.load migrates
_MODELS = tuple(
    f"model/{name}"
    for name in (
        "model.safetensors",
        "tensors.safetensors",
        "bridge.json",
        "flow.json",
        "response.json",
    )
)
TRAINED = (
    *_MODELS,
    *EVALUATED,
    FITTED,
    TRAJECTORIES,
    REPORT,  # by another command, of results that are there no more after a training
    "summary.json",
    "snapshots.png",
    "trajectories.png",
    "marginals.png",
    "history.png",
    "populations.png",
)


def read_h5ad(path: Path) -> ad.AnnData:
    """Read an h5ad file.

    Raises
    ------
    FileNotFoundError
        There is none.
    ValueError
        It is truncated or of another format.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}; give the path of an h5ad file")
    try:
        with warnings.catch_warnings():
            # an old or foreign file is read, or refused below
            warnings.simplefilter("ignore", ad.OldFormatWarning)
            return ad.read_h5ad(path)
    except (OSError, TypeError, AttributeError, KeyError, ValueError) as error:
        # what anndata raises depends on what the file holds in place of an AnnData
        raise ValueError(
            f"cannot read {path} as h5ad ({error}); it is truncated or of another format, "
            "write it again with adata.write_h5ad"
        ) from error


def check_column(adata: ad.AnnData, path: Path, column: str, option: str) -> None:
    """Raise a KeyError that names the option unless ``obs`` has the column."""
    if column not in adata.obs:
        raise KeyError(
            f"{path} has no obs column {column!r}; pass {option} with one of "
            f"{list(adata.obs.columns)}"
        )


def check_training(out: Path, *, reads: Collection[Path]) -> None:
    """Raise unless a training can put its results and checkpoints into ``out``.

    Raises
    ------
    ValueError
        As in :func:`check_writable`.
    """
    check_writable(out, TRAINED, reads=reads)
    _check_folder(out / CHECKPOINT)


def check_writable(folder: Path, names: Sequence[str], *, reads: Collection[Path]) -> None:
    """Raise unless the files ``names`` can be put into ``folder`` without harm to what is read.

    Parameters
    ----------
    folder
        Where they are to be written; it need not exist.
    names
        Paths below it.
    reads
        Files that the command reads, under any name: links count as what they lead to.

    Raises
    ------
    ValueError
        One of them is read by the same command, a file stands where a folder is needed or a folder
        where a file is, or the folder takes no files.
    """
    _check_folder(folder)
    for parent in {(folder / name).parent for name in names}:
        _check_folder(parent)
        if parent.exists() and parent.stat().st_dev != folder.stat().st_dev:
            raise ValueError(f"{parent} is on another device than {folder}; pass another --out")
    for path in (folder / name for name in names):
        if path.is_dir():
            raise ValueError(f"{path} is a folder, and a file is to be written there; remove it")
        for read in reads:
            if path.exists() and read.exists() and path.samefile(read):
                raise ValueError(
                    f"{path} is read as {read} and would be replaced; pass another --out"
                )


def _check_folder(folder: Path) -> None:
    """Raise unless ``folder`` takes files, or can be made."""
    nearest = next(one for one in (folder, *folder.absolute().parents) if os.path.lexists(one))
    if not nearest.is_dir():
        raise ValueError(
            f"{nearest} is no folder, and files are to be written there; pass another --out"
        )
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise ValueError(f"nothing can be written to {nearest}; pass another --out")


def earlier_results(folder: Path) -> tuple[str, ...]:
    """Return the files that an earlier training may have left, none where it left no model.

    A picture or a table of the same name without a model beside it is the user's.
    """
    return TRAINED if any((folder / name).is_file() for name in _MODELS) else ()


def check_complete(run: Path) -> None:
    """Raise unless a folder holds the results of a fit that has ended.

    Raises
    ------
    FileNotFoundError
        There is no such folder, or no fit in it.
    BlockingIOError
        Another process writes to it.
    ValueError
        The run was interrupted.
    """
    if not run.is_dir():
        raise FileNotFoundError(f"no folder {run}; give the --out of celltraj fit")
    check_idle(run)
    if any((run / CHECKPOINT).glob("*.safetensors")):
        raise ValueError(
            f"the run in {run} was interrupted; finish it by the same command with --resume, "
            f"or remove {run / CHECKPOINT}"
        )
    if not (run / FITTED).is_file():
        raise FileNotFoundError(
            f"{run} holds no {FITTED}, which a fit writes once it is complete; give the --out of "
            "celltraj fit"
        )


def files_of_model(path: Path) -> list[Path]:
    """Return the files that are read with a model."""
    return [one for one in path.iterdir() if one.is_file()] if path.is_dir() else [path]
