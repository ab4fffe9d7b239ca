"""What a cell sees of its population, against loops in numpy, and what must leave it as it is."""

import json

import numpy as np
import pytest
import torch

from celltraj.models.encoders import (
    CellEncoder,
    GraphEncoder,
    PooledGraphEncoder,
    PopulationEncoder,
    _soft_graph,
    carrying,
    pack_encoder,
    pooling,
    unpack_encoder,
)
from celltraj.models.encoders._soft_graph import N_LOCAL, SHARES, SoftGraph

ENCODER = GraphEncoder()


def normal(n, d=3, *, seed=0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def close(found, wanted, *, rtol=2e-4, atol=2e-5):
    # float32 sums, in another order and divided by bandwidths
    torch.testing.assert_close(found.double(), wanted.double(), rtol=rtol, atol=atol)


def rotation(d, *, seed=0):
    return torch.linalg.qr(normal(d, d, seed=seed).double())[0]


def vectors_and_scalars(carried, d):
    n = ENCODER.n_vectors * d
    return carried[:, :n].unflatten(1, (-1, d)), carried[:, n:]


def dense(x, y, own, bandwidths):
    """Return ways, both products, densities and reaches at all scales, by loops over cells."""
    n, d = x.shape
    ways, square, cross = (np.zeros((n, len(bandwidths), d)) for _ in range(3))
    density, reach = (np.zeros((n, len(bandwidths))) for _ in range(2))
    weights = np.zeros((n, len(bandwidths), len(y)))
    for i in range(n):
        others = [j for j in range(len(y)) if not (own and j == i)]
        distances = ((x[i] - y[others]) ** 2).sum(1)
        for k in reversed(range(len(bandwidths))):
            b, is_last = bandwidths[k], k == len(bandwidths) - 1
            raw = np.ones(len(others)) if is_last else np.exp(-distances / (2 * b**2))
            w = raw / raw.sum()
            mean = w @ y[others]
            covariance = np.einsum("j,ja,jb->ab", w, y[others] - mean, y[others] - mean) / b**2
            weights[i, k, others] = w
            ways[i, k] = (mean - x[i]) / b
            square[i, k] = covariance @ ways[i, k]
            cross[i, k] = 0 if is_last else covariance @ ways[i, k + 1]
            density[i, k] = np.log(raw.mean())
            reach[i, k] = np.sqrt(w @ distances) / b
    return ways, square, cross, density, reach, weights


@pytest.mark.parametrize(("n", "d"), [(2, 1), (9, 2), (30, 4)])
def test_features_are_those_of_loops(n, d):
    population, new = normal(n, d).double(), normal(5, d, seed=1).double()
    graph = SoftGraph.of(population)
    y, b = graph.population.double().numpy(), graph.bandwidths
    ways, square, cross, density, reach, weights = dense(y, y, own=True, bandwidths=b)
    for x, own in ((y, True), (new.float().double().numpy(), False)):
        seen = dense(x, y, own=own, bandwidths=b)
        found = graph.seen_from(torch.from_numpy(x))
        for k in range(N_LOCAL):
            second = np.einsum("ij,jd->id", seen[5][:, k], ways[:, k])
            wanted = np.stack([seen[0][:, k], seen[1][:, k], seen[2][:, k], second], 1)
            close(found.vectors[:, 4 * k : 4 * k + 4], torch.from_numpy(wanted))
            told = np.stack([density[:, k], reach[:, k]], 1)
            wanted = np.concatenate([seen[3][:, k, None], seen[4][:, k, None],
                                     seen[5][:, k] @ told], 1)  # fmt: skip
            close(found.scalars[:, 4 * k : 4 * k + 4], torch.from_numpy(wanted))
        close(found.vectors[:, -2:], torch.from_numpy(np.stack([seen[0][:, -1], seen[1][:, -1]], 1)))
        close(found.scalars[:, -1], torch.from_numpy(seen[4][:, -1]))


def test_a_pair_sees_each_other():
    x = torch.tensor([[0.0, 0.0], [3.0, 4.0]])
    graph = SoftGraph.of(x)
    seen = graph.seen_from(x)
    for k, b in enumerate(graph.bandwidths[:-1]):
        close(seen.vectors[0, 4 * k], x[1] / b)  # the other one
        close(seen.vectors[0, 4 * k + 1 : 4 * k + 3], torch.zeros(2, 2))  # is alone
        close(seen.vectors[0, 4 * k + 3], -x[1] / b)  # and sees this one
        close(seen.scalars[0, 4 * k : 4 * k + 2], torch.tensor([-25 / (2 * b**2), 5 / b]))


def test_bandwidths_are_those_of_the_effective_neighbours():
    for d in (1, 2, 10):
        x = normal(400, d).double()
        squares = torch.cdist(x, x).square().fill_diagonal_(torch.inf)
        for share, b in zip(SHARES, SoftGraph.of(x).bandwidths, strict=False):
            weights = (squares / (-2 * b**2)).softmax(1)
            effective = (1 / weights.square().sum(1)).median() / len(x)
            # of 64 cells in place of all: the median has a standard error of 1.25 spread / 8
            spread = (1 / weights.square().sum(1)).log().std()
            assert abs(np.log(float(effective / share))) < 4 * 1.25 * float(spread) / 8 + 0.02


def test_kernels_of_letters_are_those_that_were_found_to_serve():
    # units of the standard deviation; blurred letters are nearly normal
    wanted = np.array([0.14, 0.22, 0.39, 0.67, 1.33])
    found = np.array(SoftGraph.of(normal(700, 2)).bandwidths[:-1])
    assert np.abs(np.log(found / wanted)).max() < 0.25


@pytest.mark.parametrize("d", [2, 5])
def test_vectors_turn_with_the_cells_and_scalars_stay(d):
    x, turn = normal(80, d).double(), rotation(d)
    vectors, scalars = vectors_and_scalars(ENCODER.carried(x, x), d)
    turned = vectors_and_scalars(ENCODER.carried(x @ turn, x @ turn), d)
    close(turned[0], vectors.double() @ turn)
    close(turned[1], scalars)


def test_moving_and_stretching_a_population_leaves_its_features():
    x = normal(60).double()
    features = ENCODER.carried(x, x)
    close(ENCODER.carried(x + 2, x + 2), features)
    close(ENCODER.carried(3 * x, 3 * x), features)


def test_the_order_of_cells_does_not_matter():
    side = torch.arange(4.0)
    for x in (normal(60), torch.cartesian_prod(side, side, side).repeat(2, 1)):
        order = torch.randperm(len(x), generator=torch.Generator().manual_seed(1))
        features = ENCODER.carried(x, x)
        close(ENCODER.carried(x[order], x[order]), features[order])
        close(ENCODER.carried(x[:7], x[order]), features[:7])


def test_a_new_cell_has_features_of_its_own():
    x, new = normal(50), normal(4, seed=1)
    features = ENCODER.carried(new, x)
    close(ENCODER.carried(torch.cat([x, new]), x)[50:], features)
    # far away it sees the population where it lies
    far = vectors_and_scalars(ENCODER.carried(new + 50, x), 3)[0][:, -2]
    way = x.mean(0) - new - 50
    close(torch.nn.functional.normalize(far, dim=1), torch.nn.functional.normalize(way, dim=1))


def test_of_many_cells_a_fixed_part_is_the_graph(monkeypatch):
    monkeypatch.setattr(_soft_graph, "_MOST", 100)
    x = normal(350)
    graph, order = SoftGraph.of(x), torch.randperm(350, generator=torch.Generator().manual_seed(1))
    assert len(graph.population) == 100
    assert torch.equal(SoftGraph.of(x[order]).population, graph.population)
    # as wide as all of them
    assert abs(float(graph.population.std() / x.std()) - 1) < 0.1
    close(ENCODER.carried(x[order], x[order]), ENCODER.carried(x, x)[order])
    whole = ENCODER.carried(x, x)
    monkeypatch.setattr(_soft_graph, "_BLOCK", 700)  # seven cells at a time
    close(ENCODER.carried(x, x), whole)


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_a_few_cells_are_a_population(n):
    for x in (normal(n), torch.ones(n, 3)):
        assert ENCODER.carried(x, x).isfinite().all()
        assert ENCODER.carried(normal(2, seed=3), x).isfinite().all()
    assert (ENCODER.carried(normal(1), normal(1)) == 0).all()


@pytest.mark.parametrize("n_hops", [1, 2])
@pytest.mark.parametrize("has_covariance", [True, False])
def test_fewer_features_are_a_part_of_all(n_hops, has_covariance):
    encoder, x = GraphEncoder(n_hops=n_hops, has_covariance=has_covariance), normal(20)
    found, everything = encoder.carried(x, x), ENCODER.carried(x, x)
    assert found.shape == (20, 3 * encoder.n_vectors + encoder.n_scalars)
    assert encoder.n_vectors == 6 + 11 * has_covariance + 5 * (n_hops - 1)
    assert encoder.n_scalars == 11 + 10 * (n_hops - 1)
    assert set(found[0].tolist()) <= set(everything[0].tolist())


def test_it_is_an_encoder_of_cells_and_is_saved_by_its_numbers():
    assert isinstance(ENCODER, CellEncoder)
    assert not isinstance(ENCODER, PopulationEncoder)
    assert carrying(ENCODER) is ENCODER
    assert pooling(ENCODER) is None
    one = GraphEncoder(is_equivariant=True, n_hops=1)
    assert unpack_encoder(json.loads(json.dumps(pack_encoder(one))), classes={}) == one
    # up to version 0.1 the pooled one had this name
    options = {"n_features": 5, "width": 16, "share": 0.1, "n_hops": 3}
    old = {"name": "GraphEncoder", "options": options}
    assert unpack_encoder(old, classes={}) == PooledGraphEncoder(**options)


def test_options_are_checked():
    with pytest.raises(ValueError, match="n_hops must be 1 or 2; found 3"):
        GraphEncoder(n_hops=3)
