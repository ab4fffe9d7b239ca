"""Transport maps of Waddington-OT become couplings."""

import os

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array

import celltraj as ct

DATA = pytest.mark.skipif(not os.environ.get("CELLTRAJ_DATA_DIR"), reason="CELLTRAJ_DATA_DIR unset")
STORED = {(10.0, 10.5): "wot_tmap_10_105", (10.5, 11.0): "wot_tmap_105_11"}


@pytest.fixture
def cells():
    adata = ct.datasets.branching(n_cells=20, seed=0)
    adata = adata[adata.obs["time"] < 3].copy()
    adata.obs["arm"] = np.where(adata.X[:, 1] > 0, "CD4/CD8", "NK")
    return adata


def maps_of(adata):
    """Return random maps by pair, dense."""
    rng = np.random.default_rng(0)
    n = [int((adata.obs["time"] == t).sum()) for t in (0.0, 1.0, 2.0)]
    return {(float(k), k + 1.0): rng.random((n[k], n[k + 1])) for k in range(2)}


def test_fates_are_those_of_the_maps(cells):
    maps = maps_of(cells)
    ct.io.from_wot(cells, maps)
    ct.tl.fates(cells, groupby="arm")
    labels = pd.get_dummies(cells.obs["arm"]).to_numpy(float)[cells.obs["time"] == 2.0]
    expected = maps[0.0, 1.0] @ maps[1.0, 2.0] @ labels
    expected /= expected.sum(1, keepdims=True)
    np.testing.assert_allclose(cells.obsm["ct_fates"][cells.obs["time"] == 0], expected, atol=1e-6)


def test_every_tool_of_couplings_works_on_them(cells):
    ct.io.from_wot(cells, maps_of(cells), key_added="wot")
    ct.tl.push(cells, source=0.0, target=2.0, cells={"arm": "NK"}, key="wot")
    ct.tl.pull(cells, source=0.0, target=2.0, cells={"arm": "NK"}, key="wot")
    ct.tl.transitions(cells, groupby="arm", key="wot")
    ct.tl.entropy(cells, key="wot")
    ct.tl.growth(cells, key="wot")
    ct.ex.to_cellrank(cells, key="wot")
    assert ct.tl.interpolate(cells, time=0.5, n_cells=10, key="wot").n_obs == 10


@pytest.mark.parametrize("kind", [csr_array, np.asarray])
def test_sparse_and_dense_maps_are_the_same(cells, kind):
    maps = maps_of(cells)
    ct.io.from_wot(cells, {pair: kind(one) for pair, one in maps.items()})
    first, second = (np.flatnonzero(cells.obs["time"] == t) for t in (0.0, 1.0))
    found = cells.obsp["couplings"].toarray()
    np.testing.assert_allclose(found[np.ix_(first, second)], maps[0.0, 1.0])
    assert not found[np.ix_(second, first)].any()


def test_files_are_matched_by_the_names_of_cells(cells, tmp_path):
    maps = maps_of(cells)
    rng = np.random.default_rng(1)
    for (t0, t1), plan in maps.items():
        names = [cells.obs_names[cells.obs["time"] == t] for t in (t0, t1)]
        orders = [rng.permutation(len(part)) for part in names]
        ad.AnnData(
            plan[np.ix_(*orders)],
            obs=pd.DataFrame(index=names[0][orders[0]]),
            var=pd.DataFrame(index=names[1][orders[1]]),
        ).write_h5ad(tmp_path / f"tmap_{t0:g}_{t1:g}.h5ad")
    ct.io.from_wot(cells, tmp_path)
    again = cells.copy()
    ct.io.from_wot(again, maps)
    np.testing.assert_allclose(cells.obsp["couplings"].toarray(), again.obsp["couplings"].toarray())


def test_two_experiments_in_one_folder_are_not_mixed(cells, tmp_path):
    plan = maps_of(cells)[0.0, 1.0]
    names = [cells.obs_names[cells.obs["time"] == t] for t in (0.0, 1.0)]
    frames = [pd.DataFrame(index=part) for part in names]
    for name in ("2i", "serum"):
        one = ad.AnnData(plan, obs=frames[0], var=frames[1])
        one.write_h5ad(tmp_path / f"{name}_0.0_1.0.h5ad")
    with pytest.raises(ValueError, match=r"2i_0\.0_1\.0\.h5ad and serum_0\.0_1\.0\.h5ad"):
        ct.io.from_wot(cells, tmp_path)


def test_categorical_times_are_read_as_numbers(cells):
    labels = cells.obs["time"].map({0.0: "day 0", 1.0: "day 1", 2.0: "day 2"})
    cells.obs["day"] = pd.Categorical(labels)
    ct.io.from_wot(cells, maps_of(cells), time_key="day")
    ct.tl.fates(cells, groupby="arm", at=2.0)


def test_small_entries_can_be_left_out(cells):
    ct.io.from_wot(cells, maps_of(cells), mass=0.1)
    kept = cells.obsp["couplings"].nnz
    ct.io.from_wot(cells, maps_of(cells))
    assert kept < 0.9 * cells.obsp["couplings"].nnz


def test_bad_input_is_named(cells, tmp_path):
    maps = maps_of(cells)
    with pytest.raises(FileNotFoundError, match="no files named as"):
        ct.io.from_wot(cells, tmp_path)
    with pytest.raises(ValueError, match="no plan between the times"):
        ct.io.from_wot(cells, {(0.0, 1.0): maps[0.0, 1.0]})
    with pytest.raises(ValueError, match="has shape"):
        ct.io.from_wot(cells, maps | {(0.0, 1.0): maps[0.0, 1.0][:5]})
    with pytest.raises(ValueError, match="not negative"):
        ct.io.from_wot(cells, maps | {(0.0, 1.0): -maps[0.0, 1.0]})
    for mass in (1.0, -0.1):
        with pytest.raises(ValueError, match="mass must lie"):
            ct.io.from_wot(cells, maps, mass=mass)
    strange = ad.AnnData(maps[0.0, 1.0])
    with pytest.raises(KeyError, match="pass the cells that were coupled"):
        ct.io.from_wot(cells, maps | {(0.0, 1.0): strange})


@DATA
def test_the_maps_of_reprogramming_tell_the_same_fates():
    adata = ct.datasets.reprogramming()
    ct.io.from_wot(adata, {pair: adata.uns[name] for pair, name in STORED.items()})
    ct.tl.transitions(adata, groupby="cell_type", source=10.0, target=10.5)
    forward = ct.get.transitions(adata)
    np.testing.assert_allclose(forward.sum(axis=1), 1)
    assert forward.loc["Stromal", "Stromal"] > 0.8
