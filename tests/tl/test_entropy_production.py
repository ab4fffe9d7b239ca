"""Entropy production in AnnData: what is written, read and drawn, and which sigma is refused."""

import logging
import math

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch

import celltraj as ct
from celltraj.models import BridgeOptions, OrnsteinUhlenbeck, Refinement

TURN = OrnsteinUhlenbeck(
    matrix=torch.tensor([[-1.0, -1.0], [1.0, -1.0]]), shift=torch.zeros(2), sigma=1.0
)


def cells(n=300, seed=0, start=(0.0, 0.0)):
    """Return cells of three times that turn and relax, exactly."""
    rng = np.random.default_rng(seed)
    times = np.repeat([0.0, 0.5, 1.0], n)
    mean = np.exp(-times) * (complex(*start) * np.exp(1j * times))
    x = np.column_stack([mean.real, mean.imag]) + rng.normal(size=(3 * n, 2)) / math.sqrt(2)
    obs = pd.DataFrame({"time": times, "side": np.where(x[:, 0] > 0, "right", "left")})
    return ad.AnnData(x.astype("float32"), obs=obs.rename(index=str))


@pytest.fixture(scope="module")
def told():
    adata = cells()
    adata.obsm["X_umap"] = adata.X[:, ::-1].copy()
    ct.tl.entropy_production(adata, TURN, groupby="side", basis="umap", progress=False)
    return adata


def test_the_rate_is_written_for_times_cells_variables_and_groups(told):
    table = ct.get.entropy_production(told)
    assert table["time"].tolist() == [0, 0.5, 1]
    # 2 w^2 / k = 2; the rate of a cell is exponential: standard error 2 / sqrt(300) = .12
    np.testing.assert_allclose(table["plug_in"], 2, atol=3.5 * 0.12)
    assert ((table["low"] <= 2) & (table["high"] >= 2)).all()
    by_time = told.obs.groupby("time")["ct_entropy_production"].mean()
    np.testing.assert_allclose(by_time, table["plug_in"], rtol=1e-5)
    variables = ct.get.entropy_production(told, by="variable").groupby("time")["rate"].sum()
    np.testing.assert_allclose(variables, table["plug_in"])
    groups = ct.get.entropy_production(told, by="group")
    whole = (groups["rate"] * groups["n_cells"]).groupby(groups["time"]).sum() / 300
    np.testing.assert_allclose(whole, table["plug_in"])
    with pytest.raises(KeyError, match="holds no rate by gene"):
        ct.get.entropy_production(told, by="gene")
    with pytest.raises(ValueError, match="by must be one of"):
        ct.get.entropy_production(told, by="cell")


def test_currents_are_those_of_the_rotation_and_are_drawn(told):
    v = told.obsm["ct_entropy_production_velocity"]
    turned = told.X[:, ::-1] * [-1, 1]
    # the score is known up to a tenth
    assert np.corrcoef(v.ravel(), turned.ravel())[0, 1] > 0.98
    key = "ct_entropy_production_velocity_umap"
    ax = ct.pl.stream(told, basis="umap", key=key, show=False)
    ax.figure.canvas.draw()


def test_it_comes_back_from_a_file_is_drawn_and_knows_no_order(told, tmp_path):
    told.write_h5ad(tmp_path / "a.h5ad")
    again = ad.read_h5ad(tmp_path / "a.h5ad")
    for by in ("time", "variable", "group"):
        pd.testing.assert_frame_equal(
            ct.get.entropy_production(again, by=by), ct.get.entropy_production(told, by=by)
        )
    ct.pl.entropy_production(again, show=False).figure.canvas.draw()


def test_genes_have_parts_where_there_are_loadings():
    rng = np.random.default_rng(0)
    adata = cells()
    genes = np.linalg.qr(rng.normal(size=(6, 2)))[0]
    wide = ad.AnnData((adata.X @ genes.T).astype("float32"), obs=adata.obs)
    ct.pp.pca_model(wide, n_comps=2)
    ct.tl.entropy_production(wide, TURN, use_rep="X_pca", progress=False)
    table = ct.get.entropy_production(wide, by="gene")
    total = table.groupby("time")["rate"].sum()
    np.testing.assert_allclose(total, ct.get.entropy_production(wide)["plug_in"])
    assert table["gene"].nunique() == 6


def test_a_bridge_tells_where_its_sigma_came_from(caplog):
    adata = cells(80, start=(3.0, 0.0))
    fit = {"training": None, "growth": None, "progress": False}
    usual = ct.tl.fit_bridge(adata, **fit)
    with pytest.raises(ValueError, match="default sigma"):
        ct.tl.entropy_production(adata, usual, progress=False)
    law = ct.tl.fit_bridge(adata, reference=OrnsteinUhlenbeck(), key_added="law", **fit).reference
    with pytest.raises(ValueError, match="the OrnsteinUhlenbeck of a bridge has the default sigma"):
        ct.tl.entropy_production(adata, law, progress=False)
    options = BridgeOptions(refinement=Refinement(max_rounds=2))
    family = {"reference": OrnsteinUhlenbeck(), "options": options}
    bridge = ct.tl.fit_bridge(adata, sigma=1.0, key_added="given", **family, **fit)
    with caplog.at_level(logging.WARNING, "celltraj"):
        ct.tl.entropy_production(adata, bridge, progress=False)
    assert "not in snapshots; what is told of them is what the OrnsteinUhlenbeck" in caplog.text
    assert adata.uns["celltraj"]["ct_entropy_production"]["params"]["sigma_source"] == "given"
    table = ct.get.entropy_production(adata)
    assert table["time"].tolist() == [0, 0.5]  # after the last time, a bridge knows no drift
    assert adata.obs["ct_entropy_production"][adata.obs["time"] == 1].isna().all()
    # cells on their way spend 2 |M m|^2 = 4 |m|^2 besides the 2 of the rotation: 38 and 15
    np.testing.assert_allclose(table["lower"], [38, 15.2], rtol=0.35)
    bare = cells(80, start=(3.0, 0.0))
    with pytest.raises(ValueError, match=r"nothing in adata\.uns says"):
        ct.tl.entropy_production(bare, bridge, progress=False)
    ct.tl.entropy_production(bare, bridge, sigma=1.0, progress=False)
    with pytest.raises(ValueError, match="a law with sigma=2 is another"):
        ct.tl.entropy_production(bare, bridge, sigma=2.0, progress=False)


class Growing(OrnsteinUhlenbeck):
    def growth(self, t, x):
        return torch.ones_like(x[:, 0])


def test_what_has_no_rate_is_refused():
    adata = cells(60)
    growing = Growing(matrix=TURN.matrix, shift=TURN.shift, sigma=1.0)
    with pytest.raises(ValueError, match="divide and die"):
        ct.tl.entropy_production(adata, growing, progress=False)
    with pytest.raises(ValueError, match="vouches for that of a bridge"):
        ct.tl.entropy_production(adata, TURN, sigma=1.0, progress=False)
    with pytest.raises(ValueError, match="confidence"):
        ct.tl.entropy_production(adata, TURN, confidence=1.0, progress=False)
    few = adata[[0, 1, 2, 60, 61, 120, 121]].copy()
    with pytest.raises(ValueError, match="tell no score"):
        ct.tl.entropy_production(few, TURN, progress=False)
