"""Scores of clouds: those of Gaussians in closed form, of a mixture, and in other units."""

import numpy as np
import pytest
import torch

from celltraj.models.thermodynamics.score_matching import matched_score


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def matched(x, noise):
    return matched_score(x, noise, n_folds=3, generator=torch.Generator().manual_seed(0))


def test_the_score_of_a_gaussian_is_that_of_its_moments():
    mix = torch.tensor([[1.0, 0.5], [0.0, 0.3]], dtype=torch.float64)
    x = normal(2000, 2) @ mix.T + torch.tensor([3.0, -1.0])
    noise = torch.tensor([0.5, 0.1], dtype=torch.float64)
    found = matched(x, noise)
    true = -(x - torch.tensor([3.0, -1.0])) @ torch.linalg.inv(mix @ mix.T)
    error = (noise * (found.score - true).square()).sum(1).mean()
    size = (noise * true.square()).sum(1).mean()
    # five coefficients from two thirds of 2,000 cells: a relative error of about 5 / 1,300
    assert float(error / size) < 0.015
    trace = float((noise * torch.linalg.inv(mix @ mix.T).diagonal()).sum())
    assert float(found.divergence.mean()) == pytest.approx(-trace, rel=0.08)


def test_the_score_of_two_blobs_is_nearer_than_that_of_one_gaussian():
    side = torch.where(normal(1500, 1, seed=1) > 0, 1.5, -1.5)
    x = torch.cat([side + 0.6 * normal(1500, 1, seed=2), normal(1500, 1, seed=3)], 1)
    a, b = (torch.exp(-((x[:, 0] - c) ** 2) / 0.72) for c in (1.5, -1.5))
    true = torch.stack([-(x[:, 0] - 1.5 * (a - b) / (a + b)) / 0.36, -x[:, 1]], 1)
    found = matched(x, torch.ones(2, dtype=torch.float64))
    plain = -(x - x.mean(0)) @ torch.linalg.inv(torch.cov(x.T))
    errors = [float((s - true).square().sum(1).mean()) for s in (found.score, plain)]
    assert found.n_features > 0
    assert errors[0] < 0.35 * errors[1]


def test_units_do_not_matter():
    x, noise = normal(400, 3) ** 3 + normal(400, 3, seed=1), torch.ones(3, dtype=torch.float64)
    unit = torch.tensor([10.0, 0.1, 1.0], dtype=torch.float64)
    one, other = matched(x, noise), matched(x * unit + 5, noise * unit**2)
    np.testing.assert_allclose(other.score * unit, one.score, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(other.divergence, one.divergence, rtol=1e-4, atol=1e-5)


def test_too_few_or_flat_cells_are_refused():
    noise = torch.ones(3, dtype=torch.float64)
    with pytest.raises(ValueError, match="10 cells tell no score in 3 variables"):
        matched(normal(10, 3), noise)
    flat = normal(50, 3)
    flat[:, 2] = flat[:, 0]
    with pytest.raises(ValueError, match="do not span their 3 variables"):
        matched(flat, noise)
