"""Variables of new cells, matched by name to those that a model was fitted to."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.sparse import csr_array, hstack, issparse, sparray, spmatrix

from celltraj._anndata.columns import unique_names
from celltraj._errors import DataWarning, some, warn

logger = logging.getLogger("celltraj")
MAX_MISSING = 0.1  # share of the variables that the mean of the training may stand for
SHOWN = 5


@dataclass(frozen=True, eq=False)
class Matched:
    """Hold where the variables of a model stand among those of new cells.

    Parameters
    ----------
    names
        Names of the ``g`` variables of the model.
    rows
        ``(g,)`` position of each among those of the cells, -1 where it is missing.
    extra
        Names that the model does not know.
    """

    names: tuple[str, ...]
    rows: np.ndarray
    extra: tuple[str, ...]

    @classmethod
    def of(cls, found: pd.Index, names: Sequence[str]) -> Matched:
        """Return how the variables ``found`` match ``names``.

        Raises
        ------
        ValueError
            Names of the cells' variables are not unique.

        Examples
        --------
        >>> import pandas as pd
        >>> from celltraj._anndata.matched import Matched
        >>> Matched.of(pd.Index(["CD8", "CD3"]), ("CD4", "CD8")).rows
        array([-1,  0])
        """
        found = unique_names(found.astype(str), "variables")
        wanted = pd.Index([str(name) for name in names])
        extra = found.difference(wanted, sort=False)
        return cls(tuple(wanted), found.get_indexer(wanted), tuple(extra))

    @property
    def missing(self) -> list[str]:
        """Names of the model that the cells do not have."""
        return [name for name, row in zip(self.names, self.rows, strict=True) if row < 0]

    @property
    def missing_share(self) -> float:
        """Share of the names of the model that the cells do not have."""
        return len(self.missing) / len(self.names)

    def check(self, max_missing: float = MAX_MISSING) -> None:
        """Say what is missing, and refuse where that is more than ``max_missing`` of all.

        Warns
        -----
        DataWarning
            Some are missing.

        Raises
        ------
        ValueError
            More are missing than ``max_missing`` allows, a share.
        """
        if self.extra:
            logger.info("left out %d variables that the training did not have", len(self.extra))
        if not self.missing:
            return
        told = (
            f"{len(self.missing)} of the {len(self.names)} variables of the training are missing: "
            f"{some(self.missing, SHOWN)}"
        )
        if self.missing_share > max_missing:
            others = f", and there are {some(self.extra, SHOWN)} in place" if self.extra else ""
            raise ValueError(
                f"{told}{others}. At most {max_missing:.0%} may be, for which the mean of the "
                "training then stands; measure or rename them, fit to the variables that both "
                "have, or allow more with ct.pp.match_variables(adata, like=..., max_missing=...)"
            )
        warn(f"{told}. The mean of the training stands for them", DataWarning)

    def taken(
        self, x: np.ndarray | spmatrix | sparray, mean: np.ndarray
    ) -> np.ndarray | spmatrix | sparray:
        """Return ``x (n, m)`` with the columns of the model ``(n, g)``, as sparse as it is.

        ``mean (g,)`` stands for those that are missing.
        """
        if x.shape[1] == len(self.rows) and (self.rows == np.arange(len(self.rows))).all():
            return x
        is_missing = self.rows < 0
        if issparse(x):
            filling = csr_array(np.broadcast_to(mean[is_missing], (x.shape[0], is_missing.sum())))
            both = hstack([x, filling], format="csr")
            places = self.rows.copy()
            places[is_missing] = x.shape[1] + np.arange(is_missing.sum())
            return both[:, places]
        found = x[:, self.rows]
        if is_missing.any():
            found = found.astype(np.result_type(found, np.float32))
            found[:, is_missing] = mean[is_missing]
        return found
