"""A fitted response moves cells as their population and their condition say."""

import math
from dataclasses import replace

import pytest
import torch
from analytic import normal

from celltraj import ConvergenceError
from celltraj.models import (
    BrownianBridgeInterpolant,
    Condition,
    Group,
    LinearInterpolant,
    Midpoint,
    Moments,
    Populations,
    PredictorCorrector,
    ResponseOptions,
    ResponseProcess,
    ReversibleProcess,
    TrainerOptions,
    Training,
    Treated,
    fit_response,
    simulate,
)
from celltraj.models.networks import FieldSizes
from celltraj.models.response.batches import ResponseBatches, StepSizes, Task
from celltraj.models.response.losses import ResponseLoss
from celltraj.models.response.pairs import couple, default_response_sigma
from celltraj.models.response.support import Support
from celltraj.ot import SquaredEuclidean, Unbalanced, solve

DRUG, OTHER = Condition(("drug",)), Condition(("other",))
# a field of the position, the population and the condition; and one without the population
FLOW = ResponseOptions(n_context=50)
ALONE = replace(FLOW, encoder=None, n_kernels=0)
TWIST = torch.tensor([[0.0, 1.0], [-1.0, 0.5]]).double()


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def many(law, *, n=24, n_cells=50, spread=1.5, among=1.0, seed=0):
    """Return Gaussian populations and their means ``(n, 2)``; ``law(y, mean)`` treats cells."""
    means, of = among * normal(n, 2, seed=seed), 1000 * seed
    groups = [
        [Group(m + spread * normal(n_cells, 2, seed=of + 2 * k + i)) for i in (1, 2)]
        for k, m in enumerate(means)
    ]
    treated = (
        Treated(k, DRUG, Group(law(other.x, means[k]))) for k, (_, other) in enumerate(groups)
    )
    names = tuple(f"patient {k}" for k in range(n))
    return Populations(names, tuple(one for one, _ in groups), tuple(treated)), means


def fitted(populations, options=ALONE, *, steps=300, batch_size=32, seed=0, **training):
    return fit_response(
        populations,
        options,
        training=Training(max_steps=steps, width=32, batch_size=batch_size, **training),
        generator=generator(seed),
        progress=False,
    )


def respond(model, x, condition=DRUG, **options):
    return model.respond(x, condition, **{"generator": generator()} | options)


def unexplained(model, law, **options):
    """Return the share of the squared mean shifts of unseen populations that is not predicted."""
    new, means = many(law, n=10, n_cells=200, seed=7, **options)
    error = size = 0.0
    for control, mean in zip(new.controls, means, strict=True):
        truth = law(control.x, mean) - control.x
        error += float((respond(model, control.x).x - control.x - truth).mean(0).square().sum())
        size += float(truth.mean(0).square().sum())
    return error / size


class TestClosedForm:
    @pytest.mark.parametrize(
        "flow",
        [ALONE, replace(FLOW, encoder=Moments(n_features=2), n_kernels=2)],
        ids=["alone", "with all"],
    )
    def test_all_populations_are_shifted_alike(self, flow):
        shift = torch.tensor([4.0, -2.0]).double()
        model = fitted(many(lambda y, m: y + shift, spread=0.5)[0], flow, steps=200)
        for control in many(lambda y, m: y, n=3, spread=0.5, seed=7)[0].controls:
            moved = respond(model, control.x).x - control.x
            # of 24 x 50 cells on either side the mean shift has a standard error of .02; the rest
            # is the network's: a twentieth of the length of the shift
            assert (moved.mean(0) - shift).norm() < 0.05 * shift.norm()
            assert (moved - shift).norm(dim=1).mean() < 0.08 * shift.norm()

    def test_a_shift_that_depends_on_the_mean_needs_an_embedding(self):
        def law(y, m):
            return y + TWIST @ m

        populations = many(law)[0]
        # a cell tells its population's mean by the share 1 / (1 + 1.5^2) alone: (1 - .31)^2
        assert unexplained(fitted(populations, steps=200), law) > 0.4
        # 50 cells leave the mean with the variance 1.5^2 / 50, .045 of that among populations
        assert unexplained(fitted(populations, replace(FLOW, n_kernels=0), steps=200), law) < 0.15

    def test_attraction_to_the_own_centroid_needs_the_neighbourhood(self):
        def law(y, m):
            return m + math.exp(-1) * (y - m)

        populations = many(law, spread=1.0, among=1.5)[0]
        new, means = many(law, n=5, spread=1.0, among=1.5, seed=7)
        errors = []
        for flow in (ALONE, replace(ALONE, n_kernels=2)):
            model, error = fitted(populations, flow), 0.0
            for control, mean in zip(new.controls, means, strict=True):
                found = respond(
                    model, control.x, population=control.x, ode_solver=Midpoint(n_steps=10)
                )
                truth = law(control.x, mean)
                error += float(
                    (found.x - truth).square().sum() / (truth - control.x).square().sum()
                )
            errors.append(error / 5)
        assert errors[0] > 0.5
        assert errors[1] < 0.15

    @pytest.mark.parametrize("has_types", [True, False])
    def test_a_type_that_dies_is_predicted_to(self, has_types):
        tau_a, tau_b = 0.9, 0.99
        populations = two_types((1, 1), (1, 4), has_types=has_types)
        model = fitted(populations, replace(ALONE, coupling=Unbalanced(tau_a=tau_a, tau_b=tau_b)))
        x, types = types_of(1, 1, 200, seed=99)
        survival = respond(model, x).survival
        assert float(survival.mean()) == pytest.approx(1)
        # each type is a problem of its own, whose plan is told the shares before and after and
        # weighs them by rho_a and rho_b: log of what is kept = log share, times
        # 1 - rho_a / (rho_a + rho_b + epsilon), in place of log share itself
        rho_a, rho_b = (tau / (1 - tau) for tau in (tau_a, tau_b))
        kept = (0.2 / 0.8) ** (1 - rho_a / (rho_a + rho_b + 1))
        found = float(survival[types == 0].mean() / survival[types == 1].mean())
        assert found == pytest.approx(kept, rel=0.05)
        assert found == pytest.approx(0.25, rel=0.2)  # the truth, from which tau holds back

    def test_score_and_marginals_of_gaussians(self):
        before, after = normal(600, 1, seed=0), normal(600, 1, seed=1) + 2
        populations = Populations(("a",), (Group(before),), (Treated(0, DRUG, Group(after)),))
        model = fitted(populations, replace(ALONE, sigma=1.0, n_populations=1), batch_size=256)
        process = model.process(before, DRUG, generator=generator())
        # the plan of two standard normal laws at epsilon 1 has the covariance c of c = 1 - c^2;
        # half way the variance is (1 + c) / 2, and that of the paths on top
        c = (math.sqrt(5) - 1) / 2
        x = torch.linspace(-1.5, 1.5, 30, dtype=torch.float64)[:, None]
        error = (process.score(0.5, x + 1) + x / ((1 + c) / 2 + 1 / 4)).abs().mean()
        assert error < 0.15
        start = normal(1000, 1, seed=5)
        ends = [respond(model, start, noise=noise).x for noise in (0.0, 0.5, 1.0)]
        for end in ends:
            # 1000 cells: standard errors of .03 and .02, twice; the rest is the network's
            assert float((end.mean() - after.mean()).abs()) < 0.15
            assert float((end.std() / after.std() - 1).abs()) < 0.1
        for end in ends[1:]:
            assert float((end.mean() - ends[0].mean()).abs()) < 0.1
            assert float((end - ends[0]).abs().mean()) > 0.1  # each cell goes its own way

    def test_variables_that_do_not_vary_stay_where_they_are(self):
        populations = many(lambda y, m: torch.stack([y[:, 0] + 3, y[:, 1]], 1), n=4)[0]
        flat = Populations(
            populations.names,
            tuple(Group(with_constant(one.x)) for one in populations.controls),
            tuple(
                replace(one, cells=Group(with_constant(one.cells.x))) for one in populations.treated
            ),
        )
        moved = respond(fitted(flat, steps=100), flat.controls[0].x).x
        assert (moved[:, 1] - 7).abs().max() < 0.3
        assert (moved[:, 0] - flat.controls[0].x[:, 0]).mean() == pytest.approx(3, abs=0.5)


def with_constant(x):
    return torch.stack([x[:, 0], torch.full_like(x[:, 0], 7.0)], 1)


def types_of(n_left, n_right, n, *, seed):
    """Return two far types of one-dimensional cells in given shares, and their codes."""
    left = n_left * n // (n_left + n_right)
    is_right = torch.arange(n) >= left
    return 0.3 * normal(n, 1, seed=seed) + torch.where(is_right, 4.0, -4.0)[
        :, None
    ], is_right.long()


def two_types(before, after, *, has_types=True, n=80):
    parts = [
        (types_of(*before, n, seed=2 * k), types_of(*after, n, seed=2 * k + 1)) for k in range(4)
    ]
    groups = [[Group(x, types if has_types else None) for x, types in both] for both in parts]
    return Populations(
        tuple("abcd"),
        tuple(one for one, _ in groups),
        tuple(Treated(k, DRUG, other) for k, (_, other) in enumerate(groups)),
    )


class TestCouplings:
    def groups(self):
        """Return cells of three types, the last of which is not there afterwards."""
        x, y = normal(30, 2, seed=0), normal(24, 2, seed=1) + 1
        return Group(x, torch.arange(30) % 3), Group(y, torch.arange(24) % 2)

    def dense(self, pairs):
        mass = torch.diff(pairs.cumulative, prepend=torch.zeros(1).double())
        plan = torch.zeros(len(pairs.before), len(pairs.after), dtype=torch.float64)
        return plan.index_put((pairs.i.long(), pairs.j.long()), mass, accumulate=True)

    @pytest.mark.parametrize("solver", [solve, Unbalanced()], ids=["balanced", "unbalanced"])
    def test_types_are_coupled_block_by_block(self, solver):
        before, after = self.groups()
        found = self.dense(couple(before, after, solver, sigma=0.5))
        plan = torch.zeros(30, 24, dtype=torch.float64)
        for code in (0, 1):
            i, j = (torch.nonzero(one.types == code)[:, 0] for one in (before, after))
            a, b = torch.full((10,), 1 / 30).double(), torch.full((12,), 1 / 24).double()
            if solver is solve:
                b = b * a.sum() / b.sum()
            cost = SquaredEuclidean(before.x[i], after.x[j])
            plan[i[:, None], j] = torch.from_numpy(
                solver(cost, a, b, epsilon=0.25).to_sparse(mass=0.0).toarray()
            )
        # pairs do without a hundredth of the mass of a row: as much is missing, and as much is
        # added elsewhere by making the rest sum to 1
        assert (found - plan / plan.sum()).abs().sum() < 2.5e-2
        assert found[before.types == 2].sum() == 0

    def test_survival_is_what_each_cell_sends(self):
        before, after = self.groups()
        pairs = couple(before, after, Unbalanced(), sigma=0.5)
        assert float(pairs.survival.mean()) == pytest.approx(1)
        assert float(pairs.survival[before.types == 2].abs().max()) == 0  # the type is gone
        rows = 30 * self.dense(pairs).sum(1)
        torch.testing.assert_close(pairs.survival.double(), rows, rtol=0.02, atol=1e-3)

    def test_pairs_are_drawn_as_often_as_the_plan_says(self):
        before, after = self.groups()
        pairs, n = couple(before, after, solve, sigma=0.5), 40_000
        i, j = pairs.draw(n, generator=generator())
        x, y = pairs.before[i], pairs.after[j]
        rows, columns = (
            torch.cdist(drawn.double(), group.x).argmin(1)
            for drawn, group in ((x, before), (y, after))
        )
        plan = self.dense(pairs)
        share = torch.zeros_like(plan).index_put(
            (rows, columns), torch.ones(n).double() / n, accumulate=True
        )
        assert (before.types[rows] == after.types[columns]).all()
        assert ((share - plan).abs() < 5 * (plan / n).sqrt() + 1e-9).all()

    def test_without_types_everything_may_meet(self):
        before, after = self.groups()
        pairs = couple(Group(before.x), after, solve, sigma=0.5)
        torch.testing.assert_close(pairs.survival, torch.ones(30), rtol=1e-4, atol=1e-4)
        assert len(pairs.i.unique()) == 30

    def test_no_common_type_is_told_of_which_population(self):
        before, after = self.groups()
        apart = Group(after.x, after.types + 5)
        treated = (Treated(0, DRUG, after), Treated(1, OTHER, apart))
        populations = Populations(("a", "b/c"), (before, before), treated)
        with pytest.raises(ValueError, match=r"population 'b/c' under 'other': no cell type is"):
            fitted(populations, steps=2)

    def test_a_coupling_that_fails_is_told_of_which_population(self):
        hard = Unbalanced(max_steps=1, tol=1e-14)
        with pytest.raises(ConvergenceError, match=r"population 'patient 0' under 'drug'") as error:
            fitted(many(lambda y, m: y, n=2)[0], replace(ALONE, coupling=hard, sigma=0.3))
        assert error.value.result is not None

    def test_sigma_is_a_tenth_of_the_typical_displacement(self):
        x = normal(40, 2, seed=0)
        moved = [(Group(x), Group(x + step)) for step in (3.0, 1.0)]
        found = default_response_sigma(moved, generator=generator())
        assert found == pytest.approx(0.1 * math.sqrt((2 * 9 + 2 * 1) / 2))
        # one population that stays where it is does not hinder the others
        still = (Group(x), Group(x))
        found = default_response_sigma([*moved, still], generator=generator())
        assert found == pytest.approx(0.1 * math.sqrt((2 * 9 + 2 * 1) / 3))
        with pytest.raises(ValueError, match=r"nothing sets the scale.*ResponseOptions\(sigma="):
            default_response_sigma([still], generator=generator())


@pytest.fixture(scope="module")
def model():
    """Return a short fit of everything: embedding, neighbourhood, noise, two drugs, survival."""
    populations = many(lambda y, m: y + 2, n=5)[0]
    treated = populations.treated + tuple(
        Treated(k, OTHER, Group(one.x - 2)) for k, one in enumerate(populations.controls)
    )
    flow = replace(FLOW, encoder=Moments(n_features=3), n_kernels=2, coupling=Unbalanced())
    return fitted(replace(populations, treated=treated), flow, steps=60)


@pytest.fixture(params=[0.0, 0.3], ids=["ode", "noisy"])
def process(request, model):
    return model.process(normal(40, 2, seed=1), DRUG, noise=request.param, generator=generator())


class TestProcess:
    def test_is_a_reversible_process(self, process):
        assert isinstance(process, ReversibleProcess)
        assert process.dim == 2

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_shapes_and_types_are_those_of_the_state(self, process, dtype):
        x = normal(7, 2, seed=1).to(dtype)
        for law in (process.drift, process.diffusion, process.score, process.velocity):
            value = law(0.5, x)
            assert (value.shape, value.dtype) == (x.shape, dtype)
            assert torch.isfinite(value).all()
        assert (process.diffusion(0.5, x) == process.noise).all()

    def test_cells_do_not_see_each_other(self, process):
        x, order = normal(9, 2, seed=1), torch.tensor([3, 1, 4, 0, 5, 8, 2, 6, 7])
        found = process.drift(0.5, x)
        torch.testing.assert_close(process.drift(0.5, x[order]), found[order], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(process.drift(0.5, x[:2]), found[:2], rtol=1e-4, atol=1e-5)

    @pytest.mark.parametrize("times", [(0.0, 0.3, 1.0), (1.0, 0.3, 0.0)])
    def test_is_simulated_both_ways(self, process, times):
        path = simulate(
            process, normal(5, 2, seed=0), times, solver=Midpoint(n_steps=5), generator=generator()
        )
        assert path.times == times
        assert path.x.shape == (3, 5, 2)
        assert torch.isfinite(path.x).all()
        assert not path.x.requires_grad

    def test_the_ode_returns_to_where_it_began(self, model):
        process, x = model.process(normal(40, 2, seed=1), DRUG, generator=generator()), None
        start = x = normal(5, 2, seed=0)
        for times in ((0.0, 1.0), (1.0, 0.0)):
            x = simulate(process, x, times, solver=Midpoint(n_steps=100), generator=generator()).x[
                -1
            ]
        torch.testing.assert_close(x, start, rtol=1e-2, atol=1e-2)

    def test_drift_is_velocity_and_half_the_squared_noise_of_score(self, process):
        x = normal(7, 2, seed=1)
        torch.testing.assert_close(
            process.drift(0.4, x),
            process.velocity(0.4, x) + process.noise**2 / 2 * process.score(0.4, x),
        )

    def test_guidance_leads_from_the_mean_of_all_conditions_to_this_one(self, process):
        x = normal(7, 2, seed=1)
        plain = replace(process, guidance=0.0)
        assert torch.equal(plain.velocity(0.5, x), replace(plain, known=plain.unknown, guidance=1.0)
                           .velocity(0.5, x))  # fmt: skip
        one, none, two = (replace(process, guidance=w).velocity(0.5, x) for w in (1.0, 0.0, 2.0))
        assert torch.equal(one, process.velocity(0.5, x))
        torch.testing.assert_close(two, 2 * one - none, rtol=1e-4, atol=1e-5)
        assert not torch.allclose(one, none)

    def test_beyond_the_times_of_the_response_the_crowd_stands_still(self, model):
        process = model.process(normal(40, 2, seed=1), DRUG, generator=generator())
        assert torch.equal(
            process._neighbourhood_at(1.5, normal(3, 2, seed=0)).x[0], process.neighbourhood[-1]
        )
        middle = process._neighbourhood_at(0.5, normal(3, 2, seed=0)).x[0]
        torch.testing.assert_close(
            middle, process.neighbourhood[(len(process.neighbourhood) - 1) // 2]
        )


class TestPrediction:
    def test_a_cell_moves_alike_whoever_is_predicted_with_it(self, model):
        population, x = normal(60, 2, seed=2), normal(9, 2, seed=3)
        together = respond(model, x, population=population)
        order = torch.tensor([4, 2, 7])
        some = respond(model, x[order], population=population)
        torch.testing.assert_close(some.x, together.x[order], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(some.survival, together.survival[order], rtol=1e-4, atol=1e-5)

    @pytest.mark.parametrize("noise", [0.0, 0.5])
    def test_neither_rows_nor_companions_matter_within_the_population(self, model, noise):
        population = normal(60, 2, seed=2)
        whole = respond(model, population, noise=noise)
        order = torch.randperm(60, generator=generator(1))
        moved = respond(model, population[order], noise=noise)
        assert torch.equal(moved.x, whole.x[order])
        for rows in (order[:1], order[:7]):
            some = respond(model, population[rows], population=population[order], noise=noise)
            torch.testing.assert_close(some.x, whole.x[rows], rtol=1e-5, atol=1e-5)
            torch.testing.assert_close(some.survival, whole.survival[rows], rtol=1e-5, atol=1e-5)

    def test_of_a_great_population_the_same_cells_stand_for_the_crowd(self, model):
        population = normal(700, 2, seed=2)
        order = torch.randperm(700, generator=generator(1))
        first, second = (
            model.process(x, DRUG, generator=generator(5)) for x in (population, population[order])
        )
        assert len(first.neighbourhood[0]) == 512
        assert torch.equal(first.neighbourhood, second.neighbourhood)
        assert not torch.equal(
            first.neighbourhood,
            model.process(population, DRUG, generator=generator(6)).neighbourhood,
        )

    def test_a_cell_sees_all_of_its_population_but_itself(self, model):
        population = normal(30, 2, seed=2)
        process = model.process(population, DRUG, generator=generator())
        k = int((process.neighbourhood[0] == population[3]).all(1).nonzero())
        others = torch.cat([process.neighbourhood[:, :k], process.neighbourhood[:, k + 1 :]], 1)
        alone = replace(process, own=torch.tensor([k]))
        without = replace(process, neighbourhood=others)
        for t in (0.0, 0.4, 1.0):
            found, wanted = (law.velocity(t, population[3:4]) for law in (alone, without))
            torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-6)
        # of thirty cells one counts for little, and for more than rounding does
        seen, itself, others = (
            law.velocity(0.0, population[3:4]) for law in (alone, process, without)
        )
        assert (seen - itself).abs().max() > 20 * (seen - others).abs().max()

    def test_equal_cells_end_together_and_each_has_noise_of_its_own(self, model):
        x = normal(1, 2, seed=3).repeat(3, 1)
        population = torch.cat([x, normal(40, 2, seed=4)])
        still = respond(model, x, population=population).x
        assert torch.equal(still[0], still[2])
        noisy = respond(model, x, population=population, noise=0.5).x
        assert len(noisy.unique(dim=0)) == 3
        again = respond(model, x, population=population, noise=0.5, keys=[7, 7, 8]).x
        assert torch.equal(again[0], again[1])
        assert not torch.equal(again[0], again[2])

    def test_a_solver_that_moves_cells_together_is_refused(self, model):
        with pytest.raises(ValueError, match=r"which cells.*ode_solver=ct.models.Midpoint"):
            respond(model, normal(5, 2, seed=3), ode_solver=PredictorCorrector(n_steps=5))

    def test_the_population_matters(self, model):
        x = normal(9, 2, seed=3)
        one, other = (respond(model, x, population=normal(60, 2, seed=2) + c).x for c in (0.0, 2.0))
        assert (one - other).abs().max() > 1e-2

    def test_the_order_of_the_population_does_not_matter(self, model):
        x, population = normal(9, 2, seed=3), normal(60, 2, seed=2)
        order = torch.randperm(60, generator=generator(1))
        one, other = (respond(model, x, population=p).x for p in (population, population[order]))
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)

    def test_two_drugs_have_no_order(self, model):
        x = normal(9, 2, seed=3)
        one, other = (
            respond(model, x, Condition(drugs)) for drugs in (("drug", "other"), ("other", "drug"))
        )
        assert torch.equal(one.x, other.x)
        assert torch.equal(one.survival, other.survival)

    def test_no_guidance_is_no_condition(self, model):
        x = normal(20, 2, seed=3)
        one, other = (respond(model, x, c, guidance=0.0).x for c in (DRUG, OTHER))
        assert torch.equal(one, other)
        plain = respond(model, x).x
        assert torch.equal(respond(model, x, guidance=1.0).x, plain)
        assert not torch.allclose(plain, respond(model, x, OTHER).x)

    def test_a_single_cell_is_a_population(self, model):
        found = respond(model, normal(1, 2, seed=3))
        assert torch.isfinite(found.x).all()
        assert found.survival.tolist() == [1.0]

    def test_cells_far_from_all_others_stay_finite(self, model):
        x = torch.cat([normal(20, 2, seed=3), torch.full((1, 2), 1e4).double()])
        assert torch.isfinite(respond(model, x).x).all()

    def test_a_seed_repeats_and_leaves_the_global_state(self):
        state = torch.get_rng_state()
        populations = many(lambda y, m: y + 2, n=3)[0]
        flow, x = replace(FLOW, n_kernels=1), normal(20, 2, seed=3)
        one, two, other = (fitted(populations, flow, steps=12, seed=s) for s in (0, 0, 1))
        assert_same(one, two)
        assert torch.equal(respond(one, x).x, respond(two, x).x)
        assert not torch.equal(respond(one, x).x, respond(other, x).x)
        noisy = [respond(one, x, noise=0.5, generator=generator(s)).x for s in (0, 0, 1)]
        assert torch.equal(noisy[0], noisy[1])
        assert not torch.equal(noisy[0], noisy[2])
        assert torch.equal(torch.get_rng_state(), state)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"noise": -1.0}, "noise must not be negative; found -1"),
            ({"guidance": math.nan}, "guidance must be finite; found nan"),
            ({"condition": Condition(("third",))}, r"'third'; known are \['drug', 'other'\]"),
            ({"condition": Condition(("drug",), (1.0,))}, "the model has no doses"),
        ],
    )
    def test_what_cannot_be_predicted_is_told(self, model, options, message):
        with pytest.raises(ValueError, match=message):
            respond(model, normal(5, 2, seed=0), **options)

    def test_paths_without_noise_have_no_score(self):
        flow = replace(ALONE, interpolant=LinearInterpolant())
        still = fitted(many(lambda y, m: y + 2, n=2)[0], flow, steps=5)
        assert torch.isfinite(respond(still, normal(5, 2, seed=0)).x).all()
        with pytest.raises(ValueError, match="paths without noise have none; fit with sigma"):
            respond(still, normal(5, 2, seed=0), noise=0.1)


def assert_same(one, two):
    assert one.losses == two.losses
    for name, value in one.network.state_dict().items():
        assert torch.equal(value, two.network.state_dict()[name]), name
    for name in ("embeddings", "cells", "owner"):
        assert torch.equal(getattr(one.support, name), getattr(two.support, name)), name


class TestTraining:
    def test_the_order_of_cells_does_not_matter(self):
        populations = with_types(many(lambda y, m: y + 2, n=3)[0], 2)

        def shuffled(group, seed):
            order = torch.randperm(len(group.x), generator=generator(seed))
            return Group(group.x[order], group.types[order])

        other = replace(
            populations,
            controls=tuple(shuffled(g, k) for k, g in enumerate(populations.controls)),
            treated=tuple(
                replace(t, cells=shuffled(t.cells, 9 + k))
                for k, t in enumerate(populations.treated)
            ),
        )
        flow = replace(FLOW, encoder=Moments(n_features=2), n_kernels=2, cell_dropout=0.2)
        assert_same(*(fitted(p, flow, steps=12) for p in (populations, other)))

    def test_moving_and_stretching_all_variables_moves_and_stretches_predictions(self):
        factor, away = torch.tensor([3.0, 0.25]).double(), torch.tensor([-5.0, 2.0]).double()
        # neighbours, as plans, depend on how variables weigh against each other
        flow = replace(FLOW, n_kernels=2, encoder=Moments(n_features=2), base=0.0)

        def changed(group):
            return Group(factor * group.x + away)

        one = many(lambda y, m: y + 2, n=4)[0]
        other = Populations(
            one.names,
            tuple(map(changed, one.controls)),
            tuple(replace(t, cells=changed(t.cells)) for t in one.treated),
        )
        # the plan itself depends on how variables weigh against each other: here it is given
        flows = [replace(flow, coupling=Given(s)) for s in (torch.ones(2).double(), factor)]
        x = normal(30, 2, seed=3)
        paths = replace(flow, interpolant=LinearInterpolant()).interpolant
        ends = [
            respond(fitted(cells, replace(f, interpolant=paths, sigma=0.1), steps=40), y).x
            for cells, f, y in ((one, flows[0], x), (other, flows[1], factor * x + away))
        ]
        torch.testing.assert_close(ends[1], factor * ends[0] + away, rtol=1e-3, atol=1e-2)

    @pytest.mark.parametrize("step", [30, 77])
    def test_an_interrupted_fit_goes_on_as_if_it_were_not(self, tmp_path, monkeypatch, step):
        populations, flow = many(lambda y, m: y + 2, n=3)[0], replace(FLOW, n_kernels=1)
        trainer = TrainerOptions(checkpoint=tmp_path, checkpoint_every=50)
        whole, calls, plain = fitted(populations, flow, steps=120), [], ResponseLoss.__call__

        def interrupted(self, network, points):
            calls.append(points)
            if len(calls) == step:
                raise KeyboardInterrupt
            return plain(self, network, points)

        with monkeypatch.context() as patch:
            patch.setattr(ResponseLoss, "__call__", interrupted)
            with pytest.raises(KeyboardInterrupt):
                fitted(populations, flow, steps=120, trainer=trainer)
        again = fitted(populations, flow, steps=120, trainer=replace(trainer, resume=True))
        assert_same(again, whole)
        x = normal(20, 2, seed=3)
        assert torch.equal(respond(again, x).x, respond(whole, x).x)
        # complete by now: nothing is left to train
        assert_same(
            fitted(populations, flow, steps=120, trainer=replace(trainer, resume=True)), whole
        )

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda p: replace(p, names=tuple("abc")), "digest of the labels"),
            (lambda p: p.subset([0, 1]), "n_cells"),
            (lambda p: replace(p, treated=p.treated[::-1]), "digest of the cells"),
            (lambda p: with_types(p, 2), "digest of the cell types"),
            (lambda p: with_covariate(p), "digest of the conditions"),
        ],
        ids=["names", "fewer", "order", "types", "covariates"],
    )
    def test_the_checkpoint_of_another_fit_is_refused(self, tmp_path, change, message):
        populations = many(lambda y, m: y + 2, n=3)[0]
        trainer = TrainerOptions(checkpoint=tmp_path, resume=True)
        fitted(populations, steps=5, trainer=trainer)
        changed = change(populations)
        with pytest.raises(ValueError, match=f"of another training:.*{message} was"):
            fit_response(
                changed,
                replace(
                    ALONE,
                    sigma=None,
                    covariate_keys=("age",) if changed.conditions[0].covariates else (),
                    n_context=50,
                ),
                training=Training(max_steps=5, width=32, batch_size=32, trainer=trainer),
                generator=generator(),
                progress=False,
            )

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"n_populations": 0}, r"must be positive and n_kernels not negative; found 0, 128"),
            ({"n_kernels": -1}, "n_kernels not negative; found 8, 128 and -1"),
            ({"cell_dropout": 1.0}, r"must lie in \[0, 1\); found 1.0"),
            ({"unknown": -0.1}, r"must lie in \[0, 1\)"),
            ({"kl": -1.0}, "kl and weight_decay must not be negative; found -1"),
        ],
    )
    def test_numbers_are_checked(self, options, message):
        with pytest.raises(ValueError, match=message):
            ResponseOptions(**options)

    def test_a_decay_that_takes_the_whole_of_a_weight_is_refused(self):
        options = replace(ALONE, weight_decay=500.0)
        with pytest.raises(ValueError, match="must stay below 1"):
            fitted(many(lambda y, m: y, n=2)[0], options, steps=5, learning_rate=0.01)

    @pytest.mark.parametrize(
        ("options", "error", "message"),
        [
            ({"sigma": 0.0}, ValueError, "sigma must be positive and finite; found 0.0"),
            ({"encoder": Moments}, TypeError, r"Moments\(\.\.\.\), in place of the class as enco"),
            ({"coupling": Unbalanced}, TypeError, r"Unbalanced\(\.\.\.\), in place of the class"),
            ({"interpolant": LinearInterpolant}, TypeError, r"LinearInterpolant\(\.\.\.\), in pl"),
        ],
    )
    def test_parts_are_checked(self, options, error, message):
        with pytest.raises(error, match=message):
            ResponseOptions(**options)

    def test_an_embedding_under_divergence_stays_near_the_normal_law(self):
        populations = many(lambda y, m: y + TWIST @ m, n=8)[0]
        sizes = []
        for kl in (0.0, 1.0):
            model = fitted(populations, replace(FLOW, n_kernels=0, kl=kl), steps=150)
            sizes.append(float(model.support.embeddings.square().mean()))
        assert sizes[1] < min(sizes[0], 1.0)

    def test_populations_are_drawn_equally_often_and_contexts_are_their_own_cells(self):
        tasks = [
            Task(
                couple(Group(x), Group(x), solve, sigma=0.5),
                x.float(),
                torch.ones(k + 1, 2),
                torch.zeros(0),
                x.float(),
            )
            for k, x in enumerate((normal(5, 2, seed=0), normal(60, 2, seed=1) + 50))
        ]
        options = replace(FLOW, n_context=8, cell_dropout=0.0)
        sizes = FieldSizes(dim=2, embedding=3, token=2, heads=1)
        step = StepSizes(options, sizes, batch_size=4)
        paths = BrownianBridgeInterpolant(sigma=0.1)
        batches = ResponseBatches(tasks, paths, step, 50, generator())
        (steps,) = list(batches)
        assert len(steps) == 50
        is_large = torch.cat([one.x[:, 0, 0] > 25 for one in steps])
        # 400 draws of a fair coin: a standard error of .025
        assert float(is_large.float().mean()) == pytest.approx(0.5, abs=0.1)
        for points in steps:
            large = points.x[:, 0, 0] > 25
            assert ((points.neighbourhood[..., 0] > 25) == large[:, None]).all()
            assert (points.mask.sum(1) == torch.where(large, 8, 5)).all()
            assert (points.token_mask.sum(1) == torch.where(large, 2, 1)).all()
            for cells, mask, k in zip(points.features, points.mask, large.tolist(), strict=True):
                own = tasks[k].features
                at = (cells[mask][:, None] == own).all(2)
                assert (at.sum(1) == 1).all()
                assert (at.sum(0) <= 1).all()  # each once
            # each cell carries what is its own
            assert torch.equal(points.carried, points.start.float())
            # a population is seen at one time, so that its neighbourhood is that of this time
            assert (points.t == points.t[:, :1]).all()


class Given:
    """Couple each cell with the nearest one, in variables of given scales."""

    is_balanced = True

    def __init__(self, scale):
        self.scale = scale

    def __call__(self, cost, a, b, *, epsilon):
        return solve(SquaredEuclidean(cost.x / self.scale, cost.y / self.scale), a, b, epsilon=0.1)


def with_types(populations, n):
    return replace(
        populations,
        controls=tuple(Group(g.x, torch.arange(len(g.x)) % n) for g in populations.controls),
        treated=tuple(
            replace(t, cells=Group(t.cells.x, torch.arange(len(t.cells.x)) % n))
            for t in populations.treated
        ),
    )


def with_covariate(populations):
    return replace(
        populations,
        treated=tuple(
            replace(t, condition=Condition(("drug",), (), (float(k),)))
            for k, t in enumerate(populations.treated)
        ),
    )


class TestSupport:
    def test_distances_are_those_of_a_plain_loop(self):
        cells, owner = normal(30, 2, seed=0).float(), torch.arange(30) % 3
        support = Support(tuple("abc"), torch.zeros(3, 0), cells, owner)
        x = normal(4, 2, seed=1).float()
        wanted = torch.stack([min((one - y).norm() for y in cells) for one in x])
        torch.testing.assert_close(support.distance(x), wanted)
        others = [
            min((cells[i] - cells[j]).norm() for j in range(30) if owner[j] != owner[i])
            for i in range(30)
        ]
        assert support.usual == pytest.approx(float(torch.stack(others).quantile(0.99)), rel=1e-4)

    def test_a_far_population_is_told_from_those_of_the_training(self):
        model = fitted(many(lambda y, m: y + 2)[0], replace(FLOW, n_kernels=0), steps=60)
        near, far = normal(200, 2, seed=5), normal(200, 2, seed=5) + 12
        outside = [
            (model.support.distance(model.standardised(x)) > model.support.usual).double().mean()
            for x in (near, far)
        ]
        assert outside[0] < 0.05
        assert outside[1] > 0.95
        ratios = [model.support.embedding_ratio(model.embed(x)) for x in (near, far)]
        assert ratios[0] < 1.5 < 2 < ratios[1]

    def test_a_single_population_has_no_usual(self):
        model = fitted(many(lambda y, m: y + 2, n=1)[0], steps=3)
        assert model.support.usual == math.inf
        assert math.isnan(model.support.embedding_ratio(model.embed(normal(5, 2, seed=0))))


class TestPopulations:
    def test_a_subset_keeps_what_its_treatments_need(self):
        populations = many(lambda y, m: y, n=4)[0]
        part = populations.subset([3, 1])
        assert part.names == ("patient 1", "patient 3")
        assert [part.names[one.population] for one in part.treated] == ["patient 3", "patient 1"]
        assert torch.equal(part.controls[1].x, populations.controls[3].x)
        assert torch.equal(part.treated[0].cells.x, populations.treated[3].cells.x)

    @pytest.mark.parametrize(
        ("control", "after", "message"),
        [
            (torch.zeros(0, 2), torch.ones(3, 2), "the control of 'a' has states of shape"),
            (torch.zeros(3, 2), torch.ones(3, 1), r"'a' under 'drug' has states of shape \(3, 1\)"),
            (torch.zeros(3, 2) / 0, torch.ones(3, 2), "of 'a' has states that are NaN or infinite"),
        ],
    )
    def test_groups_are_checked(self, control, after, message):
        with pytest.raises(ValueError, match=message):
            Populations(("a",), (Group(control),), (Treated(0, DRUG, Group(after)),))

    def test_treated_cells_are_needed(self):
        with pytest.raises(ValueError, match="found 1 controls and 0 treatments"):
            Populations(("a",), (Group(torch.zeros(3, 2)),), ())


def test_a_process_is_what_models_return(model):
    process = model.process(normal(40, 2, seed=1), DRUG, generator=generator())
    assert isinstance(process, ResponseProcess)
