"""The test of a law on clones in AnnData: what is written, read and drawn, and what is refused."""

import math

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch

import celltraj as ct
from celltraj.models import OrnsteinUhlenbeck


def law(pull):
    return OrnsteinUhlenbeck(matrix=-pull * torch.eye(2), shift=torch.zeros(2), sigma=1.0)


@pytest.fixture(scope="module")
def tested():
    """Return 300 clones at three times, two sisters at each, and tests of two laws."""
    rng = np.random.default_rng(0)
    n, x = 300, rng.normal((3, 0), 0.7, (300, 2))
    states = []
    for _ in range(3):
        sisters = np.repeat(x, 2, axis=0) + 0.2 * rng.normal(size=(2 * n, 2))
        states.append(sisters)
        spread = math.sqrt((1 - math.exp(-1)) / 2)
        x = math.exp(-0.5) * x + spread * rng.normal(size=x.shape)
    obs = pd.DataFrame({"time": np.repeat([f"day {k}" for k in (0, 0.5, 1)], 2 * n)})
    obs["clone"] = np.tile(np.repeat([f"clone {k}" for k in range(n)], 2), 3)
    obs.loc[::7, "clone"] = None
    adata = ad.AnnData(np.concatenate(states).astype("float32"), obs=obs.rename(index=str))
    models = {"true": law(1.0), "weak": law(0.8)}
    ct.tl.martingale_test(adata, models, clone_key="clone", progress=False)
    return adata


def test_the_true_law_passes_and_a_weak_one_does_not(tested):
    p = ct.get.martingale_test(tested).pivot(index="t0", columns="model", values="p")
    assert (p["true"] > 0.01).all()
    assert p["weak"].loc[0] < 0.01  # later, cells are near where both laws lead
    moments = ct.get.martingale_test(tested, moments=True)
    residual = moments[(moments["model"] == "weak") & (moments["function"] == "constant")]
    # days 0 to .5, from 3: exp(-.5) - exp(-.4) = -.064 of 3; standard error .66 / sqrt(300)
    first = residual[(residual["t0"] == 0) & (residual["variable"] == "0")]["residual"]
    assert float(first.iloc[0]) == pytest.approx(-0.19, abs=3 * 0.04)


def test_it_comes_back_from_a_file_is_drawn_and_knows_no_order(tested, tmp_path):
    turned = tested[np.random.default_rng(0).permutation(tested.n_obs)].copy()
    turned.write_h5ad(tmp_path / "a.h5ad")
    again = ad.read_h5ad(tmp_path / "a.h5ad")
    for moments in (False, True):
        pd.testing.assert_frame_equal(
            ct.get.martingale_test(again, moments=moments),
            ct.get.martingale_test(tested, moments=moments),
        )
    ax = ct.pl.martingale_test(again, law="weak", show=False)
    assert ax.get_title().startswith("weak: p 0.0005 (0 to 0.5)")
    ax.figure.canvas.draw()


def test_what_tells_nothing_is_refused(tested):
    adata = tested.copy()
    with pytest.raises(KeyError, match=r"no clones in adata.obs\['barcode'\]"):
        ct.tl.martingale_test(adata, law(1.0), clone_key="barcode", progress=False)
    adata.obs["lone"] = [f"cell {k}" for k in range(adata.n_obs)]
    with pytest.raises(ValueError, match="seen at two times that follow each other"):
        ct.tl.martingale_test(adata, law(1.0), clone_key="lone", progress=False)
    few = adata[adata.obs["clone"].isin([f"clone {k}" for k in range(6)])].copy()
    with pytest.raises(ValueError, match="6 clones were seen"):
        ct.tl.martingale_test(few, law(1.0), clone_key="clone", progress=False)
    late = ~((adata.obs["time"] == "day 1") & ~adata.obs["clone"].isin(["clone 1", "clone 2"]))
    with pytest.warns(ct.DataWarning, match=r"0.5 to 1.*left out"):
        ct.tl.martingale_test(adata[late].copy(), law(1.0), clone_key="clone", progress=False)
    with pytest.raises(ValueError, match="holds no law"):
        ct.tl.martingale_test(adata, {}, clone_key="clone", progress=False)
    with pytest.raises(ValueError, match="no law 'other'"):
        ct.pl.martingale_test(adata, law="other", show=False)
