"""Read cells that arrived after a model was fitted, in the space of its fit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from anndata import AnnData

from celltraj._anndata.read import find_space, read_representation, variables_of
from celltraj._anndata.source import Source
from celltraj._anndata.times import read_times
from celltraj.models import Bridge, FlowMatching
from celltraj.models.update.arrival import Arrival
from celltraj.models.update.update import known


@dataclass(frozen=True, eq=False)
class Arrived:
    """Hold cells of an AnnData, and what of them a model does not know yet.

    Parameters
    ----------
    use_rep
        The representation: ``"X"`` or a key of ``obsm``.
    times, x
        ``(n,)`` sampling times and ``(n, d)`` states of all cells.
    arrival
        The same sorted into old and new snapshots.
    source
        What a result of these cells is computed from.
    """

    use_rep: str
    times: np.ndarray
    x: np.ndarray
    arrival: Arrival
    source: Source

    @classmethod
    def of(
        cls, adata: AnnData, model: Bridge | FlowMatching, *, time_key: str, use_rep: str | None
    ) -> Arrived:
        """Return the cells, once they are in the space of the model and go on from its times.

        Raises
        ------
        TypeError
            ``adata`` is not an AnnData.
        KeyError
            The column or the representation does not exist.
        ValueError
            Cells that the model cannot go on from, see
            :class:`celltraj.models.update.arrival.Arrival`.
        """
        space = known(model)
        times = read_times(adata, time_key)
        if use_rep not in (None, space.name):
            raise ValueError(
                f"the model was fitted in {space.name}, not in {use_rep}; leave use_rep= out, with "
                f"the cells in {space.name}, or fit to all cells"
            )
        name, x = read_representation(adata, find_space(adata, model, use_rep))
        _check_variables(variables_of(adata, name), space.variables, name)
        arrival = Arrival.of(space, torch.from_numpy(times), torch.from_numpy(x))
        return cls(name, times, x, arrival, Source.of(adata, time_key, name))

    def velocity(self, model: Bridge | FlowMatching) -> np.ndarray:
        """Return the velocity ``(n, d)`` of every cell at its time, float32, in [x]/[t]."""
        velocity = np.empty(self.x.shape, dtype=np.float32)
        for t in np.unique(self.times):
            here = self.times == t
            velocity[here] = model.velocity(float(t), torch.from_numpy(self.x[here])).numpy()
        return velocity


def _check_variables(found: tuple[str, ...], wanted: tuple[str, ...], name: str) -> None:
    other = sorted(set(wanted) - set(found))
    if other:
        raise ValueError(
            f"{name} has other variables than those of the fit: no {other[:5]}; bring the cells "
            "into its space with ct.pp.match_variables"
        )
