"""Variables of new cells: matched by name, extra ones left out, missing ones at the mean."""

import anndata as ad
import numpy as np
import pytest
from scipy.sparse import csr_matrix, issparse

import celltraj as ct

GENES = [f"g{k}" for k in range(20)]


def cells(n=30, *, seed=0, sparse=False, layer=None):
    x = np.random.default_rng(seed).normal(size=(n, len(GENES))) + np.arange(len(GENES))
    adata = ad.AnnData(csr_matrix(x) if sparse else x)
    adata.var_names = GENES
    if layer is not None:
        adata.layers[layer], adata.X = adata.X, None
    return adata


@pytest.fixture(scope="module")
def trained():
    adata = cells()
    ct.pp.pca_model(adata, n_comps=3)
    return adata


def widened(adata):
    """Return cells with three genes more, in another order."""
    more = ad.AnnData(np.full((adata.n_obs, 3), 7.0), obs=adata.obs)
    more.var_names = ["x0", "x1", "x2"]
    both = ad.concat([more, adata], axis=1)
    return both[:, both.var_names[::-1]].copy()


def test_what_the_training_did_not_have_is_left_out(trained):
    new = cells(seed=1)
    found = ct.pp.match_variables(widened(new), like=trained)
    assert found.var_names.tolist() == GENES
    assert not found.var["is_filled"].any()
    np.testing.assert_array_equal(found.X, new.X)


@pytest.mark.parametrize("sparse", [False, True])
def test_what_is_missing_stands_at_the_mean_and_adds_nothing(trained, sparse):
    new, mean = cells(seed=1, sparse=sparse), trained.uns["celltraj"]["projection"]["mean"]
    few = new[:, [g for g in GENES if g != "g4"]].copy()
    with pytest.warns(ct.DataWarning, match=r"1 of the 20 variables .* missing: \['g4'\]"):
        found = ct.pp.match_variables(few, like=trained)
    assert issparse(found.X) == sparse
    assert found.var_names[found.var["is_filled"]].tolist() == ["g4"]
    x = np.asarray(found[:, "g4"].X.todense() if sparse else found[:, "g4"].X)
    np.testing.assert_allclose(x, mean[4])
    with pytest.warns(ct.DataWarning, match="g4"):
        ct.pp.project(few, loadings=trained)
    kept = np.arange(20) != 4
    loadings = trained.uns["celltraj"]["projection"]["loadings"]
    dense = new.X.toarray() if sparse else new.X
    expected = (dense[:, kept] - mean[kept]) @ loadings[kept]
    np.testing.assert_allclose(few.obsm["X_pca"], expected, atol=1e-5)


def test_how_much_may_be_missing_is_the_users_choice(trained):
    few = cells(seed=1)[:, GENES[3:]].copy()
    with pytest.raises(ValueError, match="3 of the 20 variables"):
        ct.pp.match_variables(few, like=trained)
    with pytest.warns(ct.DataWarning, match="3 of the 20"):
        assert ct.pp.match_variables(few, like=trained, max_missing=0.2).n_vars == 20
    with pytest.raises(ValueError, match="At most 0%"):
        ct.pp.match_variables(few[:, :16].copy(), like=trained, max_missing=0.0)
    with pytest.raises(ValueError, match="share in"):
        ct.pp.match_variables(few, like=trained, max_missing=1.0)


def test_a_layer_is_read_and_filled_where_the_training_read_one():
    adata = cells(layer="log")
    ct.pp.pca_model(adata, n_comps=2, layer="log")
    found = ct.pp.match_variables(cells(seed=1, layer="log"), like=adata)
    np.testing.assert_array_equal(found.layers["log"], cells(seed=1).X)


def test_what_cannot_be_matched_is_named(trained):
    with pytest.raises(TypeError, match="loadings must be"):
        ct.pp.match_variables(cells(), like="model")
    with pytest.raises(KeyError, match="no projection"):
        ct.pp.match_variables(cells(), like=cells())
    twice = cells()
    twice.var_names = ["g0"] * 20
    with pytest.raises(ValueError, match="not unique"):
        ct.pp.match_variables(twice, like=trained)
