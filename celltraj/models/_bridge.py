"""Multi-marginal Schrödinger bridge: one coupling per gap, glued at the snapshots.

``Q = argmin KL(Q | P_ref)`` over laws whose marginals at the observed times are the snapshots. For
a Markov reference it splits into one two-marginal bridge per gap. Shen, Berlinghieri, Broderick,
*Multi-marginal Schroedinger bridges with iterative reference refinement* (2024).
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm.auto import tqdm

from celltraj._card import card
from celltraj._snapshots import Snapshots
from celltraj._typing import Cells, Earlier
from celltraj.models._card_facts import bridge_facts
from celltraj.models._flow import N_STEPS, Flow, flow_of, gap_flow, uniform_grid
from celltraj.models._growth import couple_gap
from celltraj.models._lineage import Lineage
from celltraj.models._masses import Masses, masses_of, pairs_of
from celltraj.models._neural import NeuralDrift, NeuralField
from celltraj.models._paths import pinned_points
from celltraj.models._plug_in import PlugInDrift, PlugInField
from celltraj.models._process import Affine, Reference, sigma_of
from celltraj.models._representation import Representation
from celltraj.models._save import save_bridge
from celltraj.models._simulate import simulate
from celltraj.ot import Coupling, Solver, exact_matching, systematic

_CALIBRATED = 2000  # trajectories that tell the mean growth of a bridge


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


@card(bridge_facts)
@dataclass(frozen=True)
class Bridge:
    """Hold a fitted bridge; a reversible ``Process``.

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

    Examples
    --------
    >>> import torch
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=50, seed=0)
    >>> bridge = ct.tl.fit_bridge(adata, drift=ct.models.PlugInDrift(), seed=0, progress=False)
    >>> bridge.drift(0.5, torch.zeros(3, 2)).shape
    torch.Size([3, 2])
    """

    snapshots: Snapshots
    reference: Reference
    couplings: tuple[Coupling, ...]
    field: PlugInField | NeuralField
    rounds: tuple[Round, ...] = ()
    masses: Masses | None = None
    representation: Representation | None = None

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
    def dim(self) -> int:
        """Number of state variables d."""
        return self.snapshots.dim

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

    def velocity(self, t: float, x: Cells) -> Cells:
        """Return the mean velocity ``(n, d)`` of the cells ``x`` of a snapshot, in [x]/[t].

        The forward drift; at the last snapshot, after which nothing is known, the backward drift:
        where the cells are going, and where the last ones came from.
        """
        at_end = t >= self.snapshots.times[-1]
        return self.field.backward_drift(t, x) if at_end else self.drift(t, x)

    def save(self, directory: str | os.PathLike[str]) -> None:
        """Write ``model.safetensors`` to the folder ``directory``; ``ct.load`` reads it.

        The file is replaced as a whole: whoever is interrupted leaves the model of before.

        Raises
        ------
        OSError
            It cannot be written there; what stood there still does.
        TypeError
            A part of the model is code of yours, which no file can hold without pickle.
        """
        save_bridge(self, directory)

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
        flow, sigma = flow_of(self.reference, x0, grid), sigma_of(self.reference)
        return pinned_points(flow, before, torch.arange(n), x1, sigma, generator=generator).x

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


def default_sigma(
    snapshots: Snapshots,
    *,
    generator: torch.Generator,
    fraction: float = 0.01,
    max_cells: int = 2000,
) -> float:
    """Return the sigma whose variance is a hundredth of the mean squared displacement rate.

    ``sigma^2 = fraction x mean_k W2(x_k, x_{k+1})^2 / (t_{k+1} - t_k)``, with exact transport on at
    most ``max_cells`` cells a side. One rule for every data set; choose your own by ``sigma=``.

    Parameters
    ----------
    snapshots
        Observed clouds.
    generator
        Chooses the cells where a cloud is larger than ``max_cells``.
    fraction
        Share of the squared displacement that is noise.
    max_cells
        Cells per snapshot that enter the exact transport.

    Raises
    ------
    ValueError
        All snapshots coincide, so that no scale can be read from them.

    Examples
    --------
    >>> import torch
    >>> from celltraj._snapshots import Snapshots
    >>> from celltraj.models import default_sigma
    >>> x = torch.zeros(5, 1)
    >>> moved_by_two = Snapshots((0.0, 1.0), (x, x + 2))
    >>> default_sigma(moved_by_two, generator=torch.Generator())  # sqrt(.01 x 2^2 / 1)
    0.2
    """
    rates = []
    for (k0, k1), gap in zip(snapshots.pairs(), snapshots.gaps, strict=True):
        x, a = _thin(snapshots, k0, max_cells, generator)
        y, b = _thin(snapshots, k1, max_cells, generator)
        plan = exact_matching(x, y, a, b)
        i, j = plan.nonzero()
        rates.append(float((plan[i, j] * ((x[i] - y[j]) ** 2).sum(1)).sum()) / gap)
    if sum(rates) <= 0:
        raise ValueError("all snapshots coincide: nothing sets the scale of sigma; pass sigma=")
    return math.sqrt(fraction * sum(rates) / len(rates))


def _thin(
    snapshots: Snapshots, k: int, max_cells: int, generator: torch.Generator
) -> tuple[np.ndarray, np.ndarray]:
    keep = torch.randperm(len(snapshots.x[k]), generator=generator)[:max_cells]
    weights = snapshots.weights[k][keep]
    return snapshots.x[k][keep].numpy(), (weights / weights.sum()).numpy()


def fit_bridge(
    snapshots: Snapshots,
    reference: Reference,
    *,
    solver: Solver,
    drift: NeuralDrift | PlugInDrift,
    generator: torch.Generator,
    progress: bool = True,
) -> Bridge:
    """Solve every gap once and derive the drift.

    Parameters
    ----------
    snapshots
        Observed clouds, with the growth that is expected and the sizes of the population.
    reference
        Law of motion, sets cost and epsilon of every gap.
    solver
        Coupling solver, such as ``ct.ot.solve``; one with relaxed marginals lets cells divide and
        die otherwise than expected.
    drift
        How the drift is derived from the couplings.
    generator
        Source of randomness.
    progress
        Whether couplings and training show progress bars.

    Raises
    ------
    ValueError
        The reference does not suit the data, or is not fitted.
    ConvergenceError
        A gap's coupling did not reach the solver's tolerance.

    Examples
    --------
    >>> import torch
    >>> from celltraj._snapshots import Snapshots
    >>> from celltraj.models import Brownian, PlugInDrift, fit_bridge
    >>> from celltraj.ot import solve
    >>> x = torch.zeros(5, 1)
    >>> bridge = fit_bridge(
    ...     Snapshots((0.0, 1.0), (x, x + 2)), Brownian(0.2), solver=solve,
    ...     drift=PlugInDrift(), generator=torch.Generator(),
    ... )
    >>> bridge.drift(0.5, torch.tensor([[1.0]]))  # one unit left in half a unit of time
    tensor([[2.]])
    """
    check_family(reference, snapshots)
    gaps = tqdm(list(snapshots.pairs()), desc="coupling", unit="gap", disable=not progress)
    couplings = tuple(couple(snapshots, reference, k, solver)[1] for k, _ in gaps)
    masses = masses_of(snapshots, couplings)
    field = drift.fit(
        snapshots, reference, couplings, masses=masses, generator=generator, progress=progress
    )
    bridge = Bridge(snapshots, reference, couplings, field, masses=masses)
    return bridge if masses is None else _calibrated(bridge, masses, generator)


def _calibrated(bridge: Bridge, masses: Masses, generator: torch.Generator) -> Bridge:
    """Return the bridge whose trajectories from the first snapshot grow as the population does.

    A rate is relative to the mean of the population, and that mean is over the trajectories of the
    bridge, of which couplings and network know only up to their errors: these would add up from
    gap to gap.
    """
    snapshots = bridge.snapshots
    starts = systematic(snapshots.weights[0], _CALIBRATED, generator)
    start = snapshots.x[0][starts]
    path = simulate(bridge, start, snapshots.times, n_steps=20, generator=generator)
    if path.log_mass is None:
        return bridge
    found = torch.logsumexp(path.log_mass, 1).diff().numpy()
    wanted = np.diff(np.log(snapshots.sizes))
    masses = replace(masses, sizes=masses.sizes + wanted - found)
    field = bridge.field
    if isinstance(field, PlugInField):
        field = replace(field, cell_masses=masses)
    return replace(bridge, masses=masses, field=field)


def check_family(reference: Reference, snapshots: Snapshots) -> None:
    """Raise unless the family suits the data.

    Raises
    ------
    ValueError
        Another dimension, negative cells of a positive family, a drift of another shape or with
        values that are not finite, a diffusion that is not ``sigma`` everywhere.
    """
    name, dim = type(reference).__name__, getattr(reference, "dim", None) or snapshots.dim
    if dim != snapshots.dim:
        raise ValueError(
            f"{name} has {dim} variables, the data have {snapshots.dim}; choose {dim} of them, or "
            "another reference="
        )
    if getattr(reference, "is_positive", False):
        n_negative = sum(int((x < 0).any(1).sum()) for x in snapshots.x)
        if n_negative:
            raise ValueError(
                f"{name} describes amounts, and {n_negative} cells have negative ones; work in "
                "counts or their logarithm, not in centred or scaled values"
            )
    if reference.is_fitted:
        found = reference.drift(snapshots.times[0], snapshots.x[0]).shape
        if found != snapshots.x[0].shape:
            raise ValueError(
                f"{name} returns a drift of shape {tuple(found)} for cells of shape "
                f"{tuple(snapshots.x[0].shape)}"
            )
    for t, x in zip(snapshots.times, snapshots.x, strict=True):
        _check_constant_noise(reference, t, x)


def _check_constant_noise(reference: Reference, t: float, x: Cells) -> None:
    sigma, noise = sigma_of(reference), reference.diffusion(t, x)
    if not torch.allclose(noise, torch.full_like(noise, sigma), rtol=1e-5, atol=0):
        raise ValueError(
            f"{type(reference).__name__} has a diffusion of {float(noise.min()):g} to "
            f"{float(noise.max()):g} at time {t:g}, and sigma={sigma:g}: couplings and drift of a "
            "bridge are those of one sigma for all variables, states and times. Work in variables "
            "in which the noise is constant (the logarithm, where it grows with the state), or "
            "simulate the process itself with ct.tl.simulate"
        )


def couple(
    snapshots: Snapshots, reference: Reference, k: int, solver: Solver
) -> tuple[Flow, Coupling]:
    """Return the law of the reference over gap ``k`` and the coupling under it."""
    flow = gap_flow(reference, snapshots.x[k], snapshots.times[k], snapshots.times[k + 1])
    cost, epsilon = flow.problem(snapshots.x[k + 1])
    return flow, couple_gap(snapshots, k, solver, cost, epsilon=epsilon)
