"""The validated view of the data."""

import pytest
import torch
from analytic import normal

from celltraj._snapshots import Snapshots


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
