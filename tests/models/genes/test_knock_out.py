"""Held genes against the reduced linear system, and levels that cannot be held."""

import numpy as np
import pytest
import torch
from scipy.linalg import expm, solve_continuous_lyapunov

from celltraj.models import Brownian, KnockedOut, Midpoint, simulate

A = torch.tensor([[-1.0, 0.5, 0.3], [0.4, -0.8, 0.0], [0.2, 0.6, -1.5]]).double()
SIGMA, LEVEL, END = 0.4, 2.0, 1.0


class Linear:
    """``dx = A x dt + sigma dW`` in coordinates that are turned by ``turn``."""

    dim = 3

    def __init__(self, turn=None, sigma=SIGMA):
        turn = torch.eye(3).double() if turn is None else turn
        self.matrix, self.sigma = turn @ A @ turn.T, sigma

    def drift(self, t, x):
        return x @ self.matrix.T

    def diffusion(self, t, x):
        return torch.full_like(x, self.sigma)


class Geometric(Linear):
    """Noise in proportion to the state."""

    def diffusion(self, t, x):
        return x.abs()


def turned(seed=0):
    rng = np.random.default_rng(seed)
    return torch.from_numpy(np.linalg.qr(rng.normal(size=(3, 3)))[0])


def rows(*values):
    return torch.tensor(values).double()


def held_second(turn=None, sigma=SIGMA):
    turn = torch.eye(3).double() if turn is None else turn
    return KnockedOut(Linear(turn, sigma), turn.T[[1]], torch.zeros(1).double(), LEVEL)


def run(process, x, *, n_steps=50, seed=0):
    generator = torch.Generator().manual_seed(seed)
    solver = Midpoint(n_steps=n_steps)
    return simulate(process, x, (0.0, END), solver=solver, generator=generator).x[-1]


@pytest.mark.parametrize("turn", [None, turned()], ids=["genes", "components"])
def test_the_rest_is_the_ornstein_uhlenbeck_process_of_the_remaining_matrix(turn):
    n, keep = 4000, [0, 2]
    basis = torch.eye(3).double() if turn is None else turn
    process = held_second(turn)
    start = process.hold(rows([1.0, -1.0, 0.5]).repeat(n, 1) @ basis.T)
    found = (process.hold(run(process, start)) @ basis).numpy()
    np.testing.assert_allclose(found[:, 1], LEVEL, atol=1e-9)
    # dy = (R y + c) dt + sigma dW, R the remaining matrix and c what the held gene adds
    rest, push = A.numpy()[np.ix_(keep, keep)], A.numpy()[keep, 1] * LEVEL
    flow, still = expm(END * rest), -np.linalg.solve(rest, push)
    mean = still + flow @ (np.array([1.0, 0.5]) - still)
    settled = solve_continuous_lyapunov(rest, -(SIGMA**2) * np.eye(2))
    covariance = settled - flow @ settled @ flow.T
    error = np.sqrt(np.diag(covariance) / n)
    np.testing.assert_array_less(np.abs(found[:, keep].mean(0) - mean), 4 * error)
    errors = np.sqrt((np.outer(*2 * [np.diag(covariance)]) + covariance**2) / n)
    np.testing.assert_array_less(np.abs(np.cov(found[:, keep].T) - covariance), 4 * errors)


def test_without_noise_the_gene_never_leaves_its_level():
    process = held_second(turned(), sigma=0.0)
    start = process.hold(torch.from_numpy(np.random.default_rng(0).normal(size=(20, 3))))
    ends = run(process, start)
    np.testing.assert_allclose(ends @ process.loadings.T, LEVEL, atol=1e-9)
    assert float((ends - start).norm()) > 0.1


def test_nothing_depends_on_the_order_or_the_scale_of_genes():
    loadings, mean = rows([1.0, 0.2, 0.0], [0.0, 1.0, 0.5]), rows(0.3, -0.4)
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(5, 3)))
    process = KnockedOut(Linear(), loadings, mean, 0.0)
    for order, scale in (([1, 0], 1.0), ([0, 1], 7.0)):
        other = KnockedOut(Linear(), scale * loadings[order], scale * mean[order], 0.0)
        np.testing.assert_allclose(process.hold(x), other.hold(x), atol=1e-12)
        np.testing.assert_allclose(process.drift(0.0, x), other.drift(0.0, x), atol=1e-12)


def test_to_hold_twice_is_to_hold_once():
    process = held_second(turned())
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(5, 3)))
    np.testing.assert_allclose(process.hold(process.hold(x)), process.hold(x), atol=1e-12)


def test_noise_is_that_of_the_held_state():
    process = KnockedOut(Geometric(), rows([1.0, 0.0, 0.0]), rows(0.0), 0.25)
    found = process.diffusion(0.0, rows([3.0, -2.0, 1.0]))
    np.testing.assert_allclose(found, [[0.25, 2.0, 1.0]])


def test_a_process_without_growth_has_none():
    process = KnockedOut(Brownian(0.1), rows([1.0, 0.0]), rows(0.0), 0.0)
    assert not process.has_growth
    assert process.dim == 2
    assert process.growth(0.0, rows([3.0, 1.0])).tolist() == [0.0]


def test_a_gene_named_twice_is_held_once():
    twice = KnockedOut(Linear(), rows([1.0, 0, 0], [1.0, 0, 0]), rows(0.5, 0.5), 0.0)
    once = KnockedOut(Linear(), rows([1.0, 0, 0]), rows(0.5), 0.0)
    x = rows([3.0, -2.0, 1.0])
    np.testing.assert_allclose(twice.hold(x), once.hold(x), atol=1e-12)
    np.testing.assert_allclose(twice.drift(0.0, x), once.drift(0.0, x), atol=1e-12)


@pytest.mark.parametrize(
    ("loadings", "mean", "level", "message"),
    [
        ([[1.0, 0, 0], [1.0, 0, 0]], [0.0, 4.0], 0.0, "no state has all 2 genes at 0: .* only 1"),
        # of nearly the same direction, which would need a move of a million
        ([[1.0, 0, 0], [1.0, 1e-9, 0]], [0.0, 1e-3], 0.0, "no state has all 2 genes"),
        ([[1.0, 0], [0, 1.0], [1.0, 1.0]], [1.0, 1.0, 1.0], 0.0, "only 2 of 2 variables"),
        ([[0.0, 0, 0]], [1.0], 0.0, "do not change with the state"),
        ([[1.0, 0, 0]], [1.0], float("inf"), "level must be a finite number"),
    ],
)
def test_what_cannot_be_held_is_refused(loadings, mean, level, message):
    with pytest.raises(ValueError, match=message):
        KnockedOut(Brownian(0.1), torch.tensor(loadings), torch.tensor(mean), level)
