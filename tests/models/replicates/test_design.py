"""What designs of batches and times tell, against the rank of their linear model."""

import itertools
import re

import numpy as np
import pytest

from celltraj.models.replicates.design import CONFOUNDED, THROUGH, WITHIN, Design


def design(pairs):
    batches, times = zip(*pairs, strict=True)
    return Design.of(batches, np.array(times, dtype=float))


def is_estimable(pairs, t0, t1):
    """Return whether the rows of times and batches span the contrast of two times."""
    batches = sorted({b for b, _ in pairs})
    times = sorted({t for _, t in pairs})
    rows = np.array(
        [[*(t == one for one in times), *(b == one for one in batches)] for b, t in pairs], float
    )
    contrast = np.zeros(rows.shape[1])
    contrast[times.index(t0)], contrast[times.index(t1)] = -1, 1
    rank = np.linalg.matrix_rank(rows)
    return np.linalg.matrix_rank(np.vstack([rows, contrast])) == rank


def test_told_is_estimability_in_random_designs():
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(60):
        pairs = [(b, t) for b in "abcd" for t in range(4) if rng.random() < 0.35]
        pairs += [("a", t) for t in range(4) if not any(one == t for _, one in pairs)]
        found = design(pairs)
        for (j, t0), (k, t1) in itertools.combinations(enumerate(found.times), 2):
            told = found.told(j, k)
            seen.add(told)
            assert (told != CONFOUNDED) == is_estimable(pairs, t0, t1)
    assert seen == {WITHIN, THROUGH, CONFOUNDED}


@pytest.mark.parametrize(
    ("pairs", "sentence"),
    [
        ([("a", 0), ("a", 1)], "all cells are of the batch 'a'"),
        ([("a", 0), ("b", 1)], "each time is a batch of its own.*no method corrects it"),
        ([("a", 0), ("a", 1), ("b", 2)], "no batch ties the times 0, 1 | 2"),
        ([("a", 0), ("a", 1), ("b", 1), ("b", 2)], "shift between batches is seen at times 1"),
        ([("a", 0), ("b", 1), ("a", 2), ("b", 2)], "0 to 1 only by way of other times"),
    ],
)
def test_sentences(pairs, sentence):
    assert any(re.search(sentence, text) for text in design(pairs).sentences())


def test_two_batches_of_one_time_are_no_times():
    found = design([("a", 0), ("b", 0)])
    assert not found.is_time
    assert found.parts.tolist() == [0]
