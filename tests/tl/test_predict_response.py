"""Predictions for populations never treated: what comes back, and what is refused or told."""

import warnings
from dataclasses import replace

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch
from scipy.sparse import csr_matrix

import celltraj as ct

KEYS = {"population_key": "donor", "condition_key": "drug", "control": "DMSO"}
TINY = ct.models.Training(max_steps=60, batch_size=32, width=32)
FEW = ct.models.ResponseOptions(n_context=32)  # cells that a population is embedded by
SHIFT = 2.0


@pytest.fixture(scope="module")
def cohort():
    """Return four donors, whose treated cells are moved by the same vector."""
    rng = np.random.default_rng(0)
    parts, obs = [], []
    for donor in range(4):
        for drug in ("DMSO", "a/b"):
            parts.append(rng.normal(size=(40, 3)) + (drug == "a/b") * SHIFT)
            obs += [(f"donor {donor}", drug)] * 40
    table = pd.DataFrame(obs, columns=["donor", "drug"]).set_axis([f"c{k}" for k in range(320)])
    var = pd.DataFrame(index=["CD4", "CD8", "CD19"])
    return ad.AnnData(np.concatenate(parts), obs=table, var=var)


@pytest.fixture(scope="module")
def model(cohort):
    return ct.tl.fit_response(cohort.copy(), options=FEW, training=TINY, progress=False, **KEYS)


@pytest.fixture
def new(cohort):
    return cohort[(cohort.obs["donor"] == "donor 0") & (cohort.obs["drug"] == "DMSO")].copy()


def predict(model, adata, **options):
    options = {"condition": "a/b", "progress": False} | options
    return ct.tl.predict_response(adata, model, **options)


def test_one_cell_for_each_untreated_one_under_its_name(model, cohort, new):
    predicted = predict(model, cohort)  # treated cells are left out
    untreated = cohort[cohort.obs["drug"] == "DMSO"]
    assert predicted.obs_names.tolist() == untreated.obs_names.tolist()
    assert predicted.obs["population"].astype(str).tolist() == untreated.obs["donor"].tolist()
    assert predicted.obs["condition"].unique().tolist() == ["a/b"]
    alone = predict(model, new)
    assert alone.obs_names.tolist() == new.obs_names.tolist()


def test_a_shift_common_to_all_is_found(cohort, new):
    training = ct.models.Training(max_steps=600, batch_size=64, width=32)
    model = ct.tl.fit_response(
        cohort.copy(), options=FEW, training=training, progress=False, **KEYS
    )
    moved = (predict(model, new).X - new.X).mean(0)
    # the donor was trained on: forty cells a side tell his shift to sqrt(2 / 40)
    np.testing.assert_allclose(moved, SHIFT, atol=3.5 * np.sqrt(2 / 40))


def test_the_same_seed_gives_the_same_cells_and_the_global_state_is_left_alone(model, new):
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    one, same = predict(model, new), predict(model, new)
    np.testing.assert_array_equal(one.X, same.X)
    assert torch.equal(before[0], torch.get_rng_state())
    np.testing.assert_array_equal(before[1], np.random.get_state()[1])


def test_the_order_of_variables_is_repaired_and_other_sets_are_named(model, new):
    expected = predict(model, new).X
    np.testing.assert_array_equal(predict(model, new[:, ::-1].copy()).X, expected)
    sparse = new.copy()
    sparse.X = csr_matrix(new.X)
    np.testing.assert_array_equal(predict(model, sparse).X, expected)
    with pytest.raises(ValueError, match=r"1 of the 3 .* missing: \['CD19'\]"):
        predict(model, new[:, :2].copy())
    other = new.copy()
    other.var_names = ["CD4", "CD8", "CD3"]
    with pytest.raises(ValueError, match=r"\['CD19'\], and there are \['CD3'\] in place"):
        predict(model, other)


def test_an_unknown_drug_lists_the_known_ones(model, new):
    with pytest.raises(ValueError, match=r"unknown drug 'x'; known are \['a/b'\]"):
        predict(model, new, condition="x")
    with pytest.raises(ValueError, match="has no doses"):
        predict(model, new, dose=1.0)
    table = pd.DataFrame({"f": [1.0]}, index=["x"])
    with pytest.raises(ValueError, match="fitted without features"):
        predict(model, new, condition="x", condition_features=table)


def test_a_drug_never_given_is_predicted_from_its_features(cohort, new):
    features = pd.DataFrame({"f": [1.0], "g": [0.0]}, index=["a/b"])
    model = ct.tl.fit_response(
        cohort.copy(),
        options=replace(FEW, condition_features=features, base=0.0),  # known by its name alone
        training=TINY,
        progress=False,
        **KEYS,
    )
    same = pd.DataFrame({"f": [1.0], "g": [0.0]}, index=["x"])
    found = predict(model, new, condition="x", condition_features=same)
    np.testing.assert_array_equal(found.X, predict(model, new).X)
    with pytest.raises(ValueError, match=r"known are.*pass condition_features="):
        predict(model, new, condition="x")


def test_bad_cells_are_named(model, new):
    broken = new.copy()
    broken.X[3, 1] = np.nan
    with pytest.raises(ValueError, match=f"1 cells have NaN.*{broken.obs_names[3]!r}"):
        predict(model, broken)
    treated = new.copy()
    treated.obs["drug"] = "a/b"
    with pytest.raises(ValueError, match="no untreated cells"):
        predict(model, treated)
    with pytest.raises(ValueError, match="no cells to predict from"):
        predict(model, new[:0].copy())
    with pytest.raises(TypeError, match=r"as ct\.tl\.fit_response"):
        predict("model", new)


def test_doubtful_populations_are_told(model, new):
    with warnings.catch_warnings():
        warnings.simplefilter("error", ct.DataWarning)
        predict(model, new)
    with pytest.warns(ct.DataWarning, match=r"fewer than 10 untreated cells in {'donor 0': 5}"):
        assert predict(model, new[:5].copy()).n_obs == 5
    counts = new.copy()
    counts.X = np.random.default_rng(0).poisson(500, size=new.shape).astype(float)
    with pytest.warns(ct.DataWarning) as told:
        predicted = predict(model, counts)
    texts = [str(one.message) for one in told]
    assert any("raw counts given to a model of logarithms" in text for text in texts)
    assert any("'donor 0' is unlike those of the training" in text for text in texts)
    assert predicted.obs["outside"].all()
    assert not predict(model, new).obs["outside"].mean() > 0.1


def test_cells_without_columns_are_one_new_population(model, new):
    bare = ad.AnnData(new.X, obs=pd.DataFrame(index=new.obs_names), var=new.var)
    predicted = predict(model, bare)
    assert predicted.obs["population"].unique().tolist() == ["new"]
    np.testing.assert_array_equal(predicted.X, predict(model, new).X)


def test_what_comes_back_survives_a_file_and_is_drawn_from_it(model, new, tmp_path):
    predict(model, new).write_h5ad(tmp_path / "predicted.h5ad")
    reloaded = ad.read_h5ad(tmp_path / "predicted.h5ad")
    support = reloaded.uns["celltraj"]["response"]["support"]
    assert support["population"].tolist() == ["donor 0"]
    assert len(ct.pl.response(new, reloaded, show=False)) == 1


def test_a_saved_model_predicts_the_same_cells(model, new, tmp_path):
    model.save(tmp_path / "model")
    np.testing.assert_array_equal(
        predict(ct.load(tmp_path / "model"), new).X, predict(model, new).X
    )


def test_a_population_without_control_is_named(cohort):
    bare = (cohort.obs["donor"] == "donor 2") & (cohort.obs["drug"] == "DMSO")
    with pytest.raises(ValueError, match="population 'donor 2' has treated cells and no control"):
        ct.tl.fit_response(cohort[~bare].copy(), options=FEW, training=TINY, progress=False, **KEYS)


def test_cells_that_die_are_predicted(cohort):
    dying = cohort.copy()
    # a second type far away, of which one in ten is left after the drug
    far = dying.obs["drug"].eq("DMSO") & (np.arange(320) % 2 == 0)
    gone = dying.obs["drug"].eq("a/b") & (np.arange(320) % 20 == 0)
    dying.obs["type"] = np.where(far | gone, "far", "near")
    dying.X[(far | gone).to_numpy()] += 30
    kept = dying[~(dying.obs["drug"].eq("a/b") & (np.arange(320) % 2 == 0) & ~gone)].copy()
    training = ct.models.Training(max_steps=300, batch_size=64, width=32)
    flow = replace(FEW, coupling=ct.ot.Unbalanced(tau_a=0.5), n_kernels=0)
    model = ct.tl.fit_response(
        kept, cell_type_key="type", options=flow, training=training, progress=False, **KEYS
    )
    predicted = predict(model, kept[kept.obs["drug"] == "DMSO"].copy())
    mass = predicted.obs.groupby("type", observed=True)["survival"].mean()
    assert mass["far"] < 0.6 < 1.2 < mass["near"]


class TestOneCellPerPrediction:
    """A prediction is a function of cell, population and condition."""

    @pytest.mark.parametrize("noise", [0.0, 0.5])
    def test_rows_may_stand_in_any_order(self, model, cohort, noise):
        order = np.random.default_rng(0).permutation(cohort.n_obs)
        one = predict(model, cohort, noise=noise)
        other = predict(model, cohort[order].copy(), noise=noise)
        np.testing.assert_array_equal(other[one.obs_names].X, one.X)

    @pytest.mark.parametrize("noise", [0.0, 0.5])
    def test_any_cells_are_predicted_as_among_all(self, model, cohort, new, noise):
        whole = predict(model, cohort, noise=noise)
        for rows in ([7], [30, 2, 11]):
            some = predict(model, new[rows].copy(), population=cohort, noise=noise)
            assert some.obs_names.tolist() == new.obs_names[rows].tolist()
            # float32 products of matrices of other shapes
            np.testing.assert_allclose(some.X, whole[some.obs_names].X, rtol=1e-5, atol=1e-5)

    def test_other_populations_do_not_matter(self, model, cohort):
        whole = predict(model, cohort, noise=0.5)
        last = cohort[cohort.obs["donor"] == "donor 3"].copy()
        alone = predict(model, last, noise=0.5)
        np.testing.assert_array_equal(alone.X, whole[alone.obs_names].X)

    def test_the_order_of_categories_does_not_matter(self, model, cohort):
        other = cohort.copy()
        other.obs["donor"] = pd.Categorical(
            other.obs["donor"], sorted(set(other.obs["donor"]), reverse=True)
        )
        np.testing.assert_array_equal(predict(model, other).X, predict(model, cohort).X)

    def test_a_fit_does_not_depend_on_rows_or_categories(self, model, cohort, new):
        other = cohort[np.random.default_rng(0).permutation(cohort.n_obs)].copy()
        other.obs["drug"] = pd.Categorical(other.obs["drug"], ["a/b", "DMSO"])
        again = ct.tl.fit_response(other, options=FEW, training=TINY, progress=False, **KEYS)
        np.testing.assert_array_equal(predict(again, new).X, predict(model, new).X)

    def test_a_lone_cell_is_no_population(self, model, cohort, new):
        with pytest.raises(ValueError, match=r"'donor 0' has one untreated cell.*pass population="):
            predict(model, new[:1].copy())
        flow = replace(FEW, encoder=None, n_kernels=0)
        alone = ct.tl.fit_response(
            cohort.copy(), options=flow, training=TINY, progress=False, **KEYS
        )
        one = predict(alone, new[:1].copy())  # what reads no population needs none
        np.testing.assert_allclose(one.X, predict(alone, new).X[:1], rtol=1e-5, atol=1e-5)

    def test_a_part_of_a_known_population_is_told(self, model, new):
        with pytest.warns(ct.DataWarning, match=r"{'donor 0': 15}, less than half.*population="):
            predict(model, new[:15].copy())

    def test_populations_that_are_not_there_are_named(self, model, cohort, new):
        others = cohort[cohort.obs["donor"] != "donor 0"].copy()
        with pytest.raises(ValueError, match=r"holds no untreated cells of \['donor 0'\]"):
            predict(model, new, population=others)
        with pytest.raises(TypeError, match="population must be an AnnData or None"):
            predict(model, new, population="donor 0")

    def test_another_cell_of_the_same_name_is_refused(self, model, new):
        other = new.copy()
        other.X = new.X[::-1].copy()
        with pytest.raises(ValueError, match=r"is another one in population=.*standard deviations"):
            predict(model, new[:3].copy(), population=other)

    def test_cells_without_columns_live_in_the_one_population_given(self, model, new):
        bare = ad.AnnData(new.X, obs=pd.DataFrame(index=new.obs_names), var=new.var)
        found = predict(model, bare[[4]].copy(), population=new, noise=0.5)
        whole = predict(model, new, noise=0.5)
        np.testing.assert_allclose(found.X, whole[found.obs_names].X, rtol=1e-5, atol=1e-5)

    def test_noise_needs_names_and_the_ode_does_not(self, model, new):
        twice = new.copy()
        twice.obs_names = ["c0", *new.obs_names[:-1]]
        found = predict(model, twice)
        np.testing.assert_array_equal(found.X, predict(model, new).X)
        with pytest.raises(ValueError, match=r"several cells named 'c0'.*obs_names_make_unique"):
            predict(model, twice, noise=0.5)


class TestScale:
    @pytest.mark.parametrize("change", [lambda x: x / 2, lambda x: 2 * x, lambda x: x + 2])
    def test_another_scale_or_place_is_told(self, model, new, change):
        other = new.copy()
        other.X = change(new.X)
        with pytest.warns(ct.DataWarning) as told:
            predicted = predict(model, other)
        assert any(
            "'donor 0' is on another scale or at another" in str(one.message) for one in told
        )
        table = predicted.uns["celltraj"]["response"]["support"]
        assert {"spread_ratio", "centre_distance"} <= set(table)

    def test_variables_that_stand_out_are_named(self, model, new):
        other = new.copy()
        other.X = new.X * [1, 1, 20]
        with pytest.warns(ct.DataWarning) as told:
            predict(model, other)
        assert any("stand out: ['CD19']" in str(one.message) for one in told)


def test_populations_never_treated_are_told_and_recorded(cohort, model, new):
    more = cohort[(cohort.obs["donor"] != "donor 3") | (cohort.obs["drug"] == "DMSO")].copy()
    with pytest.warns(ct.DataWarning, match=r"1 populations have untreated.*\['donor 3'\]"):
        found = ct.tl.fit_response(more, options=FEW, training=TINY, progress=False, **KEYS)
    assert found.support.names == ("donor 0", "donor 1", "donor 2")
    assert more.uns["celltraj"]["response"]["params"]["never_treated"].tolist() == ["donor 3"]


def test_a_drug_that_one_population_had_is_told_and_recorded(cohort, caplog):
    more = cohort.copy()
    more.obs.loc[(more.obs["donor"] == "donor 1") & (more.obs["drug"] == "a/b"), "drug"] = "c"
    with caplog.at_level("INFO", logger="celltraj"):
        ct.tl.fit_response(more, options=FEW, training=TINY, progress=False, **KEYS)
    assert "given to one population only" in caplog.text
    assert more.uns["celltraj"]["response"]["params"]["given_once"].tolist() == ["c"]


def test_components_that_nothing_vouches_for_are_told(cohort, new):
    adata = cohort.copy()
    ct.pp.pca_model(adata, n_comps=2)
    model = ct.tl.fit_response(
        adata, use_rep="X_pca", options=FEW, training=TINY, progress=False, **KEYS
    )
    genes = adata[new.obs_names].copy()
    expected = predict(model, genes).X
    part = genes[:, :2].copy()  # carries the projection of the training
    np.testing.assert_allclose(predict(model, part).X, expected, rtol=1e-4, atol=1e-4)
    del part.uns["celltraj"]
    with pytest.warns(ct.DataWarning, match=r"nothing tells.*1 of 3 are missing: \['CD19'\]"):
        predict(model, part)
    other = new.copy()
    other.obsm["X_pca"] = np.zeros((new.n_obs, 2))  # of a PCA of its own: the genes count
    np.testing.assert_allclose(predict(model, other).X, expected, rtol=1e-4, atol=1e-4)


def test_a_strangers_file_with_other_genes_is_read(cohort):
    rng = np.random.default_rng(1)
    genes = [f"g{k}" for k in range(12)]
    wide = ad.AnnData(cohort.X @ rng.normal(size=(3, 12)), obs=cohort.obs)
    wide.var_names = genes
    model = ct.tl.fit_response(wide, options=FEW, training=TINY, progress=False, **KEYS)
    new = wide[(wide.obs["donor"] == "donor 0") & (wide.obs["drug"] == "DMSO")].copy()
    more = ad.concat([new, ad.AnnData(new.X[:, :1], new.obs, {"index": ["x"]})], axis=1)
    more.obs = new.obs
    np.testing.assert_array_equal(predict(model, more).X, predict(model, new).X)
    centre = model.network.field.centre.numpy()
    filled = new.copy()
    filled.X[:, 5] = centre[5]
    with pytest.warns(ct.DataWarning, match=r"1 of the 12 variables .*'g5'"):
        found = predict(model, new[:, [g for g in genes if g != "g5"]].copy())
    np.testing.assert_array_equal(found.X, predict(model, filled).X)
    assert found.var_names.tolist() == genes


class TestSeveralConditions:
    def test_each_is_predicted_as_if_alone(self, cohort, tmp_path):
        doses = cohort.copy()
        given = np.where(np.arange(320) % 2 == 0, 1.0, 10.0)
        doses.obs["dose"] = np.where(doses.obs["drug"] == "DMSO", np.nan, given)
        model = ct.tl.fit_response(
            doses, dose_key="dose", options=FEW, training=TINY, progress=False, **KEYS
        )
        asked = [ct.models.Condition(("a/b",), (dose,)) for dose in (10.0, 2.0)]
        both = predict(model, doses, condition=asked)
        untreated = doses.obs_names[doses.obs["drug"] == "DMSO"]
        assert both.obs["condition"].cat.categories.tolist() == ["a/b 10", "a/b 2"]
        assert both.obs["source"].tolist() == [*untreated, *untreated]
        assert both.obs_names[0] == f"{untreated[0]}-a/b 10"
        assert both.obs_names.is_unique
        for one in asked:
            alone = predict(model, doses, dose=one.doses[0])
            np.testing.assert_array_equal(both[both.obs["condition"] == one.name].X, alone.X)
        both.write_h5ad(tmp_path / "both.h5ad")
        read = ad.read_h5ad(tmp_path / "both.h5ad")
        with pytest.raises(ValueError, match="holds 2 conditions"):
            ct.pl.response(doses, read, show=False)
        one = read[read.obs["condition"] == "a/b 2"].copy()
        assert len(ct.pl.response(doses, one, show=False)) == 4

    def test_what_is_asked_twice_or_in_two_ways_is_refused(self, model, new):
        one = ct.models.Condition(("a/b",))
        np.testing.assert_array_equal(predict(model, new, condition=one).X, predict(model, new).X)
        with pytest.raises(ValueError, match=r"predicted once; found \['a/b'\]"):
            predict(model, new, condition=[one, one])
        with pytest.raises(TypeError, match="list of texts or Condition"):
            predict(model, new, condition=[one, "a/b"])
        with pytest.raises(ValueError, match="holds its own doses"):
            predict(model, new, condition=one, dose=1.0)
        with pytest.raises(ValueError, match="one drug or more"):
            predict(model, new, condition=[])


def test_what_share_of_a_prediction_neighbours_have_is_recorded(cohort, new, caplog):
    fitted = cohort.copy()
    model = ct.tl.fit_response(
        fitted, options=FEW, training=replace(TINY, max_steps=1), progress=False, **KEYS
    )
    assert fitted.uns["celltraj"]["response"]["base"] == 0.5
    with caplog.at_level("INFO", logger="celltraj"):
        half, alone = predict(model, new), predict(model, new, guidance=2.0)
    support = [one.uns["celltraj"]["response"]["support"] for one in (half, alone)]
    assert [one["base"].tolist() for one in support] == [[0.5], [0.0]]
    assert "the network alone predicts donor 0" in caplog.text
