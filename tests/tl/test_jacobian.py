"""Derivatives of velocities from AnnData: what is written, read and drawn, and what is refused."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch

import celltraj as ct
from celltraj._anndata import read_projection

MATRIX = torch.tensor([[-1.0, 0.5], [-2.0, -0.3]], dtype=torch.float64)
PULL = ct.models.OrnsteinUhlenbeck(matrix=MATRIX, shift=torch.zeros(2).double(), sigma=0.5)


@pytest.fixture
def adata():
    return ct.datasets.branching(n_cells=20, seed=0)


def test_a_pull_has_its_matrix_in_every_group(adata):
    pairs = [("x", "y"), ("y", "y")]
    ct.tl.jacobian(adata, PULL, groupby="arm", pairs=pairs, progress=False)
    np.testing.assert_allclose(adata.obsm["jacobian"], [[-2.0, -0.3]] * adata.n_obs, rtol=1e-6)
    np.testing.assert_allclose(adata.obs["jacobian_divergence"], -1.3, rtol=1e-6)
    largest = np.linalg.eigvals(MATRIX.numpy()).real.max()
    np.testing.assert_allclose(adata.obs["jacobian_instability"], largest, rtol=1e-6)
    matrix = ct.get.jacobian(adata, genes=["x", "y"], group="upper", time=3.0)
    np.testing.assert_allclose(matrix.loc["y", "x"], -2.0)
    table = ct.get.jacobian(adata, group="upper")
    assert set(zip(table["regulator"], table["target"], strict=True)) == set(pairs)
    np.testing.assert_allclose(table["std"], 0.0, atol=1e-7)


def test_principal_components_are_led_back_to_genes():
    rng = np.random.default_rng(0)
    names = [f"g{i}" for i in range(30)]
    obs = pd.DataFrame({"time": np.repeat([0.0, 1.0], 40)}, index=[f"c{i}" for i in range(80)])
    adata = ad.AnnData(rng.normal(size=(80, 30)), obs=obs, var=pd.DataFrame(index=names))
    ct.pp.pca_model(adata, n_comps=2)
    ct.tl.jacobian(adata, PULL, use_rep="X_pca", n_top=5, progress=False)
    loadings = read_projection(adata).loadings
    whole = loadings @ MATRIX.numpy() @ loadings.T
    found = ct.get.jacobian(adata, genes=names)
    np.testing.assert_allclose(found.to_numpy(), whole, atol=1e-12)
    np.fill_diagonal(whole, 0.0)
    table = ct.get.jacobian(adata, time=0.0)
    np.testing.assert_allclose(table["mean"].abs().max(), np.abs(whole).max())
    assert len(table) == 5
    assert (table["agreement"] == 1).all()


def test_what_is_written_comes_back_from_a_file_and_is_drawn(adata, tmp_path):
    bridge = ct.tl.fit_bridge(adata, training=None, progress=False)
    ct.tl.jacobian(adata, bridge.reference, groupby="arm", progress=False)
    adata.write_h5ad(tmp_path / "a.h5ad")
    again = ad.read_h5ad(tmp_path / "a.h5ad")
    pd.testing.assert_frame_equal(ct.get.jacobian(again), ct.get.jacobian(adata))
    one, two = (ct.get.jacobian(a, genes=["x", "y"]) for a in (again, adata))
    pd.testing.assert_frame_equal(one, two)
    panels = ct.pl.jacobian(again, show=False)
    assert [one.get_title() for one in panels] == ["progenitor", "upper", "lower"]
    panels[0].figure.canvas.draw()
    params = again.uns["celltraj"]["jacobian"]["params"]
    assert params["derivatives"] in {"known", "torch", "differences"}


def test_a_flow_is_differentiated_at_the_time_of_each_cell(adata):
    short = ct.models.Training(max_steps=20, width=16)
    with pytest.warns(ct.FitWarning):
        flow = ct.tl.fit_flow(adata, training=short, progress=False)
    ct.tl.jacobian(adata, flow, pairs=[("x", "y")], progress=False)
    h, t = 1e-2, 2.0
    x = torch.from_numpy(np.asarray(adata.X[(adata.obs["time"] == t).to_numpy()])).double()
    step = torch.tensor([h, 0.0]).double()
    with torch.no_grad():
        slope = (flow.velocity(t, x + step) - flow.velocity(t, x - step))[:, 1] / (2 * h)
    found = adata.obsm["jacobian"][(adata.obs["time"] == t).to_numpy(), 0]
    # a network in single precision; edges of its box are kinks
    np.testing.assert_allclose(np.median(np.abs(found - slope.numpy())), 0.0, atol=5e-3)


def test_what_cannot_be_asked(adata):
    with pytest.raises(KeyError, match=r"pairs= names \['z'\]"):
        ct.tl.jacobian(adata, PULL, pairs=[("z", "x")])
    with pytest.raises(ValueError, match="pairs= names none"):
        ct.tl.jacobian(adata, PULL, pairs=[])
    with pytest.raises(ValueError, match="n_top must be at least 1"):
        ct.tl.jacobian(adata, PULL, n_top=0)
    assert "celltraj" not in adata.uns
    ct.tl.jacobian(adata, PULL, groupby="arm", progress=False)
    with pytest.raises(KeyError, match="no derivatives of the group 'egg'"):
        ct.get.jacobian(adata, group="egg")
    with pytest.raises(KeyError, match=r"no derivatives of \['z'\]"):
        ct.get.jacobian(adata, genes=["z"])
    with pytest.raises(KeyError, match="no cells of the group 'upper' at the time 0"):
        ct.get.jacobian(adata, group="upper", time=0.0)
