"""What every encoder of populations must satisfy. To add one: a line in ``OURS``."""

import json
import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from notebook import Waves
from scipy.spatial import cKDTree

from celltraj.models.encoders import (
    DeepSets,
    Moments,
    PooledGraphEncoder,
    PopulationEncoder,
    SetAttention,
    pack_encoder,
    pooled_graph,
    unpack_encoder,
)
from celltraj.models.encoders.moments import moments_of
from celltraj.models.encoders.set_attention import Attention

D = 3
OURS = {
    "moments": Moments(n_features=5),
    "deep sets": DeepSets(n_features=5, width=16),
    "pooled graph": PooledGraphEncoder(n_features=5, width=16, share=0.1),
    "set attention": SetAttention(n_features=5, width=16, n_heads=2, n_seeds=3),
}
CASES = OURS | {"user's": Waves(n_features=5)}


@pytest.fixture(params=list(CASES))
def encoder(request):
    return CASES[request.param]


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def neighbourhood(n, *, seed, away=1.5, d=D):
    """Draw two groups of cells, the smaller one ``away`` from the other."""
    generator = seeded(seed)
    is_away = torch.rand(n, 1, generator=generator) < 0.3
    return torch.randn(n, d, generator=generator) * 0.7 + away * is_away


def network_of(encoder, d=D, *, seed=0):
    return encoder.build(d, generator=seeded(seed))


def padded(parts, *, n=None, fill=math.nan):
    """Return features and mask of populations, each scattered among rows of ``fill``."""
    n = n or max(map(len, parts))
    features, mask = (
        torch.full((len(parts), n, parts[0].shape[1]), fill),
        torch.zeros(len(parts), n),
    )
    for i, part in enumerate(parts):
        rows = torch.randperm(n, generator=seeded(i))[: len(part)].sort().values
        features[i, rows], mask[i, rows] = part, 1
    return features, mask.bool()


def embed(network, parts, *, n=None, fill=math.nan):
    return network(*padded(parts, n=n, fill=fill))


def embedded(encoder, cells):
    """Return the embedding of one population by a network of random weights."""
    with torch.no_grad():
        return embed(network_of(encoder, cells.shape[1]), [encoder.features(cells)])[0]


def close(found, wanted):
    # single precision, summed in another order
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


def test_is_an_encoder(encoder):
    assert isinstance(encoder, PopulationEncoder)
    features = encoder.features(neighbourhood(12, seed=0).double())
    assert features.dtype == torch.float32
    assert len(features) == 12
    embedding = embed(network_of(encoder), [features, features[:7]])
    assert embedding.shape == (2, encoder.n_features)
    assert embedding.dtype == torch.float32


@pytest.mark.parametrize("kind", ["neighbourhood", "lattice"])
def test_the_order_of_cells_does_not_matter(encoder, kind):
    side = torch.arange(4.0)
    # all cells of a lattice have ties among their neighbours, and here each lies there twice
    x = (
        neighbourhood(60, seed=0)
        if kind == "neighbourhood"
        else torch.cartesian_prod(side, side, side).repeat(2, 1)
    )
    order = torch.randperm(len(x), generator=seeded(1))
    features = encoder.features(x)
    close(encoder.features(x[order]), features[order])
    close(embedded(encoder, x[order]), embedded(encoder, x))
    network = network_of(encoder)
    close(embed(network, [features[order]]), embed(network, [features]))


@pytest.mark.parametrize("fill", [0.0, 7.0, 1e30, math.inf, math.nan])
def test_padding_does_not_matter(encoder, fill):
    parts = [encoder.features(neighbourhood(n, seed=n)) for n in (3, 20, 11)]
    network = network_of(encoder)
    alone = torch.cat([embed(network, [part]) for part in parts])
    alone.square().sum().backward()
    slopes = [value.grad.clone() for value in network.parameters()]
    network.zero_grad()
    together = embed(network, parts, n=33, fill=fill)
    together.square().sum().backward()
    close(together, alone)
    for value, slope in zip(network.parameters(), slopes, strict=True):
        close(value.grad, slope)


def test_a_sample_has_the_embedding_of_its_population_up_to_sampling_error(encoder):
    n, n_samples, generator = 2048, 60, seeded(2)
    features, network = encoder.features(neighbourhood(n, seed=0)), network_of(encoder)
    other = embedded(encoder, neighbourhood(n, seed=1, away=3.0))
    with torch.no_grad():
        whole = embed(network, [features])[0]
        errors = [
            embed(network, [features[torch.randperm(n, generator=generator)[:size]]
                            for _ in range(n_samples)]) - whole
            for size in (64, 256)
        ]  # fmt: skip
    few, many = (error.square().mean().sqrt() for error in errors)
    # a mean over m of n cells errs by sqrt(1 / m - 1 / n), which a sum or a count would not; the
    # logarithm of a root mean square of 60 independent rows has a standard error of at most 0.09
    wanted = math.sqrt((1 / 64 - 1 / n) / (1 / 256 - 1 / n))
    assert abs(math.log(few / many / wanted)) < 4 * 0.13
    # without bias, but for that of a smooth function of means, of order 1 / m
    bias = errors[1].mean(0).abs()
    assert (bias < 5 * errors[1].std(0) / n_samples**0.5).all()
    # what tells populations apart is larger than all of this
    assert errors[1].norm(dim=1).max() < (other - whole).norm() / 2


def test_populations_of_other_sizes_have_the_same_embedding(encoder):
    # each with the features of its own cells only, as for a new population
    small = torch.stack([embedded(encoder, neighbourhood(500, seed=seed)) for seed in range(20)])
    large = embedded(encoder, neighbourhood(2000, seed=100))
    # the variance of a population four times as large is a quarter
    error = small.std(0) * (1 / 20 + 1 / 4) ** 0.5
    assert ((large - small.mean(0)).abs() < 4 * error).all()
    assert (
        error.norm()
        < (large - embedded(encoder, neighbourhood(2000, seed=101, away=3.0))).norm() / 4
    )


def test_gradients_reach_every_parameter(encoder):
    network = network_of(encoder)
    embed(network, [encoder.features(neighbourhood(20, seed=0))]).square().sum().backward()
    for name, value in network.named_parameters():
        assert value.grad.abs().max() > 1e-10, name


def test_weights_come_from_the_generator_alone(encoder):
    before = torch.get_rng_state()
    one, same, other = (network_of(encoder, seed=seed).state_dict() for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    for name, value in one.items():
        assert torch.equal(value, same[name])
        assert not torch.equal(value, other[name])


def test_a_saved_encoder_is_the_same(encoder):
    if isinstance(encoder, Waves):
        pytest.skip("its code is the user's")
    network, features = network_of(encoder), encoder.features(neighbourhood(30, seed=0))
    again = unpack_encoder(json.loads(json.dumps(pack_encoder(encoder))), classes={})
    assert again == encoder
    assert torch.equal(again.features(neighbourhood(30, seed=0)), features)
    loaded = network_of(again, seed=1)
    loaded.load_state_dict(network.state_dict())
    assert torch.equal(embed(loaded, [features]), embed(network, [features]))


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
def test_a_few_cells_are_a_population(encoder, n):
    for x in (neighbourhood(n, seed=0), torch.ones(n, D)):
        features, network = encoder.features(x).requires_grad_(), network_of(encoder)
        embedding = embed(network, [features], n=6)
        assert embedding.isfinite().all()
        embedding.sum().backward()
        assert features.grad.isfinite().all()


@pytest.mark.parametrize(
    "change", [lambda x: x + 0.5, lambda x: 1.5 * x, lambda x: x * torch.tensor([1.0, 1.0, -1.0])]
)
def test_another_population_has_another_embedding(encoder, change):
    x = neighbourhood(1000, seed=0)
    sampling = (embedded(encoder, x[:500]) - embedded(encoder, x[500:])).norm() / 2
    assert (embedded(encoder, change(x)) - embedded(encoder, x)).norm() > 3 * sampling


def test_only_moments_miss_the_shape(encoder):
    # both have mean 0 and variance 1
    pair = torch.tensor([-1.0, 1.0]).repeat(4)[:, None]
    peak = torch.tensor([-2.0, *[0.0] * 6, 2.0])[:, None]
    difference = (embedded(encoder, pair) - embedded(encoder, peak)).abs().max()
    assert (difference < 1e-6) == isinstance(encoder, Moments)


@pytest.mark.parametrize("d", [1, 4, 11])
def test_moments_are_those_of_numpy(d):
    parts = [neighbourhood(n, seed=n, d=d) for n in (9, 40)]
    features, mask = padded(parts, n=50, fill=0.0)
    found = moments_of(features, mask)
    for x, row in zip(parts, found, strict=True):
        covariance = np.atleast_2d(np.cov(x.double().numpy().T))
        pairs = covariance[np.tril_indices(d, -1)] if d <= 10 else []
        wanted = [*x.double().mean(0), *np.sqrt(np.diag(covariance)), *pairs]
        close(row, torch.tensor(np.array(wanted)).float())


def test_attention_is_that_of_torch():
    attention = Attention(8, 2, generator=seeded())
    queries, asked = (
        torch.randn(2, 3, 8, generator=seeded(1)),
        torch.randn(2, 5, 8, generator=seeded()),
    )
    mask = torch.tensor([[True] * 5, [True, False, True, True, False]])
    reference = torch.nn.MultiheadAttention(8, 2, bias=False, batch_first=True)
    weights = [part.detach().T for part in (attention.queries, attention.keys, attention.values)]
    with torch.no_grad():
        reference.in_proj_weight.copy_(torch.cat(weights))
        reference.out_proj.weight.copy_(torch.eye(8))
        joined = queries + reference(queries, asked, asked, key_padding_mask=~mask)[0]
        close(attention(queries, asked, mask), joined + attention.net(joined))


def neighbourhoods(x, k):
    """Return the ``k`` nearest neighbours of each cell, without itself."""
    return cKDTree(x.numpy()).query(x.numpy(), k + 1)[1][:, 1:]


def test_hops_and_distances_are_those_of_a_tree():
    x = neighbourhood(90, seed=0)
    near = neighbourhoods(x, 9)
    once = x[near].mean(1)
    twice = once[near].mean(1)
    distances = (x[near] - x[:, None]).square().mean(1).sqrt()
    found = PooledGraphEncoder(share=0.1).features(x)
    close(found, torch.cat([x, once, twice, distances], 1))
    # at least five neighbours, but in a population of fewer cells
    close(PooledGraphEncoder(share=0.01).features(x)[:, D : 2 * D], x[neighbourhoods(x, 5)].mean(1))
    others = (x[:4].sum(0) - x[:4]) / 3
    close(PooledGraphEncoder().features(x[:4])[:, D : 2 * D], others)


def test_hops_of_a_circle_shrink_it():
    n, k = 200, 10  # five neighbours on each side
    angle = 2 * torch.pi * torch.arange(n) / n
    circle = torch.stack([angle.cos(), angle.sin()], 1)
    shrunk = sum(math.cos(2 * math.pi * j / n) for j in range(1, 6)) / 5
    found = PooledGraphEncoder(share=k / n, n_hops=3).features(circle)
    for hop in range(4):
        close(found[:, 2 * hop : 2 * hop + 2], shrunk**hop * circle)


def test_half_the_cells_see_the_same_radius():
    x = torch.rand(2000, 2, generator=seeded())
    radius = [
        encoder.features(cells)[:, -2:].square().sum(1).mean().sqrt()
        for encoder, cells in (
            (PooledGraphEncoder(share=0.05), x),
            (PooledGraphEncoder(share=0.05), x[:1000]),
            (PooledGraphEncoder(share=0.10), x[:1000]),  # as many neighbours as all cells have
        )
    ]
    # relative: 1 / (2 sqrt k) of each of 1 / share neighbourhoods that do not overlap, k = 50, 100
    error = (1 / 50 + 1 / 100) ** 0.5 / 2 * 0.05**0.5
    assert abs(radius[1] / radius[0] - 1) < 3 * error
    # a number of neighbours in place of a share: twice the area
    assert radius[2] / radius[0] - 1 > 10 * error


def test_blocks_do_not_show(monkeypatch):
    x = neighbourhood(50, seed=0)
    whole = PooledGraphEncoder().features(x)
    monkeypatch.setattr(pooled_graph, "_BLOCK", 350)  # seven cells
    close(PooledGraphEncoder().features(x), whole)


@dataclass(frozen=True)
class Centre:
    """A user's own: the mean of the first variables."""

    n_features: int = 1

    def features(self, x):
        return x.float()

    def build(self, dim, *, generator):
        return CentreNetwork(self.n_features)


class CentreNetwork(torch.nn.Module):
    def __init__(self, n_features):
        super().__init__()
        self.n_features = n_features

    def forward(self, features, mask):
        cells = torch.where(mask[:, :, None], features, 0.0)[:, :, : self.n_features]
        return cells.sum(1) / mask.sum(1, keepdim=True)


def test_an_encoder_of_the_user_is_one_and_is_packed_where_it_is_a_dataclass():
    assert isinstance(Centre(), PopulationEncoder)
    close(embedded(Centre(2), torch.arange(6.0).reshape(2, 3)), torch.tensor([1.5, 2.5]))
    assert unpack_encoder(pack_encoder(Centre(2)), classes={"Centre": Centre}) == Centre(2)
    same_name = type("Moments", (Centre,), {})
    with pytest.raises(TypeError, match=r"encoder Moments cannot be saved.*another name"):
        pack_encoder(same_name())


@pytest.mark.parametrize(
    ("name", "option", "value", "message"),
    [
        *((name, "n_features", 0, "n_features must be a whole number") for name in OURS),
        *((name, "width", -1, "width must be a whole number of at least 1") for name in OURS),
        ("pooled graph", "n_hops", 0, "n_hops must be a whole number of at least 1; found 0"),
        ("pooled graph", "share", 0.0, r"share must lie between 0 and 1; found 0\.0"),
        ("pooled graph", "share", 1, "share must lie between 0 and 1; found 1"),
        ("pooled graph", "share", math.nan, "share must be finite; found nan"),
        ("set attention", "n_seeds", 0, "n_seeds must be a whole number of at least 1"),
        ("set attention", "n_heads", 3, "width must be a multiple of n_heads; found 16 and 3"),
    ],
)  # fmt: skip
def test_options_are_checked(name, option, value, message):
    with pytest.raises(ValueError, match=message):
        replace(CASES[name], **{option: value})
