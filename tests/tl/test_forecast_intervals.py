"""Intervals of the later composition of units, from how far others were missed."""

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import celltraj as ct
from celltraj._stats.conformal import reach_without


def donors(n_donors, n_cells=30, seed=0, sd=0.1, unseen=0):
    """Return two times of cells that stand still, whose donors differ in their share of a fate.

    The later share of a donor is the earlier one and a normal deviation, so that forecasts by
    couplings of cells that do not move are the earlier shares.
    """
    rng = np.random.default_rng(seed)
    before = rng.uniform(0.3, 0.7, n_donors)
    after = before + sd * rng.standard_normal(n_donors)
    parts = []
    for time, shares in ((0.0, before), (1.0, after)):
        for donor, share in enumerate(shares):
            if time == 1.0 and donor < unseen:
                continue
            side = np.arange(n_cells) < round(n_cells * share)
            parts.append(pd.DataFrame({"time": time, "donor": f"d{donor}", "side": side}))
    obs = pd.concat(parts, ignore_index=True)
    x = np.where(obs["side"], 1.0, -1.0)[:, None] + 0.02 * rng.standard_normal((len(obs), 1))
    obs["side"] = pd.Categorical(np.where(obs["side"], "up", "down"))
    obs.index = obs.index.astype(str)
    adata = AnnData(x, obs=obs)
    ct.tl.couplings(adata, growth=None, progress=False)
    ct.tl.fates(adata, groupby="side")
    return adata


def test_each_unit_gets_what_the_others_give():
    missed = np.random.default_rng(0).random((9, 2))
    found = reach_without(missed, confidence=0.8)
    for i in range(len(missed)):
        others = np.sort(np.delete(missed, i, axis=0), axis=0)
        np.testing.assert_array_equal(found[i], others[int(np.ceil(0.8 * 9)) - 1])


def test_forecasts_are_mean_fates_and_what_is_seen_is_counted():
    adata = donors(8, unseen=1)
    found = ct.tl.forecast_intervals(adata, unit_key="donor", confidence=0.8)
    fates = ct.get.fates(adata)
    early = (adata.obs["time"] == 0.0).to_numpy()
    mean = fates[early].groupby(adata.obs["donor"].to_numpy()[early]).mean()
    up = found[found["fate"] == "up"].set_index("unit")
    np.testing.assert_allclose(up["predicted"], mean["up"].loc[up.index], rtol=1e-6)
    late = adata.obs[~early]
    share = (late["side"] == "up").groupby(late["donor"], observed=True).mean()
    np.testing.assert_allclose(up["observed"].dropna(), share.loc[up.index[1:]])
    assert np.isnan(up.loc["d0", "observed"])
    assert up["n_units"].tolist() == [7] + [6] * 7
    assert (found["low"] >= 0).all()
    assert (found["high"] <= 1).all()
    assert (found["low"] <= found["predicted"]).all()


def test_order_of_cells_changes_nothing():
    adata = donors(7)
    found = ct.tl.forecast_intervals(adata, unit_key="donor", confidence=0.8)
    order = np.random.default_rng(1).permutation(adata.n_obs)
    turned = ct.tl.forecast_intervals(adata[order].copy(), unit_key="donor", confidence=0.8)
    pd.testing.assert_frame_equal(found, turned)


def test_intervals_hold_as_often_as_they_say():
    held = []
    for seed in range(12):
        found = ct.tl.forecast_intervals(donors(19, seed=seed), unit_key="donor", confidence=0.8)
        up = found[found["fate"] == "up"]
        held.append(((up["low"] <= up["observed"]) & (up["observed"] <= up["high"])).mean())
    # of 18 others: at least .8, at most .8 + 1 / 19; three standard errors over data sets
    error = 3 * np.std(held) / np.sqrt(len(held))
    assert 0.8 - error <= np.mean(held) <= 0.8 + 1 / 19 + error


def test_units_that_are_too_few_or_not_there():
    adata = donors(3)
    adata.obs.loc[adata.obs["time"] == 1.0, "donor"] = "another"
    with pytest.raises(ValueError, match="nothing tells how far forecasts are missed"):
        ct.tl.forecast_intervals(adata, unit_key="donor")
    with pytest.raises(ValueError, match="2 units of 'donor' give no 95% interval"):
        ct.tl.forecast_intervals(donors(3), unit_key="donor")
    adata = donors(3)
    with pytest.raises(KeyError, match="clone"):
        ct.tl.forecast_intervals(adata, unit_key="clone")
    adata.obs["clone"] = pd.Series(np.nan, index=adata.obs_names, dtype=object)
    with pytest.raises(ValueError, match="no cell with fates"):
        ct.tl.forecast_intervals(adata, unit_key="clone")
