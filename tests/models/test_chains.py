"""Chains follow their plans, and the mass that they carry is that of the snapshots."""

import numpy as np
import pytest
import torch
from analytic import normal
from scipy.sparse import csr_array

from celltraj.models.chains import GapPlans
from celltraj.ot import SquaredEuclidean, Unbalanced, solve
from celltraj.snapshots import Snapshots


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def shuffled():
    """Three snapshots of four cells: a permutation, then a plan that forgets all."""
    cells = Snapshots((0, 1, 2), tuple(normal(4, 1, seed=k) for k in range(3)))
    permuted = np.zeros((4, 4))
    permuted[range(4), [0, 1, 3, 2]] = 0.25
    return cells, GapPlans.of(cells, [csr_array(permuted), csr_array(np.full((4, 4), 1 / 16))])


@pytest.mark.parametrize("gap", [0, 1])
def test_chains_entered_anywhere_meet_every_marginal(gap):
    _, plans = shuffled()
    n = 40_000
    chains = plans.draw(torch.full((n,), gap), generator=generator())
    assert (torch.tensor([0, 1, 3, 2])[chains.cells[0]] == chains.cells[1]).all()
    for rows in chains.cells:
        share = torch.bincount(rows, minlength=4) / n
        assert (share - 0.25).abs().max() < 4 * (0.25 * 0.75 / n) ** 0.5
    assert not plans.masses.is_growing


def test_states_are_those_of_the_cells():
    cells, plans = shuffled()
    chains = plans.draw(torch.tensor([0, 1, 1]), generator=generator())
    states = chains.states(cells)
    for k, rows in enumerate(chains.cells):
        torch.testing.assert_close(states[k], cells.x[k][rows])


@pytest.fixture(scope="module")
def relaxed():
    x, y = normal(60, 2, seed=0), 1.5 * normal(80, 2, seed=1) + 1
    cells = Snapshots((0.0, 4.0), (x, y))
    plan = Unbalanced(tau_a=0.9, tau_b=0.95)(SquaredEuclidean(x, y), *cells.weights, epsilon=0.3)
    return cells, GapPlans.of(cells, [plan.to_sparse(mass=0.0)], neighbours=1), plan


def mean_of(plans, chains, values, s):
    """Return the mean of ``values (n,)`` weighted by the mass of the chains at share ``s``."""
    rows = torch.arange(len(values))
    mass = plans.mass(chains, rows, torch.full((len(values),), s, dtype=torch.float64))
    return float((mass * values).mean()), float(mass.mean())


def test_mass_leads_from_one_snapshot_to_the_other_exactly(relaxed):
    cells, plans, plan = relaxed
    assert plans.masses.is_growing
    n = 60_000
    chains = plans.draw(torch.zeros(n, dtype=torch.long), generator=generator())
    x, y = (cells.x[k][chains.cells[k]] for k in (0, 1))
    middle = plan.pull(torch.ones(80, dtype=torch.float64))
    middle = middle / middle.sum()
    for axis in (0, 1):
        found, total = mean_of(plans, chains, x[:, axis], 0.0)
        error = float(x[:, axis].std()) / n**0.5
        assert found == pytest.approx(float(cells.x[0][:, axis].mean()), abs=4 * error)
        assert total == pytest.approx(1.0, abs=1e-9)
        # at the end the weights are unequal: their spread adds to the standard error
        mass = plans.mass(chains, torch.arange(n), torch.ones(n, dtype=torch.float64))
        error = float((mass * y[:, axis]).std()) / n**0.5
        found, total = mean_of(plans, chains, y[:, axis], 1.0)
        assert found == pytest.approx(float(cells.x[1][:, axis].mean()), abs=4 * error)
        assert total == pytest.approx(1.0, abs=4 * float(mass.std()) / n**0.5)
        # half way the plan itself is nearly reached: (1 - s)^p and s^p are 1/8
        found, _ = mean_of(plans, chains, x[:, axis], 0.5)
        between = float(middle @ cells.x[0][:, axis]), float(cells.x[0][:, axis].mean())
        assert min(between) - 0.05 < found < max(between) + 0.05


def test_the_rate_is_the_derivative_of_the_mass(relaxed):
    _, plans, _ = relaxed
    chains = plans.draw(torch.zeros(20, dtype=torch.long), generator=generator())
    rows, step = torch.arange(20), 1e-5
    for s in (0.0, 0.3, 0.9):
        after, before = (
            plans.mass(chains, rows, torch.full((20,), s + h).double()).log() for h in (step, -step)
        )
        # the gap is 4 units of time long; Z is interpolated between 33 nodes
        rate = plans.masses.growth().rate(4.0 * s, chains.sent, chains.met)
        torch.testing.assert_close(rate, (after - before) / (2 * step) / 4, rtol=1e-3, atol=1e-3)


def test_neighbours_share_what_they_send(relaxed):
    cells, plans, plan = relaxed
    smooth = GapPlans.of(cells, [plan.to_sparse(mass=0.0)], neighbours=3)
    nearest = torch.cdist(cells.x[0], cells.x[0]).argsort(1)[:, :3].numpy()
    expected = np.log(np.exp(plans.masses.sent[0])[nearest].mean(1))  # all weigh the same
    np.testing.assert_allclose(smooth.masses.sent[0], expected)
    n = 60_000
    chains = smooth.draw(torch.zeros(n, dtype=torch.long), generator=generator())
    for s in (0.0, 0.4, 1.0):
        mass = smooth.mass(chains, torch.arange(n), torch.full((n,), s).double())
        error = float(mass.std()) / n**0.5
        assert float(mass.mean()) == pytest.approx(1.0, abs=4 * error + 1e-9)


def test_growth_stays_within_what_paths_do(relaxed):
    _, plans, _ = relaxed
    growth = plans.masses.growth()
    wild = torch.tensor([50.0, -50.0]).double()
    (low, high), _ = growth.bounds[0].tolist()
    none = torch.zeros(2).double()
    bounded = torch.tensor([high, low]).double()
    torch.testing.assert_close(growth.rate(0.4, wild, none), growth.rate(0.4, bounded, none))


def test_a_cell_that_sends_nothing_starts_no_chain():
    cells = Snapshots((0, 1), (normal(3, 1, seed=0), normal(3, 1, seed=1)))
    plan = csr_array(np.array([[0.0, 0, 0], [0.5, 0, 0], [0, 0.25, 0.25]]))
    plans = GapPlans.of(cells, [plan], neighbours=1)
    chains = plans.draw(torch.zeros(100, dtype=torch.long), generator=generator())
    assert set(chains.cells[0].tolist()) == {1, 2}
    assert (chains.cells[1][chains.cells[0] == 1] == 0).all()
    mass = plans.mass(chains, torch.arange(100), torch.full((100,), 0.5).double())
    assert torch.isfinite(mass).all()
    assert torch.isfinite(plans.masses.growth().rate(0.5, chains.sent, chains.met)).all()


def test_rows_of_tiny_mass_keep_their_law():
    # sums over all rows would swallow a row of mass 1e-20 and always draw its first column
    cells = Snapshots((0, 1), (normal(2, 1, seed=0), normal(2, 1, seed=1)))
    plans = GapPlans.of(cells, [csr_array(np.array([[0.5, 0.5], [1e-20, 3e-20]]))], neighbours=1)
    n = 20_000
    chains = plans.draw(torch.zeros(n, dtype=torch.long), generator=generator())
    columns = chains.cells[1][chains.cells[0] == 1]
    assert float((columns == 1).double().mean()) == pytest.approx(0.75, abs=4 * 0.433 / n**0.5 * 2)


def test_a_balanced_plan_carries_equal_mass():
    x = normal(50, 2, seed=0)
    cells = Snapshots((0.0, 1.0), (x, x + 1))
    plan = solve(SquaredEuclidean(x, x + 1), *cells.weights, epsilon=0.5)
    plans = GapPlans.of(cells, [plan.to_sparse(mass=1e-3)])
    assert not plans.masses.is_growing
    assert plans.masses.growth() is None
