"""Write one page of HTML about a run."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
from anndata import AnnData

from celltraj import __version__
from celltraj._checks import checked
from celltraj._writable import check_folder
from celltraj.pl._report import sections
from celltraj.pl._report.facts import cells_in_words
from celltraj.pl._report.markup import filled, part_of_page, section
from celltraj.pl._report.pictures import (
    drawing_of_scores,
    drawings_of,
    drawings_of_cells,
    drawn,
)
from celltraj.pl._report.run import Run, trajectories_of

_SCRIPTS = ("unpack.js", "scatter.js", "motion.js", "tables.js")
_ENDINGS = (".html", ".htm")


@checked
def report(
    adata: AnnData,
    path: str | Path,
    *,
    key: str | None = None,
    trajectories: AnnData | None = None,
    scores: pd.DataFrame | None = None,
    basis: str | None = None,
    title: str | None = None,
    progress: bool = True,
) -> Path:
    """Report: write one page of HTML on what was fitted, which needs no network to be read.

    It says what was fitted on what, what deserves a look, how held-out scores compare with the
    noise floor and with answers that need no model, and how far solvers and trainings came; it
    holds pictures, tables that sort, parameters and versions. On it cells move as time is scrubbed:
    coloured by an annotation, named under the pointer, with their fates on a click.

    Parameters
    ----------
    adata
        Cells with results, also from a file; not changed.
    path
        File to write, which ends in ``.html``; an older one stays until the new one is complete.
    key
        Name of the fit or the couplings to report on, their ``key_added``; by default all that
        there are.
    trajectories
        Cells that move, of :func:`celltraj.tl.simulate`; without any, the observed snapshots are
        shown in turn. Of more than 50,000 cells, or of more frames than 8 MB hold, some are shown.
    scores
        Held-out scores, of :func:`celltraj.tl.cross_validate` or
        :func:`celltraj.tl.cross_validate_response`, also from a file.
    basis
        ``"X"``, a key of ``obsm``, or a name such as ``"umap"`` for ``obsm["X_umap"]``; by default
        that of the trajectories, or else the UMAP or another picture of the cells. Trajectories are
        drawn in what they were simulated in, or in what their ``obsm`` holds.
    title
        Title of the page.
    progress
        Whether to show progress bars.

    Returns
    -------
    The path of the file.

    Raises
    ------
    KeyError
        ``adata`` holds no fit and no couplings, as after a run that was interrupted, or none of
        that name; a column or representation does not exist.
    ValueError
        ``path`` ends otherwise or is a folder, a record is not whole, trajectories were simulated
        in another representation, or ``scores`` are none.

    Examples
    --------
    >>> import celltraj as ct
    >>> from tempfile import TemporaryDirectory
    >>> adata = ct.datasets.branching(n_cells=50, seed=0)
    >>> ct.tl.couplings(adata, progress=False)
    >>> with TemporaryDirectory() as folder:
    ...     page = ct.pl.report(adata, f"{folder}/run.html", progress=False)
    ...     page.read_text().startswith("<!DOCTYPE html>")
    True
    """
    file = _file_of(path)
    run = Run.of(
        adata,
        key=key,
        trajectories=trajectories_of(adata, trajectories),
        scores=scores,
        basis=basis,
    )
    _write(_page(run, title, progress=progress), file)
    return file


def _page(run: Run, title: str | None, *, progress: bool) -> str:
    """Return the page."""
    parts = list(_sections(run, progress=progress))
    first = next(iter(run.fits))
    shown = f"{first}, a report of celltraj" if title is None else title
    now = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z")
    words = f"{cells_in_words(run.adata, run.fits[first])}. celltraj {__version__}, {now}."
    links = (f'<a href="#{identity}">{escape(name)}</a>' for identity, name, _ in parts)
    return filled(
        "page.html",
        version=escape(__version__),
        title=escape(shown),
        subtitle=escape(words),
        contents="".join(links),
        style=part_of_page("page.css"),
        sections="\n".join(section(*one) for one in parts),
        script="\n".join(map(part_of_page, _SCRIPTS)),
    )


def _sections(run: Run, *, progress: bool) -> Iterator[tuple[str, str, list[str]]]:
    """Yield identity, title and content of every section."""
    moving = list(sections.moving(run))  # refuses trajectories before pictures take their time
    drawings = list(drawings_of(run.adata, run.fresh, run.basis))
    if run.time_key is not None:
        drawings += drawings_of_cells(run.adata, run.time_key, run.trajectories, run.basis)
    if run.scores is not None:
        drawings.append(drawing_of_scores(run.scores.frame))
    pictures, doubts = drawn(drawings, progress=progress)
    yield "fitted", "What was fitted", list(sections.fitted(run))
    yield "warnings", "Warnings", list(sections.doubts([*run.doubts(), *doubts]))
    yield "moving", "Moving cells", moving
    if run.scores is not None:
        yield "scores", "Held-out scores", list(sections.scored(run.scores))
    yield "convergence", "Convergence", list(sections.converged(run))
    yield "pictures", "Pictures", list(sections.drawings(pictures))
    yield "tables", "Tables", list(sections.tables(run))
    yield "parameters", "Parameters and versions", list(sections.parameters(run))


def _file_of(path: str | Path) -> Path:
    """Return where to write, once it is known that this can be done."""
    file = Path(path)
    if file.suffix.lower() not in _ENDINGS or file.is_dir():
        raise ValueError(
            f"a report is one file that ends in .html; found path={str(path)!r}. Pass such as "
            f"path={str(file / 'report.html')!r}"
        )
    check_folder(file.parent)
    return file


def _write(page: str, file: Path) -> None:
    """Write the page beside ``file``, then put it there once it is complete."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".celltraj-", dir=file.parent) as folder:
        complete = Path(folder) / file.name
        complete.write_text(page, encoding="utf-8")
        complete.replace(file)
