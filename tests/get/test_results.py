"""What an AnnData holds, and the readers of convergence, losses and growth."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import celltraj as ct
from celltraj.models import Training

SILENT = {"progress": False}


@pytest.fixture
def adata():
    """Return cells with a bridge, a flow, couplings and what is read off them."""
    adata = ct.datasets.branching(n_cells=20, seed=0)
    ct.tl.fit_bridge(adata, training=None, seed=3, **SILENT)
    ct.tl.fit_flow(adata, training=Training(max_steps=5, width=8), **SILENT)
    ct.tl.couplings(adata, counts="population", **SILENT)
    ct.tl.fates(adata, groupby="arm")
    ct.tl.growth(adata)
    ct.tl.drivers(adata, key="time", time="pooled")
    ct.tl.drivers(adata, key_added="of fates", **SILENT)
    return adata


def row(adata, key):
    return ct.get.results(adata).set_index("key").loc[key]


class TestResults:
    def test_all_are_listed_with_what_they_read(self, adata):
        held = ct.get.results(adata)
        assert set(held["key"]) == set(adata.uns["celltraj"])
        assert held.set_index("key")["kind"].to_dict() == {
            "bridge": "bridge",
            "flow": "flow",
            "couplings": "couplings",
            "ct_fates": "fates",
            "ct_growth": "growth",
            "drivers": "drivers",
            "of fates": "drivers",
        }
        assert row(adata, "bridge")["seed"] == 3
        assert row(adata, "bridge")["places"] == "obsm bridge_velocity"
        assert row(adata, "ct_fates")["call"] == "ct.tl.fates(adata, groupby=...)"
        reads = held.set_index("key")["reads"]
        assert reads["ct_fates"] == reads["ct_growth"] == "couplings"
        assert (reads["drivers"], reads["of fates"]) == ("time", "ct_fates")
        assert pd.isna(reads["bridge"])
        assert set(held["version"]) == {ct.__version__}

    def test_of_none_the_table_is_empty_and_has_its_columns(self, adata):
        held = ct.get.results(ct.datasets.branching(n_cells=5, seed=0))
        assert (len(held), list(held)) == (0, list(ct.get.results(adata)))

    def test_stale_ones_are_listed_and_the_others_still_fresh(self, adata):
        kept = adata[1:].copy()
        states = ct.get.results(kept).set_index("key")["state"]
        # what ties cells to each other needs all of them
        assert states["couplings"] == "stale"
        assert "19 cells stand where 20 were" in row(kept, "couplings")["change"]
        assert set(states.drop(["couplings", "drivers", "of fates"])) == {"fresh"}
        assert states["drivers"] == "unchecked"
        adata.X[3] += 1
        states = ct.get.results(adata).set_index("key")["state"]
        assert set(states[["bridge", "flow", "couplings", "ct_fates", "ct_growth"]]) == {"stale"}
        assert "the states of 1 of 182 cells" in row(adata, "ct_fates")["change"]

    @pytest.mark.parametrize("empty", [False, True])
    def test_it_says_what_a_reader_would(self, adata, empty):
        adata.obs["time"] = adata.obs["time"] * 24
        adata = adata[:0].copy() if empty else adata
        for key, read in (("ct_fates", ct.get.fates), ("ct_growth", ct.get.growth)):
            state = row(adata, key)["state"]
            try:
                read(adata)
            except (ValueError, KeyError):
                assert state == "stale"
            else:
                assert state == "fresh"

    def test_it_never_raises_for_what_became_of_one(self, adata):
        records = adata.uns["celltraj"]
        del adata.obs["time"]
        del records["ct_fates"]["kind"]
        records["of old"] = "text"
        records["ct_growth"]["source"] = {}
        held = ct.get.results(adata).set_index("key")
        assert held.loc["couplings", "state"] == "stale"
        assert "time" in held.loc["couplings", "change"]
        assert held.loc["ct_growth", "state"] == "stale"
        assert set(held.loc[["ct_fates", "of old"], "state"]) == {"unknown"}

    def test_a_file_of_another_kind_of_root_is_refused(self, adata):
        adata.uns["celltraj"] = "mine"
        with pytest.raises(ValueError, match="is not a dict"):
            ct.get.results(adata)
        with pytest.raises(TypeError):
            ct.get.results(adata.X)


class TestConvergence:
    def test_of_couplings_and_bridges(self, adata):
        gaps = ct.get.convergence(adata)
        assert len(gaps) == len(adata.obs["time"].unique()) - 1
        assert gaps["converged"].all()
        assert (gaps["t1"] > gaps["t0"]).all()
        np.testing.assert_allclose(gaps["mass"], 1, atol=0.2)
        bridge = ct.get.convergence(adata, key="bridge")
        assert list(bridge) == [name for name in gaps if name not in ("is_drawn", "mass")]
        table = adata.uns["celltraj"]["bridge"]["convergence"]
        np.testing.assert_array_equal(bridge["epsilon"], table["epsilon"])
        bridge["epsilon"] = 0
        assert (table["epsilon"] > 0).all()

    def test_of_a_plan_from_elsewhere_the_mass_alone_is_known(self, adata):
        two = adata[adata.obs["time"] < 2].copy()
        n, m = two.obs["time"].value_counts().sort_index()
        ct.io.from_wot(two, {(0.0, 1.0): np.ones((n, m))}, key_added="wot")
        gaps = ct.get.convergence(two, key="wot")
        assert list(gaps) == list(ct.get.convergence(adata))
        assert gaps["epsilon"].isna().all()
        assert gaps["mass"].tolist() == pytest.approx([n * m])

    def test_of_stale_ones_it_is_still_read(self, adata):
        before = ct.get.convergence(adata)
        adata.X[3] += 1
        pd.testing.assert_frame_equal(ct.get.convergence(adata), before)

    def test_a_flow_tells_how_it_meets_its_snapshots(self, adata):
        table = ct.get.convergence(adata, key="flow")
        assert table.columns.tolist() == ["t0", "t1", "W1", "floor", "effective"]


class TestLosses:
    def test_of_every_fit_that_trains(self, adata):
        drift = Training(max_steps=7, width=8)
        bridge = ct.tl.fit_bridge(adata, training=drift, key_added="neural", **SILENT)
        losses = ct.get.losses(adata, key="neural")
        assert losses["loss"].tolist() == list(bridge.losses)
        assert losses["step"].tolist() == list(range(7))
        assert len(ct.get.losses(adata, key="flow")) == 5

    def test_what_is_not_trained_has_none(self, adata):
        with pytest.raises(ValueError, match="not trained"):
            ct.get.losses(adata)
        with pytest.raises(KeyError, match=r"no fit 'couplings'.*found \['bridge', 'flow'\]"):
            ct.get.losses(adata, key="couplings")


class TestGrowth:
    def test_sizes_and_rates_are_those_that_were_written(self, adata):
        sizes = ct.get.growth(adata)
        counts = adata.obs["time"].value_counts().sort_index()
        assert sizes["cells"].tolist() == counts.tolist()
        assert sizes["time"].tolist() == counts.index.tolist()
        np.testing.assert_allclose(sizes["observed"], counts, rtol=1e-6)
        rates = ct.get.growth(adata, cells=True)
        assert rates.index.equals(adata.obs_names)
        np.testing.assert_array_equal(rates["growth"], adata.obs["ct_growth"])
        np.testing.assert_array_equal(rates["time"], adata.obs["time"])

    def test_stale_or_missing_ones_are_refused(self, adata):
        with pytest.raises(KeyError, match=r"run ct.tl.growth\(adata\)"):
            ct.get.growth(adata, key="ct_fates")
        gone = adata.copy()
        del gone.obs["ct_growth"]
        with pytest.raises(KeyError, match=r"no adata.obs\['ct_growth'\]"):
            ct.get.growth(gone, cells=True)
        adata.X[3] += 1
        for cells in (False, True):
            with pytest.raises(ValueError, match="stale"):
                ct.get.growth(adata, cells=cells)


def test_they_read_from_a_file(adata, tmp_path):
    adata.write_h5ad(tmp_path / "cells.h5ad")
    again = ad.read_h5ad(tmp_path / "cells.h5ad")
    order = ct.get.results(again).set_index("key").loc[list(adata.uns["celltraj"])]
    expected = ct.get.results(adata).set_index("key")
    pd.testing.assert_frame_equal(order, expected, check_dtype=False)
