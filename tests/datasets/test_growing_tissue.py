"""The simulated tissue moves and grows as its docstring says."""

import numpy as np
import pytest

import celltraj as ct
from celltraj.datasets._growing_tissue import NOISE, flowed


@pytest.fixture(scope="module")
def tissue():
    return ct.datasets.growing_tissue(n_cells=4000, seed=3)


def test_cells_lie_where_the_flow_takes_them(tissue):
    for t in (0.0, 1.0, 2.0):
        here = (tissue.obs["time"] == t).to_numpy()
        away = tissue.obsm["spatial"][here] - flowed(tissue.obsm["origin"][here], t)
        assert np.abs(away.mean(0)).max() < 4 * NOISE / np.sqrt(here.sum())
        assert away.std() == pytest.approx(NOISE, rel=4 / np.sqrt(4 * here.sum()))


def test_the_flow_swells_turns_and_stretches():
    assert flowed(np.array([[1.0, 0.0], [0.0, 1.0]]), 0.0).tolist() == [[1, 0], [0, 1]]
    ends = flowed(np.array([[1.0, 0.0], [0.0, 1.0]]), 1.0)
    np.testing.assert_allclose(np.hypot(*ends.T), np.exp([0.33, 0.17]))
    np.testing.assert_allclose(np.arctan2(ends[0, 1], ends[0, 0]), 0.5)


def test_domains_grow_at_their_rates(tissue):
    counts = tissue.obs.groupby(["time", "domain"], observed=True).size().unstack()
    rates = tissue.obs.groupby("domain", observed=True)["growth_rate"].first()
    for t in (1.0, 2.0):
        expected = counts.loc[0.0] * np.exp(t * rates)
        # numbers at both times scatter, by binomial founders and Poisson descendants
        scatter = np.sqrt(expected * np.exp(t * rates) + expected)
        assert (np.abs(counts.loc[t] - expected) < 4 * scatter + 4 * np.sqrt(expected)).all()


def test_it_is_the_same_again_and_leaves_the_global_state_alone(tissue):
    before = np.random.get_state()[1].copy()
    again = ct.datasets.growing_tissue(n_cells=4000, seed=3)
    assert (np.random.get_state()[1] == before).all()
    np.testing.assert_array_equal(again.X, tissue.X)
    np.testing.assert_array_equal(again.obsm["spatial"], tissue.obsm["spatial"])


def test_numbers_that_are_none_are_refused():
    with pytest.raises(ValueError, match="n_cells must be at least 1"):
        ct.datasets.growing_tissue(n_cells=0)
