"""Gradients through an adaptive ODE: against differences, backpropagation and in their memory."""

import math
import weakref
from itertools import pairwise

import pytest
import torch

from celltraj.models.networks import mlp
from celltraj.models.solvers.adjoint import AdjointOptions, _Back, _Call, integrate_with_gradient
from celltraj.models.solvers.ode import integrate

D = torch.float64


def network(d=3, width=16, seed=0):
    return mlp(d + 1, d, width=width, generator=torch.Generator().manual_seed(seed)).double()


def field(net):
    def velocity(t, x):
        return net(torch.cat([x, torch.full_like(x[:, :1], t)], 1)) - 0.3 * x

    return velocity


def normal(n, d=3, seed=1):
    return torch.randn(n, d, dtype=D, generator=torch.Generator().manual_seed(seed))


def gradients(end_of, x0, parameters):
    point = x0.clone().requires_grad_()
    weights = normal(*x0.shape, seed=9)
    return torch.autograd.grad((weights * end_of(point)).sum(), (point, *parameters))


@pytest.mark.parametrize("times", [(0.0, 2.0), (2.0, -1.0)])
def test_the_end_is_that_of_an_independent_solver(times):
    net, x0 = network(), normal(5)
    with torch.no_grad():
        expected = integrate(field(net), x0, times, rtol=1e-9, atol=1e-11).x[-1]
    options = AdjointOptions(rtol=1e-8, atol=1e-10)
    end = integrate_with_gradient(field(net), x0, times, list(net.parameters()), options)
    torch.testing.assert_close(end, expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("n_kept", [1, 2, 5, 100])
def test_the_gradient_is_that_of_backpropagation_through_the_steps(n_kept):
    net, x0, times = network(), normal(5), (0.0, 8.0)
    parameters, options = list(net.parameters()), AdjointOptions(1e-9, 1e-11, n_kept=n_kept)
    call = _Call(field(net), times, options)
    with torch.no_grad():
        _, grid = call.walk(x0)
    assert len(grid) > 10

    def through(x):
        for start, stop in pairwise(grid):
            x = call.moved(start, stop, x)
        return x

    adjoint = gradients(
        lambda x: integrate_with_gradient(field(net), x, times, parameters, options),
        x0,
        parameters,
    )
    for one, other in zip(adjoint, gradients(through, x0, parameters), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-12)


def test_the_gradient_is_that_of_differences_of_another_solver():
    net, x0, times = network(), normal(4), (0.0, 1.5)
    parameters, weights = list(net.parameters()), normal(4, 3, seed=9)
    options = AdjointOptions(1e-9, 1e-11)
    found = gradients(
        lambda x: integrate_with_gradient(field(net), x, times, parameters, options),
        x0,
        parameters,
    )

    def loss():
        with torch.no_grad():
            return float(
                (weights * integrate(field(net), x0, times, rtol=1e-11, atol=1e-13).x[-1]).sum()
            )

    for p, slope in zip(parameters, found[1:], strict=True):
        at, h = slope.abs().argmax(), 1e-5
        with torch.no_grad():
            p.view(-1)[at] += h
            ahead = loss()
            p.view(-1)[at] -= 2 * h
            behind = loss()
            p.view(-1)[at] += h
        assert float(slope.reshape(-1)[at]) == pytest.approx((ahead - behind) / (2 * h), rel=1e-5)


def test_torch_agrees_by_its_own_check():
    rate = torch.tensor([0.7, -0.2], dtype=D, requires_grad=True)

    def end(x, r):
        return integrate_with_gradient(lambda t, y: math.cos(t) * r * y, x, (0.0, 2.0), [r])

    x0 = normal(2, 2).requires_grad_()
    torch.testing.assert_close(
        end(x0, rate), x0 * torch.exp(rate * math.sin(2.0)), rtol=1e-4, atol=1e-6
    )
    assert torch.autograd.gradcheck(end, (x0, rate), eps=1e-5, atol=1e-3, rtol=1e-3)


class Live:
    """Count the bytes that are saved for backward and still alive, and the most of them."""

    def __init__(self):
        self.now = self.most = 0

    def pack(self, x):
        box = _Box(x)
        size = x.untyped_storage().nbytes()
        self.now += size
        self.most = max(self.most, self.now)
        weakref.finalize(box, self._freed, size)
        return box

    def _freed(self, size):
        self.now -= size


class _Box:
    def __init__(self, x):
        self.x = x


def saved(rate, n_kept=8):
    """Return how many steps are taken, and the most bytes that are saved for backward."""
    weight = torch.ones(1, dtype=D, requires_grad=True)
    x0 = torch.ones(1000, 1, dtype=D, requires_grad=True)

    def velocity(t, x):
        return math.cos(rate * t) * rate * weight * x.tanh()

    live, options = Live(), AdjointOptions(1e-6, 1e-8, n_kept=n_kept)
    with torch.no_grad():
        n = len(_Call(velocity, (0.0, 1.0), options).walk(x0)[1]) - 1
    with torch.autograd.graph.saved_tensors_hooks(live.pack, lambda box: box.x):
        end = integrate_with_gradient(velocity, x0, (0.0, 1.0), [weight], options)
        after_forward = live.now
        end.sum().backward()
    return n, after_forward, live.most


def test_memory_does_not_grow_with_the_steps():
    few, many = saved(5.0), saved(90.0)
    assert few[0] < 25
    assert many[0] > 200
    assert many[1] == few[1]  # what waits for the gradient: the start and the parameters
    assert many[2] <= 1.05 * few[2]  # and while it is led back: the graph of one step
    # of the states themselves no more than n_kept are alive, whatever the steps
    assert _peak_states(250, 8) <= 10
    assert _peak_states(25, 8) <= 10


def _peak_states(n_steps, n_kept):
    """Return the most states that are kept at a time while a gradient is led back."""
    depths = []

    class Watched(_Back):
        depth, calls = 0, 0

        def over(self, *arguments):
            self.depth += 1
            depths.append(self.depth)
            found = super().over(*arguments)
            self.depth -= 1
            return found

        def _step(self, k, x, slope):
            Watched.calls += 1
            return slope

    class Counted(_Call):
        n = 0

        def moved(self, start, stop, x):
            Counted.n += 1
            return x

    call = Counted(lambda t, x: x, (0.0, 1.0), AdjointOptions())
    back = Watched(call, [float(k) for k in range(n_steps + 1)], [])
    x = torch.zeros(1)
    back.over(0, n_steps, x, x, n_kept)
    assert Watched.calls == n_steps
    assert Counted.n < 5 * n_steps  # how often steps are run again
    return max(depths)


def test_breakpoints_are_stepped_onto():
    def velocity(t, x):
        return torch.full_like(x, 1.0 if t < 1 else -3.0)

    x0 = torch.zeros(1, 1, dtype=D)
    end = integrate_with_gradient(velocity, x0, (0.0, 2.0), [], breakpoints=(1.0,))
    assert float(end) == pytest.approx(-2.0, abs=1e-9)


def test_what_cannot_be_integrated():
    x0 = torch.ones(1, 1, dtype=D)
    with pytest.raises(ValueError, match="found 1 twice"):
        integrate_with_gradient(lambda t, x: x, x0, (1.0, 1.0), [])
    with pytest.raises(ValueError, match="took 5 steps until"):
        integrate_with_gradient(lambda t, x: -x, x0, (0.0, 1e3), [], AdjointOptions(max_steps=5))
    with pytest.raises(ValueError, match=r"could not be integrated|steps until"):
        integrate_with_gradient(lambda t, x: x**2, x0, (0.0, 2.0), [])
    with pytest.raises(ValueError, match="n_kept"):
        AdjointOptions(n_kept=0)
