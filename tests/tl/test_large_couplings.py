"""Couplings of many cells: asked in linear time, in memory and after a file."""

import anndata as ad
import numpy as np
import pytest
from scipy import stats

import celltraj as ct
from celltraj._anndata.lineage import read_lineage
from celltraj.ot import StratifiedCoupling, _balanced, _stratified_coupling

N = 1500


@pytest.fixture(scope="module")
def exact():
    adata = ct.datasets.branching(n_cells=N, growth=(0.0, 0.0), seed=0)
    adata = adata[adata.obs["time"] > 1].copy()
    ct.tl.couplings(adata, growth=None, progress=False)
    ct.tl.fates(adata, groupby="arm", progress=False)
    return adata


@pytest.fixture(scope="module")
def drawn(exact):
    adata = ad.AnnData(exact.X, obs=exact.obs[["time", "arm"]].copy())
    with pytest.MonkeyPatch.context() as patch:
        # as above 10,000 cells a side, for what takes seconds
        patch.setattr(_balanced, "DENSE_LIMIT", 0)
        patch.setattr(_balanced, "DRAWN_LIMIT", 1)
        patch.setattr(_stratified_coupling, "_DRAWS", 500)
        ct.tl.couplings(adata, growth=None, progress=False)
        ct.tl.fates(adata, groupby="arm", progress=False)
    return adata


def test_the_record_says_that_marginals_were_measured(drawn):
    gaps = ct.get.convergence(drawn, key="couplings")
    assert gaps["is_drawn"].all()
    assert (gaps["marginal_error"] < _balanced.DRAWN_TOL).all()
    assert gaps["converged"].all()


def test_fates_are_those_of_the_exact_plans(exact, drawn):
    before = (exact.obs["time"] < 4).to_numpy()
    one, other = (adata.obsm["ct_fates"][before, 0] for adata in (drawn, exact))
    assert stats.pearsonr(one, other)[0] > 0.995


def test_a_file_gives_the_same_answers(drawn, tmp_path):
    drawn.write_h5ad(tmp_path / "drawn.h5ad")
    again = ad.read_h5ad(tmp_path / "drawn.h5ad")
    lineage = read_lineage(again, "couplings").lineage
    assert all(isinstance(one, StratifiedCoupling) for one in lineage.couplings)
    ct.tl.fates(again, groupby="arm", progress=False)
    one, other = (adata.obsm["ct_fates"][:, 0] for adata in (again, drawn))
    kept = np.isfinite(one)
    assert np.abs(one - other)[kept].mean() < 0.01


def test_cells_that_changed_are_told(drawn):
    turned = drawn.copy()
    turned.X[(turned.obs["time"] == 3).to_numpy(), 0] *= -1
    with pytest.raises(ValueError, match="are stale"):
        ct.tl.fates(turned, groupby="arm", progress=False)


def test_a_flow_follows_drawn_plans(monkeypatch):
    monkeypatch.setattr(_balanced, "DENSE_LIMIT", 0)
    monkeypatch.setattr(_balanced, "DRAWN_LIMIT", 1)
    monkeypatch.setattr(_balanced, "DRAWN_TOL", 0.2)
    adata = ct.datasets.branching(n_cells=400, growth=(0.0, 0.0), seed=0)
    short = ct.models.Training(max_steps=300)
    flow = ct.tl.fit_flow(adata, growth=None, sigma=0.5, training=short, progress=False)
    assert not flow.has_growth
    assert max(one.ratio for one in flow.passages) < 2
