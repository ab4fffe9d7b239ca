"""Refinement: recovered parameters, what never falls, units, and what goes wrong."""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pytest
import torch

import celltraj as ct
from celltraj._errors import RefinementError
from celltraj.metrics import split_half_floor, wasserstein
from celltraj.models import (
    LotkaVolterra,
    Midpoint,
    ModuleReference,
    OrnsteinUhlenbeck,
    Refinement,
    Repressilator,
    Vortex,
    fit_bridge,
    refine,
    simulate,
)
from celltraj.models.bridge.fisher_scoring import RowMoments, log_likelihood, score_transitions
from celltraj.models.coupling import couple_with_potentials as couple
from celltraj.models.references import stack_points
from celltraj.ot import solve
from celltraj.snapshots import Snapshots


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def snapshots_of(adata, every=1):
    times = np.unique(adata.obs["time"])[::every]
    clouds = [torch.from_numpy(np.asarray(adata.X[adata.obs["time"] == t])) for t in times]
    return Snapshots(tuple(times), tuple(clouds))


def refined(snapshots, family, **options):
    return refine(
        snapshots,
        family,
        coupling=solve,
        refinement=Refinement(**options),
        generator=generator(),
        progress=False,
    )


@pytest.fixture(scope="module")
def prey():
    return snapshots_of(ct.datasets.lotka_volterra_simulation(100, seed=0), every=2)


def largest_error(family, true):
    return max(abs(family.estimates()[name] / value - 1) for name, value in true.items())


def test_lotka_volterra_is_recovered(prey):
    family, rounds = refined(prey, LotkaVolterra(sigma=0.1))
    # with 5 x 100 cells the standard errors are 1.5 % to 4 % (bootstrap of the benchmark)
    assert largest_error(family, {"alpha": 1, "beta": 0.4, "gamma": 0.4, "delta": 0.1}) < 0.12
    assert [one.number for one in rounds if one.kept] == [len(rounds) - 1]
    scored = [one.log_likelihood for one in rounds[2:]]
    assert (np.diff(scored) > -1e-6).all()


def test_repressilator_is_recovered():
    data = snapshots_of(ct.datasets.repressilator_simulation(50, seed=0), every=2)
    family, _ = refined(data, Repressilator(sigma=0.1))
    assert largest_error(family, {"beta": 10, "n": 3, "k": 1, "gamma": 1}) < 0.15


def test_mean_reversion_is_recovered():
    matrix = torch.tensor([[-0.8, 0.3], [0.0, -0.4]]).double()
    law = OrnsteinUhlenbeck(matrix=matrix, shift=torch.ones(2), sigma=0.2)
    # a ring, so that cells tell rotations apart
    angle = torch.linspace(0, 6, 200).double()
    start = torch.stack([4 * angle.cos(), 2 * angle.sin() + angle], 1)
    path = simulate(law, start, (0.0, 0.5, 1.0), generator=generator())
    found, _ = refined(Snapshots(path.times, tuple(path.x)), OrnsteinUhlenbeck(sigma=0.2, ridge=0))
    # noise .2 against a spread of 3 over 600 states; matching other cells than the true ones adds
    # as much again
    assert (found.matrix - matrix).abs().max() < 0.05


def test_scoring_follows_the_slope_of_the_likelihood(prey):
    law = LotkaVolterra(0.9, 0.38, 0.42, 0.11, sigma=0.1)
    pairs = [couple(prey, law, k, solve) for k, _ in prey.pairs()]
    flows, couplings = zip(*pairs, strict=True)
    moments = [RowMoments.of(c, prey.x[k + 1]) for k, c in enumerate(couplings)]

    def value(one):
        return log_likelihood([couple(prey, one, k, solve)[0] for k, _ in prey.pairs()], moments)

    better = score_transitions(law, prey, flows, couplings)
    assert value(better) > value(law)
    # at the top of the likelihood at fixed couplings, no parameter leads further up
    for _ in range(3):
        flows = [couple(prey, better, k, solve)[0] for k, _ in prey.pairs()]
        better = score_transitions(better, prey, flows, couplings)
    raw = better.parameters()
    for offset in 1e-3 * torch.eye(4).double():
        for sign in (-1, 1):
            assert value(better.with_parameters(raw + sign * offset)) < value(better) + 1e-6


def test_days_to_hours_change_only_rates(prey):
    hours = Snapshots(tuple(24 * t for t in prey.times), prey.x)
    days, _ = refined(prey, LotkaVolterra(sigma=0.1))
    slow, _ = refined(hours, LotkaVolterra(sigma=0.1 / 24**0.5))
    for name, value in days.estimates().items():
        assert 24 * slow.estimates()[name] == pytest.approx(value, rel=1e-3)


def test_a_vortex_moves_along_with_the_cells():
    law = Vortex(0.0, 0.0, 1.0, 1.0, 0.1, 0.0, sigma=0.05)
    start = torch.randn(60, 2, dtype=torch.float64, generator=generator()) * 0.2 + 1
    path = simulate(law, start, (0.0, 0.7, 1.4, 2.1), generator=generator())
    here = Snapshots(path.times, tuple(path.x))
    there = Snapshots(path.times, tuple(x + torch.tensor([5.0, -3.0]) for x in path.x))
    one, _ = refined(here, Vortex(sigma=0.05))
    two, _ = refined(there, Vortex(sigma=0.05))
    assert two.x0 == pytest.approx(one.x0 + 5, abs=1e-2)
    assert two.y0 == pytest.approx(one.y0 - 3, abs=1e-2)
    assert two.omega == pytest.approx(one.omega, rel=1e-2)


def test_the_order_of_cells_does_not_matter(prey):
    mixed = Snapshots(prey.times, tuple(x[torch.randperm(len(x))] for x in prey.x))
    one, _ = refined(prey, LotkaVolterra(sigma=0.1))
    two, _ = refined(mixed, LotkaVolterra(sigma=0.1))
    # rounds on random paths differ, where scoring ends does not: to within tol
    assert two.estimates() == pytest.approx(one.estimates(), rel=5e-3)


def test_hold_out_keeps_the_round_that_predicts_best(prey):
    family, rounds = refined(prey, LotkaVolterra(sigma=0.1), hold_out=4.0, max_rounds=2)
    scores = [one.held_out for one in rounds]
    (kept,) = (one for one in rounds if one.kept)
    assert kept.held_out == min(scores[1:])
    assert family.estimates() == kept.estimates


def test_sigma_follows_the_bridges(prey):
    _, rounds = refined(prey, LotkaVolterra(sigma=0.3), estimate_sigma=True, max_rounds=12)
    # 400 pairs of two residuals: standard error sigma / sqrt(1600), besides the freedom to choose
    # partners, which lowers it, and the snapshots' own scatter, which does not enter
    assert rounds[-1].sigma == pytest.approx(0.1, rel=0.25)
    assert rounds[0].sigma == 0.3


def test_no_rounds_take_the_reference_as_it_is(prey):
    law = LotkaVolterra(1.0, 0.4, 0.4, 0.1, sigma=0.1)
    family, rounds = refined(prey, law, max_rounds=0)
    assert family == law
    assert len(rounds) == 1


def test_a_refined_bridge_meets_every_snapshot_both_ways(prey):
    law = LotkaVolterra(1.0, 0.4, 0.4, 0.1, sigma=0.1)
    prey = prey.without(prey.times[3:])
    bridge = fit_bridge(
        prey, law, coupling=solve, training=None, generator=generator(), progress=False
    )
    for order in ([0, 1, 2], [2, 1, 0]):
        times = [prey.times[k] for k in order]
        path = simulate(
            bridge, prey.x[order[0]], times, solver=Midpoint(n_steps=20), generator=generator()
        )
        for k, states in zip(order, path.x, strict=True):
            cells = prey.x[k].numpy()
            assert wasserstein(states.numpy(), cells) < 1.5 * split_half_floor(cells, seed=0)
    x = prey.x[0][:5]
    difference = bridge.field.drift(0.6, x) - bridge.field.backward_drift(0.6, x)
    torch.testing.assert_close(difference, 0.01 * bridge.score(0.6, x))


def test_beyond_the_snapshots_the_fitted_law_goes_on(prey):
    family, _ = refined(prey, LotkaVolterra(sigma=0.1))
    bridge = fit_bridge(
        prey, family, coupling=solve, training=None, generator=generator(), progress=False
    )
    x = prey.x[-1]
    torch.testing.assert_close(bridge.drift(9.0, x), family.drift(9.0, x))
    truth = ct.datasets.lotka_volterra_simulation(100, seed=0).X[-100:]
    assert wasserstein(x.numpy(), truth) == 0
    true = LotkaVolterra(1.0, 0.4, 0.4, 0.1, sigma=0.1)
    forecast, expected = (
        simulate(law, x, (8.0, 10.0), generator=generator()).x[-1] for law in (bridge, true)
    )
    moved = (expected - x).norm(dim=1).mean()
    assert (forecast - expected).norm(dim=1).mean() < 0.15 * moved


def test_before_the_snapshots_the_law_runs_back():
    rate, sigma, n = 0.7, 0.3, 4000
    law = OrnsteinUhlenbeck(matrix=torch.tensor([[-rate]]), shift=torch.zeros(1), sigma=sigma)
    x = torch.ones(n, 1, dtype=torch.float64)
    cells = Snapshots((1.0, 2.0), (x[:20], x[:20] / 2))
    bridge = fit_bridge(
        cells, law, coupling=solve, training=None, generator=generator(), progress=False
    )
    past = simulate(bridge, x, (1.0, 0.0), generator=generator()).x[-1]
    # as a function of y, p(1 | y) is normal about exp(rate), with the variance of the noise as
    # seen from there; four standard errors beside the steps of the simulation
    mean, variance = np.exp(rate), sigma**2 * (np.exp(2 * rate) - 1) / (2 * rate)
    assert abs(float(past.mean()) - mean) < 4 * (variance / n) ** 0.5 + 0.002
    assert abs(float(past.var()) / variance - 1) < 4 * (2 / n) ** 0.5 + 0.02
    with pytest.raises(ValueError, match="lies outside the observed"):
        simulate(bridge, x, (3.0, 2.0), generator=generator())


@dataclass(frozen=True)
class Overshooting:
    """Jumps past the rate that the paths ask for, as far again as it was from it."""

    rate: float | None = None
    sigma: float | None = 0.3

    @property
    def is_fitted(self):
        return self.rate is not None

    def drift(self, t, x):
        return self.rate * x

    def diffusion(self, t, x):
        return torch.full_like(x, self.sigma)

    def estimates(self):
        return {} if self.rate is None else {"rate": self.rate}

    def fit(self, paths, *, generator):
        _, x, velocity, w = stack_points(paths)
        wanted = float((w @ (x * velocity)).sum() / (w @ x.square()).sum())
        EVIDENCE.append(len(paths))
        return replace(self, rate=wanted - 2.5 * (0.0 if self.rate is None else self.rate - wanted))


EVIDENCE = []


def test_a_refinement_that_oscillates_is_damped():
    EVIDENCE.clear()
    x = 1 + torch.rand(60, 1, dtype=torch.float64, generator=generator())
    halving = Snapshots((0.0, 1.0, 2.0), (x, x / 2, x / 4))
    _, rounds = refined(halving, Overshooting(), max_rounds=8)
    fell = [b.log_likelihood < a.log_likelihood for a, b in pairwise(rounds[1:])]
    first = fell.index(True)
    # two gaps a round; two rounds from the first fall on
    assert EVIDENCE[: first + 2] == [2] * (first + 2)
    assert set(EVIDENCE[first + 2 :]) == {4}


class Broken(torch.nn.Module):
    def __init__(self, what):
        super().__init__()
        self.rate, self.what = torch.nn.Parameter(torch.ones(())), what

    def forward(self, t, x):
        return {"shape": self.rate * x[:, :1], "nan": self.rate * x / 0 * 0}[self.what]


@dataclass(frozen=True)
class Unstable:
    """Fits well once, then explodes."""

    rate: float | None = None
    sigma: float | None = 0.3

    @property
    def is_fitted(self):
        return self.rate is not None

    def drift(self, t, x):
        return self.rate * x**3

    def diffusion(self, t, x):
        return torch.full_like(x, self.sigma)

    def estimates(self):
        return {} if self.rate is None else {"rate": self.rate}

    def fit(self, paths, *, generator):
        return replace(self, rate=-0.01 if self.rate is None else 1e3)


def test_a_round_that_fails_leaves_the_best_bridge(prey):
    with pytest.raises(RefinementError, match="round 2 of the refinement failed") as caught:
        refined(prey, Unstable())
    bridge = caught.value.result
    assert bridge.reference.rate == -0.01
    assert bridge.history["kept"].tolist() == [False, True]
    assert torch.isfinite(bridge.drift(0.5, prey.x[0])).all()


@pytest.mark.parametrize(
    ("family", "change", "message"),
    [
        (LotkaVolterra(sigma=0.1), lambda x: torch.cat([x, x], 1), "has 2 variables, the data"),
        (LotkaVolterra(sigma=0.1), lambda x: x - 5, "describes amounts, and"),
        (ModuleReference(Broken("shape"), sigma=0.1), lambda x: x, "returned"),
        (ModuleReference(Broken("nan"), sigma=0.1), lambda x: x, "NaN or infinite"),
        (LotkaVolterra(), lambda x: x, "has no sigma yet"),
    ],
)
def test_a_family_that_does_not_suit_is_refused(prey, family, change, message):
    changed = Snapshots(prey.times, tuple(change(x) for x in prey.x))
    with pytest.raises(ValueError, match=message):
        refined(changed, family)


def test_options_are_checked():
    with pytest.raises(ValueError, match="max_rounds must be at least 0"):
        Refinement(max_rounds=-1)
    with pytest.raises(ValueError, match="none to have them fitted"):
        LotkaVolterra(alpha=1.0)
    with pytest.raises(ValueError, match="must not be negative"):
        Repressilator(1.0, -1.0, 1.0, 1.0)
