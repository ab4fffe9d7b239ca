"""Designs of which something cannot be told: what is said names it, and what is still possible."""

from functools import partial

import anndata as ad
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch

import celltraj as ct
from celltraj._anndata.clone_names import clone_names
from celltraj._anndata.columns import check_written
from celltraj.models.arms.likeness import Likeness

SILENT = {"progress": False}
FIT = partial(ct.tl.fit_arms, condition_key="drug", growth=None, training=None, **SILENT)
TABLES = ("table", "gaps", "shifts", "batches", "notes")


def study(names=("a", "b"), times=(0.0, 1.0, 2.0), n=12):
    """Return cells of conditions over time, four mice and six barcodes in each snapshot."""
    rng = np.random.default_rng(0)
    rows = [(name, t) for name in names for t in times for _ in range(n)]
    obs = pd.DataFrame(rows, columns=["drug", "time"], index=[f"c{k}" for k in range(len(rows))])
    obs["mouse"] = [f"m{k % 4}" for k in range(len(obs))]
    obs["clone"] = [f"k{k % 6}" for k in range(len(obs))]
    x = 0.3 * rng.normal(size=(len(obs), 2)) + obs["time"].to_numpy()[:, None]
    return ad.AnnData(x.astype("float32"), obs=obs)


class TestConditions:
    def test_that_are_times(self):
        adata = study()
        adata.obs["drug"] = [f"day {t:g}" for t in adata.obs["time"]]
        with pytest.raises(ValueError, match=r"\['day 0', .*not when.*ct\.tl\.fit_bridge"):
            FIT(adata)
        with pytest.raises(ValueError, match="not when"):
            ct.tl.fit_arms(adata, condition_key="time", **SILENT)

    def test_at_one_time(self):
        with pytest.raises(ValueError, match=r"All cells are of time 3: .*ct\.tl\.fit_response"):
            FIT(study(times=(3.0,)))

    def test_without_cells(self):
        with pytest.raises(ValueError, match="adata has no cells"):
            FIT(study()[:0].copy())

    @pytest.mark.parametrize("label", ["nan", "", " NaN ", "<NA>", "drug_nan"])
    def test_whose_missing_labels_were_written(self, label):
        adata = study()
        adata.obs.loc["c3", "drug"] = label
        with pytest.raises(ValueError, match=r"obs\['drug'\] holds .* 1 cells.*no condition.*mask"):
            FIT(adata)

    def test_that_is_called_none_is_one(self):
        assert check_written(pd.Series(["none", "b", None]), "the column", "no condition") is None

    def test_of_few_cells_that_are_to_be_foretold(self):
        adata = study()
        few = adata[(adata.obs["drug"] == "a") | (adata.obs["time"] != 1) | (_turn(adata) < 5)]
        laws = {name: ct.models.Brownian(0.1) for name in "ab"}
        with pytest.warns(ct.DataWarning, match="5 of 'b' at 1; distances to them are mostly"):
            ct.tl.cross_validate_arms(
                few.copy(),
                condition_key="drug",
                hold_out=[(1.0, "b")],
                fit=lambda *_, **__: laws,
                **SILENT,
            )


def _turn(adata):
    return np.arange(adata.n_obs) % 12


class TestClones:
    @pytest.mark.parametrize("label", ["", "nan", "None", "NA", "-1", "m1 nan", "m1_nan"])
    def test_whose_missing_labels_were_written(self, label):
        adata = study()
        adata.obs.loc[adata.obs_names[::2], "clone"] = label
        with pytest.raises(ValueError, match=r"obs\['clone'\] holds .* 36 cells.*no clone"):
            ct.tl.couple_clones(adata, clone_key="clone", **SILENT)

    def test_whose_missing_labels_are_numbers(self):
        adata = study()
        adata.obs["clone"] = np.where(_turn(adata) < 6, -1, _turn(adata))
        for call in (ct.tl.couple_clones, ct.tl.clone_growth, ct.tl.clone_memory):
            with pytest.raises(ValueError, match=r"holds \['-1'\] for 36 cells"):
                call(adata, clone_key="clone")

    def test_what_is_told_to_do_mends_it(self):
        adata = study()
        adata.obs.loc["c3", "clone"] = ""
        with pytest.raises(ValueError, match="say that it is missing") as caught:
            clone_names(adata, "clone")
        line = str(caught.value).split("missing, ")[1].split(", or give")[0]
        exec(line, {"adata": adata})
        assert pd.isna(clone_names(adata, "clone")).sum() == 1

    @pytest.mark.filterwarnings("ignore::celltraj.DataWarning")
    def test_of_several_samples_are_told_apart_by_both_columns(self):
        adata = study()
        adata.obs.loc["c0", "mouse"] = None
        names = clone_names(adata, ["mouse", "clone"])
        pasted = adata.obs["mouse"].astype(object) + " " + adata.obs["clone"]
        assert names[0] is None
        first, second = (pd.factorize(of)[0] for of in (names, pasted))
        np.testing.assert_array_equal(first, second)
        adata.obs["pasted"] = pasted
        one, two = (
            ct.tl.couple_clones(adata, clone_key=key, strength=0.5, copy=True, **SILENT)
            for key in (["mouse", "clone"], "pasted")
        )
        np.testing.assert_array_equal(
            one.obsp["couplings"].toarray(), two.obsp["couplings"].toarray()
        )
        assert list(one.uns["celltraj"]["couplings"]["params"]["clone_key"]) == ["mouse", "clone"]

    def test_parts_of_names_do_not_run_together(self):
        obs = pd.DataFrame({"a": ["x y", "x"], "b": ["z", "y z"]}, index=["c", "d"])
        one, two = clone_names(ad.AnnData(obs=obs), ["a", "b"])
        assert one != two
        with pytest.raises(ValueError, match="clone_key is empty"):
            clone_names(ad.AnnData(obs=obs), [])


class TestSamples:
    @pytest.mark.parametrize("batch_key", [None, "drug"])
    def test_of_one_time_are_compared(self, batch_key, tmp_path):
        adata = study(times=(3.0,), n=60)
        ct.tl.sample_report(adata, sample_key="mouse", batch_key=batch_key, **SILENT)
        adata.write_h5ad(tmp_path / "a.h5ad")
        again = ad.read_h5ad(tmp_path / "a.h5ad")
        parts = TABLES if batch_key else ("table", "gaps", "notes")
        for part in parts:
            one, two = (ct.get.sample_report(each, part=part) for each in (adata, again))
            pd.testing.assert_frame_equal(one, two, check_dtype=False)
        assert len(ct.get.sample_report(again)) == 1
        assert len(ct.get.sample_report(again, part="gaps")) == 0
        notes = ct.get.sample_report(again, part="notes")["note"]
        assert "all cells are of time 3: there are no steps in time" in set(notes)
        ct.pl.sample_report(again, show=False)
        plt.close()

    def test_whose_missing_labels_were_written(self):
        adata = study()
        adata.obs.loc["c3", "mouse"] = "nan"
        with pytest.raises(ValueError, match=r"obs\['mouse'\] holds \['nan'\] .* no samples"):
            ct.tl.sample_report(adata, sample_key="mouse", **SILENT)


class TestVelocities:
    @pytest.mark.filterwarnings("ignore::celltraj.FitWarning")
    @pytest.mark.parametrize("values", [np.array([["a", "b"]] * 72), np.ones((72, 2), complex)])
    def test_that_are_no_numbers(self, values):
        adata = study()
        names = {"index": adata.obs_names, "columns": ["x", "y"]}
        adata.obsm["velocity"] = pd.DataFrame(values, **names)
        family = ct.models.VelocityReference("velocity")
        with pytest.raises(ValueError, match=r"velocities in obsm\['velocity'\] must be numbers"):
            ct.tl.fit_bridge(adata, reference=family, training=None, **SILENT)


def test_slices_of_different_units_are_named_where_one_between_them_is_drawn():
    adata = ct.datasets.growing_tissue(n_cells=100, seed=0)
    last = (adata.obs["time"] == 2).to_numpy()
    adata.obsm["spatial"][last] *= 1000
    with pytest.warns(ct.DataWarning, match=r"\(1 to 2: .*different units.*Multiply"):
        ct.tl.couple_space(adata, **SILENT)
    with pytest.warns(ct.DataWarning, match=r"\(1 to 2: .*different units"):
        ct.tl.interpolate_slice(adata, at=1.5, n_cells=5)
    ct.tl.interpolate_slice(adata, at=0.5, n_cells=5)
    ct.tl.interpolate_slice(adata, at=2.0, n_cells=5)


def test_truth_values_are_covariates():
    frame = torch.tensor([[0.0], [1.0], [-9.0], [9.0]]).double()
    family = ct.models.KernelReference(frame=frame, centres=torch.zeros(1, 1).double(), sigma=0.1)
    laws = {
        name: family.with_solution(torch.tensor([[speed], [0.0], [0.0]]).double())
        for name, speed in {"a": 0.0, "b": 2.0}.items()
    }
    told = Likeness({"treated": {"a": "False", "b": "True"}}, laws["a"])
    x = torch.zeros(1, 1).double()
    for value in (True, "True"):
        torch.testing.assert_close(
            told.law(laws, {"treated": value}).drift(0.0, x), laws["b"].drift(0.0, x)
        )
