"""Distances and errors of predicted responses, against closed forms and independent formulas."""

import numpy as np
import ot as pot
import pytest
from scipy.stats import energy_distance as energy_in_one_dimension
from scipy.stats import norm

from celltraj._stats.interval import bootstrap_interval, resampled_counts, resampled_means
from celltraj.metrics import (
    composition_error,
    energy_distance,
    gate_error,
    gate_shares,
    mmd,
    shift_cosine,
    shift_r2,
    variance_ratio,
    wasserstein,
)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def clouds(rng):
    return rng.normal(size=(40, 3)), rng.normal(0.5, 2.0, size=(30, 3))


def pairs(x, y):
    return np.sqrt(((x[:, None] - y[None]) ** 2).sum(-1))


def test_discrepancy_is_the_mean_over_five_kernels(clouds):
    x, y = clouds
    within = pairs(y, y)[np.triu_indices(len(y), 1)]
    total = 0.0
    for width in (0.25, 0.5, 1.0, 2.0, 4.0):
        s = width * np.median(within)
        k = lambda a, b, s=s: np.exp(-(pairs(a, b) ** 2) / (2 * s * s))  # noqa: E731
        total += (k(x, x).mean() + k(y, y).mean() - 2 * k(x, y).mean()) / 5
    assert mmd(x, y) == pytest.approx(np.sqrt(total), rel=1e-10)


def test_discrepancy_of_two_points_is_known():
    x, y = np.zeros((1, 1)), np.full((1, 1), 3.0)
    kernel = np.mean([np.exp(-9 / (2 * (2 * width) ** 2)) for width in (0.25, 0.5, 1, 2, 4)])
    assert mmd(x, y, bandwidth=2.0) == pytest.approx(np.sqrt(2 - 2 * kernel))


def test_the_bandwidth_comes_from_the_held_out_cells(clouds):
    x, y = clouds
    size = np.median(pairs(y, y)[np.triu_indices(len(y), 1)])
    assert mmd(x, y) == mmd(x, y, bandwidth=size)
    assert mmd(x, y) != pytest.approx(mmd(y, x), rel=1e-3)
    with pytest.raises(ValueError, match="positive bandwidth"):
        mmd(x, np.zeros((5, 3)))


def test_energy_distance_of_one_variable_is_that_of_scipy(rng):
    x, y, weights = rng.normal(size=50), rng.normal(1, 2, size=40), rng.random(50)
    expected = energy_in_one_dimension(x, y, weights)
    assert energy_distance(x[:, None], y[:, None], weights=weights) == pytest.approx(expected)


def test_energy_distance_of_two_normals_is_known():
    # of N(m, 1) and N(0, 1) all differences are normal, with variance 2
    rng, n, m = np.random.default_rng(1), 1500, 1.0
    x, y = rng.normal(m, 1, (n, 1)), rng.normal(0, 1, (n, 1))
    s = np.sqrt(2)
    across = s * np.sqrt(2 / np.pi) * np.exp(-(m**2) / 4) + m * (1 - 2 * norm.cdf(-m / s))
    expected = 2 * across - 2 * s * np.sqrt(2 / np.pi)
    # means over n cells have a standard error below 2 / sqrt(n); the diagonal adds 2 s / n
    assert energy_distance(x, y) ** 2 == pytest.approx(expected, abs=4 * 2 / np.sqrt(n))


@pytest.mark.parametrize("distance", [mmd, energy_distance])
class TestEveryDistance:
    def test_it_is_zero_of_a_sample_to_itself(self, distance, clouds):
        x, _ = clouds
        assert distance(x, x) == pytest.approx(0, abs=1e-7)

    def test_weights_count_as_copies(self, distance, clouds, rng):
        x, y = clouds
        copies = rng.integers(1, 4, len(x))
        expected = distance(np.repeat(x, copies, axis=0), y)
        assert distance(x, y, weights=copies * 0.7) == pytest.approx(expected, rel=1e-9)

    def test_neither_order_nor_place_nor_turning_matters(self, distance, clouds, rng):
        x, y = clouds
        turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
        found = distance((rng.permutation(x) + 7) @ turn, (rng.permutation(y) + 7) @ turn)
        assert found == pytest.approx(distance(x, y), rel=1e-8)

    @pytest.mark.parametrize("weights", [[1.0], np.full(40, np.nan), -np.ones(40), np.zeros(40)])
    def test_odd_weights_are_refused(self, distance, clouds, weights):
        with pytest.raises(ValueError, match="weights must be"):
            distance(*clouds, weights=np.asarray(weights))


@pytest.mark.parametrize("order", [1, 2])
def test_transport_distances_are_those_of_pot(clouds, order):
    x, y = clouds
    cost = pairs(x, y) ** order
    expected = pot.emd2(pot.unif(len(x)), pot.unif(len(y)), cost) ** (1 / order)
    assert wasserstein(x, y, order=order) == pytest.approx(expected, rel=1e-7)


def test_shifts_are_compared_in_direction_and_length(rng):
    shift = rng.normal(size=5)
    turn, _ = np.linalg.qr(rng.normal(size=(5, 5)))
    other = rng.normal(size=5)
    assert shift_cosine(2 * shift, shift) == pytest.approx(1)
    assert shift_cosine(-shift, shift) == pytest.approx(-1)
    assert shift_r2(shift, shift) == 1
    assert shift_r2(0 * shift, shift) == 0
    assert shift_r2(2 * shift, shift) == pytest.approx(0)
    for measure in (shift_cosine, shift_r2):
        assert measure(other @ turn, shift @ turn) == pytest.approx(measure(other, shift))
        assert np.isnan(measure(shift, 0 * shift))
    assert np.isnan(shift_cosine(0 * shift, shift))


def test_the_error_of_shares_is_what_would_have_to_change():
    predicted, true = np.array(["A", "A", "B", "C"]), np.array(["A", "B", "B", "D"])
    assert composition_error(predicted, true) == pytest.approx(0.5)
    assert composition_error(predicted, predicted[::-1]) == 0
    assert composition_error(np.array([0]), np.array([1])) == 1
    # one of four cells is as heavy as the others together
    assert composition_error(
        np.array([0, 1, 1, 1]), np.array([0, 1]), weights=np.array([3.0, 1, 1, 1])
    ) == pytest.approx(0)


def test_a_resample_draws_as_many_as_there_are(rng):
    counts = resampled_counts(7, 100, rng=rng)
    assert counts.shape == (100, 7)
    assert (counts.sum(1) == 7).all()
    values = np.array([1.0, np.nan, 3.0, 1.0, 1.0, 1.0, 1.0])
    expected = [np.nanmean(np.repeat(values, row)) for row in counts]
    np.testing.assert_allclose(resampled_means(values, counts), expected)


@pytest.mark.parametrize("n", [5, 8, 20])
def test_intervals_hold_the_mean_as_often_as_they_say(n, rng):
    n_sets, hits = 400, 0
    counts = resampled_counts(n, 2000, rng=rng)
    for _ in range(n_sets):
        low, high = bootstrap_interval(resampled_means(rng.normal(size=n), counts), n)
        hits += low <= 0 <= high
    # .95 up to four binomial standard errors, and .03 that no interval within the data can cover
    error = np.sqrt(0.95 * 0.05 / n_sets)
    assert 0.92 - 4 * error < hits / n_sets < 0.95 + 4 * error


def test_one_population_has_no_interval():
    assert np.isnan(bootstrap_interval(np.ones(10), 1)).all()
    assert np.isnan(bootstrap_interval(np.full(10, np.nan), 5)).all()


def test_variance_is_that_of_the_covariance_however_components_are_turned(clouds, rng):
    x, y = clouds
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    expected = np.trace(np.cov(x.T, bias=True)) / np.trace(np.cov(y.T, bias=True))
    assert variance_ratio(x, y) == pytest.approx(expected)
    assert variance_ratio(x @ turn + 7, y @ turn) == pytest.approx(expected)
    assert np.isnan(variance_ratio(x, np.ones((4, 3))))


def test_a_cell_of_weight_two_is_two_cells_of_readouts(clouds):
    x, y = clouds
    weights = np.ones(len(x))
    weights[0] = 2
    twice = np.concatenate([x[:1], x])
    assert variance_ratio(x, y, weights=weights) == pytest.approx(variance_ratio(twice, y))
    np.testing.assert_allclose(gate_shares(x, y, weights=weights), gate_shares(twice, y))


def test_shares_above_a_gate_are_those_of_a_normal_law():
    rng, n, shift = np.random.default_rng(2), 20000, 1.5
    control, cells = rng.normal(size=(n, 1)), rng.normal(shift, 1, (n, 1))
    expected = norm.sf(norm.ppf(0.9) - shift)
    # of n cells a share has a standard error below .5 / sqrt(n), and so has the gate
    assert gate_shares(cells, control)[0] == pytest.approx(expected, abs=4 / np.sqrt(n))
    found = gate_error(cells, control, control)
    assert found == pytest.approx(expected - 0.1, abs=4 / np.sqrt(n))
    assert gate_error(cells, cells, control) == 0
    with pytest.raises(ValueError, match=r"must lie in \(0, 1\)"):
        gate_shares(cells, control, quantile=1.0)
