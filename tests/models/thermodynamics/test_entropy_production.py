"""Entropy production of laws for which it is known, and that the bracket holds it."""

import math

import numpy as np
import pytest
import torch

from celltraj.models import Brownian, OrnsteinUhlenbeck
from celltraj.models.thermodynamics.entropy_production import entropy_production, least_rate
from celltraj.models.thermodynamics.snapshots import produced


def turning(w, *, pull=1.0, sigma=1.0, dim=2):
    matrix = -pull * torch.eye(dim)
    matrix[0, 1], matrix[1, 0] = -w, w
    return OrnsteinUhlenbeck(matrix=matrix, shift=torch.zeros(dim), sigma=sigma)


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def rate(law, x, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return entropy_production(law, 0.0, x, confidence=0.95, generator=generator)


@pytest.mark.parametrize(("w", "pull", "sigma"), [(1, 1, 1), (3, 1, 0.2), (1, 2, 5)])
def test_a_rotation_produces_2_w_squared_over_k_whatever_sigma(w, pull, sigma):
    x = sigma / math.sqrt(2 * pull) * normal(2000, 2)
    found = rate(turning(w, pull=pull, sigma=sigma), x)
    true = 2 * w**2 / pull
    # the rate of a cell is exponential around its mean: relative error 1 / sqrt(2,000) = .022
    assert found.middle == pytest.approx(true, rel=3 * 0.022)
    assert found.interval[0] <= true <= found.interval[1]
    # what goes to the medium and what the cells lose add up; stationary cells lose nothing
    assert found.medium == pytest.approx(true, rel=0.1)
    assert abs(found.system) < 0.05 * true + 0.05


def test_the_bracket_holds_the_truth_and_zero_in_equilibrium():
    held = []
    for seed in range(20):
        x = normal(400, 2, seed=seed) / math.sqrt(2)
        pairs = ((rate(turning(w), x, seed), 2 * w**2) for w in (0.0, 1.0))
        held += [one.interval[0] <= true <= one.interval[1] for one, true in pairs]
    assert sum(held) >= 36


class Driven:
    """Roll down ``(x^2 - 1)^2 / 4 + y^2 / 2`` and turn along its level lines at ``g``."""

    def __init__(self, g, sigma):
        self.g, self.sigma = g, sigma

    def drift(self, t, x):
        slope = torch.stack([x[:, 0] ** 3 - x[:, 0], x[:, 1]], 1)
        return -slope + self.g * torch.stack([-slope[:, 1], slope[:, 0]], 1)

    def diffusion(self, t, x):
        return torch.full_like(x, self.sigma)


@pytest.mark.parametrize("g", [0.0, 1.0])
def test_a_driven_double_well_by_quadrature(g):
    sigma, n = 0.7, 2000
    grid = np.linspace(-4, 4, 20_001)
    p = np.exp(-((grid**2 - 1) ** 2) / 2 / sigma**2)
    p /= p.sum()
    rng = np.random.default_rng(0)
    x = np.column_stack([rng.choice(grid, n, p=p), sigma / math.sqrt(2) * rng.normal(size=n)])
    true = 2 * g**2 / sigma**2 * (p @ (grid**3 - grid) ** 2 + sigma**2 / 2)
    found = rate(Driven(g, sigma), torch.from_numpy(x))
    assert found.interval[0] <= true <= found.interval[1]
    # standard error of E |grad V|^2 at 2,000 cells is about .04 of it, of the score about .05
    assert found.middle == pytest.approx(true, rel=0.12, abs=0.12)


def test_cells_on_their_way_produce_more_than_the_bound_and_are_known_to_move():
    law = turning(1.0)
    x = 0.3 * normal(2000, 2) + torch.tensor([2.0, 0.0])
    found = rate(law, x)
    matrix = law.matrix + torch.eye(2) / (2 * 0.09)  # v = (A + C^-1 / 2)(x - m) + A m
    moved = law.matrix @ torch.tensor([2.0, 0.0], dtype=torch.float64)
    true = 2 * float(moved.square().sum() + 0.09 * matrix.square().sum())
    assert found.p_stationary < 0.01
    assert math.isnan(found.middle)
    assert found.best == found.lower
    assert found.lower == pytest.approx(true, rel=0.04)
    assert found.interval[0] <= true


def test_the_least_rate_is_that_of_a_shift_and_of_a_stretch():
    x = normal(4000, 2)
    noise = torch.tensor([0.5, 2.0], dtype=torch.float64)
    shift = torch.tensor([3.0, 1.0], dtype=torch.float64)
    assert least_rate(x, x + shift, noise, 2.0) == pytest.approx((9 / 0.5 + 1 / 2) / 4)
    stretch = least_rate(x - x.mean(0), 2 * (x - x.mean(0)), noise, 1.0)
    assert stretch == pytest.approx(float((x.var(0) / noise).sum()), rel=1e-6)


def test_a_relaxation_spends_at_least_what_its_snapshots_need():
    law = turning(0.0)
    times = np.repeat([0.0, 0.25, 0.5], 500)
    mean = 3 * np.exp(-times)[:, None] * [1, 0]
    # the same cells at each time, so that their means move by what the law says
    x = mean + np.tile(normal(500, 2).numpy(), (3, 1)) / math.sqrt(2)
    table = produced(law, x, times, confidence=0.9, seed=0).by_time()
    spent = (table["lower"].to_numpy()[:-1] + table["lower"].to_numpy()[1:]) / 2
    # v = -m: the trapezoid is above the mean by (dt)^2 / 12 of the second derivative, 2 %
    np.testing.assert_allclose(spent, table["least"][:-1], rtol=0.1)


def test_parts_of_genes_add_up_through_orthonormal_loadings():
    x = normal(300, 2).numpy()
    found = produced(turning(1.0), x, np.zeros(300), confidence=0.9, seed=0)
    loadings = torch.linalg.qr(normal(7, 2, seed=1))[0].numpy()
    genes = found.by_gene(loadings, [f"g{k}" for k in range(7)])
    total = found.by_time()["plug_in"].iloc[0]
    assert genes["rate"].sum() == pytest.approx(total)
    assert found.by_variable(["x", "y"])["rate"].sum() == pytest.approx(total)
    assert found.of_cells[1].mean() == pytest.approx(total)


class Geometric:
    def drift(self, t, x):
        return x

    def diffusion(self, t, x):
        return x.abs()


def test_laws_without_a_rate_are_refused():
    x = normal(100, 2)
    with pytest.raises(ValueError, match="depends on the state"):
        rate(Geometric(), x)
    still = Driven(0.0, 0.0)
    with pytest.raises(ValueError, match="has no noise"):
        rate(still, x)
    assert rate(Brownian(1.0), x).plug_in > 0
