"""What to fit: the table, the sentence, and that what it names is what was judged."""

import logging
from functools import partial

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import celltraj as ct
from celltraj.tl._previews import flow_preview
from celltraj.tl._which_model import _CANDIDATES

COLUMNS = [
    *("method", "kind", "call", "W1", "W1_sd", "energy", "excess", "energy_excess"),
    *("variance_ratio", "won", "n_held_out", "margin", "recommended"),
]
TRIVIAL = ["previous", "next", "mixture", "displacement", "chain_cubic", "chain_pchip"]


def course(where, *, n=60, width=0.1, d=2, key="time", seed=0):
    """Return clouds about the places ``where (T, d)``, one a day."""
    rng = np.random.default_rng(seed)
    where = np.asarray(where, float)
    x = np.concatenate([rng.normal(0, width, (n, d)) + np.resize(at, d) for at in where])
    times = np.repeat(np.arange(float(len(where))), n)
    index = [str(i) for i in range(len(times))]
    return ad.AnnData(x.astype(np.float32), obs=pd.DataFrame({key: times}, index=index))


def circle(n_times=6, **options):
    angle = 0.8 * np.arange(n_times)
    return course(np.stack([np.cos(angle), np.sin(angle)], 1), **options)


def asked(adata, **options):
    table = ct.tl.which_model(adata, **{"progress": False, "n_draws": 1} | options)
    return table.set_index("method", drop=False), table.attrs["advice"]


def test_a_law_is_recommended_where_cells_go_round():
    table, advice = asked(circle(n_times=5, n=50))
    assert list(table) == COLUMNS
    assert table["method"].tolist() == ["floor", *TRIVIAL, *_CANDIDATES]
    assert table["kind"].tolist() == ["floor"] + ["trivial"] * 6 + ["candidate"] * 5
    assert table["recommended"].sum() == 1
    assert advice.startswith("ct.tl.fit_flow(adata")
    assert "simpler" not in advice  # a chord is surely further than the arc
    assert table.loc["straight lines", "margin"] < -1
    assert set(table["n_held_out"]) == {3}
    assert table.loc["floor", "excess"] == 0
    assert table.loc["straight lines", "W1"] > 1.5 * table.loc["flow", "W1"]


def test_what_to_type_is_what_was_judged():
    table, _ = asked(circle(n_times=3, key="day", n=20), time_key="day", use_rep="X")
    adata = circle(n_times=3, key="day", n=20)
    for name, (options, _) in _CANDIDATES.items():
        call = table.loc[name, "call"]
        assert call.startswith("ct.tl.fit_flow(adata, time_key='day', use_rep='X'")
        said = {}
        fake = partial(_record, said)
        eval(call.replace("ct.tl.fit_flow", "fit"), {"ct": ct, "fit": fake, "adata": adata})
        assert said == {"time_key": "day", "use_rep": "X"} | options
        judged, typed = (flow_preview(partial(ct.tl.fit_flow, **o)) for o in (options, said))
        assert judged.coupling == typed.coupling
        assert judged.growth == typed.growth


def _record(said, adata, **options):
    said.update(options)


def test_two_times_tell_nothing_and_that_is_said():
    table, advice = asked(circle(n_times=2))
    assert table["method"].tolist()[: len(_CANDIDATES)] == list(_CANDIDATES)
    assert table[["W1", "energy", "excess", "margin", "variance_ratio"]].isna().all(axis=None)
    assert (table["n_held_out"] == 0).all()
    assert advice.startswith("ct.tl.fit_flow(adata): the default, unjudged. With two times nothing")


def test_one_held_out_time_changes_nothing():
    table, advice = asked(circle(n_times=3, n=40))
    assert table.loc["flow", "recommended"]
    assert "one held-out time is too little" in advice
    assert "With one of three times left out all paths are straight." in advice
    assert "Few cells (40 at time 0, 40 at time 1, 40 at time 2)" in advice


def test_cells_that_are_at_the_floor_rank_nothing():
    table, advice = asked(course([(0, 0)] * 3, width=1.0, n=80))
    assert table.loc["flow", "recommended"]
    assert "within 15% of the floor: these cells rank nothing" in advice


def test_many_dimensions_are_told():
    table, advice = asked(course(np.arange(3.0)[:, None], d=12, width=0.3))
    assert "displacement_shrunk" in table.index
    assert "In 12 dimensions W1 rewards narrow predictions; by the energy distance" in advice
    assert (
        table.loc["displacement_shrunk", "variance_ratio"]
        < (table.loc["displacement", "variance_ratio"])
    )


def test_the_seed_decides_and_the_advice_is_logged(caplog):
    adata = circle(n_times=3, n=30)
    before = adata.copy()
    with caplog.at_level(logging.INFO, logger="celltraj"):
        one, advice = asked(adata, seed=1)
    assert advice in caplog.text
    again, _ = asked(adata, seed=1)
    pd.testing.assert_frame_equal(one, again)
    np.testing.assert_array_equal(adata.X, before.X)
    assert set(adata.uns) == set(before.uns)


@pytest.mark.parametrize("options", [{"n_cells": 1}, {"n_draws": 0}])
def test_too_few_are_refused(options):
    with pytest.raises(ValueError, match="n_cells must be at least 2 and n_draws at least 1"):
        asked(circle(n_times=3), **options)
