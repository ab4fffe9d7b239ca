"""Couplings that lose mass, growth per another unit, and numbers of cells that mean nothing."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch

import celltraj as ct
from celltraj.models import Brownian
from celltraj.models.coupling import couple_gap
from celltraj.models.coupling import couple_with_potentials as couple
from celltraj.ot import Minibatch, SquaredEuclidean, Unbalanced
from celltraj.snapshots import Snapshots


def toy(times=(0, 1, 2), n=60):
    rng = np.random.default_rng(0)
    x = rng.normal(scale=0.3, size=(3 * n, 3))
    up, k = rng.integers(0, 2, 3 * n), np.repeat([0, 1, 2], n)
    x[:, 0] += k
    x[:, 1] += np.where(up == 1, 0.7, -0.7) * k
    obs = pd.DataFrame({"time": np.asarray(times, float)[k], "arm": np.array(["down", "up"])[up]})
    return ad.AnnData(x, obs=obs.rename(index=str))


def test_couplings_that_lose_nearly_all_mass_are_refused():
    adata = toy()
    adata.X *= 15
    with pytest.raises(
        ct.ConvergenceError, match=r"keeps .* of the mass.* x the mean cost"
    ) as caught:
        ct.tl.couplings(adata, epsilon=1e-3, tau=(0.95, 0.99), progress=False)
    assert caught.value.result.row_mass.sum() < 0.01
    assert "celltraj" not in adata.uns
    assert not adata.obsm.keys()
    # as the message advises
    ct.tl.couplings(adata, tau=(0.95, 0.99), progress=False)
    ct.tl.fates(adata, groupby="arm", at=2, progress=False)
    assert np.isfinite(adata.obsm["ct_fates"]).all()


def test_bridges_and_flows_refuse_them_too():
    adata = toy()
    clouds = [torch.from_numpy(adata.X[(adata.obs["time"] == t).to_numpy()]) for t in (0, 1, 2)]
    snapshots = Snapshots((0.0, 1.0, 2.0), clouds)
    with pytest.raises(ct.ConvergenceError, match="of the mass"):
        couple(snapshots, Brownian(1e-4), 0, Unbalanced())
    short = ct.models.Training(max_steps=2)
    with pytest.raises(ct.ConvergenceError, match="of the mass"):
        ct.tl.fit_flow(
            adata,
            sigma=1e-4,
            options=ct.models.FlowOptions(coupling=Unbalanced()),
            training=short,
            progress=False,
        )


def test_growth_per_day_on_times_in_seconds_is_refused():
    adata = toy(times=(0, 86_400, 172_800))
    adata.obs["rate"] = np.random.default_rng(0).normal(0.5, 0.5, adata.n_obs)
    with pytest.raises(ValueError, match=r"another unit of time: .*days_per_unit"):
        ct.tl.couplings(adata, growth_key="rate", progress=False)
    assert "celltraj" not in adata.uns
    adata.obs["rate"] /= 86_400
    ct.tl.couplings(adata, growth_key="rate", progress=False)
    ct.tl.growth(adata)
    assert np.isfinite(adata.obs["ct_growth"][adata.obs["time"] < 172_800]).all()


def test_a_cell_without_descendants_is_counted_before_it_is_written():
    adata = toy()
    adata.X[0] += 1000
    with pytest.warns(ct.DataWarning, match="1 of 60 earlier cells have no descendants"):
        ct.tl.couplings(adata, epsilon=0.5, tau=(0.95, 0.99), progress=False)
    with pytest.warns(ct.DataWarning, match=r"without descendants \(1 at time 0\)"):
        ct.tl.growth(adata)
    assert np.flatnonzero(np.isneginf(adata.obs["ct_growth"])).tolist() == [0]
    ct.tl.fates(adata, groupby="arm", at=2, progress=False)
    assert np.flatnonzero(np.isnan(adata.obsm["ct_fates"]).any(1)).tolist() == [0]


@pytest.mark.filterwarnings("ignore:180 cells are exact copies")
def test_cells_that_were_counted_twice_change_nothing():
    adata = toy()
    adata.obs["rate"] = adata.X[:, 1]
    twice = ad.concat([adata, adata], index_unique="-")
    for cells in (adata, twice):
        ct.tl.couplings(cells, growth_key="rate", progress=False)
        ct.tl.growth(cells)
    one, two = (cells.uns["celltraj"]["couplings"]["gaps"]["mass"] for cells in (adata, twice))
    # conditions met to 1e-6, divided by 1 - tau
    np.testing.assert_allclose(two, one, rtol=1e-4)
    before = (adata.obs["time"] < 2).to_numpy()
    found = twice.obs["ct_growth"].to_numpy()[: adata.n_obs]
    np.testing.assert_allclose(found[before], adata.obs["ct_growth"][before], atol=1e-3)


def test_a_solver_without_a_base_gets_what_is_expected():
    snapshots = Snapshots((0.0, 1.0), ([[0.0], [1.0]], [[0.0], [1.0]]), growth=([1.0, 0], [0.0, 0]))
    cost = SquaredEuclidean(*snapshots.x)
    found = couple_gap(snapshots, 0, Minibatch(size=2), cost, epsilon=1.0)
    torch.testing.assert_close(found.row_mass, snapshots.expected(0), atol=1e-6, rtol=0)
