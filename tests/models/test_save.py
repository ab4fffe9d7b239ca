"""Models come back from disk as they went."""

import json

import pandas as pd
import pytest
import torch
from analytic import normal

import celltraj as ct
from celltraj._snapshots import Snapshots
from celltraj.models import Brownian, NeuralDrift, PlugInDrift, fit_bridge
from celltraj.ot import Sinkhorn


@pytest.mark.parametrize("drift", [PlugInDrift(), NeuralDrift(max_steps=5, width=8)])
def test_reloaded_bridge_predicts_the_same(tmp_path, drift):
    clouds = tuple(normal(30, 2, seed=k) for k in range(3))
    bridge = fit_bridge(
        Snapshots((0, 1, 3), clouds),
        Brownian(0.8),
        solver=Sinkhorn(),
        drift=drift,
        generator=torch.Generator().manual_seed(0),
        progress=False,
    )
    bridge.save(tmp_path / "model")
    again = ct.load(tmp_path / "model")
    x = normal(10, 2, seed=9)
    for law in ("drift", "diffusion", "score"):
        assert torch.equal(getattr(again, law)(0.5, x), getattr(bridge, law)(0.5, x))
    one, two = (
        b.sample(2.0, 10, generator=torch.Generator().manual_seed(0)) for b in (again, bridge)
    )
    assert torch.equal(one, two)
    assert not list((tmp_path / "model").glob("*.pt"))
    assert getattr(again.field, "history", ()) == getattr(bridge.field, "history", ())


def test_missing_and_future_formats_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"model\.save"):
        ct.load(tmp_path)
    (tmp_path / "bridge.json").write_text(json.dumps({"format": 99}))
    with pytest.raises(ValueError, match="update celltraj"):
        ct.load(tmp_path)


def test_a_refined_bridge_comes_back_with_its_rounds(tmp_path):
    adata = ct.datasets.branching(n_cells=30, seed=0)
    for reference in (
        ct.models.OrnsteinUhlenbeck(),
        ct.models.PotentialLandscape(width=8, max_iter=5),
        ct.models.Vortex(),
    ):
        bridge = ct.tl.fit_bridge(
            adata,
            reference=reference,
            max_refinements=1,
            drift=ct.models.PlugInDrift(),
            progress=False,
        )
        bridge.save(tmp_path)
        again = ct.load(tmp_path)
        pd.testing.assert_frame_equal(again.history, bridge.history)
        x = bridge.snapshots.x[0]
        for t in (0.5, 5.0):
            torch.testing.assert_close(again.drift(t, x), bridge.drift(t, x), rtol=0, atol=0)
