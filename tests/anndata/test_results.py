"""A result is true to what it was computed from, or refused; it overwrites nothing but its like."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch

import celltraj as ct
from celltraj._anndata.results import FATES, RESULTS
from celltraj._anndata.source import Source
from celltraj._errors import DataWarning
from celltraj.models import Training

SILENT = {"progress": False}


def cells(n=12, times=(0.0, 1.0, 2.0)):
    """Return two arms that part in time, in a representation beside ``X``."""
    rng = np.random.default_rng(0)
    arm = np.tile(["down", "up"], n // 2 * len(times))
    time = np.repeat(times, n)
    x = rng.normal(0, 0.3, (len(time), 3))
    x[:, 0] += time
    x[:, 1] += np.where(arm == "up", 1, -1) * time
    obs = pd.DataFrame({"time": time, "arm": arm}, index=[f"c{i}" for i in range(len(time))])
    adata = ad.AnnData(np.zeros((len(time), 1), dtype="float32"), obs=obs)
    adata.obsm["X_pca"] = x.astype("float32")
    return adata


@pytest.fixture
def coupled():
    adata = cells()
    ct.tl.couplings(adata, **SILENT)
    ct.tl.fates(adata, groupby="arm", **SILENT)
    return adata


def fates_of(adata, **options):
    ct.tl.fates(adata, groupby="arm", key_added="again", **SILENT | options)
    return pd.DataFrame(adata.obsm["again"], index=adata.obs_names)


def scaled(adata):
    adata.obsm["X_pca"] = adata.obsm["X_pca"] * 3


def one_cell_moved(adata):
    adata.obsm["X_pca"][4] += 0.01


def turned_at_one_time(adata):
    adata.obsm["X_pca"][adata.obs["time"] == 1, 1] *= -1


def exchanged(adata):
    adata.obsm["X_pca"][[0, 20]] = adata.obsm["X_pca"][[20, 0]]


def in_hours(adata):
    adata.obs["time"] *= 24


def times_permuted(adata):
    adata.obs["time"] = np.random.default_rng(1).permutation(adata.obs["time"])


def fewer_components(adata):
    adata.obsm["X_pca"] = adata.obsm["X_pca"][:, :2]


def without_cells(adata):
    return adata[1:].copy()


def resampled(adata):
    rows = [0, *range(11), *range(12, adata.n_obs)]
    obsm = {"X_pca": adata.obsm["X_pca"][rows], "couplings": adata.obsm["couplings"][rows]}
    obs = adata.obs.iloc[rows].set_axis(adata.obs_names)
    return ad.AnnData(adata.X[rows], obs=obs, obsm=obsm, uns=adata.uns)


def without_a_time_between(adata):
    return adata[adata.obs["time"] != 1].copy()


def other_cells(adata):
    adata.obs_names = [f"other{i}" for i in range(adata.n_obs)]
    scaled(adata)


CHANGED = {
    scaled: "the states of 36 of 36 cells in adata.obsm['X_pca']",
    one_cell_moved: "the states of 1 of 36 cells",
    turned_at_one_time: "the states of the cells have changed",
    exchanged: "the times of 2 of 36 cells in adata.obs['time']",
    in_hours: "the times of 24 of 36 cells",
    times_permuted: "the times of",
    fewer_components: "the states of 36 of 36 cells",
    other_cells: "36 of 36 cells are not among the 36",
    without_cells: "11 cells stand where 12 were at time 0",
    resampled: "cells stand where 12 were at time 0",
    without_a_time_between: "all cells of the times [1.0] are missing",
}


class TestStale:
    @pytest.mark.filterwarnings("ignore::celltraj.DataWarning")
    @pytest.mark.parametrize("change", CHANGED, ids=lambda change: change.__name__)
    def test_couplings_of_what_has_changed_are_refused(self, coupled, change):
        changed = change(coupled)
        changed = coupled if changed is None else changed
        before = sorted(changed.obsm)
        with pytest.raises(ValueError, match="stale") as refused:
            fates_of(changed)
        assert CHANGED[change] in str(refused.value)
        assert "ct.tl.couplings(adata)" in str(refused.value)
        assert sorted(changed.obsm) == before

    @pytest.mark.parametrize("change", [scaled, one_cell_moved, in_hours, fewer_components])
    def test_so_are_fates_by_tables_plots_and_tests(self, coupled, change):
        change(coupled)
        for read in (ct.get.fates, ct.tl.drivers, ct.pl.fates):
            with pytest.raises(ValueError, match=r"stale.*since it was computed"):
                read(coupled)

    def test_what_leaves_the_plan_as_it_is_is_allowed(self, coupled):
        expected = fates_of(coupled)
        order = np.random.default_rng(0).permutation(coupled.n_obs)
        reordered = coupled[order].copy()
        turned = coupled.copy()
        turned.obsm["X_pca"] = turned.obsm["X_pca"] * np.array([1, -1, -1], dtype="float32")
        wider = coupled.copy()
        wider.obsm["X_pca"] = wider.obsm["X_pca"].astype(float)
        renamed = coupled.copy()
        renamed.obs["day"] = renamed.obs["time"]
        for same in (reordered, turned, wider, renamed):
            pd.testing.assert_frame_equal(
                fates_of(same).loc[coupled.obs_names], expected, atol=1e-6
            )

    def test_times_that_follow_each_other_keep_their_plans(self, coupled):
        expected = fates_of(coupled)
        later = coupled[coupled.obs["time"] > 0].copy()
        found = fates_of(later)
        pd.testing.assert_frame_equal(found, expected.loc[found.index], atol=1e-6)
        with pytest.raises(ValueError, match="keep two times or more"):
            fates_of(coupled[coupled.obs["time"] == 1].copy())

    def test_values_of_cells_may_be_read_of_some_of_them(self, coupled, tmp_path):
        coupled[::2].copy().write_h5ad(tmp_path / "some.h5ad")
        some = ad.read_h5ad(tmp_path / "some.h5ad")
        assert len(ct.get.fates(some)) == 18
        del some.obsm["X_pca"]  # a slim file for a colleague: nothing has changed, less is there
        assert len(ct.get.fates(some)) == 18
        some.obs_names = [f"other{i}" for i in range(18)]
        with pytest.raises(ValueError, match="are not among the 36"):
            ct.get.fates(some)

    def test_a_source_goes_through_its_record(self):
        adata = cells()
        again = Source.from_record(Source.of(adata, "time", "X_pca").record())
        assert again.change(adata, whole=True) is None
        assert again.change(adata[::-1], whole=True) is None


class TestNames:
    def test_another_kind_is_not_replaced(self, coupled):
        with pytest.raises(ValueError, match=r"\['ct_fates'\] holds a result of the kind 'fates'"):
            ct.tl.push(
                coupled, source=0, target=2, cells={"arm": "up"}, key_added="ct_fates", **SILENT
            )
        with pytest.raises(ValueError, match="of the kind 'couplings'"):
            ct.tl.fit_bridge(coupled, training=None, key_added="couplings", **SILENT)

    @pytest.mark.parametrize("name", ["time", "arm"])
    def test_neither_is_a_column_of_the_user(self, coupled, name):
        before = coupled.obs.copy()
        with pytest.raises(ValueError, match="is there already"):
            ct.tl.entropy(coupled, key_added=name, **SILENT)
        pd.testing.assert_frame_equal(coupled.obs, before)

    def test_the_representation_itself_is_not_overwritten(self, coupled):
        with pytest.raises(ValueError, match=r"adata.obsm\['X_pca'\] is there already"):
            ct.tl.fates(coupled, groupby="arm", key_added="X_pca", **SILENT)

    @pytest.mark.parametrize("name", ["", "  ", "a/b"])
    def test_what_a_file_cannot_hold_is_no_name(self, coupled, name):
        with pytest.raises(ValueError, match="key_added"):
            ct.tl.entropy(coupled, key_added=name, **SILENT)

    def test_its_own_kind_is_replaced_whole(self):
        adata = cells()
        plans = {(0.0, 1.0): np.ones((12, 12)), (1.0, 2.0): np.ones((12, 12))}
        ct.io.from_wot(adata, plans)
        ct.tl.couplings(adata, **SILENT)
        assert "couplings" not in adata.obsp
        mixed = fates_of(adata)
        fresh = cells()
        ct.tl.couplings(fresh, **SILENT)
        pd.testing.assert_frame_equal(mixed, fates_of(fresh))
        ct.io.from_wot(adata, plans)
        assert "couplings" not in adata.obsm

    def test_velocities_of_two_names_stand_side_by_side(self):
        adata = cells()
        bridge = ct.tl.fit_bridge(adata, training=None, **SILENT)
        adata.obsm["X_umap"] = adata.obsm["X_pca"][:, :2].copy()
        for name in ("velocity", "mine"):
            ct.tl.velocity(adata, bridge, basis="umap", n_neighbors=5, key_added=name, **SILENT)
        names = {"bridge_velocity", "velocity", "velocity_umap", "mine", "mine_umap"}
        assert names < set(adata.obsm)
        assert {"bridge", "velocity", "mine"} == set(adata.uns["celltraj"])
        np.testing.assert_array_equal(adata.obsm["mine"], adata.obsm["bridge_velocity"])

    def test_kinds_are_told_apart_by_their_names(self):
        assert len({one.kind for one in RESULTS}) == len(RESULTS)

    def test_a_record_of_an_older_version_says_so(self, coupled):
        del coupled.uns["celltraj"]["ct_fates"]["kind"]
        with pytest.raises(KeyError, match="no kind, as of old versions"):
            ct.get.fates(coupled)
        with pytest.raises(ValueError, match=r"del adata.uns\['celltraj'\]\['ct_fates'\]"):
            FATES.claim(coupled, "ct_fates")


class TestIntervals:
    def test_models_that_are_one_and_the_same_give_none(self):
        adata = cells()
        bridges = [ct.tl.fit_bridge(adata, training=None, seed=seed, **SILENT) for seed in (0, 1)]
        for key, bridge in zip("ab", bridges, strict=True):
            ct.tl.couplings(adata, bridge, key_added=key, **SILENT)
        before = sorted(adata.obsm)
        with pytest.raises(ValueError, match="no seed touches the couplings"):
            ct.tl.fates(adata, key=["a", "b"], groupby="arm", **SILENT)
        assert sorted(adata.obsm) == before


class TestSpace:
    def fitted(self, **options):
        adata = cells()
        adata.obsm["X_other"] = adata.obsm["X_pca"] + 50
        return adata, ct.tl.fit_bridge(adata, use_rep="X_pca", training=None, **SILENT, **options)

    def simulated(self, adata, model, **options):
        return ct.tl.simulate(adata, model, start=0, stop=1, n_times=2, **SILENT, **options)

    def test_a_model_works_where_it_was_fitted(self):
        adata = cells()
        adata.obsm["X_hidden"] = adata.obsm["X_pca"] + 50
        bridge = ct.tl.fit_bridge(adata, use_rep="X_hidden", training=None, **SILENT)
        path = self.simulated(adata, bridge)
        assert path.uns["celltraj"]["simulate"]["params"]["use_rep"] == "X_hidden"
        assert path.X.mean() > 40

    def test_another_space_is_used_when_named_and_another_place_is_said(self):
        adata, bridge = self.fitted()
        with pytest.warns(DataWarning, match="standard deviations from that of the fit"):
            path = self.simulated(adata, bridge, use_rep="X_other")
        assert path.X[path.obs["time"] == 0].mean() > 40

    @pytest.mark.parametrize("factor", [0.1, 0.5, 2, 10])
    def test_another_scale_is_said(self, factor):
        adata, bridge = self.fitted()
        centre = adata.obsm["X_pca"].mean(0)
        adata.obsm["X_pca"] = centre + factor * (adata.obsm["X_pca"] - centre)
        with pytest.warns(DataWarning, match="their scale is"):
            self.simulated(adata, bridge)

    def test_the_cells_of_any_time_are_not(self):
        adata, bridge = self.fitted()
        for time in (0.0, 1.0, 2.0):
            some = adata[adata.obs["time"] == time].copy()
            ct.tl.velocity(some, bridge, **SILENT)

    def test_variables_in_another_order_are_refused(self):
        adata = cells()
        x = ad.AnnData(adata.obsm["X_pca"], obs=adata.obs[["time"]])
        x.var_names = ["a", "b", "c"]
        short = Training(max_steps=5)
        flow = ct.tl.fit_flow(x, training=short, **SILENT)
        with pytest.raises(ValueError, match="in another order"):
            self.simulated(x[:, ["b", "a", "c"]].copy(), flow)

    def test_a_reloaded_model_knows_it_still(self, tmp_path):
        adata, bridge = self.fitted()
        short = Training(max_steps=5)
        for model in (bridge, ct.tl.fit_flow(adata, use_rep="X_pca", training=short, **SILENT)):
            model.save(tmp_path / "model")
            assert ct.load(tmp_path / "model").representation == model.representation
        assert torch.isfinite(torch.tensor(bridge.representation.scales)).all()
