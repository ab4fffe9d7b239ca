"""Fit a flow from AnnData, simulate it with any noise, and judge it."""

from functools import partial

import anndata as ad
import numpy as np
import pytest

import celltraj as ct

fit = partial(ct.tl.fit_flow, training=ct.models.FlowTraining(max_steps=30), progress=False)


@pytest.fixture
def adata():
    return ct.datasets.branching(n_cells=30, seed=0)


def test_record_and_velocity_survive_a_file(adata, tmp_path):
    flow = fit(adata, seed=3)
    adata.write_h5ad(tmp_path / "cells.h5ad")
    again = ad.read_h5ad(tmp_path / "cells.h5ad")
    record = again.uns["celltraj"]["flow"]
    assert record["seed"] == 3
    assert record["params"]["interpolant"]["name"] == "SplineInterpolant"
    assert record["params"]["sigma_source"] == "estimated"
    assert len(record["history"]) == 30
    np.testing.assert_array_equal(record["time_points"], flow.times)
    np.testing.assert_array_equal(again.obsm["X_flow_velocity"], adata.obsm["X_flow_velocity"])
    ct.pl.history(again, key="flow", show=False)


def test_noise_is_chosen_after_the_fit(adata):
    flow = fit(adata)
    simulate = partial(
        ct.tl.simulate, adata, flow, start=0.0, stop=2.0, n_cells=10, n_times=3, progress=False
    )
    still, again = simulate(seed=0), simulate(seed=0, noise=0.0)
    np.testing.assert_array_equal(still.X, again.X)
    assert again.uns["celltraj"]["simulate"]["params"]["noise"] == 0.0
    assert not np.allclose(simulate(noise=0.3).X, still.X)
    back = ct.tl.simulate(adata, flow, start=2.0, stop=0.0, n_cells=5, progress=False)
    assert np.isfinite(back.X).all()


def test_cross_validation_takes_flows(adata):
    scores = ct.tl.cross_validate(adata, fit={"flow": fit}, hold_out=[2.0], progress=False)
    assert np.isfinite(scores.set_index("method").loc["flow", "value"])


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"sigma": 0.0}, ValueError, "sigma must be positive"),
        ({"use_rep": "X_none"}, KeyError, "no obsm"),
        ({"time_key": "day"}, KeyError, "day"),
        ({"key_added": "a/b"}, ValueError, "nesting"),
    ],
)
def test_bad_input_is_told_and_loses_nothing(adata, options, error, message):
    before = adata.copy()
    with pytest.raises(error, match=message):
        fit(adata, **options)
    assert set(adata.uns) == set(before.uns)
    assert set(adata.obsm) == set(before.obsm)


def test_noise_is_refused_where_it_means_nothing(adata):
    flow = fit(adata)
    run = partial(ct.tl.simulate, adata, start=0.0, stop=1.0, n_cells=3, progress=False)
    with pytest.raises(ValueError, match="noise must not be negative"):
        run(process=flow, noise=-1.0)
    bridge = ct.tl.fit_bridge(adata, drift=ct.models.PlugInDrift(), progress=False)
    with pytest.raises(TypeError, match="noise is chosen after the fit for a flow only"):
        run(process=bridge, noise=0.1)
    with pytest.raises(ValueError, match="FlowMatching has 2 variables, X has 1"):
        ct.tl.simulate(adata[:, :1], flow, start=0.0, stop=1.0, progress=False)
