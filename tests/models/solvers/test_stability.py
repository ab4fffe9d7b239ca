"""Explosions that are finite, laws that really grow, and the solver that is taken by itself."""

import logging
from dataclasses import dataclass

import pytest
import torch
from analytic import normal

from celltraj.models import (
    Brownian,
    DormandPrince,
    EulerMaruyama,
    ExponentialMidpoint,
    Heun,
    Midpoint,
    OrnsteinUhlenbeck,
    PredictorCorrector,
    fit_bridge,
    simulate,
)
from celltraj.models.references.gaussian_law import flow_of
from celltraj.ot import Sinkhorn
from celltraj.snapshots import Snapshots


def pull(rate, sigma=0.5, d=2):
    return OrnsteinUhlenbeck(matrix=-rate * torch.eye(d), shift=torch.zeros(d), sigma=sigma)


def run(process, times=(0.0, 3.0, 6.0), n=200, d=2, **options):
    generator = torch.Generator().manual_seed(1)
    return simulate(process, normal(n, d, seed=0), times, generator=generator, **options)


@dataclass(frozen=True)
class Scored(OrnsteinUhlenbeck):
    """An affine law with a score of zero, which PredictorCorrector asks for."""

    def score(self, t, x):
        return torch.zeros_like(x)


@pytest.mark.parametrize(
    "solver", [Midpoint(50), Heun(50), EulerMaruyama(50), PredictorCorrector(50), Midpoint(10)]
)
def test_a_stiff_law_in_long_steps_is_refused(solver):
    law = Scored(matrix=-60.0 * torch.eye(2), shift=torch.zeros(2), sigma=0.5)
    with pytest.raises(
        ValueError, match=r"by time 3, .*stiff.*raise n_steps .*ExponentialMidpoint"
    ):
        run(law, solver=solver)


def test_an_explosion_that_has_hardly_begun_is_refused():
    # |1 - 3 + 3^2 / 2|^10 = 9,500 times too wide, and within a thousand widths in one variable
    with pytest.raises(ValueError, match="leads elsewhere than steps half as long"):
        run(pull(5.0), solver=Midpoint(10))


def test_the_steps_that_the_message_asks_for_are_enough():
    with pytest.raises(ValueError, match="to about") as error:
        run(pull(60.0), solver=Midpoint(50))
    n = int(str(error.value).split("to about ")[1].split(";")[0])
    x = run(pull(60.0), solver=Midpoint(n), n=2_000).x[-1]
    assert n < 3_000
    # stationary variance sigma^2 / 2 rate, four standard errors and 5 % of the steps
    assert float(x.var()) == pytest.approx(0.25 / 120, rel=4 * (2 / 4_000) ** 0.5 + 0.05)


class Cubic(Brownian):
    """A pull by the third power: steps that are short near the centre explode far away."""

    def drift(self, t, x):
        return -x.pow(3)


def test_a_law_that_is_stiff_only_far_away():
    with pytest.raises(ValueError, match=r"non-finite by time|leads elsewhere"):
        simulate(
            Cubic(0.5), 8 * normal(200, 1, seed=0), (0.0, 1.0, 2.0), generator=torch.Generator()
        )
    run(Cubic(0.5), (0.0, 2.0), d=1)


@pytest.mark.parametrize("solver", [None, Midpoint(50), Heun(50)])
def test_a_law_that_grows_is_followed_and_said(solver, caplog):
    growing = pull(-1.0)
    with caplog.at_level(logging.WARNING, "celltraj"):
        path = run(growing, (0.0, 4.0, 8.0), solver=solver)
    # 3,000 times wider by e^8: within the widths that its first motion promises
    assert not caplog.records
    assert float(path.x[-1].std()) == pytest.approx(2_981 * 1.06, rel=0.3)
    with caplog.at_level(logging.WARNING, "celltraj"):
        path = run(growing, (0.0, 6.0, 12.0), solver=solver)
    assert "the law leads there" in caplog.text
    exact = 1 + 0.125  # variance of the start and of the noise, in units of e^24
    assert float(path.x[-1].var() / 2.718281828**24) == pytest.approx(exact, rel=0.5)


def test_growth_in_steps_too_long_for_it_is_refused():
    with pytest.raises(ValueError, match="leads elsewhere"):
        run(pull(-1.0), (0.0, 12.0), solver=Midpoint(20))


def test_a_stiff_affine_law_takes_the_exponential_solver_by_itself():
    path = run(pull(60.0), n=4_000)
    assert path.solver == ExponentialMidpoint(path.solver.reference, 50)
    assert float(path.x[-1].var()) == pytest.approx(0.25 / 120, rel=4 * (2 / 8_000) ** 0.5)
    for mild in (pull(0.1), Brownian(1.0)):
        assert run(mild).solver == Midpoint()
    assert run(pull(60.0), n_steps=5_000, times=(0.0, 0.1)).solver == Midpoint(5_000)


class Uneven(OrnsteinUhlenbeck):
    def diffusion(self, t, x):
        return 0.1 * x


def test_not_where_its_noise_is_another():
    law = Uneven(matrix=-5 * torch.eye(2), shift=torch.zeros(2), sigma=0.5)
    assert run(law).solver == Midpoint()


def test_a_bridge_with_a_stiff_reference():
    clouds = (normal(60, 2, seed=0), 0.3 * normal(60, 2, seed=1), 0.3 * normal(60, 2, seed=2))
    bridge = fit_bridge(
        Snapshots((0, 1, 2), clouds),
        pull(20.0, sigma=2.0),
        coupling=Sinkhorn(),
        training=None,
        generator=torch.Generator(),
        progress=False,
    )
    x0 = bridge.snapshots.x[0]
    path = simulate(bridge, x0, (0.0, 1.0, 2.0, 8.0), generator=torch.Generator().manual_seed(0))
    assert isinstance(path.solver, ExponentialMidpoint)
    # a forecast is the stationary law, of variance 4 / 40
    assert float(path.x[-1].var()) == pytest.approx(0.1, rel=4 * (2 / 120) ** 0.5)
    back = simulate(bridge, bridge.snapshots.x[2], (2.0, 0.0), generator=torch.Generator())
    assert back.solver == Midpoint()


@pytest.mark.parametrize("rate", [5.0, 60.0, 1e4])
def test_the_law_of_a_stiff_pull_beside_a_slow_one(rate):
    # rates r and 1 along two oblique directions: variances (1 - e^-2rt) / 2r of each
    c, s = 0.6, 0.8
    turn = torch.tensor([[c, -s], [s, c]]).double()
    rates = torch.tensor([rate, 1.0]).double()
    law = OrnsteinUhlenbeck(
        matrix=-turn @ torch.diag(rates) @ turn.T, shift=torch.zeros(2), sigma=1.0
    )
    flow = flow_of(law, torch.ones(1, 2).double(), (0.0, 6.0))
    exact = turn @ torch.diag((1 - (-12 * rates).exp()) / (2 * rates)) @ turn.T
    torch.testing.assert_close(flow.covariance[-1, 0], exact, rtol=1e-6, atol=1e-7)


def test_what_cannot_be_compared_is_warned_of(caplog):
    def leap(equation, x0, times, *, generator, progress):
        equation.velocity(times[0], x0)
        return torch.stack([x0 * (1e9 if k else 1) for k in range(len(times))])

    with caplog.at_level(logging.WARNING, "celltraj"):
        run(pull(1.0), solver=leap)
    assert "widths of the data" in caplog.text
    with caplog.at_level(logging.WARNING, "celltraj"):
        caplog.clear()
        law = Scored(matrix=-60.0 * torch.eye(2), shift=torch.zeros(2), sigma=0.5)
        run(law, solver=DormandPrince(), ode=True, n=5)
    assert not caplog.records


@pytest.mark.parametrize("cells", [1, 5])
def test_float32_states_far_from_zero_move_as_those_near_it(cells):
    x0 = normal(cells, 2, seed=0).float()
    law = Brownian(1e-3)

    def ends(shift):
        return simulate(
            law, x0 + shift, (0.0, 1.0), generator=torch.Generator().manual_seed(0), n_steps=2_000
        ).x[-1]

    moved = ends(2.0**14) - 2.0**14
    # steps of 2e-5 are lost beside 1e4, whose last digit in float32 is 1e-3
    torch.testing.assert_close(moved.std(), ends(0.0).std(), rtol=0.1, atol=2e-3)


class PullOfEach:
    """A pull that each cell has for itself, and that no other cells can be asked for."""

    knows_rows = True

    def __init__(self, rates):
        self.rates = rates

    def drift(self, t, x):
        return -self.rates[:, None] * x

    def diffusion(self, t, x):
        return torch.zeros_like(x)


def test_a_law_that_knows_each_cell_is_watched_as_a_whole():
    x = torch.randn(100, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    solver = Midpoint(n_steps=10)
    law = PullOfEach(torch.full((100,), 60.0, dtype=torch.float64))
    with pytest.raises(ValueError, match="stiff"):
        simulate(law, x, (0.0, 3.0), solver=solver, generator=torch.Generator())
    law = PullOfEach(torch.linspace(0.1, 1.0, 100, dtype=torch.float64))
    fine = Midpoint(n_steps=100)
    end = simulate(law, x, (0.0, 3.0), solver=fine, generator=torch.Generator()).x[-1]
    torch.testing.assert_close(end, x * (-3 * law.rates).exp()[:, None], rtol=0.01, atol=1e-4)
