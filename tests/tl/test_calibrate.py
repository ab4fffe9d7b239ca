"""Calibrated fates in AnnData: what is written, read and drawn, and what is refused."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import celltraj as ct


def clonal(n=240, seed=0):
    """Return clones at two times: a pair of arms, in which clones of one cell or more end."""
    rng = np.random.default_rng(seed)
    y = rng.normal(0, 1, n)
    is_up = rng.uniform(size=n) < 1 / (1 + np.exp(-3 * y))
    early = np.column_stack([np.zeros(n), y]) + rng.normal(0, 0.1, (n, 2))
    late = np.column_stack([np.full(n, 3.0), np.where(is_up, 2, -2) + y / 2])
    late = np.repeat(late, 2, axis=0) + rng.normal(0, 0.1, (2 * n, 2))
    obs = pd.DataFrame({"time": [0.0] * n + [1.0] * 2 * n})
    names = np.array([f"clone {k}" for k in range(n)], dtype=object)
    obs["clone"] = np.concatenate([names, np.repeat(names, 2)])
    obs.loc[obs.sample(20, random_state=seed).index, "clone"] = None
    obs["arm"] = np.where(np.concatenate([is_up, np.repeat(is_up, 2)]), "up", "down")
    adata = ad.AnnData(np.concatenate([early, late]).astype("float32"), obs=obs.rename(index=str))
    ct.tl.couplings(adata, progress=False)
    ct.tl.fates(adata, groupby="arm")
    return adata


@pytest.fixture(scope="module")
def calibrated():
    adata = clonal()
    ct.tl.calibrate(adata, unit_key="clone", confidence=0.9)
    return adata


def test_fates_are_written_beside_those_they_came_from(calibrated):
    mean, low, high = (
        ct.get.fates(calibrated, key="ct_fates_calibrated", end=end)
        for end in ("mean", "lower", "upper")
    )
    early = (calibrated.obs["time"] == 0).to_numpy()
    assert mean.columns.tolist() == ["down", "up"]
    assert mean[early].notna().all(None)
    assert mean[~early].isna().all(None)
    np.testing.assert_allclose(mean[early].sum(1), 1, rtol=1e-6)
    assert (low[early] <= mean[early]).all(None)
    assert (mean[early] <= high[early]).all(None)
    scores = ct.get.calibration(calibrated).set_index("fate")
    assert scores["coverage_before"].isna().all()
    # 47 clones kept aside: the standard error of a coverage of .9 is .044
    assert (scores["coverage"] >= 0.9 - 2 * 0.044).all()
    assert (scores["error"] < scores["error_constant"]).all()


def test_the_truth_may_be_given(calibrated):
    adata = calibrated.copy()
    late = adata.obs[adata.obs["time"] == 1].dropna(subset="clone")
    shares = (late["arm"] == "up").groupby(late["clone"]).mean()
    adata.obs["seen"] = adata.obs["clone"].map(shares)
    ct.tl.calibrate(
        adata, unit_key="clone", truth={"up": "seen"}, confidence=0.9, key_added="given"
    )
    table = ct.get.fates(adata, key="given")
    assert table.columns.tolist() == ["up"]
    both = ct.get.fates(calibrated, key="ct_fates_calibrated")
    early = (adata.obs["time"] == 0).to_numpy()
    # pools of shares that are equal up to single precision may end elsewhere
    np.testing.assert_allclose(table["up"][early], both["up"][early], atol=5e-3)


def test_intervals_over_couplings_are_judged_beside():
    adata = clonal()
    ct.tl.couplings(adata, ct.models.Brownian(0.5), key_added="other", progress=False)
    ct.tl.fates(adata, groupby="arm", key=["couplings", "other"], progress=False)
    ct.tl.calibrate(adata, unit_key="clone", confidence=0.9)
    scores = ct.get.calibration(adata)
    assert (scores["coverage_before"] < 0.5).all()
    assert (scores["coverage"] > 0.8).all()


def test_neither_order_nor_a_file_matters(calibrated, tmp_path):
    turned = calibrated[np.random.default_rng(0).permutation(calibrated.n_obs)].copy()
    turned.write_h5ad(tmp_path / "a.h5ad")
    again = ad.read_h5ad(tmp_path / "a.h5ad")
    for curve in (False, True):
        pd.testing.assert_frame_equal(
            ct.get.calibration(again, curve=curve), ct.get.calibration(calibrated, curve=curve)
        )
    ct.tl.calibrate(again, unit_key="clone", confidence=0.9)
    pd.testing.assert_frame_equal(
        ct.get.calibration(again), ct.get.calibration(calibrated), check_exact=False
    )
    ax = ct.pl.calibration(again, show=False)
    assert ax.get_xlabel() == "predicted share of down"
    ax.figure.canvas.draw()


def test_drivers_read_calibrated_fates(calibrated):
    adata = calibrated.copy()
    ct.tl.drivers(adata, key="ct_fates_calibrated", progress=False)
    assert set(ct.get.drivers(adata)["fate"]) == {"down", "up"}


def test_what_cannot_be_calibrated_is_refused(calibrated):
    adata = calibrated.copy()
    with pytest.raises(KeyError, match="columns found"):
        ct.tl.calibrate(adata, unit_key="donor")
    adata.obs["donor"] = [f"donor {k % 8}" for k in range(adata.n_obs)]
    with pytest.raises(
        ValueError, match=r"units of 'donor' for the width.*least honest error rate"
    ):
        ct.tl.calibrate(adata, unit_key="donor", confidence=0.9)
    with pytest.raises(ValueError, match=r"truth= names \['left'\]"):
        ct.tl.calibrate(adata, unit_key="clone", truth={"left": "time"})
    adata.obs["shares"] = 2.0
    with pytest.raises(ValueError, match="between 0 and 1"):
        ct.tl.calibrate(adata, unit_key="clone", truth={"up": "shares"})
    with pytest.raises(ValueError, match="names no fate"):
        ct.tl.calibrate(adata, unit_key="clone", truth={})
    adata.obs["nowhere"] = np.nan
    with pytest.raises(ValueError, match="whose fate was seen"):
        ct.tl.calibrate(adata, unit_key="nowhere")
    with pytest.raises(ValueError, match="no fate 'left'"):
        ct.pl.calibration(adata, fate="left", show=False)
    adata.obs["chance"] = np.random.default_rng(0).uniform(size=adata.n_obs)
    with pytest.warns(ct.DataWarning, match="a constant does as well"):
        ct.tl.calibrate(adata, unit_key="clone", truth={"up": "chance"}, key_added="b")
