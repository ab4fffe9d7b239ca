"""Candidates that a fit chose among by what was left out, and how each of them did."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from celltraj.pl._style import Style

_CHOSEN, _TRIED = "black", "0.55"
_SIZE, _PART_SIZE = 36.0, 12.0  # square points of a dot
_SPREAD = 0.25  # of the way to the next candidate, over which the parts stand


def draw_tried(
    ax: Axes, own: np.ndarray, scores: np.ndarray, chosen: np.ndarray, look: Style
) -> None:
    """Draw the score of each candidate, the chosen one black, over the line of no use at 1.

    Parameters
    ----------
    ax
        Axes.
    own
        ``(n,)`` candidates, in order.
    scores
        ``(n,)`` score of each.
    chosen
        ``(n,)`` which one was chosen.
    look
        The style.
    """
    places = np.arange(len(own))
    ax.axhline(1.0, color="0.8", lw=1, ls="--", zorder=0)
    ax.plot(places, scores, color=_TRIED, lw=1.2, zorder=1)
    shades = np.where(chosen, _CHOSEN, _TRIED)
    ax.scatter(places, scores, color=shades, zorder=3, **look.dots(_SIZE))
    ax.set_xticks(places, [f"{one:g}" for one in own])
    ax.set_ylim(bottom=0.0)


def draw_beside(ax: Axes, place: np.ndarray, scores: np.ndarray, look: Style) -> None:
    """Draw the scores ``(m,)`` of the parts left out as small dots about a place ``(1,)``."""
    beside = place + np.linspace(-_SPREAD, _SPREAD, len(scores))
    small = look.dots(_PART_SIZE, 0.6) | {"s": _PART_SIZE}
    ax.scatter(beside, scores, color="C0", zorder=2, **small)
