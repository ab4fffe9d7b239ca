"""Predictions of a held-out snapshot that need no model, against curves known in closed form."""

import numpy as np
import pytest
import torch

import celltraj as ct
from celltraj.metrics import energy_distance, wasserstein
from celltraj.models._predict import predict
from celltraj.models.evaluation.holdout import exact_plans, sample_chains, trivial_predictions
from celltraj.snapshots import Snapshots


def cloud(n, d=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, dtype=torch.float64, generator=generator)


def trivial(times, clouds, time, seed=0):
    train = Snapshots(times, clouds)
    return trivial_predictions(train, exact_plans(train), time, seed=seed)


def one_cell_each(values):
    return tuple(torch.tensor([[v]], dtype=torch.float64) for v in values)


def test_the_displacement_of_a_translated_cloud_is_the_translated_cloud():
    x, shift = cloud(30), torch.tensor([4.0, -1.0])
    cells = trivial((1.0, 5.0), (x, x + shift), 2.0)["displacement"]
    np.testing.assert_allclose(cells, x + shift / 4, atol=1e-12)


def test_with_two_snapshots_every_curve_is_the_straight_line():
    cells = trivial((0.0, 3.0), (cloud(20), cloud(35, seed=1) + 5), 1.0)
    for name in ("chain_cubic", "chain_pchip"):
        np.testing.assert_allclose(cells[name], cells["displacement"], atol=1e-12)


@pytest.mark.parametrize("time", [0.25, 0.5, 1.75])
def test_the_cubic_through_three_cells_is_the_natural_spline(time):
    # through |t - 1| at 0, 1, 2: by symmetry level at 1, without curvature at 0 and 2
    cells = trivial((0.0, 1.0, 2.0), one_cell_each([1.0, 0.0, 1.0]), time)
    u = abs(time - 1)
    assert cells["chain_cubic"].item() == pytest.approx(1.5 * u**2 - 0.5 * u**3, abs=1e-12)


def test_the_monotone_cubic_rests_where_the_cells_rest():
    times, clouds = (0.0, 1.0, 2.0, 3.0), one_cell_each([0.0, 0.0, 5.0, 5.0])
    assert trivial(times, clouds, 0.5)["chain_pchip"].item() == 0.0
    assert trivial(times, clouds, 2.5)["chain_pchip"].item() == 5.0
    assert trivial(times, clouds, 0.5)["chain_cubic"].item() < 0  # the natural spline overshoots


def test_curves_run_over_true_times():
    # the cells move at constant speed; only uneven gaps taken as they are keep the line straight
    times = (0.0, 1.0, 2.0, 24.0)
    clouds = tuple(cloud(15) + 3 * t for t in times)
    for name in ("displacement", "chain_cubic", "chain_pchip"):
        cells = trivial(times, clouds, 6.0)[name]
        np.testing.assert_allclose(cells, cloud(15) + 18.0, atol=1e-9)


def test_chains_follow_the_plans_in_both_directions():
    # two far islands that never exchange cells, of unequal numbers at each time
    sizes = [(4, 4), (6, 6), (3, 3), (5, 5)]
    island = torch.tensor([0.0, 100.0], dtype=torch.float64)
    clouds = tuple(
        cloud(sum(pair), d=1, seed=k) + island.repeat_interleave(torch.tensor(pair))[:, None]
        for k, pair in enumerate(sizes)
    )
    train = Snapshots((0.0, 1.0, 2.0, 3.0), clouds)
    chains = sample_chains(train, exact_plans(train), start=2, rng=np.random.default_rng(0))
    assert chains.shape == (4, 6, 1)
    np.testing.assert_array_equal(chains[2], clouds[2])
    np.testing.assert_array_equal(chains > 50, np.broadcast_to(chains[2] > 50, chains.shape))


def test_chains_visit_cells_as_often_as_the_plan_says():
    # one cell splits its mass .25 : .75 over two cells
    weights = (torch.ones(2000), torch.tensor([1.0, 3.0]))
    clouds = (torch.zeros(2000, 1), torch.tensor([[1.0], [2.0]]))
    train = Snapshots((0.0, 1.0), clouds, weights)
    plan = exact_plans(train)
    rng = np.random.default_rng(0)
    backward = sample_chains(train, plan, start=1, rng=rng)
    np.testing.assert_array_equal(backward[:, :, 0], [[0.0, 0.0], [1.0, 2.0]])
    share = (sample_chains(train, plan, start=0, rng=rng)[1] == 2.0).mean()
    assert share == pytest.approx(0.75, abs=4 * np.sqrt(0.75 * 0.25 / 2000))


def test_the_mixture_has_the_shares_of_the_time_whatever_the_numbers_of_cells():
    cells = trivial((0.0, 4.0), (torch.zeros(40, 1), torch.ones(400, 1)), 1.0)["mixture"]
    assert len(cells) == 40
    assert cells.mean() == 0.25


def test_previous_and_next_are_the_neighbouring_training_snapshots():
    clouds = tuple(cloud(5 + k, seed=k) for k in range(4))
    cells = trivial((0.0, 1.0, 3.0, 4.0), clouds, 2.0)
    np.testing.assert_array_equal(cells["previous"], clouds[1])
    np.testing.assert_array_equal(cells["next"], clouds[2])


def test_the_plan_is_kept_sparse():
    train = Snapshots((0.0, 1.0), (cloud(40), cloud(60, seed=1)))
    (plan,) = exact_plans(train)
    assert plan.nnz <= 40 + 60 - 1
    np.testing.assert_allclose(plan.sum(0), 1 / 60, atol=1e-12)
    np.testing.assert_allclose(plan.sum(1), 1 / 40, atol=1e-12)


def test_equal_seeds_agree_and_the_unit_of_time_does_not_matter():
    clouds = tuple(cloud(12 + k, seed=k) for k in range(4))
    days, again, hours = (
        trivial(tuple(unit * t for t in (0.0, 1.0, 3.0, 4.0)), clouds, unit * 2.0, seed=3)
        for unit in (1.0, 1.0, 24.0)
    )
    for name, cells in days.items():
        np.testing.assert_array_equal(cells, again[name])
        np.testing.assert_allclose(cells, hours[name], atol=1e-12)


@pytest.mark.parametrize("time", [-1.0, 0.0, 1.0, 2.0, 3.0])
def test_only_times_between_training_snapshots_are_held_out(time):
    with pytest.raises(ValueError, match="strictly between"):
        trivial((0.0, 1.0, 2.0), one_cell_each([0.0, 1.0, 2.0]), time)


def test_a_model_starts_from_the_last_snapshot_before_the_held_out_time():
    clouds = tuple(cloud(500, d=1) + 10 * k for k in range(3))
    train = Snapshots((0.0, 1.0, 3.0), clouds)
    brownian = ct.models.Brownian(0.5)
    cells, weights = predict(brownian, train, 2.0, seed=0)
    np.testing.assert_allclose(weights, 1 / len(cells))
    step = cells - clouds[1].numpy()  # N(0, sigma^2 x 1)
    assert step.mean() == pytest.approx(0.0, abs=4 * 0.5 / np.sqrt(500))
    assert step.std() == pytest.approx(0.5, abs=4 * 0.5 / np.sqrt(1000))
    np.testing.assert_array_equal(cells, predict(brownian, train, 2.0, seed=0)[0])
    assert wasserstein(cells, predict(brownian, train, 2.0, seed=1)[0]) > 0


def noisy(n, seed):
    """Return cells in 60 dimensions that differ by where they are on one line, and by noise."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 60))
    x[:, 0] += 6 * rng.normal(size=n)
    return torch.from_numpy(x)


def test_many_dimensions_are_drawn_together_as_far_as_they_are_noise():
    truth = noisy(150, seed=2).numpy()
    cells = trivial((0.0, 2.0), (noisy(150, seed=0), noisy(150, seed=1)), 1.0)
    wide, narrow = cells["displacement"], cells["displacement_shrunk"]
    np.testing.assert_allclose(narrow.mean(0), wide.mean(0), atol=1e-12)
    ratio = (narrow - narrow.mean(0)) / (wide - wide.mean(0))
    np.testing.assert_allclose(ratio, ratio[0, 0])
    # 36 + 1 of 96 are told apart from the rest, and halves agree on some of the noise
    assert 37 / 96 - 0.1 < ratio[0, 0] ** 2 < 37 / 96 + 0.3
    # what W1 rewards and the energy distance does not
    assert wasserstein(narrow, truth) < wasserstein(wide, truth)
    assert energy_distance(narrow, truth) > energy_distance(wide, truth)


@pytest.mark.parametrize(("d", "is_there"), [(10, False), (11, True)])
def test_few_dimensions_have_no_such_row(d, is_there):
    clouds = tuple(cloud(9, d=d, seed=k) for k in range(2))
    cells = trivial((0.0, 2.0), clouds, 1.0)
    assert ("displacement_shrunk" in cells) == is_there


def test_a_snapshot_of_one_cell_is_not_drawn_together():
    clouds = (cloud(1, d=11), cloud(1, d=11, seed=1))
    cells = trivial((0.0, 2.0), clouds, 1.0)
    np.testing.assert_array_equal(cells["displacement_shrunk"], cells["displacement"])
