"""Intervals by resampling: what is drawn, what is reported, and what happens to failures."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from anndata import AnnData

import celltraj as ct
from celltraj._errors import ConvergenceError
from celltraj.models import OrnsteinUhlenbeck, simulate

LAW = OrnsteinUhlenbeck(matrix=torch.tensor([[-0.8]]), shift=torch.tensor([1.6]), sigma=0.2)
fit = partial(
    ct.tl.fit_bridge,
    reference=OrnsteinUhlenbeck(ridge=0.0),
    sigma=0.2,
    options=ct.models.BridgeOptions(refinement=ct.models.Refinement(max_rounds=3)),
    training=None,
    progress=False,
)
bootstrap = partial(ct.tl.bootstrap, fit=fit, n_bootstrap=9, n_jobs=1, progress=False)


@pytest.fixture(scope="module")
def adata():
    generator = torch.Generator().manual_seed(0)
    start = 4 + 0.3 * torch.randn(60, 1, dtype=torch.float64, generator=generator)
    path = simulate(LAW, start, (0.0, 1.0, 2.0, 4.0), generator=generator)
    cells = AnnData(path.x.reshape(-1, 1).numpy())
    cells.obs["time"] = np.repeat(path.times, 60)
    cells.obs["embryo"] = np.tile(np.repeat(["e1", "e2", "e3"], 20), 4)
    return cells


@pytest.fixture(scope="module")
def table(adata):
    return bootstrap(adata, forecast=[5.0, 6.0])


def test_intervals_hold_the_truth_and_the_estimate_of_all_cells(adata, table):
    rates = table[table["time"].isna()].set_index("quantity")
    # the extremes of nine draws leave out a further one in a fifth of the cases; give them half
    # their width more on each side
    margin = (rates["high"] - rates["low"]) / 2
    for name, value in {"A[0,0]": -0.8, "c[0]": 1.6}.items():
        assert (
            rates.loc[name, "low"] - margin[name] < value < rates.loc[name, "high"] + margin[name]
        )
    alone = fit(adata.copy()).reference.estimates()
    assert rates["estimate"].to_dict() == pytest.approx(alone)
    assert (table["low"] < table["high"]).all()


def test_forecasts_follow_the_law_beyond_the_last_snapshot(adata, table):
    forecast = table[table["quantity"] == "mean 0"]
    assert forecast["time"].tolist() == [5.0, 6.0]
    last = adata.X[adata.obs["time"] == 4.0].mean()
    for row in forecast.itertuples():
        expected = 2 + (last - 2) * np.exp(-0.8 * (row.time - 4))
        # the mean of 60 cells of stationary spread .2 / sqrt(1.6) = .16 has a standard error of .02
        assert abs(row.estimate - expected) < 0.1


def test_a_seed_repeats_and_leaves_the_data_and_the_global_state(adata):
    state, x = torch.get_rng_state(), adata.X.copy()
    columns = list(adata.obs)
    one, two, other = (bootstrap(adata, n_bootstrap=3, seed=seed) for seed in (0, 0, 1))
    pd.testing.assert_frame_equal(one, two)
    assert not one["low"].equals(other["low"])
    assert torch.equal(torch.get_rng_state(), state)
    assert list(adata.obs) == columns
    assert not adata.uns
    np.testing.assert_array_equal(adata.X, x)


@pytest.mark.slow
def test_processes_change_nothing(adata):
    pd.testing.assert_frame_equal(
        bootstrap(adata, n_bootstrap=3, n_jobs=2), bootstrap(adata, n_bootstrap=3, n_jobs=1)
    )


def test_samples_are_drawn_whole(adata):
    seen = []

    def spy(data, **options):
        seen.append(data)
        return fit(data, **options)

    bootstrap(adata, fit=spy, n_bootstrap=3, sample_key="embryo")
    rows = {
        tuple(np.round(x, 12)): name for x, name in zip(adata.X, adata.obs["embryo"], strict=True)
    }
    for data in seen[1:]:
        for t in (0.0, 1.0, 2.0, 4.0):
            names = pd.Series([rows[tuple(np.round(x, 12))] for x in data.X[data.obs["time"] == t]])
            counts = names.value_counts()
            assert counts.sum() == 60
            assert (counts % 20 == 0).all()


def failing(share):
    """Return a fit that fails for this share of the resampled data."""
    calls = []

    def attempt(data, **options):
        calls.append(None)
        number = len(calls) - 1
        if number and number <= share * 8:
            raise ConvergenceError("no coupling", None)
        return fit(data, **options)

    return attempt


def test_failures_are_counted_and_said(adata):
    with pytest.warns(UserWarning, match="2 of 8 resampled data sets could not be fitted"):
        table = bootstrap(adata, fit=failing(0.25), n_bootstrap=8)
    assert (table["n_bootstrap"] == 6).all()


def test_too_many_failures_are_an_error(adata):
    with pytest.raises(ValueError, match="only 2 of 8 resampled data sets"):
        bootstrap(adata, fit=failing(0.75), n_bootstrap=8)


def test_a_mistake_in_the_fit_is_not_taken_for_a_failed_draw(adata):
    with pytest.raises(ValueError, match="has 2 variables, the data have 1"):
        bootstrap(adata, fit=partial(fit, reference=ct.models.LotkaVolterra()))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"n_bootstrap": 1}, ValueError, "n_bootstrap must be at least 2"),
        ({"confidence": 1.0}, ValueError, r"confidence must be in \(0, 1\)"),
        ({"forecast": [4.0]}, ValueError, "must lie after 4"),
        ({"sample_key": "donor"}, KeyError, "no samples in adata.obs"),
        ({"time_key": "hours"}, KeyError, "hours"),
        ({"use_rep": "X_pca"}, KeyError, "X_pca"),
    ],
)
def test_bad_options_are_named(adata, options, error, message):
    with pytest.raises(error, match=message):
        bootstrap(adata, **options)
