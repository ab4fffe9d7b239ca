"""What the networks of an ensemble say together, and beside neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean

import torch
from torch import Tensor

from celltraj._typing import Cells
from celltraj.models.response.process import Response


def mean_response(told: Sequence[Response]) -> Response:
    """Return the mean of what networks say of the same cells, and how far they disagree.

    Parameters
    ----------
    told
        What each says; of a single one it is this.

    Examples
    --------
    >>> import torch
    >>> from celltraj.models.response.ensemble import mean_response
    >>> from celltraj.models.response.process import Response
    >>> found = mean_response([Response(torch.zeros(2, 1), None), Response(torch.ones(2, 1), None)])
    >>> found.x[0].item(), round(found.spread[0].item(), 3)
    (0.5, 0.707)
    """
    if len(told) == 1:
        return told[0]
    states = torch.stack([one.x for one in told])
    masses = [one.survival for one in told if one.survival is not None]
    shares = [one.lived for one in told if one.lived is not None]
    return Response(
        states.mean(0),
        torch.stack(masses).mean(0) if masses else None,
        lived=fmean(shares) if shares else None,
        spread=_disagreement(states),
    )


def among_neighbours(told: Response, there: Cells, weight: float) -> Response:
    """Return a response of which neighbours, who go ``there (n, d)``, have this weight."""
    spread = None if told.spread is None else (1 - weight) * told.spread
    return replace(told, x=torch.lerp(told.x, there, weight), base=weight, spread=spread)


def _disagreement(states: Tensor) -> Tensor:
    """Return the root ``(n,)`` of the summed variances of ``(k, n, d)`` states over networks."""
    return states.var(0).sum(1).sqrt()
