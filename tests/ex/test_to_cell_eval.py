"""The pair that cell-eval reads, and the same scores by our own formulas."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix

import celltraj as ct

KEYS = {"population_key": "donor", "condition_key": "drug", "control": "none"}
DRUGS = ("A", "B", "C")


def counts(seed, *, n=40, n_genes=80, donors=("p",), strength=1.0):
    """Return log1p of counts of donors without a drug and under three."""
    rng, x, rows = np.random.default_rng(seed), [], []
    truth = np.random.default_rng(0)
    base = truth.gamma(2.0, 1.0, n_genes)
    effects = {drug: truth.normal(0, 0.7, n_genes) for drug in DRUGS} | {"none": np.zeros(n_genes)}
    for donor in donors:
        for drug, effect in effects.items():
            x.append(np.log1p(rng.poisson(base * np.exp(strength * effect), (n, n_genes))))
            rows += [(donor, drug)] * n
    obs = pd.DataFrame(rows, columns=["donor", "drug"]).rename(index=str)
    return ad.AnnData(np.concatenate(x).astype("float32"), obs=obs)


def predictions(adata):
    """Return treated cells as a prediction has them."""
    treated = adata[adata.obs["drug"] != "none"].copy()
    treated.obs = treated.obs.rename(columns={"donor": "population", "drug": "condition"})
    return treated


@pytest.fixture(scope="module")
def observed():
    return counts(1)


@pytest.fixture(scope="module")
def predicted():
    return predictions(counts(2, strength=0.6))


def test_the_pair_has_the_same_genes_targets_and_untreated_cells(observed, predicted):
    told = predicted[:, ::-1].copy()
    told.X[0, 0] = -0.5
    wide = observed.copy()
    wide.X = csr_matrix(wide.X)
    mine, true = ct.ex.to_cell_eval(told, wide, **KEYS)
    assert mine.var_names.tolist() == true.var_names.tolist() == told.var_names.tolist()
    assert mine.obs["target"].value_counts().to_dict() == dict.fromkeys(
        [*DRUGS, "non-targeting"], 40
    )
    free = [one[one.obs["target"] == "non-targeting"] for one in (mine, true)]
    np.testing.assert_array_equal(free[0].X, free[1].X)
    np.testing.assert_array_equal(free[0].X, observed[observed.obs["drug"] == "none"].X[:, ::-1])
    treated = mine[mine.obs["target"] != "non-targeting"]
    np.testing.assert_array_equal(treated.X, np.maximum(told.X, 0))
    assert mine.X.min() == 0


def test_cells_are_drawn_by_the_mass_they_keep(observed, predicted):
    told = predicted.copy()
    told.obs["survival"] = np.tile([0.0, 2.0], told.n_obs // 2).astype("float32")
    mine = ct.ex.to_cell_eval(told, observed, **KEYS, seed=1)[0]
    lasting = {tuple(row) for row in told.X[1::2]}
    assert all(tuple(row) in lasting for row in mine[mine.obs["target"] != "non-targeting"].X)
    assert (mine.obs["target"] == "A").sum() == 40


def test_what_cannot_be_compared_is_told(observed, predicted):
    with pytest.raises(KeyError, match="predicted is no prediction"):
        ct.ex.to_cell_eval(observed, observed, **KEYS)
    with pytest.raises(ValueError, match=r"no cells of .*\('p', 'A'\)"):
        ct.ex.to_cell_eval(predicted, observed[observed.obs["drug"] != "A"].copy(), **KEYS)
    with pytest.raises(ValueError, match="observed lacks 40 of the 80 predicted genes"):
        ct.ex.to_cell_eval(predicted, observed[:, :40].copy(), **KEYS)
    scaled = observed.copy()
    scaled.X = scaled.X - 1
    with pytest.raises(ValueError, match="log1p of normalised counts"):
        ct.ex.to_cell_eval(predicted, scaled, **KEYS)


def test_scores_of_populations_do_not_depend_on_each_other(observed, predicted):
    both = counts(1, donors=("p", "q"))
    told = predictions(counts(2, donors=("p", "q"), strength=0.6))
    own = both[both.obs["donor"] == "p"].copy(), told[told.obs["population"] == "p"].copy()
    all_ = ct.tl.gene_scores(told, both, **KEYS, n_splits=1)
    one = ct.tl.gene_scores(own[1], own[0], **KEYS, n_splits=1)
    pd.testing.assert_frame_equal(all_[all_["population"] == "p"].reset_index(drop=True), one)
    assert set(all_["population"]) == {"p", "q"}


def test_the_truth_scores_best_and_halves_of_it_nearly_so(observed):
    scores = ct.tl.gene_scores(predictions(observed), observed, **KEYS)
    value = scores.set_index(["metric", "condition"])["value"]
    assert value["mae"].max() == 0
    for metric in ("pearson_delta", "overlap_at_N", "de_direction_match"):
        np.testing.assert_allclose(value[metric], 1)
    assert value["discrimination_score_l1"].min() == 1
    ceiling = scores.set_index("metric")["ceiling"]
    assert ceiling["mae"].min() > 0
    assert 0.7 < ceiling["pearson_delta"].min() < 1
    assert ceiling["overlap_at_N"].max() < 1
    with pytest.raises(ValueError, match="n_splits must be at least 1"):
        ct.tl.gene_scores(predictions(observed), observed, **KEYS, n_splits=0)


def test_scores_are_those_of_cell_eval(observed, predicted, tmp_path):
    cell_eval = pytest.importorskip("cell_eval")
    pair = ct.ex.to_cell_eval(predicted, observed, **KEYS)
    theirs = cell_eval.MetricsEvaluator(*pair, outdir=str(tmp_path), num_threads=1)
    table = theirs.compute(profile="full", write_csv=False)[0].to_pandas()
    expected = table.set_index("perturbation")
    scores = ct.tl.gene_scores(predicted, observed, **KEYS)
    for metric, own in scores.groupby("metric"):
        found = own.set_index("condition")["value"]
        np.testing.assert_allclose(found, expected.loc[found.index, metric], atol=1e-5)
