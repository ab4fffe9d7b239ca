"""A solved problem of moscot becomes couplings."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array

import celltraj as ct


class Pushed:
    """A solution of low rank: all that it does is push."""

    rank = 3

    def __init__(self, plan):
        self.plan, self.shape = plan, plan.shape

    def push(self, x):
        return self.plan.T @ x

    @property
    def transport_matrix(self):
        raise MemoryError("the plan was made whole")


class Whole:
    """A solution of full rank before moscot 0.5.1, which must not be pushed cell by cell."""

    rank = -1

    def __init__(self, plan):
        self.transport_matrix, self.shape = plan, plan.shape

    def push(self, x):
        raise MemoryError("pushing makes an array as large as the plan for every cell")

    def sparsify(self, mode, value, batch_size):
        raise NotImplementedError(mode)


class Sparse(Whole):
    """A solution that was made sparse."""

    def __init__(self, plan):
        super().__init__(csr_array(plan))


class ByRow(Whole):
    """A solution since 0.5.1: it leaves out the smallest entries of each row by itself."""

    def sparsify(self, mode, value, batch_size):
        assert mode == "mass"
        assert 0 < value <= 1
        largest = np.sort(self.transport_matrix, axis=1)[:, ::-1]
        enough = (largest.cumsum(1) >= value * largest.sum(1, keepdims=True) - 1e-12).argmax(1)
        least = largest[np.arange(len(largest)), enough]
        kept = np.where(self.transport_matrix >= least[:, None], self.transport_matrix, 0)
        return Sparse(kept)


KINDS = [Pushed, Whole, Sparse, ByRow]


class Problem:
    def __init__(self, adata, plans, kind=Pushed):
        self.adata = adata
        self.solutions = {pair: kind(plan) for pair, plan in plans.items()}


@pytest.fixture
def cells():
    adata = ct.datasets.branching(n_cells=20, seed=0)
    adata = adata[adata.obs["time"] < 3].copy()
    adata.obs["day"] = pd.Categorical(adata.obs["time"].map("day {:g}".format))
    adata.obs["arm"] = np.where(adata.X[:, 1] > 0, "up", "down")
    return adata


def plans_of(adata, time_key="time"):
    """Return random plans by the labels of their times, and the rows of their cells."""
    rng, labels = np.random.default_rng(0), list(adata.obs[time_key].unique())
    rows = [np.flatnonzero(adata.obs[time_key] == label) for label in labels]
    parts = [rng.random((len(a), len(b))) ** 3 for a, b in pairwise(rows)]
    return dict(zip(pairwise(labels), parts, strict=True)), rows


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("time_key", ["time", "day"])
def test_plans_arrive_whole(cells, time_key, kind):
    plans, rows = plans_of(cells, time_key)
    ct.io.from_moscot(cells, Problem(cells, plans, kind), time_key=time_key, drop=0.0)
    found = cells.obsp["couplings"].toarray()
    for (before, after), plan in zip(pairwise(rows), plans.values(), strict=True):
        np.testing.assert_allclose(found[np.ix_(before, after)], plan)
    ct.tl.fates(cells, groupby="arm")


@pytest.mark.parametrize("kind", KINDS)
def test_each_row_keeps_the_mass_that_is_asked_for(cells, kind):
    plans, _ = plans_of(cells)
    whole = ct.io.from_moscot(cells, Problem(cells, plans, kind), drop=0.0, copy=True)
    ct.io.from_moscot(cells, Problem(cells, plans, kind), drop=0.05)
    kept, found = (one.obsp["couplings"].toarray() for one in (cells, whole))
    assert (kept.sum(1) >= 0.95 * found.sum(1) - 1e-12).all()
    assert (kept > 0).sum() < (found > 0).sum()
    assert cells.uns["celltraj"]["couplings"]["params"]["drop"] == 0.05


def test_every_tool_of_couplings_works_on_them(cells):
    plans, _ = plans_of(cells)
    ct.io.from_moscot(cells, Problem(cells, plans), drop=0.0, key_added="moscot")
    ct.tl.push(cells, source=0.0, target=2.0, cells={"arm": "up"}, key="moscot")
    ct.tl.pull(cells, source=0.0, target=2.0, cells={"arm": "up"}, key="moscot")
    ct.tl.transitions(cells, groupby="arm", key="moscot")
    ct.tl.entropy(cells, key="moscot")
    ct.tl.growth(cells, key="moscot")
    ct.ex.to_cellrank(cells, key="moscot")
    # growth is the mass that a cell sends over the mean, for a gap of one unit of time
    sent = plans[0.0, 1.0].sum(1)
    ours = cells.obs["ct_growth"][cells.obs["time"] == 0]
    np.testing.assert_allclose(ours, np.log(sent / sent.mean()), atol=1e-5)


def test_the_problem_knows_its_times(cells):
    plans, _ = plans_of(cells, "day")
    problem = Problem(cells, plans)
    problem.temporal_key = "day"
    ct.io.from_moscot(cells, problem)
    assert cells.uns["celltraj"]["couplings"]["params"]["time_key"] == "day"


def test_whole_numbers_are_the_same_times(cells):
    plans, _ = plans_of(cells)
    whole = {(int(a), int(b)): plan for (a, b), plan in plans.items()}
    again = ct.io.from_moscot(cells, Problem(cells, whole), copy=True)
    ct.io.from_moscot(cells, Problem(cells, plans))
    assert (again.obsp["couplings"] != cells.obsp["couplings"]).nnz == 0


def test_a_cell_may_have_no_descendants(cells):
    plans, rows = plans_of(cells)
    plans[0.0, 1.0][-1] = 0
    for kind in KINDS:
        adata = ct.io.from_moscot(cells, Problem(cells, plans, kind), copy=True)
        assert adata.obsp["couplings"][rows[0][-1]].nnz == 0
        ct.tl.fates(adata, groupby="arm")
        assert np.isnan(adata.obsm["ct_fates"][rows[0][-1]]).all()


def test_bad_input_is_named(cells):
    plans, _ = plans_of(cells)
    with pytest.raises(TypeError, match="expected a solved"):
        ct.io.from_moscot(cells, object())
    with pytest.raises(TypeError, match=r"Run problem\.prepare"):
        ct.io.from_moscot(cells, Problem(cells, {}))
    with pytest.raises(KeyError, match="names are not the same"):
        ct.io.from_moscot(cells[5:].copy(), Problem(cells, plans))
    with pytest.raises(ValueError, match="no plan between"):
        ct.io.from_moscot(cells, Problem(cells, {(0.0, 1.0): plans[0.0, 1.0]}))
    with pytest.raises(KeyError, match="pass the time_key= that the problem was prepared with"):
        ct.io.from_moscot(cells, Problem(cells, plans_of(cells, "day")[0]), time_key="time")
    for drop in (1.0, -0.1):
        with pytest.raises(ValueError, match=r"drop must be in \[0, 1\)"):
            ct.io.from_moscot(cells, Problem(cells, plans), drop=drop)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", [0.0, np.nan])
def test_a_solution_that_failed_is_named(cells, kind, value):
    plans, _ = plans_of(cells)
    failed = plans | {(1.0, 2.0): np.full_like(plans[1.0, 2.0], value)}
    with pytest.raises(ValueError, match="from 1 to 2 is not valid"):
        ct.io.from_moscot(cells, Problem(cells, failed, kind))


@pytest.mark.parametrize("options", [{}, {"batch_size": 16}, {"rank": 5}])
def test_a_real_problem(options):
    moscot_time = pytest.importorskip("moscot.problems.time")
    cells = ct.datasets.branching(n_cells=40, seed=0)
    cells.obs["day"] = cells.obs["time"].astype("category")
    cells.obsm["X_rep"] = cells.X.copy()
    problem = moscot_time.TemporalProblem(cells).prepare(time_key="day", joint_attr="X_rep")
    tau = {} if "rank" in options else {"tau_a": 0.9, "tau_b": 0.95}
    problem = problem.solve(epsilon=0.05, **tau, **options)
    ct.io.from_moscot(cells, problem, drop=0.0)
    assert cells.uns["celltraj"]["couplings"]["params"]["time_key"] == "day"
    rows = [np.flatnonzero(cells.obs["time"] == t) for t in (0.0, 1.0)]
    plan = np.asarray(problem.solutions[0.0, 1.0].transport_matrix)
    found = cells.obsp["couplings"].toarray()[np.ix_(*rows)]
    np.testing.assert_allclose(found, plan, rtol=1e-4, atol=1e-9)
