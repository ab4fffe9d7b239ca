"""The matrix that CellRank reads."""

import numpy as np
import pandas as pd
import pytest

import celltraj as ct

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
    bridge = ct.tl.fit_bridge(adata, growth=None, training=None, progress=False)
    ct.tl.couplings(adata, bridge, progress=False)
    ct.tl.fates(adata, groupby="arm")
    ct.ex.to_cellrank(adata, drop=0.0)
    labels = pd.get_dummies(adata.obs["arm"])[ARMS].to_numpy(float, copy=True)
    labels[adata.obs["time"] < 4.0] = 0
    for _ in range(4):
        labels = adata.obsp["T_fwd"] @ labels
    np.testing.assert_allclose(labels, adata.obsm["ct_fates"], atol=1e-4)


def test_less_mass_takes_fewer_entries(cells):
    sizes = [
        ct.ex.to_cellrank(cells, drop=drop, copy=True).obsp["T_fwd"].nnz
        for drop in (0.0, 1e-3, 0.1)
    ]
    assert sizes[0] > sizes[1] > sizes[2]
    with pytest.raises(ValueError, match=r"drop must be in \[0, 1\)"):
        ct.ex.to_cellrank(cells, drop=1.0, copy=True)


def test_it_survives_a_file(cells, tmp_path):
    import anndata as ad

    adata = ct.ex.to_cellrank(cells, copy=True)
    adata.write_h5ad(tmp_path / "cells.h5ad")
    again = ad.read_h5ad(tmp_path / "cells.h5ad")
    assert (again.obsp["T_fwd"] != adata.obsp["T_fwd"]).nnz == 0
    assert again.uns["T_fwd_params"]["init"]["obsp_key"] == "T_fwd"


@pytest.mark.parametrize("steps", ["connectivities", "all"])
def test_cells_of_the_last_time_move_among_their_neighbours(cells, steps):
    still = ct.ex.to_cellrank(cells, copy=True).obsp["T_fwd"]
    adata = ct.ex.to_cellrank(cells, self_transitions=steps, conn_weight=0.3, copy=True)
    matrix = adata.obsp["T_fwd"]
    assert matrix.dtype == np.float32
    assert matrix.indices.dtype == matrix.indptr.dtype == np.int32
    np.testing.assert_allclose(np.asarray(matrix.sum(1)).ravel(), 1, atol=1e-6)
    time = adata.obs["time"].to_numpy()
    last = time == time.max()
    i, j = matrix.nonzero()
    assert (time[j] >= time[i]).all()
    assert (time[j] == time[i])[last[i]].all()
    assert len(np.unique(j[i == np.flatnonzero(last)[0]])) > 10  # itself and its neighbours
    share = 0.3 if steps == "all" else 0.0
    onwards = matrix.toarray() * (time[None, :] > time[:, None])
    expected = (1 - share) * still.toarray() * ~last[:, None]
    np.testing.assert_allclose(onwards, expected, atol=1e-6)
    assert adata.uns["T_fwd_params"]["params"]["use_rep"] == "X"
    assert matrix.nnz < still.nnz + 2 * 16 * adata.n_obs


def test_neighbours_are_those_of_the_representation_of_the_couplings(cells):
    adata = cells.copy()
    adata.obsm["X_pca"] = np.random.default_rng(0).normal(size=(adata.n_obs, 3))
    ct.ex.to_cellrank(adata, self_transitions="connectivities")  # the couplings are those of X
    matrix = adata.obsp["T_fwd"]
    last = adata.obs["time"].to_numpy() == adata.obs["time"].max()
    i, j = matrix[last][:, last].nonzero()
    x = np.asarray(adata.X)[last]
    apart = np.linalg.norm(x[:, None] - x[None], axis=-1)
    assert apart[i, j].mean() < 0.5 * apart.mean()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"self_transitions": "uniform"}, "self_transitions must be one of"),
        ({"self_transitions": "all", "conn_weight": 0.0}, r"conn_weight must lie in \(0, 1\)"),
        ({"self_transitions": "all", "conn_weight": float("nan")}, "conn_weight must be finite"),
    ],
)
def test_other_steps_are_refused(cells, options, message):
    with pytest.raises(ValueError, match=message):
        ct.ex.to_cellrank(cells, copy=True, **options)


def test_copies_of_a_cell_have_neighbours():
    from celltraj.models.neighbour_chain import neighbour_chain

    x = np.concatenate([np.zeros((20, 2)), np.full((1, 2), 1e6), np.eye(2)])
    chain = neighbour_chain(x)
    np.testing.assert_allclose(chain.sum(1), 1)
    assert (chain.data > 0).all()
    flow = chain.multiply(1 / chain.diagonal()[:, None])  # the weights, which are symmetric
    np.testing.assert_allclose(flow.toarray(), flow.toarray().T)
    assert neighbour_chain(x[:1]).toarray() == 1


@pytest.mark.slow
def test_gpcca_finds_the_arms_of_the_export():
    cellrank = pytest.importorskip("cellrank")
    adata = ct.datasets.branching(n_cells=60, seed=0)
    adata.obs["arm"] = pd.Categorical(np.where(adata.X[:, 1] > 0, *ARMS))
    ct.tl.couplings(adata, tau=(1.0, 1.0), progress=False)
    ct.tl.fates(adata, groupby="arm")
    ct.ex.to_cellrank(adata, self_transitions="connectivities")
    estimator = cellrank.estimators.GPCCA(cellrank.kernels.PrecomputedKernel(adata))
    estimator.compute_schur(method="brandts")
    estimator.compute_macrostates(n_states=3, cluster_key="arm")
    estimator.predict_terminal_states(method="top_n", n_states=2)
    estimator.compute_fate_probabilities(use_petsc=False, solver="direct", show_progress_bar=False)
    early = (adata.obs["time"] < 4).to_numpy()
    found = np.asarray(estimator.fate_probabilities.X)[early]
    ours = adata.obsm["ct_fates"][early]
    assert found.shape[1] == 2
    assert abs(np.corrcoef(found[:, 0], ours[:, 0])[0, 1]) > 0.95


def test_plans_that_were_read_are_held_to_the_same_mass(cells):
    adata = cells.copy()
    n = [int((adata.obs["time"] == t).sum()) for t in sorted(adata.obs["time"].unique())]
    times = sorted(adata.obs["time"].unique())
    rng = np.random.default_rng(0)
    maps = {(times[k], times[k + 1]): rng.random((n[k], n[k + 1])) for k in range(len(times) - 1)}
    ct.io.from_wot(adata, maps, key_added="wot")
    for drop in (1.0, 2.0, -0.5):
        with pytest.raises(ValueError, match=r"drop must be in \[0, 1\)"):
            ct.ex.to_cellrank(adata, key="wot", drop=drop, copy=True)


@pytest.mark.parametrize("name", ["GPCCA", "CFLARE"])
def test_cellrank_finds_our_fates(name):
    cellrank = pytest.importorskip("cellrank")
    adata = ct.datasets.branching(n_cells=30, seed=0)
    adata.obs["arm"] = pd.Categorical(np.where(adata.X[:, 1] > 0, *ARMS))
    # a chain counts cells: it says what couplings say where these keep the mass of every cell
    ct.tl.couplings(adata, tau=(1.0, 1.0), progress=False)
    ct.tl.fates(adata, groupby="arm")
    ct.ex.to_cellrank(adata, drop=0.0)
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
