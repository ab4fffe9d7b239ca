"""Check the simulated responses against their truth, and the loaders of measured ones."""

import os
from itertools import combinations

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import celltraj.datasets as ds
from celltraj.datasets import _load
from celltraj.datasets._files import FILES

SIMULATIONS = {
    "letters": lambda **options: ds.letters(letters="AXY", n_rotations=2, **options),
    "interacting_populations": lambda **options: ds.interacting_populations(
        n_populations=5, **options
    ),
    "drug_screen": lambda **options: ds.drug_screen(n_lines=2, n_drugs=3, **options),
}
MEASURED = {  # name: (donor or patient, its number, untreated, treated)
    "kang_pca5": ("donor", 8, "CTRL", "STIM"),
    "kang_counts": ("donor", 8, "CTRL", "STIM"),
    "glioblastoma": ("patient_id", 5, "ctrl", "panobinostat"),
}


def assert_same_uns(found, expected):
    assert set(found) == set(expected)
    for key, value in expected.items():
        if isinstance(value, dict):
            assert_same_uns(found[key], value)
        else:
            np.testing.assert_array_equal(found[key], value)


def variance(x):
    """Return the variance along each axis and its squared standard error, for any law."""
    n, centred = len(x), x - x.mean(axis=0)
    var = x.var(axis=0, ddof=1)
    return var, ((centred**4).mean(axis=0) - var**2) / n


@pytest.mark.parametrize("simulate", SIMULATIONS.values(), ids=SIMULATIONS)
def test_seed_and_round_trip(simulate, tmp_path):
    state = np.random.get_state()
    first, again, other = (simulate(n_cells=20, seed=s) for s in (0, 0, 1))
    after = np.random.get_state()
    assert np.array_equal(state[1], after[1])
    assert state[2] == after[2]
    np.testing.assert_array_equal(first.X, again.X)
    pd.testing.assert_frame_equal(first.obs, again.obs)
    assert first.shape != other.shape or not np.array_equal(first.X, other.X)
    assert first.X.dtype == np.float32
    assert np.isfinite(first.X).all()
    assert first.obs_names.is_unique
    first.write_h5ad(tmp_path / "a.h5ad")
    back = ad.read_h5ad(tmp_path / "a.h5ad")
    np.testing.assert_array_equal(back.X, first.X)
    pd.testing.assert_frame_equal(back.obs, first.obs)
    assert_same_uns(back.uns, first.uns)


@pytest.mark.parametrize(
    ("simulate", "options", "message"),
    [
        (ds.letters, {"n_cells": 0}, "n_cells must be at least 1, found 0"),
        (ds.letters, {"n_rotations": 361}, "n_rotations must be at most 360, found 361"),
        (ds.letters, {"letters": "AA"}, "different capitals of A to Z"),
        (ds.letters, {"letters": "Ab"}, "different capitals of A to Z"),
        (ds.letters, {"letters": ""}, "letters is empty"),
        (ds.interacting_populations, {"n_populations": 1}, "n_populations must be at least 2"),
        (ds.interacting_populations, {"attraction": -1.0}, "attraction must be finite and not neg"),
        (ds.interacting_populations, {"speed": np.nan}, "speed must be finite"),
        (ds.drug_screen, {"n_drugs": 2}, "n_drugs must be at least 3"),
        (ds.drug_screen, {"n_vars": 1}, "n_vars must be at least 2"),
    ],
)
def test_bad_options(simulate, options, message):
    with pytest.raises(ValueError, match=message):
        simulate(**options)


@pytest.mark.parametrize("simulate", [ds.letters, ds.interacting_populations, ds.drug_screen])
def test_a_count_is_an_integer(simulate):
    with pytest.raises(TypeError, match="n_cells must be an integer; found"):
        simulate(n_cells=2.5)


class TestLetters:
    def test_held_out_letters_are_unseen_at_every_rotation(self):
        obs = ds.letters(n_cells=1).obs
        seen = obs.groupby("split", observed=True)["letter"].agg(set)
        assert seen["validation"] == {"X"}
        assert seen["test"] == {"Y"}
        assert seen["train"] == set("ABCDEFGHIJKLMNOPQRSTUVWZ")
        per_letter = obs.groupby("letter", observed=True)
        assert (per_letter["population"].nunique() == 10).all()
        assert (per_letter["rotation"].nunique() == 10).all()
        named = obs["letter"].astype(str) + " at " + obs["rotation"].astype(int).astype(str)
        assert (named == obs["population"]).all()

    def test_blur_adds_its_variance(self):
        n, excess, error = 1000, [], []
        adata = ds.letters(n_cells=n, n_rotations=4, letters="AGMSXY")
        cells = adata.X.astype(float).reshape(-1, 2, n, 2)  # population, condition, cell, axis
        for blurred, sharp in cells:
            (b, b_error), (s, s_error) = variance(blurred), variance(sharp)
            excess.append(b - s - (0.5**2 - 0.05**2))
            error.append(b_error + s_error)
        z = np.array(excess) / np.sqrt(error)
        assert np.abs(z).max() < 4.5
        assert abs(np.mean(excess)) < 4 * np.sqrt(np.sum(error)) / z.size

    def test_conditions_are_not_paired(self):
        n = 2000
        blurred, sharp = ds.letters(n_cells=n, n_rotations=1, letters="C").X.reshape(2, n, 2)
        for axis in range(2):
            assert abs(np.corrcoef(blurred[:, axis], sharp[:, axis])[0, 1]) < 4 / np.sqrt(n)

    @staticmethod
    def upright(letter, n):
        """Return sharp cells of 5 rotations, turned back: ``(5, n, 2)``."""
        adata = ds.letters(n_cells=n, n_rotations=5, letters=letter)
        sharp = adata[adata.obs["condition"] == "sharp"]
        points = sharp.X.astype(float) @ [1, 1j]
        turned = points * np.exp(-1j * np.deg2rad(sharp.obs["rotation"].to_numpy()))
        return np.stack([turned.real, turned.imag], axis=1).reshape(5, n, 2)

    def test_a_stroke_is_a_uniform_rectangle(self):
        n = 2000
        width, raster = 6 * 202 / 1493, 6 / 100  # the font's stem, 202 by 1493 units
        for x in self.upright("I", n):
            (narrow, long), error = variance(x)
            assert abs(x[:, 1].mean()) < 4 * np.sqrt(3 / n)
            # a uniform law on 100 pixels lacks the variance within a pixel
            assert abs(long - (36 - raster**2) / 12 - 0.05**2) < 4 * np.sqrt(error[1])
            # the raster rounds the width by up to a pixel
            assert np.sqrt(12 * (narrow - 0.05**2)) == pytest.approx(width, abs=0.1)

    def test_rotations_are_anticlockwise_turns_of_one_upright_glyph(self):
        n = 1000
        means = self.upright("L", n).mean(axis=1)
        assert (means < -0.4).all()  # the mass of an upright L lies left and low
        assert np.ptp(means, axis=0).max() < 6 * 2 / np.sqrt(n)  # sd below 2

    def test_holes_are_empty(self):
        radius = np.linalg.norm(self.upright("O", 1000), axis=2)
        assert radius.min() > 1.5
        assert radius.max() < 3.5


class TestInteractions:
    def test_drift_against_a_loop(self):
        rng = np.random.default_rng(0)
        x = rng.standard_normal((7, 2))
        law = {"attraction": 0.7, "speed": 1.3, "threshold": 0.1, "width": 0.03, "bandwidth": 0.4}
        expected = np.empty_like(x)
        for i, xi in enumerate(x):
            others = [xj for j, xj in enumerate(x) if j != i]
            kernels = [np.exp(-((xi - xj) @ (xi - xj)) / (2 * 0.4**2)) for xj in others]
            rho = sum(kernels) / 6 / (2 * np.pi * 0.4**2)
            expected[i] = 0.7 * (x.mean(axis=0) - xi)
            expected[i, 0] += 1.3 / (1 + np.exp(-(rho - 0.1) / 0.03))
        np.testing.assert_allclose(ds.interaction_drift(x, **law), expected, rtol=1e-12)

    def test_drift_moves_and_permutes_with_the_cells(self):
        rng = np.random.default_rng(1)
        x, order = rng.standard_normal((30, 2)), rng.permutation(30)
        drift = ds.interaction_drift(x)
        np.testing.assert_allclose(
            ds.interaction_drift(x + np.array([3.0, -2.0])), drift, atol=1e-12
        )
        np.testing.assert_allclose(ds.interaction_drift(x[order]), drift[order], atol=1e-12)

    @pytest.mark.parametrize("n_cells", [10, 200])
    def test_density_does_not_depend_on_the_number_of_cells(self, n_cells):
        rng = np.random.default_rng(2)
        spread, bandwidth = 0.8, 0.3
        # attraction off and a wide switch: the drift is affine in the density up to its cube
        law = {"attraction": 0.0, "threshold": 0.0, "width": 1e3, "bandwidth": bandwidth}
        means = []
        for _ in range(100):
            x = spread * rng.standard_normal((n_cells, 2))
            drift = ds.interaction_drift(x, speed=4e3, **law)[:, 0]
            means.append((drift - 2e3).mean())
        # the difference of two cells is Gaussian of variance 2 spread^2
        expected = 1 / (2 * np.pi * (2 * spread**2 + bandwidth**2))
        assert abs(np.mean(means) - expected) < 4 * np.std(means) / np.sqrt(len(means))

    @pytest.mark.parametrize("attraction", [0.0, 1.5])
    def test_attraction_is_recovered_without_the_quorum(self, attraction):
        n, p = 500, 10
        adata = ds.interacting_populations(
            n_populations=p, n_cells=n, attraction=attraction, speed=0.0
        )
        sigma, step = adata.uns["parameters"]["sigma"], adata.uns["parameters"]["step"]
        # every step shrinks distances to the centroid by 1 - a dt and adds sigma^2 dt
        shrink = (1 - attraction * step) ** (2 * np.arange(1 / step + 1).round())
        noise = sigma**2 * step * shrink[:-1].sum()
        z = []
        for before, after in adata.X.astype(float).reshape(p, 2, n, 2):
            (b, b_error), (a, a_error) = variance(before), variance(after)
            z.append((a - shrink[-1] * b - noise) / np.sqrt(a_error + shrink[-1] ** 2 * b_error))
            error = np.sqrt((b + b) / n)  # attraction leaves the mean of a draw where it was
            assert (np.abs(after.mean(axis=0) - before.mean(axis=0)) < 4.5 * error).all()
        assert np.abs(z).max() < 4.5
        assert abs(np.mean(z)) < 4 / np.sqrt(np.size(z))

    def test_quorum_moves_dense_populations_along_the_first_axis(self):
        n, p = 200, 20
        adata = ds.interacting_populations(n_populations=p, n_cells=n, attraction=0.0, speed=2.0)
        cells = adata.X.astype(float).reshape(p, 2, n, 2)
        spread = cells[:, 0].std(axis=1).prod(axis=1)
        shift = cells[:, 1].mean(axis=1) - cells[:, 0].mean(axis=1)
        error = np.sqrt(cells.var(axis=2).sum(axis=1) / n)
        assert (np.abs(shift[:, 1]) < 4 * error[:, 1]).all()
        assert (shift[:, 0] > -4 * error[:, 0]).all()
        assert (shift[:, 0] < 2 + 4 * error[:, 0]).all()
        order = np.argsort(spread)
        dense, sparse = order[: p // 4], order[-(p // 4) :]
        gap = shift[dense, 0].mean() - shift[sparse, 0].mean()
        gap_error = np.sqrt((error[dense, 0] ** 2).sum() + (error[sparse, 0] ** 2).sum()) / (p // 4)
        assert gap > 4 * gap_error

    def test_a_fifth_is_for_the_test(self):
        obs = ds.interacting_populations(n_populations=15, n_cells=2).obs
        split = obs.groupby("population", observed=True)["split"].agg(set)
        assert (split.str.len() == 1).all()
        assert (obs["split"] == "test").sum() == 3 * 2 * 2
        assert list(obs["condition"].cat.categories) == ["before", "after"]

    def test_bad_arrays(self):
        with pytest.raises(ValueError, match=r"x must be \(n, 2\) cells, found shape \(3, 3\)"):
            ds.interaction_drift(np.zeros((3, 3)))
        with pytest.raises(ValueError, match="width and bandwidth must be positive"):
            ds.interaction_drift(np.zeros((3, 2)), width=0.0)


@pytest.fixture(scope="module")
def screen():
    return ds.drug_screen(n_lines=3, n_drugs=4, n_cells=1500)


def condition(adata, drug_1="control", drug_2=None, dose=None):
    """Return the mask of a condition."""
    obs = adata.obs
    second = obs["drug_2"].isna() if drug_2 is None else obs["drug_2"] == drug_2
    at_dose = obs["dose_1"].isna() if dose is None else obs["dose_1"] == dose
    return ((obs["drug_1"] == drug_1) & second & at_dose).to_numpy()


def effect(truth, drug, dose):
    i = list(truth["drugs"]).index(drug)
    return 1 / (1 + (truth["half_dose"][i] / dose) ** truth["hill"][i])


def interaction(adata, drug, other):
    """Return by line and state (pair - first - second + control) and its squared error."""
    masks = [
        condition(adata),
        condition(adata, drug, dose=1.0),
        condition(adata, other, dose=1.0),
        condition(adata, drug, other, dose=1.0),
    ]
    difference, error = [], []
    for _, group in adata.obs.groupby(["population", "state"], observed=True):
        here = adata.obs_names.isin(group.index)
        cells = [adata.X[here & mask].astype(float) for mask in masks]
        means = [x.mean(axis=0) for x in cells]
        difference.append(means[3] - means[2] - means[1] + means[0])
        error.append(sum(x.var(axis=0, ddof=1) / len(x) for x in cells))
    return np.array(difference), np.array(error)


class TestDrugScreen:
    def test_conditions_and_columns(self, screen):
        obs = screen.obs
        assert list(obs["drug_1"].cat.categories) == ["control", *screen.uns["truth"]["drugs"]]
        assert "control" not in obs["drug_2"].cat.categories
        control = obs["drug_1"] == "control"
        assert (obs["dose_1"].isna() == control).all()
        assert (obs["dose_2"].isna() == obs["drug_2"].isna()).all()
        assert (obs["dose_1"] == 1.0)[obs["drug_2"].notna()].all()
        assert obs["dose_1"].dtype == obs["dose_2"].dtype == np.float64
        columns = ["drug_1", "drug_2", "dose_1", "dose_2"]
        per_line = obs.groupby("population", observed=True)[columns]
        assert (per_line.apply(lambda x: len(x.drop_duplicates())) == 1 + 4 * 3 + 6).all()
        single = obs.loc[obs["drug_2"].isna() & ~control]
        assert set(single["dose_1"]) == {0.1, 1.0, 10.0}

    def test_effects_add_but_for_one_pair(self, screen):
        truth = screen.uns["truth"]
        expected_pair = set(truth["interacting_drugs"])
        assert len(expected_pair) == 2
        found = set()
        for drug, other in combinations(truth["drugs"], 2):
            difference, error = interaction(screen, drug, other)
            if {drug, other} == expected_pair:
                found = {drug, other}
                both = effect(truth, drug, 1.0) * effect(truth, other, 1.0)
                z = (difference - both * truth["synergy"]) / np.sqrt(error)
                along = difference @ truth["synergy"] / np.linalg.norm(truth["synergy"])
                assert (along > 10 * np.sqrt(error.mean(axis=1))).all()
            else:
                z = difference / np.sqrt(error)
            assert np.abs(z).max() < 4.5
            assert abs((z**2).sum() - z.size) < 5 * np.sqrt(2 * z.size)
        assert found == expected_pair

    def test_a_dose_moves_a_state_by_its_effect(self, screen):
        truth = screen.uns["truth"]
        drug, state = truth["drugs"][0], truth["states"][0]
        in_state = (screen.obs["state"] == state).to_numpy()
        line = (screen.obs["population"] == truth["lines"][0]).to_numpy()  # has every state
        control = screen.X[condition(screen) & in_state & line].astype(float)
        start = truth["state_mean"][0, 0]
        assert (np.abs(control.mean(axis=0) - start) < 4.5 * 0.4 / np.sqrt(len(control))).all()
        shift = truth["shift"][0, 0] + truth["slope"][0] @ start
        for dose in (0.1, 1.0, 10.0):
            x = screen.X[condition(screen, drug, dose=dose) & in_state & line].astype(float)
            expected = start + effect(truth, drug, dose) * shift
            error = x.std(axis=0) / np.sqrt(len(x))
            assert (np.abs(x.mean(axis=0) - expected) < 4.5 * error).all()

    def test_only_the_killing_drug_kills_and_only_one_state(self, screen):
        truth, obs, n = screen.uns["truth"], screen.obs, 1500
        killer = truth["killing_drug"]
        treated = (obs["drug_1"] == killer) | (obs["drug_2"] == killer)
        columns = ["population", "drug_1", "drug_2", "dose_1"]
        spared = obs[~treated].groupby(columns, observed=True, dropna=False).size()
        assert (spared == n).all()
        killed = list(truth["states"]).index(truth["killed_state"])
        for line, shares in zip(truth["lines"], truth["state_share"], strict=True):
            for dose in (0.1, 1.0, 10.0):
                chosen = condition(screen, killer, dose=dose) & (obs["population"] == line)
                counts = obs.loc[chosen, "state"].value_counts()
                for state, share in enumerate(shares):
                    risk = truth["killed_share"] * effect(truth, killer, dose)
                    alive = share * (1 - risk * (state == killed))
                    error = np.sqrt(n * alive * (1 - alive))
                    assert abs(counts[truth["states"][state]] - n * alive) <= 4.5 * error

    def test_lines_have_two_or_three_states(self):
        truth = ds.drug_screen(n_lines=40, n_drugs=3, n_cells=1).uns["truth"]
        present = (truth["state_share"] > 0).sum(axis=1)
        assert set(present) == {2, 3}
        np.testing.assert_allclose(truth["state_share"].sum(axis=1), 1.0)

    def test_the_killing_drug_does_not_interact(self):
        for seed in range(10):
            truth = ds.drug_screen(n_lines=1, n_cells=1, seed=seed).uns["truth"]
            assert truth["killing_drug"] not in truth["interacting_drugs"]


@pytest.mark.skipif(not os.environ.get("CELLTRAJ_DATA_DIR"), reason="CELLTRAJ_DATA_DIR unset")
@pytest.mark.parametrize("name", MEASURED)
def test_load(name, monkeypatch, tmp_path):
    monkeypatch.setattr(_load, "_cache_dir", lambda: tmp_path)
    adata = getattr(ds, name)()
    population, number, untreated, treated = MEASURED[name]
    assert adata.X.dtype == np.float32
    assert adata.uns["source"] == FILES[name][1]
    counts = adata.obs.groupby([population, "condition"], observed=True).size().unstack()
    assert counts.shape == (number, 2)
    assert set(counts.columns) == {untreated, treated}
    assert (counts > 0).all(axis=None)
