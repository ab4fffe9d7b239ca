"""Couplings within samples against each sample coupled by itself."""

import numpy as np
import pytest
import torch
from analytic import normal

from celltraj.models.replicates.couple import Owned, couple_within
from celltraj.ot import SquaredEuclidean, solve
from celltraj.snapshots import Snapshots

NAMES = np.array(["a", "b", "a", "b", "b", "a", "c", "c"], dtype=object)


def owned(seed=0, growth=()):
    x = tuple(normal(len(NAMES), 2, seed=seed + k) for k in range(3))
    return Owned(Snapshots((0.0, 1.0, 3.0), x, growth=growth), (NAMES,) * 3)


def test_blocks_are_the_plans_of_each_sample_alone():
    cells = owned().equal()
    found = couple_within(cells, epsilon=0.3, progress=False)
    for k, one in enumerate(found.lineage.couplings):
        plan = one.to_dense().numpy()
        assert plan[NAMES[:, None] != NAMES].max() == 0
        for name in "abc":
            rows = np.flatnonzero(name == NAMES)
            x, y = (cells.snapshots.x[k + j][rows] for j in (0, 1))
            even = torch.full((len(rows),), 1 / len(rows), dtype=torch.float64)
            alone = solve(SquaredEuclidean(x, y), even, even, epsilon=0.3).to_dense().numpy()
            np.testing.assert_allclose(plan[np.ix_(rows, rows)], alone / 3, atol=1e-7)
    assert found.lineage.numbers == pytest.approx((1, 1, 1))


def test_samples_count_alike_or_by_their_cells():
    equal = couple_within(owned().equal(), epsilon=None, progress=False)
    by_cell = couple_within(owned(), epsilon=None, progress=False)
    sizes = {"a": 3, "b": 3, "c": 2}
    for found, mass in (
        (equal, dict.fromkeys("abc", 1 / 3)),
        (by_cell, {k: n / 8 for k, n in sizes.items()}),
    ):
        for one in found.table.itertuples():
            assert one.mass == pytest.approx(mass[one.sample])
            assert one.n_source == one.n_target == sizes[one.sample]
        assert found.lineage.couplings[0].row_mass.numpy() == pytest.approx(
            found.lineage.weights[0].numpy()
        )


def test_growth_shares_the_descendants_within_each_sample():
    fast = torch.tensor([1.0, *[0.0] * 7], dtype=torch.float64)
    found = couple_within(owned(growth=(fast,) * 3).equal(), epsilon=1.0, progress=False)
    sent = found.lineage.couplings[0].row_mass.numpy()
    assert sent[0] / sent[2] == pytest.approx(np.e, rel=1e-6)
    for name in "abc":
        assert sent[name == NAMES].sum() == pytest.approx(1 / 3)


def test_a_sample_that_is_missing_is_left_out_of_the_gap():
    x = tuple(normal(n, 2, seed=n) for n in (8, 6, 8))
    cells = Owned(Snapshots((0.0, 1.0, 2.0), x), (NAMES, NAMES[:6], NAMES)).equal()
    found = couple_within(cells, epsilon=None, progress=False)
    assert found.left_out == {(0.0, 1.0): ["c"], (1.0, 2.0): ["c"]}
    assert found.lineage.growth(0)[:6].numpy() == pytest.approx(0, abs=1e-6)
    assert torch.isneginf(found.lineage.growth(0)[6:]).all()
    apart = Owned(Snapshots((0.0, 1.0), x[:2]), (NAMES[:1].repeat(8), NAMES[1:2].repeat(6)))
    with pytest.raises(ValueError, match=r"no sample has cells both.*ct.tl.couplings\(adata\)"):
        couple_within(apart, epsilon=None, progress=False)
