r"""Iterative refinement: alternate the bridge and the reference that it is nearest to.

1. couplings of all gaps under the reference: ``Q = argmin KL(Q | P_theta)`` given the snapshots;
2. the reference under which Q is most likely: ``theta = argmin KL(Q | P_theta)``.

Both lower the same divergence, whose negative is the log-likelihood that each round reports. Shen,
Berlinghieri, Broderick, *Multi-marginal Schroedinger bridges with iterative reference refinement*
(2024), algorithm 1, here in coupling space: no step of time enters the couplings.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from tqdm.auto import tqdm

from celltraj._checks import checked_fields
from celltraj._errors import ConvergenceError, RefinementError
from celltraj._typing import Time
from celltraj.metrics import wasserstein
from celltraj.models._predict import predict
from celltraj.models.bridge.bridge import Bridge, Round
from celltraj.models.bridge.fisher_scoring import RowMoments, score_transitions
from celltraj.models.bridge.fit import check_family
from celltraj.models.bridge.in_states import in_states
from celltraj.models.bridge.plug_in import PlugInField
from celltraj.models.bridge.spread import sigma_of_spread
from celltraj.models.coupling import couple_with_potentials
from celltraj.models.process import Affine
from celltraj.models.references import Brownian, Straightened
from celltraj.models.references.chart import (
    ShapedNoise,
    straightened,
    straightened_snapshots,
)
from celltraj.models.references.family import Parametric, Paths, Reference, sigma_of, with_sigma
from celltraj.models.references.gaussian_law import N_STEPS, Flow, flow_of, uniform_grid
from celltraj.models.references.paths import sample_paths
from celltraj.ot import Coupling, Solver
from celltraj.snapshots import Snapshots

_PATHS = 250  # pairs of a gap that paths are drawn for
_BY_PATHS = 2  # rounds before the parameters of a family are near enough for scoring


@checked_fields
@dataclass(frozen=True)
class Refinement:
    """Say when the alternation of bridge and reference ends.

    Parameters
    ----------
    max_rounds
        The most fits of the reference; 0 takes its parameters as they are. Brownian motion has none
        to fit.
    tol
        Stop once drift and log-likelihood change by less, the one relative to its own size, the
        other in nats per cell.
    hold_out
        Interior time, for ``ct.tl.fit_bridge`` as a number or its label, whose snapshot no round
        sees, and every round predicts: the reference of the best prediction is kept. By default the
        most likely one, which is right for a family that is true; a flexible one overfits, and a
        time helps where enough of them remain.
    estimate_sigma
        Whether sigma follows the quadratic variation of the bridges over the gaps.

    Raises
    ------
    ValueError
        ``max_rounds`` is negative or ``tol`` not positive.

    Examples
    --------
    >>> from celltraj.models import Refinement
    >>> Refinement(hold_out=2.0).max_rounds
    20
    """

    max_rounds: int = 20
    tol: float = 1e-3
    hold_out: Time | None = None
    estimate_sigma: bool = False

    def __post_init__(self) -> None:
        if self.max_rounds < 0 or not self.tol > 0:
            raise ValueError(f"max_rounds must be at least 0 and tol positive; found {self}")


@dataclass(frozen=True)
class _State:
    """A reference with the couplings under it."""

    reference: Reference
    flows: tuple[Flow, ...]
    couplings: tuple[Coupling, ...]

    def log_likelihood(self) -> float:
        """Return minus ``KL(Q | P)`` up to the entropies of the snapshots, from the duals."""
        total = 0.0
        for flow, c in zip(self.flows, self.couplings, strict=True):
            dual = float(c.f[c.a > 0] @ c.a[c.a > 0] + c.g[c.b > 0] @ c.b[c.b > 0]) / c.epsilon
            # the cost leaves out the constant of the Gaussian density
            log_det = float(torch.logdet(flow.covariance[-1]).mean())
            total -= dual + (log_det + flow.mean.shape[2] * math.log(2 * math.pi)) / 2
        return total


def refine(
    snapshots: Snapshots,
    reference: Reference,
    *,
    coupling: Solver,
    refinement: Refinement,
    generator: torch.Generator,
    progress: bool = True,
) -> tuple[Reference, tuple[Round, ...]]:
    """Fit ``reference`` to ``snapshots`` by alternation with the bridge.

    Begins with the reference as it is where its parameters are known, else with Brownian motion.

    Parameters
    ----------
    snapshots
        Observed clouds.
    reference
        Family, with its sigma.
    coupling
        Coupling solver.
    refinement
        When to stop.
    generator
        Source of randomness; every round draws the same numbers, so that rounds can be compared.
    progress
        Whether to show a bar over the rounds.

    Returns
    -------
    The kept reference and one :class:`Round` each.

    Raises
    ------
    ValueError
        The family does not suit the data, or the held-out time is not an inner one.
    RefinementError
        A round failed; its ``result`` is the bridge on the best reference until then.

    Examples
    --------
    >>> import torch
    >>> from celltraj import ot
    >>> from celltraj.snapshots import Snapshots
    >>> from celltraj.models import OrnsteinUhlenbeck, Refinement, refine
    >>> x = torch.linspace(1, 2, 20)[:, None]
    >>> halving = Snapshots((0.0, 1.0, 2.0), (x, x / 2, x / 4))
    >>> fitted, rounds = refine(
    ...     halving, OrnsteinUhlenbeck(sigma=0.05, ridge=0.0), coupling=ot.solve,
    ...     refinement=Refinement(), generator=torch.Generator().manual_seed(0), progress=False,
    ... )
    >>> round(float(fitted.matrix.exp()), 1)
    0.5
    """
    check_family(reference, snapshots)
    if isinstance(reference, ShapedNoise):
        return _refined_noise(
            snapshots, reference, coupling, refinement, generator=generator, progress=progress
        )
    seed = int(torch.randint(2**31 - 1, (1,), generator=generator))
    held = None if refinement.hold_out is None else float(refinement.hold_out)
    if held is not None and held not in snapshots.times[1:-1]:
        raise ValueError(
            f"hold_out must be one of the inner times {snapshots.times[1:-1]}; found {held:g}"
        )
    train = snapshots if held is None else snapshots.without([held])
    family = reference
    n_starts = 0 if reference.is_fitted else 1  # Brownian motion is no result of the family
    if n_starts:
        reference = Brownian(sigma_of(reference))
    rounds: list[Round] = []
    kept: list[Reference] = []
    state: _State | None = None
    recent: list[list[Paths]] = []
    draws = torch.Generator()
    change = math.nan
    bar = tqdm(range(refinement.max_rounds + 1), desc="refining", disable=not progress)
    for number in bar:
        try:
            if state is not None:
                paths = _evidence(recent, rounds)
                reference = _next(number - 1, family, state, train, paths, draws, refinement)
                change = _change(reference, state.reference, recent[-1])
            draws = torch.Generator().manual_seed(seed)
            state = _couple_all(train, reference, coupling)
            recent = [*recent[-1:], _sample_all(state, train, draws)]
            score = math.nan if held is None else _held_out(state, snapshots, train, held, seed)
        except (ValueError, ConvergenceError, torch.linalg.LinAlgError) as error:
            if len(rounds) <= n_starts:
                raise
            raise _diverged(number, error, rounds, kept, snapshots, coupling) from error
        rounds.append(_round(number, state, change, recent[-1], score))
        kept.append(reference)
        bar.set_postfix(log_likelihood=f"{rounds[-1].log_likelihood:.4g}")
        if number == refinement.max_rounds or _is_settled(rounds, refinement):
            break
    bar.close()
    best = _best(rounds)
    marked = tuple(replace(one, kept=one.number == best) for one in rounds)
    return kept[best], marked


def _refined_noise(
    snapshots: Snapshots,
    reference: ShapedNoise,
    coupling: Solver,
    refinement: Refinement,
    *,
    generator: torch.Generator,
    progress: bool,
) -> tuple[Reference, tuple[Round, ...]]:
    """Refine in coordinates of constant noise, and return the law of the states."""
    try:
        fitted, rounds = refine(
            straightened_snapshots(snapshots, reference),
            straightened(reference),
            coupling=coupling,
            refinement=refinement,
            generator=generator,
            progress=progress,
        )
    except RefinementError as error:
        raise RefinementError(str(error), in_states(error.result, snapshots)) from error
    return (fitted.law if isinstance(fitted, Straightened) else fitted), rounds


def _couple_all(train: Snapshots, reference: Reference, coupling: Solver) -> _State:
    pairs = [couple_with_potentials(train, reference, k, coupling) for k, _ in train.pairs()]
    flows, couplings = zip(*pairs, strict=True)
    return _State(reference, flows, couplings)


def _sample_all(state: _State, train: Snapshots, draws: torch.Generator) -> list[Paths]:
    is_affine = isinstance(state.reference, Affine)
    paths = []
    for k, (flow, coupling) in enumerate(zip(state.flows, state.couplings, strict=True)):
        n = 4 * _PATHS if is_affine else _PATHS
        i, j = coupling.sample(n, generator=draws)
        if is_affine:  # a coupling needs one step, a path more
            grid = uniform_grid(flow.times[0], flow.times[-1], N_STEPS)
            flow = flow_of(state.reference, train.x[k], grid)
        drawn = sample_paths(state.reference, flow, i, train.x[k + 1][j], generator=draws)
        paths.append(drawn)
    return paths


def _evidence(recent: Sequence[list[Paths]], rounds: Sequence[Round]) -> list[Paths]:
    """Return the paths of the last round; of the last two once the likelihood has fallen.

    A refinement that falls oscillates about what it looks for, and the mean is nearer to it.
    """
    fell = any(b.log_likelihood < a.log_likelihood for a, b in pairwise(rounds[1:]))
    return [part for paths in recent[-2 if fell else -1 :] for part in paths]


def _next(
    number: int,
    family: Reference,
    state: _State,
    train: Snapshots,
    paths: Sequence[Paths],
    draws: torch.Generator,
    refinement: Refinement,
) -> Reference:
    """Return the reference that the bridge of round ``number`` asks for."""
    current = state.reference
    if number >= _BY_PATHS and isinstance(current, Parametric):
        fitted: Reference = score_transitions(current, train, state.flows, state.couplings)
    else:
        start = current if isinstance(current, type(family)) else family
        fitted = start.fit(paths, generator=draws)
    if refinement.estimate_sigma and number > 0:  # Brownian motion leaves all to the noise
        return with_sigma(fitted, _estimated_sigma(state, train))
    return fitted


def _round(
    number: int, state: _State, change: float, paths: Sequence[Paths], score: float
) -> Round:
    return Round(
        number=number,
        log_likelihood=state.log_likelihood(),
        change=change,
        marginal_error=max(c.marginal_error for c in state.couplings),
        effective_share=min(part.effective for part in paths),
        held_out=score,
        sigma=sigma_of(state.reference),
        kept=False,
        estimates=state.reference.estimates(),
    )


def _change(new: Reference, old: Reference, paths: Sequence[Paths]) -> float:
    """Return the root mean square change of the drift on the paths, relative to the new drift."""
    moved = size = 0.0
    for part in paths:
        for t, x in zip(part.times.tolist(), part.x, strict=True):
            drift = new.drift(t, x)
            moved += float((drift - old.drift(t, x)).square().sum())
            size += float(drift.square().sum())
    return math.sqrt(moved / size) if size > 0 else 0.0


def _is_settled(rounds: Sequence[Round], refinement: Refinement) -> bool:
    """Whether nothing moves any more, or two rounds in a row brought nothing better."""
    if len(rounds) < 3:
        return False
    last, before = rounds[-1], rounds[-2]
    gain = last.log_likelihood - before.log_likelihood
    if last.change < refinement.tol and abs(gain) < refinement.tol:
        return True
    return _best(rounds) <= rounds[-3].number


def _best(rounds: Sequence[Round]) -> int:
    """Return the number of the round to keep: never that of the Brownian start of a family."""
    candidates = rounds[1:] or rounds
    if math.isnan(rounds[0].held_out):
        return max(candidates, key=lambda one: one.log_likelihood).number
    return min(candidates, key=lambda one: one.held_out).number


def _estimated_sigma(state: _State, train: Snapshots) -> float:
    """Return the sigma of the squared residuals of the couplings, the mean over gaps.

    Where the drift moves all cells alike, that by which clouds widen, see :mod:`.spread`: it needs
    no couplings, which of so few cells leave more to the noise than there was.

    Raises
    ------
    ValueError
        Nothing is left to the noise.
    """
    shares = []
    for k, (flow, coupling) in enumerate(zip(state.flows, state.couplings, strict=True)):
        moment = RowMoments.of(coupling, train.x[k + 1]).about(flow.mean[-1])
        scaled = torch.linalg.solve(flow.covariance[-1], moment)
        shares.append(float(scaled.diagonal(dim1=1, dim2=2).sum()) / train.dim)
    sigma = sigma_of(state.reference) * math.sqrt(sum(shares) / len(shares))
    if _moves_all_alike(state):
        sigma = sigma_of_spread(train)
    scale = float(torch.cat(train.x).std(0).max()) / math.sqrt(train.times[-1] - train.times[0])
    if not sigma > 1e-4 * scale:
        raise ValueError(
            f"the estimate of sigma fell to {sigma:.2g}: the family explains every cell, and the "
            "likelihood has no bound; pass sigma="
        )
    return sigma


def _moves_all_alike(state: _State) -> bool:
    """Whether no two cells come nearer to each other by the drift of the reference."""
    if not isinstance(state.reference, Affine):
        return False
    pull, _ = state.reference.affine(state.flows[0].mean.shape[2])
    return not bool(pull.any())


def _held_out(
    state: _State, snapshots: Snapshots, train: Snapshots, held: float, seed: int
) -> float:
    field = PlugInField(train, state.reference, state.couplings)
    bridge = Bridge(train, state.reference, state.couplings, field)
    truth = snapshots.x[snapshots.times.index(held)].numpy()
    cells, weights = predict(bridge, train, held, seed=seed)
    return wasserstein(cells, truth, weights=weights)


def _diverged(
    number: int,
    error: Exception,
    rounds: Sequence[Round],
    kept: Sequence[Reference],
    snapshots: Snapshots,
    coupling: Solver,
) -> RefinementError:
    best = _best(rounds)
    state = _couple_all(snapshots, kept[best], coupling)
    field = PlugInField(snapshots, state.reference, state.couplings)
    marked = tuple(replace(one, kept=one.number == best) for one in rounds)
    return RefinementError(
        f"round {number} of the refinement failed: {error}. The bridge of round {best} is the "
        "result of this error; take it, pass a smaller max_rounds= to ct.models.Refinement, or a "
        "larger sigma=",
        Bridge(snapshots, state.reference, state.couplings, field, marked),
    )
