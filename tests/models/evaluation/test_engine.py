"""Folds, rows and seeds of held-out evaluation, where the answer is known in closed form."""

import warnings
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch

import celltraj as ct
from celltraj._errors import DataWarning
from celltraj.models.evaluation import (
    Fold,
    Prediction,
    Score,
    TimeCourse,
    check_names,
    distances,
    evaluate,
    fitted,
    rng_of,
    split_half,
    split_samples,
)
from celltraj.snapshots import Snapshots

N = 20


def still(kept):
    """Fit nothing: cells stay where they are."""
    return ct.models.Brownian(1e-12)


def course(*, select=(), fits=None, order=None):
    """Return a cloud that moves by one a day over five days, rows in the given order."""
    x = torch.randn(N, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    x = x if order is None else x[order]
    whole = Snapshots(tuple(map(float, range(5))), tuple(x + k for k in range(5)))
    return TimeCourse(whole, np.repeat(np.arange(5.0), N), fits or {"still": still}, select, 3)


def scores(one, held, **options):
    return evaluate(one.folds(held), one.judge, seed=3, **options).frame


class TestTimeCourse:
    def test_the_identity_scores_as_the_previous_snapshot(self):
        table = scores(course(), [(2.0,), (3.0,)])
        rows = table.set_index("method")["value"]
        np.testing.assert_allclose(rows["still"], rows["previous"], atol=1e-6)

    def test_a_moved_cloud_lies_as_far_as_it_was_moved(self):
        table = scores(course(), [(2.0,)]).set_index(["method", "metric"])["value"]
        assert table["previous", "W1"] == pytest.approx(2**0.5)
        assert table["next", "W1"] == pytest.approx(2**0.5)
        # squared distances near 2 round at 1e-16, their roots at 1e-8
        assert table["displacement", "W1"] == pytest.approx(0, abs=1e-6)
        assert table["displacement", "energy"] == pytest.approx(0, abs=1e-6)

    def test_scores_do_not_depend_on_the_order_of_folds(self):
        forward = scores(course(), [(1.0,), (2.0, 3.0)])
        backward = scores(course(), [(2.0, 3.0), (1.0,)])
        keys = ["held_out", "method", "metric"]
        one, other = (t.sort_values(keys, ignore_index=True) for t in (forward, backward))
        pd.testing.assert_frame_equal(one, other, check_exact=True)
        assert list(backward["held_out"].unique()) == [2.0, 3.0, 1.0]  # in the order of the folds

    def test_scores_do_not_depend_on_what_else_is_judged(self):
        alone = scores(course(), [(2.0,)])
        both = scores(course(fits={"other": still, "still": still}), [(2.0,)])
        rest = both[both["method"] != "other"].reset_index(drop=True)
        pd.testing.assert_frame_equal(alone, rest, check_exact=True)

    def test_what_is_not_drawn_does_not_depend_on_the_order_of_rows(self):
        order = torch.randperm(N, generator=torch.Generator().manual_seed(1))
        one, other = (
            scores(c, [(2.0,)]).set_index(["method", "metric"])["value"]
            for c in (course(), course(order=order))
        )
        for method in ("previous", "next", "displacement", "still"):
            np.testing.assert_allclose(one[method], other[method], atol=1e-6)

    def test_a_fit_is_told_what_to_keep(self):
        seen = []

        def fit(kept):
            seen.append(np.unique(np.repeat(np.arange(5.0), N)[kept]).tolist())
            kept[:] = False  # a copy: nobody sees it
            return still(kept)

        scores(course(fits={"mine": fit}), [(1.0, 3.0), (2.0,)])
        assert seen == [[0.0, 2.0, 4.0], [0.0, 1.0, 3.0, 4.0]]

    def test_the_chosen_model_stands_beside_the_row_that_took_it(self):
        table = scores(
            course(fits={"still": still, "also": still}, select=("also",)),
            [(2.0,)],
            extra=["chosen", "margin"],
        )
        chosen = table[table["method"] == "selected"]
        assert set(chosen["chosen"]) == {"also"}
        assert set(table.loc[table["method"] != "selected", "chosen"]) == {""}
        also = table[table["method"] == "also"]
        assert chosen["value"].tolist() == also["value"].tolist()
        with pytest.raises(ValueError, match="select must list names"):
            course(select=("nobody",))


class TestFits:
    fold = Fold("'a'", np.array([True, False]))

    def test_an_error_names_the_model_and_the_fold(self):
        def fit(kept):
            raise ZeroDivisionError("mine")

        with pytest.raises(ZeroDivisionError, match="mine") as caught:
            fitted("odd", fit, self.fold, int, "a number")
        assert caught.value.__notes__ == ["raised by 'odd' with 'a' held out"]

    def test_another_thing_than_a_model_is_refused(self):
        with pytest.raises(TypeError, match="fit must return a number; found str") as caught:
            fitted("odd", lambda kept: "x", self.fold, int, "a number")
        assert caught.value.__notes__ == ["raised by 'odd' with 'a' held out"]

    def test_warnings_about_the_data_are_not_said_again_and_others_are(self):
        def fit(kept):
            warnings.warn("constant", DataWarning, stacklevel=1)
            warnings.warn("slow", RuntimeWarning, stacklevel=1)
            return 1

        with pytest.warns(RuntimeWarning, match="slow") as caught:
            assert fitted("mine", fit, self.fold, int, "a number") == 1
        assert len(caught) == 1

    def test_models_must_not_take_the_names_of_rows(self):
        check_names({"mine": still}, {"floor"})
        with pytest.raises(ValueError, match=r"\['floor'\] are always there"):
            check_names({"mine": still, "floor": still}, {"floor", "truth"})


class TestEngine:
    def test_the_bar_counts_folds_where_it_is_asked_for(self, capsys):
        folds = [Fold(name, np.ones(1, bool)) for name in "abc"]

        def judge(fold):
            return [Score("mine", fold.name, "W1", 0.0)]

        evaluate(folds, judge, seed=0, progress=True)
        assert "3/3" in capsys.readouterr().err
        evaluate(folds, judge, seed=0)
        assert capsys.readouterr().err == ""

    def test_draws_depend_on_the_seed_and_the_names_alone(self):
        first = rng_of(0, "a", "b").random(3)
        np.testing.assert_array_equal(first, rng_of(0, "a", "b").random(3))
        for other in (rng_of(1, "a", "b"), rng_of(0, "b", "a"), rng_of(0, "ab")):
            assert (first != other.random(3)).all()


class TestDistances:
    def test_a_shift_is_measured_by_its_length(self):
        x = np.random.default_rng(0).normal(size=(30, 2))
        found = distances(Prediction(x + np.array([3.0, 4.0])), x, metrics=["W1", "W2"])
        assert found == pytest.approx({"W1": 5.0, "W2": 5.0})
        assert distances(Prediction(x), x)["energy"] == pytest.approx(0, abs=1e-6)

    def test_mass_counts(self):
        x = np.array([[0.0], [10.0]])
        found = distances(Prediction(x, np.array([1.0, 0.0])), x[:1], metrics=["W1", "energy"])
        assert found == {"W1": 0.0, "energy": 0.0}

    def test_the_floor_of_two_cells_is_their_distance(self):
        w1 = partial(distances, metrics=["W1"])
        assert split_half(np.array([[0.0], [4.0]]), w1, seed=0) == {"W1": 4.0}
        with pytest.raises(ValueError, match="at least two cells; found 1"):
            split_half(np.zeros((1, 1)), distances, seed=0)

    def test_halves_of_samples_are_as_far_apart_as_samples(self):
        w1 = partial(distances, metrics=["W1"])
        x, names = np.repeat([[0.0], [4.0], [4.0]], [6, 2, 1], axis=0), np.array([*"aaaaaabbb"])
        # three cells on each side: of the larger sample as many are drawn as of the smaller
        assert split_samples(x, names, w1, seed=0) == {"W1": 4.0}
        with pytest.raises(ValueError, match=r"two samples or more; found \['a'\]"):
            split_samples(x, np.array(["a"] * 9), w1, seed=0)
