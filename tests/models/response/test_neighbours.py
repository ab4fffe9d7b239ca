import numpy as np
import pytest
import torch

from celltraj.models import Condition
from celltraj.models.evaluation import Observed, trivial_responses
from celltraj.models.response.neighbours import Moves, NeighbourTransfer

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
