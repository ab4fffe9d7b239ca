"""Fits of more cells than they couple: a draw is coupled, every cell is told where it moves."""

import logging
from functools import partial

import numpy as np
import pytest
import torch
from anndata import AnnData

import celltraj as ct
from celltraj.models import BridgeOptions, FlowOptions, Training
from celltraj.snapshots import Snapshots

LINES = ct.models.BrownianBridgeInterpolant()
QUICK = {"growth": None, "progress": False}
FITS = {
    "flow": (partial(ct.tl.fit_flow, interpolant=LINES, **QUICK), FlowOptions),
    "bridge": (partial(ct.tl.fit_bridge, reference=ct.models.Brownian(), **QUICK), BridgeOptions),
}


@pytest.fixture
def adata():
    return ct.datasets.branching(n_cells=60, seed=0)


def drawn(adata, n_cells, seed):
    times = np.unique(adata.obs["time"])
    clouds = [torch.from_numpy(np.asarray(adata[adata.obs["time"] == t].X)) for t in times]
    return Snapshots(tuple(times), tuple(clouds)).at_most(n_cells, seed=seed)


@pytest.mark.parametrize("name", FITS)
def test_a_fit_is_that_of_the_cells_it_draws(adata, name):
    fit, options = FITS[name]
    few = drawn(adata, 40, seed=3)
    kept = AnnData(
        np.concatenate([x.numpy() for x in few.x]),
        obs={"time": np.repeat(few.times, [len(x) for x in few.x])},
    )
    short = {"training": Training(max_steps=20), "seed": 3}
    fit(kept, **short)
    fit(adata, options=options(max_cells=40), **short)
    of_all, of_kept = (one.obsm[f"{name}_velocity"] for one in (adata, kept))
    assert of_all.shape == adata.shape
    rows = [int(np.flatnonzero((x == adata.X).all(1))[0]) for x in kept.X]
    # networks are float32, and products of more cells at once round in another order
    np.testing.assert_allclose(of_all[rows], of_kept, rtol=0, atol=1e-6 * np.abs(of_kept).max())


@pytest.mark.parametrize("name", FITS)
def test_how_many_were_taken_is_said_and_recorded(adata, name, caplog):
    fit, options = FITS[name]
    with caplog.at_level(logging.INFO, "celltraj"):
        fit(adata, training=Training(max_steps=5))
        assert "drawn at random" not in caplog.text
        fit(adata, options=options(max_cells=40), training=Training(max_steps=5))
    assert f"200 of {adata.n_obs}" in caplog.text
    assert adata.uns["celltraj"][name]["params"]["options"]["max_cells"] == 40


def test_a_draw_depends_on_its_seed_alone(adata):
    one, same, other = (drawn(adata, 40, seed) for seed in (0, 0, 1))
    assert all(map(torch.equal, one.x, same.x))
    assert not any(map(torch.equal, one.x, other.x))


def test_no_more_than_there_are_is_all(adata):
    whole = drawn(adata, None, seed=0)
    assert whole.at_most(10_000, seed=0) is whole
    assert whole.at_most(None, seed=0) is whole


@pytest.mark.parametrize("options", [FlowOptions, BridgeOptions])
def test_none_at_all_are_refused(options):
    with pytest.raises(ValueError, match="max_cells must be a whole number of at least 1"):
        options(max_cells=0)
