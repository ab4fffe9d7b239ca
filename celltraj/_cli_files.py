"""What the commands of the shell read and write."""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anndata as ad

SCRATCH = ".part-"
CHECKPOINT = "checkpoint"
_MODELS = {"bridge.json", "flow.json", "response.json"}


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


@contextmanager
def staged(out: Path) -> Iterator[Path]:
    """Yield a scratch folder inside ``out`` whose files move to ``out`` once all are complete."""
    new = [folder for folder in (out, *out.parents) if not folder.exists()]
    out.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(dir=out, prefix=SCRATCH) as scratch:
            yield Path(scratch)
            for file in sorted(p for p in Path(scratch).rglob("*") if p.is_file()):
                target = out / file.relative_to(scratch)
                target.parent.mkdir(exist_ok=True)
                file.replace(target)
                _remove_other_models(target)
    finally:
        for folder in new:
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()


def _remove_other_models(file: Path) -> None:
    """Remove a model of another kind that stood where this file of a model now stands."""
    for other in _MODELS - {file.name} if file.name in _MODELS else ():
        file.with_name(other).unlink(missing_ok=True)


def remove_scratch(out: Path, *, but: Path) -> None:
    """Remove what a killed fit left; who resumes says that it is dead."""
    for scratch in out.glob(f"{SCRATCH}*"):
        if scratch != but:
            shutil.rmtree(scratch)
