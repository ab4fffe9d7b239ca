"""The benchmark of known laws runs on few cells, and its laws are what they claim to be."""

import json
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch

import celltraj as ct
from benchmarks import known_laws, laws
from celltraj._errors import ConvergenceError
from celltraj.models import OrnsteinUhlenbeck

pytestmark = pytest.mark.filterwarnings("ignore::celltraj.DataWarning")
PLUG_IN = partial(ct.tl.fit_bridge, training=None, progress=False)


def generator():
    return torch.Generator().manual_seed(0)


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setattr(known_laws, "HELD_OUT", 60)
    monkeypatch.setattr(known_laws, "AT_HORIZON", 30)
    monkeypatch.setitem(known_laws.METHODS, "bridge", PLUG_IN)
    short = replace(laws.double_well(), n_snapshots=5)
    monkeypatch.setitem(known_laws.LAWS, "double_well", lambda: short)

    def run(*more):
        fixed = ["--laws", "double_well", "--methods", "bridge", "--seeds", "0"]
        known_laws.main([*fixed, "--out", str(tmp_path), *more])
        return tmp_path

    return run


def test_curve_and_horizon_are_written_for_every_law(run, capsys):
    folder = run("--cells", "12", "20", "--spacings", "1")
    for by, sizes in (("cells", {12, 20}), ("spacing", {1})):
        content = json.loads((folder / f"known_laws_{by}_double_well.json").read_text())
        rows = pd.DataFrame(content["records"])
        assert set(rows[by]) == sizes
        assert {"floor", "true law", "mixture", "chain_cubic", "bridge"} <= set(rows["method"])
        assert set(rows["metric"]) == {"W1", "energy"}
        assert rows["value"].notna().all()
        assert (folder / f"known_laws_{by}_double_well.png").stat().st_size > 0
        assert (folder / f"known_laws_{by}.json").is_file()
    assert "CPU minutes" in capsys.readouterr().out


def test_a_fit_that_fails_is_named_and_nan(run, monkeypatch, capsys):
    def fail(adata, **options):
        raise ConvergenceError("sigma is too small", None)

    monkeypatch.setitem(known_laws.METHODS, "bridge", fail)
    folder = run("--cells", "12", "--spacings")
    assert "failed: bridge, 12 cells, seed 0: sigma is too small" in capsys.readouterr().out
    table = json.loads((folder / "known_laws_cells_double_well.json").read_text())["table"]
    values = {row["method"]: row["12"] for row in table if row["metric"] == "W1"}
    assert values["bridge"] is None
    assert values["displacement"] > 0
    assert not (folder / "known_laws_spacing.json").exists()


def test_held_out_cells_and_units_do_not_depend_on_those_that_train(monkeypatch):
    law = laws.ornstein_uhlenbeck()
    monkeypatch.setattr(known_laws, "HELD_OUT", 100)
    few, many = (known_laws.draw(law, 1, n, seed=3) for n in (20, 40))
    assert [len(x) for x in many.train.x] == [40] * 6
    assert list(few.truth) == list(law.times(1)[1::2])
    for time, cells in few.truth.items():
        np.testing.assert_array_equal(cells, many.truth[time])
        assert len(cells) == 100
    assert torch.equal(few.law.scale, many.law.scale)


@pytest.mark.parametrize("name", ["lotka_volterra", "repressilator"])
def test_a_law_is_that_of_its_simulated_data(name):
    adata = getattr(ct.datasets, f"{name}_simulation")(n_cells=300, seed=1)
    law, observed = laws.LAWS[name](), adata.obs["time"].to_numpy()
    times = law.times(law.learned_at)
    np.testing.assert_allclose(times, np.unique(observed))
    # later the data lag behind: their Euler steps are a hundredth
    found = law.cells(times[:4], 300, generator())
    for time, cells in zip(times[:4], found, strict=True):
        given = np.asarray(adata.X[observed == time], float)
        floor = ct.metrics.split_half_floor(given, seed=0)
        assert ct.metrics.wasserstein(cells.numpy(), given) < 1.5 * floor


def test_cells_have_the_moments_of_the_law():
    pull = OrnsteinUhlenbeck(matrix=-torch.eye(1), shift=torch.zeros(1), sigma=1.0)

    def start(n, generator):
        return torch.full((n, 1), 2.0, dtype=torch.float64)

    times = (0.0, 0.5, 2.0)
    found = laws.Law(pull, start, 0.5, 3).cells(times, 4000, generator())
    assert not torch.isclose(found[1], found[2]).any()  # no cell is seen twice
    for time, cells in zip(times, found, strict=True):
        mean, variance = 2 * np.exp(-time), (1 - np.exp(-2 * time)) / 2
        assert float(cells.mean()) == pytest.approx(mean, abs=4 * np.sqrt(variance / 4000))
        assert float(cells.var()) == pytest.approx(variance, abs=4 * variance * np.sqrt(2 / 4000))


def test_a_law_in_other_units_leads_to_the_same_place():
    law = laws.Law(laws.DoubleWell(0.0), None, 0.25)
    centre, scale = torch.tensor([0.5, -1.0]).double(), torch.tensor([3.0, 0.2]).double()
    x = torch.randn(5, 2, generator=generator(), dtype=torch.float64)
    zero, one = torch.zeros(2).double(), torch.ones(2).double()

    def end(process, x):
        return ct.models.simulate(process, x, (0.0, 2.0), generator=generator()).x[-1]

    plain = laws.InUnits.of(law, zero, one, 2.0)
    scaled = laws.InUnits.of(law, centre, scale, 2.0)
    assert scaled.breakpoints == (0.5, 1.0, 1.5, 2.0)
    torch.testing.assert_close(
        centre + scale * end(scaled, (x - centre) / scale), end(plain, x), rtol=1e-9, atol=1e-9
    )


def test_a_double_well_is_the_slope_of_its_potential():
    x = torch.randn(5, 3, generator=generator(), dtype=torch.float64).requires_grad_()
    potential = (x[:, 0].square() - 1).square() / 4 + x[:, 1:].square().sum(1) / 2
    (slope,) = torch.autograd.grad(potential.sum(), x)
    torch.testing.assert_close(laws.DoubleWell(0.3).drift(0.0, x).detach(), -slope)


def table(**rows):
    return pd.DataFrame(rows, index=[1, 2, 4, 8]).T.rename(index={"true_law": "true law"})


def test_a_horizon_is_the_last_spacing_before_a_row_fails():
    found = known_laws.horizon(
        table(
            true_law=[0.1, 0.1, 0.1, 0.1],
            mixture=[1.0, 1.0, 1.0, 1.0],
            once=[0.2, 0.9, 0.9, 0.9],
            back=[0.2, 0.2, 0.9, 0.2],  # luck at the end does not count
            never=[0.6, 0.1, 0.1, 0.1],
            failed=[0.2, np.nan, 0.2, 0.2],
        )
    )
    expected = {"true law": 8, "mixture": 0, "once": 1, "back": 2, "never": 0, "failed": 1}
    assert dict(found) == expected


def test_a_spacing_at_which_the_mixture_is_as_good_as_the_law_tells_nothing():
    found = known_laws.horizon(
        table(
            true_law=[0.1, 0.1, 0.1, 0.1],
            mixture=[0.12, 1.0, 1.0, 0.1],
            late=[0.2, 0.2, 0.9, 0.1],
            good=[0.2, 0.2, 0.2, 0.2],
        )
    )
    assert dict(found) == {"true law": 4, "mixture": 0, "late": 2, "good": 4}
    silent = table(true_law=[0.1] * 4, mixture=[0.1] * 4, any=[0.1] * 4)
    assert known_laws.horizon(silent).isna().all()


def test_a_seed_that_failed_is_not_left_out_of_a_mean():
    records = pd.DataFrame(
        {
            "metric": "W1",
            "method": ["a", "a", "b", "b"],
            "cells": 50,
            "seed": [0, 1, 0, 1],
            "value": [1.0, np.nan, 1.0, 3.0],
        }
    )
    found = known_laws.summarise(records, "cells").loc["W1"]
    assert dict(found.loc["b"]) == {"50": 2.0, "50 +-": 1.0}
    assert found.loc["a"].isna().all()


def test_the_cost_is_that_of_one_law_and_seed():
    parts = [
        pd.DataFrame({"law": law, "seed": 0, "case_cpu_s": [seconds] * 3})
        for law, seconds in (("a", 1.0), ("a", 5.0), ("b", 2.0), ("b", 4.0))
    ]
    assert known_laws.cost(parts) == 6.0


def test_chaotic_laws_start_on_their_attractor_and_run_without_noise():
    pytest.importorskip("dysts")
    law = laws.LAWS["Lorenz"]()
    cells = law.cells(law.times(1)[:2], 20, generator())[0]
    width = torch.from_numpy(law.process.system.std)
    ahead = law.start(500, generator()).std(0) / width
    torch.testing.assert_close(ahead, torch.full((3,), 0.1).double(), rtol=0.15, atol=0)
    assert law.spacing * law.process.system.maximum_lyapunov_estimated == pytest.approx(0.05)
    # sigma (y - x), by the book
    drift = law.process.drift(0.0, cells)[:, 0]
    torch.testing.assert_close(drift, 10.0 * (cells[:, 1] - cells[:, 0]))
    assert not law.process.diffusion(0.0, cells).any()


def test_absent_systems_are_named(run, monkeypatch, capsys):
    monkeypatch.setattr(known_laws, "ABSENT", ("Lorenz",))
    run("--cells", "--spacings", "1")
    assert "left out: Lorenz, dysts is not installed" in capsys.readouterr().out
