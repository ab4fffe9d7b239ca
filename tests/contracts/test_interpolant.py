"""What every interpolant must satisfy. To add one: a line in ``CASES``."""

import json
import math
from dataclasses import dataclass, replace

import pytest
import torch
from analytic import normal
from notebook import Easing
from scipy.interpolate import CubicSpline, PchipInterpolator

from celltraj.models import (
    BrownianBridgeInterpolant,
    EncodingDecodingInterpolant,
    Interpolant,
    KernelReference,
    KineticInterpolant,
    LinearInterpolant,
    OneSidedInterpolant,
    OrnsteinUhlenbeck,
    ReferenceInterpolant,
    SplineInterpolant,
    TrigonometricInterpolant,
)
from celltraj.models._facts import Stored, facts_as
from celltraj.models.interpolants import sample_path
from celltraj.models.interpolants._pack import (
    PackedInterpolant,
    pack_interpolant,
    unpack_interpolant,
)

SIGMA = 0.4
TIMES = torch.tensor([0.0, 0.5, 2.0, 3.0]).double()
N = 6
CHAIN = normal(len(TIMES) * N, 2, seed=0).reshape(len(TIMES), N, 2)
SPIRAL = OrnsteinUhlenbeck(
    matrix=torch.tensor([[-0.3, -1.0], [0.8, -0.2]]).double(), shift=torch.ones(2).double()
)


@dataclass(frozen=True)
class Case:
    """An interpolant before its fit, and what is particular to it."""

    unfitted: Interpolant
    n_times: int = len(TIMES)
    has_bridge_noise: bool = True  # else there is none, or one of its own
    starts_as_noise: bool = False

    @property
    def times(self):
        return TIMES[: self.n_times]

    @property
    def chain(self):
        return CHAIN[: self.n_times]

    def fitted(self, *, shift=0.0, unit=1.0):
        """Return the interpolant fitted to moved chains, with ``unit`` times as many hours."""
        gap = torch.arange(N) % (self.n_times - 1)
        path = in_other_units(self.unfitted, shift, unit)
        return path.fit(unit * self.times, self.chain + shift, gap, sigma=SIGMA / math.sqrt(unit))


CASES = {
    "linear": Case(LinearInterpolant(), has_bridge_noise=False),
    "Brownian bridge": Case(BrownianBridgeInterpolant()),
    "spline": Case(SplineInterpolant()),
    "monotone spline": Case(SplineInterpolant(smoothness=0.0)),
    "natural spline": Case(SplineInterpolant(smoothness=1.0)),
    "trigonometric": Case(TrigonometricInterpolant()),
    "encoding-decoding": Case(EncodingDecodingInterpolant(), has_bridge_noise=False),
    "kinetic": Case(KineticInterpolant()),
    "one-sided": Case(
        OneSidedInterpolant(), n_times=2, has_bridge_noise=False, starts_as_noise=True
    ),
    "learned law": Case(ReferenceInterpolant(KernelReference(n_centres=5), rounds=2)),
    "known law": Case(ReferenceInterpolant(SPIRAL, rounds=0)),
    "smooth law": Case(ReferenceInterpolant(SPIRAL, rounds=0, is_smooth=True)),
    "user's": Case(Easing()),
}


def in_other_units(path, shift, unit):
    """Return the interpolant with a law that was known beforehand in the other units."""
    if not isinstance(path, ReferenceInterpolant) or not path.law.is_fitted:
        return path
    matrix, offset = path.reference.affine(2)
    moved = offset - matrix @ torch.full((2,), float(shift)).double()
    return replace(path, reference=OrnsteinUhlenbeck(matrix=matrix / unit, shift=moved / unit))


@pytest.fixture(params=list(CASES))
def case(request):
    return CASES[request.param]


def everywhere(t, n=N):
    return torch.full((n,), float(t), dtype=torch.float64)


def at(path, times, chain, t):
    """Return the mean and the rate of each chain at its time ``t``, each in the gap of that."""
    gap = (torch.searchsorted(times, t.detach()) - 1).clamp(min=0)
    return path.curves(times, chain, gap).at(torch.arange(len(t)), t)


def inner_times(case):
    return [0.1, 0.3, 0.49] + [0.51, 1.3, 2.9] * (case.n_times > 2)


def test_is_an_interpolant(case):
    assert isinstance(case.unfitted, Interpolant)
    assert isinstance(case.fitted(), Interpolant)
    assert case.fitted().sigma is not None


def test_every_snapshot_is_hit_from_both_sides(case):
    path, rows = case.fitted(), torch.arange(N)
    for k in range(case.n_times - 1):
        curves = path.curves(case.times, case.chain, torch.full((N,), k))
        start, stop = (curves.at(rows, everywhere(case.times[m]))[0] for m in (k, k + 1))
        torch.testing.assert_close(stop, case.chain[k + 1])
        if not case.starts_as_noise:
            torch.testing.assert_close(start, case.chain[k])
    width, slope = path.noise(case.times, case.times)
    assert (width[case.starts_as_noise :].abs() < 1e-12).all()
    assert torch.isfinite(slope).all()


def test_noise_in_place_of_a_snapshot_has_its_mean_and_spread():
    n = 20_000
    times, chain = TIMES[:2], 3 + 0.5 * normal(2 * n, 2, seed=1).reshape(2, n, 2)
    gap = torch.zeros(n, dtype=torch.long)
    path = OneSidedInterpolant().fit(times, chain, gap, sigma=SIGMA)
    start = sample_path(
        path,
        times,
        path.curves(times, chain, gap),
        torch.arange(n),
        everywhere(0, n),
        generator=torch.Generator().manual_seed(0),
    ).x
    assert ((start.mean(0) - 3).abs() < 5 * 0.5 / n**0.5).all()
    assert ((start.var(0) / 0.5**2 - 1).abs() < 6 * (2 / n) ** 0.5).all()


def test_the_rate_is_the_derivative_of_the_path(case):
    path = case.fitted()
    for time in inner_times(case):
        t = everywhere(time).requires_grad_()
        x, rate = at(path, case.times, case.chain, t)
        for j in range(x.shape[1]):
            (slope,) = torch.autograd.grad(x[:, j].sum(), t, retain_graph=True)
            torch.testing.assert_close(slope, rate[:, j].detach())


def test_gamma_and_its_slope_belong_together(case):
    path = case.fitted()
    if path.sigma == 0:
        pytest.skip("no noise")
    for time in inner_times(case):
        t = everywhere(time).requires_grad_()
        width, product = path.noise(case.times, t)
        (half_square,) = torch.autograd.grad((width**2 / 2).sum(), t)
        torch.testing.assert_close(half_square, product.detach())


def test_the_noise_is_that_of_a_brownian_bridge(case):
    if not case.has_bridge_noise:
        pytest.skip("none, or of its own")
    width, _ = case.fitted().noise(case.times, everywhere(1.0))
    assert float(width[0]) == pytest.approx(SIGMA * math.sqrt(0.5 * 1.0 / 1.5))


def test_a_shift_and_another_unit_of_time_change_only_that(case):
    path, moved_path, hours_path = (
        case.fitted(),
        case.fitted(shift=5.0),
        case.fitted(unit=24.0),
    )
    # a learned law is the solution of linear equations as ill-conditioned as its ridge allows
    close = {"rtol": 1e-5, "atol": 1e-5}
    for time in inner_times(case):
        t = everywhere(time)
        x, rate = at(path, case.times, case.chain, t)
        moved, same = at(moved_path, case.times, case.chain + 5, t)
        torch.testing.assert_close(moved, x + 5, **close)
        torch.testing.assert_close(same, rate, **close)
        again, slow = at(hours_path, 24 * case.times, case.chain, 24 * t)
        torch.testing.assert_close(again, x, **close)
        torch.testing.assert_close(24 * slow, rate, **close)
        width, slope = path.noise(case.times, t)
        same, slower = hours_path.noise(24 * case.times, 24 * t)
        torch.testing.assert_close(same, width)
        torch.testing.assert_close(24 * slower, slope)


def test_each_path_has_its_own_time(case):
    path = case.fitted()
    t = torch.linspace(0.1, float(case.times[-1]) - 0.05, N, dtype=torch.float64)
    x, rate = at(path, case.times, case.chain, t)
    for k in range(N):
        one = at(path, case.times, case.chain[:, k : k + 1], t[k : k + 1])
        torch.testing.assert_close(one[0][0], x[k])
        torch.testing.assert_close(one[1][0], rate[k])


def test_rows_choose_paths_and_single_precision_is_enough(case):
    path, t = case.fitted(), everywhere(0.3)
    gap = torch.zeros(N, dtype=torch.long)
    x, rate = path.curves(case.times, case.chain, gap).at(torch.arange(N), t)
    rows = torch.tensor([4, 1, 4])
    single = path.curves(case.times, case.chain.float(), gap).at(rows, t[:3])
    torch.testing.assert_close(single[0].double(), x[rows], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(single[1].double(), rate[rows], rtol=1e-4, atol=1e-4)
    for wanted, found in zip(
        path.noise(case.times, t), path.noise(case.times.float(), t.float()), strict=True
    ):
        assert found.dtype == torch.float32
        torch.testing.assert_close(found.double(), wanted, rtol=1e-5, atol=1e-5)


def test_noise_gives_the_score_of_a_gaussian(case):
    path = case.fitted()
    if path.sigma == 0:
        pytest.skip("without noise there is no score")
    n, t = 20_000, 0.37
    chain = case.chain[:, :1].expand(-1, n, -1)
    gap = torch.zeros(n, dtype=torch.long)
    points = sample_path(
        path,
        case.times,
        path.curves(case.times, chain, gap),
        torch.arange(n),
        everywhere(t, n),
        generator=torch.Generator().manual_seed(0),
    )
    mean, _ = at(path, case.times, chain[:, :1], everywhere(t, 1))
    # one chain: x is normal about its mean with width gamma, whose score is -z / gamma
    torch.testing.assert_close(-points.z / points.width, (mean - points.x) / points.width**2)
    ratio = points.x.var(0) / points.width[0] ** 2
    assert ((ratio - 1).abs() < 4 * (2 / n) ** 0.5).all()


@pytest.mark.parametrize(
    ("smoothness", "scipy"),
    [(0.0, PchipInterpolator), (1.0, lambda t, x: CubicSpline(t, x, bc_type="natural"))],
)
def test_splines_are_those_of_scipy(smoothness, scipy):
    curve = scipy(TIMES.numpy(), CHAIN.numpy())
    for t in (0.2, 1.0, 2.7):
        x, rate = at(SplineInterpolant(smoothness), TIMES, CHAIN, everywhere(t))
        torch.testing.assert_close(x, torch.from_numpy(curve(t)))
        torch.testing.assert_close(rate, torch.from_numpy(curve.derivative()(t)))


def independent_pairs(n=20_000, *, mean=0.0, seed=2):
    """Return times, a chain of two independent normal cells, and its gap."""
    times = torch.tensor([0.0, 2.0]).double()
    chain = normal(2 * n, 1, seed=seed).reshape(2, n, 1)
    return times, chain + torch.tensor([0.0, mean]).double()[:, None, None], torch.zeros(n).long()


def test_a_quarter_turn_keeps_the_variance_that_a_line_halves():
    times, chain, gap = independent_pairs(mean=3.0)
    turn = TrigonometricInterpolant().fit(times, chain, gap, sigma=0.0)
    n = len(gap)
    for share in (0.25, 0.5, 0.8):
        x, _ = at(turn, times, chain, everywhere(2 * share, n))
        assert float(x.mean()) == pytest.approx(3 * share, abs=0.05)
        assert float(x.var()) == pytest.approx(1.0, abs=5 * (2 / n) ** 0.5)
    x, _ = at(BrownianBridgeInterpolant(), times, chain, everywhere(1, n))
    assert float(x.var()) == pytest.approx(0.5, abs=0.03)


def test_cells_are_encoded_to_noise_half_way():
    case = CASES["encoding-decoding"]
    path = case.fitted()
    curves = path.curves(TIMES, CHAIN, torch.full((N,), 1))
    x, rate = curves.at(torch.arange(N), everywhere(1.25))
    middle = CHAIN.mean(1)[1:3]
    torch.testing.assert_close(x, middle.mean(0).expand_as(x))
    torch.testing.assert_close(rate, (middle.diff(dim=0) / 1.5).expand_as(rate))
    width, product = path.noise(TIMES, everywhere(1.25))
    assert float(width[0]) == pytest.approx(float(CHAIN.var(1, correction=0).mean().sqrt()))
    assert product.abs().max() < 1e-12
    just_before, just_after = (
        at(path, TIMES, CHAIN, everywhere(t)) for t in (0.2499999, 0.2500001)
    )
    torch.testing.assert_close(just_before, just_after, rtol=1e-4, atol=1e-4)


def test_a_kinetic_path_hurries_where_the_population_stands_still():
    times, chain, gap = independent_pairs()
    path = KineticInterpolant().fit(times, chain, gap, sigma=0.0)
    # x_b = (1 - b) x0 + b x1 of independent normal cells: u(x) = (2 b - 1) x / ((1 - b)^2 + b^2)
    unit = torch.tensor([0.0, 1.0]).double().reshape(2, 1, 1)
    s = torch.linspace(0, 1, 2001, dtype=torch.float64)
    curves = path.curves(times, unit, torch.zeros(1).long())
    beta, rate = (part[:, 0] for part in curves.at(torch.zeros(2001).long(), 2 * s))
    speed = 2 * rate
    g = (2 * beta - 1) ** 2 / ((1 - beta) ** 2 + beta**2)
    assert float(beta[1000]) == pytest.approx(0.5, abs=0.05)
    assert speed[1000] > 1.5 > 1 > speed[0]
    energy = torch.trapezoid(speed**2 * g, s)
    b = s
    straight = torch.trapezoid((2 * b - 1) ** 2 / ((1 - b) ** 2 + b**2), b)
    least = torch.trapezoid((2 * b - 1).abs() / ((1 - b) ** 2 + b**2).sqrt(), b) ** 2
    assert least < energy < straight
    assert energy - least < 0.3 * (straight - least)


def test_a_kinetic_path_is_straight_where_lines_do_not_cross():
    ends = torch.tensor([[[0.0, 0.0], [4.0, 1.0]], [[1.0, 2.0], [5.0, 3.0]]]).double()
    times, gap = torch.tensor([0.0, 2.0]).double(), torch.zeros(50).long()
    chain = ends.repeat(1, 25, 1)
    for one in (chain, chain[:, ::2]):  # two pairs and one pair, drawn many times
        path = KineticInterpolant().fit(times, one, gap[: one.shape[1]], sigma=0.0)
        torch.testing.assert_close(path.schedule[0], torch.linspace(0, 1, 17).double())
        x, rate = at(path, times, one, everywhere(0.7, one.shape[1]))
        torch.testing.assert_close(x, 0.65 * one[0] + 0.35 * one[1])
        torch.testing.assert_close(rate, (one[1] - one[0]) / 2)


def test_a_kinetic_gap_without_chains_has_a_straight_schedule():
    path = KineticInterpolant().fit(TIMES, CHAIN, torch.zeros(N).long(), sigma=SIGMA)
    straight = torch.linspace(0, 1, 17, dtype=torch.float64)
    torch.testing.assert_close(path.schedule[1:], straight.expand(2, -1))


def test_paths_of_a_known_law_are_reproduced():
    decay = OrnsteinUhlenbeck(
        matrix=-torch.diag(torch.tensor([0.7, 1.0])).double(), shift=torch.zeros(2).double()
    )
    times = torch.tensor([0.0, 1.0, 1.8]).double()
    x0, rates = CHAIN[0], torch.tensor([0.7, 1.0]).double()
    chain = torch.stack([x0 * torch.exp(-rates * t) for t in times])
    path = ReferenceInterpolant(decay, rounds=0).fit(times, chain, torch.arange(N) % 2, sigma=0.1)
    for t in (0.13, 0.5, 0.95, 1.01, 1.4, 1.77):
        x, rate = at(path, times, chain, everywhere(t))
        truth = x0 * torch.exp(-rates * t)
        torch.testing.assert_close(x, truth, rtol=0, atol=1e-6)
        torch.testing.assert_close(rate, -rates * truth, rtol=0, atol=1e-4)


def test_smooth_paths_of_a_law_that_moves_nothing_are_splines():
    still = OrnsteinUhlenbeck(matrix=torch.zeros(2, 2).double(), shift=torch.zeros(2).double())
    times = torch.tensor([0.0, 1.0, 1.8, 3.0, 3.5]).double()
    chain = torch.stack([CHAIN[0] * math.cos(3 * k) + k**2 for k in range(5)])
    path = ReferenceInterpolant(still, rounds=0, is_smooth=True)
    path = path.fit(times, chain, torch.arange(N) % 4, sigma=0.1)
    for t in (0.0, 0.4, 1.0, 1.5, 2.2, 3.2, 3.5):
        found = at(path, times, chain, everywhere(t))
        expected = at(SplineInterpolant(), times, chain, everywhere(t))
        for one, other in zip(found, expected, strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=1e-9)


def test_a_law_learned_from_a_rotation_turns_where_lines_cut_corners():
    n = 40
    start = torch.linspace(0, 2 * math.pi, n + 1, dtype=torch.float64)[:-1]
    times = torch.tensor([0.0, 1.0, 2.0]).double()
    angles = start + math.pi / 2 * times[:, None]
    chain = torch.stack([angles.cos(), angles.sin()], 2)
    gap = torch.arange(n) % 2
    path = ReferenceInterpolant().fit(times, chain, gap, sigma=0.1)
    for t in (0.5, 1.5):
        curved, _ = at(path, times, chain, everywhere(t, n))
        straight, _ = at(LinearInterpolant(), times, chain, everywhere(t, n))
        error, of_lines = ((x.norm(dim=1) - 1).abs().max() for x in (curved, straight))
        assert error < of_lines / 2


LAW = ReferenceInterpolant(OrnsteinUhlenbeck(matrix=1e9 * torch.eye(2), shift=torch.ones(2)), 0)
ONES = torch.ones(N).long()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BrownianBridgeInterpolant(sigma=-1.0), "sigma must not be negative"),
        (lambda: TrigonometricInterpolant(sigma=math.nan), "sigma must be finite"),
        (lambda: KineticInterpolant(sigma=-1.0), "sigma must not be negative"),
        (lambda: SplineInterpolant(smoothness=1.5), r"smoothness must lie in \[0, 1\]"),
        (lambda: ReferenceInterpolant(rounds=-1), "rounds must be at least 1"),
        (lambda: EncodingDecodingInterpolant(scale=0.0), "scale must be positive"),
        (lambda: OneSidedInterpolant(scale=-1.0), "scale must be positive"),
        (lambda: KineticInterpolant(schedule=torch.ones(3)), r"shape \(T - 1, K\)"),
        (lambda: KineticInterpolant(schedule=torch.tensor([[0.0, 2.0, 1.0]])), "rise from 0 to 1"),
        (lambda: BrownianBridgeInterpolant().noise(TIMES, TIMES), "has no sigma yet"),
        (lambda: EncodingDecodingInterpolant().noise(TIMES, TIMES), "has no scale yet"),
        (lambda: OneSidedInterpolant().noise(TIMES, TIMES), "has no scale yet"),
        (lambda: TrigonometricInterpolant().curves(TIMES, CHAIN, ONES), "has no centres yet"),
        (
            lambda: TrigonometricInterpolant(centres=CHAIN[:2, 0]).curves(TIMES, CHAIN, ONES),
            r"centres must have shape \(4, 2\); found \(2, 2\)",
        ),
        (lambda: KineticInterpolant().curves(TIMES, CHAIN, ONES), "has no schedule yet"),
        (
            lambda: KineticInterpolant(schedule=torch.eye(2)[1:]).curves(TIMES, CHAIN, ONES),
            "3 gaps have 1 schedules",
        ),
        (lambda: OneSidedInterpolant().fit(TIMES, CHAIN, ONES, sigma=SIGMA), "2 times; found 4"),
        (
            lambda: OneSidedInterpolant(centre=torch.ones(3)).curves(
                TIMES[:2], CHAIN[:2], 0 * ONES
            ),
            r"centre must have shape \(2,\); found \(3,\)",
        ),
        (
            lambda: EncodingDecodingInterpolant().fit(TIMES, 0 * CHAIN, ONES, sigma=SIGMA),
            "do not differ; pass scale=",
        ),
        (lambda: LAW.curves(1e3 * TIMES, CHAIN, ONES), "explode between two snapshots"),
    ],
)
def test_options_are_checked(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_it_survives_a_file(case):
    if isinstance(case.unfitted, Easing):
        pytest.skip("its code is the user's")
    path = case.fitted()
    facts, tensors = pack_interpolant(path)
    packed = facts_as(PackedInterpolant, json.loads(json.dumps(facts, allow_nan=False)), "it")
    sizes = {"n_times": case.n_times, "dim": 2, "classes": {}}
    again = unpack_interpolant(packed, Stored(tensors), **sizes)
    for found, wanted in zip(
        (*again.noise(case.times, case.times), *at(again, case.times, case.chain, everywhere(0.3))),
        (*path.noise(case.times, case.times), *at(path, case.times, case.chain, everywhere(0.3))),
        strict=True,
    ):
        assert torch.equal(found, wanted)
    for name, value in tensors.items():
        wrong = Stored(tensors | {name: torch.stack([value, value])})
        with pytest.raises(ValueError, match=name.split(".")[-1]):
            unpack_interpolant(packed, wrong, **sizes)
