"""Find out where the noise of a model came from: the action and thermodynamics divide by it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from anndata import AnnData

from celltraj._anndata.results import BRIDGE, FITS, Result, records_of
from celltraj.models import Bridge, Process
from celltraj.models.references.family import sigma_of

_SAME = 1e-6  # relative


def told_noise(adata: AnnData, model: Process, sigma: float | None) -> str:
    """Return where the noise of a model came from: ``"given"``, ``"estimated"`` or ``"law"``.

    Parameters
    ----------
    adata
        Cells, with the record of the fit where there is one.
    model
        The model.
    sigma
        What the caller vouches for, in [x]/sqrt([t]); None for nothing.

    Raises
    ------
    ValueError
        The sigma is the default one of a bridge, nothing says where it came from, or it is another
        than ``sigma``.
    """
    if not isinstance(model, Bridge):
        if sigma is not None:
            raise ValueError(
                f"sigma= vouches for that of a bridge, and the {type(model).__name__} has a noise "
                "of its own; leave it out"
            )
        own = getattr(model, "sigma", None)
        if isinstance(own, float) and _recorded(adata, own, BRIDGE) == "default":
            raise ValueError(_default(f"{type(model).__name__} of a bridge", own))
        return "law"
    own = sigma_of(model.reference)
    if sigma is not None:
        if not math.isclose(sigma, own, rel_tol=_SAME):
            raise ValueError(
                f"the bridge was fitted with sigma={own:.6g}, and a law with sigma={sigma:g} is "
                f"another; fit it with ct.tl.fit_bridge(adata, sigma={sigma:g})"
            )
        return "given"
    source = _recorded(adata, own, BRIDGE)
    if source is None:
        raise ValueError(
            f"nothing in adata.uns says where the sigma of the bridge, {own:.6g}, came from, and "
            "entropy production goes as 1 / sigma^2: pass sigma= with the same number if it is "
            "known, from an experiment or a family that it was estimated with"
        )
    if source == "default":
        raise ValueError(_default("bridge", own))
    return source


def _default(name: str, sigma: float) -> str:
    """Return what is wrong with the default sigma."""
    return (
        f"the {name} has the default sigma, {sigma:.6g}, which is a hundredth of the displacement "
        "and no estimate; entropy production goes as 1 / sigma^2. Fit it with a sigma= that is "
        "known, or estimate one: ct.models.Refinement(estimate_sigma=True) in BridgeOptions"
    )


def sigma_source_of(adata: AnnData, sigma: float) -> str:
    """Return where a noise came from, as far as fits in ``adata`` tell.

    Parameters
    ----------
    adata
        Data with the records of fits.
    sigma
        Noise of a model, in [x]/sqrt([t]).

    Returns
    -------
    ``"default"`` where a fit took a hundredth of the displacement, ``"estimated"`` where one
    refined it, or ``"given"``, also where nothing is known of it.
    """
    return _recorded(adata, sigma, *FITS) or "given"


def _recorded(adata: AnnData, sigma: float, *results: Result) -> str | None:
    """Return what the records of fits with this sigma say, None for nothing."""
    params = next(_fits_with(adata, sigma, *results), None)
    if params is None:
        return None
    if params.get("sigma_source") == "given":
        return "given"
    return "estimated" if _estimates(params) else "default"


def _fits_with(adata: AnnData, sigma: float, *results: Result) -> Iterator[Mapping[str, Any]]:
    """Yield the params of the records of such fits that have this sigma."""
    kinds = [one.kind for one in results]
    for record in records_of(adata).values():
        if isinstance(record, Mapping) and record.get("kind") in kinds:
            params = record.get("params", {})
            if math.isclose(float(params.get("sigma", math.nan)), sigma, rel_tol=_SAME):
                yield params


def _estimates(params: Mapping[str, Any]) -> bool:
    refinement = params.get("options", {}).get("refinement", {})
    return bool(refinement.get("estimate_sigma", False))
