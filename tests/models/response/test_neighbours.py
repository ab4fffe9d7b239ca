import json
from dataclasses import replace

import numpy as np
import pytest
import torch

import celltraj as ct
from celltraj.models import (
    Condition,
    Group,
    Moves,
    NeighbourTransfer,
    Populations,
    ResponseOptions,
    Training,
    Treated,
    fit_response,
)
from celltraj.models.evaluation import Observed, trivial_responses
from celltraj.models.response.pairs import Pairs
from celltraj.models.response.unpack import unpack_response

DRUG, OTHER = Condition(("drug",)), Condition(("other",))
FEW = torch.arange(40.0, dtype=torch.float64)[:, None]


def transfer(*shifts, condition=DRUG):
    return NeighbourTransfer(
        tuple(Moves(f"p{k}", condition, FEW, torch.full_like(FEW, s)) for k, s in enumerate(shifts))
    )


def test_a_cell_moves_by_the_mean_of_its_thirty_nearest():
    steps = NeighbourTransfer((Moves("a", DRUG, FEW, FEW),))
    first = steps.displacement(FEW[:1], DRUG)
    assert first.item() == pytest.approx(14.5)  # cells 0 to 29
    assert steps.nearest(FEW[:1], DRUG)[0, :3, 0].tolist() == [0, 1, 2]


def test_the_own_population_tells_nothing():
    both = transfer(1.0, 5.0)
    assert both.displacement(FEW, DRUG, {"p1"}).unique().tolist() == [1.0]
    assert both.displacement(FEW, DRUG, {"p0", "p1"}) is None


def test_other_conditions_tell_nothing():
    assert transfer(1.0).displacement(FEW, OTHER) is None
    high, low = (Condition(("drug",), (dose,)) for dose in (10.0, 1.0))
    assert transfer(1.0, condition=high).displacement(FEW, low) is None


def test_drugs_come_in_any_order_and_numbers_as_covariates_are_not_compared():
    told = transfer(1.0, condition=Condition(("a", "b"), (1.0, 2.0), (50.0, "F")))
    asked = Condition(("b", "a"), (2.0, 1.0), (60.0, "F"))
    assert told.displacement(FEW, asked) is not None
    assert told.displacement(FEW, Condition(("a", "b"), (1.0, 2.0), (50.0, "M"))) is None


def test_the_way_of_a_cell_depends_on_no_other_cell():
    x = torch.randn(500, 3, generator=torch.Generator().manual_seed(0)).double()
    moves = NeighbourTransfer((Moves("a", DRUG, x, x.sin()),))
    new = torch.randn(200, 3, generator=torch.Generator().manual_seed(1)).double()
    whole = moves.displacement(new, DRUG)
    parts = torch.cat([moves.displacement(part, DRUG) for part in new.split(7)])
    assert torch.equal(whole, parts)
    assert torch.equal(whole.flip(0), moves.displacement(new.flip(0), DRUG))


def test_a_population_is_known_by_half_of_its_cells():
    both = NeighbourTransfer((Moves("a", DRUG, FEW, FEW), Moves("b", DRUG, FEW + 0.5, FEW)))
    assert both.populations_of(FEW[:20]) == {"a"}
    assert both.populations_of(torch.cat([FEW[:19], FEW + 0.25])) == set()
    assert both.populations_of(torch.cat([FEW, FEW + 0.5])) == {"a", "b"}


def test_centred_neighbours_find_the_same_kind_of_cell_in_a_population_that_lies_elsewhere():
    kinds = torch.tensor([[-1.0], [1.0]]).double().repeat(50, 1)
    there = Moves("a", DRUG, kinds + 10, 3 * kinds)
    moved = NeighbourTransfer((there,)).centred().displacement(kinds, DRUG)
    torch.testing.assert_close(moved, 3 * kinds)


def rows(seen, held):
    return trivial_responses(seen, held, n_cells=10, rng=np.random.default_rng(0))


def test_rows_of_neighbours_move_each_kind_of_cell_its_own_way():
    rng = np.random.default_rng(0)

    def observed(name, centre):
        side = np.where(rng.random((200, 1)) < 0.5, -10.0, 10.0)
        x = side + centre + rng.normal(size=(200, 2))
        return Observed(name, DRUG, x, x + side / 5)

    seen, held = [observed("a", 0.0), observed("b", 0.3)], observed("c", -0.3)
    found = rows(seen, held)
    truth = held.after - held.before
    for name in ("neighbours", "neighbours_drawn", "neighbours_centred"):
        assert np.median(np.abs(found[name].x - held.before - truth)) < 0.5, name
    assert np.median(np.abs(found["shift"].x - held.before - truth)) > 1.5


def test_rows_of_neighbours_are_left_out_where_no_other_population_had_the_condition():
    x = np.arange(12.0)[:, None]
    own = [Observed("a", DRUG, x, x + 1), Observed("b", OTHER, x, x + 1)]
    assert "neighbours" not in rows(own, Observed("a", DRUG, x, x + 1))
    assert "neighbours" in rows(own, Observed("b", DRUG, x, x + 1))


def populations_of(n, way, *, n_cells=60, names=None):
    """Return populations about zero that a drug moves by ``way(x, k)``."""
    g = torch.Generator().manual_seed(0)
    cells = [torch.randn(n_cells, 2, generator=g).double() for _ in range(n)]
    return Populations(
        names or tuple(f"p{k}" for k in range(n)),
        tuple(Group(x) for x in cells),
        tuple(Treated(k, DRUG, Group(x + way(x, k))) for k, x in enumerate(cells)),
    )


def fit(populations, **options):
    return fit_response(
        populations,
        ResponseOptions(n_kernels=0, sigma=0.1, **options),
        training=Training(max_steps=2),
        generator=torch.Generator().manual_seed(0),
        progress=False,
    )


def everywhere(x, k):
    return torch.full_like(x, 3.0)


def by_population(x, k):
    return torch.full_like(x, 3.0) * (-1) ** k


def respond(model, x, condition=DRUG, **known):
    return model.respond(x, condition, generator=torch.Generator().manual_seed(0), **known)


@pytest.fixture(scope="module")
def both():
    """Return a model with its base, and the same without."""
    populations = populations_of(3, everywhere)
    return populations, fit(populations), fit(populations, base=0.0)


def close(found, expected):
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_half_of_a_prediction_is_where_neighbours_went(both):
    _, model, alone = both
    x = torch.randn(20, 2, generator=torch.Generator().manual_seed(5)).double()
    way = model.base.displacement((x - model.network.field.centre).float(), DRUG)
    expected = 0.5 * (x + way) + 0.5 * respond(alone, x).x
    close(respond(model, x).x, expected)
    assert (way - 3).abs().mean() < 0.3
    assert (respond(model, x).base, respond(alone, x).base) == (0.5, 0.0)


def test_a_weight_of_one_leaves_the_network_without_a_word():
    populations = populations_of(3, everywhere)
    x = populations.controls[0].x[:5] + 0.5
    model = fit(populations, base=1.0)
    way = model.base.displacement((x - model.network.field.centre).float(), DRUG)
    torch.testing.assert_close(respond(model, x).x, x + way)


def test_a_population_of_the_training_is_not_its_own_neighbour(both):
    populations, model, _ = both
    x = populations.controls[0].x
    by_content = respond(model, x).x
    named = respond(model, x + 1e-3, name="p0").x
    stranger = respond(model, x + 1e-3).x
    others = model.base.displacement((x - model.network.field.centre).float(), DRUG, {"p0"})
    all_ = model.base.displacement((x - model.network.field.centre).float(), DRUG)
    assert not torch.equal(others, all_)
    assert (by_content - named).abs().max() < 0.2 * (stranger - named).abs().max() + 0.05
    for part in (x[:7], x[50:]):
        alone = respond(model, part, population=x, name="p0").x
        assert torch.equal(alone, respond(model, part, population=x).x)


def test_a_prediction_with_a_base_depends_on_no_order_and_no_company(both):
    populations, model, _ = both
    x = populations.controls[1].x + 0.1
    whole = respond(model, x).x
    close(respond(model, x.flip(0)).x.flip(0), whole)
    close(respond(model, x[:5], population=x).x, whole[:5])


def test_the_network_alone_predicts_what_no_other_population_had():
    populations = populations_of(2, everywhere)
    treated = replace(populations.treated[1], condition=OTHER)
    model = fit(replace(populations, treated=(populations.treated[0], treated)))
    x = populations.controls[0].x
    assert respond(model, x, DRUG).base == 0
    assert respond(model, x, OTHER).base == 0.5
    assert respond(model, x + 9.0, DRUG).base == 0.5  # of a population never seen
    assert respond(model, x, Condition(("drug", "other"))).base == 0


def test_one_population_has_no_base():
    assert fit(populations_of(1, everywhere)).base is None


def test_neighbours_that_tell_the_wrong_story_are_not_asked():
    six, five = (populations_of(n, by_population, n_cells=30) for n in (6, 5))
    assert fit(populations_of(6, everywhere, n_cells=30)).strength == 0.5
    wrong = fit(six)
    assert (wrong.base, wrong.strength) == (None, 0.0)
    assert fit(five).strength == 0.5  # too few to choose
    assert fit(six, base=0.25).strength == 0.25


def test_cells_that_die_tell_no_way():
    x = torch.tensor([[0.0], [1.0], [2.0]]).double()
    pairs = Pairs(
        x, x + 1, torch.tensor([0, 2]).int(), torch.tensor([0, 2]).int(),
        torch.tensor([0.5, 1.0]).double(), torch.tensor([1.5, 0.0, 1.5]),
    )  # fmt: skip
    populations = Populations(("a",), (Group(x),), (Treated(0, DRUG, Group(x + 1)),))
    base = NeighbourTransfer.of(
        populations, [pairs], torch.zeros(1).double(), generator=torch.Generator()
    )
    assert base.moves[0].start.flatten().tolist() == [0, 2]
    assert base.moves[0].shift.flatten().tolist() == [1, 1]


def test_a_model_keeps_its_base_in_a_file(both, tmp_path):
    populations, model, alone = both
    x = populations.controls[0].x + 0.3
    for k, one in enumerate((model, alone)):
        one.save(tmp_path / str(k))
        again = ct.load(tmp_path / str(k))
        assert torch.equal(respond(again, x).x, respond(one, x).x)
        assert again.strength == one.strength


def test_a_file_whose_base_has_other_cells_is_refused(both):
    content = both[1].pack()
    counts = content.tensors["base.counts"]
    wrong = replace(content, tensors=content.tensors | {"base.counts": counts + 1})
    with pytest.raises(ValueError, match="cells of its base"):
        unpack_response(_plain(wrong), {})
    facts = content.facts | {"base": content.facts["base"] | {"strength": 2.0}}
    with pytest.raises(ValueError, match="between 0 and 1"):
        unpack_response(_plain(replace(content, facts=facts)), {})


def _plain(content):
    return replace(content, facts=json.loads(json.dumps(content.facts)))


def test_a_weight_beyond_one_is_refused():
    with pytest.raises(ValueError, match="base must lie between 0 and 1"):
        ResponseOptions(base=1.5)
