"""Derivatives of laws of motion against closed forms, and pairs of genes against all of them."""

import pytest
import torch

from celltraj.models import Brownian, GeneRegulation, KernelReference, OrnsteinUhlenbeck
from celltraj.models.jacobian.by_group import GeneSlopes, slopes_by_group
from celltraj.models.jacobian.differentiable import differentiable, is_differentiable
from celltraj.models.jacobian.jacobian import BLOCK, Slopes, jacobian
from celltraj.models.jacobian.pairs import pair_values, strongest_pairs
from celltraj.models.references.family import Paths

D = torch.float64


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=D, generator=torch.Generator().manual_seed(seed))


def circuit(d=3):
    return GeneRegulation(
        half_level=torch.full((d,), 0.8, dtype=D),
        production=1 + torch.arange(d, dtype=D),
        degradation=torch.linspace(0.5, 1.0, d, dtype=D),
        bias=torch.linspace(-1, 1, d, dtype=D),
        weights=normal(d, d),
        sigma=0.1,
    )


def test_a_pull_has_its_matrix_everywhere():
    matrix = normal(4, 4)
    pull = OrnsteinUhlenbeck(matrix=matrix, shift=normal(4), sigma=1.0)
    n = BLOCK + 3
    found = jacobian(pull, 0.7, normal(n, 4, seed=1))
    torch.testing.assert_close(found, matrix.expand(n, 4, 4))


def test_a_circuit_has_its_analytic_derivative():
    law, x = circuit(), normal(50, 3, seed=1).abs() + 0.1
    level = (x / law.half_level) ** law.hill
    hill = level / (1 + level)
    slope = law.hill * level / x / (1 + level) ** 2
    logic = torch.sigmoid(law.bias + hill @ law.weights.T)
    expected = (law.production * logic * (1 - logic))[:, :, None] * law.weights * slope[:, None]
    expected = expected - torch.diag(law.degradation)
    torch.testing.assert_close(jacobian(law, 0.0, x), expected)


def test_a_kernel_knows_its_own():
    x = normal(40, 2)
    shares = torch.full((40,), 1 / 40, dtype=D)
    times = torch.tensor([0.0, 1.0], dtype=D)
    paths = [Paths(times, torch.stack([x, 0.5 * x]), -0.5 * x[None], shares)]
    law = KernelReference(n_centres=10).fit(paths, generator=torch.Generator())
    at = normal(5, 2, seed=2) / 4
    slopes = Slopes.of(law, 0.0, at)
    assert slopes.by == "known"
    torch.testing.assert_close(slopes(0.0, at), Slopes(law, "torch", slopes.step)(0.0, at))


class Hidden:
    """A law that leaves torch's graph, of which ``part`` is what stays."""

    def __init__(self, part):
        self.part = part

    def drift(self, t, x):
        found = circuit().drift(t, x)
        return self.part * found + (1 - self.part) * found.detach()

    def diffusion(self, t, x):
        return torch.ones_like(x)


@pytest.mark.parametrize("part", [0.0, 0.5])
def test_what_is_hidden_from_torch_is_differenced(part):
    x = normal(20, 3, seed=1).abs() + 0.1
    slopes = Slopes.of(Hidden(part), 0.0, x)
    assert slopes.by == "differences"
    torch.testing.assert_close(slopes(0.0, x), jacobian(circuit(), 0.0, x), rtol=1e-5, atol=1e-6)
    weights = normal(20, 3, seed=3)
    grads = []
    for law in (differentiable(Hidden(part).drift, 0.0, x), circuit().drift):
        point = x.clone().requires_grad_()
        (weights * law(0.0, point)).sum().backward()
        grads.append(point.grad)
    torch.testing.assert_close(*grads, rtol=1e-5, atol=1e-6)


def test_a_law_in_single_precision_or_without_slope_is_told():
    x = normal(20, 3, seed=1).abs() + 0.1
    assert is_differentiable(lambda t, y: circuit().drift(t, y.float()).to(y.dtype), 0.0, x)
    assert torch.equal(jacobian(Brownian(1.0), 0.0, x), torch.zeros(20, 3, 3, dtype=D))


def test_the_strongest_pairs_are_those_of_the_whole_matrix():
    mean, loadings = normal(5, 5), torch.linalg.qr(normal(1300, 5, seed=1))[0]
    whole = loadings @ mean @ loadings.T
    whole.fill_diagonal_(0)
    pairs = strongest_pairs(mean, loadings, 25)
    order = whole.abs().flatten().topk(25).indices
    assert pairs.tolist() == torch.stack([order // 1300, order % 1300], 1).tolist()
    some = normal(7, 5, 5, seed=2)
    values = pair_values(some, loadings, pairs)
    every = loadings @ some @ loadings.T
    torch.testing.assert_close(values, every[:, pairs[:, 0], pairs[:, 1]])


def test_groups_and_times_have_their_own_means():
    law, n = circuit(), 60
    x = normal(n, 3, seed=1).abs() + 0.1
    times = torch.arange(n, dtype=D) % 2
    groups = torch.arange(n) % 3 - 1
    found = slopes_by_group(law, x, times, groups, GeneSlopes(torch.eye(3, dtype=D), None, 2))
    every = jacobian(law, 0.0, x)
    assert set(zip(found.group, found.time, strict=True)) == {(0, 0), (0, 1), (1, 0), (1, 1)}
    for g, t, mean, n_cells, pairs in zip(
        found.group, found.time, found.means, found.n_cells, found.moments, strict=True
    ):
        here = every[(groups == g) & (times == t)]
        assert n_cells == len(here) == pairs.n
        torch.testing.assert_close(mean, here.mean(0))
        values = here[:, pairs.pairs[:, 0], pairs.pairs[:, 1]]
        torch.testing.assert_close(pairs.mean, values.mean(0))
        torch.testing.assert_close(pairs.spread, values.std(0, correction=0))
        agrees = (values.sign() == values.mean(0).sign()).to(D).mean(0)
        torch.testing.assert_close(pairs.agreement, agrees)
    torch.testing.assert_close(found.divergence, every.diagonal(dim1=1, dim2=2).sum(1))
    torch.testing.assert_close(found.instability, torch.linalg.eigvals(every).real.amax(1))


def test_a_derivative_that_is_not_finite_is_refused():
    class Root:
        def drift(self, t, x):
            return x.abs().sqrt()

        def diffusion(self, t, x):
            return torch.ones_like(x)

    x = torch.zeros(3, 1, dtype=D)
    with pytest.raises(ValueError, match="not finite for 3 of 3 cells at time 0"):
        Slopes(Root(), "torch", torch.ones(1, dtype=D))(0.0, x)
