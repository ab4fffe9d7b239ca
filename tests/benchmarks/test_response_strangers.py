"""Programs of strangers are told what they may know, and judged by the cells of all others."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from stranger import program_in

import celltraj as ct
from benchmarks import response_strangers as strangers


@pytest.fixture
def adata():
    found = ct.datasets.interacting_populations(n_populations=3, n_cells=20, seed=0)
    found.obs["donor"] = found.obs["population"]
    labels = {"before": "CTRL", "after": "STIM"}
    found.obs["condition"] = found.obs["condition"].astype(str).map(labels)
    found.obs["cell_type"] = np.where(np.arange(found.n_obs) % 2, "odd", "even")
    return found


@pytest.fixture
def program(tmp_path):
    """Return what writes a program that changes what it is told by a line of Python."""
    return partial(program_in, tmp_path)


def test_who_changes_nothing_is_judged_as_no_change(adata, program):
    records = strangers.scores(adata, {"scgen": program()}, 0, 0)
    values = records.pivot_table(index=["population", "metric"], columns="method", values="value")
    # states pass through float32 and the units of the training
    same = values[["scgen", "no_change"]].dropna()
    assert set(same.index.get_level_values("metric")) >= {"W1", "energy", "variance_ratio"}
    np.testing.assert_allclose(same["scgen"], same["no_change"], rtol=1e-4, atol=1e-4)
    assert (records.loc[records["method"] == "scgen", "cpu_s"] == 2.5).all()
    assert not records["method"].str.startswith("scgen (").any()


def test_a_program_is_told_of_the_others_and_of_untreated_cells_alone(adata, program, tmp_path):
    strangers.scores(adata, {"scgen": program()}, 0, 7)
    given = dict(np.load(tmp_path / "given.npz"))
    left_out = set(adata.obs["donor"]) - set(given["donor"])
    kept = ~adata.obs["donor"].isin(left_out).to_numpy()
    assert len(left_out) == 1
    assert given["seed"] == 7
    np.testing.assert_array_equal(given["treated"], adata.obs["condition"][kept] == "STIM")
    np.testing.assert_array_equal(given["cell_type"], adata.obs["cell_type"][kept])
    x = adata.X[kept].astype(float)
    centre, unit = x.mean(0), np.sqrt(x.var(0).mean())
    np.testing.assert_allclose(given["x"], (x - centre) / unit, atol=1e-5)
    untreated = adata.X[~kept & (adata.obs["condition"] == "CTRL").to_numpy()]
    for name in ("cells", "population"):
        found = centre + unit * given[name]
        gaps = np.abs(found[:, None] - untreated).max(-1)
        assert found.shape == untreated.shape
        assert (gaps.min(0) < 1e-4).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("raise ValueError('no such thing')", "no such thing"),
        ("given['cells'] = given['cells'][1:]", "must predict"),
        ("given['cells'] = np.nan * given['cells']", "0% of them finite"),
    ],
)
def test_a_program_that_fails_is_no_row(adata, program, change, message):
    with pytest.raises(RuntimeError, match=message):
        strangers.scores(adata, {"scgen": program(change)}, 0, 0)


def test_the_table_has_a_row_for_each_python_that_is_given(adata, program, monkeypatch, tmp_path):
    monkeypatch.setattr(ct.datasets, "kang_pca5", lambda: adata)
    threads = torch.get_num_threads()
    try:
        strangers.main(
            ["--cellflow", program(), "--steps", "0", "--seeds", "0", "--out", str(tmp_path)]
        )
    finally:
        torch.set_num_threads(threads)
    found = pd.read_csv(tmp_path / "response_strangers.csv")
    methods = set(found["method"])
    assert {"cellflow", "neighbours", "no_change", "floor"} <= methods
    assert not {"scgen", "default"} & methods
    assert (found.loc[found["method"] == "neighbours", "over_neighbours"] == 1).all()
    assert found.groupby("method").size()["cellflow"] == 3
    assert (tmp_path / "response_strangers.json").exists()


def test_some_donors_are_judged_as_among_all(adata, program):
    everyone = strangers.scores(adata, {"scgen": program()}, 0, 0)
    name = everyone["held_out"].iloc[-1]
    some = strangers.scores(adata, {"scgen": program()}, 0, 0, donors=[name])
    expected = everyone[everyone["held_out"] == name].reset_index(drop=True)
    pd.testing.assert_frame_equal(some, expected)
    with pytest.raises(ValueError, match="no donors"):
        strangers.scores(adata, {"scgen": program()}, 0, 0, donors=["nobody"])
