"""Registration of slices against known motions, scipy's Procrustes and geometry."""

import math

import numpy as np
import pytest
import torch
from analytic import normal, uniform
from scipy.sparse import csr_array
from scipy.spatial.transform import Rotation

from celltraj import ot

N = 120


def rotation(k, seed=0):
    """Return a rotation far from none, ``(k, k)``."""
    if k == 2:
        c, s = math.cos(2.3), math.sin(2.3)
        return torch.tensor([[c, -s], [s, c]]).double()
    return torch.from_numpy(Rotation.random(random_state=seed).as_matrix())


def slices(k, scale=2.5, seed=0):
    """Return a slice without symmetry and the same turned, sized, moved and in another order."""
    u = normal(N, k, seed=seed) * torch.tensor([3.0, 1.5, 1.0])[:k]
    u[: N // 4] += 3
    order = torch.randperm(N, generator=torch.Generator().manual_seed(1))
    v = scale * u @ rotation(k).T + 7
    return u, v[order], order


@pytest.mark.parametrize(
    ("k", "alpha"), [(2, 0.5), (2, 1.0), (3, 1.0), pytest.param(3, 0.5, marks=pytest.mark.slow)]
)
def test_a_motion_of_the_whole_slice_is_found(k, alpha):
    u, v, order = slices(k)
    x = normal(N, 2, seed=4)
    cost = ot.SquaredEuclidean(x, x[order])
    found = ot.Registration(alpha=alpha).register(cost, uniform(N), uniform(N), coordinates=(u, v))
    assert found.converged
    one = found.similarity
    # entropy blurs the plan, and with it the rotation, by less than epsilon
    torch.testing.assert_close(one.rotation, rotation(k), atol=0.02, rtol=0)
    assert one.scale == pytest.approx(2.5, rel=0.02)
    away = one(u)[order] - v
    assert float(away.norm(dim=1).max()) < 0.05 * float((v - v.mean(0)).norm(dim=1).max())


def test_places_alone_find_which_cell_is_which():
    u, v, order = slices(2)
    cost = ot.SquaredEuclidean(torch.zeros(N, 1), torch.zeros(N, 1))
    found = ot.Registration(alpha=1)(cost, uniform(N), uniform(N), coordinates=(u, v), epsilon=1e-3)
    right = order[found.to_dense().argmax(1)] == torch.arange(N)
    assert float(right.double().mean()) > 0.9


def test_units_frames_and_offsets_change_nothing():
    u, v, order = slices(2)
    x = normal(N, 2, seed=4)
    cost = ot.SquaredEuclidean(x, x[order])
    plans = [
        ot.Registration()(
            cost, uniform(N), uniform(N), coordinates=sides, epsilon=0.05 * cost.mean()
        ).to_dense()
        for sides in ((u, v), (1e3 * u @ rotation(2) - 5, v), (u, 1e-3 * v + 1))
    ]
    for other in plans[1:]:
        assert float((other - plans[0]).abs().sum()) < 0.02


def test_without_weight_of_places_it_is_plain_transport():
    u, v, order = slices(2)
    x = normal(N, 2, seed=4)
    cost = ot.SquaredEuclidean(x, x[order] + 1)
    epsilon = 0.05 * cost.mean()
    found = ot.Registration(alpha=0)(
        cost, uniform(N), uniform(N), coordinates=(u, v), epsilon=epsilon
    )
    expected = ot.solve(cost, uniform(N), uniform(N), epsilon=epsilon).to_dense()
    torch.testing.assert_close(found.to_dense(), expected, atol=1e-7, rtol=0)


def test_mirror_images_are_found_only_where_they_are_allowed():
    u, _, order = slices(2)
    v = (u * torch.tensor([-1.0, 1.0]))[order]
    cost = ot.SquaredEuclidean(torch.zeros(N, 1), torch.zeros(N, 1))
    given = {"coordinates": (u, v)}
    for reflects in (False, True):
        found = ot.Registration(alpha=1, reflects=reflects).register(
            cost, uniform(N), uniform(N), **given
        )
        determinant = float(torch.linalg.det(found.similarity.rotation))
        assert determinant == pytest.approx(-1 if reflects else 1)


def test_procrustes_of_pairs_is_that_of_scipy():
    u, v = normal(N, 3, seed=0), normal(N, 3, seed=1)
    w = uniform(N) * (0.5 + torch.arange(N) / N)
    w = w / w.sum()
    pairs = ot.SparseCoupling(csr_array(np.diag(w.numpy())))
    found = ot.Similarity.of_plan(pairs, u, v)
    centred = [(z - w @ z).numpy() for z in (u, v)]
    expected, _ = Rotation.align_vectors(centred[1], centred[0], weights=w.numpy())
    np.testing.assert_allclose(found.rotation, expected.as_matrix(), atol=1e-9)


class TestSimilarity:
    def one(self, k):
        return ot.Similarity(rotation(k), 2.0, normal(1, k, seed=5)[0], normal(1, k, seed=6)[0])

    @pytest.mark.parametrize("k", [2, 3])
    def test_back_and_forth_is_none(self, k):
        u, one = normal(9, k, seed=0), self.one(k)
        torch.testing.assert_close(one.inverse()(one(u)), u)
        torch.testing.assert_close(one(u), one.scale * u @ one.rotation.T + one.offset)

    @pytest.mark.parametrize("k", [2, 3])
    def test_one_after_the_other_is_both(self, k):
        u, one = normal(9, k, seed=0), self.one(k)
        other = ot.Similarity(rotation(k, 3), 0.3, normal(1, k, seed=7)[0], normal(1, k, seed=8)[0])
        torch.testing.assert_close(one.then(other)(u), other(one(u)))

    @pytest.mark.parametrize("k", [2, 3])
    def test_two_halves_turn_and_size_as_the_whole(self, k):
        one = self.one(k)
        half = one.part(0.5)
        torch.testing.assert_close(half.rotation @ half.rotation, one.rotation)
        assert half.scale**2 == pytest.approx(one.scale)
        assert abs(half.angle) == pytest.approx(abs(one.angle) / 2)
        u = normal(9, k, seed=0)
        torch.testing.assert_close(one.part(1.0)(u), one(u))
        torch.testing.assert_close(one.part(0.0)(u), u)

    def test_pairs_that_move_with_the_slice_are_where_it_takes_them(self):
        u, one = normal(9, 2, seed=0), self.one(2)
        torch.testing.assert_close(one.between(u, one(u), 0.3), one.part(0.3)(u))

    def test_nothing_lies_between_a_slice_and_its_mirror_image(self):
        flip = torch.diag(torch.tensor([1.0, -1.0]).double())
        zero = torch.zeros(2, dtype=torch.float64)
        with pytest.raises(ValueError, match="the similarity mirrors"):
            ot.Similarity(flip, 1.0, zero, zero).part(0.5)


class TestRefused:
    def call(self, u, v, **options):
        cost = ot.SquaredEuclidean(torch.zeros(len(u), 1), torch.ones(len(v), 1))
        weights = uniform(len(u)), uniform(len(v))
        return ot.Registration(**options).register(cost, *weights, coordinates=(u, v))

    def test_other_numbers_of_dimensions(self):
        with pytest.raises(ValueError, match=r"in two or in three dimensions, .*; found 2 and 3"):
            self.call(normal(9, 2, seed=0), normal(9, 3, seed=0))
        with pytest.raises(ValueError, match="found 4 and 4"):
            self.call(normal(9, 4, seed=0), normal(9, 4, seed=0))

    def test_a_slice_that_is_a_point(self):
        with pytest.raises(ValueError, match="all later cells lie at one point"):
            self.call(normal(9, 2, seed=0), torch.ones(9, 2))

    def test_options_out_of_range(self):
        with pytest.raises(ValueError, match=r"alpha must lie in \[0, 1\]; found -0.1"):
            ot.Registration(alpha=-0.1)
        with pytest.raises(ValueError, match="n_cells and max_rounds must be positive"):
            ot.Registration(n_cells=0)
        with pytest.raises(ValueError, match=r"tau_a must lie in \(0, 1\]"):
            ot.Registration(tau=(0.0, 1.0))
