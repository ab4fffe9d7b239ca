"""Check the simulators and the loaders."""

import hashlib
import os

import anndata as ad
import numpy as np
import pytest

import celltraj.datasets as ds
from celltraj.datasets import _load
from celltraj.datasets._files import FILES

SIMULATORS = [
    ds.branching,
    ds.lotka_volterra_simulation,
    ds.repressilator_simulation,
    ds.gaussian_snapshots,
]


@pytest.mark.parametrize("simulate", SIMULATORS)
def test_seed_and_format(simulate, tmp_path):
    before = np.random.get_state()
    first, again, other = (simulate(n_cells=20, seed=s) for s in (1, 1, 2))
    after = np.random.get_state()
    assert np.array_equal(before[1], after[1])
    assert before[2] == after[2]
    np.testing.assert_array_equal(first.X, again.X)
    assert first.shape != other.shape or not np.array_equal(first.X, other.X)
    assert first.X.dtype == np.float32
    assert np.isfinite(first.X).all()
    assert first.obs["time"].dtype == np.float64
    assert first.obs_names.is_unique
    assert isinstance(first.uns["source"], str)
    assert first.uns["time_unit"] == "1"
    first.write_h5ad(tmp_path / "a.h5ad")
    back = ad.read_h5ad(tmp_path / "a.h5ad")
    np.testing.assert_array_equal(back.X, first.X)
    np.testing.assert_array_equal(back.obs["time"], first.obs["time"])
    assert back.uns["source"] == first.uns["source"]
    assert dict(back.uns["parameters"]) == first.uns["parameters"]


@pytest.mark.parametrize("simulate", SIMULATORS)
def test_bad_count(simulate):
    with pytest.raises(ValueError, match="n_cells must be at least 1, found 0"):
        simulate(n_cells=0)
    with pytest.raises(TypeError, match="n_cells must be an integer; found"):
        simulate(n_cells=2.5)
    with pytest.raises(TypeError):
        simulate(5, 2, 1.0, 0)  # seed is keyword-only


def test_gaussian_moments_within_four_standard_errors():
    n = 20000
    adata = ds.gaussian_snapshots(n_cells=n, n_vars=3, sigma=0.7)
    for t in (0, 1):
        x = adata.X[adata.obs["time"] == t].astype(float)
        mean, cov = adata.uns[f"m{t}"], adata.uns[f"S{t}"]
        var = np.diag(cov)
        assert np.linalg.eigvalsh(cov).min() > 0
        assert (np.abs(x.mean(0) - mean) < 4 * np.sqrt(var / n)).all()
        # standard error of a Gaussian covariance entry: sqrt((Sii Sjj + Sij^2) / n)
        error = np.sqrt((np.outer(var, var) + cov**2) / n)
        assert (np.abs(np.cov(x.T) - cov) < 4 * error).all()
    with pytest.raises(ValueError, match="sigma must be positive"):
        ds.gaussian_snapshots(sigma=0.0)


def test_branching_means_and_growth():
    n = 4000
    adata = ds.branching(n_cells=n, growth=(0.4, 0.0))
    p = adata.uns["parameters"]
    counts = adata.obs.groupby(["time", "arm"], observed=False).size().unstack()
    sd_split = np.sqrt(p["initial_sd"] ** 2 + p["sigma"] ** 2 * p["split_time"])
    for t in range(5):
        at = (adata.obs["time"] == t).to_numpy()
        sd_x = np.sqrt(p["initial_sd"] ** 2 + p["sigma"] ** 2 * t)
        if t <= 1:
            assert counts.loc[t, "progenitor"] == n
            assert abs(adata.X[at, 0].mean() - t) < 4 * sd_x / np.sqrt(n)
            continue
        lower = at & (adata.obs["arm"] == "lower").to_numpy()
        n_lower = lower.sum()
        # binomial(n, 1/2) founders; the lower arm never divides
        assert abs(n_lower - n / 2) < 4 * np.sqrt(n / 4)
        assert abs(adata.X[lower, 0].mean() - p["speed"] * t) < 4 * sd_x / np.sqrt(n_lower)
        # at the split y is half-normal, then drifts at -slope; sd of y bounded by sd_x
        y = -np.sqrt(2 / np.pi) * sd_split - p["slope"] * (t - p["split_time"])
        assert abs(adata.X[lower, 1].mean() - y) < 4 * sd_x / np.sqrt(n_lower)
        # Yule process from n - n_lower founders: mean g, variance g (g - 1) a founder;
        # g for the discrete steps of 0.05
        steps = round((t - p["split_time"]) / 0.05)
        g = (2 - np.exp(-p["division_rate_upper"] * 0.05)) ** steps
        founders = n - n_lower
        assert abs(counts.loc[t, "upper"] - founders * g) < 4 * np.sqrt(founders * g * (g - 1))
    totals = counts.sum(axis=1).to_numpy()
    assert (np.diff(totals)[1:] > 0).all()


def test_lotka_volterra_parameters_and_mean():
    n = 2000
    adata = ds.lotka_volterra_simulation(n_cells=n)
    p = adata.uns["parameters"]
    given = {"alpha": 1.0, "beta": 0.4, "delta": 0.1, "gamma": 0.4, "sigma": 0.1}
    assert {k: p[k] for k in given} == given
    np.testing.assert_array_equal(np.unique(adata.obs["time"]), np.arange(9.0))
    start = adata.X[adata.obs["time"] == 0].astype(float)
    error = 0.1 / np.sqrt(12 * n)  # uniform of width 0.1
    assert (np.abs(start.mean(0) - [5.05, 4.05]) < 4 * error).all()
    # noise-free orbit; small noise shifts the mean at t=1 by O(sigma^2)
    x = np.array([5.05, 4.05])
    for _ in range(10000):
        meet = x[0] * x[1]
        x = x + 1e-4 * np.array([x[0] - 0.4 * meet, 0.1 * meet - 0.4 * x[1]])
    end = adata.X[adata.obs["time"] == 1].astype(float)
    assert (np.abs(end.mean(0) - x) < 4 * end.std(0) / np.sqrt(n) + 0.1**2).all()


def test_repressilator_times():
    adata = ds.repressilator_simulation(n_cells=5)
    np.testing.assert_allclose(np.unique(adata.obs["time"]), 0.75 * np.arange(11))


def test_all_exported():
    assert set(FILES) <= set(ds.__all__)
    assert all(callable(getattr(ds, name)) for name in ds.__all__)


@pytest.mark.parametrize("place", ["env", "cache"])
def test_wrong_checksum(monkeypatch, cache, tmp_path, place):
    (tmp_path / place).mkdir()
    (tmp_path / place / "eb_pca5.h5ad").write_bytes(b"broken")
    monkeypatch.setenv("CELLTRAJ_DATA_DIR", str(tmp_path / "env"))
    with pytest.raises(ValueError, match=f"expected {FILES['eb_pca5'][0]}, found [0-9a-f]{{64}}"):
        ds.eb_pca5()


def test_download_is_verified_and_cached(monkeypatch, cache, server):
    folder, address = server
    monkeypatch.setenv("CELLTRAJ_DATA_URL", address)
    expected = ds.branching(n_cells=5)
    expected.write_h5ad(folder / "eb_pca5.h5ad")
    with pytest.raises(ValueError, match="sha256 mismatch"):
        ds.eb_pca5()
    assert not list(cache.glob("eb*"))
    checksum = hashlib.sha256((folder / "eb_pca5.h5ad").read_bytes()).hexdigest()
    monkeypatch.setitem(_load.FILES, "eb_pca5", (checksum, "here"))
    np.testing.assert_array_equal(ds.eb_pca5().X, expected.X)
    (folder / "eb_pca5.h5ad").unlink()
    np.testing.assert_array_equal(ds.eb_pca5().X, expected.X)  # from the cache


@pytest.mark.skipif(not os.environ.get("CELLTRAJ_DATA_DIR"), reason="CELLTRAJ_DATA_DIR unset")
@pytest.mark.parametrize("name", sorted(FILES))
def test_load(name, monkeypatch, tmp_path):
    monkeypatch.setattr(_load, "_cache_dir", lambda: tmp_path)
    adata = getattr(ds, name)()
    assert adata.X.dtype == np.float32
    assert adata.uns["source"] == FILES[name][1]
    if {"condition", "treatment"}.isdisjoint(adata.obs):  # a time course, not a treatment
        assert np.issubdtype(adata.obs["time"].dtype, np.floating)
