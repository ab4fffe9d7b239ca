"""What every solver must satisfy. To add one: a line in ``SOLVERS``."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from analytic import OrnsteinUhlenbeck, normal

from celltraj.models import (
    AdaptiveHeun,
    Brownian,
    DormandPrince,
    EulerMaruyama,
    ExponentialEuler,
    ExponentialMidpoint,
    Heun,
    Midpoint,
    PredictorCorrector,
    SdeSolver,
    fit_bridge,
    simulate,
)
from celltraj.models import OrnsteinUhlenbeck as Pull
from celltraj.ot import Sinkhorn
from celltraj.snapshots import Snapshots

TWO = torch.tensor([[-1.0], [1.0]]).double()  # cells of a snapshot, far from each other


def pull(rate, d=1):
    return Pull(matrix=-rate * torch.eye(d), shift=torch.zeros(d), sigma=1.0)


@dataclass(frozen=True)
class Entry:
    """A solver by its number of steps, its orders, and its evaluations per step."""

    make: object
    order: int
    per_step: int


# exponential solvers know half of the pull of a test problem of one variable: the rest is stepped
SOLVERS = {
    "midpoint": Entry(Midpoint, 2, 2),
    "Euler-Maruyama": Entry(EulerMaruyama, 1, 1),
    "Heun": Entry(Heun, 2, 2),
    "exponential Euler": Entry(lambda n: ExponentialEuler(pull(0.5), n), 1, 1),
    "exponential midpoint": Entry(lambda n: ExponentialMidpoint(pull(0.5), n), 2, 2),
    "predictor-corrector": Entry(PredictorCorrector, 2, 2),
}
ADAPTIVE = {
    "Dormand-Prince": lambda: DormandPrince(1e-8, 1e-10),
    "adaptive Heun": lambda: AdaptiveHeun(3e-3, 3e-3),
}
EVERY = [*SOLVERS, *ADAPTIVE]
sdes = pytest.mark.parametrize("name", SOLVERS)
all_solvers = pytest.mark.parametrize("name", EVERY)


def make(name, n_steps=50):
    return SOLVERS[name].make(n_steps) if name in SOLVERS else ADAPTIVE[name]()


# another seed than that of the states: a generator draws the same numbers as noise
def run(process, x0, times, name, n_steps=50, *, seed=1, ode=False):
    generator = torch.Generator().manual_seed(seed)
    solver = make(name, n_steps)
    return simulate(process, x0, times, solver=solver, ode=ode, generator=generator)


class Ode:
    """A process without noise, whose score of zero leaves nothing to correct."""

    breakpoints = ()

    def drift(self, t, x):
        raise NotImplementedError

    def diffusion(self, t, x):
        return torch.zeros_like(x)

    def score(self, t, x):
        return torch.zeros_like(x)


class Turning(Ode):
    """Rate 1 until time 1, then -3: exact for any step that does not cross the turn."""

    breakpoints = (0.0, 1.0, 4.0)

    def __init__(self):
        self.asked = []

    def drift(self, t, x):
        self.asked.append(t)
        return torch.full_like(x, 1.0 if t < 1 else -3.0)


@all_solvers
@pytest.mark.parametrize("ode", [False, True])
@pytest.mark.parametrize("order", [1, -1])
def test_every_time_and_every_breakpoint_is_stepped_onto(name, ode, order):
    times, exact = (0.0, 0.3, 1.0, 1.5, 2.5)[::order], (0.0, 0.3, 1.0, -0.5, -3.5)[::order]
    process, solver = Turning(), make(name, 3)
    if hasattr(solver, "reference"):
        solver = type(solver)(Brownian(1.0), 3)
    x0 = torch.full((2, 1), exact[0], dtype=torch.float64)
    path = simulate(process, x0, times, solver=solver, ode=ode, generator=torch.Generator())
    assert path.times == times
    torch.testing.assert_close(path.x[:, 0, 0], torch.tensor(exact).double())
    # one-sided: never at a breakpoint, nor beyond the first and the last time
    assert not set(process.asked) & {0.0, 1.0, 2.5}
    assert min(process.asked) > 0
    assert max(process.asked) < 2.5


@all_solvers
@pytest.mark.parametrize("order", [1, -1])
def test_a_bridge_arrives_at_its_snapshots(name, order):
    times = (0.0, 1.0, 3.0)[::order]
    bridge = fit_bridge(
        Snapshots((0, 1, 3), (TWO, TWO + 1, TWO - 1)),
        Brownian(0.3),
        coupling=Sinkhorn(),
        training=None,
        generator=torch.Generator(),
        progress=False,
    )
    x0 = bridge.snapshots.x[0 if order == 1 else 2].repeat_interleave(20, 0)
    path = run(bridge, x0, times, name, 20, ode=name == "Dormand-Prince")
    for t, x in zip(times, path.x, strict=True):
        cells = bridge.snapshots.x[bridge.snapshots.times.index(t)]
        # within four widths of the noise of the last, shortest step, a 400th of its gap
        assert (torch.cdist(x, cells).amin(1) < 4 * 0.3 * (2 / 400) ** 0.5).all()


class Swing(Ode):
    """``x' = cos(t) x``, whose solution is ``exp(sin t)``."""

    def drift(self, t, x):
        return math.cos(t) * x


@sdes
@pytest.mark.parametrize("ode", [False, True])
def test_order_of_convergence(name, ode):
    x0, steps = torch.ones(1, 1, dtype=torch.float64), np.array([20, 40, 80, 160])
    ends = [float(run(Swing(), x0, (0.0, 2.0), name, int(n), ode=ode).x[-1]) for n in steps]
    errors = np.abs(np.array(ends) - math.exp(math.sin(2.0)))
    fitted = -np.polyfit(np.log(steps), np.log(errors), 1)[0]
    assert fitted == pytest.approx(SOLVERS[name].order, abs=0.15)


def test_the_adaptive_solver_keeps_its_tolerance():
    x0, exact = torch.ones(1, 1, dtype=torch.float64), math.exp(math.sin(2.0))
    costs = []
    for rtol in (1e-3, 1e-6, 1e-9):
        path = simulate(
            Swing(),
            x0,
            (0.0, 2.0),
            solver=DormandPrince(rtol, rtol),
            generator=torch.Generator(),
        )
        assert abs(float(path.x[-1]) - exact) < 10 * rtol
        costs.append(path.n_evaluations)
    assert costs[0] < costs[1] < costs[2]


@dataclass(frozen=True)
class Relaxing(Ode):
    """``dX = -X dt + dW``; no score is given, so that nothing is corrected."""

    def drift(self, t, x):
        return -x

    def diffusion(self, t, x):
        return torch.ones_like(x)


@sdes
def test_weak_order_of_the_variance(name):
    # the error of the exponential midpoint is so small that only its longest steps show it
    n, steps = (2_000_000, (1, 2)) if name == "exponential midpoint" else (1_000_000, (2, 4))
    x0, exact = torch.ones(n, 1, dtype=torch.float64), (1 - math.exp(-2)) / 2
    ends = [run(Relaxing(), x0, (0.0, 1.0), name, k).x[-1] for k in steps]
    errors = [abs(float(x.var()) - exact) for x in ends]
    fitted = math.log2(errors[0] / errors[1])
    # of a Gaussian variance, relative to the error that is measured; the two are independent
    standard = exact * (2 / n) ** 0.5
    noise = sum((standard / e) ** 2 for e in errors) ** 0.5 / math.log(2)
    assert 4 * noise < 0.7  # tells first from second order
    # unequal steps, of which the first are most of the way
    assert fitted > SOLVERS[name].order - 0.2 - 4 * noise


@pytest.mark.parametrize("name", [*SOLVERS, "adaptive Heun"])
def test_noise_that_depends_on_the_state_is_ito(name):
    if "exponential" in name:
        pytest.skip("needs a constant diffusion")

    class Multiplicative(Ode):
        def drift(self, t, x):
            return torch.zeros_like(x)

        def diffusion(self, t, x):
            return 0.5 * x

    n = 20_000
    end = run(Multiplicative(), torch.ones(n, 1).double(), (0.0, 1.0), name).x[-1]
    # Var X = exp(1/4) - 1; Stratonovich's mean would be exp(1/8)
    assert abs(float(end.mean()) - 1) < 4 * (math.exp(0.25) - 1) ** 0.5 / n**0.5


@pytest.mark.parametrize("name", [*SOLVERS, "adaptive Heun"])
@pytest.mark.parametrize("ode", [False, True])
@pytest.mark.parametrize("times", [(0.0, 0.5, 1.0), (1.0, 0.5, 0.0)])
def test_a_stationary_law_stays(name, times, ode):
    n = 20_000
    for x in run(OrnsteinUhlenbeck(), normal(n, 1, seed=0), times, name, 100, ode=ode).x:
        assert abs(float(x.mean())) < 4 / n**0.5
        # four standard errors, of which a first-order method and a Langevin step take one
        assert abs(float(x.var()) - 1) < 4 * (2 / n) ** 0.5


def test_corrections_lead_back_to_the_marginal():
    n = 20_000
    wide = 2 * normal(n, 1, seed=0)
    # the probability flow of a stationary law stands still, so that all change is a correction
    options = {"ode": True, "generator": torch.Generator().manual_seed(1)}
    corrected = PredictorCorrector(100, n_corrections=2, step=0.15)
    end = simulate(OrnsteinUhlenbeck(), wide, (0.0, 1.0), solver=corrected, **options).x[-1]
    # e = 2 step^2 a step; a Langevin step of Gaussian has variance 1 / (1 - e / 2)
    assert float(end.var()) == pytest.approx(1 / (1 - 0.15**2), abs=4 * (2 / n) ** 0.5)
    uncorrected = PredictorCorrector(10, n_corrections=0)
    end = simulate(OrnsteinUhlenbeck(), wide, (0.0, 1.0), solver=uncorrected, **options).x[-1]
    torch.testing.assert_close(end, wide)


@pytest.mark.parametrize("name", [*SOLVERS, "adaptive Heun"])
def test_seeds_repeat_and_leave_the_global_state(name):
    before, x0 = torch.get_rng_state(), normal(5, 1, seed=0)
    one, again, other = (
        run(OrnsteinUhlenbeck(), x0, (0.0, 1.0), name, 5, seed=s).x for s in (1, 1, 2)
    )
    torch.testing.assert_close(one, again, rtol=0, atol=0)
    assert not torch.equal(one, other)
    assert torch.equal(torch.get_rng_state(), before)


class Counting(OrnsteinUhlenbeck):
    """Count the evaluations of the drift."""

    n_calls = 0

    def drift(self, t, x):
        Counting.n_calls += 1
        return super().drift(t, x)


@all_solvers
@pytest.mark.parametrize("ode", [False, True])
def test_evaluations_are_counted(name, ode):
    if name == "Dormand-Prince" and not ode:
        pytest.skip("integrates ODEs")
    Counting.n_calls = 0
    path = run(Counting(), normal(3, 1, seed=0), (0.0, 0.3, 1.0), name, 10, ode=ode)
    assert path.n_evaluations == Counting.n_calls > 0
    if name in SOLVERS:
        assert path.n_evaluations == 11 * SOLVERS[name].per_step  # 10 steps, one cut at 0.3


class Growing(OrnsteinUhlenbeck):
    """Grow at a constant rate."""

    def growth(self, t, x):
        return torch.full_like(x[:, 0], 0.7)


@all_solvers
@pytest.mark.parametrize("ode", [False, True])
def test_mass_is_integrated_beside_the_states(name, ode):
    if name == "Dormand-Prince" and not ode:
        pytest.skip("integrates ODEs")
    path = run(Growing(), normal(3, 1, seed=0), (1.0, 0.3, 0.0), name, 10, ode=ode)
    expected = torch.tensor([0.0, -0.49, -0.7]).double()[:, None].expand(3, 3)
    torch.testing.assert_close(path.log_mass, expected)
    assert path.x.shape == (3, 3, 1)


@all_solvers
def test_a_solver_is_one(name):
    assert isinstance(make(name), SdeSolver)
    assert make(name, 7) == make(name, 7) or "exponential" in name  # a reference holds tensors


@pytest.mark.parametrize(
    ("solver", "message"),
    [
        (lambda: Midpoint(0), "n_steps must be a whole number of at least 1; found 0"),
        (lambda: EulerMaruyama(-1), "n_steps must be a whole number of at least 1; found -1"),
        (lambda: Heun(0), "n_steps must be a whole number"),
        (lambda: ExponentialEuler(pull(1.0), 0), "n_steps must be a whole number"),
        (lambda: ExponentialMidpoint(pull(1.0), 0), "n_steps must be a whole number"),
        (lambda: PredictorCorrector(0), "n_steps must be a whole number"),
        (lambda: PredictorCorrector(n_corrections=-1), "n_corrections must be a whole number"),
        (lambda: PredictorCorrector(step=0.0), "step must be positive and finite; found 0.0"),
        (lambda: DormandPrince(rtol=0.0), "rtol must be positive"),
        (lambda: DormandPrince(atol=math.nan), "atol must be finite"),
        (lambda: AdaptiveHeun(rtol=0.0), "rtol must be positive"),
        (lambda: AdaptiveHeun(max_halvings=1), "max_halvings must be a whole number of at least 2"),
    ],
)
def test_options_are_checked(solver, message):
    with pytest.raises(ValueError, match=message):
        solver()


class Uneven(OrnsteinUhlenbeck):
    def diffusion(self, t, x):
        return x.abs() + 1


@pytest.mark.parametrize(
    ("process", "solver", "message"),
    [
        (OrnsteinUhlenbeck(), DormandPrince(), "pass ode=True for the probability flow, noise=0.0"),
        (Uneven(), ExponentialEuler(pull(1.0)), "a diffusion that is the same for all variables"),
        (Uneven(), ExponentialMidpoint(pull(1.0)), "Choose another solver="),
        (OrnsteinUhlenbeck(), ExponentialEuler(pull(1.0, d=2)), "has 2 variables, the states"),
    ],
)
def test_equations_that_do_not_suit(process, solver, message):
    with pytest.raises(ValueError, match=message):
        simulate(process, torch.ones(3, 1), (0.0, 1.0), solver=solver, generator=torch.Generator())


def test_what_is_no_solver():
    x0 = torch.ones(3, 1)
    with pytest.raises(TypeError, match=r"pass an instance, Midpoint\(...\), in place of"):
        simulate(Brownian(1.0), x0, (0.0, 1.0), solver=Midpoint, generator=torch.Generator())
    with pytest.raises(TypeError, match="PredictorCorrector needs score"):
        simulate(
            Brownian(1.0), x0, (0.0, 1.0), solver=PredictorCorrector(), generator=torch.Generator()
        )
    with pytest.raises(TypeError, match=r"pass an instance, OrnsteinUhlenbeck\(...\), in place"):
        ExponentialEuler(OrnsteinUhlenbeck)


@pytest.mark.parametrize("h", [1.3, -0.4])
def test_a_stiff_propagator_is_exact(h):
    from celltraj.models.solvers._exponential import propagator

    # a pull of a thousand beside one of a tenth, and a shear between them
    matrix = torch.tensor([[-1000.0, 3.0], [0.0, -0.1]]).double()
    if h < 0:
        matrix = -matrix
    found = propagator(matrix, h)
    identity = torch.eye(2, dtype=torch.float64)
    torch.testing.assert_close(matrix @ found.integral, found.step - identity)
    covariance = found.noise @ found.noise
    # Lyapunov's equation of the covariance: A Q + Q A' = F F' - 1, of either sign of time
    sign = math.copysign(1.0, h)
    torch.testing.assert_close(
        sign * (matrix @ covariance + covariance @ matrix.T), found.step @ found.step.T - identity
    )
