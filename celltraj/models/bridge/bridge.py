"""Multi-marginal Schrödinger bridge: one coupling per gap, glued at the snapshots.

``Q = argmin KL(Q | P_ref)`` over laws whose marginals at the observed times are the snapshots. For
a Markov reference it splits into one two-marginal bridge per gap. Shen, Berlinghieri, Broderick,
*Multi-marginal Schroedinger bridges with iterative reference refinement* (2024).
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from celltraj._card import card
from celltraj._typing import Cells, Earlier
from celltraj.models._card_facts import bridge_facts
from celltraj.models._files import Content
from celltraj.models._saved import Saved, content_of, named
from celltraj.models.bridge.curved import CurvedField
from celltraj.models.bridge.neural import NeuralField
from celltraj.models.bridge.parts import pack_masses, pack_snapshots
from celltraj.models.bridge.plug_in import PlugInField
from celltraj.models.growth.path_mass import Masses, pairs_of
from celltraj.models.lineage.lineage import Lineage
from celltraj.models.own_snapshots import Passage
from celltraj.models.process import Affine
from celltraj.models.references import pack_reference
from celltraj.models.references.chart import chart_of, straightened
from celltraj.models.references.family import Reference, sigma_of
from celltraj.models.references.gaussian_law import N_STEPS, flow_of, uniform_grid
from celltraj.models.references.paths import Pinning
from celltraj.models.representation import Representation
from celltraj.ot import Coupling
from celltraj.snapshots import Snapshots

_FACTS = ("epsilon", "marginal_error", "converged", "n_iters")
POTENTIALS = ("f", "g", "row_mass", "column_mass")


@card()
@dataclass(frozen=True)
class Round:
    """Hold what a round of refinement reached.

    Parameters
    ----------
    number
        0 for the reference it began with.
    log_likelihood
        Of the snapshots under their couplings, in nats per cell, summed over gaps.
    change
        Root mean square change of the drift against its own, over the points of the bridge.
    marginal_error
        Greatest of the couplings.
    effective_share
        Least effective sample size over gaps of the importance weights, as a share.
    held_out
        W1 to a snapshot left out of the round, NaN without one.
    sigma
        Diffusion, in [x]/sqrt([t]).
    kept
        Whether the bridge stands on the reference of this round.
    estimates
        Parameters of the family.
    """

    number: int
    log_likelihood: float
    change: float
    marginal_error: float
    effective_share: float
    held_out: float
    sigma: float
    kept: bool
    estimates: dict[str, float]

    def row(self) -> dict[str, float | int | bool]:
        """Return the fields as one row of a table."""
        fields = {name: value for name, value in vars(self).items() if name != "estimates"}
        return {"round": fields.pop("number")} | fields | self.estimates

    def packed(self) -> dict[str, Any]:
        """Return the fields, with null where a score is not known: JSON has no NaN."""
        return {
            key: None if isinstance(value, float) and math.isnan(value) else value
            for key, value in asdict(self).items()
        }


@card(bridge_facts)
@dataclass(frozen=True)
class Bridge(Saved):
    """Schrödinger bridge, fitted: couplings, drift and score; a reversible ``Process``.

    Parameters
    ----------
    snapshots
        The observed clouds.
    reference
        Law of motion that the bridge is nearest to.
    couplings
        One coupling per gap.
    field
        Drift and score of the bridge.
    rounds
        What each round of a refinement reached; empty without one.
    masses
        What cells send and meet; None where the couplings keep the mass of every cell.
    representation
        What is known of the space that it was fitted in; None for bare tensors.
    passages
        How trajectories from the first snapshot met each later one when its network was trained;
        empty for the plug-in drift.
    parent
        Digest of the bridge that it is an update of, see :func:`celltraj.tl.update`; None for a
        fit.

    Examples
    --------
    >>> import torch
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=50, seed=0)
    >>> bridge = ct.tl.fit_bridge(adata, training=None, seed=0, progress=False)
    >>> bridge.drift(0.5, torch.zeros(3, 2)).shape
    torch.Size([3, 2])
    """

    snapshots: Snapshots
    reference: Reference
    couplings: tuple[Coupling, ...]
    field: PlugInField | NeuralField | CurvedField
    rounds: tuple[Round, ...] = ()
    masses: Masses | None = None
    representation: Representation | None = None
    passages: tuple[Passage, ...] = ()
    parent: str | None = None

    @property
    def history(self) -> pd.DataFrame:
        """Return one row per round of the refinement that gave the reference.

        Columns round, log_likelihood (of the snapshots, in nats per cell, summed over gaps),
        change (of the drift, relative), marginal_error (greatest of the couplings),
        effective_share (least over gaps), held_out (W1, NaN unless asked), sigma, kept, and the
        estimates of the family.
        """
        return pd.DataFrame([one.row() for one in self.rounds])

    @property
    def losses(self) -> tuple[float, ...]:
        """Training loss at each step; empty for the plug-in drift."""
        return self.field.losses

    @property
    def dim(self) -> int:
        """Number of state variables d."""
        return self.snapshots.dim

    @property
    def span(self) -> tuple[float, float]:
        """First and last time that it was fitted to."""
        return self.snapshots.times[0], self.snapshots.times[-1]

    @property
    def lineage(self) -> Lineage:
        """Return the couplings of the bridge as what ties its snapshots together."""
        snapshots = self.snapshots
        return Lineage(snapshots.times, self.couplings, snapshots.weights, snapshots.sizes)

    @property
    def has_growth(self) -> bool:
        """Whether cells divide and die along the bridge."""
        return self.masses is not None

    @property
    def breakpoints(self) -> tuple[float, ...]:
        """Times at which the drift jumps: the snapshots."""
        return self.snapshots.times

    def drift(self, t: float, x: Cells) -> Cells:
        """Return the ``(n, d)`` forward drift, in [x]/[t]; the reference's beyond the snapshots."""
        is_observed = self.snapshots.times[0] <= t < self.snapshots.times[-1]
        return (self.field if is_observed else self.reference).drift(t, x)

    def diffusion(self, t: float, x: Cells) -> Cells:
        """Return the reference's ``(n, d)`` diffusion, in [x]/sqrt([t])."""
        return self.reference.diffusion(t, x)

    def score(self, t: float, x: Cells) -> Cells:
        """Return the ``(n, d)`` score of the bridge's marginal, in 1/[x].

        Zero before the first snapshot, where nothing says that some states were more likely than
        others: a backward simulation then runs the reference back with its noise, which draws from
        the likelihood ``p(x_first | x_t)`` of earlier states for a drift of constant divergence.

        Raises
        ------
        ValueError
            ``t`` lies after the last snapshot, where the bridge has no marginal.
        """
        if t < self.snapshots.times[0]:
            return torch.zeros_like(x)
        self._check_observed(t)
        return self.field.score(t, x)

    def growth(self, t: float, x: Cells) -> Earlier:
        """Return the net rate of growth ``(n,)``, in 1/[t]; zero beyond the snapshots.

        Relative to the mean of the population where only proportions are known; zero where the
        couplings keep the mass of every cell.
        """
        first, last = self.snapshots.times[0], self.snapshots.times[-1]
        rate = None if self.masses is None else self.masses.rate
        if rate is None or not first <= t <= last:
            return torch.zeros_like(x[:, 0])
        return rate.rate(t, *self.field.masses(t, x))

    def drift_and_growth(self, t: float, x: Cells) -> tuple[Cells, Earlier]:
        """Return :meth:`drift` and :meth:`growth`; without a network they share most of the work.

        As both are asked for at every step of a forward simulation.
        """
        first, last = self.span
        rate = None if self.masses is None else self.masses.rate
        if rate is None or not first <= t < last or not isinstance(self.field, PlugInField):
            return self.drift(t, x), self.growth(t, x)
        drift, masses = self.field.drift_and_masses(t, x)
        return drift, rate.rate(t, *masses)

    def velocity(self, t: float, x: Cells) -> Cells:
        """Return the mean velocity ``(n, d)`` of the cells ``x`` of a snapshot, in [x]/[t].

        The forward drift; at the last snapshot, after which nothing is known, the backward drift:
        where the cells are going, and where the last ones came from.
        """
        at_end = t >= self.snapshots.times[-1]
        return self.field.backward_drift(t, x) if at_end else self.drift(t, x)

    def pack(self) -> Content:
        """Return the bridge as facts and tensors, see :func:`celltraj.models.bridge.unpack`."""
        name, options, state = pack_reference(self.reference)
        parts = {"reference": state}
        width: int | None = None
        field = self.field.straight if isinstance(self.field, CurvedField) else self.field
        if isinstance(field, NeuralField):
            width = field.heads.sizes.width
            parts["field"] = field.heads.state_dict()
        tensors = named(parts) | pack_snapshots(self.snapshots) | pack_masses(self.masses)
        for k, coupling in enumerate(self.couplings):
            tensors |= {f"{key}.{k}": getattr(coupling, key) for key in POTENTIALS}
        facts = {
            "times": self.snapshots.times,
            "sizes": self.snapshots.sizes,
            "reference": {"name": name, "options": options},
            "rounds": [one.packed() for one in self.rounds],
            "width": width,
            "history": self.losses,
            "couplings": [
                {key: getattr(one, key) for key in _FACTS} | {"effort": asdict(one.stats)}
                for one in self.couplings
            ],
            "representation": None if self.representation is None else asdict(self.representation),
            "passages": [one.packed() for one in self.passages],
            "parent": self.parent,
        }
        return content_of("bridge", facts, tensors)

    def sample(self, time: float, n: int, *, generator: torch.Generator) -> Cells:
        """Draw ``n`` cells ``(n, d)`` of the bridge's marginal at ``time``, without simulation.

        Raises
        ------
        ValueError
            ``time`` lies outside the observed times.
        """
        self._check_observed(time)
        k = self.snapshots.gap_of(time)
        start, stop = self.snapshots.times[k], self.snapshots.times[k + 1]
        i, j = self._pairs(k, (time - start) / (stop - start), n, generator)
        x0, x1 = self.snapshots.x[k][i], self.snapshots.x[k + 1][j]
        if time in (start, stop):
            return x0 if time == start else x1
        share = (time - start) / (stop - start)
        before, after = (_nodes(self.reference, part) for part in (share, 1 - share))
        grid = (*uniform_grid(start, time, before)[:-1], *uniform_grid(time, stop, after))
        chart, law = chart_of(self.reference), straightened(self.reference)
        pinning = Pinning.of(flow_of(law, chart.straight(x0), grid), before, sigma_of(law))
        drawn = pinning.points(torch.arange(n), chart.straight(x1), generator=generator)
        return chart.curved(drawn.x)

    def _pairs(self, k: int, s: float, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw ``n`` pairs of cells of gap ``k`` as the paths between them have mass at ``s``."""
        if self.masses is None:
            return self.couplings[k].sample(n, generator=generator)
        weights = self.snapshots.weights[k]
        return pairs_of(self.masses, self.couplings[k], weights, (k, s), n, generator=generator)

    def _check_observed(self, t: float) -> None:
        first, last = self.snapshots.times[0], self.snapshots.times[-1]
        if not first <= t <= last:
            raise ValueError(
                f"time {t:g} lies outside the observed [{first:g}, {last:g}]; "
                "a forward simulation goes beyond the last, a backward one before the first"
            )


def _nodes(reference: Reference, share: float) -> int:
    return 1 if isinstance(reference, Affine) else max(1, math.ceil(share * N_STEPS))
