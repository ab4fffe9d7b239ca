"""Whether a fit passes through the snapshots that it was shown."""

import math

import pytest
import torch
from analytic import normal

import celltraj as ct
from celltraj.metrics import wasserstein
from celltraj.models import Brownian, simulate
from celltraj.models.own_snapshots import Meeting, Passage, furthest, warn_of
from celltraj.snapshots import Snapshots


class Doubling:
    """Cells right of zero double in a unit of time; none moves."""

    def drift(self, t, x):
        return torch.zeros_like(x)

    def diffusion(self, t, x):
        return torch.zeros_like(x)

    def growth(self, t, x):
        return math.log(2) * (x[:, 0] > 0).to(x.dtype)


def two_groups(n_left, n_right):
    x = torch.zeros(n_left + n_right, 1, dtype=torch.float64)
    x[:n_left], x[n_left:] = (
        -1 + 0.1 * normal(n_left, 1, seed=0),
        1 + 0.1 * normal(n_right, 1, seed=1),
    )
    return x


def test_mass_is_counted_and_its_effective_share_is_that_of_kish():
    snapshots = Snapshots((0.0, 1.0), (two_groups(100, 100), two_groups(100, 200)))
    (met,) = Meeting.of(snapshots, n_paths=200).passages(Doubling())
    # half of 200 trajectories weigh twice as much: (100 + 200)^2 / (200 (100 + 4 100))
    assert met.effective == pytest.approx(0.9, abs=1e-6)
    assert met.distance < 0.1  # it would be 1/3 (a sixth of the mass moves by 2) without mass
    (still,) = Meeting.of(snapshots, n_paths=200).passages(Brownian(1e-9))
    assert still.distance == pytest.approx(1 / 3, abs=0.05)


def test_distances_are_those_of_a_simulation_by_hand():
    snapshots = Snapshots((0.0, 2.0), (normal(50, 2, seed=0), normal(60, 2, seed=1) + 1))
    meeting = Meeting.of(snapshots, n_paths=50, seed=3)
    (met,) = meeting.passages(Brownian(0.5), seed=4)
    generator = torch.Generator().manual_seed(4)
    path = simulate(Brownian(0.5), meeting.start, (0.0, 2.0), n_steps=10, generator=generator)
    assert met.distance == pytest.approx(wasserstein(path.x[-1], snapshots.x[1]))
    assert met.time == 2.0


def test_the_floor_of_few_cells_is_not_known_and_decides_nothing():
    snapshots = Snapshots((0.0, 1.0), (normal(50, 2, seed=0), normal(3, 2, seed=1)))
    (met,) = Meeting.of(snapshots).passages(Brownian(0.1))
    assert math.isnan(met.floor)
    assert met.is_met
    assert met.packed()["floor"] is None


def test_what_is_missed_is_told_and_what_is_met_is_not():
    met, missed = Passage(1.0, 1.1, 1.0, 0.9), Passage(2.0, 2.0, 1.0, 0.3)
    warn_of([met], "the flow", "")
    with pytest.warns(ct.FitWarning, match=r"1 of the 2 later .* 2 x as far .* time 2 .* 30%"):
        warn_of([met, missed], "the flow", "")
    assert furthest([met]) == pytest.approx(1.1)
    assert furthest([missed]) == pytest.approx(2.0 / 0.6)


@pytest.mark.parametrize("fit", [ct.tl.fit_bridge, ct.tl.fit_flow])
def test_a_fit_tells_how_it_meets_its_snapshots_also_from_files(fit, tmp_path):
    adata = ct.datasets.branching(n_cells=60, seed=0)
    key = "bridge" if fit is ct.tl.fit_bridge else "flow"
    model = fit(adata, training=ct.models.Training(max_steps=300), seed=0, progress=False)
    times = [passage.time for passage in model.passages]
    assert times == sorted(adata.obs["time"].unique())[1:]
    table = ct.get.convergence(adata, key=key)
    assert table["W1"].tolist() == [passage.distance for passage in model.passages]
    model.save(tmp_path)
    assert ct.load(tmp_path).passages == model.passages


def test_a_short_fit_warns():
    adata = ct.datasets.branching(n_cells=60, seed=0)
    with pytest.warns(ct.FitWarning, match="the flow does not pass through"):
        ct.tl.fit_flow(adata, training=ct.models.Training(max_steps=2), progress=False)


def test_few_cells_and_two_snapshots_are_told():
    adata = ct.datasets.branching(n_cells=40, seed=0)
    with pytest.warns(ct.FitWarning, match="fewer than 50 cells at times"):
        ct.tl.fit_bridge(adata, training=None, progress=False)
    both = adata[adata.obs["time"].isin([0.0, 1.0])].copy()
    with pytest.warns(ct.FitWarning, match="two snapshots tell neither one law"):
        ct.tl.fit_bridge(both, training=None, progress=False)


def test_a_default_flow_stops_once_it_meets_its_snapshots():
    adata = ct.datasets.branching(n_cells=100, seed=0)
    flow = ct.tl.fit_flow(adata, seed=0, progress=False)
    assert len(flow.losses) in (1000, 2000, 3000, 4000)
    assert all(passage.is_met for passage in flow.passages)
