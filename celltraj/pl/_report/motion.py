"""The part of the page in which cells move."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np
from anndata import AnnData
from matplotlib import colormaps
from matplotlib.colors import to_hex

from celltraj.pl._colors import TIME_MAP
from celltraj.pl._report.annotations import annotations_of, fates_of
from celltraj.pl._report.course import Course
from celltraj.pl._report.markup import filled
from celltraj.pl._report.packing import packed, packed_positions, packed_texts

_SHADES = 255  # of a scale, one for each step of a number


def motion(
    adata: AnnData,
    course: Course,
    *,
    label: str,
    sampled: Sequence[float],
    fates_key: str | None,
    first: Sequence[str],
) -> tuple[str, tuple[str, ...]]:
    """Return the moving cells as HTML, and what is not shown of them, in words.

    Parameters
    ----------
    adata
        Observed cells.
    course
        What moves.
    label
        Name of time, with its unit.
    sampled
        Sampling times, in [t], at which the slider is marked.
    fates_key
        Fates to show of a cell, if any.
    first
        Columns to colour by before others.
    """
    annotations, words = annotations_of(adata, course.rows, first)
    fates = None if fates_key is None else fates_of(adata, fates_key, course.rows)
    data = _cells(course) | {"time_label": label, "annotations": annotations, "fates": fates}
    content = json.dumps(data, allow_nan=False).replace("<", "\\u003c")
    html = filled(
        "motion.html",
        data=content,
        across=escape(f"{course.basis} 0"),
        up=escape(f"{course.basis} 1"),
        colors="".join(
            f'<option value="{k}">{escape(one["name"])}</option>'
            for k, one in enumerate(annotations)
        ),
        first=repr(float(course.times[0])),
        last=repr(float(course.times[-1])),
        sampled="".join(f'<option value="{float(time)!r}"></option>' for time in sampled),
    )
    return html, (*course.left_out, *words)


def _cells(course: Course) -> dict[str, Any]:
    """Return where cells are, in the box of the picture, and who they are."""
    low, high = course.box
    background = packed_positions(course.background[None], low, high)
    scale = colormaps[TIME_MAP](np.linspace(0, 1, _SHADES))
    return {
        "n": len(course.rows),
        "times": course.times.tolist(),
        "moves": course.moves,
        "beyond": course.is_beyond.tolist(),
        "positions": packed_positions(course.positions, low, high),
        "weights": None if course.weights is None else packed(course.weights),
        "background": {"n": len(course.background), "positions": background},
        "names": packed_texts(course.names),
        "scale": [to_hex(shade) for shade in scale],
        "box": [*low.tolist(), *high.tolist()],
    }
