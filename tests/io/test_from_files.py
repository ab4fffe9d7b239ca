"""States of many files in one table, read without their genes."""

import anndata as ad
import numpy as np
import pytest

import celltraj as ct
from celltraj._anndata import many_files


def day(n_cells, seed, basis=None):
    adata = ct.datasets.branching(n_cells=n_cells, seed=seed)
    adata.obsm["X_pca"] = adata.X.astype(np.float64)
    if basis is not None:
        adata.varm["PCs"] = basis
    return adata


@pytest.fixture
def files(tmp_path):
    """Return two files, one of them a zarr store, and what they hold."""
    one, other = day(20, 0, np.eye(2)), day(30, 1, np.eye(2) + 1e-7)
    one.write_h5ad(tmp_path / "monday.h5ad")
    other.write_zarr(tmp_path / "tuesday.zarr")
    return [tmp_path / "monday.h5ad", tmp_path / "tuesday.zarr"], [one, other]


@pytest.mark.filterwarnings("ignore")  # of zarr, about formats
def test_rows_of_all_files_in_their_order(files, monkeypatch, tmp_path):
    monkeypatch.setattr(many_files, "_ROWS", 37)
    paths, parts = files
    adata = ct.io.from_files(paths)
    expected = np.concatenate([part.obsm["X_pca"] for part in parts]).astype(np.float32)
    np.testing.assert_array_equal(adata.obsm["X_pca"], expected)
    assert adata.obsm["X_pca"].dtype == np.float32
    assert adata.X is None
    counts = adata.obs["file"].value_counts(sort=False)
    assert counts.to_dict() == {"monday": parts[0].n_obs, "tuesday": parts[1].n_obs}
    assert adata.obs_names.is_unique
    assert adata.obs_names[0] == f"monday:{parts[0].obs_names[0]}"
    adata.write_h5ad(tmp_path / "all.h5ad")
    again = ad.read_h5ad(tmp_path / "all.h5ad")
    ct.tl.couplings(again, use_rep="X_pca", growth=None, progress=False)


@pytest.mark.filterwarnings("ignore")
def test_only_the_columns_that_are_asked_for(files):
    paths, _ = files
    assert list(ct.io.from_files(paths, obs_keys=["time"], file_key="day").obs) == ["time", "day"]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            {"representation": "X_umap"},
            KeyError,
            r"no array obsm\['X_umap'\] in monday.h5ad; found \['X_",
        ),
        ({"obs_keys": ["dose"]}, KeyError, r"no column \['dose'\] in obs of monday.h5ad; found"),
        ({"file_key": "time"}, ValueError, "has a column 'time' already in monday.h5ad"),
    ],
)
def test_what_is_not_there_is_named(files, change, error, message):
    with pytest.raises(error, match=message):
        ct.io.from_files(files[0], **change)


@pytest.mark.filterwarnings("ignore")
def test_files_that_are_none_or_not_told_apart(files, tmp_path):
    paths, _ = files
    with pytest.raises(ValueError, match="found none"):
        ct.io.from_files([])
    with pytest.raises(FileNotFoundError, match=r"no file .*sunday\.h5ad; give"):
        ct.io.from_files([paths[0], tmp_path / "sunday.h5ad"])
    with pytest.raises(ValueError, match=r"and \['monday'\] is there twice"):
        ct.io.from_files([paths[0], paths[0]])


def test_components_of_two_analyses_are_not_put_together(tmp_path):
    turned = np.array([[0.0, 1.0], [-1.0, 0.0]])
    for name, basis in (("a", np.eye(2)), ("b", turned)):
        day(20, 0, basis).write_h5ad(tmp_path / f"{name}.h5ad")
    with pytest.raises(ValueError, match=r"of other components in a\.h5ad and b\.h5ad"):
        ct.io.from_files([tmp_path / "a.h5ad", tmp_path / "b.h5ad"])


def test_widths_that_differ(tmp_path):
    for name, width in (("a", 2), ("b", 1)):
        adata = day(20, 0)
        adata.obsm["X_pca"] = adata.obsm["X_pca"][:, :width]
        adata.write_h5ad(tmp_path / f"{name}.h5ad")
    with pytest.raises(ValueError, match=r"shape \(\d+, 1\) in b.h5ad, and 2 variables in a.h5ad"):
        ct.io.from_files([tmp_path / "a.h5ad", tmp_path / "b.h5ad"])
