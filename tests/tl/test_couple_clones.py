"""Couplings that clones inform: fates beside the truth, what is written, and what is refused."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import celltraj as ct

SILENT = {"use_rep": "X", "growth": None, "progress": False}


def crossing(n=250, n_clones=60, *, share=1.0, seed=0):
    """Return cells of two times whose clones cross over, which no snapshot tells."""
    rng = np.random.default_rng(seed)
    place = rng.uniform(-1, 1, n_clones)
    early, late = rng.integers(n_clones, size=(2, n))
    x = np.column_stack([np.zeros(n), place[early]]) + 0.05 * rng.normal(size=(n, 2))
    y = np.column_stack([np.full(n, 2.0), -place[late]]) + 0.25 * rng.normal(size=(n, 2))
    clones = np.concatenate([early, late])
    obs = pd.DataFrame({"time": np.repeat(["day 0", "day 1"], n)}).rename(index="c{}".format)
    obs["clone"] = pd.Series([f"clone {c}" for c in clones], index=obs.index, dtype=object)
    obs.loc[(clones >= share * n_clones), "clone"] = None
    obs["fate"] = [*[None] * n, *np.where(y[:, 1] > 0, "up", "down")]
    obs["truth"] = np.concatenate([-place[early], np.full(n, np.nan)])
    return ad.AnnData(np.concatenate([x, y]).astype("float32"), obs=obs)


def agreement(adata, cells):
    """Return the correlation of fates with where the clone went."""
    ct.tl.fates(adata, groupby="fate", progress=False)
    told = ct.get.fates(adata)["up"][cells]
    return np.corrcoef(told, adata.obs["truth"][cells])[0, 1]


@pytest.fixture(scope="module")
def coupled():
    adata = crossing(share=0.4)
    ct.tl.couple_clones(adata, clone_key="clone", **SILENT)
    return adata


def test_cells_without_a_barcode_learn_from_clones_of_cells_alike(coupled):
    adata = coupled.copy()
    others = adata.obs["truth"].notna() & adata.obs["clone"].isna()
    assert agreement(adata, others) > 0.9
    del adata.uns["celltraj"]["couplings"], adata.obsp["couplings"]
    ct.tl.couplings(adata, **SILENT)
    assert agreement(adata, others) < -0.9  # straight lines do not cross


def test_how_far_clones_are_followed_is_told(coupled):
    table = ct.get.clone_strength(coupled)
    assert table["t0"].unique().tolist() == [0.0]
    chosen = table[table["is_chosen"].astype(bool)].iloc[0]
    assert chosen["strength"] == 1.0
    assert chosen["gain"] > 3 * chosen["error"]
    words = coupled.uns["celltraj"]["couplings"]["params"]["strength_found"]
    assert words.startswith("0 to 1: strength 1, epsilon")


def test_snapshots_are_met_as_without_clones(coupled):
    plan = coupled.obsp["couplings"]
    early = (coupled.obs["time"] == "day 0").to_numpy()
    n = early.sum()
    for axis, rows in ((1, early), (0, ~early)):
        mass = np.asarray(plan.sum(axis)).ravel()
        np.testing.assert_allclose(mass[rows], 1 / n, atol=1e-6)
        assert (mass[~rows] == 0).all()


def test_it_comes_back_from_a_file_and_all_that_reads_couplings_does(coupled, tmp_path):
    coupled.write_h5ad(tmp_path / "a.h5ad")
    again = ad.read_h5ad(tmp_path / "a.h5ad")
    pd.testing.assert_frame_equal(
        ct.get.clone_strength(again), ct.get.clone_strength(coupled), check_dtype=False
    )
    again.obs["side"] = np.where(again.X[:, 1] > 0, "up", "down")
    ct.tl.transitions(again, groupby="side", source="day 0", target="day 1", progress=False)
    flows = ct.get.transitions(again)
    assert flows.loc["up", "down"] > 0.7
    ct.tl.growth(again)
    ct.tl.push(again, source="day 0", target="day 1", cells={"side": "up"})


def test_no_strength_is_transport_without_clones():
    adata = crossing(n=80)
    ct.tl.couple_clones(adata, clone_key="clone", strength=0, **SILENT)
    ct.tl.couplings(adata, key_added="plain", **SILENT)
    np.testing.assert_allclose(adata.obsm["couplings"], adata.obsm["plain"])
    with pytest.raises(KeyError, match="chose no strength"):
        ct.get.clone_strength(adata)


def test_clones_that_go_as_transport_has_it_change_nothing():
    adata = crossing(n=150, n_clones=15)
    late = (adata.obs["time"] == "day 1").to_numpy()
    states = adata.X.copy()
    states[late, 1] *= -1  # nothing crosses
    adata.X = states
    with pytest.warns(ct.DataWarning, match="clones change nothing in some gaps, 0 to 1: none"):
        ct.tl.couple_clones(adata, clone_key="clone", **SILENT)
    ct.tl.couplings(adata, key_added="plain", **SILENT)
    np.testing.assert_allclose(adata.obsm["couplings"], adata.obsm["plain"])


def test_neither_the_order_of_cells_nor_the_names_of_clones_matter():
    one = crossing(n=80)
    two = one[np.random.default_rng(0).permutation(one.n_obs)].copy()
    two.obs["clone"] = two.obs["clone"].astype("category").cat.rename_categories(lambda c: "x" + c)
    plans = []
    for adata in (one, two):
        ct.tl.couple_clones(adata, clone_key="clone", strength=0.5, **SILENT)
        ct.tl.fates(adata, groupby="fate", progress=False)
        plans.append(ct.get.fates(adata)["up"])
    # the number of neighbours comes from folds of clones, which are in another order
    assert np.corrcoef(*(p.loc[one.obs_names[:80]] for p in plans))[0, 1] > 0.99


def test_what_tells_nothing_is_refused():
    adata = crossing(n=80)
    options = SILENT | {"clone_key": "clone"}
    with pytest.raises(KeyError, match=r"no clones in adata.obs\['barcode'\]"):
        ct.tl.couple_clones(adata, **options | {"clone_key": "barcode"})
    for wrong in (-1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="strength must be"):
            ct.tl.couple_clones(adata, strength=wrong, **options)
    adata.obs["lone"] = [f"cell {k}" for k in range(adata.n_obs)]
    with pytest.raises(ValueError, match="seen at two times that follow each other"):
        ct.tl.couple_clones(adata, **options | {"clone_key": "lone"})
    adata.obs["none"] = None
    with pytest.raises(ValueError, match="no cell has a clone"):
        ct.tl.couple_clones(adata, strength=1.0, **options | {"clone_key": "none"})
    few = crossing(n=80, n_clones=6)
    with pytest.raises(ValueError, match="at most 6 that were seen at both ends"):
        ct.tl.couple_clones(few, **options)
    ct.tl.couple_clones(few, strength=0.5, **options)
