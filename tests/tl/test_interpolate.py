"""Cells at a time that was not observed."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest

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
    ct.tl.couplings(adata, epsilon=0.1, progress=False)
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
