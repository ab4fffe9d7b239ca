"""One door: couplings of plain transport, bridges, flows and processes, and what reads them."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch

import celltraj as ct
from celltraj._anndata import read_lineage
from celltraj.models import (
    Brownian,
    LotkaVolterra,
    OrnsteinUhlenbeck,
    Training,
    land,
)
from celltraj.ot.sampling import systematic
from celltraj.snapshots import Snapshots

SILENT = {"progress": False}
EXACT = {"rtol": 1e-12, "atol": 1e-14}


def cells(n_cells=25, seed=0):
    adata = ct.datasets.branching(n_cells=n_cells, seed=seed)
    adata.obs["day"] = adata.obs.pop("time") * 2
    return adata


ONCE = ct.models.BridgeOptions(refinement=ct.models.Refinement(max_rounds=1))


def bridge_of(adata, **options):
    given = {"training": None, "time_key": "day"} | SILENT
    return ct.tl.fit_bridge(adata, **given | options)


def counted():
    """Return amounts of two species, for a reference that is not affine."""
    rng = np.random.default_rng(0)
    x = rng.lognormal(0, 0.3, (60, 2)).astype(np.float32)
    obs = pd.DataFrame({"day": np.repeat([0.0, 0.5, 1.25], 20)}, index=[f"c{i}" for i in range(60)])
    adata = ad.AnnData(x, obs=obs)
    adata.obs["arm"] = np.where(x[:, 0] > 1, "upper", "lower")
    return adata


class Mine(Brownian):
    """A family whose code no file can hold."""


MODELS = {
    "Brownian": lambda adata: bridge_of(adata),
    "Ornstein-Uhlenbeck": lambda adata: bridge_of(
        adata, reference=OrnsteinUhlenbeck(), options=ONCE
    ),
    "unbalanced": lambda adata: bridge_of(adata, growth_key="rate", counts="population"),
    "weighted": lambda adata: bridge_of(adata, counts="weight"),
    "code of the user": lambda adata: bridge_of(adata, reference=Mine(0.5)),
    "flow": lambda adata: ct.tl.fit_flow(
        adata, time_key="day", training=Training(max_steps=60), **SILENT
    ).with_noise(0.1),
    "process": lambda adata: Brownian(0.3),
}


@pytest.fixture(scope="module")
def fitted():
    adata = cells()
    adata.obs["weight"] = np.random.default_rng(0).uniform(0.5, 2, adata.n_obs)
    adata.obs["rate"] = 0.1 * adata.X[:, 0]
    return adata, {name: make(adata) for name, make in MODELS.items()}


def core_lineage(adata, model, seed):
    """Return what the core itself says, without an AnnData."""
    if isinstance(model, ct.models.Bridge):
        return model.lineage
    days = np.unique(adata.obs["day"])
    clouds = tuple(adata.X[(adata.obs["day"] == t).to_numpy()].astype(float) for t in days)
    generator = torch.Generator().manual_seed(seed)
    return land(model, Snapshots(tuple(days), clouds), generator=generator)


def rows_at(adata, time):
    return np.flatnonzero((adata.obs["day"] == time).to_numpy())


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("store", ["memory", "h5ad", "zarr"])
@pytest.mark.filterwarnings("ignore:Writing zarr v2 data:UserWarning")
def test_what_is_stored_is_what_the_model_says(fitted, name, store, tmp_path):
    adata, model = fitted[0].copy(), fitted[1][name]
    ct.tl.couplings(adata, model, time_key="day", seed=3, **SILENT)
    if store != "memory":
        getattr(adata, f"write_{store}")(tmp_path / "cells")
        adata = getattr(ad, f"read_{store}")(tmp_path / "cells")
    assert_same_answers(adata, core_lineage(adata, model, seed=3))


def assert_same_answers(adata, expected):
    found = read_lineage(adata, "couplings").lineage
    first, last = expected.times[0], expected.times[-1]
    assert found.times == expected.times
    assert found.numbers == pytest.approx(expected.numbers, rel=1e-12)
    for one, other in zip(found.weights, expected.weights, strict=True):
        np.testing.assert_allclose(one, other, **EXACT)
    start = torch.eye(len(rows_at(adata, first)), dtype=torch.float64)[:, :4]
    labels = pd.get_dummies(adata.obs["arm"]).to_numpy(float)[rows_at(adata, last)]
    end = torch.from_numpy(labels)
    for ask in (
        lambda one: one.descendants(start, first, last),
        lambda one: one.ancestors(end, first, last),
        lambda one: one.fates(end, last),
        lambda one: [one.growth(k) for k in range(len(one.couplings))],
        lambda one: [plan.entropy() for plan in one.couplings],
    ):
        for mine, theirs in zip(ask(found), ask(expected), strict=True):
            np.testing.assert_allclose(mine, theirs, **EXACT)


def test_a_reference_that_is_not_affine_is_stored_too(tmp_path):
    adata = counted()
    bridge = bridge_of(adata, reference=LotkaVolterra(), sigma=0.4, options=ONCE)
    ct.tl.couplings(adata, bridge, **SILENT)
    adata.write_h5ad(tmp_path / "cells.h5ad")
    adata = ad.read_h5ad(tmp_path / "cells.h5ad")
    assert "couplings" in adata.obsm
    assert str(adata.uns["celltraj"]["couplings"]["law"]["name"]) == "LotkaVolterra"
    assert_same_answers(adata, bridge.lineage)


def test_the_default_column_and_representation_are_those_of_the_fit(fitted):
    adata, models = fitted[0].copy(), fitted[1]
    adata.obs["time"] = 1.0  # a column that the model knows nothing of
    bridge_of(adata, key_added="bridge")
    for name in ("Brownian", "flow"):
        ct.tl.couplings(adata, models[name], **SILENT)
        params = adata.uns["celltraj"]["couplings"]["params"]
        assert (params["time_key"], params["use_rep"]) == ("day", "X")
        assert params["model"] == type(models[name]).__name__


def test_some_times_of_a_bridge_will_do(fitted):
    adata, models = fitted[0].copy(), fitted[1]
    ct.tl.couplings(adata, models["unbalanced"], time_key="day", **SILENT)
    later = adata[(adata.obs["day"] >= 4).to_numpy()].copy()
    ct.tl.growth(later)
    ct.tl.growth(adata)
    one, other = (a.uns["celltraj"]["ct_growth"]["numbers"] for a in (later, adata))
    ratio = (other["predicted"] / other["predicted"].iloc[2]).iloc[2:]
    np.testing.assert_allclose(one["predicted"] / one["cells"].iloc[0], ratio, rtol=1e-12)
    np.testing.assert_array_equal(
        later.obs["ct_growth"], adata.obs.loc[later.obs_names, "ct_growth"]
    )


def test_growth_at_the_last_time_is_what_the_bridge_expects(fitted):
    adata, bridge = fitted[0].copy(), fitted[1]["unbalanced"]
    ct.tl.couplings(adata, bridge, time_key="day", seed=5, **SILENT)
    ct.tl.growth(adata)
    last = rows_at(adata, bridge.snapshots.times[-1])
    np.testing.assert_allclose(
        adata.obs["ct_growth"].to_numpy()[last], bridge.snapshots.growth[-1], rtol=1e-6
    )
    generator = torch.Generator().manual_seed(5)
    weights, x = bridge.snapshots.weights[0], bridge.snapshots.x[0]
    start = x[systematic(weights, 2000, generator)]
    path = ct.models.simulate(
        bridge, start, bridge.snapshots.times, n_steps=20, generator=generator
    )
    numbers = adata.uns["celltraj"]["ct_growth"]["numbers"]
    expected = numbers["cells"].iloc[0] * path.log_mass.exp().mean(1).numpy()
    np.testing.assert_allclose(numbers["predicted"], expected, rtol=1e-12)


def test_a_flow_is_simulated_once(fitted, monkeypatch):
    adata, flow = fitted[0].copy(), fitted[1]["flow"]
    ct.tl.couplings(adata, flow, **SILENT)
    monkeypatch.setattr(type(flow), "drift", None)
    ct.tl.push(adata, source=0.0, target=4.0, cells={"arm": "progenitor"}, **SILENT)
    ct.tl.transitions(adata, groupby="arm", **SILENT)
    ct.tl.fates(adata, groupby="arm", **SILENT)
    ct.tl.entropy(adata, **SILENT)
    ct.tl.growth(adata)
    ct.ex.to_cellrank(adata, **SILENT)


def test_cells_that_were_rounded_since_are_coupled_by_plans(fitted):
    adata, bridge = fitted[0].copy(), fitted[1]["Brownian"]
    adata.X = (adata.X * (1 + 1e-6)).astype(np.float32)
    ct.tl.couplings(adata, bridge, time_key="day", **SILENT)
    assert "couplings" in adata.obsp
    assert_same_answers(adata, bridge.lineage)


def test_cells_whose_states_change_are_told(fitted):
    adata, bridge = fitted[0].copy(), fitted[1]["Ornstein-Uhlenbeck"]
    ct.tl.couplings(adata, bridge, time_key="day", **SILENT)
    turned = rows_at(adata, 4.0)
    adata.X[turned, 1] *= -1  # digests know no signs
    with pytest.raises(ValueError, match="stale: the states of the cells have changed"):
        ct.tl.entropy(adata, **SILENT)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epsilon": 0.1}, "epsilon= say how plain transport couples"),
        ({"tau": (1.0, 1.0), "growth_key": "day"}, "tau= and growth_key= say how"),
        ({"counts": "population"}, "knows what their numbers mean from its fit"),
        ({"use_rep": "X_one"}, "pass the use_rep="),
    ],
)
def test_what_a_bridge_does_not_take(fitted, options, message):
    adata = fitted[0].copy()
    adata.obsm["X_one"] = adata.X[:, :1]
    with pytest.raises(ValueError, match=message):
        ct.tl.couplings(adata, fitted[1]["Brownian"], time_key="day", **options, **SILENT)
    assert "celltraj" not in adata.uns or "couplings" not in adata.uns["celltraj"]


def test_declared_sizes_are_kept_of_a_simulated_model(fitted):
    adata = fitted[0].copy()
    ct.tl.couplings(adata, Brownian(0.3), time_key="day", counts="population", **SILENT)
    ct.tl.growth(adata)
    numbers = adata.uns["celltraj"]["ct_growth"]["numbers"]
    np.testing.assert_allclose(numbers["observed"], numbers["cells"])
    assert (numbers["predicted"] == numbers["cells"].iloc[0]).all()


class TestCounts:
    """A column of ``obs`` says how many cells each cell stands for."""

    def test_its_shares_are_weights_and_its_sums_sizes(self):
        adata = cells()
        adata.obs["n"] = np.random.default_rng(1).uniform(1, 3, adata.n_obs)
        ct.tl.couplings(adata, time_key="day", counts="n", **SILENT)
        sums = adata.obs.groupby("day")["n"].sum()
        record = adata.uns["celltraj"]["couplings"]
        np.testing.assert_allclose(record["numbers"], sums / sums.iloc[0])
        shares = adata.obs["n"] / adata.obs["day"].map(sums)
        np.testing.assert_allclose(adata.obsm["couplings"][:, 2], shares)

    def test_shares_within_times_are_weights_alone(self):
        adata = cells()
        n = np.random.default_rng(1).uniform(1, 3, adata.n_obs)
        adata.obs["share"] = (
            n / pd.Series(n).groupby(adata.obs["day"].to_numpy()).transform("sum").to_numpy()
        )
        ct.tl.couplings(adata, time_key="day", counts="share", **SILENT)
        assert set(adata.uns["celltraj"]["couplings"]["numbers"]) == {1.0}
        np.testing.assert_allclose(adata.obsm["couplings"][:, 2], adata.obs["share"])

    def test_equal_numbers_mean_no_weights(self):
        adata, plain = cells(), cells()
        adata.obs["n"] = 4
        ct.tl.couplings(adata, time_key="day", counts="n", **SILENT)
        ct.tl.couplings(plain, time_key="day", counts="population", **SILENT)
        np.testing.assert_array_equal(adata.obsm["couplings"], plain.obsm["couplings"])

    def test_weights_of_plans_are_kept(self, tmp_path):
        adata = cells()
        adata.obs["n"] = np.random.default_rng(1).uniform(1, 3, adata.n_obs)
        ct.tl.couplings(adata, Brownian(0.3), time_key="day", counts="n", **SILENT)
        adata.write_h5ad(tmp_path / "cells.h5ad")
        found = read_lineage(ad.read_h5ad(tmp_path / "cells.h5ad"), "couplings").lineage
        first = adata.obs["n"].to_numpy()[rows_at(adata, 0.0)]
        np.testing.assert_allclose(found.weights[0], first / first.sum(), **EXACT)

    @pytest.mark.parametrize("name", ["proportions", "population"])
    def test_a_word_that_is_also_a_column_is_refused(self, name):
        adata = cells()
        adata.obs[name] = 1.0
        with pytest.raises(ValueError, match="means two things"):
            ct.tl.couplings(adata, time_key="day", counts=name, **SILENT)
        adata.obs[name] = "a"  # a column of texts is no column of numbers
        ct.tl.couplings(adata, time_key="day", counts=name, **SILENT)

    def test_neither_word_nor_column(self):
        with pytest.raises(ValueError, match=r"counts must be one of .* found 'cells'"):
            ct.tl.couplings(cells(), time_key="day", counts="cells", **SILENT)
