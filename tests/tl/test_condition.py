"""Conditioned paths from AnnData: what is written, read and drawn, and what is refused."""

import warnings

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch

import celltraj as ct

SILENT = {"progress": False}
LAW = ct.models.Brownian(0.5)
UP = {"arm": "up"}


@pytest.fixture(scope="module")
def adata():
    found = ct.datasets.branching(n_cells=100, seed=0)
    found.obs["arm"] = np.where(np.asarray(found.X)[:, 1] > 0, "up", "down")
    return found


@pytest.fixture(scope="module")
def path(adata):
    return ct.tl.condition(
        adata, LAW, start=2.0, stop=4.0, toward=UP, n_particles=200, n_times=3, **SILENT
    )


def test_rows_are_weighted_trajectories(adata, path):
    assert path.n_obs == 600
    assert path.obs["time"].unique().tolist() == [2.0, 3.0, 4.0]
    mass = path.obs.pivot(index="trajectory", columns="time", values="mass")
    assert (mass.nunique(axis=1) == 1).all()
    np.testing.assert_allclose(mass.mean(), 1.0)
    first = path[path.obs["time"] == 2.0]
    cells = adata[first.obs["source"].to_numpy()]
    np.testing.assert_allclose(first.X, cells.X, rtol=1e-6)
    assert not path.obs["extrapolated"].any()
    last = path[path.obs["time"] == 4.0]
    assert np.average(np.asarray(last.X)[:, 1] > 0, weights=last.obs["mass"]) > 0.95


def test_ancestors_are_those_of_the_trajectories(path):
    table = ct.get.condition(path, ancestors=True)
    assert table["share"].sum() == pytest.approx(1.0)
    assert (table["share"].diff().dropna() <= 0).all()
    first = path.obs[path.obs["time"] == 2.0]
    shares = first.groupby("source")["mass"].sum() / len(first)
    np.testing.assert_allclose(table["share"], shares[table["source"]], rtol=1e-9)
    summary = ct.get.condition(path).iloc[0]
    assert summary["n_ancestors"] <= 200
    assert summary["effective"] <= 200
    assert not summary["is_bound"]
    assert np.isnan(summary["outside"])


def test_the_probability_is_the_share_of_simulated_cells_that_arrive(adata, path):
    free = ct.tl.simulate(adata, LAW, start=2.0, stop=4.0, n_times=2, seed=3, **SILENT)
    ends = free[free.obs["time"] == 4.0]
    share = float((np.asarray(ends.X)[:, 1] > 0).mean())
    row = ct.get.condition(path).iloc[0]
    # the neighbours that vote blur a boundary that few cells are near
    error = np.hypot((share * (1 - share) / len(ends)) ** 0.5, share * row["error"])
    assert np.exp(row["log_probability"]) == pytest.approx(share, abs=4 * error + 0.02)


def test_through_observed_cells_paths_are_those_of_the_couplings(adata):
    two = adata[adata.obs["time"].isin([3.0, 4.0])][::5].copy()
    two.obs["top"] = np.where(np.asarray(two.X)[:, 1] > 2.0, "top", "rest")
    bridge = ct.tl.fit_bridge(
        two, reference=ct.models.Brownian(0.5), growth=None, training=None, **SILENT
    )
    ct.tl.couplings(two, bridge, **SILENT)
    ct.tl.pull(two, source=3.0, target=4.0, cells={"top": "top"}, **SILENT)
    ct.tl.fates(two, groupby="top", **SILENT)
    path = ct.tl.condition(
        two, bridge, start=3.0, stop=4.0, toward={"top": "top"}, n_particles=300, **SILENT
    )
    early = two[two.obs["time"] == 3.0]
    row = ct.get.condition(path).iloc[0]
    fates = ct.get.fates(two).loc[early.obs_names, "top"].mean()
    # cells end among those observed, of which the nearest ten vote: a little blur at the boundary
    assert np.exp(row["log_probability"]) == pytest.approx(fates, abs=0.05)
    shares = ct.get.condition(path, ancestors=True).set_index("source")["share"]
    y = pd.Series(np.asarray(early.X)[:, 1], index=early.obs_names)
    ours = (shares * y[shares.index]).sum()
    exact = (early.obs["pull"] * y).sum()
    assert ours == pytest.approx(exact, abs=0.15 * float(y.std()))


def test_a_reward_is_as_good_as_a_group(adata):
    path = ct.tl.condition(
        adata,
        LAW,
        start=0.0,
        stop=6.0,
        toward=ct.models.QuadraticReward([4.0, -1.0], width=0.1),
        n_particles=300,
        n_times=3,
        **SILENT,
    )
    last = path[path.obs["time"] == 6.0]
    mean = np.average(np.asarray(last.X), axis=0, weights=last.obs["mass"])
    np.testing.assert_allclose(mean, [4.0, -1.0], atol=0.1)
    assert ct.get.condition(path)["effective"].iloc[0] > 100


def test_a_flow_has_noise_of_its_own_or_is_given_some(adata):
    training = ct.models.Training(max_steps=5, width=8)
    interpolant = ct.models.BrownianBridgeInterpolant()
    flow = ct.tl.fit_flow(
        adata, interpolant=interpolant, growth=None, training=training, **SILENT
    ).with_noise(0.0)
    call = {"start": 0.0, "stop": 1.0, "toward": None, "n_particles": 20, "n_times": 2} | SILENT
    with pytest.raises(ValueError, match="FlowMatching has no noise"):
        ct.tl.condition(adata, flow, **call)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ct.DataWarning)  # five steps of a training
        path = ct.tl.condition(adata, flow, noise=0.2, **call)
    assert 0 <= ct.get.condition(path)["outside"].iloc[0] <= 1
    with pytest.raises(TypeError, match="noise is chosen after the fit for a flow only"):
        ct.tl.condition(adata, LAW, noise=0.2, **call)


def test_what_is_written_comes_back_from_a_file_and_is_drawn(adata, path, tmp_path):
    path.write_h5ad(tmp_path / "a.h5ad")
    again = ad.read_h5ad(tmp_path / "a.h5ad")
    for ancestors in (False, True):
        ours, theirs = (ct.get.condition(one, ancestors=ancestors) for one in (path, again))
        pd.testing.assert_frame_equal(ours, theirs)
    ax = ct.pl.trajectories(adata, again, show=False)
    ax.figure.canvas.draw()


def test_a_seed_gives_the_same_and_others_differ(adata, path):
    call = {"start": 2.0, "stop": 4.0, "toward": UP, "n_particles": 200, "n_times": 3} | SILENT
    state = torch.get_rng_state()
    np.testing.assert_array_equal(ct.tl.condition(adata, LAW, **call).X, path.X)
    assert not np.array_equal(ct.tl.condition(adata, LAW, seed=1, **call).X, path.X)
    assert torch.equal(state, torch.get_rng_state())


def test_a_group_that_no_path_meets_has_a_bound(adata):
    slow = ct.models.Brownian(1e-3)
    with pytest.warns(ct.DataWarning, match="no path of 50 that were steered, and 0 of 50"):
        path = ct.tl.condition(
            adata[adata.obs["arm"].eq("up") | adata.obs["time"].ne(3.0)].copy(),
            slow,
            start=3.0,
            stop=4.0,
            toward={"arm": "down"},
            n_particles=50,
            n_times=2,
            **SILENT,
        )
    row = ct.get.condition(path).iloc[0]
    assert row["is_bound"]
    assert np.exp(row["log_probability"]) == pytest.approx(1 - 0.05 ** (1 / 50))
    assert (path.obs["mass"] == 0).all()
    ct.pl.trajectories(adata, path, show=False).figure.canvas.draw()
    with pytest.raises(ValueError, match="has no rows"):
        ct.get.condition(path, ancestors=True)


def test_weight_on_few_paths_is_told(adata):
    with pytest.warns(ct.DataWarning, match="the weight has come to sit on"):
        ct.tl.condition(
            adata, LAW, start=0.0, stop=4.0, toward=UP, n_particles=5, n_times=2, **SILENT
        )


class Beyond:
    """A law of which all states lie outside its data."""

    def drift(self, t, x):
        return torch.zeros_like(x)

    def diffusion(self, t, x):
        return torch.ones_like(x)

    def outside(self, t, x):
        return torch.ones(len(x), dtype=torch.bool)


def test_states_outside_the_data_of_a_model_are_told(adata):
    with pytest.warns(ct.DataWarning, match="100% of the weight of the states lies outside"):
        path = ct.tl.condition(
            *(adata, Beyond()),
            start=0.0,
            stop=1.0,
            toward=None,
            n_particles=20,
            n_times=2,
            **SILENT,
        )
    assert ct.get.condition(path)["outside"].tolist() == [1.0]


def test_what_cannot_be_asked_is_refused(adata):
    def call(**given):
        asked = {"start": 0.0, "stop": 4.0, "toward": UP} | SILENT | given
        return ct.tl.condition(adata, LAW, **asked)

    with pytest.raises(ValueError, match="stop must lie after start"):
        call(start=4.0, stop=0.0)
    with pytest.raises(ValueError, match="no cell of 'left' in"):
        call(toward={"arm": "left"})
    with pytest.raises(KeyError, match="no groups in"):
        call(toward={"fate": "up"})
    with pytest.raises(TypeError, match="toward must be"):
        call(toward="up")
    with pytest.raises(ValueError, match=r"no cells at stop=3\.5"):
        call(stop=3.5)
    with pytest.raises(ValueError, match=r"no cells at start=0\.5"):
        call(start=0.5)
    with pytest.raises(ValueError, match="a group is one of cells observed at stop"):
        call(time_key=None)
    with pytest.raises(ValueError, match="n_particles and n_times must be at least 2"):
        call(n_particles=1)
    with pytest.raises(ValueError, match="QuadraticReward does not take states of 2 variables"):
        call(toward=ct.models.QuadraticReward([1.0, 2.0, 3.0], width=1.0))
    with pytest.raises(KeyError, match="no conditioned paths 'condition'"):
        ct.get.condition(adata)
