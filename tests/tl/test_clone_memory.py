"""The Hurst index of clones: laws whose index is known, files, and what is refused."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import celltraj as ct
from celltraj.models.clonal.memory import ClonalPlaces, clonal_memory

TIMES = (0.0, 1.0, 2.0, 4.0)


def moved(hurst, n, rng, *, times=TIMES, dim=2):
    """Return fractional Brownian motion ``(n, times, dim)``, started anywhere."""
    t = np.asarray(times)
    power = 2 * hurst
    cov = (t[:, None] ** power + t**power - np.abs(t[:, None] - t) ** power) / 2
    root = np.linalg.cholesky(cov[1:, 1:])
    steps = np.einsum("ij,njd->nid", root, rng.normal(size=(n, len(t) - 1, dim)))
    start = rng.normal(size=(n, 1, dim))
    return start + np.concatenate([np.zeros((n, 1, dim)), steps], axis=1)


def course(hurst, n=300, *, sisters=1, scatter=0.0, seed=0):
    """Return cells of clones, of each ``sisters`` at every time."""
    rng = np.random.default_rng(seed)
    places = np.repeat(moved(hurst, n, rng), sisters, axis=0)
    states = places.transpose(1, 0, 2) + scatter * rng.normal(size=(4, n * sisters, 2)) + 3.0
    obs = pd.DataFrame({"time": np.repeat([f"day {t:g}" for t in TIMES], n * sisters)})
    obs["clone"] = np.tile(np.repeat([f"clone {k}" for k in range(n)], sisters), 4)
    return ad.AnnData(states.reshape(-1, 2), obs=obs.rename(index="c{}".format))


@pytest.mark.parametrize("hurst", [0.3, 0.5, 0.8])
def test_the_index_of_fractional_brownian_motion_is_found(hurst):
    found = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        x, n = moved(hurst, 200, rng), 200
        codes, times = np.repeat(np.arange(n), 4), np.tile(TIMES, n)
        places = ClonalPlaces.of(x.reshape(-1, 2), times, codes, is_ancestor=True)
        found.append(clonal_memory(places, confidence=0.9, rng=rng))
    index = np.array([one.hurst for one in found])
    assert abs(index.mean() - hurst) < 3 * index.std(ddof=1) / np.sqrt(20)
    assert index.std() < 0.05
    inside = [one.lower <= hurst <= one.upper for one in found]
    assert np.mean(inside) > 0.9 - 3 * np.sqrt(0.9 * 0.1 / 20)


def test_the_scatter_of_sisters_is_taken_off():
    adata = course(0.7, n=400, sisters=2, scatter=0.5)
    ct.tl.clone_memory(adata, clone_key="clone")
    row = ct.get.clone_memory(adata).iloc[0]
    assert row["lower"] < 0.7 < row["upper"]
    pairs = ct.get.clone_memory(adata, pairs=True)
    # two variables, each of variance |t - s|^1.4; sd of a mean of 400 squares is 2 / sqrt(400 x 2)
    wanted = 2 * (pairs["t1"] - pairs["t0"]) ** 1.4
    np.testing.assert_allclose(pairs["variance"], wanted, rtol=4 * 0.07 + 0.1)
    ct.tl.clone_memory(adata, clone_key="clone", is_ancestor=True)
    assert ct.get.clone_memory(adata)["hurst"].iloc[0] < row["hurst"]  # scatter reads as noise


def test_it_comes_back_from_a_file_and_knows_no_order_nor_place(tmp_path):
    adata = course(0.5, n=60)
    ct.tl.clone_memory(adata, clone_key="clone", is_ancestor=True)
    adata.write_h5ad(tmp_path / "a.h5ad")
    again = ad.read_h5ad(tmp_path / "a.h5ad")
    pd.testing.assert_frame_equal(ct.get.clone_memory(again), ct.get.clone_memory(adata))
    turned = adata[np.random.default_rng(0).permutation(adata.n_obs)].copy()
    del turned.uns["celltraj"]
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    turned.X = turned.X @ turn * 5 + 100
    ct.tl.clone_memory(turned, clone_key="clone", is_ancestor=True)
    assert ct.get.clone_memory(turned)["hurst"].iloc[0] == pytest.approx(
        ct.get.clone_memory(adata)["hurst"].iloc[0], abs=1e-6
    )


def test_what_tells_no_memory_is_refused():
    adata = course(0.5, n=60)
    with pytest.raises(ValueError, match="no clone has two cells at times"):
        ct.tl.clone_memory(adata, clone_key="clone")
    two = adata[adata.obs["time"].isin(["day 0", "day 1"])].copy()
    with pytest.raises(ValueError, match="told by clones that were seen at three times or more"):
        ct.tl.clone_memory(two, clone_key="clone", is_ancestor=True)
    adata.obs["none"] = None
    with pytest.raises(ValueError, match="no cell has a clone"):
        ct.tl.clone_memory(adata, clone_key="none")
    few = adata[adata.obs["clone"].isin([f"clone {k}" for k in range(5)])].copy()
    with pytest.raises(ValueError, match=r"10 clones or more .* found 5"):
        ct.tl.clone_memory(few, clone_key="clone", is_ancestor=True)
    still = course(0.5, n=60, sisters=2, scatter=30.0)
    still.obs["clone"] = np.random.default_rng(0).permutation(still.obs["clone"])
    with pytest.raises(ValueError, match="sisters scatter as far"):
        ct.tl.clone_memory(still, clone_key="clone")
    with pytest.raises(ValueError, match="confidence"):
        ct.tl.clone_memory(adata, clone_key="clone", is_ancestor=True, confidence=1.0)
