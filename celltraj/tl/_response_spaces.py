"""Cells as each fold of a held-out evaluation sees them, and what fits responses to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from anndata import AnnData

from celltraj._anndata import Untreated, read_representation
from celltraj.models import MetaFlowMatching
from celltraj.models.evaluation import Fold, Space, raised_by
from celltraj.tl._predict_response import _covariates

Fit = Callable[..., MetaFlowMatching]


@dataclass(frozen=True)
class ResponseSpaces:
    """Open the cells of an AnnData to each fold.

    Parameters
    ----------
    adata
        All cells.
    fits
        What fits a response, by name.
    given
        Arguments that every fit gets.
    prepare
        What computes the representation; None where it is there.
    use_rep
        Representation, None for the default.
    """

    adata: AnnData
    fits: Mapping[str, Callable[..., object]]
    given: Mapping[str, object]
    prepare: Callable[..., None] | None
    use_rep: str | None

    def of(self, fold: Fold) -> Space:
        """Return the cells as a fold sees them, prepared by those that it keeps."""
        adata = self._prepared(fold)
        use_rep, x = read_representation(adata, self.use_rep)
        given = {**self.given, "use_rep": use_rep}
        fits = {name: partial(_fitted, fit, adata, given) for name, fit in self.fits.items()}
        return Space(x, fits, partial(_covariates_of, adata))

    def _prepared(self, fold: Fold) -> AnnData:
        if self.prepare is None:
            return self.adata
        adata = _copy(self.adata)
        with raised_by("prepare", fold):
            returned = self.prepare(adata, fit_on=fold.kept.copy())
            if returned is not None:
                raise TypeError(
                    "prepare must change the AnnData it is given and return nothing; found "
                    f"{type(returned).__name__}"
                )
        return adata


def _fitted(
    fit: Callable[..., object], adata: AnnData, given: Mapping[str, object], kept: np.ndarray
) -> object:
    """Return what a fit makes of a copy of the cells that are kept."""
    return fit(_copy(adata[kept]), **given)


def _covariates_of(
    adata: AnnData, model: MetaFlowMatching, population: str, rows: np.ndarray
) -> tuple[str | float, ...]:
    """Return the covariates of a population as its cells have them."""
    return _covariates(model, adata, Untreated(population, rows, torch.empty(0, model.dim)), {})


def _copy(adata: AnnData) -> AnnData:
    return adata.to_memory() if adata.isbacked else adata.copy()
