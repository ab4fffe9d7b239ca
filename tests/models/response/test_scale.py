"""Scale and place of a new population, next to those of the training."""

from dataclasses import replace

import pytest
import torch
from analytic import normal

from celltraj.models.response.support import Support


@pytest.fixture(scope="module")
def support():
    """Return eight populations of 200 cells, whose means and spreads differ by a tenth."""
    cells = [
        normal(200, 5, seed=k) * (1 + 0.1 * normal(1, 1, seed=50 + k))
        + 0.1 * normal(1, 5, seed=90 + k)
        for k in range(8)
    ]
    owner = torch.arange(8).repeat_interleave(200)
    return Support(tuple("abcdefgh"), torch.zeros(8, 0), torch.cat(cells).float(), owner)


def new(n=200, seed=200):
    return normal(n, 5, seed=seed).float()


def test_cells_like_those_of_the_training_are_usual(support):
    for seed in range(200, 220):
        change = support.scale_change(new(seed=seed))
        assert not change.is_unusual
        assert change.variables == ()
        assert change.spread == pytest.approx(1, abs=0.3)


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_another_scale_is_told_even_where_no_cell_lies_outside(support, factor):
    x = new()
    change = support.scale_change(factor * x)
    assert change.is_unusual
    # the median of eight spreads that differ by a tenth has a standard error of .045
    assert change.spread == pytest.approx(factor, rel=0.15)
    if factor < 1:
        assert float((support.distance(factor * x) > support.usual).float().mean()) < 0.02


def test_another_place_is_told(support):
    change = support.scale_change(new() + 1)
    assert change.is_unusual
    assert change.centre == pytest.approx(1, abs=0.2)


def test_logs_of_what_was_counts_are_told():
    def counts(seed):
        generator = torch.Generator().manual_seed(seed)
        return torch.poisson(torch.full((100, 6), 4.0), generator=generator)

    owner = torch.arange(5).repeat_interleave(100)
    cells = torch.cat([counts(k) for k in range(5)])
    centre, scale = cells.mean(0), cells.std(0)
    support = Support(tuple("abcde"), torch.zeros(5, 0), (cells - centre) / scale, owner)
    assert not support.scale_change((counts(9) - centre) / scale).is_unusual
    assert support.scale_change((counts(9).log1p() - centre) / scale).is_unusual


def test_one_variable_in_other_units_is_named(support):
    x = new()
    x[:, 3] *= 10
    assert support.scale_change(x).variables == (3,)


def test_a_constant_variable_and_few_cells_tell_nothing(support):
    x = new()
    x[:, 0] = 0.0
    assert support.scale_change(x).spread == pytest.approx(1, abs=0.3)
    assert support.scale_change(x[:9]) is None
    few = replace(support, cells=support.cells[::50], owner=support.owner[::50])
    assert few.scale_change(x) is None


def test_one_population_shows_no_differences_and_halves_are_told_all_the_same(support):
    one = Support(("a",), torch.zeros(1, 0), support.cells[:200], support.owner[:200])
    assert not one.scale_change(new()).is_unusual
    assert one.scale_change(0.5 * new()).is_unusual
