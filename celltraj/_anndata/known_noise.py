"""Find out whether the noise of a model was given or is the default of its fit."""

from __future__ import annotations

import math
from collections.abc import Mapping

from anndata import AnnData

from celltraj._anndata.results import FITS, records_of

_SAME = 1e-6  # relative
_KINDS = tuple(one.kind for one in FITS)


def sigma_source_of(adata: AnnData, sigma: float) -> str:
    """Return where a noise came from: ``"estimated"`` where a fit in ``adata`` took its default.

    Parameters
    ----------
    adata
        Data with the records of fits.
    sigma
        Noise of a model, in [x]/sqrt([t]).

    Returns
    -------
    ``"estimated"``, or ``"given"``, also where nothing is known of it.
    """
    for record in records_of(adata).values():
        if isinstance(record, Mapping) and record.get("kind") in _KINDS:
            params = record.get("params", {})
            is_same = math.isclose(params.get("sigma", math.nan), sigma, rel_tol=_SAME)
            if is_same and params.get("sigma_source") == "estimated":
                return "estimated"
    return "given"
