"""Rates of jumps from AnnData: what is written, read and drawn, and what is refused."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch

import celltraj as ct
from celltraj.models.jumps.jump_process import JumpProcess

RATES = torch.tensor([[0.0, 0.8, 0.1], [0.1, 0.0, 0.5], [0.0, 0.1, 0.0]], dtype=torch.float64)
EDGES = [("stem", "progenitor"), ("progenitor", "mature")]


def cells(n=300, *, samples=("A", "B", "C"), seed=0):
    """Return cells of three states that jump, of cultures that start differently."""
    rng = np.random.default_rng(seed)
    states = ("stem", "progenitor", "mature")
    process = JumpProcess(states, RATES, torch.zeros(3, dtype=torch.float64))
    rows = []
    for sample, start in zip(samples, np.eye(3), strict=False):
        for t in (0.0, 1.0, 2.0, 3.0):
            shares = process.shares(torch.from_numpy(0.02 + 0.94 * start), t).numpy()
            drawn = rng.choice(states, size=n, p=shares / shares.sum())
            rows += [(sample, f"day {t:g}", state) for state in drawn]
    obs = pd.DataFrame(rows, columns=["culture", "time", "state"])
    obs.index = [f"c{k}" for k in range(len(obs))]
    return ad.AnnData(np.zeros((len(obs), 1)), obs=obs)


@pytest.fixture(scope="module")
def fitted():
    adata = cells()
    with pytest.warns(ct.DataWarning, match="do not tell 1 of 6 rates.*mature to stem"):
        ct.tl.jump_rates(adata, groupby="state", sample_key="culture", forecast=[3.0, 5.0])
    return adata


def test_rates_are_found_and_what_is_not_told_is_said(fitted):
    table = ct.get.jump_rates(fitted).set_index(["source", "target"])
    assert table["identified"].sum() == 5
    for (source, target), true in {EDGES[0]: 0.8, EDGES[1]: 0.5}.items():
        row = table.loc[(source, target)]
        assert row["lower"] <= true <= row["upper"]
        assert row["upper"] < 1.6 * row["lower"]


def test_a_forecast_goes_on_from_each_sample(fitted):
    table = ct.get.jump_rates(fitted, forecast=True)
    assert set(table["sample"]) == {"A", "B", "C"}
    assert set(table["time"]) == {3.0, 5.0}
    np.testing.assert_allclose(table.groupby(["sample", "time"])["share"].sum(), 1.0)
    seen = fitted.obs[fitted.obs["time"] == "day 3"].groupby("culture")["state"]
    at = table[(table["time"] == 3.0) & (table["state"] == "mature")].set_index("sample")["share"]
    observed = seen.apply(lambda one: (one == "mature").mean())
    # the standard error of a share of 300 cells is at most .029
    np.testing.assert_allclose(at, observed[at.index], atol=3 * 0.029)


def test_what_is_written_comes_back_from_a_file_and_is_drawn(fitted, tmp_path):
    fitted.write_h5ad(tmp_path / "a.h5ad")
    again = ad.read_h5ad(tmp_path / "a.h5ad")
    pd.testing.assert_frame_equal(ct.get.jump_rates(again), ct.get.jump_rates(fitted))
    ax = ct.pl.jump_rates(again, show=False)
    labels = [label.get_text() for label in ax.get_yticklabels()]
    assert "stem → progenitor" in labels
    ax.figure.canvas.draw()


def test_the_order_of_cells_does_not_matter(fitted):
    turned = fitted[np.random.default_rng(0).permutation(fitted.n_obs)].copy()
    del turned.uns["celltraj"]
    with pytest.warns(ct.DataWarning, match="do not tell"):
        ct.tl.jump_rates(turned, groupby="state", sample_key="culture")
    one, two = ct.get.jump_rates(turned), ct.get.jump_rates(fitted)
    pd.testing.assert_frame_equal(one, two)


def test_edges_leave_out_what_cannot_be():
    adata = cells()
    ct.tl.jump_rates(adata, groupby="state", sample_key="culture", edges=EDGES)
    assert ct.get.jump_rates(adata)[["source", "target"]].values.tolist() == [
        ["progenitor", "mature"],
        ["stem", "progenitor"],
    ]
    with pytest.raises(KeyError, match="holds no forecast"):
        ct.get.jump_rates(adata, forecast=True)


def test_what_tells_no_rate_is_refused():
    adata = cells(n=20)
    with pytest.raises(ValueError, match=r"edges= names \['egg'\]"):
        ct.tl.jump_rates(adata, groupby="state", edges=[("egg", "stem")])
    with pytest.raises(ValueError, match="leads to another state"):
        ct.tl.jump_rates(adata, groupby="state", edges=[("stem", "stem")])
    with pytest.raises(ValueError, match="names no jump"):
        ct.tl.jump_rates(adata, groupby="state", edges=[])
    with pytest.raises(ValueError, match=r"leads on from the first time, 0; found \[-1.0\]"):
        ct.tl.jump_rates(adata, groupby="state", forecast=-1.0)
    with pytest.raises(ValueError, match="confidence"):
        ct.tl.jump_rates(adata, groupby="state", confidence=1.0)
    once = adata[adata.obs["time"] == "day 1"].copy()
    with pytest.raises(ValueError, match="cells of them at 1 times"):
        ct.tl.jump_rates(once, groupby="state")
    stem = adata[adata.obs["state"] == "stem"].copy()
    with pytest.raises(ValueError, match="found 1 states"):
        ct.tl.jump_rates(stem, groupby="state")
