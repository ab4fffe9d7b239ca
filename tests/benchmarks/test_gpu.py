"""The check of a GPU runs where there is none, finds what differs, and says when it cannot."""

import json

import pandas as pd
import pytest
import torch

import celltraj as ct
from benchmarks import gpu

TINY = gpu.Sizes(n_cells=20, n_steps=20, n_followed=50, n_wide=10, width=8, n_coupled=20)


@pytest.mark.skipif(torch.cuda.is_available(), reason="asks for what is there")
def test_without_a_gpu_nothing_is_checked(tmp_path, capsys):
    gpu.main(["--out", str(tmp_path)])
    assert "torch finds no GPU" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::celltraj.FitWarning")
def test_the_cpu_is_like_itself(monkeypatch, tmp_path):
    monkeypatch.setattr(gpu, "SMALL", TINY)
    gpu.main(["--device", "cpu", "--out", str(tmp_path)])
    found = pd.DataFrame(json.loads((tmp_path / "gpu.json").read_text())["records"])
    assert (found["apart"] == 0).all()
    assert {"log_density", "response", "simulate, SDE, float64"} <= set(found["what"])
    times = pd.DataFrame(json.loads((tmp_path / "gpu_times.json").read_text())["records"])
    assert set(times["n"]) == {1, 50, 10}


def test_a_device_that_says_something_else_is_found(monkeypatch, tmp_path):
    found = [
        {"what": "response", "apart": 0.1, "bound": 0.01, "passed": False},
        {"what": "log_density", "apart": 0.0, "bound": 0.01, "passed": True},
    ]
    monkeypatch.setattr(gpu, "checked", lambda *given: found)
    monkeypatch.setattr(gpu, "SMALL", TINY)
    with pytest.raises(SystemExit, match=r"cpu and CPU differ: \['response'\]"):
        gpu.main(["--device", "cpu", "--out", str(tmp_path)])


def test_samples_apart_by_chance_are_near_and_others_are_not():
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(2, 4000, 2, generator=generator)
    assert gpu.moments_apart(a, b) < 5
    assert gpu.moments_apart(a + 0.2, b) > 5
    assert gpu.moments_apart(1.2 * a, b) > 5
    assert gpu.distance(a + 0.1 * a.std(), a) == pytest.approx(0.1, rel=1e-3)


def test_a_moved_model_leaves_the_one_before():
    adata = ct.datasets.branching(n_cells=20, seed=0)
    bridge = ct.tl.fit_bridge(
        adata, training=ct.models.Training(max_steps=2), growth=None, seed=0, progress=False
    )
    there = gpu.moved(bridge.field, "heads", "meta")
    assert next(there.heads.parameters()).device.type == "meta"
    assert next(bridge.field.heads.parameters()).device.type == "cpu"
