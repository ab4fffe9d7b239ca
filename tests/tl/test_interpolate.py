"""Cells at a time that was not observed."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch

import celltraj as ct


@pytest.fixture(scope="module")
def adata():
    return ct.datasets.branching(n_cells=20, seed=0)


@pytest.fixture(scope="module")
def bridge(adata):
    return ct.tl.fit_bridge(adata.copy(), training=None, progress=False)


def test_the_training_cells_are_not_needed(adata, bridge):
    template = ad.AnnData(np.empty((0, 2), dtype="float32"), var=pd.DataFrame(index=["x", "y"]))
    one, two = (
        ct.tl.interpolate(source, bridge, time=1.5, n_cells=30, seed=3)
        for source in (adata, template)
    )
    np.testing.assert_array_equal(one.X, two.X)
    assert two.var_names.tolist() == ["x", "y"]


def test_params_and_times_are_recorded(adata, bridge):
    record = ct.tl.interpolate(adata, bridge, time=1, n_cells=5, seed=3)
    assert record.obs["time"].tolist() == [1.0] * 5
    assert record.uns["celltraj"]["interpolate"]["params"] == {
        "time": 1.0,
        "n_cells": 5,
        "use_rep": "X",
    }
    assert record.uns["celltraj"]["interpolate"]["seed"] == 3


def test_at_a_snapshot_the_observed_cells_come_back(adata, bridge):
    cells = ct.tl.interpolate(adata, bridge, time=2.0, n_cells=50)
    observed = adata.X[(adata.obs["time"] == 2).to_numpy()]
    assert {tuple(x) for x in cells.X} <= {tuple(x) for x in observed}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"time": 5.0}, r"time 5 lies outside the observed \[0, 4\]"),
        ({"time": 1.0, "n_cells": 0}, "n_cells must be at least 1; found 0"),
        ({"time": 1.0, "use_rep": "X_one"}, "the bridge has 2 variables, X_one has 1"),
    ],
)
def test_what_cannot_be_drawn(adata, bridge, options, message):
    adata = adata.copy()
    adata.obsm["X_one"] = adata.X[:, :1]
    with pytest.raises(ValueError, match=message):
        ct.tl.interpolate(adata, bridge, **options)


def test_an_unknown_representation_lists_what_there_is(adata, bridge):
    with pytest.raises(KeyError, match=r"no obsm\['X_umap'\]; found \[\]"):
        ct.tl.interpolate(adata, bridge, time=1.0, use_rep="X_umap")


def test_couplings_alone_interpolate_with_growth():
    """Two groups that stay where they are, one of which trebles: its share grows in between."""
    x = np.repeat([[0.0, 0.0], [9.0, 9.0]], 50, axis=0)
    y = np.repeat([[0.0, 0.0], [9.0, 9.0]], [50, 150], axis=0)
    noise = np.random.default_rng(0).normal(0, 0.1, (300, 2))
    adata = ad.AnnData((np.concatenate([x, y]) + noise).astype(np.float32))
    adata.obs["time"] = np.repeat([0.0, 4.0], [100, 200])
    ct.tl.couplings(adata, epsilon=0.1, tau=(0.95, 0.99), progress=False)
    shares = []
    for time in (0.0, 2.0, 4.0):
        cells = ct.tl.interpolate(adata, time=time, n_cells=400, seed=1)
        assert (cells.obs["time"] == time).all()
        shares.append(float((cells.X[:, 0] > 5).mean()))
    # 400 cells drawn: three standard errors of a share
    assert shares[0] == pytest.approx(0.5, abs=0.07)
    assert shares[0] < shares[1] < shares[2]
    assert shares[2] == pytest.approx(0.75, abs=0.07)
    with pytest.raises(ValueError, match="outside the observed"):
        ct.tl.interpolate(adata, time=5.0)
    with pytest.raises(KeyError, match=r"ct\.tl\.couplings"):
        ct.tl.interpolate(adata, time=2.0, key="others")


class Wind(ct.models.Brownian):
    """Carry cells along the first variable, and double those on its far side in a unit of time."""

    def drift(self, t, x):
        return torch.tensor([1.0, 0.0]).to(x.dtype).expand_as(x)

    def growth(self, t, x):
        return torch.where(x[:, 1] > 5, np.log(2.0), 0.0)


def two_groups():
    x = np.repeat([[0.0, 0.0], [0.0, 9.0]], 50, axis=0)
    x[:, 1] += np.linspace(0, 0.5, 100)  # none is a copy of another
    moved = x + np.array([4.0, 0.0])
    adata = ad.AnnData(np.concatenate([x, moved]).astype(np.float32))
    adata.obs["day"] = np.repeat([0.0, 4.0], 100)
    return adata


class TestSimulated:
    def test_cells_start_at_the_snapshot_before_and_are_drawn_by_their_mass(self):
        adata, wind = two_groups(), Wind(1e-6)
        asked = {"n_cells": 300, "time_key": "day", "use_rep": "X", "seed": 1}
        cells = ct.tl.interpolate(adata, wind, time=3.0, **asked)
        np.testing.assert_allclose(cells.X[:, 0], 3.0, atol=1e-4)
        # eight cells for each one that does not grow, up to one of the 300
        assert (cells.X[:, 1] > 5).sum() == pytest.approx(300 * 8 / 9, abs=2)
        again = ct.tl.interpolate(adata, wind, time=3.0, **asked)
        np.testing.assert_array_equal(cells.X, again.X)
        assert cells.obs["time"].unique().tolist() == [3.0]

    def test_the_column_of_times_is_that_of_the_fit(self):
        adata = ct.datasets.branching(n_cells=20, seed=0)
        adata.obs["day"] = [f"D{t:g}" for t in adata.obs.pop("time")]
        short = ct.models.Training(max_steps=20)
        flow = ct.tl.fit_flow(adata, time_key="day", training=short, progress=False)
        cells = ct.tl.interpolate(adata, flow, time="D2", n_cells=30)
        observed = adata.X[(adata.obs["day"] == "D2").to_numpy()]
        assert {tuple(x) for x in cells.X} <= {tuple(x) for x in observed}
        assert ct.tl.interpolate(adata, flow, time=1.5, n_cells=30).shape == (30, 2)
        for model in (flow, ct.models.Brownian(0.1)):
            with pytest.raises(ValueError, match=r"time 4.5 lies outside .*\[0, 4\]"):
                ct.tl.interpolate(adata, model, time=4.5)
        early = adata[(adata.obs["day"] != "D4").to_numpy()].copy()
        with pytest.raises(ValueError, match=r"time 3.5 lies outside the observed \[0, 3\]"):
            ct.tl.interpolate(early, flow, time=3.5)

    def test_what_is_no_law_of_motion_is_named(self):
        with pytest.raises(TypeError, match="a law of motion"):
            ct.tl.interpolate(two_groups(), "flow", time=1.0)
