"""In what way laws follow a dose is found from gaps that were left out."""

import pytest
import torch

from celltraj.models.arms.laws import shared_laws
from celltraj.models.arms.similarity import KINDS, similarity_root
from celltraj.models.several import Chained

DOSES = [-2.0, -1.0, 0.0, 1.0, 2.0]


def shifted(speed, seed, n=20):
    """Return chains that a condition shifts at its speed, of three times."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(2 * n, 1, generator=g, dtype=torch.float64)
    times = torch.tensor([0.0, 1.0, 2.0], dtype=torch.float64)
    chain = torch.stack([x + speed * t for t in times])
    return Chained(times, chain, torch.arange(2 * n) % 2)


@pytest.mark.parametrize(
    ("speed_of", "kind"), [(lambda d: 1 + d / 4, "linear"), (lambda d: d**2 / 4, "smooth")]
)
def test_the_way_laws_change_is_chosen_by_gaps_left_out(speed_of, kind):
    speeds = [speed_of(dose) for dose in DOSES]
    courses = {k: shifted(speed, k) for k, speed in enumerate(speeds)}
    told = {"dose": DOSES}
    roots = {one: similarity_root("abcde", told, one) for one in KINDS}
    found = shared_laws(courses, roots, sigma=0.1)
    assert found.kind == kind
    assert found.own > 0
    # the cells stay within two standard deviations of where all begin
    here = torch.zeros(1, 1, dtype=torch.float64)
    drifts = [float(law.drift(0.0, here)) for law in found.laws]
    assert drifts == pytest.approx(speeds, abs=0.1)


def test_one_course_of_one_gap_has_the_shared_law():
    g = torch.Generator().manual_seed(0)
    x = torch.randn(20, 1, generator=g, dtype=torch.float64)
    times = torch.tensor([0.0, 1.0], dtype=torch.float64)
    alone = Chained(times, torch.stack([x, x + 1]), torch.zeros(20, dtype=torch.long))
    roots = {one: similarity_root("ab", {"dose": [0.0, 1.0]}, one) for one in KINDS}
    found = shared_laws({0: alone}, roots, sigma=0.1)
    assert (found.own, found.kind) == (0.0, "linear")
    here = torch.zeros(1, 1, dtype=torch.float64)
    for law in (*found.laws, found.common):
        assert float(law.drift(0.0, here)) == pytest.approx(1.0, abs=0.05)
