"""One convention of growth: found by itself, balanced otherwise, the same in all models."""

import numpy as np
import pytest
import torch
from analytic import normal

import celltraj as ct
from celltraj.models import Brownian, LearnedGrowth, fit_bridge
from celltraj.models.chains import GapPlans
from celltraj.models.course import Course
from celltraj.models.growth.budget import blended, effective_share, within_budget
from celltraj.models.growth.convention import with_growth
from celltraj.models.interpolants import BrownianBridgeInterpolant
from celltraj.ot import Unbalanced, solve
from celltraj.snapshots import Snapshots


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def doubling(n_times=4):
    """Cells right of zero double in every gap, those left of it keep their number."""
    clouds = tuple(
        torch.cat(
            [
                0.5 * normal(100, 2, seed=2 * k) - torch.tensor([3.0, 0.0]),
                0.5 * normal(50 * 2**k, 2, seed=2 * k + 1) + torch.tensor([3.0, 0.0]),
            ]
        ).double()
        for k in range(n_times)
    )
    return Snapshots(tuple(map(float, range(n_times))), clouds)


def drifting():
    """A cloud that moves at a constant pace: nothing grows."""
    clouds = tuple(normal(100, 2, seed=k) + 1.5 * k for k in range(5))
    return Snapshots(tuple(map(float, range(5))), clouds)


class TestWithGrowth:
    def test_growth_is_found_where_gaps_foretell_it(self):
        found, words = with_growth(doubling(), "auto", sigma=0.3, coupling=solve)
        x, rate = torch.cat(found.x)[:, 0], torch.cat(found.growth)
        gap = float(rate[x > 0].mean() - rate[x < 0].mean())
        assert 0.5 * np.log(2) < gap < 1.1 * np.log(2)
        assert "that gaps foretell in each other" in words

    def test_motion_is_not_taken_for_growth(self):
        found, words = with_growth(drifting(), "auto", sigma=0.3, coupling=solve)
        # the first and the last clouds are the foremost of nobody else: what is left of the error
        # changes a cell's descendants by a fifth at most
        assert words.startswith("none") or float(torch.cat(found.growth).abs().max()) < 0.25

    def test_a_prior_and_soft_plans_speak_for_themselves(self):
        snapshots = doubling()
        assert with_growth(snapshots, None, sigma=0.3, coupling=solve) == (snapshots, None)
        soft = with_growth(snapshots, "auto", sigma=0.3, coupling=Unbalanced())
        assert soft == (snapshots, None)
        rates = tuple(torch.ones(len(x)) for x in snapshots.x)
        known = Snapshots(snapshots.times, snapshots.x, growth=rates)
        assert with_growth(known, "auto", sigma=0.3, coupling=solve) == (known, None)
        assert with_growth(known, LearnedGrowth(), sigma=0.3, coupling=solve)[0] is not known

    def test_days_in_hours_give_the_rate_by_the_hour(self):
        days = doubling()
        hours = Snapshots(tuple(24 * t for t in days.times), days.x)
        one, _ = with_growth(days, "auto", sigma=0.3, coupling=solve)
        other, _ = with_growth(hours, "auto", sigma=0.3 / 24**0.5, coupling=solve)
        for rate, by_hour in zip(one.growth, other.growth, strict=True):
            torch.testing.assert_close(rate, 24 * by_hour, rtol=1e-6, atol=1e-8)


class TestBudget:
    def test_the_share_is_that_of_chains_drawn_one_by_one(self):
        grown, _ = with_growth(doubling(), LearnedGrowth(), sigma=0.3, coupling=solve)
        couplings = fit_bridge(
            grown, Brownian(0.3), coupling=solve, training=None, generator=generator()
        ).couplings
        plans = GapPlans.of(grown, [one.to_sparse(mass=0) for one in couplings])
        n = 20_000
        chains = plans.draw(torch.zeros(n, dtype=torch.long), generator=generator())
        log_mass = torch.zeros(n, dtype=torch.float64)
        for k, sent in enumerate(plans.masses.sent):
            log_mass += torch.from_numpy(sent)[chains.cells[k]]
        mass = log_mass.exp()
        drawn = float(mass.sum().square() / (n * mass.square().sum()))
        # the standard error of the ratio of 20,000 draws
        assert effective_share(grown, couplings) == pytest.approx(drawn, abs=0.02)

    def test_growth_is_taken_to_what_trajectories_can_carry(self):
        start = doubling()
        grown, _ = with_growth(start, LearnedGrowth(), sigma=0.3, coupling=solve)
        share = within_budget(start, grown, Brownian(0.3), solve, least=0.8)
        assert 0 < share < 1
        less = blended(start, grown, share)
        plans = fit_bridge(
            less, Brownian(0.3), coupling=solve, training=None, generator=generator()
        ).couplings
        assert effective_share(less, plans) == pytest.approx(0.8, abs=0.05)

    def test_without_growth_all_trajectories_count(self):
        still = drifting()
        plans = fit_bridge(
            still, Brownian(0.3), coupling=solve, training=None, generator=generator()
        ).couplings
        assert effective_share(still, plans) == pytest.approx(1.0)


def test_plans_with_growth_hold_every_snapshot():
    """Follow the plans from the first snapshot and count the mass: the cells of each come out."""
    grown, _ = with_growth(doubling(), "auto", sigma=0.3, coupling=solve)
    course = Course.of(
        grown, BrownianBridgeInterpolant(), sigma=0.3, coupling=solve, generator=generator()
    )
    weight = grown.weights[0].numpy()
    for k, plan in enumerate(course.plans.plans):
        row = np.asarray(plan.sum(1)).ravel()
        mass = weight * np.exp(course.plans.masses.sent[k])
        weight = plan.T @ (mass / row)
        # a thousandth of each row of the plan was left out
        np.testing.assert_allclose(weight, grown.weights[k + 1].numpy(), rtol=0.05)
        weight = weight / weight.sum()


@pytest.mark.parametrize("growth", ["auto", None])
def test_bridges_flows_and_couplings_agree(growth):
    adata = ct.datasets.branching(n_cells=100, seed=0)
    short = ct.models.Training(max_steps=20)
    bridge = ct.tl.fit_bridge(adata, growth=growth, training=None, progress=False)
    flow = ct.tl.fit_flow(adata, growth=growth, training=short, progress=False)
    ct.tl.couplings(adata, growth=growth, progress=False)
    found = [
        adata.uns["celltraj"][key]["params"].get("growth_found")
        for key in ("bridge", "flow", "couplings")
    ]
    assert found[0] == found[1] == found[2]
    assert bridge.has_growth == flow.has_growth
    if growth is None:
        assert not flow.has_growth
