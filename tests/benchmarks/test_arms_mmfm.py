"""MMFM is told the training alone, and judged by the cells that all other rows are judged by."""

import json
from functools import partial

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch
from stranger import program_in

from benchmarks import _arms_mmfm as mmfm
from benchmarks import designs_arms, peers_mmfm

SIZES = {"n_doses": 3, "n_times": 4, "n_cells": 10}


@pytest.fixture
def program(tmp_path):
    """Return what writes a program that changes what it is told by a line of Python."""
    return partial(program_in, tmp_path)


@pytest.fixture
def study():
    adata = designs_arms.study("double_well", **SIZES, seed=0)
    return adata, designs_arms.missing(adata, share=1 / 3, seed=0)


def test_who_moves_nothing_is_judged_as_the_previous_cells(program, tmp_path):
    sizes = ["--doses", "3", "--times", "4", "--cells", "10", "--seeds", "0"]
    chosen = ["--tasks", "double_well", "--methods", "arms", "--mmfm", program()]
    threads = torch.get_num_threads()
    try:
        designs_arms.main([*sizes, *chosen, "--out", str(tmp_path)])
    finally:
        torch.set_num_threads(threads)
    content = json.loads((tmp_path / "designs_arms.json").read_text())
    records, table = (pd.DataFrame(content[name]) for name in ("records", "table"))
    held = records[records["metric"].isin(["W1", "energy"])]
    cases = held.pivot_table(
        index=["held_out", "condition", "metric"], columns="method", values="value"
    )
    assert cases[["mmfm, last", "previous"]].notna().all(axis=None)
    assert len(cases) == 2 * 4
    np.testing.assert_allclose(cases["mmfm, last"], cases["previous"], rtol=1e-9)
    assert set(records.loc[records["method"] == "mmfm", "fit_cpu_s"]) == {2.5}
    assert set(table.loc[table["trained"].notna(), "method"]) == set(mmfm.PUBLISHED)
    assert table["between"].notna().all()


def test_a_program_is_told_no_cell_that_is_left_out(program, study, tmp_path):
    adata, left_out = study
    mmfm.mmfm_scores(program(), adata, left_out, 7, {"one": mmfm.Settings(batch=5)})
    given = dict(np.load(tmp_path / "given.npz"))
    pairs = pd.MultiIndex.from_frame(adata.obs[["time", "condition"]])
    kept = ~pairs.isin(list(left_out))
    assert (given["seed"], given["batch"], str(given["embedding"])) == (7, 5, "free")
    x = adata.X[kept].astype(float)
    np.testing.assert_allclose(given["x"], (x - x.mean(0)) / x.std(0))
    np.testing.assert_allclose(given["time"], adata.obs["time"][kept] / adata.obs["time"].max())
    np.testing.assert_array_equal(given["condition"], adata.obs["dose"][kept].rank(method="dense"))
    gaps = np.abs(given["cells"][:, None] - given["x"]).max(-1)
    assert (gaps.min(1) == 0).all()
    source = gaps.argmin(1)
    np.testing.assert_array_equal(given["condition"][source], given["label"])
    np.testing.assert_array_equal(given["time"][source], given["begin"])
    assert (given["begin"] < given["end"]).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("raise ValueError('no such thing')", "no such thing"),
        ("given['cells'] = given['cells'][1:]", "must predict"),
        ("given['cells'] = np.nan * given['cells']", "0% of them finite"),
    ],
)
def test_a_program_that_fails_is_no_row(program, study, change, message):
    with pytest.raises(RuntimeError, match=message):
        mmfm.mmfm_scores(program(change), *study, 0)


def test_exact_distances_where_all_is_known(program, study):
    """A program that moves every cell by one unit: distances are in the units of the data."""
    adata, left_out = study
    adata = adata.copy()
    adata.X = np.zeros_like(adata.X)
    adata.X[adata.obs["time"] == 0] = (3.0, 0.0)
    adata.X[adata.obs["time"] > 0, 1] = 2.0
    found = mmfm.mmfm_scores(program(), adata, left_out, 0, {"still": mmfm.Settings()})
    w1 = found[found["metric"] == "W1"].set_index("method")["value"]
    np.testing.assert_allclose(w1["still"], np.hypot(3, 2), rtol=1e-6)
    assert set(found["metric"]) == {"W1", "energy", "W1_trained"}


def test_chains_follow_cells_that_move_less_than_they_are_apart():
    rng = np.random.default_rng(0)
    x = 10.0 * np.arange(6)[:, None] + np.zeros((1, 2))
    orders = [np.arange(6), *(rng.permutation(6) for _ in range(2))]
    cells = np.concatenate([(x + k)[order] for k, order in enumerate(orders)])
    times, labels = np.repeat([0.0, 0.5, 1.0], 6), np.ones(18, int)
    # a second condition without the time between
    cells, times, labels = (
        np.concatenate([one, one[times != 0.5] + plus])
        for one, plus in ((cells, -1.0), (times, 0.0), (labels, 1))
    )
    chain, clock, names = peers_mmfm.paths(cells, times, labels)
    assert chain.shape == (12, 3, 2)
    np.testing.assert_array_equal(names, np.repeat([1, 2], 6))
    np.testing.assert_array_equal(clock, np.tile([0.0, 0.5, 1.0], (12, 1)))
    np.testing.assert_allclose(chain[:6], x[:, None] + np.arange(3)[:, None])
    assert np.isnan(chain[6:, 1]).all()
    np.testing.assert_allclose(chain[6:, 2], chain[6:, 0] + 2)


def test_a_checkout_must_be_named(monkeypatch, tmp_path):
    monkeypatch.delenv("MMFM_HOME", raising=False)
    with pytest.raises(ValueError, match="set MMFM_HOME"):
        peers_mmfm.main([str(tmp_path / "given.npz"), str(tmp_path / "found.npz")])


def test_a_chain_needs_as_many_cells_at_every_time():
    with pytest.raises(ValueError, match="as many cells"):
        peers_mmfm.chains(np.zeros((3, 1)), np.array([0.0, 0.0, 1.0]))


def test_cells_are_pushed_along_the_velocity():
    """dx/dt = t x has x(t) = x(0) exp(t**2 / 2)."""
    x = torch.tensor([[1.0], [-2.0]], dtype=torch.float64)
    found = peers_mmfm.pushed(lambda t, x: t * x, x, 0.2, 0.8)
    torch.testing.assert_close(found, x * np.exp((0.8**2 - 0.2**2) / 2), rtol=1e-9, atol=0)


def test_each_cell_goes_from_its_time_to_its_time_under_its_label():
    class Law(torch.nn.Module):
        def forward(self, told):
            return told[:, 1:2].expand(-1, 1)

    given = {
        "cells": np.zeros((4, 1)),
        "label": np.array([1, 2, 1, 2]),
        "begin": np.array([0.0, 0.0, 0.5, 0.0]),
        "end": np.array([1.0, 1.0, 1.0, 0.4]),
    }
    found = peers_mmfm.predict(Law(), given)
    np.testing.assert_allclose(found[:, 0], [1.0, 2.0, 0.5, 0.8], rtol=1e-5)


def test_times_after_all_that_were_seen_of_a_condition_are_told_apart():
    obs = pd.DataFrame({"time": [0.0, 1.0, 2.0] * 2, "condition": ["a"] * 3 + ["b"] * 3})
    adata = ad.AnnData(np.zeros((6, 1)), obs=obs.set_index(obs.index.astype(str)))
    asked = pd.DataFrame({"held_out": [1.0, 1.0, 2.0], "condition": ["a", "b", "b"]})
    left_out = ((1.0, "a"), (1.0, "b"), (2.0, "b"))
    assert designs_arms.beyond(adata, left_out, asked).tolist() == [False, True, True]
