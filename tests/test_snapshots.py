"""The validated view of the data."""

import pytest
import torch
from analytic import normal

from celltraj.snapshots import Snapshots


def clouds(*sizes):
    return tuple(normal(n, 2, seed=n) for n in sizes)


def test_unequal_sizes_gaps_and_types():
    snapshots = Snapshots((0, 1, 4), (*clouds(3, 5), normal(4, 2, seed=0).float()))
    assert snapshots.gaps == (1.0, 3.0)
    assert snapshots.dim == 2
    assert list(snapshots.pairs()) == [(0, 1), (1, 2)]
    assert {x.dtype for x in snapshots.x} == {torch.float64}
    assert [float(w.sum()) for w in snapshots.weights] == pytest.approx([1, 1, 1])
    assert [snapshots.gap_of(t) for t in (-1, 0, 0.5, 1, 3.9, 4, 9)] == [0, 0, 0, 1, 1, 1, 1]


def test_without_leaves_times_out():
    left = Snapshots((0, 1, 4), clouds(3, 5, 4)).without([1.0])
    assert left.times == (0.0, 4.0)
    assert [len(x) for x in left.x] == [3, 4]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((0,), clouds(3)), "at least two"),
        (((0, 1, 2), clouds(3, 4)), "3 times but 2"),
        (((1, 0), clouds(3, 4)), "strictly increasing"),
        (((0, float("nan")), clouds(3, 4)), "strictly increasing"),
        (((0, 1), (normal(3, 2, seed=0), normal(3, 4, seed=0))), "expected"),
        (((0, 1), (normal(3, 2, seed=0), normal(0, 2, seed=0))), "expected"),
        (((0, 1), (normal(3, 2, seed=0), normal(3, 2, seed=0) / 0)), "3 cells at time 1"),
        (((0, 1), clouds(3, 4), (torch.ones(3), torch.ones(3))), "expected .4"),
        (((0, 1), clouds(3, 4), (torch.ones(3), -torch.ones(4))), "non-negative"),
        (((0, 1), clouds(3, 4), (torch.zeros(3), torch.ones(4))), "not all zero"),
    ],
)
def test_bad_clouds_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Snapshots(*arguments)


def test_growth_per_another_unit_of_time_is_refused():
    x = clouds(3, 4)
    per_day = (torch.tensor([0.0, 1.0, 1.4]), torch.zeros(4))
    assert Snapshots((0, 30), x, growth=per_day).growth  # a month of days: e^42
    # a day in seconds: rates per day are read as rates per second
    with pytest.raises(
        ValueError, match=r"e\^120960 times .* days_per_unit=.* 1/86400 for seconds"
    ):
        Snapshots((0, 86_400), x, growth=per_day)
    # the last rates are for no gap, and a cell without weight grows into nothing
    Snapshots((0, 1), x, growth=(torch.zeros(3), torch.tensor([0.0, 0, 0, 1e9])))
    weights = (torch.tensor([1.0, 1, 0]), torch.ones(4))
    Snapshots((0, 1), x, weights, growth=(torch.tensor([0.0, 0, 1e9]), torch.zeros(4)))


def test_the_advice_on_growth_works_as_written():
    x, rates = clouds(3, 4), (torch.tensor([0.0, 1.0, 1.4]), torch.zeros(4))
    with pytest.raises(ValueError, match="scale them by") as caught:
        Snapshots((0, 86_400), x, growth=rates)
    factor = float(str(caught.value).split()[-1])
    assert Snapshots((0, 86_400), x, growth=tuple(factor * g for g in rates)).growth
    assert Snapshots((0, 86_400), x, growth=tuple(g / 86_400 for g in rates)).growth


def test_the_snapshots_of_a_gap_alone_weigh_as_among_the_others():
    generator = torch.Generator().manual_seed(0)
    times, n = (0.0, 1.0, 3.0), (7, 9, 11)
    x = tuple(torch.rand(k, 2, generator=generator) for k in n)
    weights = tuple(torch.rand(k, generator=generator) for k in n)
    growth = tuple(torch.rand(k, generator=generator) for k in n)
    whole = Snapshots(times, x, weights, growth, (1.0, 2.0, 4.0))
    pair = whole.pair(1)
    assert pair.times == (1.0, 3.0)
    assert torch.equal(pair.expected(0), whole.expected(1))
    assert all(map(torch.equal, pair.weights, whole.weights[1:]))
