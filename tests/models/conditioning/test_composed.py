"""Composed laws: mixtures whose product is known, powers, averages, and refusals."""

import math
import warnings

import anndata as ad
import numpy as np
import ot as pot
import pandas as pd
import pytest
import torch

import celltraj as ct
from celltraj.models import Brownian, Composed, add_moves, condition, simulate

WIDTH = 0.3
MEANS = torch.tensor([[-1.0, 0.0], [1.0, 0.0]], dtype=torch.float64)
SHIFT = torch.tensor([0.0, 1.0], dtype=torch.float64)
STAY, DIE = torch.zeros(2, dtype=torch.float64), torch.tensor([2.0, 0.0], dtype=torch.float64)


class States:
    """Two states of cells that shift, or of which one dies: velocity, score and growth are known.

    A Gaussian each, at ``m_k + c t``, with the mass ``exp(-r_k t) / 2``.
    """

    def __init__(self, speed=None, death=STAY):
        self.speed = torch.zeros(2, dtype=torch.float64) if speed is None else speed
        self.death = death

    def _shares(self, t, x):
        away = x[:, None] - MEANS - self.speed * t
        return torch.softmax(-away.square().sum(2) / (2 * WIDTH**2) - self.death * t, 1), away

    def drift(self, t, x):
        return self.speed.expand_as(x)

    def diffusion(self, t, x):
        return torch.zeros_like(x)

    def score(self, t, x):
        shares, away = self._shares(t, x)
        return -(shares[..., None] * away).sum(1) / WIDTH**2

    def growth(self, t, x):
        return -self._shares(t, x)[0] @ self.death

    def draw(self, t, n, generator):
        mass = torch.exp(-self.death * t)
        state = torch.multinomial(mass, n, replacement=True, generator=generator)
        noise = torch.randn(n, 2, generator=generator).double()
        return MEANS[state] + self.speed * t + WIDTH * noise


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def w1(a, b, weights=None):
    """Return W1 by POT."""
    share = torch.full((len(a),), 1 / len(a)).double() if weights is None else weights
    target = torch.full((len(b),), 1 / len(b)).double()
    plan_cost = pot.emd2(share.numpy(), target.numpy(), torch.cdist(a, b).numpy(), numItermax=10**6)
    return float(plan_cost)


def test_a_drug_that_kills_and_one_that_shifts_do_both():
    kills, shifts, control = States(death=DIE), States(SHIFT), States()
    both = Composed({kills: 1, shifts: 1, control: -1}, noise=0.3)
    g, n = seeded(), 600
    x0 = control.draw(0.0, n, g)
    found = condition(both, x0, (0.0, 1.0), reward=None, generator=g)
    # half of the cells die at the rate 2, and cells of the start are half and half to 2 %
    assert found.log_total == pytest.approx(math.log((1 + math.exp(-2)) / 2), abs=0.08)
    truth = States(SHIFT, DIE)
    true, again = (truth.draw(1.0, n, g) for _ in range(2))
    floor = w1(again, true)
    ends = [one.draw(1.0, n, g).mean(0) - x0.mean(0) for one in (kills, shifts)]
    added = w1(x0 + ends[0] + ends[1], true)
    composed = w1(found.paths.x[-1], true, found.paths.weights)
    assert composed - floor < (added - floor) / 10
    unweighted = simulate(both, x0, (0.0, 1.0), generator=g)
    assert w1(unweighted.x[-1], true) > 0.8 * added
    # the weights are the growth that simulate gathers
    mass = torch.softmax(unweighted.log_mass[-1], 0)
    assert w1(unweighted.x[-1], true, mass) - floor < (added - floor) / 5


def test_moves_of_cells_add_and_survivals_multiply():
    first, second = States(SHIFT, DIE), States(2 * SHIFT, 0.5 * DIE)
    x0 = States().draw(0.0, 300, seeded())
    path = add_moves([(first, 1), (second, 1)], x0, (0.0, 1.0), generator=seeded())
    torch.testing.assert_close(path.x[-1], x0 + 3 * SHIFT)
    left = [simulate(one, x0, (0.0, 1.0), generator=seeded()).log_mass for one in (first, second)]
    torch.testing.assert_close(path.log_mass, left[0] + left[1])
    # of the first state e^-3 is left
    dying = (path.log_mass[-1] < -1.5).double()
    assert float(dying.mean()) == pytest.approx(0.5, abs=0.1)
    assert float((dying * path.log_mass[-1]).sum() / dying.sum()) == pytest.approx(-3, abs=0.05)
    with pytest.raises(ValueError, match="names no model"):
        add_moves({}, x0, (0.0, 1.0), generator=seeded())
    with pytest.raises(TypeError, match="Brownian has no score"):
        add_moves({Brownian(1.0): 1}, x0, (0.0, 1.0), generator=seeded())


class Widening:
    """A normal law around zero whose width grows as ``1 + t``, carried by its probability flow."""

    def drift(self, t, x):
        return x / (1 + t)

    def diffusion(self, t, x):
        return torch.zeros_like(x)

    def score(self, t, x):
        return -x / (1 + t) ** 2


@pytest.mark.parametrize("power", [0.8, 2.0])
@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_a_power_of_a_normal_law_is_a_normal_law(power, noise):
    law = Composed({Widening(): power}, noise=noise)
    n = 4000
    x0 = torch.randn(n, 1, generator=seeded()).double() / power**0.5
    path = simulate(law, x0, (0.0, 1.0), generator=seeded(1))
    shares = torch.softmax(path.log_mass[-1], 0)
    variance = float(shares @ path.x[-1, :, 0].square())
    effective = float(1 / shares.square().sum())
    assert variance == pytest.approx(4 / power, rel=5 * (2 / effective) ** 0.5)


def test_an_average_of_one_law_with_itself_is_that_law():
    law = States(SHIFT, DIE)
    twice = Composed([(law, 0.3), (law, 0.7)], noise=0.2)
    x = torch.randn(5, 2, generator=seeded()).double()
    torch.testing.assert_close(twice.score(0.4, x), law.score(0.4, x))
    torch.testing.assert_close(twice.growth(0.4, x), law.growth(0.4, x))
    flow = law.drift(0.4, x) + 0.02 * law.score(0.4, x)
    torch.testing.assert_close(twice.drift(0.4, x), flow)
    torch.testing.assert_close(twice.diffusion(0.4, x), torch.full_like(x, 0.2))


def two_snapshots(dim):
    """Return cells of two times."""
    x = np.random.default_rng(0).normal(size=(80, dim)).astype("float32")
    obs = pd.DataFrame({"time": np.repeat([0.0, 1.0], 40)}, index=[f"c{k}" for k in range(80)])
    return ad.AnnData(x, obs=obs)


def fitted(dim, interpolant):
    training = ct.models.Training(max_steps=5, width=8)
    call = {"growth": None, "sigma": 0.3, "training": training, "progress": False}
    if isinstance(interpolant, ct.models.LinearInterpolant):
        call["sigma"] = None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ct.DataWarning)  # two small snapshots, five steps
        return ct.tl.fit_flow(two_snapshots(dim), interpolant=interpolant, **call)


@pytest.fixture(scope="module")
def flow():
    return fitted(2, ct.models.BrownianBridgeInterpolant())


def test_a_flow_says_what_lies_outside_of_its_box(flow):
    x = torch.tensor([[0.1, 0.0], [1e3, 0.0]], dtype=torch.float64)
    both = Composed({flow: 1, States(): 0.5})
    assert both.outside(0.5, x).tolist() == [False, True]
    assert both.dim == 2
    assert both.breakpoints == flow.times
    # beyond its box a flow has the score of its edge
    far = torch.tensor([[2e3, 0.0]], dtype=torch.float64)
    torch.testing.assert_close(flow.score(0.5, x[1:]), flow.score(0.5, far))


def test_what_cannot_be_composed_is_refused(flow):
    with pytest.raises(TypeError, match=r"Brownian has no score\(t, x\)"):
        Composed({Brownian(1.0): 1})
    with pytest.raises(TypeError, match="must hold fitted models"):
        Composed([("flow", 1)])
    with pytest.raises(ValueError, match="names no model"):
        Composed({})
    with pytest.raises(ValueError, match="power of a States must be finite"):
        Composed({States(): math.nan})
    with pytest.raises(ValueError, match="noise must not be negative"):
        Composed({States(): 1}, noise=-1.0)
    three = fitted(3, ct.models.BrownianBridgeInterpolant())
    with pytest.raises(ValueError, match=r"models of \['2', '3'\] variables"):
        Composed([(flow, 1), (three, 1)])
    with pytest.raises(ValueError, match="no score was learned"):
        Composed({fitted(2, ct.models.LinearInterpolant()): 1})
