"""Mean-field laws: what the equations say they must be."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from celltraj.models import Crowd, KernelReference, MeanField, MeanFieldProcess, Paths, simulate
from celltraj.models._facts import Stored
from celltraj.models.mean_field.sums import PopulationSums
from celltraj.models.references import PackedReference, pack_reference, unpack_reference
from celltraj.models.references.surroundings import Surroundings

KAPPA = 0.8


def drawn(n, d, seed, *, width=1.0, centre=0.0):
    g = torch.Generator().manual_seed(seed)
    return centre + width * torch.randn(n, d, generator=g, dtype=torch.float64)


def surroundings(d, *, widths=(0.5, 2.0), n_bends=2):
    g = torch.Generator().manual_seed(d)
    bends = torch.linspace(0, 0.2, n_bends, dtype=torch.float64).repeat(len(widths), 1)
    unit = 1 + torch.rand(d, generator=g, dtype=torch.float64)
    return Surroundings(unit, torch.tensor(widths, dtype=torch.float64), bends)


def paths_of(seed, *, centre, kappa=KAPPA, n=60, n_nodes=5, noise=0.2):
    """Return cells of a population that are drawn to its mean, at nodes of one gap."""
    g = torch.Generator().manual_seed(seed)
    grid = torch.linspace(0, 1, n_nodes, dtype=torch.float64)
    x = torch.stack([drawn(n, 2, 97 * seed + k, centre=centre) for k in range(n_nodes)])
    rate = kappa * (x.mean(1, keepdim=True) - x)
    rate = rate + noise * torch.randn(rate.shape, generator=g, dtype=rate.dtype)
    weights = torch.full((n,), 1 / n, dtype=torch.float64)
    return [Paths(grid, x, rate[:-1], weights)]


CENTRES = (-3.0, -1.0, 1.0, 4.0)


@pytest.fixture(scope="module")
def paths():
    return [paths_of(seed, centre=centre) for seed, centre in enumerate(CENTRES)]


def framed(paths, **options):
    clouds = [x for own in paths for one in own for x in one.x]
    return MeanField(KernelReference(n_centres=12), **options).framed(clouds, sigma=0.1)


def ornstein_uhlenbeck(kappa=KAPPA, sigma=0.3, d=2):
    """Return the law ``dX = kappa (mean - X) dt + sigma dW``, by hand."""
    around = surroundings(d)
    weights = torch.zeros(around.size, d, dtype=torch.float64)
    weights[-d:] = kappa * torch.diag(around.unit)
    zeros = torch.zeros(4, d, dtype=torch.float64)
    frame = torch.stack([zeros[0], zeros[1] + 1, zeros[2] - 9, zeros[3] + 9])
    base = KernelReference(
        sigma=sigma,
        frame=frame,
        centres=zeros[:1],
        weights=torch.zeros(2 + d, d, dtype=torch.float64),
    )
    return MeanField(base, surroundings=around, weights=weights)


class TestSurroundings:
    def test_density_and_pull_are_means_over_the_crowd(self):
        x, y, s = drawn(7, 3, 0), drawn(40, 3, 1), surroundings(3)
        seen = s.seen(x, y)
        z, crowd = (x / s.unit).numpy(), (y / s.unit).numpy()
        for k, h in enumerate(s.widths.tolist()):
            kernel = np.exp(-(cdist(z, crowd) ** 2) / (2 * h**2))
            np.testing.assert_allclose(seen.density[:, k], kernel.mean(1), rtol=1e-10)
            way = (kernel[:, :, None] * (crowd[None] - z[:, None])).mean(1) / h
            np.testing.assert_allclose(seen.pull[:, k], way, rtol=1e-8, atol=1e-12)
        np.testing.assert_allclose(seen.centre, crowd.mean(0) - z, rtol=1e-10)

    def test_a_cell_does_not_see_itself(self):
        y, s = drawn(30, 2, 0), surroundings(2)
        own = s.features(y, y, is_own=True)
        others = torch.cat(
            [s.seen(y[k : k + 1], y[torch.arange(30) != k]).density for k in range(3)]
        )
        torch.testing.assert_close(s.seen(y, y, is_own=True).density[:3], others)
        assert own.shape == (30, s.size)

    @pytest.mark.parametrize("d", [1, 2, 10])
    def test_slopes_are_those_of_autograd(self, d):
        x, y, s = drawn(5, d, 0, centre=7.0), drawn(50, d, 1, centre=7.0), surroundings(d)
        s = s.with_edges(s.features(y, y, is_own=True))  # some of the cells lie beyond
        features, slopes = s.features_and_slopes(x, y)
        torch.testing.assert_close(features, s.features(x, y))
        automatic = torch.autograd.functional.jacobian(lambda x: s.features(x, y).sum(0), x)
        torch.testing.assert_close(slopes, automatic.permute(1, 0, 2))

    def test_they_are_the_same_wherever_a_population_lies_and_in_any_order_of_its_cells(self):
        x, y, s = drawn(5, 2, 0), drawn(50, 2, 1), surroundings(2)
        far = s.features(x + 1e6, y + 1e6)
        torch.testing.assert_close(far, s.features(x, y), rtol=1e-8, atol=1e-8)
        order = torch.randperm(50, generator=torch.Generator().manual_seed(0))
        torch.testing.assert_close(s.features(x, y[order]), s.features(x, y))

    def test_they_are_the_same_in_any_unit(self):
        clouds = [drawn(40, 2, seed) for seed in range(3)]
        scale = torch.tensor([1e3, 1e-3], dtype=torch.float64)
        one, other = (
            MeanField().framed(given, sigma=1.0).surroundings
            for given in (clouds, [x * scale for x in clouds])
        )
        torch.testing.assert_close(
            one.features(clouds[0], clouds[1]),
            other.features(clouds[0] * scale, clouds[1] * scale),
        )


class TestRegression:
    def test_where_nothing_around_a_cell_counts_it_is_the_kernel_fit_of_all_paths(self, paths):
        law = framed(paths)
        found = PopulationSums.of(law, paths).solved(0.0, 1.0)
        assert not found.is_mean_field
        zeros = torch.zeros(15, 2, dtype=torch.float64)  # keeps its frame and centres
        pooled = replace(law.base, weights=zeros).fit(
            [one for own in paths for one in own], generator=torch.Generator()
        )
        x = drawn(9, 2, 5, width=3.0)
        torch.testing.assert_close(found.drift(x, x), pooled.drift(0.0, x), rtol=1e-7, atol=1e-8)

    def test_the_pull_to_the_mean_is_found(self, paths):
        """4 x 240 points of unit spread: the standard error of a slope is .2 / sqrt(960)."""
        law = PopulationSums.of(framed(paths), paths).solved(1.0, 1e4)
        x = drawn(200, 2, 11, centre=torch.tensor([0.0, -2.0]).double())  # a place between them
        drift = law.drift(x, x, is_own=True)
        slope = torch.linalg.lstsq(x.mean(0) - x, drift).solution
        # the ridge, and widths that tell the same as the mean, add of the order of the error
        np.testing.assert_allclose(slope, KAPPA * np.eye(2), atol=5 * 0.2 / 960**0.5)
        rest = drift - (x.mean(0) - x) @ slope
        assert float(rest.square().mean().sqrt()) < 0.1

    @pytest.mark.parametrize("own", [0.0, 0.3])
    def test_leaving_a_population_out_is_solving_without_it(self, paths, own):
        sums = PopulationSums.of(framed(paths), paths)
        left = sums.held_out(own, 10.0)
        for k in range(4):
            others = [i for i in range(4) if i != k]
            fewer = replace(sums, grams=sums.grams[others], pulls=sums.pulls[others])
            law = fewer.solved(own, 10.0)
            total = 0.0
            for one in paths[k]:
                for x, v, step in zip(one.x[:-1], one.velocity, one.times.diff(), strict=True):
                    miss = law.drift(x, x, is_own=True) - v
                    total += float(step * miss.square().sum(1).mean())
            # all gaps together last four units of time, by which sums are divided
            assert float(left[k]) == pytest.approx(total / 4, rel=1e-6)

    def test_moved_populations_have_the_moved_law(self, paths):
        moved = [[replace(one, x=one.x + 100.0) for one in own] for own in paths]
        x = drawn(9, 2, 5)
        here, there = (PopulationSums.of(framed(p), p).solved(0.3, 1.0) for p in (paths, moved))
        torch.testing.assert_close(
            here.drift(x, x), there.drift(x + 100.0, x + 100.0), rtol=1e-6, atol=1e-7
        )

    def test_variables_that_never_vary_are_no_trouble(self, paths):
        flat = [
            [
                replace(
                    one,
                    x=torch.cat([one.x, torch.ones_like(one.x[..., :1])], 2),
                    velocity=torch.cat([one.velocity, torch.zeros_like(one.velocity[..., :1])], 2),
                )
                for one in own
            ]
            for own in paths
        ]
        law = PopulationSums.of(framed(flat), flat).solved(0.3, 1.0)
        x = torch.cat([drawn(9, 2, 5), torch.ones(9, 1)], 1)
        drift = law.drift(x, x)
        assert torch.isfinite(drift).all()
        torch.testing.assert_close(drift[:, 2], torch.zeros(9, dtype=torch.float64))


class TestProcess:
    def test_a_particle_system_has_the_moments_of_the_law(self):
        """The mean of a population rests; its variance relaxes to ``sigma^2 / (2 kappa)``."""
        law, x = ornstein_uhlenbeck(), drawn(512, 2, 0, width=2.0, centre=3.0)
        process = MeanFieldProcess.of(law, x, start=1.0, stop=3.0)
        end = process.crowd.at(3.0)
        decay = np.exp(-2 * KAPPA * 2.0)
        expected = x.var(0) * decay + 0.3**2 / (2 * KAPPA) * (1 - decay)
        # a variance of n has a relative error of sqrt(2 / n), of what the noise adds alone here
        np.testing.assert_allclose(end.var(0), expected, rtol=4 * (2 / 512) ** 0.5)
        np.testing.assert_allclose(end.mean(0), x.mean(0), atol=4 * 0.3 * (2 / 512) ** 0.5)

    def test_cells_among_the_crowd_are_distributed_as_it_is(self):
        law, x = ornstein_uhlenbeck(), drawn(512, 2, 0, width=2.0, centre=3.0)
        process = MeanFieldProcess.of(law, x, start=0.0, stop=1.0)
        path = simulate(process, x, (0.0, 1.0), generator=torch.Generator().manual_seed(1))
        for crowd, found in ((process.crowd.at(1.0), path.x[-1]),):
            np.testing.assert_allclose(found.var(0), crowd.var(0), rtol=5 * (4 / 512) ** 0.5)
            np.testing.assert_allclose(found.mean(0), crowd.mean(0), atol=0.1)

    def test_it_converges_with_the_step(self):
        """Without noise Heun's rule is exact to the second order: 4 for a half of the step."""
        law, x = ornstein_uhlenbeck(sigma=1e-12), drawn(20, 2, 0)
        exact = x.mean(0) + (x - x.mean(0)) * np.exp(-KAPPA)
        errors = [
            float(
                (MeanFieldProcess.of(law, x, start=0, stop=1, n_steps=n).crowd.x[-1] - exact).norm()
            )
            for n in (8, 16)
        ]
        assert errors[0] / errors[1] == pytest.approx(4, rel=0.1)

    def test_slopes_are_those_of_autograd(self, paths):
        law = PopulationSums.of(framed(paths), paths).solved(0.3, 1.0)
        process = MeanFieldProcess.of(law, paths[0][0].x[0], start=0.0, stop=1.0, n_steps=5)
        x = drawn(6, 2, 3, centre=-3.0)
        drift, slope = process.drift_and_jacobian(0.3, x)
        torch.testing.assert_close(drift, process.drift(0.3, x))
        automatic = torch.autograd.functional.jacobian(lambda x: process.drift(0.3, x).sum(0), x)
        torch.testing.assert_close(slope, automatic.permute(1, 0, 2))

    @pytest.mark.parametrize("d", [2, 12])
    def test_the_common_slope_is_that_of_the_pull(self, d):
        law = ornstein_uhlenbeck(d=d)
        process = MeanFieldProcess.of(law, drawn(30, d, 0), start=0.0, stop=1.0, n_steps=2)
        expected = -KAPPA * torch.eye(d, dtype=torch.float64)
        torch.testing.assert_close(process.common_slope, expected)

    def test_a_file_holds_it_bit_by_bit(self, paths):
        law = PopulationSums.of(framed(paths), paths).solved(0.3, 1.0)
        process = MeanFieldProcess.of(law, paths[0][0].x[0], start=0.0, stop=1.0, n_steps=3)
        name, options, tensors = pack_reference(process)
        stored = Stored(tensors)
        again = unpack_reference(PackedReference(name, options), stored, dim=2, classes={})
        stored.finish()
        x = drawn(6, 2, 3)
        assert torch.equal(again.drift(0.4, x), process.drift(0.4, x))

    def test_more_cells_than_stand_for_a_population(self):
        process = MeanFieldProcess.of(
            ornstein_uhlenbeck(), drawn(700, 2, 0), start=0, stop=1, n_steps=2
        )
        assert process.crowd.x.shape == (3, 512, 2)


class TestCrowd:
    def test_cells_go_straight_and_are_exchanged_at_a_time_that_occurs_twice(self):
        x = torch.tensor([0.0, 2.0, 10.0, 12.0]).reshape(4, 1, 1)
        crowd = Crowd(torch.tensor([0.0, 1.0, 1.0, 2.0]), x)
        assert [float(crowd.at(t)) for t in (0.0, 0.5, 1.0, 1.5, 2.0)] == [0, 1, 10, 11, 12]

    @pytest.mark.parametrize("t", [-0.1, 1.1])
    def test_where_the_population_is_not_known(self, t):
        crowd = Crowd(torch.tensor([0.0, 1.0]), torch.zeros(2, 3, 1))
        with pytest.raises(ValueError, match=r"known from 0 to 1, .*fitted\.of"):
            crowd.at(t)


class TestRefused:
    @pytest.mark.parametrize(
        ("cells", "times", "n_steps", "message"),
        [
            (np.zeros((5, 3)), (0, 1), 5, "3 variables, the law has 2"),
            (np.zeros((1, 2)), (0, 1), 5, "two cells or more"),
            (np.zeros((5, 2)), (1, 1), 5, "stop must be later than start"),
            (np.zeros((5, 2)), (0, 1), 0, "n_steps must be at least 1"),
            (np.full((5, 2), np.nan), (0, 1), 5, "cells must be finite"),
        ],
    )
    def test_populations(self, cells, times, n_steps, message):
        with pytest.raises(ValueError, match=message):
            MeanFieldProcess.of(
                ornstein_uhlenbeck(), cells, start=times[0], stop=times[1], n_steps=n_steps
            )

    def test_laws(self):
        with pytest.raises(ValueError, match="no weights yet"):
            MeanFieldProcess.of(MeanField(), np.zeros((5, 2)), start=0, stop=1)
        with pytest.raises(ValueError, match="quantiles must lie between 0 and 1"):
            MeanField(quantiles=(0.5, 1.0))
        with pytest.raises(ValueError, match="n_bends must be at least 1"):
            MeanField(n_bends=0)
        process = MeanFieldProcess.of(ornstein_uhlenbeck(), np.eye(2), start=0, stop=1)
        with pytest.raises(ValueError, match=r"from several populations together, by ct\.tl"):
            process.fit([], generator=torch.Generator())
