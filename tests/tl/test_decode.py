"""The way from principal components back to genes."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from declared import check_record

import celltraj as ct
from celltraj._anndata import read_projection
from celltraj._anndata.results import DECODE
from celltraj.tl import _decode


def cells(n=60, g=20, seed=0):
    rng = np.random.default_rng(seed)
    rate = rng.gamma(1.0, 1.0, (n, 12)) @ rng.gamma(0.3, 0.5, (12, g))
    obs = pd.DataFrame({"time": np.repeat([0.0, 1.0], n // 2)}, index=[f"c{i}" for i in range(n)])
    var = pd.DataFrame(index=[f"g{i}" for i in range(g)])
    return ad.AnnData(np.log1p(rng.poisson(rate)).astype(np.float64), obs=obs, var=var)


@pytest.fixture
def adata():
    found = cells()
    ct.pp.pca_model(found, n_comps=5, fit_on=found.obs["time"] == 0)
    return found


def test_decoded_cells_are_their_orthogonal_projections(adata):
    train = adata.X[:30]
    axes = np.linalg.svd(train - train.mean(0), full_matrices=False)[2][:5]
    expected = train.mean(0) + (adata.X - train.mean(0)) @ axes.T @ axes
    found = ct.tl.decode(adata)
    # components and expression are rounded to float32
    np.testing.assert_allclose(found.X, expected, atol=1e-5)
    assert found.X.dtype == np.float32
    # the rest is at right angles to the plane: no point of it is nearer
    np.testing.assert_allclose((adata.X - expected) @ axes.T, 0, atol=1e-10)
    again = ct.pp.project(found[:, ::-1].copy(), loadings=adata, copy=True)
    np.testing.assert_allclose(again.obsm["X_pca"], adata.obsm["X_pca"], atol=1e-5)
    np.testing.assert_allclose(ct.tl.decode(again).X, found.X, atol=1e-5)


def test_the_core_is_idempotent_to_rounding(adata):
    plane = read_projection(adata)
    x = np.random.default_rng(1).normal(size=(10, 20))
    once = plane.decode(plane.encode(x))
    np.testing.assert_allclose(plane.decode(plane.encode(once)), once, atol=1e-13)
    z = np.random.default_rng(2).normal(size=(10, 5))
    np.testing.assert_allclose(plane.encode(plane.decode(z)), z, atol=1e-13)


def test_all_components_give_all_genes_back():
    adata = cells(g=8)
    ct.pp.pca_model(adata, n_comps=8)
    np.testing.assert_allclose(ct.tl.decode(adata).X, adata.X, atol=1e-5)


def test_means_of_genes_come_back_and_may_be_negative_on_the_way(adata):
    found = ct.tl.decode(adata)
    np.testing.assert_allclose(found.X[:30].mean(0), adata.X[:30].mean(0), atol=1e-6)
    assert found.X.min() < 0 <= adata.X.min()


def test_what_belongs_to_the_cells_is_kept(adata):
    adata.obs["dose"] = pd.Categorical(["high", "low"] * 30)
    adata.obsm["frame"] = pd.DataFrame({"a": np.arange(60.0)}, index=adata.obs_names)
    adata.uns["dose_colors"] = ["#000000", "#ffffff"]
    found = ct.tl.decode(adata[10:50], seed=3)
    assert found.var_names.tolist() == adata.var_names.tolist()
    pd.testing.assert_frame_equal(found.obs, adata.obs[10:50])
    np.testing.assert_array_equal(found.obsm["X_pca"], adata.obsm["X_pca"][10:50])
    assert found.obsm["frame"]["a"].tolist() == list(range(10, 50))
    assert list(found.uns["dose_colors"]) == adata.uns["dose_colors"]
    record = found.uns["celltraj"]["decode"]
    assert (record["params"], record["seed"]) == ({"use_rep": "X_pca"}, 3)
    check_record(record, DECODE)
    assert "decode" not in adata.uns["celltraj"]
    found.obsm["X_pca"][:] = 0
    found.uns["celltraj"]["projection"]["mean"][:] = 0
    assert adata.obsm["X_pca"].any()
    assert adata.uns["celltraj"]["projection"]["mean"].any()


def test_simulated_cells_are_led_back_by_the_data_or_a_model(adata):
    path = ct.tl.simulate(
        adata, ct.models.Brownian(0.1), start=0.0, stop=1.0, n_times=2, progress=False
    )
    with pytest.raises(KeyError, match=r"found \['simulate'\]. Run ct.pp.pca_model\(adata\)"):
        ct.tl.decode(path)

    class Model:
        projection = read_projection(adata)

    one, two = (ct.tl.decode(path, loadings=one) for one in (adata, Model()))
    np.testing.assert_array_equal(one.X, two.X)
    np.testing.assert_allclose(one.X, read_projection(adata).decode(path.X), atol=1e-5)
    assert one.obs["trajectory"].equals(path.obs["trajectory"])
    assert "simulate" in one.uns["celltraj"]


@pytest.mark.filterwarnings("ignore:Writing zarr v2 data:UserWarning")
@pytest.mark.parametrize("store", ["h5ad", "zarr"])
def test_files_before_and_after(adata, store, tmp_path):
    expected = ct.tl.decode(adata)
    write, read = getattr(ad.AnnData, f"write_{store}"), getattr(ad, f"read_{store}")
    write(adata[:, :3].copy(), tmp_path / f"a.{store}")
    found = ct.tl.decode(read(tmp_path / f"a.{store}"))
    np.testing.assert_array_equal(found.X, expected.X)
    write(found, tmp_path / f"b.{store}")
    again = read(tmp_path / f"b.{store}")
    np.testing.assert_array_equal(again.X, expected.X)
    assert again.uns["celltraj"]["decode"]["params"] == {"use_rep": "X_pca"}
    np.testing.assert_array_equal(ct.tl.decode(again).X, expected.X)


def test_cells_are_decoded_in_blocks(adata, monkeypatch):
    expected = ct.tl.decode(adata).X
    monkeypatch.setattr(_decode, "_BLOCK", 7)
    np.testing.assert_allclose(ct.tl.decode(adata).X, expected, atol=1e-6)
    assert ct.tl.decode(adata[:0]).shape == (0, 20)


def test_what_cannot_be_decoded(adata):
    with pytest.raises(KeyError, match=r"no obsm\['X_umap'\]; found \['X_pca'\]"):
        ct.tl.decode(adata, use_rep="X_umap")
    adata.obsm["X_two"] = adata.obsm["X_pca"][:, :2]
    with pytest.raises(ValueError, match="X_two has 2 variables, the projection 5 components"):
        ct.tl.decode(adata, use_rep="X_two")
    adata.obsm["X_pca"][4] = np.nan
    with pytest.raises(ValueError, match=r"1 cells have NaN .* in X_pca \(first: 'c4'\)"):
        ct.tl.decode(adata)
    with pytest.raises(TypeError, match="found str"):
        ct.tl.decode(adata, loadings="train")
