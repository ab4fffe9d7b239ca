"""Columns of obs and what cannot be read: absent, twice there, of another type, or on disk."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix

import celltraj as ct
from celltraj._anndata import check_adata, column_of, has_column, in_memory, unique_names

SILENT = {"progress": False}


@pytest.fixture
def adata():
    adata = ct.datasets.branching(n_cells=20, seed=0)
    adata.obs["weight"] = 1.0
    adata.obs["rate"] = 0.0
    adata.obs["sample"] = [f"m{k % 4}" for k in range(adata.n_obs)]
    adata.obs["diet"] = np.where(adata.obs["sample"].isin(["m0", "m1"]), "lean", "fat")
    return adata


def doubled(adata, name):
    """Return the cells with a second column of that name, as after a merge."""
    twice = adata.copy()
    twice.obs = pd.concat([twice.obs, twice.obs[[name]]], axis=1)
    return twice


def fitted(adata, **options):
    return ct.tl.fit_bridge(adata, training=None, **SILENT, **options)


CALLS = {
    "time": lambda adata: ct.pp.check_times(adata),
    "arm": lambda adata: ct.tl.transitions(adata, groupby="arm", **SILENT),
    "weight": lambda adata: ct.tl.couplings(adata, counts="weight", **SILENT),
    "rate": lambda adata: ct.tl.couplings(adata, growth_key="rate", **SILENT),
    "sample": lambda adata: ct.tl.bootstrap(
        adata, fit=fitted, n_bootstrap=2, n_jobs=1, sample_key="sample", **SILENT
    ),
    "diet": lambda adata: ct.tl.compare_conditions(
        adata, sample_key="sample", condition_key="diet", of="rate"
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_two_columns_of_one_name_are_told(adata, name):
    ct.tl.couplings(adata, **SILENT)
    with pytest.raises(ValueError, match=f"adata.obs has 2 columns of the name '{name}'"):
        CALLS[name](doubled(adata, name))
    # the way out that the message names
    mended = doubled(adata, name)
    mended.obs = mended.obs.loc[:, ~mended.obs.columns.duplicated()]
    assert column_of(mended, name).equals(adata.obs[name])


def test_two_columns_that_nobody_asks_for_do_no_harm(adata):
    assert len(ct.pp.check_times(doubled(adata, "arm"))) == 5


@pytest.mark.parametrize("name", [3, None, ["time"], ("time",), pd.Series([0])])
def test_another_type_than_a_text_names_no_column(adata, name):
    with pytest.raises(TypeError, match=r"name of a column .* must be a text"):
        column_of(adata, name)
    assert not has_column(adata, name)


def test_a_missing_column_says_what_there_is_and_what_to_do(adata):
    with pytest.raises(KeyError, match=r"no groups in adata.obs\['cell'\]; columns found: .*'arm'"):
        column_of(adata, "cell", what="groups")


class Lazy:
    """What anndata.experimental.read_lazy puts in the place of obs."""

    shape = (100, 1)
    columns = ("time",)


@pytest.mark.parametrize(
    "call",
    [
        check_adata,
        ct.pp.check_times,
        ct.pp.pca_model,
        ct.tl.couplings,
        lambda adata: ct.tl.fit_bridge(adata, training=None),
        lambda adata: ct.pl.snapshots(adata, show=False),
    ],
)
def test_cells_that_are_not_in_memory_are_told(adata, monkeypatch, call):
    monkeypatch.setattr(ad.AnnData, "obs", property(lambda _: Lazy()))
    with pytest.raises(TypeError, match=r"read_lazy.*adata = adata.to_memory\(\)"):
        call(adata)


@pytest.mark.filterwarnings("ignore:Writing zarr v2 data:UserWarning")
def test_a_lazily_opened_file_works_once_it_is_loaded(adata, tmp_path):
    pytest.importorskip("xarray")
    pytest.importorskip("dask")
    adata.write_zarr(tmp_path / "cells.zarr")
    lazy = ad.experimental.read_lazy(tmp_path / "cells.zarr")
    for refused in (ct.pp.check_times, ct.tl.couplings):
        with pytest.raises(TypeError, match="to_memory"):
            refused(lazy)
    assert ct.pp.check_times(lazy.to_memory()).equals(ct.pp.check_times(adata))


class Deferred:
    """An array that is computed when asked, as those of dask are."""

    dask = ()

    def __init__(self, values):
        self.values = values

    def compute(self):
        return self.values


@pytest.mark.parametrize("values", [np.eye(2), csr_matrix(np.eye(2))])
def test_what_is_deferred_is_computed_and_all_else_left_as_it_is(values):
    assert in_memory(Deferred(values)) is values
    assert in_memory(values) is values


def test_two_cells_or_genes_of_one_name_are_told():
    with pytest.raises(
        ValueError, match=r"names of genes are not unique \('a' is there twice.*var"
    ):
        unique_names(pd.Index(["a", "b", "a"]), "genes")
    assert unique_names(pd.Index(["a", "b"]), "cells").tolist() == ["a", "b"]


def test_samples_are_not_drawn_where_cells_have_none(adata):
    adata.obs.loc[adata.obs_names[:3], "sample"] = None
    with pytest.raises(ValueError, match=r"\['sample'\] is missing for 3 cells"):
        CALLS["sample"](adata)
