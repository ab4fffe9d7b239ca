"""Fits read what they draw, and write velocities block by block, wherever the cells lie."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch

import celltraj as ct
from celltraj._anndata import read_observed, states
from celltraj._errors import DataWarning
from celltraj.models import Representation

FITS = {
    "flow": lambda adata, **options: ct.tl.fit_flow(
        adata,
        options=ct.models.FlowOptions(max_cells=30),
        training=ct.models.Training(max_steps=5),
        interpolant=ct.models.BrownianBridgeInterpolant(),
        growth=None,
        progress=False,
        **options,
    ),
    "bridge": lambda adata, **options: ct.tl.fit_bridge(
        adata,
        options=ct.models.BridgeOptions(max_cells=30),
        training=None,
        reference=ct.models.Brownian(),
        growth=None,
        progress=False,
        **options,
    ),
}


@pytest.fixture
def adata():
    made = ct.datasets.branching(n_cells=50, seed=0)
    made.obs["seen"] = np.random.default_rng(0).uniform(1, 2, made.n_obs)
    x = np.asarray(made.X, dtype=np.float32)
    return ad.AnnData(obs=made.obs[["time", "seen"]], obsm={"X_pca": x})


def assert_same(one, two, key):
    np.testing.assert_array_equal(one.obsm[f"{key}_velocity"], two.obsm[f"{key}_velocity"])
    sources = [a.uns["celltraj"][key]["source"]["states"] for a in (one, two)]
    np.testing.assert_array_equal(*sources)


@pytest.mark.parametrize("key", FITS)
def test_a_fit_out_of_core_is_that_in_memory(adata, key):
    x = adata.obsm["X_pca"]
    lazy = pytest.importorskip("dask.array").from_array(x, chunks=(len(x) // 3, 1))
    other = ad.AnnData(obs=adata.obs.copy(), obsm={"X_pca": lazy})
    one, two = (FITS[key](a, counts="seen") for a in (adata, other))
    assert_same(adata, other, key)
    assert one.representation == two.representation
    assert other.obsm["X_pca"] is lazy


@pytest.mark.parametrize("store", ["zarr", "h5ad"])
@pytest.mark.filterwarnings("ignore:Writing zarr v2 data:UserWarning")
def test_a_lazily_opened_file_is_fitted(adata, store, tmp_path):
    pytest.importorskip("xarray")
    pytest.importorskip("dask")
    adata = ad.AnnData(adata.obsm["X_pca"], obs=adata.obs.copy(), obsm=dict(adata.obsm))
    adata.obs["time"] = pd.Categorical([f"day {t:g}" for t in adata.obs["time"]])
    getattr(adata, f"write_{store}")(tmp_path / f"cells.{store}")
    lazy = ad.experimental.read_lazy(tmp_path / f"cells.{store}")
    FITS["flow"](adata, counts="seen")
    FITS["flow"](lazy, counts="seen")
    assert_same(adata, lazy, "flow")
    loaded = lazy.to_memory()
    assert len(ct.get.losses(loaded, key="flow")) == 5
    with pytest.raises(KeyError, match=r"no times in adata.obs\['day'\]; columns found: .*'seen'"):
        FITS["flow"](lazy, time_key="day")
    lazy.obsm["mine_velocity"] = np.zeros((len(adata), 1))
    with pytest.raises(ValueError, match=r"obsm\['mine_velocity'\] is there already"):
        FITS["flow"](lazy, key_added="mine")


def test_moments_and_doubts_do_not_depend_on_blocks(adata, monkeypatch):
    x = adata.obsm["X_pca"]
    x[:, 1], x[-3:] = 1.5, x[:3]
    monkeypatch.setattr(states, "_ENTRIES", 26)
    observed = read_observed(adata, time_key="time", use_rep=None)
    with pytest.warns(DataWarning) as heard:
        found = observed.survey(("a", "b"))
    texts = [str(one.message) for one in heard]
    assert len(texts) == 2
    assert texts[0].startswith("variables [1] of X_pca are constant")
    assert texts[1].startswith("3 cells are exact copies")
    clouds = [torch.from_numpy(x[adata.obs["time"] == t]).double() for t in found.times]
    expected = Representation.of("X_pca", ("a", "b"), ct.Snapshots(found.times, clouds))
    np.testing.assert_allclose(found.centres, expected.centres, atol=1e-14)
    np.testing.assert_allclose(found.scales, expected.scales, atol=1e-14)


def test_velocities_do_not_depend_on_blocks(adata, monkeypatch):
    flow = FITS["flow"](adata)
    monkeypatch.setattr(states, "_ENTRIES", 26)
    found = read_observed(adata, time_key="time", use_rep=None).velocity(flow)
    np.testing.assert_allclose(found, adata.obsm["flow_velocity"], atol=1e-5)


def test_those_drawn_are_those_of_snapshots(adata):
    observed = read_observed(adata, time_key="time", use_rep=None, counts="seen")
    drawn, whole = observed.drawn(20, seed=3), observed.snapshots().at_most(20, seed=3)
    for one, two in zip((*drawn.x, *drawn.weights), (*whole.x, *whole.weights), strict=True):
        assert one.equal(two)
    assert (drawn.sizes, drawn.times) == (whole.sizes, whole.times)
