"""Couplings, push, pull, transitions, fates, entropy and growth of an AnnData."""

from functools import partial

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch

import celltraj as ct
from celltraj.models import Training

NAMES = ("CD4/CD8", "NK")
SILENT = {"progress": False}


def branched(seed=0, n_cells=40):
    """Return branching cells with an arm each, whose names are not fit for keys."""
    adata = ct.datasets.branching(n_cells=n_cells, seed=seed)
    arm = pd.Categorical(np.where(adata.X[:, 1] > 0, *NAMES), categories=[*NAMES, "nobody"])
    adata.obs["arm"] = arm
    adata.obs.loc[adata.obs_names[:3], "arm"] = np.nan
    return adata


@pytest.fixture(scope="module")
def coupled():
    adata = branched()
    # the shares of the arms differ by chance, which soft plans do not take for cells that cross
    ct.tl.couplings(adata, tau=(0.95, 0.99), **SILENT)
    return adata


def at(adata, time):
    return (adata.obs["time"] == time).to_numpy()


class TestCouplings:
    def test_plans_are_those_of_the_potentials(self, coupled):
        f, _, weight, row, _ = coupled.obsm["couplings"][at(coupled, 1.0)].T
        _, g, _, _, column = coupled.obsm["couplings"][at(coupled, 2.0)].T
        gap = coupled.uns["celltraj"]["couplings"]["gaps"].iloc[1]
        x, y = (coupled.X[at(coupled, t)].astype(float) for t in (1.0, 2.0))
        cost = ((x[:, None] - y[None]) ** 2).sum(-1) / 2
        plan = np.exp((f[:, None] + g[None] - cost) / gap["epsilon"])
        # the solver stops at an L1 error of 1e-6
        np.testing.assert_allclose(plan.sum(1), row, atol=1e-8)
        np.testing.assert_allclose(plan.sum(0), column, atol=1e-8)
        np.testing.assert_allclose(weight, 1 / len(x))

    def test_balanced_couplings_keep_the_mass_of_every_cell(self):
        adata = branched()
        ct.tl.couplings(adata, tau=(1.0, 1.0), **SILENT)
        ct.tl.growth(adata)
        rates = adata.obs["ct_growth"]
        assert rates[~at(adata, 4.0)].abs().max() < 1e-4
        assert rates[at(adata, 4.0)].isna().all()

    def test_expected_growth_is_kept_where_marginals_hold(self):
        adata = branched()
        adata.obs["rate"] = np.where(adata.X[:, 1] > 0, 1.0, 0.0)
        ct.tl.couplings(adata, tau=(1.0, 1.0), growth_key="rate", **SILENT)
        ct.tl.growth(adata)
        found = adata.obs.loc[at(adata, 2.0), "ct_growth"]
        expected = adata.obs.loc[at(adata, 2.0), "rate"]
        assert np.ptp((found - expected).to_numpy()) < 1e-4

    @pytest.mark.parametrize(
        ("counts", "ratio"), [("proportions", 1.0), ("population", 162 / 120), ([1, 1, 1, 2, 6], 3)]
    )
    def test_what_numbers_mean_is_declared(self, counts, ratio):
        adata = branched(n_cells=50)
        ct.tl.couplings(adata, tau=(1.0, 1.0), counts=counts, **SILENT)
        ct.tl.growth(adata)
        np.testing.assert_allclose(
            adata.obs.loc[at(adata, 3.0), "ct_growth"], np.log(ratio), atol=1e-4
        )

    def test_the_order_of_cells_does_not_matter(self, coupled):
        order = np.random.default_rng(0).permutation(coupled.n_obs)
        shuffled = branched()[order].copy()
        ct.tl.couplings(shuffled, tau=(0.95, 0.99), **SILENT)
        np.testing.assert_allclose(
            shuffled.obsm["couplings"], coupled.obsm["couplings"][order], atol=1e-4
        )

    def test_rates_per_hour_are_a_24th_of_those_per_day(self):
        adata = branched(n_cells=50)
        adata.obs["rate"] = np.where(adata.X[:, 1] > 0, 0.5, -0.2)
        found = []
        for unit in (1, 24):
            hours = adata.copy()
            hours.obs["time"] *= unit
            hours.obs["rate"] /= unit
            ct.tl.couplings(hours, growth_key="rate", counts="population", **SILENT)
            ct.tl.growth(hours)
            found.append(hours.obs["ct_growth"] * unit)
        np.testing.assert_allclose(*found, rtol=1e-5)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"tau": (0.0, 0.9)}, r"tau_a must lie in \(0, 1\]"),
            ({"epsilon": -1.0}, "epsilon must be positive"),
        ],
    )
    def test_bad_input_is_named(self, arguments, message):
        with pytest.raises(ValueError, match=message):
            ct.tl.couplings(branched(n_cells=10), **SILENT, **arguments)

    def test_copy_leaves_the_data_alone(self):
        adata = branched()
        annotated = ct.tl.couplings(adata, copy=True, **SILENT)
        assert "couplings" in annotated.obsm
        assert "couplings" not in adata.obsm


class TestPushAndPull:
    def test_shares_sum_to_one_between_the_times_only(self, coupled):
        adata = coupled.copy()
        ct.tl.push(adata, source=1.0, target=3.0, cells={"arm": NAMES[0]})
        for time in (1.0, 2.0, 3.0):
            assert adata.obs.loc[at(adata, time), "push"].sum() == pytest.approx(1, abs=1e-5)
        assert adata.obs.loc[at(adata, 0.0) | at(adata, 4.0), "push"].isna().all()
        chosen = at(adata, 1.0) & (adata.obs["arm"] == NAMES[0]).to_numpy()
        assert (adata.obs["push"][at(adata, 1.0)].gt(0) == chosen[at(adata, 1.0)]).all()

    def test_pushing_all_cells_gives_the_plan_its_columns(self, coupled):
        adata = coupled.copy()
        ct.tl.push(adata, source=1.0, target=2.0, cells={"arm": [*NAMES]})
        column = coupled.obsm["couplings"][at(adata, 2.0), 4]
        np.testing.assert_allclose(
            adata.obs.loc[at(adata, 2.0), "push"], column / column.sum(), rtol=1e-5
        )

    def test_ancestors_of_an_arm_are_in_the_arm(self, coupled):
        adata = coupled.copy()
        ct.tl.pull(adata, source=2.0, target=4.0, cells={"arm": NAMES[1]})
        share = adata.obs.loc[at(adata, 2.0)].groupby("arm", observed=True)["pull"].sum()
        assert share[NAMES[1]] > 0.9

    def test_several_columns_choose_cells_that_have_all_values(self, coupled):
        adata = coupled.copy()
        adata.obs["batch"] = np.where(np.arange(adata.n_obs) % 2, "a", "b")
        ct.tl.push(adata, source=1.0, target=2.0, cells={"arm": NAMES[0], "batch": "a"})
        chosen = adata.obs["push"][at(adata, 1.0)] > 0
        assert (adata.obs.loc[at(adata, 1.0), "batch"][chosen] == "a").all()

    @pytest.mark.parametrize(
        ("arguments", "error", "message"),
        [
            ({"cells": {"arm": "B cell"}}, ValueError, "no cell of 'B cell'.*NK"),
            ({"cells": {"arm": "nobody"}}, ValueError, "no cell of 'nobody'"),
            ({"cells": {"type": "NK"}}, KeyError, "no groups in adata.obs"),
            ({"cells": "NK"}, TypeError, "cells must be a dict"),
            ({"cells": {}}, TypeError, "must name a column"),
            ({"source": 2.5}, ValueError, "no cells at time 2.5; observed times are"),
            ({"source": 3.0, "target": 1.0}, ValueError, "must be before"),
            ({"key": "others"}, KeyError, "ct.tl.couplings"),
        ],
    )
    def test_bad_input_is_named(self, coupled, arguments, error, message):
        asked = {"source": 1.0, "target": 3.0, "cells": {"arm": "NK"}} | arguments
        for tool in (ct.tl.push, ct.tl.pull):
            with pytest.raises(error, match=message):
                tool(coupled.copy(), **asked)


class TestTransitions:
    def test_rows_and_columns_sum_to_one(self, coupled):
        adata = coupled.copy()
        ct.tl.transitions(adata, groupby="arm", source=1.0, target=4.0)
        forward = ct.get.transitions(adata)
        np.testing.assert_allclose(forward.sum(axis=1), 1)
        np.testing.assert_allclose(ct.get.transitions(adata, direction="backward").sum(), 1)
        assert ct.get.transitions(adata, direction="mass").to_numpy().sum() == pytest.approx(1)
        assert np.diag(forward).min() > 0.8

    def test_all_gaps_by_default(self, coupled):
        adata = coupled.copy()
        ct.tl.transitions(adata, groupby="arm")
        table = adata.uns["celltraj"]["transitions"]["table"]
        assert table[["t0", "t1"]].drop_duplicates().to_numpy().tolist() == [
            [0, 1],
            [1, 2],
            [2, 3],
            [3, 4],
        ]
        with pytest.raises(ValueError, match="Choose one by source="):
            ct.get.transitions(adata)
        with pytest.raises(ValueError, match="direction"):
            ct.get.transitions(adata, direction="sideways")
        assert "nobody" not in set(table["source"])

    def test_one_time_alone_is_refused(self, coupled):
        with pytest.raises(ValueError, match="pass both"):
            ct.tl.transitions(coupled.copy(), groupby="arm", source=1.0)

    def test_a_time_without_labels_is_named(self, coupled):
        adata = coupled.copy()
        adata.obs.loc[at(adata, 2.0), "arm"] = np.nan
        with pytest.raises(ValueError, match="no cell at time 2 has a group"):
            ct.tl.transitions(adata, groupby="arm", source=2.0, target=3.0)


class TestFates:
    def test_shares_are_of_descendants(self, coupled):
        adata = coupled.copy()
        ct.tl.fates(adata, groupby="arm")
        table = ct.get.fates(adata)
        assert table.columns.tolist() == list(NAMES)
        np.testing.assert_allclose(table.sum(axis=1), 1, rtol=1e-5)
        at_end = at(adata, 4.0)
        assert (table[at_end].idxmax(axis=1) == adata.obs["arm"][at_end].astype(str)).all()
        for name in NAMES:
            here = at(adata, 3.0) & (adata.obs["arm"] == name).to_numpy()
            assert table.loc[here, name].mean() > 0.9

    def test_later_cells_have_none(self, coupled):
        adata = coupled.copy()
        ct.tl.fates(adata, groupby="arm", at=2.0)
        missing = ct.get.fates(adata).isna().all(axis=1).to_numpy()
        np.testing.assert_array_equal(missing, at(adata, 3.0) | at(adata, 4.0))

    def test_pushing_a_cell_says_the_same(self, coupled):
        adata = coupled.copy()
        ct.tl.fates(adata, groupby="arm")
        cell = adata.obs_names[np.flatnonzero(at(adata, 2.0))[0]]
        adata.obs["one"] = np.where(adata.obs_names == cell, "this", "that")
        ct.tl.push(adata, source=2.0, target=4.0, cells={"one": "this"})
        end = adata.obs.loc[at(adata, 4.0)]
        shares = end.groupby("arm", observed=True)["push"].sum() / end["push"].sum()
        for name in NAMES:
            assert ct.get.fates(adata).loc[cell, name] == pytest.approx(shares[name], abs=1e-4)

    @pytest.mark.parametrize("store", ["h5ad", "zarr"])
    @pytest.mark.filterwarnings("ignore:Writing zarr v2 data:UserWarning")
    def test_couplings_and_fates_work_from_a_file(self, coupled, tmp_path, store):
        expected = coupled.copy()
        ct.tl.fates(expected, groupby="arm")
        getattr(coupled, f"write_{store}")(tmp_path / "cells")
        again = getattr(ad, f"read_{store}")(tmp_path / "cells")
        ct.tl.fates(again, groupby="arm")
        np.testing.assert_array_equal(again.obsm["ct_fates"], expected.obsm["ct_fates"])

    def test_several_couplings_give_intervals(self):
        adata = branched()
        fit = partial(ct.tl.fit_bridge, training=None, **SILENT)
        models = {f"s{sigma}": fit(adata, sigma=sigma) for sigma in (0.3, 0.5, 0.8)}
        for key, model in models.items():
            ct.tl.couplings(adata, model, key_added=key, **SILENT)
        ct.tl.fates(adata, key=list(models), groupby="arm", confidence=0.9)
        low, mean, high = (
            ct.get.fates(adata, end=end).to_numpy() for end in ("lower", "mean", "upper")
        )
        assert (low <= mean + 1e-6).all()
        assert (mean <= high + 1e-6).all()
        each = []
        for key in models:
            ct.tl.fates(adata, key=key, groupby="arm", key_added="one")
            each.append(adata.obsm["one"])
        np.testing.assert_allclose(mean, np.mean(each, 0), atol=1e-6)
        np.testing.assert_allclose(low, np.quantile(each, 0.05, axis=0), atol=1e-6)
        ct.tl.fates(adata, key="s0.3", groupby="arm")
        with pytest.raises(KeyError, match=r"interval over couplings, .* only of several"):
            ct.get.fates(adata, end="lower")

    def test_a_bridge_says_what_its_couplings_say(self):
        adata = branched()
        bridge = ct.tl.fit_bridge(adata, training=None, **SILENT)
        ct.tl.couplings(adata, bridge, **SILENT)
        ct.tl.fates(adata, groupby="arm", at=2.0)
        plan = [c.to_dense().numpy() for c in bridge.couplings[:2]]
        labels = pd.get_dummies(adata.obs["arm"])[list(NAMES)].to_numpy(float)[at(adata, 2.0)]
        shares = [p / p.sum(1, keepdims=True) for p in plan]
        np.testing.assert_allclose(
            adata.obsm["ct_fates"][at(adata, 0.0)], shares[0] @ shares[1] @ labels, atol=1e-5
        )

    def test_a_flow_is_simulated(self):
        adata = branched()
        soft = ct.models.FlowOptions(coupling=ct.ot.Unbalanced(tau_a=0.97, tau_b=0.99))
        flow = ct.tl.fit_flow(adata, options=soft, training=Training(max_steps=400), **SILENT)
        ct.tl.couplings(adata, flow, **SILENT)
        ct.tl.fates(adata, groupby="arm", **SILENT)
        table = ct.get.fates(adata)
        for name in NAMES:
            here = at(adata, 3.0) & (adata.obs["arm"] == name).to_numpy()
            assert table.loc[here, name].mean() > 0.8
        ct.tl.transitions(adata, groupby="arm", source=3.0, target=4.0, **SILENT)
        ct.tl.growth(adata)
        assert np.isfinite(adata.obs.loc[at(adata, 1.0), "ct_growth"]).all()

    def test_same_seed_same_result_and_the_global_state_is_left_alone(self):
        adata = branched()
        flow = ct.tl.fit_flow(adata, training=Training(max_steps=50), **SILENT).with_noise(0.2)
        before = torch.get_rng_state()
        found = []
        for seed in (3, 3, 4):
            ct.tl.couplings(adata, flow, seed=seed, **SILENT)
            ct.tl.fates(adata, groupby="arm", **SILENT)
            assert adata.uns["celltraj"]["ct_fates"]["seed"] == seed
            found.append(adata.obsm["ct_fates"].copy())
        np.testing.assert_array_equal(found[0], found[1])
        assert not np.array_equal(found[0], found[2], equal_nan=True)
        assert torch.equal(torch.get_rng_state(), before)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"at": 0.0}, "first time"),
            ({"at": 9.0}, "observed times are"),
            ({"key": []}, "names no couplings"),
            ({"confidence": 1.0}, "confidence"),
        ],
    )
    def test_bad_input_is_named(self, coupled, arguments, message):
        with pytest.raises(ValueError, match=message):
            ct.tl.fates(coupled.copy(), groupby="arm", **arguments)

    def test_a_time_without_labels_is_named(self, coupled):
        adata = coupled.copy()
        adata.obs.loc[at(adata, 4.0), "arm"] = np.nan
        with pytest.raises(ValueError, match="no cell at time 4 has a group"):
            ct.tl.fates(adata, groupby="arm")

    @pytest.mark.parametrize("model", ["bridge", ["bridge"], pd.DataFrame()])
    def test_what_is_no_process_is_named(self, coupled, model):
        with pytest.raises(TypeError, match=r"as ct\.tl\.fit_bridge\(adata\) returns"):
            ct.tl.couplings(coupled.copy(), model)

    def test_one_argument_silences_the_bar(self, coupled, capsys):
        for progress in (True, False):
            ct.tl.fates(coupled.copy(), groupby="arm", progress=progress)
            assert ("fates" in capsys.readouterr().err) == progress

    def test_other_cells_than_were_coupled_are_refused(self, coupled):
        with pytest.raises(ValueError, match=r"of ct\.tl\.couplings\(adata\) is stale"):
            ct.tl.fates(coupled[::2].copy(), groupby="arm")

    def test_a_bridge_of_other_cells_is_simulated(self):
        adata = branched()
        still = {"reference": ct.models.Brownian(), "growth": None, "training": None}
        bridge = ct.tl.fit_bridge(branched(seed=1), **still, **SILENT)
        ct.tl.couplings(adata, bridge, **SILENT)
        assert "couplings" in adata.obsp
        ct.tl.fates(adata, groupby="arm", **SILENT)
        table = ct.get.fates(adata)
        for name in NAMES:
            here = at(adata, 3.0) & (adata.obs["arm"] == name).to_numpy()
            assert (
                table.loc[here, name].mean() > 0.6
            )  # arms hold other shares there, and a bridge moves the rest

    def test_a_bridge_of_other_variables_or_times_is_refused(self):
        adata = branched()
        bridge = ct.tl.fit_bridge(adata[~at(adata, 4.0)].copy(), training=None, **SILENT)
        with pytest.raises(ValueError, match="fitted to times from 0 to 3"):
            ct.tl.couplings(adata, bridge)
        adata.obsm["X_one"] = adata.X[:, :1]
        with pytest.raises(ValueError, match="pass the use_rep="):
            ct.tl.couplings(adata, bridge, use_rep="X_one")

    def test_results_are_needed_first(self):
        with pytest.raises(KeyError, match=r"ct\.tl\.fates"):
            ct.get.fates(branched())
        with pytest.raises(KeyError, match=r"ct\.tl\.transitions"):
            ct.get.transitions(branched())


def test_entropy_grows_with_epsilon_up_to_that_of_all_cells(coupled):
    adata = coupled.copy()
    found = []
    for epsilon in (0.02, 0.2, 1e4):
        ct.tl.couplings(adata, epsilon=epsilon, tau=(1.0, 1.0), **SILENT)
        ct.tl.entropy(adata)
        found.append(adata.obs.loc[at(adata, 1.0), "ct_entropy"].mean())
    assert found == sorted(found)
    assert found[-1] == pytest.approx(np.log(at(adata, 2.0).sum()), abs=1e-3)


class TestGrowth:
    def test_a_learned_bridge_predicts_the_numbers(self):
        adata = branched(n_cells=60)
        bridge = ct.tl.fit_bridge(
            adata,
            growth=ct.models.LearnedGrowth(),
            counts="population",
            training=None,
            **SILENT,
        )
        ct.tl.couplings(adata, bridge, **SILENT)
        ct.tl.growth(adata)
        numbers = adata.uns["celltraj"]["ct_growth"]["numbers"]
        assert numbers["observed"].tolist() == numbers["cells"].tolist()
        np.testing.assert_allclose(numbers["predicted"], numbers["observed"], rtol=0.05)

    def test_without_growth_numbers_stay(self):
        adata = branched()
        bridge = ct.tl.fit_bridge(adata, training=None, **SILENT)
        ct.tl.couplings(adata, bridge, **SILENT)
        ct.tl.growth(adata)
        numbers = adata.uns["celltraj"]["ct_growth"]["numbers"]
        assert (numbers["predicted"] == numbers["cells"].iloc[0]).all()

    @pytest.mark.parametrize(
        ("arguments", "error", "message"),
        [
            ({"growth": "learn"}, ValueError, r"LearnedGrowth\(\)"),
            ({"growth_key": "missing"}, KeyError, "score_growth"),
            ({"counts": "cells"}, ValueError, "counts must be"),
            ({"counts": [1.0]}, ValueError, "counts must hold"),
        ],
    )
    def test_bad_input_is_named(self, arguments, error, message):
        with pytest.raises(error, match=message):
            ct.tl.fit_bridge(branched(), training=None, **SILENT, **arguments)

    def test_growth_that_is_not_finite_is_refused(self):
        adata = branched()
        adata.obs["rate"] = np.nan
        with pytest.raises(ValueError, match="missing or infinite"):
            ct.tl.couplings(adata, growth_key="rate", **SILENT)
        adata.obs["rate"] = "fast"
        with pytest.raises(ValueError, match="must be numbers"):
            ct.tl.couplings(adata, growth_key="rate", **SILENT)
