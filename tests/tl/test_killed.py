"""The share killed: counted, learned, read, and refused where nobody counted."""

from dataclasses import replace

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import celltraj as ct

KEYS = {"population_key": "line", "condition_key": "drug", "control": "none", "dose_key": "dose"}
LIVED = {1.0: 0.8, 10.0: 0.3}  # share that lives by dose, in all lines
FEW = ct.models.ResponseOptions(encoder=None, n_context=16, n_kernels=0, survival_key="count")


@pytest.fixture
def screen():
    """Return four lines of other sizes, of which a drug kills by its dose alone."""
    rng = np.random.default_rng(0)
    rows, parts = [], []
    for k in range(4):
        for dose in (np.nan, *LIVED):
            drug, count = ("none", 1000.0 * (k + 1)) if np.isnan(dose) else ("x", None)
            count = count or 1000.0 * (k + 1) * LIVED[dose]
            rows += [(f"line {k}", drug, dose, count)] * 25
            parts.append(rng.normal(size=(25, 2)) + 2 * (drug == "x"))
    obs = pd.DataFrame(rows, columns=["line", "drug", "dose", "count"]).rename(index=str)
    return ad.AnnData(np.concatenate(parts), obs=obs)


def fitted(adata, options=FEW, steps=400):
    training = ct.models.Training(max_steps=steps, batch_size=32, width=32)
    keys = {"options": options, "training": training, "progress": False, "use_rep": "X"}
    return ct.tl.fit_response(adata, **KEYS, **keys)


def asked():
    return [ct.models.Condition(("x",), (dose,)) for dose in LIVED]


def predicted(adata, model):
    return ct.tl.predict_response(adata, model, condition=asked(), progress=False)


def test_the_share_killed_is_that_of_the_counts(screen, tmp_path):
    kept = screen[screen.obs["line"] != "line 3"].copy()
    model = fitted(kept)
    model.save(tmp_path)
    new = screen[(screen.obs["line"] == "line 3") & (screen.obs["drug"] == "none")].copy()
    told = predicted(new, ct.load(tmp_path))
    told.write_h5ad(tmp_path / "told.h5ad")
    table = ct.get.killed(ad.read_h5ad(tmp_path / "told.h5ad"))
    pd.testing.assert_frame_equal(table, ct.get.killed(told))
    assert table["condition"].tolist() == ["x 1", "x 10"]
    np.testing.assert_allclose(table["killed"], [0.2, 0.7], atol=0.06)
    np.testing.assert_allclose(table["killed"], 1 - table["survival"])
    # of each cell it stays relative to its population
    by = told.obs.groupby("condition", observed=True)["survival"].mean()
    np.testing.assert_allclose(by, 1, rtol=1e-5)

    curve = ct.tl.dose_response(
        screen, model, condition="x", doses=[1, 10], survival_key="count", progress=False
    )
    killed = curve[(curve["readout"] == "killed") & (curve["population"] == "line 3")]
    by_kind = killed.pivot(index="dose", columns="kind", values="value")
    np.testing.assert_allclose(by_kind["observed"], [0, 0.2, 0.7])
    np.testing.assert_allclose(by_kind["predicted"], [0, *table["killed"]], atol=1e-6)


def test_cells_that_die_count_as_often_as_others():
    # one half of each line dies: of the paths that are learned from, none begins there
    rng = np.random.default_rng(0)
    side = np.tile([-3.0, 3.0], 20)[:, None]
    before = [np.hstack([side, rng.normal(size=(40, 1))]) for _ in range(3)]
    after = [x[side[:, 0] > 0] + 0.1 * rng.normal(size=(20, 2)) for x in before]
    obs = [
        (f"l{k}", d, n) for k in range(3) for d, n in (("none", 40), ("x", 20)) for _ in range(n)
    ]
    table = pd.DataFrame(obs, columns=["line", "drug", "count"]).rename(index=str)
    cells = [one for pair in zip(before, after, strict=True) for one in pair]
    adata = ad.AnnData(np.concatenate(cells), obs=table)
    options = replace(FEW, coupling=ct.ot.Unbalanced(0.1), sigma=0.3)
    model = ct.tl.fit_response(
        adata,
        population_key="line",
        condition_key="drug",
        control="none",
        options=options,
        training=ct.models.Training(max_steps=400, batch_size=32, width=32),
        progress=False,
    )
    new = adata[(adata.obs["line"] == "l0") & (adata.obs["drug"] == "none")].copy()
    told = ct.tl.predict_response(new, model, condition="x", progress=False)
    assert ct.get.killed(told)["killed"].item() == pytest.approx(0.5, abs=0.1)
    assert told.obs["survival"][told.obs["source"].index[side[:, 0] < 0]].max() < 0.3


def test_where_nobody_counted_it_is_refused(screen):
    model = fitted(screen, replace(FEW, survival_key=None), steps=2)
    with pytest.raises(KeyError, match=r"was not told how many cells lived.*survival_key"):
        ct.get.killed(predicted(screen, model))
    curve = ct.tl.dose_response(screen, model, condition="x", doses=[1.0], progress=False)
    assert "killed" not in set(curve["readout"])


def test_a_control_without_a_number_leaves_shares_as_they_are(screen):
    share = screen.obs["dose"].map(LIVED)
    screen.obs["count"] = share.where(screen.obs["drug"] == "x")
    populations = fitted(screen, steps=2)
    assert populations.has_lived
    curve = ct.tl.dose_response(
        screen, populations, condition="x", doses=[1], survival_key="count", progress=False
    )
    seen = curve[(curve["kind"] == "observed") & (curve["readout"] == "killed")]
    assert sorted(set(seen["value"].round(6))) == [0.0, 0.2, 0.7]


@pytest.mark.parametrize(
    ("drug", "values", "message"),
    [
        ("x", [5.0, 6.0], "under one condition must share one survival, finite and positive"),
        ("x", [0.0, 0.0], "must share one survival, finite and positive; found .0.0."),
        ("none", [5.0, 6.0], "must share one positive number in obs.'count'., or have none"),
        ("x", ["many", "many"], "must hold counts or viabilities; found 'many'"),
    ],
)
def test_what_is_no_count_is_refused(screen, drug, values, message):
    screen.obs["count"] = screen.obs["count"].astype(object)
    own = np.flatnonzero(screen.obs["drug"] == drug)
    screen.obs.iloc[own[:2], screen.obs.columns.get_loc("count")] = values
    if values[0] == values[1]:
        screen.obs.iloc[own, screen.obs.columns.get_loc("count")] = values[0]
    with pytest.raises(ValueError, match=message):
        fitted(screen, steps=2)


def test_an_ensemble_tells_the_mean(screen):
    model = fitted(screen, replace(FEW, n_models=2), steps=10)
    whole = ct.get.killed(predicted(screen, model))
    parts = [ct.get.killed(predicted(screen, one))["killed"] for one in model.members]
    np.testing.assert_allclose(whole["killed"], np.mean(parts, axis=0), rtol=1e-6)
    told = predicted(screen, model)
    assert (told.obs["spread"] > 0).all()


def test_intervals_take_the_share_of_the_model(screen):
    kept = screen[screen.obs["line"] == "line 0"].copy()
    model = fitted(kept, steps=5)
    new = screen[~((screen.obs["line"] == "line 3") & (screen.obs["drug"] == "x"))]
    found = ct.tl.response_intervals(
        new[new.obs["line"] != "line 0"].copy(),
        model,
        condition="x",
        dose=1.0,
        survival_key="count",
        confidence=0.6,
        progress=False,
    )
    row = found[found["readout"] == "survival"]
    alone = new[(new.obs["line"] == "line 3")].copy()
    told = ct.get.killed(predicted(alone, model)).set_index("condition")
    assert row["predicted"].item() == pytest.approx(told.loc["x 1", "survival"], rel=1e-6)
