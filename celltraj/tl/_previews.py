"""Read from a fit of ours what it knows before its network is trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from anndata import AnnData

from celltraj._anndata import read_snapshots
from celltraj._typing import Cells, Earlier
from celltraj.models import Bridge, FlowOptions, Process
from celltraj.models.course import default_paths
from celltraj.models.evaluation import Drawn, Preview
from celltraj.tl._fit_bridge import fit_bridge
from celltraj.tl._fit_flow import fit_flow


@dataclass(frozen=True)
class _OfBridge:
    """Cells on the paths between pairs of the plans of a bridge."""

    bridge: Bridge

    def cells_at(self, time: float, n: int, *, generator: torch.Generator) -> tuple[Cells, Earlier]:
        cells = self.bridge.sample(time, n, generator=generator)
        return cells, torch.full((n,), 1 / n, dtype=torch.float64)


def flow_preview(fit: Callable[..., Process]) -> Preview:
    """Return what ``ct.tl.fit_flow``, with options bound or as it is, fits its network to."""
    told = _bound(fit)
    interpolant, options = told.get("interpolant"), told.get("options") or FlowOptions()
    return Preview(
        default_paths if interpolant is None else lambda _: interpolant,
        options.coupling,
        told.get("growth", "auto"),
        told.get("sigma"),
    )


def drawn_by(
    fit: Callable[..., Process], adata: AnnData, given: dict[str, Any]
) -> Callable[[np.ndarray], Drawn] | None:
    """Return what draws cells as a fit would, without its network; None where it is not of ours.

    Parameters
    ----------
    fit
        ``ct.tl.fit_flow`` or ``ct.tl.fit_bridge``, also with options bound by
        :func:`functools.partial`, or any other callable.
    adata
        Cells of all times.
    given
        ``time_key``, ``use_rep`` and ``seed`` of the evaluation.
    """
    function = fit.func if isinstance(fit, partial) else fit
    if isinstance(fit, partial) and fit.args:
        return None
    if function is fit_flow:
        return partial(_course, fit, adata, given)
    return partial(_bridge, fit, adata, given) if function is fit_bridge else None


def _bound(fit: Callable[..., Process]) -> dict[str, Any]:
    return dict(fit.keywords) if isinstance(fit, partial) else {}


def _course(
    fit: Callable[..., Process], adata: AnnData, given: dict[str, Any], kept: np.ndarray
) -> Drawn:
    told = _bound(fit) | given
    names = ("time_key", "use_rep", "growth_key", "counts")
    snapshots, _ = read_snapshots(adata[kept], **{key: told[key] for key in names if key in told})
    generator = torch.Generator().manual_seed(given["seed"])
    return flow_preview(fit).course(snapshots, generator=generator)


def _bridge(
    fit: Callable[..., Process], adata: AnnData, given: dict[str, Any], kept: np.ndarray
) -> Drawn:
    bridge = fit(adata[kept].copy(), **given | {"training": None, "progress": False})
    return _OfBridge(bridge)  # type: ignore[arg-type]
