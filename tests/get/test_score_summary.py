"""Means, intervals, skill and verdicts of held-out responses, of tables whose answers are known."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

import celltraj as ct
from celltraj._stats.rank_correlation import spearman

CONTROL = "mine (other embedding)"


def table(values, *, metric="W1", condition="drug", seed=0):
    """Return scores from a dict of one value per population for every method."""
    parts = [
        pd.DataFrame(
            {
                "held_out": [f"p{k}" for k in range(len(numbers))],
                "population": [f"p{k}" for k in range(len(numbers))],
                "condition": condition,
                "method": method,
                "metric": metric,
                "value": np.asarray(numbers, float),
                "seed": seed,
            }
        )
        for method, numbers in values.items()
    ]
    return pd.concat(parts, ignore_index=True)


def summary(*tables, **options):
    found = ct.get.score_summary(pd.concat(tables, ignore_index=True), **options)
    return found.set_index(["method", "metric"])


def verdict(mine, shuffled, metric="W1"):
    scores = table({"mine": mine, CONTROL: shuffled}, metric=metric)
    return summary(scores).loc[("mine", metric), "verdict"]


def test_a_mean_is_one_over_populations():
    scores = summary(
        table({"mine": [1.0, 2.0, 6.0]}, condition="A"),
        table({"mine": [3.0]}, condition="B"),  # of p0 alone: its mean is 2
        table({"mine": [1.0, 2.0, 6.0]}, condition="A", seed=1),
    )
    # p0 (1 + 3 + 1) / 3
    assert scores.loc[("mine", "W1"), "mean"] == pytest.approx((5 / 3 + 2 + 6) / 3)


def test_skill_is_measured_between_floor_and_no_change():
    values = {"floor": [1.0, 2.0], "no_change": [5.0, 4.0], "mine": [2.0, 4.0]}
    scores = summary(table(values))
    assert scores["skill"].xs("W1", level="metric").to_dict() == {
        "floor": 1.0,
        "no_change": 0.0,
        "mine": pytest.approx((0.75 + 0.0) / 2),
    }
    wide = {name: 7 * np.array(numbers) + 3 for name, numbers in values.items()}
    np.testing.assert_allclose(summary(table(wide))["skill"], scores["skill"])


def test_skill_takes_the_means_of_a_population_first():
    # a condition that does next to nothing would divide by next to nothing
    weak = table({"floor": [1.0], "no_change": [1.001], "mine": [1.1]}, condition="weak")
    strong = table({"floor": [1.0], "no_change": [9.0], "mine": [3.0]}, condition="strong")
    skill = summary(weak, strong).loc[("mine", "W1"), "skill"]
    assert skill == pytest.approx(1 - (2.05 - 1) / (5.0005 - 1))


def test_populations_that_do_not_respond_have_no_skill():
    values = {"floor": [1.0, 2.0], "no_change": [5.0, 1.5], "mine": [2.0, 9.0]}
    assert summary(table(values)).loc[("mine", "W1"), "skill"] == pytest.approx(0.75)
    none = table({"floor": [2.0], "no_change": [1.0], "mine": [1.5]})
    assert np.isnan(summary(none).loc[("mine", "W1"), "skill"])


def test_methods_are_compared_over_the_same_cases():
    everywhere = table({"floor": [1.0] * 2, "no_change": [5.0] * 2}, condition="A")
    more = table({"floor": [0.0] * 2, "no_change": [100.0] * 2}, condition="B")
    only_a = table({"pooled": [3.0] * 2}, condition="A")
    skill = summary(everywhere, more, only_a).loc[("pooled", "W1"), "skill"]
    assert skill == pytest.approx(0.5)


def test_only_distances_have_a_skill():
    values = {"floor": [0.1, 0.1], "no_change": [0.5, 0.5], "mine": [0.2, 0.2]}
    for metric in ("W1", "W2", "MMD", "energy"):
        assert summary(table(values, metric=metric))["skill"].notna().all()
    for metric in ("type_error", "shift_r2"):
        assert summary(table(values, metric=metric))["skill"].isna().all()


def test_intervals_of_equal_populations_have_no_width():
    row = summary(table({"mine": [2.5] * 6})).loc[("mine", "W1")]
    assert row["low"] == row["mean"] == row["high"] == 2.5
    assert np.isnan(summary(table({"mine": [2.5]})).loc[("mine", "W1"), "low"])


def test_intervals_are_those_of_student_where_populations_are_many():
    values = np.random.default_rng(0).normal(size=60)
    row = summary(table({"mine": values}), n_bootstrap=20_000).loc[("mine", "W1")]
    half = 2.0010 * values.std(ddof=1) / np.sqrt(60)  # .975 quantile with 59 degrees of freedom
    # a quantile of 20,000 resamples has a standard error of 1.5 % of half the width
    assert row["low"] == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert row["high"] == pytest.approx(values.mean() + half, abs=0.1 * half)


def test_the_seed_and_nothing_else_decides():
    values = np.random.default_rng(0).normal(size=8)
    scores = table({"mine": values, "other": values})
    first = ct.get.score_summary(scores, seed=0)
    pd.testing.assert_frame_equal(first, ct.get.score_summary(scores, seed=0))
    assert first["low"][0] == first["low"][1]  # the same resamples for every method
    assert (ct.get.score_summary(scores, seed=1)["low"] != first["low"]).all()
    shuffled = scores.sample(frac=1, random_state=0)
    again = ct.get.score_summary(shuffled).sort_values("method", ignore_index=True)
    np.testing.assert_allclose(again["mean"], first["mean"])


def test_verdicts_say_what_the_interval_of_the_difference_says():
    good, bad = [1.0, 1.1, 1.2, 1.3, 1.1, 1.0], [2.0, 2.2, 2.1, 2.5, 2.0, 2.0]
    assert verdict(good, bad).startswith("better_than_other_embedding: yes (95 % interval of the ")
    assert verdict(good, bad).endswith(" over 6 populations)")
    assert verdict(bad, good).startswith("better_than_other_embedding: no (")
    assert "cannot tell" in verdict([1, 5, 1, 5, 1, 5], [3.0] * 6)
    assert "cannot tell (95 % interval of the difference 0..0 over" in verdict(good, good)
    # a single difference everywhere: the interval is that number
    assert "yes (95 % interval of the difference 1..1 over 6" in verdict([1.0] * 6, [2.0] * 6)
    # more is better of a cosine, and so is less of an error in shares
    assert "yes" in verdict(bad, good, metric="shift_cosine")
    assert "yes" in verdict(bad, good, metric="shift_r2")
    assert "yes" in verdict(good, bad, metric="type_error")


def test_four_populations_are_too_few_for_a_verdict():
    assert "cannot tell (95 % interval" in verdict([1.0] * 4, [2.0] * 4)
    assert "over 4 populations" in verdict([1.0] * 4, [2.0] * 4)


def test_verdicts_are_of_models_that_look_at_the_population():
    values = {"no_change": [3.0] * 6, "blind": [2.0] * 6, "mine": [1.0] * 6, CONTROL: [2.0] * 6}
    found = summary(table(values))["verdict"].xs("W1", level="metric")
    assert set(found[found != ""].index) == {"mine"}
    assert (summary(table(values, metric="size"))["verdict"] == "").all()


def test_noise_rarely_gets_a_verdict():
    rng, n_tables = np.random.default_rng(0), 100
    told = sum(
        "cannot tell" not in verdict(rng.normal(size=6), rng.normal(size=6))
        for _ in range(n_tables)
    )
    # five in a hundred, and one in 32 that all six agree; four binomial standard errors
    assert told / n_tables < 0.08 + 4 * np.sqrt(0.08 / n_tables)


def test_sizes_are_compared_by_rank():
    true = np.array([1.0, 2.0, 3.0, 5.0, 4.0])
    values = {"no_change": 0 * true, "shift": [5.0] * 5, "mine": true**3, CONTROL: -true}
    found = summary(table(values | {"truth": true}, metric="size"))
    ranks = found.xs("size_rank_correlation", level="metric")
    assert ranks["mean"].to_dict() == {
        "shift": pytest.approx(np.nan, nan_ok=True),
        "mine": pytest.approx(1.0),
        CONTROL: pytest.approx(-1.0),
    }
    assert ranks.loc["mine", "low"] == pytest.approx(1.0)
    assert "yes (95 % interval of the difference 2..2 over 5" in ranks.loc["mine", "verdict"]
    assert ranks["skill"].isna().all()


def test_the_share_of_the_shift_is_pooled():
    true, missed = np.array([10.0, 5.0, 1e-3]), np.array([2.0, 4.0, 1.0])
    shares = 1 - missed**2 / true**2  # -1e6 of a shift of next to nothing
    found = summary(
        table({"mine": shares, "worse": shares - 1}, metric="shift_r2"),
        table({"truth": true}, metric="size"),
    )
    expected = 1 - (missed**2).sum() / (true**2).sum()
    assert found.loc[("mine", "shift_r2"), "mean"] == pytest.approx(expected)
    assert found.loc[("worse", "shift_r2"), "mean"] == pytest.approx(expected - 1)
    sizes = table({"truth": [3.0] * 6}, metric="size")
    shares = table({"mine": [0.9] * 6, CONTROL: [0.5] * 6}, metric="shift_r2")
    assert (
        "yes (95 % interval of the difference 0.4..0.4"
        in (summary(shares, sizes).loc[("mine", "shift_r2"), "verdict"])
    )


@pytest.mark.parametrize("n_values", [4, 1000])  # with ties and without
def test_rank_correlation_is_that_of_scipy(n_values):
    rng = np.random.default_rng(0)
    x, y = rng.integers(n_values, size=(2, 12)).astype(float)
    counts = rng.multinomial(12, np.full(12, 1 / 12), size=20)
    expected = [spearmanr(np.repeat(x, row), np.repeat(y, row)).statistic for row in counts]
    np.testing.assert_allclose(spearman(x, y, counts), expected, atol=1e-12)
    assert np.isnan(spearman(x, 0 * y, counts)).all()


def test_names_may_come_as_categories():
    scores = table({"floor": [1.0] * 3, "no_change": [5.0] * 3, "mine": [2.0, 3.0, 4.0]})
    names = ["held_out", "population", "condition", "method", "metric"]
    from_file = scores.astype(dict.fromkeys(names, "category"))
    pd.testing.assert_frame_equal(ct.get.score_summary(from_file), ct.get.score_summary(scores))


def test_what_cannot_be_summed_up_is_told():
    scores = table({"mine": [1.0, 2.0]})
    with pytest.raises(TypeError, match="scores must be a table"):
        ct.get.score_summary([1.0])
    with pytest.raises(ValueError, match=r"lack the columns \['metric', 'seed'\]"):
        ct.get.score_summary(scores.drop(columns=["metric", "seed"]))
    with pytest.raises(ValueError, match="no rows with a value"):
        ct.get.score_summary(scores[:0])
    with pytest.raises(ValueError, match="n_bootstrap must be at least 2"):
        ct.get.score_summary(scores, n_bootstrap=1)


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        ("get", "response_summary", r"ct\.get\.score_summary"),
        ("pl", "cross_validation", r"ct\.pl\.scores"),
        ("pl", "response_scores", r"ct\.pl\.scores"),
    ],
)
def test_old_names_say_the_new_one(module, old, new):
    with pytest.raises(AttributeError, match=new):
        getattr(getattr(ct, module), old)
    with pytest.raises(AttributeError, match="attribute"):
        _ = getattr(ct, module).other


def test_old_arguments_say_what_there_is():
    for old, said in (("leave_out", "hold_out="), ("n_cells", "1,000 cells")):
        with pytest.raises(TypeError, match=f"takes no argument '{old}': .*{said}"):
            ct.tl.cross_validate_response(None, **{old: "population"})


def test_of_what_should_be_one_neither_more_nor_less_is_better():
    rows = [
        (method, name, "variance_ratio", value, 0, name, "drug")
        for method, values in {
            "no_change": (0.4, 0.5, 0.6),
            "response": (0.9, 1.0, 1.1),
            "response, shuffled phi": (2.0, 2.0, 2.0),
        }.items()
        for name, value in zip("abc", values, strict=True)
    ]
    columns = ["method", "held_out", "metric", "value", "seed", "population", "condition"]
    found = ct.get.score_summary(pd.DataFrame(rows, columns=columns)).set_index("method")
    assert found["mean"].tolist() == pytest.approx([0.5, 1.0, 2.0])
    assert set(found["trivial"]) == set(found["verdict"]) == {""}
    assert found["won"].isna().all()
