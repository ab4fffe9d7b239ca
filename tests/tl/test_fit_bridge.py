"""What fit_bridge writes, where, and what it says while it does."""

import logging

import numpy as np
import pytest
from anndata import ImplicitModificationWarning

import celltraj as ct
from celltraj.models import BridgeOptions, Training
from celltraj.ot import Sinkhorn


@pytest.fixture
def adata():
    return ct.datasets.branching(n_cells=20, seed=0)


def fit(adata, **options):
    return ct.tl.fit_bridge(adata, **{"training": None, "progress": False} | options)


def test_the_record_holds_every_option(adata):
    training, options = Training(max_steps=3, width=8), BridgeOptions(coupling=Sinkhorn(tol=1e-3))
    bridge = fit(adata, training=training, options=options, sigma=0.3, seed=5)
    record = adata.uns["celltraj"]["bridge"]
    assert record["params"] == {
        "time_key": "time",
        "use_rep": "X",
        "reference": "Brownian",
        "counts": "proportions",
        "sigma": 0.3,
        "sigma_source": "given",
        "growth": "auto",
        "growth_found": record["params"]["growth_found"],
        "options": {
            "name": "BridgeOptions",
            "coupling": {"name": "Sinkhorn", "tol": 1e-3, "max_iters": 20_000, "throw": True},
            "refinement": {
                "name": "Refinement",
                "max_rounds": 20,
                "tol": 1e-3,
                "estimate_sigma": False,
            },
            "max_cells": 5000,
        },
        # what is None is left to the model and the size of the data, and left out
        "training": {
            "name": "Training",
            "max_steps": 3,
            "width": 8,
            "ema_decay": 0.995,
            "validation": 0.0,
        },
    }
    assert record["seed"] == 5
    assert record["version"] == ct.__version__
    np.testing.assert_array_equal(record["time_points"], [0, 1, 2, 3, 4])
    assert record["convergence"]["epsilon"].tolist() == pytest.approx([0.09] * 4)
    assert record["history"]["loss"].tolist() == list(bridge.losses)
    assert len(record["history"]) == 3


def test_an_estimated_sigma_says_so(adata):
    bridge = fit(adata)
    params = adata.uns["celltraj"]["bridge"]["params"]
    assert params["sigma_source"] == "estimated"
    assert params["sigma"] == bridge.reference.sigma


def test_weights_reach_the_snapshots(adata):
    adata.obs["w"] = np.arange(adata.n_obs)
    bridge = fit(adata, counts="w")
    first = adata.obs["w"][(adata.obs["time"] == 0).to_numpy()].to_numpy()
    np.testing.assert_allclose(bridge.snapshots.weights[0], first / first.sum())
    assert adata.uns["celltraj"]["bridge"]["params"]["counts"] == "w"


def test_a_fit_to_a_copy_leaves_the_original_alone_and_is_the_same(adata):
    annotated = adata.copy()
    bridge = fit(annotated)
    assert not adata.uns.keys() & {"celltraj"}
    assert not adata.obsm
    in_place = fit(adata)
    np.testing.assert_array_equal(annotated.obsm["bridge_velocity"], adata.obsm["bridge_velocity"])
    assert bridge.reference == in_place.reference
    fit(annotated, key_added="second")
    assert list(annotated.uns["celltraj"]) == ["bridge", "second"]
    assert list(adata.uns["celltraj"]) == ["bridge"]


def test_the_velocity_is_the_drift_at_the_time_of_each_cell(adata):
    bridge = fit(adata)
    at = (adata.obs["time"] == 2).to_numpy()
    drift = bridge.drift(2.0, bridge.snapshots.x[2])
    # stored as float32
    np.testing.assert_allclose(adata.obsm["bridge_velocity"][at], drift, rtol=1e-6)


def test_results_of_a_view_land_in_it_and_not_in_its_parent(adata):
    view = adata[adata.obs["time"] < 3]
    with pytest.warns(ImplicitModificationWarning, match=r"pass adata\[...\].copy\(\)") as caught:
        fit(view)
    assert sum(one.category is ImplicitModificationWarning for one in caught) == 1
    assert view.obsm["bridge_velocity"].shape == view.shape
    assert "bridge" in view.uns["celltraj"]
    assert not adata.obsm
    assert "celltraj" not in adata.uns


def test_a_copy_of_a_view_needs_no_warning(adata):
    annotated = adata[adata.obs["time"] < 3].copy()
    fit(annotated)
    assert "bridge" in annotated.uns["celltraj"]


def test_the_log_names_keys_device_scales_and_time(adata, caplog):
    with caplog.at_level(logging.INFO, logger="celltraj"):
        fit(adata, sigma=0.5, key_added="mine")
    wrote, fitted = caplog.messages
    place, fields = wrote.split(": ")
    assert place == "wrote adata.obsm['mine_velocity'] and adata.uns['celltraj']['mine']"
    assert fields.split(", ") == list(adata.uns["celltraj"]["mine"])
    assert "sigma 0.5 (given), epsilon [0.25, 0.25, 0.25, 0.25], on cpu" in fitted
    assert fitted.endswith(" s")
