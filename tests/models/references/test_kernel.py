"""One smooth law of motion: its slope, its lengths, and what gaps that are left out say of it."""

import pytest
import torch
from analytic import normal

from celltraj.models import KernelReference, OrnsteinUhlenbeck, ReferenceInterpolant
from celltraj.models.references.gaussian_law import flow_of, uniform_grid, value_and_jacobian


def law(n_scales=1, d=3):
    frame = torch.tensor([[0.0], [2.0], [-2.0], [2.0]], dtype=torch.float64).repeat(1, d)
    centres, weights = normal(20, d, seed=0).double(), normal(1 + d + 20, d, seed=1).double()
    return KernelReference(
        sigma=0.1, n_scales=n_scales, frame=frame, centres=centres, weights=weights
    )


@pytest.mark.parametrize("n_scales", [1, 3])
def test_the_slope_is_that_of_differences(n_scales):
    x = 1.5 * normal(60, 3, seed=2).double()  # some beyond the edge, where nothing changes
    kernel = law(n_scales)
    drift, slope = kernel.drift_and_jacobian(0.0, x)
    values, differences = value_and_jacobian(kernel.drift, 0.0, x, torch.full((3,), 1e-5).double())
    torch.testing.assert_close(drift, values)
    torch.testing.assert_close(slope, differences, atol=1e-8, rtol=1e-6)


def test_lengths_are_averaged():
    x = normal(30, 3, seed=2).double()
    short, both = law(1), law(2)
    long = KernelReference(
        scale=2.0, sigma=0.1, frame=short.frame, centres=short.centres, weights=short.weights
    )
    mean = (short.drift(0.0, x) + long.drift(0.0, x)) / 2
    torch.testing.assert_close(both.drift(0.0, x), mean)


def chains_of(process, n=80, n_gaps=4):
    """Return chains that follow the flow of an affine law exactly."""
    matrix, shift = process.affine(2)
    step = torch.linalg.matrix_exp(matrix)
    end = torch.linalg.solve(matrix, shift)
    x = [normal(n, 2, seed=0).double() + 3]
    for _ in range(n_gaps):
        x.append((x[-1] + end) @ step.T - end)
    return torch.stack(x)


def test_one_law_for_all_times_foretells_gaps_that_are_left_out():
    matrix = torch.tensor([[-0.3, -0.6], [0.6, -0.3]], dtype=torch.float64)
    process = OrnsteinUhlenbeck(matrix=matrix, shift=torch.zeros(2).double(), sigma=0.1)
    chain = chains_of(process)
    n = chain.shape[1]
    gap = torch.arange(4).repeat_interleave(n // 4)
    times = torch.arange(5, dtype=torch.float64)
    found = ReferenceInterpolant().fit(times, chain, gap, sigma=0.1)
    assert found.miss < 0.3
    assert found.is_smooth
    assert "foretells much" in found.in_words
    x = chain[1:-1].reshape(-1, 2)
    error = found.law.drift(0.0, x) - x @ matrix.T
    assert float(error.square().mean()) < 0.02 * float((x @ matrix.T).square().mean())


def test_cells_that_go_anywhere_have_no_law():
    chain = torch.stack([normal(80, 2, seed=k).double() for k in range(5)])
    times, gap = torch.arange(5, dtype=torch.float64), torch.arange(4).repeat_interleave(20)
    found = ReferenceInterpolant().fit(times, chain, gap, sigma=0.1)
    # to go back to the middle is all that independent draws have in common: sqrt(1/2) of the way
    assert found.miss > 0.7
    assert found.is_smooth == (found.miss < 0.75)


def test_one_gap_tells_no_law():
    chain = torch.stack([normal(40, 2, seed=k).double() for k in range(2)])
    found = ReferenceInterpolant().fit(
        torch.tensor([0.0, 1.0]).double(), chain, torch.zeros(40, dtype=torch.long), sigma=0.1
    )
    assert found.miss is None
    assert found.in_words.startswith("nothing tells")


def test_a_law_that_was_not_fitted_is_refused():
    with pytest.raises(ValueError, match="no law yet"):
        _ = ReferenceInterpolant().law
    with pytest.raises(ValueError, match="rounds must be at least 1"):
        ReferenceInterpolant(rounds=0)


def affine_law(d):
    """Return a kernel law without kernels, and the same law as an Ornstein-Uhlenbeck process."""
    kernel = law(d=d)
    weights = 0.2 * kernel.weights.clone()
    weights[1 + d :] = 0
    plain = KernelReference(
        sigma=0.1,
        frame=torch.stack([kernel.frame[0], kernel.frame[1], *50 * kernel.frame[2:]]),
        centres=kernel.centres,
        weights=weights,
    )
    unit = kernel.frame[1]
    return plain, OrnsteinUhlenbeck(matrix=weights[1 : 1 + d].T / unit, shift=weights[0], sigma=0.1)


@pytest.mark.parametrize("d", [3, 12])
def test_a_law_without_kernels_spreads_as_the_affine_one(d):
    kernel, affine = affine_law(d)
    assert (kernel.common_slope is None) == (d == 3)
    x, grid = normal(5, d, seed=3).double(), uniform_grid(0.0, 0.5, 12)
    found, exact = flow_of(kernel, x, grid), flow_of(affine, x, grid)
    # two Runge-Kutta steps of order 4 in each of twelve
    torch.testing.assert_close(found.mean, exact.mean, atol=1e-7, rtol=1e-6)
    whole = exact.covariance.expand(-1, found.covariance.shape[1], -1, -1)
    torch.testing.assert_close(found.covariance, whole, atol=1e-8, rtol=1e-4)


@pytest.mark.parametrize("d", [3, 12])
def test_where_a_cell_goes_does_not_depend_on_the_others(d):
    kernel, x = law(d=d), normal(6, d, seed=3).double()
    grid = uniform_grid(0.0, 0.3, 6)
    together, alone = flow_of(kernel, x, grid), flow_of(kernel, x[:1], grid)
    torch.testing.assert_close(together.mean[:, :1], alone.mean)
    torch.testing.assert_close(together.covariance[:, :1], alone.covariance)


def test_many_variables_share_one_slope():
    kernel, x = law(d=12), normal(50, 12, seed=3).double()
    assert flow_of(kernel, x, (0.0, 0.1)).covariance.shape == (2, 1, 12, 12)
    own = flow_of(law(d=3), x[:, :3], (0.0, 0.1)).covariance
    assert own.shape == (2, 50, 3, 3)
