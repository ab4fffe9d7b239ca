"""The sections of the page, one function each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from celltraj._anndata.results import RESULTS, losses_of
from celltraj.models.evaluation import ScoreTable, summarised
from celltraj.pl._cells import time_label
from celltraj.pl._report import markup
from celltraj.pl._report.convergence import (
    convergence_in_words,
    convergence_table,
    losses_in_words,
)
from celltraj.pl._report.course import Course, in_turn, simulated
from celltraj.pl._report.facts import (
    fit_in_words,
    params_table,
    snapshots_table,
    versions_table,
)
from celltraj.pl._report.motion import motion
from celltraj.pl._report.pictures import Picture
from celltraj.pl._report.run import Run
from celltraj.pl._report.scores import scores_in_words, trivial_methods

_ELSEWHERE = ("history", "convergence", "gaps")  # tables that stand in a section of their own
_MOST_ROWS = 200


def fitted(run: Run) -> Iterator[str]:
    """Yield what was fitted on what."""
    yield markup.bullets(fit_in_words(run.adata, key, one) for key, one in run.fits.items())
    if run.time_key is not None:
        table = snapshots_table(run.adata, run.time_key)
        yield markup.table(table, "Cells of each snapshot")


def doubts(found: list[str]) -> Iterator[str]:
    """Yield all warnings."""
    if found:
        yield markup.bullets(dict.fromkeys(found), kind="doubts")
    else:
        yield markup.paragraph("None.")


def moving(run: Run) -> Iterator[str]:
    """Yield the moving cells."""
    if run.time_key is None:
        yield markup.paragraph("No times of these cells are known, so that nothing moves.")
        return
    course = _course(run, run.time_key)
    groups = run.fresh.get(run.fates_key or "", {}).get("params", {}).get("groupby")
    html, words = motion(
        run.adata,
        course,
        label=time_label(run.adata, run.time_key),
        sampled=run.sampled,
        fates_key=run.fates_key,
        first=[] if groups is None else [str(groups)],
    )
    yield markup.paragraph(_course_in_words(course))
    yield html
    if words:
        yield markup.bullets(words)


def _course(run: Run, time_key: str) -> Course:
    if run.trajectories is None:
        return in_turn(run.adata, time_key, run.basis)
    return simulated(run.adata, run.trajectories, run.basis)


def _course_in_words(course: Course) -> str:
    if not course.moves:
        return (
            "Observed cells, at their sampling times in turn. For cells that move, pass "
            "trajectories=ct.tl.simulate(adata, model, start=..., stop=...)."
        )
    mass = "" if course.weights is None else "; a dot is as large as its share of the mass"
    return (
        f"Simulated cells move from frame to frame in straight lines, over the observed ones{mass}."
        " Colours, fates and annotations are those of the observed cell that a simulated one starts"
        " from."
    )


def scored(scores: ScoreTable) -> Iterator[str]:
    """Yield held-out scores, in words and as a table."""
    summary = summarised(scores)
    yield markup.paragraph(
        "Scores are of cells that a model has not seen. Brackets hold 95 % intervals over what was "
        "held out; few held-out times or populations make them too narrow to trust."
    )
    for metric, said in scores_in_words(scores, summary):
        yield markup.heading(metric)
        yield markup.bullets(said)
    yield markup.heading("What the rows without a model are")
    yield markup.bullets(trivial_methods(scores))
    yield markup.table(summary, "Scores of every row")


def converged(run: Run) -> Iterator[str]:
    """Yield how far solvers and trainings came."""
    for key, record in run.fits.items():
        table = convergence_table(run.adata, key, record)
        if table is not None:
            yield from map(markup.paragraph, convergence_in_words(key, table))
        if len(record.get("history", ())):
            yield markup.paragraph(losses_in_words(key, losses_of(run.adata, key)))
        if table is not None:
            yield markup.table(table, f"Gaps between snapshots, “{key}”")


def drawings(pictures: list[Picture]) -> Iterator[str]:
    """Yield the pictures."""
    for one in pictures:
        yield markup.picture(one.png, one.title)


def tables(run: Run) -> Iterator[str]:
    """Yield the tables of results, and the list of all results."""
    columns = ["key", "kind", "call", "reads", "seed", "version", "state"]
    yield markup.table(run.held[columns], "All results")
    for key, record in run.fresh.items():
        yield from _tables_of(key, record)


def _tables_of(key: str, record: Mapping[str, Any]) -> Iterator[str]:
    for result in (one for one in RESULTS if one.kind == record.get("kind")):
        for field in result.fields:
            value = record.get(field.name)
            if field.name in _ELSEWHERE or not isinstance(value, pd.DataFrame) or value.empty:
                continue
            what = f"{result.kind.capitalize()} “{key}”: {field.content}"
            yield markup.table(*_shortened(result.plain(value, field.name), what))


def _shortened(table: pd.DataFrame, what: str) -> tuple[pd.DataFrame, str]:
    """Return a table of fates with some rows of each, where there are too many of all."""
    if "fate" not in table or len(table) <= _MOST_ROWS:
        return table, what
    n = max(1, _MOST_ROWS // table["fate"].nunique())
    return table.groupby("fate", sort=False).head(n), f"{what}; the first {n} rows of each fate"


def parameters(run: Run) -> Iterator[str]:
    """Yield parameters and versions."""
    keys = [*run.fits, *(key for key in run.fresh if key not in run.fits)]
    yield markup.table(params_table(run.adata, keys), "Parameters")
    yield markup.table(versions_table(), "What this page was made with")
