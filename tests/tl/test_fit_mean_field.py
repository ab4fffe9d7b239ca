"""Populations whose cells influence each other: bridges, forecasts, files, and what is refused."""

from functools import partial

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch

import celltraj as ct
from celltraj.models.mean_field.courses import PopulationCourses
from celltraj.models.mean_field.fit import MeanFieldSettings
from celltraj.models.mean_field.fit import fit_mean_field as core_fit
from celltraj.snapshots import Snapshots

SILENT = {"progress": False}
FIT = partial(ct.tl.fit_mean_field, population_key="dish", growth=None, training=None, **SILENT)
KAPPA = 0.7
CENTRES = {"a": (-3.0, 0.0), "b": (0.0, 2.0), "c": (2.0, -2.0), "d": (4.0, 1.0)}


def cloud(centre, t, n, rng):
    """Return cells that are drawn to the mean of their population, which rests."""
    return centre + np.exp(-KAPPA * t) * rng.normal(size=(n, 2))


def gathering(centres=CENTRES, *, times=(0.0, 1.0, 2.0), n=60, seed=0):
    """Return populations that gather, each where it is."""
    rng = np.random.default_rng(seed)
    rows, states = [], []
    for name, centre in centres.items():
        for t in times:
            states.append(cloud(centre, t, n, rng))
            rows += [(name, f"day {t:g}")] * n
    obs = pd.DataFrame(rows, columns=["dish", "time"], index=[f"c{k}" for k in range(len(rows))])
    return ad.AnnData(np.concatenate(states).astype("float32"), obs=obs)


@pytest.fixture(scope="module")
def fitted():
    """Return four dishes and the fit."""
    adata = gathering()
    return adata, FIT(adata)


def test_what_is_around_a_cell_is_what_moves_it(fitted):
    _, found = fitted
    assert list(found) == list(CENTRES)
    assert all(isinstance(one, ct.models.Bridge) for one in found.values())
    assert found.own > 0
    assert found.in_words.startswith("what is around a cell explains")
    assert found["a"].representation.name == "X"
    assert found["a"].reference.law is found.law
    with pytest.raises(KeyError, match=r"no population 'other'; found \['a', "):
        found["other"]


def test_a_population_elsewhere_gathers_where_it_is(fitted):
    """Three dishes of 60 cells: a mean has an error of .13, a spread one of a tenth."""
    _, found = fitted
    rng = np.random.default_rng(9)
    start = np.array(cloud((-1.0, -1.0), 0.0, 200, rng))
    process = found.of(start, start=0.0, stop=2.0, seed=1)
    end = process.crowd.at(2.0).numpy()
    assert end.std() / start.std() == pytest.approx(np.exp(-KAPPA * 2.0), abs=0.12)
    np.testing.assert_allclose(end.mean(0), start.mean(0), atol=0.4)
    cells = ad.AnnData(start.astype("float32"))
    cells.obs["time"] = 0.0
    path = ct.tl.simulate(cells, process, start=0.0, stop=2.0, n_times=2, **SILENT)
    last = path.X[path.obs["time"] == 2.0]
    assert ct.metrics.wasserstein(last, end) < 0.2 * ct.metrics.wasserstein(start, end)


def test_populations_of_one_law_move_alike():
    """Cells that all fall to the origin, ``b(x) = -x``, whatever the others do."""
    rng = np.random.default_rng(0)
    rows, states = [], []
    for k, centre in enumerate(((2.0, 0.0), (-1.0, 1.0), (0.0, -2.0), (0.5, 0.5))):
        for t in (0.0, 0.5, 1.0):
            spread = 0.3 + 0.2 * k
            states.append(np.exp(-t) * (centre + spread * rng.normal(size=(60, 2))))
            rows += [(f"dish {k}", t)] * 60
    obs = pd.DataFrame(rows, columns=["dish", "time"], index=[f"c{k}" for k in range(len(rows))])
    found = FIT(ad.AnnData(np.concatenate(states).astype("float32"), obs=obs))
    told = dict(found.candidates)
    if found.own > 0:  # chance may have it so; then it is worth next to nothing
        assert told[found.own] > 0.8 * told[0.0]
    else:
        assert found.in_words.startswith("populations move by the same law whatever they are")
        assert not found.law.is_mean_field
    x = torch.tensor([[1.5, 0.0]]).double()
    np.testing.assert_allclose(found["dish 0"].reference.drift(0.2, x), [[-1.5, 0]], atol=0.4)


def test_what_is_written_comes_back_from_a_file(fitted, tmp_path):
    adata, found = fitted
    assert adata.obsm["mean_field_velocity"].shape == adata.shape
    adata.write_h5ad(tmp_path / "a.h5ad")
    again = ad.read_h5ad(tmp_path / "a.h5ad")
    table = ct.get.mean_field(again)
    pd.testing.assert_frame_equal(table, ct.get.mean_field(adata))
    assert len(table) == 12
    assert (table["cells"] == 60).all()
    candidates = ct.get.mean_field(again, candidates=True).set_index("own")["unexplained"]
    assert candidates[found.own] == found.unexplained
    assert again.uns["celltraj"]["mean_field"]["params"]["law"] == found.in_words


def test_saved_bridges_are_the_same(fitted, tmp_path):
    _, found = fitted
    found.save(tmp_path / "all")
    again = ct.load(tmp_path / "all")
    x = torch.randn(5, 2, generator=torch.Generator().manual_seed(0)).double()
    for name in found:
        for t in (0.5, 3.0):
            assert torch.equal(again[name].drift(t, x), found[name].drift(t, x))
    assert (again.own, again.candidates, again.seen) == (found.own, found.candidates, found.seen)
    process = again.of(np.eye(2), start=0.0, stop=1.0)
    assert torch.equal(process.crowd.x, found.of(np.eye(2), start=0.0, stop=1.0).crowd.x)
    found["a"].save(tmp_path / "one")
    assert torch.equal(ct.load(tmp_path / "one").drift(0.5, x), found["a"].drift(0.5, x))


def test_beyond_its_snapshots_a_population_moves_on_for_as_long_again(fitted):
    _, found = fitted
    x = torch.zeros(2, 2).double()
    assert torch.isfinite(found["b"].drift(4.0, x)).all()
    with pytest.raises(ValueError, match="known from 0 to 4"):
        found["b"].drift(4.1, x)


def test_couplings_of_a_population_are_those_of_its_bridge(fitted):
    adata, found = fitted
    one = adata[adata.obs["dish"] == "c"].copy()
    ct.tl.couplings(one, found["c"], **SILENT)
    ct.tl.push(one, source="day 0", target="day 2", cells={"dish": "c"}, **SILENT)
    last = one.obs["time"] == "day 2"
    assert one.obs.loc[last, "push"].sum() == pytest.approx(1, rel=1e-5)


def courses(*, shift=0.0, scale=1.0, order=1):
    """Return three small populations, moved, in another unit of time, or in another order."""
    rng = np.random.default_rng(0)
    given = {}
    for name, centre in (("a", -3.0), ("b", 0.0), ("c", 4.0)):
        x = tuple(
            torch.tensor(shift + centre + np.exp(-KAPPA * t) * rng.normal(size=(20, 1)))
            for t in (0.0, 1.0, 2.0)
        )
        given[name] = Snapshots(tuple(scale * t for t in (0.0, 1.0, 2.0)), x)
    return PopulationCourses(dict(list(given.items())[::order]))


SETTINGS = MeanFieldSettings(sigma=0.2, growth=None)


@pytest.fixture(scope="module")
def here():
    """Return three small populations, fitted."""
    return core_fit(courses(), SETTINGS)


class TestInvariance:
    X = torch.linspace(-4, 5, 7)[:, None].double()

    def test_the_order_of_populations_plays_no_part(self, here):
        other = core_fit(courses(order=-1), SETTINGS)
        for name in here:
            assert torch.equal(here[name].drift(0.5, self.X), other[name].drift(0.5, self.X))

    def test_moved_populations_move_alike(self, here):
        there = core_fit(courses(shift=50.0), SETTINGS)
        for t in (0.5, 3.0):
            torch.testing.assert_close(
                there["b"].drift(t, self.X + 50), here["b"].drift(t, self.X), rtol=1e-4, atol=1e-5
            )

    def test_days_and_hours(self, here):
        hours = core_fit(courses(scale=24.0), MeanFieldSettings(sigma=0.2 / 24**0.5, growth=None))
        assert hours.own == here.own
        for t in (0.5, 3.0):
            torch.testing.assert_close(
                24 * hours["b"].drift(24 * t, self.X),
                here["b"].drift(t, self.X),
                rtol=1e-4,
                atol=1e-5,
            )


@pytest.mark.filterwarnings("ignore")  # three steps train nothing
def test_bridges_with_a_network():
    training = ct.models.Training(max_steps=3, width=8)
    found = FIT(gathering(n=20), training=training)
    x = torch.zeros(2, 2)
    assert torch.isfinite(found["a"].drift(0.5, x)).all()
    assert len(found["a"].losses) == 3


class TestRefused:
    def test_fewer_than_three_populations(self):
        two = gathering({name: CENTRES[name] for name in "ab"}, n=20)
        with pytest.raises(ValueError, match=r"needs 3 populations or more.*found \['a', 'b'\].*"):
            FIT(two)
        with pytest.raises(ValueError, match=r"one population.*ct\.tl\.fit_bridge"):
            FIT(two[two.obs["dish"] == "a"].copy())

    def test_populations(self):
        adata = gathering(n=20)
        is_first = adata.obs["time"] == "day 0"
        once = adata[(adata.obs["dish"] != "b") | is_first].copy()
        with pytest.raises(ValueError, match=r"populations \['b'\] .*seen at one time.*fitted\.of"):
            FIT(once)
        few = (adata.obs["dish"] == "b") & is_first & (np.arange(adata.n_obs) % 20 > 1)
        with pytest.raises(ValueError, match="'b' has 2 cells at 0; what is around"):
            FIT(adata[~few].copy())
        adata.obs.loc["c3", "dish"] = None
        with pytest.raises(ValueError, match=r"1 cells have no population .*'c3'"):
            FIT(adata)
        with pytest.raises(KeyError):
            FIT(adata, population_key="other")

    def test_few_cells_are_said(self):
        with pytest.warns(ct.DataWarning, match="fewer than 20 cells of a population at a time"):
            FIT(gathering(times=(0.0, 1.0), n=15))

    def test_one_checkpoint_for_all(self, tmp_path):
        trainer = ct.models.TrainerOptions(checkpoint=tmp_path / "a.pt")
        training = ct.models.Training(max_steps=2, trainer=trainer)
        with pytest.raises(ValueError, match="each population has its own"):
            FIT(gathering(n=20), training=training)


@pytest.mark.slow
def test_interacting_populations_that_were_not_seen():
    """The mean field halves what a law of the state alone misses, at least, of eight replicates."""
    adata = ct.datasets.interacting_populations(n_populations=10, n_cells=200, seed=0)
    adata.obs["time"] = (adata.obs["condition"] == "after").astype(float)
    is_test = adata.obs["split"] == "test"
    options = {"population_key": "population", "growth": None, "training": None, **SILENT}
    found = ct.tl.fit_mean_field(adata[~is_test].copy(), **options)
    assert found.own > 0
    w1 = []
    for _, rows in adata[is_test].obs.groupby("population", observed=True).groups.items():
        one = adata[rows]
        first, last = (one.X[(one.obs["time"] == t).to_numpy()] for t in (0.0, 1.0))
        process = found.of(first, start=0.0, stop=1.0)
        end = process.crowd.at(1.0)
        w1.append([ct.metrics.wasserstein(x, last) for x in (first, end)])
    still, moved = np.mean(w1, axis=0)
    assert moved < 0.6 * still
