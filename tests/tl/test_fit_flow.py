"""Fit a flow from AnnData, simulate it with any noise, and judge it."""

from functools import partial

import anndata as ad
import numpy as np
import pytest

import celltraj as ct
from celltraj.models import FlowOptions, Training

fit = partial(ct.tl.fit_flow, training=Training(max_steps=30), progress=False)


@pytest.fixture
def adata():
    return ct.datasets.branching(n_cells=30, seed=0)


def test_record_and_velocity_survive_a_file(adata, tmp_path):
    flow = fit(adata, interpolant=ct.models.ReferenceInterpolant(), seed=3)
    adata.write_h5ad(tmp_path / "cells.h5ad")
    again = ad.read_h5ad(tmp_path / "cells.h5ad")
    record = again.uns["celltraj"]["flow"]
    assert record["seed"] == 3
    params = record["params"]
    assert params["interpolant"]["name"] == "ReferenceInterpolant"
    assert params["interpolant"]["reference"]["name"] == "KernelReference"
    asked = vars(ct.ot.solve)
    # what is None is left to the size of the problem, and left out
    given = {name: value for name, value in asked.items() if value is not None}
    assert params["options"]["coupling"] == {"name": "Balanced"} | given
    assert params["options"]["penalties"]["kinetic"] == 0.0
    assert params["training"]["max_steps"] == 30
    assert record["params"]["sigma_source"] == "estimated"
    assert len(record["history"]) == 30
    np.testing.assert_array_equal(record["time_points"], flow.times)
    np.testing.assert_array_equal(again.obsm["flow_velocity"], adata.obsm["flow_velocity"])
    ct.pl.history(again, key="flow", show=False)


def test_noise_is_chosen_after_the_fit(adata):
    flow = fit(adata)
    simulate = partial(
        ct.tl.simulate, adata, flow, start=0.0, stop=2.0, n_cells=10, n_times=3, progress=False
    )
    still, again = simulate(seed=0), simulate(seed=0, noise=flow.noise)
    np.testing.assert_array_equal(still.X, again.X)
    again = simulate(seed=0, noise=0.0)
    assert again.uns["celltraj"]["simulate"]["params"]["noise"] == 0.0
    assert not np.allclose(simulate(noise=0.3).X, still.X)
    back = ct.tl.simulate(adata, flow, start=2.0, stop=0.0, n_cells=5, progress=False)
    assert np.isfinite(back.X).all()


def test_two_snapshots_tell_no_law_and_are_joined_by_lines(adata):
    two = adata[adata.obs["time"] < 2].copy()
    flow = fit(two)
    assert isinstance(flow.interpolant, ct.models.BrownianBridgeInterpolant)
    assert flow.interpolant.sigma > 0


def test_epochs_and_trainer_stand_beside_the_training(adata):
    trainer = ct.models.TrainerOptions(precision="bf16-mixed")
    flow = ct.tl.fit_flow(adata, training=Training(max_epochs=3, trainer=trainer), progress=False)
    assert len(flow.losses) == 3 * -(-adata.n_obs // 512)
    training = adata.uns["celltraj"]["flow"]["params"]["training"]
    assert training["max_epochs"] == 3
    assert "max_steps" not in training


@pytest.mark.parametrize("coupling", [ct.ot.solve, ct.ot.Minibatch(size=10, rounds=3)])
def test_couplings_that_keep_the_mass_of_cells_give_no_growth(adata, coupling):
    flow = fit(adata, growth=None, options=FlowOptions(coupling=coupling))
    assert not flow.has_growth
    path = ct.tl.simulate(adata, flow, start=0.0, stop=1.0, n_cells=5, progress=False)
    assert "mass" not in path.obs


def test_cells_that_grow_carry_their_mass(adata):
    flow = fit(adata)
    assert flow.has_growth
    path = ct.tl.simulate(adata, flow, start=0.0, stop=2.0, n_cells=5, n_times=3, progress=False)
    assert (path.obs["mass"][path.obs["time"] == 0] == 1).all()
    assert (path.obs["mass"] > 0).all()


def test_a_coupling_that_does_not_converge_is_told(adata):
    hard = FlowOptions(coupling=ct.ot.Unbalanced(max_steps=1, tol=1e-14))
    before = adata.copy()
    with pytest.raises(ct.ConvergenceError, match="pass a larger sigma="):
        fit(adata, options=hard, sigma=0.02)
    assert set(adata.obsm) == set(before.obsm)


def test_a_loss_that_becomes_nan_is_told_and_the_last_network_kept(adata):
    wild = Training(max_steps=200, learning_rate=1e12)
    with pytest.raises(ct.TrainingError, match="step") as error:
        ct.tl.fit_flow(adata, training=wild, progress=False)
    assert all(value.isfinite().all() for value in error.value.result.parameters())
    assert "celltraj" not in adata.uns


def test_a_checkpoint_of_other_features_is_refused_by_name(adata, tmp_path):
    trainer = ct.models.TrainerOptions(checkpoint=tmp_path, checkpoint_every=10, resume=True)
    resumed = partial(fit, training=Training(max_steps=30, trainer=trainer))
    flow = resumed(adata)
    again = resumed(adata)  # all steps are done: nothing is left to train
    np.testing.assert_array_equal(again.losses, flow.losses)
    other = adata.copy()
    other.var_names = ["gata1", *adata.var_names[1:]]
    with pytest.raises(ValueError, match=rf"\['{adata.var_names[0]}'\] are missing.*gata1"):
        resumed(other)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"interpolant": ct.models.SplineInterpolant}, r"SplineInterpolant\(\.\.\.\), in place of"),
        ({"interpolant": "spline"}, "interpolant must be .*such as"),
        ({"options": "exact"}, "options must be .*such as"),
        ({"options": FlowOptions}, r"FlowOptions\(\.\.\.\), in place of the class"),
        ({"training": 500}, "training must be .*such as"),
        ({"training": None}, "training must be .*such as"),
    ],
)
def test_texts_and_classes_in_place_of_objects_are_told(adata, options, message):
    with pytest.raises(TypeError, match=message):
        fit(adata, **options)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: FlowOptions(coupling="exact"), "coupling must be .*such as"),
        (lambda: FlowOptions(coupling=ct.ot.Unbalanced), r"Unbalanced\(\.\.\.\), in place of the"),
        (lambda: Training(trainer="gpu"), "trainer must be"),
        (lambda: Training(penalties=1), "argument 'penalties'"),
    ],
)
def test_parts_of_options_are_checked_where_they_are_made(made, message):
    with pytest.raises(TypeError, match=message):
        made()


def test_cross_validation_takes_flows(adata):
    scores = ct.tl.cross_validate(adata, fit={"flow": fit}, hold_out=[2.0], progress=False)
    assert np.isfinite(scores.loc[scores["method"] == "flow", "value"]).all()


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
        run(model=flow, noise=-1.0)
    bridge = ct.tl.fit_bridge(adata, training=None, progress=False)
    with pytest.raises(TypeError, match="noise is chosen after the fit for a flow only"):
        run(model=bridge, noise=0.1)
    with pytest.raises(ValueError, match="FlowMatching has 2 variables, X has 1"):
        ct.tl.simulate(adata[:, :1], flow, start=0.0, stop=1.0, progress=False)
