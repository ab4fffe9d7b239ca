"""The plots that suit the results at hand, as PNG."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from typing import Any, cast

import matplotlib.pyplot as plt
import pandas as pd
from anndata import AnnData
from matplotlib.figure import Figure
from tqdm.auto import tqdm

from celltraj._errors import DataWarning
from celltraj.pl._cell_numbers import cell_numbers
from celltraj.pl._conditions import conditions
from celltraj.pl._drivers import drivers
from celltraj.pl._fates import fates
from celltraj.pl._gene_trends import gene_trends
from celltraj.pl._growth import growth
from celltraj.pl._history import history
from celltraj.pl._knockout import knockout
from celltraj.pl._marginals import marginals
from celltraj.pl._pull import pull
from celltraj.pl._push import push
from celltraj.pl._sankey import sankey
from celltraj.pl._scores import scores as draw_scores
from celltraj.pl._snapshots import snapshots
from celltraj.pl._stream import stream
from celltraj.pl._trajectories import trajectories as draw_trajectories

_DPI = 100
_FIGURE = {"show": False, "save": False, "return_fig": True}
_Draw = Callable[..., object]
# of a kind of result: what is drawn, and whether it is drawn over the cells of a basis
_OF_KIND: Mapping[str, tuple[tuple[str, _Draw, bool], ...]] = {
    "growth": (
        ("Growth rate of every cell", growth, True),
        ("Size of the population", cell_numbers, False),
    ),
    "fates": (
        ("Share of the descendants in each fate", fates, True),
        ("Mean fates of each time", partial(fates, kind="bars"), False),
    ),
    "transitions": (("Groups and what becomes of them", sankey, False),),
    "push": (("Descendants", push, True),),
    "pull": (("Ancestors", pull, True),),
    "drivers": (("Genes that go with each fate", drivers, False),),
    "comparison of conditions": (("Conditions", conditions, False),),
    "gene trends": (("Genes over time", gene_trends, False),),
    "knock-out": (("Shifts of fates by knock-outs", knockout, False),),
}


@dataclass(frozen=True)
class Drawing:
    """Hold one plot that is to be drawn.

    Parameters
    ----------
    title
        What it shows.
    draw
        Draws it, and returns the figure.
    """

    title: str
    draw: Callable[[], object]


@dataclass(frozen=True)
class Picture:
    """Hold a plot.

    Parameters
    ----------
    title
        What it shows.
    png
        The file.
    """

    title: str
    png: bytes


def drawings_of(
    adata: AnnData, records: Mapping[str, Mapping[str, Any]], basis: str | None
) -> Iterator[Drawing]:
    """Yield what can be drawn of results."""
    for key, record in records.items():
        kind = str(record.get("kind"))
        if len(record.get("history", ())):
            draw = partial(history, adata, key=key, **_FIGURE)
            yield Drawing(f"Training loss of “{key}”", draw)
        if kind == "velocity":
            yield from _streams(adata, key, record)
        for title, draw, is_over_cells in _OF_KIND.get(kind, ()):
            where = {"basis": basis} if is_over_cells else {}
            yield Drawing(f"{title} (“{key}”)", partial(draw, adata, key=key, **where, **_FIGURE))


def drawings_of_cells(
    adata: AnnData, time_key: str, trajectories: AnnData | None, basis: str | None
) -> Iterator[Drawing]:
    """Yield what shows the snapshots, and the simulated cells over them."""
    where = {"time_key": time_key, "basis": basis} | _FIGURE
    yield Drawing("Observed snapshots", partial(snapshots, adata, **where))
    if trajectories is not None:
        draw = partial(draw_trajectories, adata, trajectories, **where)
        yield Drawing("Simulated trajectories over the observed cells", draw)
        draw = partial(marginals, adata, trajectories, time_key=time_key, **_FIGURE)
        yield Drawing("Simulated (line) over observed (filled) distributions", draw)


def drawing_of_scores(scores: pd.DataFrame) -> Drawing:
    """Return what shows held-out scores."""
    return Drawing("Held-out scores", partial(draw_scores, scores, **_FIGURE))


def _streams(adata: AnnData, key: str, record: Mapping[str, Any]) -> Iterator[Drawing]:
    """Yield the streams of a velocity, in each embedding that it was projected to."""
    for place in record.get("places", ()):
        name = str(place).removeprefix("obsm ").removeprefix(f"{key}_")
        if str(place) == f"obsm {key}_{name}":
            draw = partial(stream, adata, basis=name, key=key, **_FIGURE)
            yield Drawing(f"Mean velocity (“{key}”) in {name}", draw)


def drawn(drawings: list[Drawing], *, progress: bool) -> tuple[list[Picture], list[str]]:
    """Return the pictures, and what is to be said of them: warnings, and why one is left out."""
    pictures, doubts = [], []
    with warnings.catch_warnings(record=True) as raised:
        warnings.simplefilter("always", DataWarning)
        for one in tqdm(drawings, desc="report", unit="picture", disable=not progress):
            try:
                pictures.append(Picture(one.title, _png(cast("Figure", one.draw()))))
            except (KeyError, ValueError) as error:  # such as of a result that is stale
                doubts.append(f"{one.title}: not drawn, since {error.args[0]}")
    doubts += [str(one.message) for one in raised if issubclass(one.category, DataWarning)]
    return pictures, doubts


def _png(figure: Figure) -> bytes:
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI, bbox_inches="tight")
    plt.close(figure)
    return buffer.getvalue()
