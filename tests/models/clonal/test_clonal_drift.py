"""Where clones go: closed forms, an independent estimate, and what a score is."""

import math

import numpy as np
import pytest
import torch

from celltraj.models.clonal.couple import couple_shifted
from celltraj.models.clonal.drift import ClonalDrift, folds_of, later_means, some_clones
from celltraj.models.clonal.martingale import ClonePair
from celltraj.models.clonal.strength import FoundStrength, clone_scores
from celltraj.snapshots import Snapshots


def pair_of(n_clones=40, seed=0):
    """Return clones of one to three cells that go from x to 2 x + 1."""
    rng = np.random.default_rng(seed)
    clone0 = np.repeat(np.arange(n_clones), rng.integers(1, 4, n_clones))
    clone1 = np.repeat(np.arange(n_clones), rng.integers(1, 4, n_clones))
    place = rng.normal(size=(n_clones, 2))
    x0 = place[clone0] + 0.01 * rng.normal(size=(len(clone0), 2))
    x1 = (2 * place + 1)[clone1] + 0.01 * rng.normal(size=(len(clone1), 2))
    parts = map(torch.from_numpy, (x0, x1, clone0, clone1))
    return ClonePair((0.0, 1.0), *parts, is_ancestor=False)


def test_a_step_is_that_of_a_sum_over_all_clonal_cells():
    pair = pair_of()
    n = len(pair.x0)
    drift, x = ClonalDrift.of(pair, n_neighbors=n), torch.randn(7, 2, dtype=torch.float64)
    distance = np.linalg.norm(pair.x0.numpy()[:, None] - pair.x0.numpy(), axis=-1)
    assert drift.near.width == pytest.approx(np.median(distance.max(1)))
    sizes = np.bincount(pair.clone0)[pair.clone0]
    ends = np.stack([pair.x1.numpy()[pair.clone1 == c].mean(0) for c in pair.clone0])
    for query, found in zip(x.numpy(), drift(x).numpy(), strict=True):
        square = ((query - pair.x0.numpy()) ** 2).sum(1) / drift.near.width**2
        weight = np.exp(-square / 2) / sizes
        wanted = weight @ (ends - pair.x0.numpy()) / (weight.sum() + 1)
        np.testing.assert_allclose(found, wanted)


def test_cells_far_from_all_clones_stay():
    drift = ClonalDrift.of(pair_of(), n_neighbors=5)
    assert drift(torch.full((1, 2), 1e3, dtype=torch.float64)).abs().max() == 0


def test_clones_count_once_however_many_cells_they_have():
    x = torch.zeros(11, 1, dtype=torch.float64)
    clones = torch.tensor([0] * 10 + [1])
    y = torch.tensor([[3.0], [-3.0]], dtype=torch.float64)
    pair = ClonePair((0.0, 1.0), x, y, clones, torch.arange(2), is_ancestor=False)
    drift = ClonalDrift.of(pair, n_neighbors=11)
    assert float(drift(x[:1])) == pytest.approx(0, abs=1e-12)


def test_some_clones_are_numbered_anew():
    pair = pair_of(6)
    some = some_clones(pair, torch.tensor([True, False, True, False, True, True]))
    assert some.n_clones == 4
    torch.testing.assert_close(later_means(some), later_means(pair)[[0, 2, 4, 5]])


def test_what_all_cells_are_moved_by_changes_no_plan():
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(30, 2, generator=generator, dtype=torch.float64) for _ in range(2))
    snapshots = Snapshots((0.0, 1.0), (x, y))
    still = couple_shifted(snapshots, None, 0.0, 0.5).to_dense()
    far = Snapshots((0.0, 1.0), (x + 3, y))
    moved = couple_shifted(far, None, 0.0, 0.5).to_dense()
    torch.testing.assert_close(moved, still, atol=1e-8, rtol=0)


def test_the_score_of_coupled_cells_is_the_log_of_their_entry_over_chance():
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(20, 2, generator=generator, dtype=torch.float64) for _ in range(2))
    coupling = couple_shifted(Snapshots((0.0, 1.0), (x, y)), None, 0.0, 0.5)
    clones = torch.tensor([0, 0, 1])
    pair = ClonePair((0.0, 1.0), x[:3], y[4:7], clones, clones, is_ancestor=False)
    plan = coupling.to_dense() * 20 * 20
    first = np.log(plan[:2, 4:6].numpy().mean(0)).mean()
    found = clone_scores(coupling, pair, x[:3], 0.5)
    np.testing.assert_allclose(found, [first, math.log(plan[2, 6])], atol=1e-5)


def test_the_best_is_taken_only_where_it_gains_more_than_its_error():
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(1, 1, 50))
    sure = np.concatenate([noise, noise + 1, noise + 0.5], axis=1)
    assert FoundStrength.of(sure, (1.0,)).strength == 0.5
    same = np.repeat(noise, 3, axis=1)
    found = FoundStrength.of(same, (1.0,))
    assert (found.strength, found.scale) == (0.0, 1.0)
    assert found.words.startswith("none")


def test_folds_are_as_equal_as_can_be():
    folds = folds_of(12, torch.Generator().manual_seed(0))
    assert torch.bincount(folds).tolist() == [3, 3, 2, 2, 2]
