"""MuData in, AnnData out; and a sentence where an AnnData was wanted."""

from types import SimpleNamespace

import anndata as ad
import numpy as np
import pytest

import celltraj as ct


def container():
    """Return two modalities, of which the second lacks some cells and has others in its order."""
    rna = ct.datasets.branching(n_cells=20, seed=0)
    rna.obsm["X_pca"] = 2 * rna.X
    atac = rna[::-1][:-30].copy()
    atac.obsm["X_lsi"] = np.asarray(atac.X)[:, :1] + 1
    obs = rna.obs[["time"]].assign(batch="a").rename(columns={"time": "rna:time"})
    return SimpleNamespace(mod={"rna": rna, "atac": atac}, obs=obs)


def real():
    mudata = pytest.importorskip("mudata")
    parts = container()
    mdata = mudata.MuData(parts.mod)
    mdata.obs["batch"] = "a"
    return mdata


@pytest.mark.parametrize(
    "made", [container, pytest.param(real, marks=pytest.mark.filterwarnings("ignore"))]
)
def test_representations_of_the_cells_that_all_have(made, tmp_path):
    mdata = made()
    rna, atac = mdata.mod["rna"], mdata.mod["atac"]
    adata = ct.io.from_mudata(mdata, ["rna:X_pca", "atac:X_lsi"])
    names = [name for name in rna.obs_names if name in set(atac.obs_names)]
    assert list(adata.obs_names) == names
    assert 0 < len(names) < rna.n_obs
    np.testing.assert_array_equal(adata.obsm["rna:X_pca"], rna[names].obsm["X_pca"])
    np.testing.assert_array_equal(adata.obsm["atac:X_lsi"], atac[names].obsm["X_lsi"])
    assert (adata.obs["time"] == rna[names].obs["time"]).all()
    assert (adata.obs["batch"] == "a").all()
    assert "rna:X_pca" not in rna.obsm
    adata.write_h5ad(tmp_path / "cells.h5ad")
    again = ad.read_h5ad(tmp_path / "cells.h5ad")
    np.testing.assert_array_equal(again.obsm["rna:X_pca"], adata.obsm["rna:X_pca"])


def test_one_name_will_do():
    mdata = container()
    adata = ct.io.from_mudata(mdata, "rna:X")
    np.testing.assert_array_equal(adata.obsm["rna:X"], mdata.mod["rna"].X)


@pytest.mark.parametrize(
    ("names", "error", "message"),
    [
        ("X_pca", ValueError, "such as 'rna:X_pca'; found 'X_pca', and the modalities"),
        ("protein:X", KeyError, r"no modality 'protein'; found \['rna', 'atac'\]"),
        ("rna:X_umap", KeyError, r"no obsm\['X_umap'\] in 'rna'; found \['X_pca'\]"),
        ([], ValueError, "must name one"),
    ],
)
def test_names_that_are_not_there(names, error, message):
    with pytest.raises(error, match=message):
        ct.io.from_mudata(container(), names)


def test_cells_that_nothing_shares():
    mdata = container()
    mdata.mod["atac"].obs_names = [f"other {i}" for i in range(mdata.mod["atac"].n_obs)]
    with pytest.raises(ValueError, match="no cell is in all of the modalities"):
        ct.io.from_mudata(mdata, ["rna:X", "atac:X"])


def test_a_container_in_place_of_an_anndata():
    with pytest.raises(TypeError, match=r"modalities \['rna', 'atac'\]\. Pass one, adata = mdata"):
        ct.tl.fit_bridge(container())
    tables = SimpleNamespace(tables={"cells": None}, shapes={})
    with pytest.raises(TypeError, match=r"Pass one: adata = sdata.tables\['cells'\]"):
        ct.tl.fit_bridge(tables)
    with pytest.raises(TypeError, match="mdata must be a MuData; found AnnData"):
        ct.io.from_mudata(container().mod["rna"], "rna:X")
