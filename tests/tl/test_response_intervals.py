"""Intervals over populations: what they are made of, and how often they hold the truth."""

from functools import partial

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import celltraj as ct
from celltraj.models import MetaFlowMatching, Response, ResponseOptions, Training

TINY = Training(max_steps=3, batch_size=16, width=16)
KEYS = {"population_key": "population", "condition_key": "condition", "control": "before"}
tiny = partial(
    ct.tl.fit_response, training=TINY, options=ResponseOptions(n_kernels=0), progress=False
)
ask = partial(ct.tl.response_intervals, condition="after", progress=False)


class Moved(MetaFlowMatching):
    """Move all cells by one along each variable."""

    def respond(self, cells, condition, **_):
        return Response(cells + 1, None)


class Moved3(MetaFlowMatching):
    """Move all cells by three along each variable."""

    def respond(self, cells, condition, **_):
        return Response(cells + 3, None)


def cohort(shifts, *, n=20, seed=0):
    """Return populations whose cells are the same before and after, but for a shift of each."""
    rng, x, rows = np.random.default_rng(seed), [], []
    for k, shift in enumerate(shifts):
        cells = rng.normal(size=(n, 2))
        x += [cells, cells + np.array([shift, 0.0])]
        rows += [(f"p{k:02}", name) for name in ("before", "after") for _ in range(n)]
    obs = pd.DataFrame(rows, columns=["population", "condition"]).rename(index=str)
    return ad.AnnData(np.concatenate(x), obs=obs, var=pd.DataFrame(index=["CD4", "CD8"]))


def without(adata, names, *, only_treated=False):
    gone = adata.obs["population"].isin(names)
    return adata[~(gone & ((adata.obs["condition"] == "after") | (not only_treated)))].copy()


@pytest.fixture(scope="module")
def ten():
    return cohort([0.3, -0.2, 1.5, 2.5, 0.0, 3.0, -1.0, 4.5, 2.0, 9.0])


@pytest.fixture(scope="module")
def fitted(ten):
    return tiny(without(ten, [f"p{k:02}" for k in range(3, 10)]), **KEYS)


def test_the_half_width_is_a_rank_of_what_was_missed(ten, fitted):
    model = Moved(**vars(fitted))
    found = ask(without(ten, ["p09"], only_treated=True), model, confidence=0.8)
    assert set(found["population"]) == {"p09"}
    assert set(found["n_populations"]) == {6}  # p03 to p08; the first three were fitted to
    row = found.set_index(["readout", "variable"]).loc[("shift", "CD4")]
    # missed are 1.5, 1, 2, 2, 3.5, 1, of which the ceil(.8 * 7) = 6th smallest is 3.5
    assert row[["predicted", "low", "high"]].tolist() == pytest.approx([1, -2.5, 4.5])
    assert np.isnan(row["observed"])
    tight = ask(without(ten, ["p09"], only_treated=True), model, confidence=0.5)
    row = tight.set_index(["readout", "variable"]).loc[("shift", "CD4")]
    assert row["high"] - row["predicted"] == pytest.approx(2)  # the 4th
    shares = found[found["readout"] == "above_gate"]
    assert shares["low"].min() >= 0
    assert shares["high"].max() <= 1


def test_several_models_are_a_yardstick(ten, fitted):
    adata = without(ten, ["p09"], only_treated=True)
    both = [Moved(**vars(fitted)), Moved3(**vars(fitted))]
    found = ask(adata, both, confidence=0.8).set_index(["readout", "variable"])
    row = found.loc[("shift", "CD4")]
    # the mean is 2; missed are .5, 2, 1, 3, 2.5, 0: models disagree as much on everyone
    assert row[["predicted", "low", "high"]].tolist() == pytest.approx([2, -1, 5])


def test_jackknife_takes_the_model_that_has_not_seen_each(ten):
    nine = without(ten, ["p09"])
    folds = ct.tl.fit_response_folds(nine, **KEYS, fit=tiny, progress=False)
    assert list(folds) == [f"p{k:02}" for k in range(9)]
    for name, model in folds.items():
        assert set(model.support.names) == set(folds) - {name}
    found = ask(ten, folds, confidence=0.8)
    assert set(found["method"]) == {"jackknife+"}
    row = found.set_index(["readout", "variable"]).loc[("shift", "CD4")]
    shifts, missed = [], []
    for name, model in folds.items():
        told = {}
        for who in (name, "p09"):
            own = ten[(ten.obs["population"] == who) & (ten.obs["condition"] == "before")].copy()
            after = ct.tl.predict_response(own, model, condition="after", progress=False).X
            told[who] = after.mean(0)[0] - own.X.mean(0)[0]
        truth = ten[ten.obs["population"] == name].X
        missed.append(abs(truth[20:, 0].mean() - truth[:20, 0].mean() - told[name]))
        shifts.append(told["p09"])
    low = np.sort(np.subtract(shifts, missed))[1]  # floor(.2 * 10) = 2nd smallest
    high = np.sort(np.add(shifts, missed))[7]  # ceil(.8 * 10) = 8th
    assert row[["low", "high"]].tolist() == pytest.approx([low, high], abs=1e-5)
    assert row["observed"] == pytest.approx(9)


def test_parts_of_the_populations_share_a_fit(ten):
    folds = ct.tl.fit_response_folds(ten, **KEYS, n_folds=3, fit=tiny, progress=False)
    assert len(folds) == 10
    assert len({id(one) for one in folds.values()}) == 3
    assert all(name not in one.support.names for name, one in folds.items())
    with pytest.raises(ValueError, match="n_folds from 2 to their number"):
        ct.tl.fit_response_folds(ten, **KEYS, n_folds=11, fit=tiny, progress=False)


def test_shares_of_types_and_survival_are_read_with_the_training(ten, fitted):
    adata = ten.copy()
    adata.obs["type"] = np.where(np.arange(adata.n_obs) % 4 == 0, "B", "T")
    adata.obs["viability"] = np.where(adata.obs["condition"] == "after", 0.5, 1.0)
    third = (adata.obs["population"] == "p02") & (adata.obs["condition"] == "after")
    adata.obs.loc[third, "viability"] = 0.125
    adata = without(adata, ["p09"], only_treated=True)
    keys = {"cell_type_key": "type", "survival_key": "viability"}
    found = ask(adata, Moved(**vars(fitted)), **keys).set_index(["readout", "variable"])
    assert found.loc["share"].index.tolist() == ["B", "T"]
    assert found.loc["share"]["predicted"].sum() == pytest.approx(1)
    row = found.loc[("survival", "")]
    # the geometric mean of .5, .5 and .125; of all others .5
    assert row["predicted"] == pytest.approx(0.5 * 0.25 ** (1 / 3))
    assert row["high"] == pytest.approx(0.5)
    untrained = without(adata, ["p00", "p01", "p02"])
    with pytest.raises(ValueError, match="treated cells of the training"):
        ask(untrained, Moved(**vars(fitted)), **keys)
    uneven = adata.copy()
    treated = uneven.obs["condition"] == "after"
    uneven.obs.loc[treated, "viability"] = np.linspace(0.1, 0.9, treated.sum())
    with pytest.raises(ValueError, match="must share one survival"):
        ask(uneven, Moved(**vars(fitted)), survival_key="viability")


def test_what_cannot_be_said_is_told(ten, fitted):
    adata = without(ten, ["p09"], only_treated=True)
    with pytest.raises(ValueError, match=r"6 populations give no 90% interval"):
        ask(adata, fitted, confidence=0.9)
    with pytest.raises(ValueError, match="no new population"):
        ask(ten, fitted)
    with pytest.raises(ValueError, match="'p01' was fitted to it"):
        ask(adata, {"p01": fitted})
    with pytest.raises(ValueError, match="no treated cells of population 'p09'"):
        ask(adata, {"p09": fitted})
    with pytest.raises(ValueError, match="holds no response"):
        ask(adata, [])
    narrow = tiny(without(ten, ["p05"])[:, :1].copy(), **KEYS)
    with pytest.raises(ValueError, match="different variables"):
        ask(adata, [fitted, narrow])


def test_intervals_hold_the_populations_of_a_cohort_as_often_as_they_say():
    # shifts of a skewed law; 20 calibrate, and 180 are new
    rng = np.random.default_rng(3)
    covered = []
    for seed in range(4):
        shifts = rng.exponential(2.0, size=83)
        adata = cohort(shifts, n=10, seed=seed)
        model = tiny(without(adata, [f"p{k:02}" for k in range(3, 83)]), **KEYS)
        new = [f"p{k:02}" for k in range(23, 83)]
        found = ask(without(adata, new, only_treated=True), Moved(**vars(model)), confidence=0.8)
        shift = found[(found["readout"] == "shift") & (found["variable"] == "CD4")]
        covered.append(((shift["low"] <= shifts[23:]) & (shifts[23:] <= shift["high"])).mean())
    # the share that 20 populations hold has a standard deviation of 8.5 % over such cohorts
    assert np.mean(covered) == pytest.approx(17 / 21, abs=3 * 0.085 / 2 + 0.02)
