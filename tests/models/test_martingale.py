"""The residuals of clones: mean zero under the law of single cells, and not under another."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from celltraj.models import Brownian, OrnsteinUhlenbeck
from celltraj.models.clonal.martingale import ClonePair, conditional_mean, martingale

PULL, SIGMA = 1.0, 1.0


def normal(shape, generator):
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def relaxing(generator, *, n=300, sisters=0, spread=0.3, growth=0.0):
    """Return clones that relax from (2, 0); with sisters, each cell comes from one of its own."""
    x = normal((n, 2), generator) * 0.7 + torch.tensor([2.0, 0.0])
    numbers = torch.poisson(0.7 * torch.exp(growth * x[:, 0]), generator=generator).long()
    numbers = numbers if growth else 1 + numbers
    clone1 = torch.arange(n).repeat_interleave(numbers)
    clone0, start = torch.arange(n), x[clone1]
    x0 = x
    if sisters:
        clone0 = clone0.repeat_interleave(sisters)
        x0 = x[clone0] + spread * normal((len(clone0), 2), generator)
        start = start + spread * normal(start.shape, generator)
    noise = SIGMA * math.sqrt((1 - math.exp(-2 * PULL)) / (2 * PULL))
    x1 = math.exp(-PULL) * start + noise * normal(start.shape, generator)
    return ClonePair((0.0, 1.0), x0, x1, clone0, clone1, sisters == 0)


def share_refused(pull, n_tests, **options):
    generator = torch.Generator().manual_seed(0)
    found = []
    for _ in range(n_tests):
        pair = relaxing(generator, **options)
        found.append(martingale(pair, math.exp(-pull) * pair.x0, generator=generator).p <= 0.05)
    return float(np.mean(found))


@pytest.mark.parametrize("sisters", [0, 2])
def test_the_right_law_is_refused_in_five_of_a_hundred(sisters):
    # 200 tests: standard error .015
    assert share_refused(PULL, 200, sisters=sisters) == pytest.approx(0.05, abs=0.045)


@pytest.mark.parametrize("sisters", [0, 1, 2])
def test_a_drift_that_is_a_fifth_too_weak_is_refused(sisters):
    assert share_refused(0.8 * PULL, 40, sisters=sisters) >= 0.95


def test_clones_that_left_no_cell_and_growth_by_state_leave_the_size_as_it_is():
    # cells that multiply by where they were: the ancestors' means are right all the same
    assert share_refused(PULL, 200, growth=0.3) == pytest.approx(0.05, abs=0.045)


def test_taking_a_sister_for_the_ancestor_refuses_the_right_law():
    generator, found = torch.Generator().manual_seed(0), []
    for _ in range(20):
        one = relaxing(generator, sisters=2, spread=0.7)
        wrong = replace(one, is_ancestor=True)
        mean = math.exp(-PULL) * one.x0
        found.append([martingale(pair, mean, generator=generator).p for pair in (one, wrong)])
    right, wrong = np.array(found).T
    assert (wrong <= 0.05).mean() > 0.9
    assert (right <= 0.05).mean() < 0.25


def test_the_mean_of_a_law_is_that_of_its_closed_form():
    generator = torch.Generator().manual_seed(0)
    law = OrnsteinUhlenbeck(matrix=-torch.eye(2), shift=torch.zeros(2), sigma=0.5)
    x = normal((50, 2), generator)
    mean = conditional_mean(law, x, (0.0, 1.0), n_draws=200, generator=generator)
    error = 0.5 * math.sqrt((1 - math.exp(-2)) / 2) / math.sqrt(200)
    np.testing.assert_allclose(mean, math.exp(-1) * x, atol=4.2 * error)


class Selected(Brownian):
    """Brownian motion of cells that multiply by their first variable."""

    def growth(self, t, x):
        return x[:, 0]


def test_a_growing_law_foretells_the_mean_of_its_descendants():
    generator = torch.Generator().manual_seed(0)
    x = torch.zeros(40, 1, dtype=torch.float64)
    mean = conditional_mean(Selected(1.0), x, (0.0, 1.0), n_draws=2000, generator=generator)
    # Feynman-Kac: under exp(int X dt) the path gains the drift T - t, so that the mean is T^2 / 2
    error = 1.2 / math.sqrt(40 * 2000)
    assert float(mean.mean()) == pytest.approx(0.5, abs=4 * error + 0.005)


def test_moments_are_named_and_as_many_as_clones_can_tell():
    pair = relaxing(torch.Generator().manual_seed(0))
    found = martingale(pair, math.exp(-1) * pair.x0, generator=torch.Generator())
    assert found.moments["function"].unique().tolist() == [
        "constant",
        "linear",
        *(f"local {k}" for k in (1, 2, 3)),
    ]
    few = relaxing(torch.Generator().manual_seed(0), n=25)
    found = martingale(few, math.exp(-1) * few.x0, generator=torch.Generator())
    assert found.moments["function"].unique().tolist() == ["constant", "linear"]
    fewer = relaxing(torch.Generator().manual_seed(0), n=8)
    with pytest.raises(ValueError, match=r"8 clones were seen.*2 variables need 10"):
        martingale(fewer, fewer.x0, generator=torch.Generator())
