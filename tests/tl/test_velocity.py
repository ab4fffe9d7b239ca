"""Velocities of cells, and what they look like in an embedding."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch

import celltraj as ct
from celltraj.models import Brownian, Training
from celltraj.models.embedding_velocity import projected_velocity

WIND = np.array([3.0, -1.0])
TURN = np.array([[0.6, -0.8], [0.8, 0.6]])  # a rotation


class Wind:
    """Carry every cell with the same velocity, ``scale`` times as fast."""

    dim = 2

    def __init__(self, scale=1.0):
        self.scale = scale

    def drift(self, t, x):
        return torch.from_numpy(np.tile(self.scale * WIND, (len(x), 1)))

    def diffusion(self, t, x):
        return torch.ones_like(x)


def plain(n=800, seed=0):
    """Return cells spread evenly over a square, and their rotation as an embedding."""
    x = np.random.default_rng(seed).uniform(0, 10, (n, 2))
    obs = pd.DataFrame({"time": np.repeat([0.0, 1.0], n // 2)}).rename(index=str)
    return ad.AnnData(x, obs=obs, obsm={"X_umap": x @ TURN.T})


def cosines(found, truth):
    length = np.linalg.norm(found, axis=1) * np.linalg.norm(truth, axis=-1)
    return (found * truth).sum(1) / length


@pytest.fixture(scope="module")
def fitted():
    adata = ct.datasets.branching(n_cells=30, seed=0)
    bridge = ct.tl.fit_bridge(adata, training=None, progress=False)
    return adata, bridge


def velocity(adata, process, **options):
    return ct.tl.velocity(adata, process, progress=False, **options)


def test_a_wind_turns_with_the_embedding():
    adata = plain()
    velocity(adata, Wind(), basis="umap", key_added="wind")
    np.testing.assert_allclose(adata.obsm["wind"], np.tile(WIND, (800, 1)), rtol=1e-6)
    found, truth = adata.obsm["wind_umap"], WIND @ TURN.T
    assert found.dtype == adata.obsm["wind"].dtype == np.float32
    # 30 neighbours: where they lie decides within about 0.1 radians, at the rim a little more
    inside = ((adata.X > 1.5) & (adata.X < 8.5)).all(1)
    assert cosines(found, truth)[inside].mean() > 0.98
    assert (cosines(found, truth) > 0.95).mean() > 0.9
    assert cosines(found, truth).min() > 0.4  # in a corner


def test_the_rim_does_not_turn_a_wind_along_it():
    x = np.random.default_rng(0).uniform(0, 10, (3000, 2))
    along = np.tile([0.0, 1.0], (len(x), 1))
    found = projected_velocity(x, along, x, n_neighbors=50)
    rim = (x[:, 0] < 0.2) & (abs(x[:, 1] - 5) < 4)
    # the mean of n angles of about 0.15 each
    assert abs(found[rim, 0].mean()) < 5 * 0.15 / np.sqrt(rim.sum())
    assert found[rim, 1].mean() > 0.9


def test_lengths_are_those_of_the_embedding():
    # within the square, the mean cosine of a kernel exp(10 cos) in the plane: I1(10) / I0(10)
    shrink = 2670.988 / 2815.717
    for stretch in (1.0, 20.0):
        x = plain(2000).X
        v = np.tile(WIND, (len(x), 1))
        found = projected_velocity(x, v, stretch * x, n_neighbors=100)
        inside = ((x > 2) & (x < 8)).all(1)
        speed = np.linalg.norm(found[inside], axis=1)
        assert np.mean(speed) == pytest.approx(shrink * stretch * np.linalg.norm(WIND), rel=0.03)


def test_a_direction_that_no_neighbour_tells_of_vanishes():
    x = np.column_stack([plain().X, np.zeros(800)])
    upwards = np.tile([0.0, 0.0, 5.0], (800, 1))
    np.testing.assert_allclose(projected_velocity(x, upwards, x, n_neighbors=30), 0, atol=1e-12)


def test_where_more_cells_are_pulls_none_aside():
    x = np.random.default_rng(0).uniform(0, 1, (4000, 2))
    x[:, 0] = np.sqrt(x[:, 0])
    across = np.tile([0.0, 1.0], (len(x), 1))
    found = projected_velocity(x, across, x, n_neighbors=50)
    inside = ((x > 0.2) & (x < 0.8)).all(1)
    sideways = found[inside, 0]
    assert abs(sideways.mean()) < 5 * sideways.std() / np.sqrt(inside.sum() / 50)
    np.testing.assert_array_equal(projected_velocity(x, 0 * across, x, n_neighbors=9), 0)


def by_hand(x, v, y, i, k):
    """The equation, for one cell, in a loop."""
    others = sorted((j for j in range(len(x)) if j != i), key=lambda j: np.sum((x[j] - x[i]) ** 2))
    others = others[:k]
    kernel = np.exp(
        [
            10 * (x[j] - x[i]) @ v[i] / np.linalg.norm(x[j] - x[i]) / np.linalg.norm(v[i])
            for j in others
        ]
    )
    weights = kernel / kernel.sum() - (1 / kernel) / (1 / kernel).sum()
    stretch = np.median([np.linalg.norm(y[j] - y[i]) for j in others]) / np.median(
        [np.linalg.norm(x[j] - x[i]) for j in others]
    )
    total = np.zeros(y.shape[1])
    for j, weight in zip(others, weights, strict=True):
        step = (y[j] - y[i]) / np.linalg.norm(y[j] - y[i])
        total += weight / 2 * step
    return np.linalg.norm(v[i]) * stretch * total


def test_the_projection_is_its_equation(monkeypatch):
    rng = np.random.default_rng(1)
    x, v, y = rng.normal(size=(50, 4)), rng.normal(size=(50, 4)), rng.normal(size=(50, 2))
    expected = [by_hand(x, v, y, i, 7) for i in range(50)]
    np.testing.assert_allclose(projected_velocity(x, v, y, n_neighbors=7), expected, atol=1e-12)
    monkeypatch.setattr("celltraj.models.embedding_velocity._BLOCK", 8)
    np.testing.assert_allclose(projected_velocity(x, v, y, n_neighbors=7), expected, atol=1e-12)


def test_the_order_of_cells_does_not_matter(fitted):
    adata, bridge = fitted[0].copy(), fitted[1]
    adata.obsm["X_umap"] = np.tanh(adata.X)
    order = np.random.default_rng(0).permutation(adata.n_obs)
    other = adata[order].copy()
    for cells in (adata, other):
        velocity(cells, bridge, basis="umap", n_neighbors=10)
    for key in ("velocity", "velocity_umap"):
        np.testing.assert_allclose(other.obsm[key], adata.obsm[key][order], rtol=1e-4, atol=1e-5)


def test_other_units_give_the_same_picture():
    adata = plain(200)
    velocity(adata, Wind(), basis="umap", n_neighbors=10)
    days = adata.obsm["velocity_umap"]
    hours = velocity(adata, Wind(1 / 24), basis="umap", n_neighbors=10, copy=True)
    np.testing.assert_allclose(hours.obsm["velocity_umap"] * 24, days, rtol=1e-5)
    adata.X = adata.X * 1000  # another unit of the states, the same embedding
    velocity(adata, Wind(1000), basis="umap", n_neighbors=10)
    np.testing.assert_allclose(adata.obsm["velocity_umap"], days, rtol=1e-5, atol=1e-5)


def test_in_the_space_of_the_process_velocities_are_exact(fitted):
    adata, bridge = fitted
    adata = velocity(adata, bridge, basis="X", copy=True)
    np.testing.assert_array_equal(adata.obsm["velocity_X"], adata.obsm["velocity"])
    # what the fit wrote is what is found again, with the backward drift at the last time
    np.testing.assert_array_equal(adata.obsm["velocity"], fitted[0].obsm["bridge_velocity"])
    assert "velocity_X" not in fitted[0].obsm
    adata.obsm["X_pca"] = adata.X.copy()
    velocity(adata, bridge, use_rep="X_pca", basis="pca")
    np.testing.assert_array_equal(adata.obsm["velocity_pca"], adata.obsm["velocity"])


def test_a_flow_moves_by_its_ode_and_has_a_name_of_its_own():
    adata = ct.datasets.branching(n_cells=20, seed=0)
    flow = ct.tl.fit_flow(adata, training=Training(max_steps=20), progress=False)
    again = velocity(adata, flow.with_noise(0.3), copy=True)
    np.testing.assert_array_equal(again.obsm["velocity"], adata.obsm["flow_velocity"])
    velocity(adata, Brownian(0.1))
    assert "velocity" in adata.obsm


def test_one_time_for_all_cells(fitted):
    adata, bridge = fitted
    new = adata[:40].copy()
    del new.obs["time"]
    velocity(new, bridge, time=1.5, key_added="middle")
    expected = bridge.drift(1.5, torch.from_numpy(new.X.astype(float))).numpy()
    np.testing.assert_allclose(new.obsm["middle"], expected, rtol=1e-5)
    params = new.uns["celltraj"]["middle"]["params"]
    assert params == {"model": "Bridge", "time": 1.5, "use_rep": "X"}


def test_cells_beyond_the_fit_are_told_of(fitted, caplog):
    adata, bridge = fitted[0].copy(), fitted[1]
    adata.obs["time"] += 1.0
    velocity(adata, bridge)
    (record,) = (one for one in caplog.records if one.levelname == "WARNING")
    late = adata.obs["time"] > 4
    expected = f"{late.sum()} of {adata.n_obs} cells are at times outside [0, 4], which the bridge"
    assert expected in record.getMessage()
    np.testing.assert_array_equal(adata.obsm["velocity"][late], 0)  # Brownian motion


def test_copies_of_cells_point_nowhere_they_cannot():
    x = np.zeros((40, 2))
    np.testing.assert_array_equal(projected_velocity(x, x + 1, x, n_neighbors=5), 0)


def test_results_survive_a_file(fitted, tmp_path):
    adata = fitted[0].copy()
    adata.obsm["X_umap"] = adata.X.copy()
    velocity(adata, fitted[1], basis="umap")
    adata.write_h5ad(tmp_path / "a.h5ad")
    again = ad.read_h5ad(tmp_path / "a.h5ad")
    np.testing.assert_array_equal(again.obsm["velocity_umap"], adata.obsm["velocity_umap"])
    assert again.uns["celltraj"]["velocity"]["params"]["basis"] == "X_umap"


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"basis": "umap"}, KeyError, r"no embedding in adata.obsm\['X_umap'\].*sc.tl.umap"),
        ({"use_rep": "X_no"}, KeyError, r"no obsm\['X_no'\]"),
        ({"use_rep": "X_one"}, ValueError, "the bridge has 2 variables, X_one has 1"),
        ({"time_key": "day"}, KeyError, r"no times in adata.obs\['day'\]"),
        ({"key_added": "a/b"}, ValueError, "leave it out"),
        ({"basis": "one", "n_neighbors": 1}, ValueError, "n_neighbors must lie between 2 and"),
        ({"basis": "one", "n_neighbors": 9999}, ValueError, "found 9999"),
    ],
)
def test_what_is_refused(fitted, options, error, message):
    adata = fitted[0].copy()
    adata.obsm["X_one"] = adata.X[:, :1].copy()
    before = list(adata.obsm)
    with pytest.raises(error, match=message):
        velocity(adata, fitted[1], **options)
    assert list(adata.obsm) == before
