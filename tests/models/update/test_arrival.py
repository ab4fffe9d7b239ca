"""What a model can go on from, and what it is told to do otherwise."""

import re

import pytest
import torch

from celltraj.models.representation import Representation
from celltraj.models.update.arrival import Arrival
from celltraj.snapshots import Snapshots

TIMES = (0.0, 1.0, 2.0)


def cloud(t, *, n=60, scale=1.0):
    generator = torch.Generator().manual_seed(int(10 * t))
    return scale * (torch.randn(n, 2, generator=generator, dtype=torch.float64) + t)


OLD = Snapshots(TIMES, tuple(cloud(t) for t in TIMES))
SPACE = Representation.of("X_pca", ("a", "b"), OLD)


def arrived(clouds):
    times = [torch.full((len(x),), t, dtype=torch.float64) for t, x in clouds.items()]
    return Arrival.of(SPACE, torch.cat(times), torch.cat(list(clouds.values())))


def test_cells_are_sorted_by_time_and_the_space_is_longer():
    whole = {t: cloud(t) for t in (0.0, 2.0, 1.0, 4.5)} | {3.0: cloud(3.0, n=80)}
    found = arrived(whole)
    assert found.times == (3.0, 4.5)
    assert found.space.times == (*TIMES, 3.0, 4.5)
    assert found.space.centres[3] == tuple(whole[3.0].mean(0).tolist())
    assert found.observed().times == TIMES
    assert found.course(OLD).times == (*TIMES, 3.0, 4.5)
    # the order of old cells plays no part, nor single precision
    turned = arrived({1.0: cloud(1.0).flip(0).float().double(), 3.0: cloud(3.0)})
    with pytest.raises(ValueError, match=re.escape("none of 0, 2")):
        turned.observed()
    with pytest.raises(ValueError, match="takes no cells of old times"):
        turned.check_absent()


@pytest.mark.parametrize(
    ("clouds", "message"),
    [
        ({2.0: cloud(2.0)}, "no cells after time 2"),
        ({1.5: cloud(1.5), 3.0: cloud(3.0)}, "inside a course or before its start.*ct.tl.fit_flow"),
        ({-1.0: cloud(0.0), 3.0: cloud(3.0)}, "time -1 is none of the model's"),
        ({1.0: cloud(1.5), 3.0: cloud(3.0)}, "not those that the model was fitted to.*donor"),
        ({3.0: cloud(3.0, n=49)}, "49 cells, and fewer than 50"),
        ({3.0: cloud(2.0)}, "time 2 once more"),
        ({72.0: cloud(3.0)}, "same unit"),
        ({2.01: cloud(3.0)}, "same unit"),
        ({3.0: cloud(3.0, scale=20.0)}, "do not look like those in X_pca"),
        ({3.0: cloud(3.0) * float("nan")}, "NaN or infinite"),
    ],
)
def test_what_it_cannot_go_on_from_is_refused_in_words(clouds, message):
    with pytest.raises(ValueError, match=message):
        arrived(clouds)
