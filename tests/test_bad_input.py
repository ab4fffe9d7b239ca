"""Bad input: what is said of it, and that nothing is written after a failure."""

import re

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix

import celltraj as ct
from celltraj._errors import DataWarning
from celltraj.models import Training


def fit(adata, **options):
    return ct.tl.fit_bridge(adata, **{"training": None, "progress": False} | options)


def cells(n=12, times=(0.0, 1.0, 2.0)):
    """Return ``n`` cells at each time of a drifting cloud, sorted by time."""
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(size=(n, 2)) + 2 * t for t in times]).astype("float32")
    obs = pd.DataFrame({"time": np.repeat(times, n)}, index=[f"c{i}" for i in range(len(x))])
    return ad.AnnData(x, obs=obs)


def state_of(adata):
    x = adata.X if adata.X is None or isinstance(adata.X, np.ndarray) else adata.X[:].toarray()
    return adata.obs.copy(), np.copy(x), list(adata.obsm), sorted(adata.uns)


def assert_unchanged(adata, before):
    obs, x, obsm, uns = state_of(adata)
    pd.testing.assert_frame_equal(obs, before[0])
    np.testing.assert_array_equal(x, before[1])
    assert (obsm, uns) == before[2:]


def with_obs(**columns):
    adata = cells()
    for name, values in columns.items():
        adata.obs[name] = values
    return adata


def with_x(change):
    adata = cells()
    adata.X = change(adata.X)
    return adata


def set_value(x, value):
    x[3, 1] = value
    return x


NO_WEIGHT_AT_ONE = np.r_[np.ones(12), np.zeros(12), np.ones(12)]
BAD = {
    "no such time key": (
        cells,
        {"time_key": "day"},
        KeyError,
        "no times in adata.obs['day']; columns found:",
    ),
    "no such representation": (
        cells,
        {"use_rep": "X_umap"},
        KeyError,
        "no obsm['X_umap']; found []",
    ),
    "no such weights": (
        cells,
        {"counts": "w"},
        ValueError,
        "or a column of adata.obs with the number of cells that each cell stands for; found 'w'",
    ),
    "one time": (
        lambda: cells(times=(3.0,)),
        {},
        ValueError,
        "all cells have time 3 in adata.obs['time']",
    ),
    "times of mixed units": (
        lambda: cells(times=(0.0, 1e-6, 1.0)),
        {},
        ValueError,
        "times 0 and 1e-06 are 1e-06 apart, and other neighbours up to 0.999999",
    ),
    "no cells": (lambda: cells()[:0].copy(), {}, ValueError, "adata has no cells"),
    "no variables": (lambda: cells()[:, :0].copy(), {}, ValueError, "X has no variables"),
    "no X": (lambda: ad.AnnData(obs=cells().obs), {}, ValueError, "adata.X is None; pass use_rep="),
    "strings in obsm": (lambda: cells(), {"use_rep": "X_text"}, ValueError, "X_text has dtype"),
    "NaN": (
        lambda: with_x(lambda x: set_value(x, np.nan)),
        {},
        ValueError,
        "1 cells have NaN or infinite values in X (first: 'c3'); drop or impute them",
    ),
    "infinity": (lambda: with_x(lambda x: set_value(x, np.inf)), {}, ValueError, "(first: 'c3')"),
    "many variables": (
        lambda: ad.AnnData(
            np.ones((4, 60)), obs=pd.DataFrame({"time": list("0011")}, index=list("abcd"))
        ),
        {},
        ValueError,
        "run sc.pp.pca(adata) first or pass use_rep=",
    ),
    "negative weights": (
        lambda: with_obs(w=np.r_[-1.0, np.ones(35)]),
        {"counts": "w"},
        ValueError,
        "adata.obs['w'] is negative, missing or infinite for 1 cells (first: 'c0', -1)",
    ),
    "missing weights": (
        lambda: with_obs(w=pd.array([None, *[1] * 35], dtype="Int64")),
        {"counts": "w"},
        ValueError,
        "for 1 cells (first: 'c0', nan)",
    ),
    "no weight at a time": (
        lambda: with_obs(w=NO_WEIGHT_AT_ONE),
        {"counts": "w"},
        ValueError,
        "adata.obs['w'] is zero for all cells at time 1; give one of them weight or drop the time",
    ),
    "weights that are text": (
        lambda: with_obs(w="1"),
        {"counts": "w"},
        ValueError,
        "adata.obs['w'] has dtype object; weights must be numbers",
    ),
    "sigma of zero": (cells, {"sigma": 0.0}, ValueError, "sigma must be positive and finite"),
    "negative sigma": (cells, {"sigma": -1.0}, ValueError, "sigma must be positive and finite"),
    "sigma too small": (
        cells,
        {
            "sigma": 1e-9,
            "options": ct.models.BridgeOptions(coupling=ct.ot.Sinkhorn(max_iters=50)),
        },
        ct.ConvergenceError,
        "no bridge found with sigma=1e-09; pass a larger sigma=",
    ),
    "a key that h5ad nests": (
        cells,
        {"key_added": "CD4/CD8"},
        ValueError,
        "key_added='CD4/CD8' holds '/'",
    ),
}


@pytest.mark.filterwarnings("ignore::celltraj._errors.DataWarning")
@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_named_and_nothing_is_written(name):
    make, options, error, message = BAD[name]
    adata = make()
    if name == "strings in obsm":
        adata.obsm["X_text"] = np.full((adata.n_obs, 2), "a", dtype=object)
    before = state_of(adata)
    with pytest.raises(error, match=re.escape(message)):
        fit(adata, **options)
    assert_unchanged(adata, before)


def test_uns_that_is_taken_is_said_before_the_fit():
    adata = cells()
    adata.uns["celltraj"] = "mine"
    with pytest.raises(ValueError, match="is not a dict; move it"):
        fit(adata)
    assert adata.uns["celltraj"] == "mine"
    assert not adata.obsm


@pytest.mark.parametrize("drift", [None, Training(max_steps=5, width=8)])
def test_a_constant_feature_warns_and_fits(drift):
    adata = with_x(lambda x: np.c_[x, np.full(len(x), 7.0)].astype("float32")[:, :2])
    adata.X[:, 1] = 7.0
    with pytest.warns(DataWarning, match=r"variables \[1\] of X are constant .* drop them"):
        fit(adata, training=drift)
    assert np.isfinite(adata.obsm["bridge_velocity"]).all()


def test_duplicate_cells_warn_and_fit():
    adata = with_x(lambda x: np.r_[x[:1], x[:1], x[2:]])
    with pytest.warns(DataWarning, match="1 cells are exact copies of others in X"):
        fit(adata)
    assert np.isfinite(adata.obsm["bridge_velocity"]).all()


def test_few_cells_warn_and_fit():
    adata = cells()[np.r_[:15, 24:36]].copy()
    with pytest.warns(DataWarning, match=r"fewer than 10 cells at times {'1': 3}"):
        fit(adata)
    assert np.isfinite(adata.obsm["bridge_velocity"]).all()


def test_interleaved_rows_give_the_same_velocity_to_every_cell():
    one = cells()
    # the rows of each time keep their order among themselves, so nothing at all may change
    order = np.arange(one.n_obs).reshape(3, -1).T.ravel()
    two = one[order].copy()
    fit(one)
    fit(two)
    np.testing.assert_array_equal(two.obsm["bridge_velocity"], one.obsm["bridge_velocity"][order])


def test_shuffled_rows_give_the_same_velocity_up_to_rounding():
    one = cells()
    order = np.random.default_rng(1).permutation(one.n_obs)
    two = one[order].copy()
    fit(one, sigma=0.5)
    fit(two, sigma=0.5)
    np.testing.assert_allclose(
        two.obsm["bridge_velocity"], one.obsm["bridge_velocity"][order], atol=1e-5
    )


@pytest.mark.parametrize(
    "convert",
    [
        csr_matrix,
        lambda x: x.astype("float64"),
        lambda x: csr_matrix(x.astype("int32")),
        lambda x: x.astype("int64"),
    ],
)
def test_every_kind_of_matrix_of_numbers_fits_alike(convert):
    one = with_x(lambda x: np.round(50 * x))
    two = with_x(lambda x: convert(np.round(50 * x)))
    fit(one)
    fit(two)
    np.testing.assert_array_equal(two.obsm["bridge_velocity"], one.obsm["bridge_velocity"])


@pytest.mark.parametrize("convert", [np.asarray, csr_matrix])
def test_a_backed_file_fits_and_is_not_touched(tmp_path, convert):
    with_x(convert).write_h5ad(tmp_path / "a.h5ad")
    content = (tmp_path / "a.h5ad").read_bytes()
    backed = ad.read_h5ad(tmp_path / "a.h5ad", backed="r")
    expected = cells()
    fit(expected)
    annotated = backed.to_memory()
    fit(annotated)
    assert "celltraj" not in backed.uns
    fit(backed)
    for adata in (annotated, backed):
        np.testing.assert_array_equal(
            adata.obsm["bridge_velocity"], expected.obsm["bridge_velocity"]
        )
    with pytest.raises(ValueError, match=r"load it first with adata.to_memory\(\)"):
        fit(backed[:, :1])
    backed.file.close()
    assert (tmp_path / "a.h5ad").read_bytes() == content
