"""Paths of least action from AnnData: what is returned, read and drawn, and what is refused."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch

import celltraj as ct
from celltraj.models import LeastAction

FEW = LeastAction(n_points=16, n_starts=1)


def pull(sigma=0.5):
    return ct.models.OrnsteinUhlenbeck(
        matrix=-torch.eye(2).double(), shift=torch.zeros(2).double(), sigma=sigma
    )


@pytest.fixture(scope="module")
def adata():
    return ct.datasets.branching(n_cells=30, seed=0)


def between(adata, model, **options):
    call = {"source": "progenitor", "target": ["upper", "lower"], "groupby": "arm"}
    return ct.tl.least_action(adata, model, **call | {"options": FEW, "progress": False} | options)


def test_paths_lead_from_mean_to_mean_and_cost_what_their_transition_does(adata):
    path = between(adata, pull(), start=1.0, stop=2.5)
    means = {arm: adata.X[adata.obs["arm"] == arm].mean(0) for arm in ("progenitor", "upper")}
    first = path[path.obs["target"] == "upper"]
    np.testing.assert_allclose(first.X[0], means["progenitor"], atol=1e-6)
    np.testing.assert_allclose(first.X[-1], means["upper"], atol=1e-6)
    assert first.obs["time"].iloc[[0, -1]].tolist() == [1.0, 2.5]
    table = ct.get.least_action(path).set_index("target")
    # of independent variables: |x1 - e^-T x0|^2 / (2 var), var = sigma^2 (1 - e^-2T) / 2
    missed = means["upper"] - np.exp(-1.5) * means["progenitor"]
    exact = (missed**2).sum() / (0.5**2 * (1 - np.exp(-3.0)))
    assert table.loc["upper", "action"] == pytest.approx(exact, rel=5e-3)
    assert abs(table.loc["upper", "action"] - exact) < 3 * table.loc["upper", "error"]
    np.testing.assert_allclose(first.obs["action"].iloc[-1], table.loc["upper", "action"])
    assert table["converged"].all()


def test_cells_are_named_where_no_groups_are(adata):
    one, other = adata.obs_names[[0, 5]]
    path = ct.tl.least_action(
        adata, pull(), source=one, target=other, stop=1.0, options=FEW, progress=False
    )
    np.testing.assert_allclose(path.X[-1], adata.X[5], atol=1e-6)


def test_a_default_sigma_is_named(adata):
    cells = adata.copy()
    bridge = ct.tl.fit_bridge(
        cells, reference=ct.models.OrnsteinUhlenbeck(), training=None, progress=False
    )
    with pytest.warns(ct.DataWarning, match="the default of the fit and not a noise"):
        path = between(cells, bridge.reference, stop=2.0)
    params = path.uns["celltraj"]["least_action"]["params"]
    assert params["sigma_source"] == "default"
    assert params["sigma"] == pytest.approx(bridge.reference.sigma)
    given = between(adata, pull(), stop=2.0).uns["celltraj"]["least_action"]["params"]
    assert given["sigma_source"] == "given"


def test_what_is_returned_comes_back_from_a_file_and_is_drawn(adata, tmp_path):
    path = between(adata, pull(), stop=2.0)
    path.write_h5ad(tmp_path / "a.h5ad")
    again = ad.read_h5ad(tmp_path / "a.h5ad")
    pd.testing.assert_frame_equal(ct.get.least_action(again), ct.get.least_action(path))
    ax = ct.pl.least_action(again, show=False)
    assert len(ax.lines) == 2
    ax.figure.canvas.draw()
    lines = ct.pl.trajectories(adata, again, show=False).collections[1].get_segments()
    assert len(lines) == 2


def test_what_cannot_be_asked(adata):
    with pytest.raises(KeyError, match=r"no group 'egg' in adata.obs"):
        between(adata, pull(), target="egg")
    with pytest.raises(KeyError, match=r"no cell 'egg' in adata.obs_names"):
        ct.tl.least_action(adata, pull(), source="egg", target="egg")
    with pytest.raises(ValueError, match="target= names no state"):
        between(adata, pull(), target=[])
    with pytest.raises(ValueError, match="begins and ends in one state"):
        between(adata, pull(), target="progenitor")
    with pytest.raises(KeyError, match="no least action 'least_action'"):
        ct.get.least_action(adata)
