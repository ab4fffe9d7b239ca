"""A network that makes predictions worse than neighbours alone is not used."""

from dataclasses import replace

import pytest
import torch

from celltraj.models import (
    Condition,
    Group,
    MetaFlowMatching,
    Populations,
    Response,
    ResponseOptions,
    Training,
    Treated,
    fit_response,
)
from celltraj.models.response.neighbours import Moves, NeighbourTransfer
from celltraj.models.response.out_of_bag import Bag, left_out, small
from celltraj.models.training.options import Schedule

DRUG = Condition(("drug",))


@pytest.fixture(scope="module")
def tiny():
    return fitted(shifted(2, 3.0)[0])


def mover(model, way):
    """Return a response that moves every cell by the same way."""

    class Mover(MetaFlowMatching):
        def respond(self, cells, condition, **_):
            return Response(cells + way, None)

    return Mover(**vars(model))


def shifted(n, by):
    """Return populations that a drug moves by ``by``, and neighbours that move them by 3."""
    g = torch.Generator().manual_seed(0)
    cells = [torch.randn(50, 2, generator=g).double() for _ in range(n)]
    names = tuple(f"p{k}" for k in range(n))
    treated = tuple(Treated(k, DRUG, Group(x.flip(0) + by)) for k, x in enumerate(cells))
    moves = (
        Moves(name, DRUG, x.float(), torch.full_like(x, 3.0).float())
        for name, x in zip(names, cells, strict=True)
    )
    base = NeighbourTransfer(tuple(moves))
    return Populations(names, tuple(map(Group, cells)), treated), base


def found(model, n, by, way):
    populations, base = shifted(n, by)
    g = torch.Generator().manual_seed(1)
    without = left_out(n, generator=g)
    moved, centre = [mover(model, way)] * len(without), torch.zeros(2).double()
    return Bag(moved, without, base, populations, centre).weighed(generator=g)


@pytest.mark.parametrize("n", [6, 7, 12])
def test_every_population_is_left_out_by_four_of_eight(n):
    without = left_out(n, generator=torch.Generator().manual_seed(0))
    assert without.sum(0).tolist() == [4] * n
    assert without.sum(1).tolist() == [n // 2, n - n // 2] * 4


@pytest.mark.parametrize(
    ("way", "strength"),
    [(-9.0, 1.0), (3.0, 0.5), (5.0, 0.5)],
    ids=["worse than neighbours", "as they", "better"],
)
def test_a_network_loses_its_weight_where_neighbours_alone_are_better(tiny, way, strength):
    by = 3.2 if way < 5 else 4.0
    told = found(tiny, 12, by, way)
    assert told.weight == strength
    assert "over 12 populations" in told.reason


def test_the_weight_is_lowered_no_further_than_pays(tiny):
    # a quarter of 4 more is a good step where neighbours lack 1, a half one too many
    told = found(tiny, 12, 4.0, 7.4)
    assert told.weight == 0.75


def test_five_populations_choose_nothing(tiny):
    told = found(tiny, 5, 3.2, -9.0)
    assert told.weight == 0.5
    assert "5 populations can be judged by others, 6 are needed" in told.reason


def test_small_networks_take_three_tenths_of_the_work():
    training, schedule = small(Training(), Schedule(3000, 128, 5e-3, 3000))
    assert (training.width, schedule.batch_size) == (32, 64)
    assert schedule.n_steps >= 100
    assert 8 * schedule.n_steps * 0.6 <= 0.3 * 3000  # a step of theirs takes .6 of the time
    assert schedule.cycle == schedule.n_steps


def fitted(populations, **options):
    return fit_response(
        populations,
        ResponseOptions(n_kernels=0, sigma=0.3, **options),
        training=Training(max_steps=30, width=16, batch_size=16),
        generator=torch.Generator().manual_seed(0),
        progress=False,
    )


def test_a_fit_says_where_the_weight_comes_from(monkeypatch):
    short = fitted(shifted(6, 3.0)[0], weigh_base=True)
    assert (short.strength, short.reason[:42]) == (
        0.5,
        "by default: small networks of 1 steps tell",
    )
    monkeypatch.setattr("celltraj.models.response.fit.FEWEST_STEPS", 1)
    populations, _ = shifted(6, 3.0)
    plain, asked = fitted(populations), fitted(populations, weigh_base=True)
    assert "neighbours leave" in plain.reason
    assert "over 6 populations" in asked.reason
    weights = (one.network.field.head.weight for one in (plain, asked))
    assert torch.equal(*weights)  # the network itself is the same
    few = fitted(shifted(5, 3.0)[0], weigh_base=True)
    assert (few.strength, few.reason) == (0.5, "by default: 5 populations decide nothing")
    given = fitted(populations, base=0.25)
    assert (given.strength, given.reason) == (0.25, "as given")


def test_what_is_given_is_not_weighed():
    with pytest.raises(ValueError, match=r"weigh_base=True finds the weight that base=0\.5 gives"):
        replace(ResponseOptions(base=0.5), weigh_base=True)
