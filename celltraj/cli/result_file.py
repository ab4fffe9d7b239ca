"""The one file that a command writes: annotated cells, or a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import anndata as ad
import pandas as pd

from celltraj.cli.files import check_writable, files_of_model
from celltraj.cli.lock import Lock
from celltraj.cli.swap import finish_swaps, staged, writing


@contextmanager
def writing_file(out: Path, *, data: Sequence[Path], model: Path | None = None) -> Iterator[Lock]:
    """Hold the lock of a file that is about to be written, apart from all that is read.

    Parameters
    ----------
    out
        The file to write.
    data
        Files that are read.
    model
        Folder of a model that is read; None where none is.

    Raises
    ------
    ValueError
        ``out`` is read by the same command, is a folder, or cannot be written.
    BlockingIOError
        Another process writes it.
    """
    if out.is_dir():
        raise ValueError(f"--out {out} is a folder; pass the path of a file to write")
    of_model = [] if model is None else files_of_model(model)
    check_writable(out.parent, [out.name], reads=[*data, *of_model])
    for place in dict.fromkeys([*data, *([] if model is None else [model])]):
        finish_swaps(place.parent)
    with writing(out, is_file=True) as lock:
        yield lock


def write_result(lock: Lock, adata: ad.AnnData, table: pd.DataFrame) -> None:
    """Write annotated cells or the table of their result, as the ending of the file says.

    An index that has a name is a column of the table.
    """
    with staged(lock, ()) as folder:
        path = folder / lock.place.name
        if path.suffix == ".csv":
            table.to_csv(path, index=table.index.name is not None)
        else:
            adata.write_h5ad(path)
