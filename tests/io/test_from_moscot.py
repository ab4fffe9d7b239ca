"""A solved problem of moscot becomes couplings."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

import celltraj as ct


class Solution:
    """What is asked of a solution of moscot."""

    def __init__(self, plan):
        self.plan, self.shape = plan, plan.shape

    def push(self, x):
        return self.plan.T @ x


class Problem:
    def __init__(self, adata, plans):
        self.adata = adata
        self.solutions = {pair: Solution(plan) for pair, plan in plans.items()}


@pytest.fixture
def cells():
    adata = ct.datasets.branching(n_cells=20, seed=0)
    adata = adata[adata.obs["time"] < 3].copy()
    adata.obs["day"] = pd.Categorical(adata.obs["time"].map("day {:g}".format))
    return adata


@pytest.mark.parametrize("time_key", ["time", "day"])
def test_plans_arrive_whole(cells, time_key):
    rng, labels = np.random.default_rng(0), list(cells.obs[time_key].unique())
    n = [int((cells.obs[time_key] == label).sum()) for label in labels]
    plans = {
        (labels[k], labels[k + 1]): rng.random((n[k], n[k + 1])) ** 3 for k in range(len(n) - 1)
    }
    ct.io.from_moscot(cells, Problem(cells, plans), time_key=time_key, mass=0.0)
    rows = [np.flatnonzero(cells.obs[time_key] == label) for label in labels]
    found = cells.obsp["couplings"].toarray()
    for (before, after), plan in zip(pairwise(rows), plans.values(), strict=True):
        np.testing.assert_allclose(found[np.ix_(before, after)], plan)
    cells.obs["arm"] = np.where(cells.X[:, 1] > 0, "up", "down")
    ct.tl.fates(cells, groupby="arm")
    ct.io.from_moscot(cells, Problem(cells, plans), time_key=time_key, mass=0.05)
    kept = cells.obsp["couplings"].toarray()
    assert (kept.sum(1) >= 0.95 * found.sum(1) - 1e-12).all()
    assert (kept > 0).sum() < (found > 0).sum()


def test_bad_input_is_named(cells):
    with pytest.raises(TypeError, match="expected a solved"):
        ct.io.from_moscot(cells, object())
    with pytest.raises(TypeError, match=r"Run problem\.prepare"):
        ct.io.from_moscot(cells, Problem(cells, {}))
    some = cells[5:].copy()
    with pytest.raises(KeyError, match="names are not the same"):
        ct.io.from_moscot(some, Problem(cells, {(0.0, 1.0): np.ones((20, 20))}))
    with pytest.raises(ValueError, match="no plan between"):
        ct.io.from_moscot(cells, Problem(cells, {(0.0, 1.0): np.ones((20, 20))}))
    failed = {(0.0, 1.0): np.zeros((20, 20)), (1.0, 2.0): np.zeros((20, 20))}
    with pytest.raises(ValueError, match="not valid"):
        ct.io.from_moscot(cells, Problem(cells, failed))


def test_a_real_problem():
    moscot_time = pytest.importorskip("moscot.problems.time")
    cells = ct.datasets.branching(n_cells=40, seed=0)
    cells.obs["day"] = cells.obs["time"].astype("category")
    cells.obsm["X_rep"] = cells.X.copy()
    problem = moscot_time.TemporalProblem(cells).prepare(time_key="day", joint_attr="X_rep")
    problem = problem.solve(epsilon=0.05, tau_a=0.9, tau_b=0.95)
    ct.io.from_moscot(cells, problem, time_key="day", mass=0.0)
    rows = [np.flatnonzero(cells.obs["time"] == t) for t in (0.0, 1.0)]
    plan = np.asarray(problem.solutions[0.0, 1.0].transport_matrix)
    found = cells.obsp["couplings"].toarray()[np.ix_(*rows)]
    np.testing.assert_allclose(found, plan, rtol=1e-4, atol=1e-9)
