"""The matrix that CellRank reads."""

import numpy as np
import pandas as pd
import pytest

import celltraj as ct
from celltraj.models import PlugInDrift

ARMS = ["CD4/CD8", "NK"]


@pytest.fixture(scope="module")
def cells():
    adata = ct.datasets.branching(n_cells=30, seed=0)
    adata = adata[adata.obs["time"] > 1].copy()
    adata.obs["arm"] = pd.Categorical(np.where(adata.X[:, 1] > 0, *ARMS))
    ct.tl.couplings(adata, progress=False)
    ct.tl.fates(adata, groupby="arm")
    return adata


def test_rows_are_probabilities_between_neighbouring_times(cells):
    adata = ct.ex.to_cellrank(cells, copy=True)
    matrix = adata.obsp["T_fwd"]
    assert matrix.dtype == np.float32
    assert matrix.indices.dtype == matrix.indptr.dtype == np.int32
    np.testing.assert_allclose(np.asarray(matrix.sum(1)).ravel(), 1, atol=1e-6)
    time = adata.obs["time"].to_numpy()
    i, j = matrix.nonzero()
    ends = time == time.max()
    assert (time[j] - time[i] == np.where(ends[i], 0, 1)).all()
    assert (i[ends[i]] == j[ends[i]]).all()


def test_powers_of_the_matrix_are_the_balanced_fates():
    adata = ct.datasets.branching(n_cells=30, seed=0)
    adata.obs["arm"] = np.where(adata.X[:, 1] > 0, *ARMS)
    bridge = ct.tl.fit_bridge(adata, drift=PlugInDrift(), progress=False)
    ct.tl.fates(adata, bridge, groupby="arm")
    ct.ex.to_cellrank(adata, bridge, mass=0.0)
    labels = pd.get_dummies(adata.obs["arm"])[ARMS].to_numpy(float)
    labels[adata.obs["time"] < 4.0] = 0
    for _ in range(4):
        labels = adata.obsp["T_fwd"] @ labels
    np.testing.assert_allclose(labels, adata.obsm["ct_fates"], atol=1e-4)


def test_less_mass_takes_fewer_entries(cells):
    sizes = [
        ct.ex.to_cellrank(cells, mass=mass, copy=True).obsp["T_fwd"].nnz
        for mass in (0.0, 1e-3, 0.1)
    ]
    assert sizes[0] > sizes[1] > sizes[2]
    with pytest.raises(ValueError, match="mass must lie"):
        ct.ex.to_cellrank(cells, mass=1.0, copy=True)


def test_it_survives_a_file(cells, tmp_path):
    import anndata as ad

    adata = ct.ex.to_cellrank(cells, copy=True)
    adata.write_h5ad(tmp_path / "cells.h5ad")
    again = ad.read_h5ad(tmp_path / "cells.h5ad")
    assert (again.obsp["T_fwd"] != adata.obsp["T_fwd"]).nnz == 0
    assert again.uns["T_fwd_params"]["init"]["obsp_key"] == "T_fwd"


def test_plans_that_were_read_are_held_to_the_same_mass(cells):
    adata = cells.copy()
    n = [int((adata.obs["time"] == t).sum()) for t in sorted(adata.obs["time"].unique())]
    times = sorted(adata.obs["time"].unique())
    rng = np.random.default_rng(0)
    maps = {(times[k], times[k + 1]): rng.random((n[k], n[k + 1])) for k in range(len(times) - 1)}
    ct.io.from_wot(adata, maps, key_added="wot")
    for mass in (1.0, 2.0, -0.5, float("nan")):
        with pytest.raises(ValueError, match="mass must lie"):
            ct.ex.to_cellrank(adata, key="wot", mass=mass, copy=True)


@pytest.mark.parametrize("name", ["GPCCA", "CFLARE"])
def test_cellrank_finds_our_fates(name):
    cellrank = pytest.importorskip("cellrank")
    adata = ct.datasets.branching(n_cells=30, seed=0)
    adata.obs["arm"] = pd.Categorical(np.where(adata.X[:, 1] > 0, *ARMS))
    # a chain counts cells: it says what couplings say where these keep the mass of every cell
    ct.tl.couplings(adata, tau=(1.0, 1.0), progress=False)
    ct.tl.fates(adata, groupby="arm")
    ct.ex.to_cellrank(adata, mass=0.0)
    kernel = cellrank.kernels.PrecomputedKernel.from_adata(adata, key="T_fwd")
    estimator = getattr(cellrank.estimators, name)(kernel)
    last = adata.obs["time"] == adata.obs["time"].max()
    terminal = {arm: adata.obs_names[last & (adata.obs["arm"] == arm)].tolist() for arm in ARMS}
    estimator.set_terminal_states(terminal)
    estimator.compute_fate_probabilities(use_petsc=False, solver="direct", show_progress_bar=False)
    found, ours = estimator.fate_probabilities, ct.get.fates(adata)
    # balanced to a marginal error of 1e-6, and four gaps of float32 entries
    for arm in ARMS:
        np.testing.assert_allclose(found[:, arm].X.ravel(), ours[arm], atol=1e-5)
