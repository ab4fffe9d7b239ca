"""Bridges of an AnnData on references whose noise depends on the state."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch

import celltraj as ct
from celltraj.models import BridgeOptions, Geometric, LinearNoise, OrnsteinUhlenbeck, Refinement

M, S = 0.4, 0.3
CHEAP = {"training": None, "growth": None, "progress": False}


def amounts(n=60, seed=0):
    """Return cells of geometric motion in two variables."""
    random = np.random.default_rng(seed)
    times = np.repeat([0.0, 1.0, 2.0], n)
    spread = np.sqrt(0.04 + S**2 * times)[:, None]
    logs = (M - S**2 / 2) * times[:, None] + spread * random.standard_normal((3 * n, 2))
    obs = pd.DataFrame({"time": times}, index=[f"cell {i}" for i in range(3 * n)])
    obs["group"] = np.where(logs[:, 0] > np.median(logs[:, 0]), "high", "low")
    return ad.AnnData(np.exp(logs), obs=obs)


def test_a_geometric_bridge_from_adata_to_file_and_back(tmp_path):
    adata = amounts()
    options = BridgeOptions(refinement=Refinement(max_rounds=3, estimate_sigma=True))
    bridge = ct.tl.fit_bridge(adata, reference=Geometric(), options=options, **CHEAP)
    params = adata.uns["celltraj"]["bridge"]["params"]
    assert params["reference"] == "Geometric"
    # the slope of variances of 3 times 60 cells in two variables: 20 % of sigma
    assert params["sigma"] == pytest.approx(S, rel=0.4)
    assert np.isfinite(adata.obsm["bridge_velocity"]).all()
    ct.tl.couplings(adata, bridge)
    adata.write_h5ad(tmp_path / "cells.h5ad")
    again = ad.read_h5ad(tmp_path / "cells.h5ad")
    for cells in (adata, again):
        ct.tl.transitions(cells, groupby="group", source=0.0, target=2.0)
    found, wanted = (ct.get.transitions(cells) for cells in (again, adata))
    pd.testing.assert_frame_equal(found, wanted, check_dtype=False)
    path = ct.tl.simulate(adata, bridge, start=0.0, stop=2.0, n_times=3, n_cells=50, progress=False)
    assert (path.X > 0).all()


def test_units_of_amounts_play_no_part():
    """Logarithms of counts and of counts per thousand differ by a constant."""
    few, many = amounts(), amounts()
    many.X = 1000 * many.X
    bridges = [
        ct.tl.fit_bridge(
            one,
            reference=Geometric(torch.tensor([M, M])),
            sigma=S,
            options=BridgeOptions(refinement=Refinement(max_rounds=0)),
            **CHEAP,
        )
        for one in (few, many)
    ]
    x = torch.from_numpy(few.X[:5])
    one, two = bridges[0].drift(0.4, x), bridges[1].drift(0.4, 1000 * x) / 1000
    torch.testing.assert_close(one, two, rtol=1e-5, atol=1e-7)


def test_zeros_want_a_floor():
    adata = amounts(40)
    adata.X[:3, 0] = 0.0
    with pytest.raises(ValueError, match=r"Geometric has no noise in 3 of 120 cells.*pseudocount"):
        ct.tl.fit_bridge(adata, reference=Geometric(), **CHEAP)
    assert "celltraj" not in adata.uns
    law = LinearNoise(OrnsteinUhlenbeck(matrix=torch.zeros(2, 2), shift=torch.ones(2)), sigma=0.3)
    options = BridgeOptions(refinement=Refinement(max_rounds=0))
    bridge = ct.tl.fit_bridge(adata, reference=law, options=options, **CHEAP)
    assert np.isfinite(adata.obsm["bridge_velocity"]).all()
    assert type(bridge.reference).__name__ == "LinearNoise"
