"""Intervals by sample on anything: what they cover, what is drawn, and what is refused."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_1samp

import celltraj as ct
from celltraj._errors import ConvergenceError

QUICK = {"n_jobs": 1, "progress": False}


def study(seed, *, n_samples=5, n=20, spread=1.0):
    """Return cells of two times whose mean moves by one; samples scatter by ``spread``."""
    rng = np.random.default_rng(seed)
    time = np.repeat([0.0, 1.0], n_samples * n)
    sample = np.repeat(np.arange(2 * n_samples), n)
    x = rng.normal(0, 1, len(time)) + time + rng.normal(0, spread, 2 * n_samples)[sample]
    adata = ad.AnnData(x[:, None])
    adata.obs["time"], adata.obs["mouse"] = time, [f"m{k}" for k in sample]
    return adata


def moved(cells):
    x, late = np.asarray(cells.X)[:, 0], (cells.obs["time"] == 1).to_numpy()
    return {"moved": x[late].mean() - x[~late].mean(), "last": x[late].mean()}


def test_students_interval_of_the_mean_of_samples():
    adata = study(0)
    table = ct.tl.resample(
        adata, statistic=moved, sample_key="mouse", n_bootstrap=400, **QUICK
    ).set_index("quantity")
    late = adata[adata.obs["time"] == 1]
    means = pd.Series(np.asarray(late.X)[:, 0]).groupby(late.obs["mouse"].to_numpy()).mean()
    low, high = ttest_1samp(means, 0).confidence_interval(0.95)
    row = table.loc["last"]
    # the standard deviation of 400 draws is known to 4 %
    assert (row["low"], row["high"]) == pytest.approx((low, high), abs=0.12 * (high - low) / 2)
    assert row["estimate"] == pytest.approx(means.mean())
    assert set(table["n_least"]) == {5}


def coverage(*, sample_key, n_studies, n_bootstrap=60, **options):
    hits = []
    for seed in range(n_studies):
        row = ct.tl.resample(
            study(seed),
            statistic=moved,
            sample_key=sample_key,
            n_bootstrap=n_bootstrap,
            **QUICK,
            **options,
        ).set_index("quantity")
        hits.append(row.loc["moved", "low"] <= 1 <= row.loc["moved", "high"])
    return np.mean(hits)


@pytest.mark.slow
def test_intervals_by_sample_cover_and_those_by_cell_do_not():
    # of 200 studies a share of .95 has a standard error of .015, one of .35 of .034
    by_sample = coverage(sample_key="mouse", n_studies=200)
    assert 0.95 - 3 * 0.015 < by_sample <= 0.995
    assert coverage(sample_key=None, n_studies=100) < 0.6


def test_intervals_by_cell_are_far_narrower_where_samples_scatter():
    adata = study(1)
    wide, narrow = (
        ct.tl.resample(adata, statistic=moved, sample_key=key, n_bootstrap=60, **QUICK)["error"]
        for key in ("mouse", None)
    )
    # means of 20 cells scatter by .22 around mice that scatter by 1
    assert (wide > 2 * narrow).all()


def test_samples_are_drawn_whole_and_told_apart():
    seen = []

    def spy(cells):
        seen.append(cells.obs.copy())
        return float(cells.n_obs)

    adata = study(2)
    adata.obs["batch"] = "a"
    ct.tl.couplings(adata, progress=False)
    with pytest.warns(ct.DataWarning, match="the same in all resamples"):
        ct.tl.resample(adata, statistic=spy, sample_key="mouse", n_bootstrap=5, **QUICK)
    for obs in seen[1:]:
        assert obs["mouse"].value_counts().eq(20).all()
        assert obs.index.is_unique
        original = obs["mouse"].str.split("#").str[0]
        assert (original.groupby(obs["time"]).nunique() <= 5).all()
    assert any(obs["mouse"].str.contains("#2").any() for obs in seen[1:])


def test_fates_are_computed_anew_from_each_draw():
    adata = study(3, n=12)
    adata.obs["side"] = np.where(adata.X[:, 0] > 0.5, "right", "left")

    def share(cells):
        assert "couplings" not in cells.uns.get("celltraj", {})
        ct.tl.couplings(cells, growth=None, progress=False)
        ct.tl.transitions(cells, groupby="side", progress=False)
        return ct.get.transitions(cells, source=0.0, target=1.0).stack()

    ct.tl.couplings(adata, growth=None, progress=False)
    table = ct.tl.resample(adata, statistic=share, sample_key="mouse", n_bootstrap=6, **QUICK)
    assert table["quantity"].tolist() == ["left left", "left right", "right left", "right right"]
    assert (table["low"] < table["high"]).all()
    ct.get.convergence(adata)  # is where it was


def test_a_seed_repeats_and_nothing_is_changed():
    adata = study(4)
    before, state = adata.copy(), np.random.get_state()[1].copy()
    one, two, other = (
        ct.tl.resample(
            adata, statistic=moved, sample_key="mouse", n_bootstrap=5, seed=seed, **QUICK
        )
        for seed in (0, 0, 1)
    )
    pd.testing.assert_frame_equal(one, two)
    assert not one["error"].equals(other["error"])
    pd.testing.assert_frame_equal(adata.obs, before.obs)
    assert (np.random.get_state()[1] == state).all()


@pytest.mark.slow
def test_processes_change_nothing():
    options = {"statistic": moved, "sample_key": "mouse", "n_bootstrap": 6, "progress": False}
    pd.testing.assert_frame_equal(
        ct.tl.resample(study(5), n_jobs=2, **options), ct.tl.resample(study(5), n_jobs=1, **options)
    )


def test_failures_are_counted_and_mistakes_raised():
    calls = []

    def failing(cells):
        calls.append(None)
        if len(calls) in (2, 3):
            raise ConvergenceError("no coupling", None)
        return moved(cells)

    adata = study(6)
    with pytest.warns(ct.DataWarning, match="2 of 8 resampled data sets could not be measured"):
        table = ct.tl.resample(adata, statistic=failing, sample_key="mouse", n_bootstrap=8, **QUICK)
    assert set(table["n_bootstrap"]) == {6}
    with pytest.raises(ZeroDivisionError):
        ct.tl.resample(adata, statistic=lambda cells: 1 / 0, sample_key="mouse", **QUICK)


@pytest.mark.parametrize(
    ("returned", "error", "message"),
    [
        ("text", TypeError, "must return a number, or numbers by name"),
        (pd.DataFrame({"a": [1.0]}), TypeError, "table.stack"),
        (pd.Series(dtype=float), TypeError, "must return a number"),
        (pd.Series([1.0, 2.0], index=["a", "a"]), ValueError, "two numbers of the name 'a'"),
    ],
)
def test_what_is_no_number_is_refused(returned, error, message):
    with pytest.raises(error, match=message):
        ct.tl.resample(study(7), statistic=lambda cells: returned, sample_key="mouse", **QUICK)


def test_few_samples_are_refused_with_their_number():
    with pytest.raises(ValueError, match=r"at least 3 samples.*{'0': 2, '1': 2}"):
        ct.tl.resample(study(8, n_samples=2), statistic=moved, sample_key="mouse", **QUICK)
    adata = study(9)
    adata.obs.loc[adata.obs_names[0], "mouse"] = None
    with pytest.raises(ValueError, match="is missing for 1 cells"):
        ct.tl.resample(adata, statistic=moved, sample_key="mouse", **QUICK)
    with pytest.raises(ValueError, match="n_bootstrap must be at least 2"):
        ct.tl.resample(adata, statistic=moved, sample_key="mouse", n_bootstrap=1, **QUICK)


def test_percentiles_stay_within_what_a_share_can_be():
    adata = study(10, spread=2.0)

    def share(cells):
        return float((np.asarray(cells.X) > -3).mean())

    options = {"statistic": share, "sample_key": "mouse", "n_bootstrap": 60}
    row = ct.tl.resample(adata, interval="percentile", **options, **QUICK).iloc[0]
    assert 0 <= row["low"] <= row["estimate"] <= row["high"] <= 1
