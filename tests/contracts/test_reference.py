"""What every reference family must satisfy. To add one: its class, known parameters, a start."""

import json
import math
from dataclasses import replace

import pytest
import torch
from analytic import normal
from notebook import Decay

from celltraj.models import (
    Affine,
    Brownian,
    CoxIngersollRoss,
    GeneRegulation,
    Geometric,
    KernelReference,
    LinearNoise,
    LotkaVolterra,
    Midpoint,
    ModuleReference,
    NeuralReference,
    OrnsteinUhlenbeck,
    Parametric,
    PotentialLandscape,
    Process,
    Reference,
    Repressilator,
    Simulator,
    Vortex,
    fit_bridge,
    simulate,
)
from celltraj.models._facts import Stored
from celltraj.models.references import PackedReference, pack_reference, unpack_reference
from celltraj.models.references.gaussian_law import flow_of, uniform_grid
from celltraj.models.references.paths import Paths
from celltraj.ot import solve
from celltraj.snapshots import Snapshots


class Spring(torch.nn.Module):
    """A user's module with two numbers and a clock."""

    def __init__(self, rate=0.7, push=0.3):
        super().__init__()
        self.rate = torch.nn.Parameter(torch.tensor(rate))
        self.push = torch.nn.Parameter(torch.tensor(push))

    def forward(self, t, x):
        return -self.rate * x + self.push * torch.cos(t)


def spring(parameters, x, start, stop):
    """Return where a spring ends, as a program of the user's would."""
    left = math.exp(-parameters["rate"] * (stop - start))
    return parameters["rest"] + (x - parameters["rest"]) * left


SPRING = Simulator(spring, {"rate": (0.0, 2.0), "rest": (-2.0, 4.0)}, step=1e-3, sigma=0.3)
CIRCUIT = GeneRegulation(half_level=torch.tensor([2.0, 2.0]), l1=0.0, ridge=0.0, sigma=0.1)
TURN = torch.tensor([[-0.3, -1.0], [0.8, -0.2]])
DIAGONAL = OrnsteinUhlenbeck(full=False, sigma=0.3, ridge=0.0)
# a member with known parameters, an unfitted one, and the dimension of the data
FAMILIES = {
    "Brownian": (Brownian(0.3), Brownian(0.3), 2),
    "OrnsteinUhlenbeck": (
        OrnsteinUhlenbeck(matrix=TURN, shift=torch.tensor([1.0, 0.5]), sigma=0.3),
        OrnsteinUhlenbeck(sigma=0.3, ridge=0.0),
        2,
    ),
    "diagonal OrnsteinUhlenbeck": (
        replace(DIAGONAL, matrix=torch.diag(torch.tensor([-0.5, -1.0])), shift=torch.ones(2)),
        DIAGONAL,
        2,
    ),
    "LotkaVolterra": (LotkaVolterra(1.0, 0.4, 0.4, 0.1, 0.1), LotkaVolterra(sigma=0.1), 2),
    "Repressilator": (Repressilator(10.0, 3.0, 1.0, 1.0, 0.1), Repressilator(sigma=0.1), 3),
    "Vortex": (Vortex(0.2, 2.0, 1.0, 1.5, 0.1, 0.0, 0.1), Vortex(sigma=0.1), 2),
    "PotentialLandscape": (None, PotentialLandscape(width=8, sigma=0.3, decay=1e-5), 2),
    "NeuralReference": (None, NeuralReference(width=8, sigma=0.3, decay=1e-5), 2),
    "KernelReference": (None, KernelReference(n_centres=30, sigma=0.3), 2),
    "GeneRegulation": (
        replace(
            CIRCUIT,
            production=torch.tensor([6.0, 4.0]),
            degradation=torch.tensor([0.8, 1.2]),
            bias=torch.tensor([1.5, -1.0]),
            weights=torch.tensor([[0.0, -4.0], [3.0, 0.0]]),
        ),
        CIRCUIT,
        2,
    ),
    "Geometric": (Geometric(torch.tensor([0.4, -0.3]), 0.1), Geometric(sigma=0.1), 2),
    "CoxIngersollRoss": (
        CoxIngersollRoss(torch.tensor([0.8, 1.2]), torch.tensor([3.0, 1.5]), 0.1),
        CoxIngersollRoss(sigma=0.1),
        2,
    ),
    "LinearNoise": (
        LinearNoise(LotkaVolterra(1.0, 0.4, 0.4, 0.1), sigma=0.1),
        LinearNoise(LotkaVolterra(), sigma=0.1),
        2,
    ),
    "Simulator": (replace(SPRING, parameters={"rate": 0.7, "rest": 1.0}), SPRING, 2),
    "user's class": (Decay(0.6, 1.0, 0.3), Decay(sigma=0.3), 2),
    "user's module": (
        ModuleReference(Spring(), sigma=0.3),
        ModuleReference(Spring(0.1, 0.0), sigma=0.3),
        2,
    ),
}
N_PATHS, N_STEPS = 400, 40


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def cells(n, d, seed=0):
    return 2 + 0.4 * normal(n, d, seed=seed)


def paths_of(process, d, noise=0.0, offset=0.0):
    """Return states along the flow of ``process`` with its drift, which a fit must recover."""
    x = simulate(
        process,
        cells(N_PATHS, d) + offset,
        [2 * k / N_STEPS for k in range(N_STEPS + 1)],
        solver=Midpoint(n_steps=N_STEPS),
        generator=generator(1),
    )
    times = torch.tensor(x.times, dtype=torch.float64)
    drift = torch.stack([process.drift(t, s) for t, s in zip(x.times[:-1], x.x[:-1], strict=True)])
    velocity = drift + noise * torch.randn(drift.shape, dtype=torch.float64, generator=generator(2))
    return [Paths(times, x.x, velocity, torch.full((N_PATHS,), 1 / N_PATHS).double())]


@pytest.fixture(params=list(FAMILIES))
def family(request):
    """Return a member with parameters, an unfitted one and the dimension."""
    member, start, d = FAMILIES[request.param]
    if member is None:  # learned from a rotation about a point, or a well
        law = OrnsteinUhlenbeck(matrix=-torch.eye(2), shift=torch.ones(2), sigma=0.3)
        member = start.fit(paths_of(law, d), generator=generator())
    return member, start, d


def test_is_a_reference_with_names_for_its_parameters(family):
    member, start, _ = family
    assert isinstance(member, Process)
    assert isinstance(member, Reference)
    assert all(isinstance(value, float) for value in member.estimates().values())
    if not start.is_fitted and not isinstance(start, ModuleReference):
        with pytest.raises(ValueError, match="yet; fit it"):
            start.drift(0.0, cells(3, family[2]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_drift_has_shape_and_type_of_the_state(family, dtype):
    member, _, d = family
    x = cells(5, d).to(dtype)
    for law in (member.drift, member.diffusion):
        assert law(0.3, x).shape == x.shape
        assert law(0.3, x).dtype == dtype
    torch.testing.assert_close(member.drift(0.3, x)[2:4], member.drift(0.3, x[2:4]))


def test_simulated_transitions_agree_with_the_flow(family):
    member, _, d = family
    # little noise, so that a linearisation is exact to within the sampling error
    member = replace(member, sigma=0.02)
    x = cells(3, d)
    n = 2000
    flow = flow_of(member, x, uniform_grid(0.0, 1.0, 12))
    ends = simulate(
        member,
        x.repeat_interleave(n, 0),
        (0.0, 1.0),
        solver=Midpoint(n_steps=400),
        generator=generator(),
    ).x[-1]
    ends = ends.reshape(3, n, d)
    covariance = flow.covariance[-1].expand(3, d, d)
    spread = covariance.diagonal(dim1=1, dim2=2).sqrt()
    # four standard errors, beside the Euler steps of the simulation: 1/800 of the way gone
    way = (flow.mean[-1] - x).abs() + 1
    assert ((ends.mean(1) - flow.mean[-1]).abs() < 4 * spread / n**0.5 + 0.005 * way).all()
    ratio = ends.var(1) / spread**2
    assert ((ratio - 1).abs() < 4 * (2 / n) ** 0.5 + 0.02).all()


def test_fit_recovers_what_made_the_paths(family):
    member, start, d = family
    noise = 0.05
    fitted = start.fit(paths_of(member, d, noise), generator=generator())
    x = paths_of(member, d)[0].x[:-1].reshape(-1, d)
    time = 0.3
    error = (fitted.drift(time, x) - member.drift(time, x)).square().mean().sqrt()
    # least squares of p parameters on N points has root mean square error noise sqrt(p / N)
    n_parameters = 300 if d == 2 and not fitted.estimates() else 12
    assert error < 4 * noise * (n_parameters / (N_PATHS * N_STEPS)) ** 0.5
    for name, value in member.estimates().items():
        assert fitted.estimates()[name] == pytest.approx(value, rel=0.05, abs=0.02)


def test_hours_for_days_change_only_the_unit(family):
    member, start, d = family
    if isinstance(start, ModuleReference | Simulator):
        pytest.skip("code of the user's knows its own clock")
    (days,) = paths_of(member, d)
    hours = replace(days, times=24 * days.times, velocity=days.velocity / 24)
    x = cells(20, d, seed=5)
    one, two = (start.fit([part], generator=generator()) for part in (days, hours))
    torch.testing.assert_close(one.drift(0.0, x), 24 * two.drift(0.0, x), rtol=2e-3, atol=2e-3)


def test_the_order_of_paths_does_not_matter(family):
    member, start, d = family
    (paths,) = paths_of(member, d)
    if isinstance(start, PotentialLandscape | NeuralReference | KernelReference | Simulator):
        pytest.skip("learns from a random choice of points")
    order = torch.randperm(N_PATHS, generator=generator())
    mixed = replace(paths, x=paths.x[:, order], velocity=paths.velocity[:, order])
    x = cells(20, d, seed=5)
    one, two = (start.fit([part], generator=generator()) for part in (paths, mixed))
    torch.testing.assert_close(one.drift(0.0, x), two.drift(0.0, x), rtol=1e-3, atol=1e-3)


def test_free_parameters_come_back(family):
    member, *_ = family
    if not isinstance(member, Parametric):
        pytest.skip("its parameters are fitted by paths alone")
    again = member.with_parameters(member.parameters())
    assert again.estimates() == pytest.approx(member.estimates())
    assert again.sigma == member.sigma


def test_a_family_survives_a_file(family):
    member, _, d = family
    if isinstance(member, ModuleReference | Simulator):
        with pytest.raises(TypeError, match="cannot be saved, since its code is yours"):
            pack_reference(member)
        return
    name, options, tensors = pack_reference(member)
    packed = PackedReference(name, json.loads(json.dumps(options, allow_nan=False)))
    own = {name: Decay} if isinstance(member, Decay) else {}
    again = unpack_reference(packed, Stored(tensors), dim=d, classes=own)
    x = cells(5, d)
    torch.testing.assert_close(again.drift(0.2, x), member.drift(0.2, x), rtol=0, atol=0)
    assert again.sigma == member.sigma
    for key, value in tensors.items():
        wrong = tensors | {key: torch.stack([value, value])}
        with pytest.raises(ValueError, match=f"tensor '{key}'"):
            unpack_reference(packed, Stored(wrong), dim=d, classes={})


def test_a_bridge_of_its_own_snapshots_meets_them(family):
    member, _, d = family
    x = cells(60, d)
    times = (0.0, 0.5, 1.2)
    clouds = simulate(member, x, times, solver=Midpoint(n_steps=100), generator=generator(3)).x
    snapshots = Snapshots(times, tuple(clouds))
    bridge = fit_bridge(
        snapshots, member, coupling=solve, training=None, generator=generator(), progress=False
    )
    path = simulate(bridge, snapshots.x[0], times, generator=generator())
    for states, cloud in zip(path.x, clouds, strict=True):
        # each end is one of the cells, up to the noise of the last of 50 quadratic steps and, for a
        # drift that is not affine, its linearisation over that step
        nearest = torch.cdist(states, cloud).amin(1)
        assert nearest.max() < 5 * member.sigma * d**0.5 / 50
    # the reference explains its own snapshots: almost no tilt is left
    tilt = bridge.drift(0.25, x) - member.drift(0.25, x)
    assert torch.isfinite(tilt).all()
    assert isinstance(member, Affine) or not isinstance(member, Brownian)
