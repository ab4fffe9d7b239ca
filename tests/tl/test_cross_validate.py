"""Held-out evaluation: what is judged, and what is left alone."""

import warnings
from functools import partial

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch

import celltraj as ct
from celltraj._errors import DataWarning
from celltraj.models import Brownian
from celltraj.models.training.module import train
from celltraj.tl._previews import drawn_by

TRIVIAL = ["previous", "next", "mixture", "displacement", "chain_cubic", "chain_pchip"]


def still(adata, *, time_key, use_rep, seed):
    """Fit nothing: cells stay where they are."""
    return Brownian(1e-12)


@pytest.fixture
def adata():
    return ct.datasets.branching(n_cells=30, seed=0)


def judge(adata, *, metric="W1", **options):
    """Return the scores of one metric, of all where it is None."""
    options = {"fit": still, "hold_out": [2.0], "progress": False, "seed": 0} | options
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        scores = ct.tl.cross_validate(adata, **options)
    return scores if metric is None else scores[scores["metric"] == metric].reset_index(drop=True)


def test_every_row_is_there_once_for_every_held_out_time(adata):
    fits = {"still": still, "also": still}
    scores = judge(adata, fit=fits, hold_out=[(1.0, 3.0), 2.0], seed=7, metric=None)
    assert list(scores) == ["method", "held_out", "metric", "value", "seed"]
    methods = ["floor", *TRIVIAL, "still", "also"]
    expected = pd.MultiIndex.from_product([[1.0, 3.0, 2.0], methods, ["W1", "energy"]])
    keys = ["held_out", "method", "metric"]
    assert pd.MultiIndex.from_frame(scores[keys]).equals(expected.set_names(keys))
    assert set(scores["seed"]) == {7}
    assert (scores["value"] > 0).all()


def test_halves_of_samples_stand_beside_the_floor(adata):
    far = adata.copy()
    far.obs["embryo"] = [f"e{k % 4}" for k in range(far.n_obs)]
    far.X = far.X + 5 * np.array([int(name[1]) for name in far.obs["embryo"]])[:, None]
    far.obs.loc[far.obs["time"] == 3.0, "embryo"] = "only"
    scores = judge(far, hold_out=[1.0, 3.0], sample_key="embryo")
    table = scores.set_index(["held_out", "method"])["value"]
    # halves of four embryos are 5, 10 or 20 apart in each of two variables
    assert 5 * 2**0.5 - 1 < table[1.0, "replicates"] < 20 * 2**0.5
    assert (3.0, "replicates") not in table.index
    assert table[1.0, "floor"] < table[1.0, "replicates"]
    assert ct.get.score_summary(scores)["method"].isin(["replicates"]).any()
    alike = judge(adata.copy(), sample_key="arm", hold_out=[2.0])
    plain = judge(adata, hold_out=[2.0])
    pd.testing.assert_frame_equal(
        alike[alike["method"] != "replicates"].reset_index(drop=True), plain
    )
    far.obs.loc[far.obs_names[0], "embryo"] = None
    with pytest.raises(ValueError, match="is missing for 1 cells"):
        judge(far, sample_key="embryo")


@pytest.mark.parametrize("metric", ["W1", "energy"])
def test_a_model_that_leaves_cells_in_place_scores_as_the_previous_snapshot(adata, metric):
    value = judge(adata, metric=metric).set_index("method")["value"]
    assert value["bridge"] == pytest.approx(value["previous"], abs=1e-6)


def test_distances_of_translated_clouds_are_known():
    x = np.random.default_rng(0).normal(size=(100, 2))
    adata = ad.AnnData(np.concatenate([x + 10 * t for t in range(3)]))
    adata.obs["time"] = np.repeat([0.0, 1.0, 2.0], 100)
    value = judge(adata, hold_out=[1.0]).set_index("method")["value"]
    # squared distances near 200 round at 1e-14, their roots at 1e-7
    assert value["displacement"] == pytest.approx(0.0, abs=1e-6)
    assert value["previous"] == pytest.approx(10 * np.sqrt(2))
    assert 0 < value["floor"] < value["previous"]


def test_held_out_cells_are_not_shown_to_the_fit(adata):
    seen = []

    def fit(adata, *, time_key, use_rep, seed):
        seen.append((sorted(adata.obs[time_key].unique()), use_rep, seed))
        adata.obs["scratch"] = 1
        adata.X[:] = 0
        return Brownian(1.0)

    before = adata.copy()
    judge(adata, fit=fit, hold_out=[2.0, (1.0, 3.0)], seed=5)
    assert seen == [([0.0, 1.0, 3.0, 4.0], "X", 5), ([0.0, 2.0, 4.0], "X", 5)]
    np.testing.assert_array_equal(adata.X, before.X)
    pd.testing.assert_frame_equal(adata.obs, before.obs)
    assert set(adata.uns) == set(before.uns)
    assert not adata.obsm


def test_days_and_hours_give_the_same_trivial_rows(adata):
    hours = adata.copy()
    hours.obs["time"] *= 24
    in_days = judge(adata, fit={}, hold_out=[1.0, 2.0])
    in_hours = judge(hours, fit={}, hold_out=[24.0, 48.0])
    np.testing.assert_allclose(in_days["value"], in_hours["value"], rtol=1e-9)


@pytest.mark.parametrize("time", [2, 2.0, np.float32(2), np.int64(2)])
def test_a_held_out_time_may_be_any_number(adata, time):
    assert set(judge(adata, hold_out=[time])["held_out"]) == {2.0}


def test_times_in_text_are_held_out_by_number_or_label(adata):
    adata.obs["stage"] = [f"day {t:g}" for t in adata.obs["time"]]
    for typed in ([2], 2, "day 2", ["day 2"], [("day 2",)], "2"):
        assert set(judge(adata, time_key="stage", hold_out=typed)["held_out"]) == {2.0}
    with pytest.raises(ValueError, match=r"no time 'day 7' .* labels found: \['day 0', 'day 1'"):
        judge(adata, time_key="stage", hold_out="day 7")


def test_times_stored_in_single_precision_are_found(adata):
    adata.obs["time"] = (adata.obs["time"] / 10).astype(np.float32)
    assert set(judge(adata, hold_out=[0.1])["held_out"]) == {0.1}


@pytest.mark.parametrize("hold_out", [[0.0], [4.0], [2.5], [(1.0, 4.0)], [], 4.0])
def test_only_interior_times_can_be_held_out(adata, hold_out):
    with pytest.raises(ValueError, match=r"one of the inner times|interior"):
        judge(adata, hold_out=hold_out)


def test_a_model_must_not_take_the_name_of_a_trivial_row(adata):
    with pytest.raises(ValueError, match="always there"):
        judge(adata, fit={"next": still})


def test_an_error_of_a_fit_names_model_and_fold(adata):
    def fit(adata, **_):
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine") as caught:
        judge(adata, fit={"mine": fit}, hold_out=[(1.0, 3.0)])
    assert caught.value.__notes__ == ["raised by 'mine' with times (1.0, 3.0) held out"]


def test_a_fit_that_returns_no_process_is_refused(adata):
    with pytest.raises(TypeError, match="must return a process"):
        judge(adata, fit=lambda adata, **_: None)


def test_oddities_of_the_data_are_told_once(adata):
    adata = adata[:-1].copy()
    adata.X[:, 1] = 1.0  # constant in every fold
    fit = partial(ct.tl.fit_bridge, training=None, progress=False)
    with pytest.warns(DataWarning) as caught:
        ct.tl.cross_validate(adata, fit=fit, hold_out=[1.0, 2.0], progress=False)
    assert sum("constant" in str(w.message) for w in caught) == 1


def test_the_bar_counts_folds(adata, capsys):
    judge(adata, hold_out=[1.0, 2.0], progress=True)
    assert "2/2" in capsys.readouterr().err
    judge(adata, hold_out=[1.0, 2.0], progress=False)
    assert capsys.readouterr().err == ""


class Moving(Brownian):
    """Move all cells at one velocity, exactly."""

    def drift(self, t, x):
        return torch.ones_like(x) * self.speed

    @classmethod
    def at(cls, speed):
        process = cls(1e-12)
        object.__setattr__(process, "speed", speed)
        return process


def moving(adata, *, speed, time_key, use_rep, seed):
    return Moving.at(speed)


@pytest.fixture
def drifting():
    """Five snapshots that move by one a day, but stand still over the fourth."""
    rng = np.random.default_rng(0)
    where = [0.0, 1.0, 2.0, 2.0, 4.0]
    x = np.concatenate([rng.normal(at, 0.1, (30, 1)) for at in where])
    obs = pd.DataFrame({"time": np.repeat(np.arange(5.0), 30)}, index=[str(i) for i in range(150)])
    return ad.AnnData(x.astype(np.float32), obs=obs)


def test_selection_sees_inner_times_only(drifting):
    fits = {"still": still, "moving": partial(moving, speed=1.0)}
    scores = judge(drifting, fit=fits, hold_out=[3.0], select=["still", "moving"])
    rows = scores.set_index("method")
    # at the held-out time staying is right, at all inner ones moving is
    assert rows.loc["still", "value"] < rows.loc["moving", "value"]
    assert rows.loc["selected", "chosen"] == "moving"
    assert rows.loc["selected", "value"] == rows.loc["moving", "value"]
    assert set(scores.loc[scores.method != "selected", "chosen"]) == {""}


def test_the_first_of_equals_is_kept(drifting):
    fits = {"moving": partial(moving, speed=1.0), "same": partial(moving, speed=1.0)}
    for order in (["moving", "same"], ["same", "moving"]):
        scores = judge(drifting, fit=fits, hold_out=[3.0], select=order)
        row = scores.set_index("method").loc["selected"]
        assert row["chosen"] == order[0]
        assert row["margin"] == 0
        assert scores.loc[scores["method"] != "selected", "margin"].isna().all()


def test_one_inner_time_changes_nothing(drifting):
    fits = {"still": still, "moving": partial(moving, speed=1.0)}
    drifting = drifting[drifting.obs["time"] != 0].copy()
    scores = judge(drifting, fit=fits, hold_out=[3.0], select=["still", "moving"])
    row = scores.set_index("method").loc["selected"]
    assert row["chosen"] == "still"
    assert np.isnan(row["margin"])


@pytest.fixture
def turning():
    """Five snapshots of a cloud on a circle: straight lines cut its corners, one law none."""
    rng = np.random.default_rng(0)
    times = np.arange(5.0)
    angle = rng.normal(0, 0.1, (5, 40)) + 0.8 * times[:, None]
    x = np.stack([np.cos(angle), np.sin(angle)], -1).reshape(-1, 2)
    obs = pd.DataFrame({"time": np.repeat(times, 40)}, index=[str(i) for i in range(200)])
    return ad.AnnData(x.astype(np.float32), obs=obs)


def test_flows_are_chosen_before_they_are_trained(turning, monkeypatch):
    trained = []

    def counted(*args, **options):
        trained.append(1)
        return train(*args, **options)

    monkeypatch.setattr("celltraj.models.flow.fit.train", counted)
    short = ct.models.Training(max_steps=1)
    lines = ct.models.BrownianBridgeInterpolant()
    fits = {
        "lines": partial(ct.tl.fit_flow, interpolant=lines, growth=None, training=short),
        "law": partial(ct.tl.fit_flow, growth=None, training=short),
        "own": lambda adata, **given: fits["lines"](adata, **given),
    }
    scores = judge(turning, fit=fits, hold_out=[2.0], select=["lines", "law"])
    assert len(trained) == 3  # each of them once, for the row that is reported
    row = scores.set_index("method").loc["selected"]
    assert row["chosen"] == "law"
    trained.clear()
    judge(turning, fit=fits, hold_out=[2.0], select=["own", "law"])
    assert len(trained) == 3 + 2  # any other callable once more for both inner times


def test_what_is_judged_before_training_is_what_is_fitted(turning):
    turning.obs["rate"] = np.where(turning.X[:, 0] > 0, 1.0, -1.0)
    options = {"sigma": 0.2, "growth_key": "rate", "interpolant": ct.models.SplineInterpolant()}
    fit = partial(ct.tl.fit_flow, training=ct.models.Training(max_steps=1), **options)
    given = {"time_key": "time", "use_rep": "X", "seed": 3}
    kept = (turning.obs["time"] != 2).to_numpy()
    course = drawn_by(fit, turning, given)(kept)
    with pytest.warns(DataWarning, match="does not pass through"):  # a step is no training
        flow = fit(turning[kept].copy(), **given, progress=False)
    assert course.interpolant == flow.interpolant
    assert course.snapshots.times == flow.times
    np.testing.assert_allclose(course.snapshots.growth[0], turning.obs["rate"][:40])
    bridge = drawn_by(partial(ct.tl.fit_bridge, reference=Brownian(), growth=None), turning, given)
    cells, weights = bridge(kept).cells_at(2.0, 9, generator=torch.Generator().manual_seed(0))
    assert cells.shape == (9, 2)
    assert weights.sum() == pytest.approx(1)
    assert drawn_by(partial(fit, turning), turning, given) is None  # of cells of its own
    assert drawn_by(still, turning, given) is None


def test_without_selection_nothing_is_chosen(adata):
    assert "chosen" not in judge(adata)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"select": ["other"]}, r"select must list names among \['bridge'\]"),
        ({"select": ["bridge"], "hold_out": [(1.0, 2.0, 3.0)]}, "no inner one to choose"),
        ({"fit": {"selected": still}}, "are always there"),
    ],
)
def test_what_cannot_be_selected_is_told(adata, options, message):
    with pytest.raises(ValueError, match=message):
        judge(adata, **options)


def test_mass_weighs_the_prediction(adata):
    times = tuple(np.unique(adata.obs["time"]).tolist())

    class Dying(Brownian):
        """Leave nothing but the first cell."""

        has_growth = True

        def growth(self, t, x):
            return torch.where(torch.arange(len(x)) == 0, 0.0, -1e3).to(x.dtype)

    def dying(adata, *, time_key, use_rep, seed):
        return Dying(1e-12)

    scores = judge(adata, fit=dying).set_index("method")
    x, t = np.asarray(adata.X, float), adata.obs["time"].to_numpy()
    first, held = x[t == times[1]][:1], x[t == 2.0]
    expected = np.linalg.norm(held - first, axis=1).mean()
    assert scores.loc["bridge", "value"] == pytest.approx(expected, rel=1e-6)
