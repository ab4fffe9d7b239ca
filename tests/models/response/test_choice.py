"""Where no encoder is asked for, populations that were not seen say which one it is."""

import pytest
import torch

import celltraj as ct
from celltraj.models import (
    Condition,
    GraphEncoder,
    Group,
    Moments,
    Populations,
    ResponseOptions,
    Training,
    Treated,
    fit_response,
    load,
)
from celltraj.models.response.choice import best_of, halves_of, judged
from celltraj.models.response.neighbours import Moves, NeighbourTransfer

DRUG = Condition(("drug",))
SHORT = Training(max_steps=500, width=32, batch_size=32)


def left(moments, plain, equivariant, *, n=10, variance=1.0):
    """Return shares that scatter by .01 about these, with the same ratio of variance for all."""
    g = torch.Generator().manual_seed(0)
    noise = 0.01 * torch.randn(n, 3, generator=g, dtype=torch.float64)
    shares = torch.tensor([moments, plain, equivariant], dtype=torch.float64) + noise
    return torch.stack([shares, torch.full_like(shares, variance)], 2)


@pytest.mark.parametrize(
    ("shares", "encoder"),
    [
        ((0.5, 0.4, 0.6), GraphEncoder()),
        ((0.5, 0.4, 0.3), GraphEncoder(is_equivariant=True)),
        ((0.5, 0.51, 0.52), Moments()),
        ((0.3, 0.4, 0.5), Moments()),
    ],
)
def test_a_graph_is_taken_where_it_leaves_less_beyond_its_error(shares, encoder):
    found = best_of(left(*shares))
    assert found.encoder == encoder
    assert "in 10 populations not seen, small networks leave: Moments() " in found.reason


@pytest.mark.parametrize(
    ("diverged", "encoder"), [(1, Moments()), (0, GraphEncoder()), (2, GraphEncoder())]
)
def test_a_training_that_diverged_is_no_candidate(diverged, encoder):
    shares = left(0.5, 0.4, 0.6) if diverged != 1 else left(0.5, 0.1, 0.6)
    for nothing in (torch.inf, torch.nan):
        shares[:, diverged, 0] = nothing
        assert best_of(shares).encoder == encoder
    populations = shifted(1)
    nobody = NeighbourTransfer(())
    assert judged(None, populations, nobody, 0) == (torch.inf, 0.0)


def test_a_graph_that_foretells_means_and_no_cells_is_not_taken():
    found = best_of(left(0.5, 0.4, 0.6, variance=0.6))
    assert found.encoder == Moments()
    assert found.reason.endswith("with 60% of the variance of cells")


def test_what_is_judged_are_the_ways_of_cells(chosen):
    one = INTERACTING.obs["population"].iloc[0]
    of_it = (INTERACTING.obs["population"] == one).to_numpy()
    is_before = (INTERACTING.obs["condition"] == "before").to_numpy()
    x = torch.from_numpy(INTERACTING.X[of_it & is_before]).double()
    drug = Condition(("after",))
    way = chosen.first_velocity(x, x, drug)
    moves = NeighbourTransfer((Moves(one, drug, (x - centre_of(chosen)).float(), 2 * way.float()),))
    told = Populations((one,), (Group(x),), (Treated(0, drug, Group(x + way)),))
    missed, variance = judged(chosen, told, moves, 0)
    assert missed == pytest.approx(0.25, abs=1e-5)  # half of each way
    assert variance == pytest.approx(1, abs=1e-5)


def centre_of(model):
    return model.network.field.centre


def test_fewer_than_six_judges_decide_nothing():
    found = best_of(left(0.9, 0.1, 0.1, n=5))
    assert found.encoder == Moments()
    assert found.reason == "by default: 5 populations can be judged, 6 are needed"


@pytest.mark.parametrize(("n", "folds"), [(6, 2), (23, 2), (24, 1), (300, 1)])
def test_no_population_is_judged_by_a_network_that_learned_it(n, folds):
    halves = halves_of(n, torch.Generator().manual_seed(0))
    assert len(halves) == folds
    for half in halves:
        learned, judged = set(half.learned.tolist()), set(half.judged.tolist())
        assert not learned & judged
        assert len(learned | judged) == min(n, 64)
    if folds == 2:
        assert set(halves[0].judged.tolist()) == set(halves[1].learned.tolist())


INTERACTING = ct.datasets.interacting_populations(n_populations=24, n_cells=60, seed=0)
KEYS = {"population_key": "population", "condition_key": "condition", "control": "before"}


def learned(adata, *, training=SHORT, **options):
    told = ct.models.ResponseOptions(**options)
    return ct.tl.fit_response(adata, **KEYS, options=told, training=training, progress=False)


@pytest.fixture(scope="module")
def chosen():
    return learned(INTERACTING)


def test_surroundings_are_read_where_they_decide(chosen):
    assert isinstance(chosen.encoder, GraphEncoder)
    assert (
        "of the ways of cells in 12 populations not seen, small networks leave"
        in chosen.encoder_reason
    )
    assert chosen.strength == 0


def test_the_choice_leaves_the_network_as_it_is_where_that_encoder_is_asked_for(chosen):
    encoder = GraphEncoder(is_equivariant=chosen.encoder.is_equivariant)
    given = learned(INTERACTING.copy(), encoder=encoder)
    assert given.encoder == chosen.encoder
    weights = zip(given.network.parameters(), chosen.network.parameters(), strict=True)
    assert all(torch.equal(*pair) for pair in weights)


def test_a_file_keeps_what_was_chosen(chosen, tmp_path):
    chosen.save(tmp_path / "model")
    loaded = load(tmp_path / "model")
    assert (loaded.encoder, loaded.encoder_reason) == (chosen.encoder, chosen.encoder_reason)


def shifted(n):
    """Return populations that a drug moves alike, as neighbours tell."""
    g = torch.Generator().manual_seed(0)
    cells = [torch.randn(30, 2, generator=g).double() for _ in range(n)]
    treated = tuple(Treated(k, DRUG, Group(x + 3)) for k, x in enumerate(cells))
    return Populations(tuple(f"p{k}" for k in range(n)), tuple(map(Group, cells)), treated)


def fitted(populations, **options):
    return fit_response(
        populations,
        ResponseOptions(sigma=0.1, **options),
        training=TINY,
        generator=torch.Generator().manual_seed(0),
        progress=False,
    )


def moved_apart(n):
    """Return populations that a drug moves along other ways each."""
    g = torch.Generator().manual_seed(0)
    cells = [torch.randn(30, 2, generator=g).double() for _ in range(n)]
    ways = [8 * torch.randn(2, generator=g).double() for _ in range(n)]
    treated = tuple(Treated(k, DRUG, Group(x + ways[k])) for k, x in enumerate(cells))
    return Populations(tuple(f"p{k}" for k in range(n)), tuple(map(Group, cells)), treated)


TINY = Training(max_steps=20, width=8, batch_size=8)


@pytest.mark.parametrize(
    ("populations", "options", "reason"),
    [
        (shifted(6), {}, "neighbours leave"),
        (shifted(5), {}, "by default: 5 populations decide nothing"),
        (shifted(1), {}, "by default: 1 populations decide nothing"),
        (moved_apart(6), {}, "by default: small networks of 4 steps tell nothing, 100 may"),
        (moved_apart(6), {"n_kernels": 2}, "by default: n_kernels or kl asks for moments"),
        (moved_apart(6), {"kl": 0.1}, "by default: n_kernels or kl asks for moments"),
        (moved_apart(6), {"encoder": Moments()}, "as given"),
    ],
)
def test_otherwise_moments_and_a_reason(populations, options, reason):
    model = fitted(populations, **options)
    assert model.encoder == Moments()
    assert model.encoder_reason.startswith(reason)


def test_the_record_says_which_and_why(chosen):
    record = INTERACTING.uns["celltraj"]["response"]
    assert record["params"]["options"]["encoder"] == "auto"
    assert record["encoder"]["name"] == "GraphEncoder"
    assert tuple(record["encoder"]["bandwidths"]) == chosen.encoder.bandwidths
    assert record["encoder_reason"] == chosen.encoder_reason


def test_a_word_that_is_no_encoder_is_named():
    with pytest.raises(ValueError, match="'auto' or None; found 'graph'"):
        ResponseOptions(encoder="graph")
