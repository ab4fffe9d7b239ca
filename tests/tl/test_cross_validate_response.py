"""Held-out responses: what is left out, what is known of it, and how it is measured."""

import warnings
from dataclasses import replace
from functools import partial
from unittest import mock

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch
from heard import ours

import celltraj as ct
from celltraj._errors import DataWarning
from celltraj.metrics import split_half_floor, wasserstein
from celltraj.models import MetaFlowMatching, Response, ResponseOptions, Training
from celltraj.models.evaluation import CONTROLS
from celltraj.models.response.cell_identity import content_order

DISTANCES = ("W1", "W2", "MMD", "energy")
TINY = Training(max_steps=3, batch_size=16, width=16)
KEYS = {"population_key": "population", "condition_key": "condition", "control": "before"}
SCREEN = {
    "population_key": "population",
    "condition_key": ["drug_1", "drug_2"],
    "dose_key": ["dose_1", "dose_2"],
    "control": "control",
}
CROWD = ResponseOptions(n_context=16)
NO_NEIGHBOURHOOD = replace(CROWD, n_kernels=0)
tiny = partial(ct.tl.fit_response, training=TINY, options=NO_NEIGHBOURHOOD, progress=False)


class Still(MetaFlowMatching):
    """Leave cells where they are."""

    def respond(self, cells, condition, **_):
        return Response(cells, None)


def judge(adata, *, most=1000, **options):
    """Return scores from at most so many cells on either side of a distance."""
    options = KEYS | {"fit": {}, "progress": False} | options
    with mock.patch("celltraj.models.evaluation.response.N_CELLS", most):
        return ct.tl.cross_validate_response(adata, **options)


def values(scores, metric="W1"):
    return scores[scores["metric"] == metric].set_index("method")["value"]


def one(scores, method, metric="W1"):
    found = values(scores[scores["method"] == method], metric).unique()
    assert len(found) == 1
    return found[0]


def moved(shift, *, n=20, n_populations=3, types=None, seed=0):
    """Return populations whose cells are the same before and after, but for ``shift(types)``."""
    rng, parts = np.random.default_rng(seed), []
    labels = np.zeros(n, int) if types is None else np.resize(types, n)
    for k in range(n_populations):
        x = rng.normal(size=(n, 2)) + 5 * k
        for name, cells in (("before", x), ("after", x + shift(labels))):
            table = {"population": f"p{k}", "condition": name, "type": labels.astype(str)}
            parts.append((cells, pd.DataFrame(table, index=range(n))))
    obs = pd.concat([part for _, part in parts], ignore_index=True)
    obs.index = obs.index.astype(str)
    return ad.AnnData(np.concatenate([x for x, _ in parts]), obs=obs)


def doses_of_two_drugs(effect, *, n=12, n_populations=3):
    """Return populations under two drugs, whose effects in the log dose are given."""
    rng, cells, rows = np.random.default_rng(0), [], []
    kinds = [("none", None, np.nan, np.nan)]
    kinds += [(d, None, c, np.nan) for d in ("A", "B") for c in (1.0, 10.0, 1000.0)]
    kinds += [("A", "B", 10.0, 1.0), ("B", "A", 10.0, 1000.0)]
    for k in range(n_populations):
        x = rng.normal(size=(n, 2))
        for first, second, low, high in kinds:
            given = [(first, low), (second, high)]
            shift = sum(effect(k, d, c) for d, c in given if d in ("A", "B"))
            cells.append(x + shift)
            rows += [(f"p{k}", first, second, low, high)] * n
    obs = pd.DataFrame(rows, columns=["population", "drug_1", "drug_2", "dose_1", "dose_2"])
    obs.index = obs.index.astype(str)
    return ad.AnnData(np.concatenate(cells), obs=obs)


@pytest.fixture
def populations():
    return ct.datasets.interacting_populations(n_populations=3, n_cells=30, seed=0)


@pytest.fixture(scope="module")
def screen():
    return ct.datasets.drug_screen(n_lines=3, n_drugs=3, n_cells=40, n_vars=3, seed=0)


@pytest.fixture(scope="module")
def still(screen):
    """Return a model that stands for those which are not looked at."""
    return Still(**vars(tiny(screen.copy(), **SCREEN)))


def test_every_row_is_there_once(populations):
    scores = judge(populations, fit={"mine": tiny}, seed=3)
    columns = ["method", "held_out", "metric", "value", "seed", "population", "condition"]
    assert list(scores) == columns
    names = [f"population {k}" for k in range(3)]
    methods = ["floor", "no_change", "shift", "pooled", "oracle_shift"]
    methods += ["neighbours", "neighbours_drawn", "neighbours_centred"]
    methods += ["mine", "mine (other embedding)"]
    rows = pd.MultiIndex.from_frame(scores[["population", "method", "metric"]])
    assert rows.is_unique
    assert set(rows) == {
        *((p, m, k) for p in names for m in methods for k in (*DISTANCES, "gate_error")),
        *((p, m, "variance_ratio") for p in names for m in methods[1:]),
        *((p, m, "shift_cosine") for p in names for m in methods[2:]),
        *((p, m, "shift_r2") for p in names for m in methods[1:]),
        *((p, m, "size") for p in names for m in [*methods[1:], "truth"]),
    }
    assert (scores["held_out"] == scores["population"]).all()
    assert set(scores["condition"]) == {"after"}
    assert set(scores["seed"]) == {3}
    assert np.isfinite(scores["value"]).all()


def test_a_pure_shift_is_predicted_by_the_mean_shift():
    shift = np.array([3.0, -4.0])
    scores = judge(moved(lambda types: shift))
    for method in ("shift", "oracle_shift"):
        for metric in ("W1", "W2", "MMD"):
            # squared distances near 100 round at 1e-14, their roots at 1e-7
            assert values(scores, metric)[method].max() < 1e-6
        assert one(scores.round(9), method, "shift_r2") == 1
        assert one(scores.round(9), method, "shift_cosine") == 1
    assert values(scores)["no_change"].to_numpy() == pytest.approx(5)
    assert values(scores, "size")["truth"].to_numpy() == pytest.approx(5)
    assert values(scores, "size")["no_change"].to_numpy() == pytest.approx(0)


def test_each_type_may_shift_by_itself():
    adata = moved(lambda types: 6.0 * types[:, None] * [1.0, 0.0], types=[0, 1])
    scores = judge(adata, cell_type_key="type")
    assert values(scores)["shift_by_type"].max() < 1e-6
    # half of the cells stay and half move by 6, all are told 3
    assert values(scores)["shift"].min() > 0.5
    assert "shift_by_type" not in set(judge(adata)["method"])


def test_a_type_without_a_shift_of_its_own_takes_that_of_all():
    adata = moved(lambda types: np.full((len(types), 2), 2.0), types=[0, 1])
    in_first = adata.obs["population"] == "p0"
    adata.obs["type"] = np.where(in_first & (adata.obs["type"] == "1"), None, adata.obs["type"])
    assert values(judge(adata, cell_type_key="type"))["shift_by_type"].max() < 1e-6


def test_a_combination_is_expected_to_be_the_sum_of_its_drugs():
    def effect(k, drug, dose):
        return (k + 1) * np.array([np.log(dose), 1.0]) * (1 if drug == "A" else -2)

    scores = judge(
        doses_of_two_drugs(effect), **{**SCREEN, "control": "none"}, hold_out="condition"
    )
    assert set(scores["held_out"]) == {"A + B"}
    assert set(scores["condition"]) == {"A 10 + B 1", "A 1000 + B 10"}
    # exact in every population, though effects differ: the population itself was seen
    assert values(scores)["shift"].max() < 1e-6
    assert "pooled" not in set(scores["method"])


def test_a_dose_is_expected_on_the_line_through_its_neighbours():
    def effect(k, drug, dose):
        return (k + 1) * np.log(dose) * np.array([1.0, -1.0])

    adata = doses_of_two_drugs(effect)
    scores = judge(adata, **{**SCREEN, "control": "none"}, hold_out="dose")
    names = [f"{drug} {dose}" for drug in "AB" for dose in (1, 10, 1000)]
    assert list(scores["held_out"].unique()) == names
    assert (scores["held_out"] == scores["condition"]).all()
    assert values(scores)["shift"].max() < 1e-6


def test_a_dose_is_not_seen_in_combinations_either(screen, still):
    seen = []

    def fit(adata, **_):
        seen.append(adata.obs[["drug_1", "dose_1", "drug_2", "dose_2"]].drop_duplicates())
        return still

    scores = judge(screen, **SCREEN, hold_out="dose", fit=fit)
    for held_out, table in zip(scores["held_out"].unique(), seen, strict=True):
        drug, dose = held_out.rsplit(" ", 1)
        for k in (1, 2):
            is_it = (table[f"drug_{k}"] == drug) & (table[f"dose_{k}"] == float(dose))
            assert not is_it.any()


@pytest.mark.parametrize("hold_out", ["population", "cell_type", "condition", "dose"])
def test_nothing_that_is_held_out_reaches_the_fit(screen, still, hold_out):
    obs, folds = screen.obs, []

    def fit(adata, **given):
        assert given == {**SCREEN, "cell_type_key": "state", "use_rep": "X", "seed": 5} | {
            "progress": False
        }
        folds.append(adata.obs_names)
        adata.X[:] = 0  # a copy: nobody sees it
        adata.obs["scratch"] = 1
        return still

    before = screen.copy()
    scores = judge(
        screen, **SCREEN, hold_out=hold_out, cell_type_key="state", fit=fit, seed=5, most=20
    )
    names = scores["held_out"].unique()
    assert len(folds) == len(names) > 1
    is_treated = obs["drug_1"] != "control"
    for name, kept in zip(names, folds, strict=True):
        gone = ~obs.index.isin(kept)
        if hold_out == "population":
            assert (gone == (obs["population"] == name)).all()
        if hold_out == "cell_type":
            assert (gone == (is_treated & (obs["state"] == name))).all()
        if hold_out == "condition":
            pair = obs["drug_1"].astype(str) + " + " + obs["drug_2"].astype(str)
            assert (gone == (pair == name)).all()
        if hold_out == "dose":
            alone = obs["drug_1"].astype(str) + " " + obs["dose_1"].map("{:g}".format)
            assert gone[(alone == name) & obs["drug_2"].isna()].all()
            assert not gone[~is_treated].any()
    pd.testing.assert_frame_equal(screen.obs, before.obs)
    np.testing.assert_array_equal(screen.X, before.X)
    assert set(screen.uns) == set(before.uns)


def test_a_held_out_type_is_judged_by_its_own_cells():
    adata = moved(lambda types: np.outer([1.0, 2.0, 7.0], [1.0, 0.0])[types], n=33, types=[0, 1, 2])
    scores = judge(adata, hold_out="cell_type", cell_type_key="type")
    size = scores[scores["metric"] == "size"]
    size = size.set_index(["held_out", "method"])["value"].sort_index()
    for held_out, own, others in (("0", 1.0, 4.5), ("1", 2.0, 4.0), ("2", 7.0, 1.5)):
        assert size[held_out, "truth"].to_numpy() == pytest.approx(own)
        # cells of the left-out type are in neither mean, before nor after
        assert size[held_out, "shift"].to_numpy() == pytest.approx(others, abs=1e-6)
    assert not {"shift_by_type"} & set(scores["method"])
    assert "type_error" not in set(scores["metric"])


def test_a_model_that_leaves_cells_in_place_scores_as_no_change(screen, still):
    scores = judge(screen, **SCREEN, hold_out="condition", fit=lambda adata, **_: still)
    for metric in ("W1", "W2", "MMD", "energy", "shift_r2", "size"):
        found = values(scores, metric)
        for method in ("response", "response (other embedding)"):
            np.testing.assert_allclose(found[method], found["no_change"], atol=1e-6)


def test_floor_and_no_change_are_those_of_the_metrics(populations):
    scores = judge(populations, seed=4).set_index(["population", "method", "metric"])["value"]
    for name in populations.obs["population"].unique():
        own = populations[populations.obs["population"] == name]
        x = {c: own[own.obs["condition"] == c].X.astype(float) for c in ("before", "after")}
        x = {c: cells[content_order(torch.from_numpy(cells))] for c, cells in x.items()}
        assert scores[name, "floor", "W1"] == pytest.approx(split_half_floor(x["after"], seed=4))
        expected = wasserstein(x["before"], x["after"])
        assert scores[name, "no_change", "W1"] == pytest.approx(expected)


def test_pooled_populations_weigh_the_same():
    # 10 cells at 0 and 40 at 8: half of the mass each
    sizes, at = {"p0": 10, "p1": 40, "p2": 10}, {"p0": 0.0, "p1": 8.0, "p2": 4.0}
    x, rows = [], []
    for name, n in sizes.items():
        for condition, place in (("before", -1.0), ("after", at[name])):
            x.append(place + 1e-6 * np.arange(n)[:, None])
            rows += [(name, condition)] * n
    obs = pd.DataFrame(rows, columns=["population", "condition"])
    obs.index = obs.index.astype(str)
    scores = judge(ad.AnnData(np.concatenate(x), obs=obs))
    last = scores[scores["population"] == "p2"]
    assert values(last, "size")["pooled"] == pytest.approx(5.0, abs=1e-4)
    assert values(last)["pooled"] == pytest.approx(4.0, abs=1e-4)


def test_types_of_predictions_are_those_of_the_nearest_treated_cell():
    adata = moved(lambda types: np.full((len(types), 2), 0.1), types=[0, 1])
    adata.X[adata.obs["type"] == "1"] += 100
    held = (adata.obs["population"] == "p1") & (adata.obs["condition"] == "after")
    adata = adata[~(held & (adata.obs["type"] == "1"))].copy()  # the drug kills these in p1
    scores = judge(adata, cell_type_key="type")
    errors = scores[scores["metric"] == "type_error"].set_index(["population", "method"])["value"]
    assert errors["p1", "no_change"] == pytest.approx(0.5)
    assert errors["p1", "pooled"] == pytest.approx(0.5)
    assert errors["p0", "no_change"] == errors["p2", "no_change"] == 0


@pytest.mark.parametrize(
    "options",
    [CROWD, replace(NO_NEIGHBOURHOOD, encoder=None, coupling=ct.ot.Unbalanced())],
)
def test_a_model_predicts_as_it_does_for_new_cells(populations, options):
    fit = partial(tiny, options=options)
    scores = judge(populations, fit=fit, seed=2).set_index(["population", "method", "metric"])
    held = populations.obs["population"] == "population 1"
    model = fit(populations[~held].copy(), **KEYS, seed=2)
    after = populations.obs["condition"] == "after"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        predicted = ct.tl.predict_response(
            populations[held & ~after].copy(), model, condition="after", seed=2, progress=False
        )
    weights = predicted.obs["survival"].to_numpy(float) if "survival" in predicted.obs else None
    truth = populations[held & after].X.astype(float)
    expected = wasserstein(predicted.X.astype(float), truth, weights=weights)
    found = scores["value"]["population 1", "response", "W1"]
    assert found == pytest.approx(expected, rel=1e-5)  # predicted cells are stored as float32


def test_only_what_looks_at_the_population_can_mistake_it(populations):
    fits = {
        "moments": partial(tiny, options=NO_NEIGHBOURHOOD),
        "neighbourhood": partial(tiny, options=replace(CROWD, encoder=None)),
        "blind": partial(tiny, options=replace(NO_NEIGHBOURHOOD, encoder=None)),
    }
    scores = values(judge(populations, fit=fits))
    for name, what in (("moments", "embedding"), ("neighbourhood", "neighbourhood")):
        own, other = scores[name].to_numpy(), scores[f"{name} (other {what})"].to_numpy()
        assert (np.abs(own - other) > 1e-4).all()
    assert sum(name.endswith(CONTROLS) for name in scores.index.unique()) == 2


def test_a_case_does_not_depend_on_what_else_is_judged(populations):
    alone = judge(populations, most=15)
    both = judge(populations, most=15, fit=tiny)
    rest = both[~both["method"].str.startswith("response")].reset_index(drop=True)
    pd.testing.assert_frame_equal(alone, rest)


def test_neither_order_of_cells_nor_origin_matters(populations):
    rng = np.random.default_rng(1)
    shuffled = populations[rng.permutation(populations.n_obs)].copy()
    shuffled.X = shuffled.X + np.float32(8.0)
    first, second = judge(populations), judge(shuffled)
    keys = ["population", "method", "metric"]
    first, second = (t[t["method"] != "floor"].set_index(keys)["value"] for t in (first, second))
    pd.testing.assert_series_equal(first, second[first.index], rtol=1e-4)


def test_units_carry_through(populations):
    wide = populations.copy()
    wide.X = wide.X * 10
    ratio = judge(wide)["value"] / judge(populations)["value"]
    metric = judge(populations)["metric"]
    unit = metric.map({"W1": 10, "W2": 10, "size": 10, "energy": 10**0.5}).fillna(1)
    known = ratio.notna()  # the size of no change is 0 / 0
    np.testing.assert_allclose(ratio[known], unit[known], rtol=1e-4)


def test_cells_are_drawn_from_all_of_a_sorted_file():
    # the drug moves the second half of the cells alone; the first 20 say nothing of it
    adata = moved(lambda types: 4.0 * (np.arange(len(types)) >= 100)[:, None], n=200)
    size = values(judge(adata, most=50), "size")["truth"]
    # 50 of 200 on either side: half of them moved by 4 sqrt(2), noise of the means .2 a variable
    assert size.to_numpy() == pytest.approx(2 * 2**0.5, abs=1.5)


def test_preparation_learns_from_what_is_left_alone(populations):
    genes = ad.AnnData(np.random.default_rng(0).normal(size=(populations.n_obs, 60)))
    genes.obs = populations.obs.copy()
    genes.X[:, :2] += 3 * populations.X
    seen = []

    def prepare(adata, *, fit_on):
        seen.append(fit_on)
        ct.pp.pca_model(adata, n_comps=2, fit_on=fit_on)

    scores = judge(genes, prepare=prepare)
    for name, fit_on in zip(scores["held_out"].unique(), seen, strict=True):
        assert (fit_on == (genes.obs["population"] != name)).all()
    # by hand, from the singular vectors of the training cells
    fit_on = seen[1]
    centre = genes.X[fit_on].mean(0)
    _, _, axes = np.linalg.svd(genes.X[fit_on] - centre, full_matrices=False)
    z = (genes.X - centre) @ axes[:2].T
    held = genes[~fit_on].obs["condition"]
    expected = wasserstein(z[~fit_on][held == "before"], z[~fit_on][held == "after"])
    mine = scores[scores["population"] == scores["held_out"].unique()[1]]
    assert one(mine, "no_change") == pytest.approx(expected, rel=1e-4)
    assert not genes.obsm
    assert "celltraj" not in genes.uns


def test_a_fit_may_read_covariates(populations):
    populations.obs["age"] = populations.obs["population"].cat.codes.to_numpy(float)
    fit = partial(tiny, options=replace(NO_NEIGHBOURHOOD, covariate_keys=["age"]))
    assert "response (other embedding)" in set(judge(populations, fit=fit)["method"])


def test_cells_that_carry_features_are_told_those_of_others(populations):
    graph = partial(tiny, options=ResponseOptions(encoder=ct.models.GraphEncoder()))
    methods = set(judge(populations, fit={"mine": graph})["method"])
    found = {one for one in methods if one.startswith("mine")}
    assert found == {"mine", "mine (other embedding)", "mine (other cell)"}


def test_the_usual_fit_is_that_of_the_package(populations, monkeypatch):
    monkeypatch.setattr("celltraj.tl._cross_validate_response._quiet_fit", tiny)
    scores = judge(populations, fit=None)
    pd.testing.assert_frame_equal(scores, judge(populations, fit={"response": tiny}))


def test_few_cells_and_unknown_drugs_are_not_judged():
    populations = ct.datasets.interacting_populations(n_populations=4, n_cells=30, seed=0)
    few = populations.obs.index[
        (populations.obs["population"] == "population 0")
        & (populations.obs["condition"] == "after")
    ][9:]
    adata = populations[~populations.obs_names.isin(few)].copy()
    labels = adata.obs["condition"].astype(str)
    labels[(labels == "after") & (adata.obs["population"] == "population 1")] = "another drug"
    adata.obs["condition"] = labels
    with pytest.warns(DataWarning, match="fewer than 10 cells") as caught:
        scores = judge(adata, fit=tiny)
    assert len(ours(caught)) == 1  # of all cells, and of no fold again
    assert set(scores["population"]) == {"population 2", "population 3"}


def test_scores_survive_a_file(populations, tmp_path):
    scores = judge(populations)
    populations.uns["scores"] = scores
    populations.write_h5ad(tmp_path / "scores.h5ad")
    found = ad.read_h5ad(tmp_path / "scores.h5ad").uns["scores"]
    expected = ct.get.score_summary(scores, n_bootstrap=50)
    pd.testing.assert_frame_equal(ct.get.score_summary(found, n_bootstrap=50), expected)
    ct.pl.scores(found, show=False)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hold_out": "donor"}, "hold_out must be 'population' or"),
        ({"hold_out": "cell_type"}, "needs cell_type_key"),
        ({"hold_out": "condition"}, "a combination of two drugs or more"),
        ({"hold_out": "dose"}, "it needs dose_key= and a drug given alone at three doses"),
        ({"fit": {"floor": tiny}}, "are always there"),
        ({"fit": {"mine (other embedding)": tiny}}, "are always there"),
    ],
)
def test_what_cannot_be_judged_is_told(populations, options, message):
    with pytest.raises(ValueError, match=message):
        judge(populations, **options)


def test_three_populations_and_all_controls_are_needed(populations):
    two = populations[populations.obs["population"].isin(["population 0", "population 1"])]
    with pytest.raises(ValueError, match="3 treated populations are needed"):
        judge(two.copy())
    obs = populations.obs
    bare = ~((obs["population"] == "population 2") & (obs["condition"] == "before"))
    with pytest.raises(ValueError, match="'population 2' has treated cells and no control"):
        judge(populations[bare].copy())


def test_an_error_names_model_and_fold(populations):
    def fit(adata, **_):
        raise ZeroDivisionError("mine")

    def prepare(adata, *, fit_on):
        raise ZeroDivisionError("mine")

    for options, who in (({"fit": {"odd": fit}}, "'odd'"), ({"prepare": prepare}, "prepare")):
        with pytest.raises(ZeroDivisionError, match="mine") as caught:
            judge(populations, **options)
        assert caught.value.__notes__ == [f"raised by {who} with 'population 0' held out"]


def test_other_things_than_responses_are_refused(populations):
    with pytest.raises(TypeError, match="fit must return a response"):
        judge(populations, fit=lambda adata, **_: None)
    with pytest.raises(TypeError, match="prepare must change the AnnData"):
        judge(populations, prepare=lambda adata, *, fit_on: adata)


def test_the_bar_counts_folds(populations, capsys):
    judge(populations, progress=True)
    assert "3/3" in capsys.readouterr().err
    judge(populations, progress=False)
    assert capsys.readouterr().err == ""


def test_scores_do_not_depend_on_the_order_of_rows(populations):
    order = np.random.default_rng(0).permutation(populations.n_obs)
    fit = partial(ct.tl.fit_response, training=TINY, options=CROWD, progress=False)
    one, other = (
        judge(adata, fit=fit, most=20) for adata in (populations, populations[order].copy())
    )
    pd.testing.assert_frame_equal(one, other)


def test_types_and_their_order_do_not_change_scores():
    adata = moved(lambda labels: np.outer(labels, [1.0, 0.0]) + 1, n=30, types=[0, 1, 1])
    adata.obs["type"] = adata.obs["type"].astype("category")
    order = np.random.default_rng(0).permutation(adata.n_obs)
    other = adata[order].copy()
    other.obs["type"] = other.obs["type"].cat.reorder_categories(["1", "0"])
    other.obs["population"] = pd.Categorical(other.obs["population"], ["p2", "p0", "p1"])
    one, again = (judge(a, fit=tiny, cell_type_key="type", most=20) for a in (adata, other))
    key = ["held_out", "population", "condition", "method", "metric"]
    one, again = (scores.sort_values(key, ignore_index=True) for scores in (one, again))
    # shares of types are added in another order
    pd.testing.assert_frame_equal(one, again, rtol=1e-6)


@pytest.mark.parametrize("prepare", [None, lambda adata, fit_on: None], ids=["plain", "prepared"])
def test_populations_never_treated_are_named(prepare):
    more = ct.datasets.interacting_populations(n_populations=4, n_cells=30, seed=0)
    kept = more[~((more.obs["population"] == "population 1") & (more.obs["condition"] == "after"))]
    with pytest.warns(ct.DataWarning, match=r"1 populations have untreated.*'population 1'"):
        scores = judge(kept.copy(), prepare=prepare)
    assert set(scores["population"]) == {"population 0", "population 2", "population 3"}
