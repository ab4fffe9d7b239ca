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
from celltraj.models.encoders._soft_graph import (
    N_LOCAL,
    SHARES,
    SoftGraph,
    bandwidths_of,
    typical_bandwidths,
)

PLAIN, TURNING = GraphEncoder(), GraphEncoder(is_equivariant=True)


def normal(n, d=3, *, seed=0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def close(found, wanted, *, rtol=2e-4, atol=2e-5):
    # float32 sums, in another order and divided by bandwidths
    torch.testing.assert_close(found.double(), wanted.double(), rtol=rtol, atol=atol)


def rotation(d, *, seed=0):
    return torch.linalg.qr(normal(d, d, seed=seed).double())[0]


def carried(x, population, *, encoder=TURNING):
    """Return vectors and scalars of cells at the scales of their population."""
    found, n = encoder.fit([population]).carried(x, population), encoder.n_vectors * x.shape[1]
    return found[:, :n].unflatten(1, (-1, x.shape[1])), found[:, n:]


def all_close(found, wanted):
    for one, other in zip(found, wanted, strict=True):
        close(one, other)


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
    population, new = normal(n, d).double(), normal(5, d, seed=1)
    b = bandwidths_of(population)
    graph = SoftGraph.of(population, b)
    y = graph.population.double().numpy()
    ways, _, _, density, reach, _ = dense(y, y, own=True, bandwidths=b)
    for x, own in ((y, True), (new.double().numpy(), False)):
        seen = dense(x, y, own=own, bandwidths=b)
        found = graph.seen_from(torch.from_numpy(x))
        for k in range(N_LOCAL):
            way, square, cross, s, r, weights = (one[:, k] for one in seen)
            wanted = np.stack([way, square, cross, weights @ ways[:, k]], 1)
            close(found.vectors[:, 4 * k : 4 * k + 4], torch.from_numpy(wanted))
            around = weights @ np.stack([density[:, k], reach[:, k]], 1)
            wanted = np.column_stack([s, r, around])
            close(found.scalars[:, 4 * k : 4 * k + 4], torch.from_numpy(wanted))
        wanted = np.stack([seen[0][:, -1], seen[1][:, -1]], 1)
        close(found.vectors[:, -2:], torch.from_numpy(wanted))
        close(found.scalars[:, -1], torch.from_numpy(seen[4][:, -1]))


def test_a_pair_sees_each_other():
    x = torch.tensor([[0.0, 0.0], [3.0, 4.0]])
    bandwidths = (1.0, 2.0, 3.0, 4.0, 5.0, 6.0)
    seen = SoftGraph.of(x, bandwidths).seen_from(x)
    for k, b in enumerate(bandwidths[:-1]):
        close(seen.vectors[0, 4 * k], x[1] / b)  # the other one
        close(seen.vectors[0, 4 * k + 1 : 4 * k + 3], torch.zeros(2, 2))  # is alone
        close(seen.vectors[0, 4 * k + 3], -x[1] / b)  # and sees this one
        close(seen.scalars[0, 4 * k : 4 * k + 2], torch.tensor([-25 / (2 * b**2), 5 / b]))


@pytest.mark.parametrize("d", [1, 2, 10])
def test_bandwidths_are_those_of_the_effective_neighbours(d):
    x = normal(400, d).double()
    squares = torch.cdist(x, x).square().fill_diagonal_(torch.inf)
    for share, b in zip(SHARES, bandwidths_of(x), strict=False):
        counts = 1 / (squares / (-2 * b**2)).softmax(1).square().sum(1)
        # of 64 cells in place of all: the median has a standard error of 1.25 spread / 8
        error = 1.25 * float(counts.log().std()) / 8
        assert abs(np.log(float(counts.median()) / (399 * share))) < 4 * error + 0.02


def test_bandwidths_of_a_normal_population_are_those_found_to_serve_for_letters():
    # in units of the standard deviation
    wanted = np.array([0.14, 0.22, 0.39, 0.67, 1.33])
    found = np.array(bandwidths_of(normal(700, 2))[:-1])
    assert np.abs(np.log(found / wanted)).max() < 0.25


def test_scales_are_those_of_the_training_unless_they_are_given():
    x = normal(50)
    both = np.sqrt(np.array(bandwidths_of(x)) * bandwidths_of(4 * x))
    np.testing.assert_allclose(typical_bandwidths([x, 4 * x]), both, rtol=1e-6)
    np.testing.assert_allclose(both, 2 * np.array(bandwidths_of(x)), rtol=1e-4)
    fitted = PLAIN.fit([x, 4 * x])
    np.testing.assert_allclose(fitted.bandwidths, both, rtol=1e-6)
    assert fitted.fit([x]) is fitted
    with pytest.raises(ValueError, match="no bandwidths yet; call fit"):
        PLAIN.carried(x, x)


@pytest.mark.parametrize("d", [2, 5])
def test_vectors_turn_with_the_cells_and_scalars_stay(d):
    x, turn = normal(80, d).double(), rotation(d)
    vectors, scalars = carried(x, x)
    all_close(carried(x @ turn, x @ turn), (vectors.double() @ turn, scalars))


def test_where_a_population_lies_does_not_matter_but_to_its_place():
    x = normal(60).double()
    all_close(carried(x + 2, x + 2), carried(x, x))
    vectors, scalars = carried(x, x, encoder=PLAIN)
    vectors[:, -1] += 2  # the cell itself
    all_close(carried(x + 2, x + 2, encoder=PLAIN), (vectors, scalars))
    close(vectors[:, -1] - 2, x)


def test_the_order_of_cells_does_not_matter():
    side = torch.arange(4.0)
    for x in (normal(60), torch.cartesian_prod(side, side, side).repeat(2, 1)):
        order = torch.randperm(len(x), generator=torch.Generator().manual_seed(1))
        vectors, scalars = carried(x, x)
        all_close(carried(x[order], x[order]), (vectors[order], scalars[order]))
        all_close(carried(x[:7], x[order]), (vectors[:7], scalars[:7]))


def test_a_new_cell_has_features_of_its_own():
    x, new = normal(50), normal(4, seed=1)
    vectors, scalars = carried(torch.cat([x, new]), x)
    all_close(carried(new, x), (vectors[50:], scalars[50:]))
    # far away it sees the population where it lies
    found, way = carried(new + 50, x)[0][:, -2], x.mean(0) - new - 50
    close(found / found.norm(dim=1, keepdim=True), way / way.norm(dim=1, keepdim=True))


def test_of_many_cells_a_fixed_part_is_the_graph(monkeypatch):
    monkeypatch.setattr(_soft_graph, "_MOST", 100)
    x = normal(350)
    order = torch.randperm(350, generator=torch.Generator().manual_seed(1))
    kept, same = (SoftGraph.of(cells, bandwidths_of(x)).population for cells in (x, x[order]))
    assert len(kept) == 100
    assert torch.equal(same, kept)
    # systematic along the distance from the mean: as wide as all of them
    assert abs(float((kept - x.mean(0)).square().mean() / x.var(0, correction=0).mean()) - 1) < 0.05
    whole = carried(x, x)
    all_close(carried(x[order], x[order]), (part[order] for part in whole))
    monkeypatch.setattr(_soft_graph, "_BLOCK", 700)  # seven cells at a time
    all_close(carried(x, x), whole)


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_a_few_cells_are_a_population(n):
    for x in (normal(n), torch.ones(n, 3)):
        for cells in (x, normal(2, seed=3)):
            assert all(part.isfinite().all() for part in carried(cells, x))
    assert all((part == 0).all() for part in carried(normal(1), normal(1)))


@pytest.mark.parametrize("n_hops", [1, 2])
@pytest.mark.parametrize("has_covariance", [True, False])
def test_fewer_features_are_a_part_of_all(n_hops, has_covariance):
    x, options = normal(20), {"n_hops": n_hops, "has_covariance": has_covariance}
    vectors, scalars = carried(x, x, encoder=GraphEncoder(is_equivariant=True, **options))
    everything = carried(x, x)
    assert vectors.shape == (20, 6 + 11 * has_covariance + 5 * (n_hops - 1), 3)
    assert scalars.shape == (20, 11 + 10 * (n_hops - 1))
    for found, whole in zip((vectors, scalars), everything, strict=True):
        assert set(found[0].flatten().tolist()) <= set(whole[0].flatten().tolist())


def test_it_is_an_encoder_of_cells_and_is_saved_by_its_numbers():
    assert isinstance(PLAIN, CellEncoder)
    assert not isinstance(PLAIN, PopulationEncoder)
    assert carrying(PLAIN) is PLAIN
    assert pooling(PLAIN) is None
    for one in (TURNING, GraphEncoder(n_hops=1).fit([normal(20)])):
        assert unpack_encoder(json.loads(json.dumps(pack_encoder(one))), classes={}) == one
    # the pooled one had this name once
    options = {"n_features": 5, "width": 16, "share": 0.1, "n_hops": 3}
    old = {"name": "GraphEncoder", "options": options}
    assert unpack_encoder(old, classes={}) == PooledGraphEncoder(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_hops": 3}, "n_hops must be 1 or 2; found 3"),
        ({"bandwidths": (1.0, 2.0)}, "bandwidths must be 5 positive numbers"),
        ({"bandwidths": (1.0, 2.0, 3.0, 4.0, 0.5, 2.0)}, "from narrow to wide"),
        ({"bandwidths": (0.0, 2.0, 3.0, 4.0, 5.0, 2.0)}, "positive"),
    ],
)
def test_options_are_checked(options, message):
    with pytest.raises(ValueError, match=message):
        GraphEncoder(**options)
