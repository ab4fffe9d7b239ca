"""Principal components with the way back to genes: fit, projection of new cells, files."""

import re

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from anndata import ImplicitModificationWarning
from declared import check_places, check_record
from heard import ours
from scipy.sparse import csc_array, csc_matrix, csr_array, csr_matrix

import celltraj as ct
from celltraj._anndata import projection_of, read_projection
from celltraj._anndata.results import PCA
from celltraj._errors import DataWarning
from celltraj.models.genes import projection as projection_module
from celltraj.models.genes.projection import Projection

KINDS = {
    "dense": np.asarray,
    "float32": lambda x: x.astype("float32"),
    "csr": csr_matrix,
    "csc": csc_matrix,
    "csr array": csr_array,
    "csc array": csc_array,
}
STORES = {
    "h5ad": (ad.AnnData.write_h5ad, ad.read_h5ad),
    "zarr": (ad.AnnData.write_zarr, ad.read_zarr),
}


def expression(n=60, g=20, seed=0):
    """Return logarithms of few counts with a dozen programs in them, many of them zero."""
    rng = np.random.default_rng(seed)
    rate = rng.gamma(1.0, 1.0, (n, 12)) @ rng.gamma(0.3, 0.5, (12, g))
    return np.log1p(rng.poisson(rate)).astype(np.float64)


def cells(x=None, **options):
    x = expression(**options) if x is None else x
    obs = pd.DataFrame(index=[f"c{i}" for i in range(x.shape[0])])
    obs["is_training"] = np.arange(x.shape[0]) % 3 > 0
    return ad.AnnData(x, obs=obs, var=pd.DataFrame(index=[f"g{i}" for i in range(x.shape[1])]))


def fit(adata, n_comps=5, **options):
    return ct.pp.pca_model(adata, n_comps=n_comps, copy=True, **options)


def record(adata):
    return adata.uns["celltraj"]["projection"]


def by_svd(x, k):
    """Return mean, loadings and components as LAPACK's singular vectors of ``x`` give them."""
    mean = x.mean(0)
    axes = np.linalg.svd(x - mean, full_matrices=False)[2][:k].T
    axes *= np.sign(axes[np.abs(axes).argmax(0), np.arange(k)])
    return mean, axes, (x - mean) @ axes


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("n", "g", "k"), [(60, 20, 5), (20, 60, 5), (60, 8, 8), (9, 60, 8)])
def test_the_components_are_those_of_a_singular_value_decomposition(kind, n, g, k):
    x = expression(n, g)
    found = fit(cells(KINDS[kind](x)), k)
    # entries in float32 are rounded by 6e-8 of themselves; the gaps between variances magnify that
    tolerance = 1e-5 if kind == "float32" else 1e-9
    for value, expected in zip(
        (record(found)["mean"], record(found)["loadings"]), by_svd(x, k)[:2], strict=True
    ):
        np.testing.assert_allclose(value, expected, atol=tolerance)
    np.testing.assert_allclose(found.obsm["X_pca"], by_svd(x, k)[2], atol=1e-5)
    assert found.obsm["X_pca"].dtype == np.float32


@pytest.mark.parametrize(("n", "g"), [(60, 20), (20, 60)])
def test_a_large_dense_matrix_takes_the_same_way_as_a_sparse_one(monkeypatch, n, g):
    monkeypatch.setattr(projection_module, "_SMALL", 6)
    x = expression(n, g)
    np.testing.assert_allclose(record(fit(cells(x)))["loadings"], by_svd(x, 5)[1], atol=1e-9)


def test_variances_are_largest_first_and_components_uncorrelated():
    z = fit(cells(), 6).obsm["X_pca"].astype(float)
    covariance = np.cov(z.T)
    np.testing.assert_allclose(covariance, np.diag(np.diag(covariance)), atol=1e-6)
    assert (np.diff(np.diag(covariance)) < 0).all()


@pytest.mark.parametrize("kind", ["dense", "csr"])
def test_no_other_cell_moves_the_projection(kind):
    x = expression()
    adata = cells(KINDS[kind](x))
    others = ~adata.obs["is_training"].to_numpy()
    x = x.copy()
    x[others] = 7 * np.random.default_rng(1).random((others.sum(), x.shape[1]))
    changed = cells(KINDS[kind](x))
    one, two = fit(adata, fit_on="is_training"), fit(changed, fit_on="is_training")
    alone = fit(adata[adata.obs["is_training"]].copy())
    for name in ("mean", "loadings"):
        np.testing.assert_array_equal(record(one)[name], record(two)[name])
        np.testing.assert_array_equal(record(one)[name], record(alone)[name])
    assert not np.allclose(record(fit(adata))["mean"], record(one)["mean"])
    assert not np.allclose(two.obsm["X_pca"][others], one.obsm["X_pca"][others])
    np.testing.assert_array_equal(two.obsm["X_pca"][~others], one.obsm["X_pca"][~others])


@pytest.mark.parametrize(
    "given",
    [
        lambda column: column.to_numpy(),
        lambda column: column,
        lambda column: column.astype("boolean"),
        lambda column: column.astype("category"),
    ],
)
def test_every_way_to_name_the_cells_to_learn_from(given):
    adata = cells()
    one, two = fit(adata, fit_on="is_training"), fit(adata, fit_on=given(adata.obs["is_training"]))
    np.testing.assert_array_equal(one.obsm["X_pca"], two.obsm["X_pca"])
    assert record(one)["params"] == {
        "use_rep": "X_pca",
        "n_comps": 5,
        "fit_on": "is_training",
        "n_fitted": 40,
    }
    assert record(two)["params"] == record(one)["params"] | {"fit_on": "mask"}


@pytest.mark.parametrize(
    ("fit_on", "error", "message"),
    [
        ("split", KeyError, "no cells to learn from in adata.obs['split']; columns found:"),
        ("kind", TypeError, "adata.obs['kind'] must be true or false for every cell"),
        (np.arange(60), TypeError, "fit_on must be true or false for every cell; found dtype int"),
        (np.ones(59, bool), ValueError, "fit_on has 59 entries for 60 cells"),
        (pd.Series(np.ones(60, bool)), ValueError, "is not adata.obs_names; align it with"),
        (pd.array([None, *[True] * 59], dtype="boolean"), TypeError, "fit_on must be"),
        (np.arange(60) < 4, ValueError, "4 cells with 20 genes have 1 to 3 components"),
        (np.zeros(60, bool), ValueError, "0 cells with 20 genes"),
    ],
)
def test_cells_that_cannot_be_learnt_from(fit_on, error, message):
    adata = cells()
    adata.obs["kind"] = "train"
    with pytest.raises(error, match=re.escape(message)):
        ct.pp.pca_model(adata, n_comps=5, fit_on=fit_on)
    assert not adata.obsm
    assert not adata.uns


def test_the_seed_decides_the_last_bits_and_no_more():
    adata = cells(csr_matrix(expression()))
    one, same, other = (fit(adata, seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(record(one)["loadings"], record(same)["loadings"])
    np.testing.assert_allclose(record(one)["loadings"], record(other)["loadings"], atol=1e-10)
    assert [record(a)["seed"] for a in (one, other)] == [0, 1]


@pytest.mark.parametrize("kind", ["dense", "csr"])
def test_the_order_of_genes_and_cells_changes_nothing(kind):
    adata = cells(KINDS[kind](expression()))
    rng = np.random.default_rng(2)
    genes, rows = rng.permutation(adata.n_vars), rng.permutation(adata.n_obs)
    one, two = fit(adata), fit(adata[rows][:, genes].copy())
    np.testing.assert_allclose(two.obsm["X_pca"], one.obsm["X_pca"][rows], atol=1e-6)
    np.testing.assert_allclose(record(two)["loadings"], record(one)["loadings"][genes], atol=1e-9)


def test_equally_large_loadings_still_have_a_sign():
    adata = cells(np.array([[0.0, 0.0], [1.0, -1.0], [3.0, -3.0], [0.5, -0.5]]))
    np.testing.assert_allclose(
        record(fit(adata, 1))["loadings"].ravel(), np.sqrt([0.5, 0.5]) * [1, -1]
    )


def test_a_layer_is_read_in_place_of_x():
    adata = cells()
    plain = fit(adata)
    adata.layers["log"], adata.X = adata.X, np.zeros(adata.shape)
    found = fit(adata, layer="log", key_added="X_log")
    np.testing.assert_array_equal(found.obsm["X_log"], plain.obsm["X_pca"])
    assert read_projection(found).layer == "log"
    new = cells(seed=1)
    expected = ct.pp.project(new, loadings=plain, copy=True).obsm["X_pca"]
    with pytest.raises(KeyError, match=r"no adata.layers\['log'\]; layers found: \[\]"):
        ct.pp.project(new, loadings=found)
    new.layers["log"], new.X = new.X, None
    ct.pp.project(new, loadings=found)
    np.testing.assert_array_equal(new.obsm["X_log"], expected)
    with pytest.raises(ValueError, match="X is None; pass layer="):
        fit(new)


def test_exactly_the_keys_of_the_table_are_written():
    adata = fit(cells(), fit_on="is_training", key_added="X_mine")
    new = ct.pp.project(cells(seed=1), loadings=adata, copy=True)
    for found in (adata, new):
        check_record(record(found), PCA)
        check_places(found, "X_mine", record(found), PCA)
        assert list(found.obsm) == ["X_mine"]


def counts(kind):
    return KINDS[kind](np.random.default_rng(0).poisson(40.0, (60, 20)).astype("float32"))


@pytest.mark.parametrize("kind", KINDS)
def test_raw_counts_are_warned_of(kind):
    adata = cells(counts(kind))
    with pytest.warns(DataWarning, match=r"adata.X looks like raw counts.*sc.pp.log1p") as caught:
        found = fit(adata)
    assert ours(caught)[0].filename == __file__
    with pytest.warns(DataWarning, match="raw counts"):
        ct.pp.project(adata, loadings=found)
    # neither few counts, nor logarithms, nor what was centred
    for x in (adata.X.astype("float64") / 40, np.round(expression()), expression() * 100 - 60):
        fit(cells(x))


def text(adata):
    adata.X = adata.X.astype(str).astype(object)


def broken(value):
    def change(adata):
        adata.X = adata.X.copy()
        adata.X[[7, 3], 1] = value

    return change


def broken_sparse(adata):
    broken(np.nan)(adata)
    adata.X = csr_matrix(adata.X)


def repeated(adata):
    adata.var_names = ["g0", "g0", *adata.var_names[2:]]


def alike(adata):
    adata.X = np.full(adata.shape, 0.3)


def alike_sparse(adata):
    adata.X = csr_matrix(np.full(adata.shape, 0.3))


def flat(adata):
    adata.X = adata.X[:, :3] @ np.random.default_rng(0).random((3, 20))


def flat_sparse(adata):
    flat(adata)
    adata.X = csr_matrix(adata.X)


def taken(adata):
    adata.uns["celltraj"] = "mine"


@pytest.mark.filterwarnings("ignore:Variable names are not unique:UserWarning")
@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (broken(np.nan), {}, "2 cells have NaN or infinite values in adata.X (first: 'c3')"),
        (broken(np.inf), {}, "2 cells have NaN or infinite values in adata.X (first: 'c3')"),
        (broken_sparse, {}, "2 cells have NaN or infinite values in adata.X (first: 'c3')"),
        (text, {}, "adata.X has dtype object, and numbers are needed"),
        (repeated, {}, "call adata.var_names_make_unique()"),
        (alike, {}, "span 0 directions"),
        (alike_sparse, {}, "span 0 directions"),
        (flat, {}, "the cells to learn from span 3 directions; pass n_comps= of at most that"),
        (flat_sparse, {}, "the cells to learn from span 3 directions"),
        (taken, {}, "is not a dict; move it"),
        (str, {"n_comps": 0}, "60 cells with 20 genes have 1 to 20 components; found n_comps=0"),
        (str, {"n_comps": 50}, "found n_comps=50"),
        (str, {"key_added": "a/b"}, "holds '/'"),
    ],
)
def test_bad_input_is_named_and_nothing_is_written(change, options, message):
    adata = cells()
    change(adata)
    before = sorted(adata.uns)
    with pytest.raises(ValueError, match=re.escape(message)):
        ct.pp.pca_model(adata, **{"n_comps": 5} | options)
    assert not adata.obsm
    assert sorted(adata.uns) == before


@pytest.mark.parametrize("kind", KINDS)
def test_new_cells_are_placed_by_name_of_gene(kind):
    trained = fit(cells())
    new = cells(KINDS[kind](expression(seed=1)))
    expected = (expression(seed=1) - record(trained)["mean"]) @ record(trained)["loadings"]
    ct.pp.project(new, loadings=trained)
    np.testing.assert_allclose(new.obsm["X_pca"], expected, atol=1e-5)
    shuffled = new[:, np.random.default_rng(3).permutation(new.n_vars)].copy()
    del shuffled.obsm["X_pca"], shuffled.uns["celltraj"]
    ct.pp.project(shuffled, loadings=trained)
    np.testing.assert_array_equal(shuffled.obsm["X_pca"], new.obsm["X_pca"])
    # the new cells carry the projection on, as a record of their own
    again = ct.pp.project(cells(), loadings=new, copy=True)
    np.testing.assert_array_equal(again.obsm["X_pca"], trained.obsm["X_pca"])
    assert record(again)["params"] == record(trained)["params"]
    assert record(again)["loadings"] is not record(trained)["loadings"]


def test_genes_that_differ_are_named_and_counted():
    trained = fit(cells())
    less = cells(seed=1)[:, 7:].copy()
    with pytest.raises(
        ValueError,
        match=re.escape(
            "7 of the 20 variables of the training are missing: "
            "['g0', 'g1', 'g2', 'g3', 'g4'] and 2 more. At most 10%"
        ),
    ):
        ct.pp.project(less, loadings=trained)
    more = cells(g=22, seed=1)
    ct.pp.project(more, loadings=trained)  # which leaves out what it does not know
    alone = more[:, record(trained)["genes"]].copy()
    del alone.obsm["X_pca"], alone.uns["celltraj"]
    ct.pp.project(alone, loadings=trained)
    np.testing.assert_array_equal(more.obsm["X_pca"], alone.obsm["X_pca"])
    other = cells(seed=1)
    other.var_names = [f"other{i}" for i in range(20)]
    with pytest.raises(ValueError, match=r"20 of the 20 variables.*in place"):
        ct.pp.project(other, loadings=trained)
    assert not other.obsm
    with pytest.raises(ValueError, match="NaN or infinite"):
        ct.pp.project(cells(np.full((3, 20), np.nan)), loadings=trained)


class Model:
    def __init__(self, projection):
        self.projection = projection


def test_a_model_leads_new_cells_as_its_data_do():
    trained = fit(cells(), key_added="X_five")
    one, two = cells(seed=1), cells(seed=1)
    ct.pp.project(one, loadings=trained)
    ct.pp.project(two, loadings=Model(read_projection(trained)))
    np.testing.assert_array_equal(one.obsm["X_five"], two.obsm["X_five"])
    assert record(two)["params"] == {"use_rep": "X_five"}
    assert "seed" not in record(two)
    np.testing.assert_array_equal(projection_of(two).loadings, read_projection(trained).loadings)


@pytest.mark.parametrize(
    ("reference", "error", "message"),
    [
        (cells(), KeyError, r"no projection in adata.uns\['celltraj'\].*ct.pp.pca_model\(adata\)"),
        (Model(None), ValueError, "the Model was fitted without a projection"),
        ("train.h5ad", TypeError, "must be an AnnData .* found str"),
    ],
)
def test_what_is_no_reference(reference, error, message):
    with pytest.raises(error, match=message):
        ct.pp.project(cells(), loadings=reference)


def test_a_view_becomes_data_of_its_own_and_a_copy_leaves_all_as_it_was():
    adata = cells()
    annotated = fit(adata[:40])
    assert annotated.obsm["X_pca"].shape == (40, 5)
    view = adata[:40]
    with pytest.warns(ImplicitModificationWarning):
        ct.pp.pca_model(view, n_comps=5)
    assert not view.is_view
    assert not adata.obsm
    assert not adata.uns
    np.testing.assert_array_equal(view.obsm["X_pca"], annotated.obsm["X_pca"])


@pytest.mark.parametrize("kind", ["float32", "csr"])
def test_a_backed_file_is_read_and_not_touched(tmp_path, kind):
    cells(KINDS[kind](expression())).write_h5ad(tmp_path / "a.h5ad")
    content = (tmp_path / "a.h5ad").read_bytes()
    expected = fit(ad.read_h5ad(tmp_path / "a.h5ad"))
    backed = ad.read_h5ad(tmp_path / "a.h5ad", backed="r")
    annotated = fit(backed)
    ct.pp.pca_model(backed, n_comps=5)
    for found in (annotated, backed):
        np.testing.assert_array_equal(found.obsm["X_pca"], expected.obsm["X_pca"])
    backed.file.close()
    assert (tmp_path / "a.h5ad").read_bytes() == content


@pytest.mark.filterwarnings("ignore:Writing zarr v2 data:UserWarning")
@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize(
    "part", [lambda a: a, lambda a: a[:, [4, 2]].copy(), lambda a: a[:9].copy()]
)
def test_the_projection_survives_files_and_subsets(tmp_path, store, part):
    adata = fit(cells(), fit_on="is_training")
    write, read = STORES[store]
    write(part(adata), tmp_path / f"a.{store}")
    again = read(tmp_path / f"a.{store}")
    np.testing.assert_array_equal(again.obsm["X_pca"], part(adata).obsm["X_pca"])
    assert record(again)["params"] == record(adata)["params"]
    assert record(again)["seed"] == 0
    one, two = read_projection(adata), read_projection(again)
    np.testing.assert_array_equal(one.mean, two.mean)
    np.testing.assert_array_equal(one.loadings, two.loadings)
    assert (one.names, one.layer, one.use_rep) == (two.names, two.layer, two.use_rep)
    placed = [ct.pp.project(cells(seed=1), loadings=a, copy=True) for a in (adata, again)]
    np.testing.assert_array_equal(placed[0].obsm["X_pca"], placed[1].obsm["X_pca"])


@pytest.mark.parametrize(
    ("mean", "loadings", "names", "message"),
    [
        ([0.0], [[1.0], [0.0]], ("a", "b"), "belong together"),
        ([0.0, 0.0], [[1.0], [0.0]], ("a",), "belong together"),
        ([0.0, 0.0], [[1.0], [0.0]], ("a", "a"), "1 names of genes stand more than once"),
        ([0.0, np.nan], [[1.0], [0.0]], ("a", "b"), "must be finite"),
        ([0.0, 0.0], [[1.0], [0.5]], ("a", "b"), "must be orthonormal; found an error of 0.25"),
    ],
)
def test_what_is_no_projection(mean, loadings, names, message):
    with pytest.raises(ValueError, match=message):
        Projection(np.array(mean), np.array(loadings), names)


def test_other_widths_are_refused():
    plane = Projection(np.zeros(2), np.array([[1.0], [0.0]]), ("a", "b"))
    with pytest.raises(ValueError, match="expected 2 genes; found 3"):
        plane.encode(np.zeros((1, 3)))
    with pytest.raises(ValueError, match="expected 1 components; found 2"):
        plane.decode(np.zeros((1, 2)))
