"""Samples and batches from AnnData: what is written, read and drawn, and what cannot be told."""

import anndata as ad
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import celltraj as ct


def study(*, spread, n=24, n_samples=4, batch=None, seed=0):
    """Return three times that lie two apart, of samples that scatter by ``spread``."""
    rng = np.random.default_rng(seed)
    rows, x = [], []
    for t in (0, 1, 2):
        for k in range(n_samples):
            own = (batch or "run 1") if not callable(batch) else batch(t, k)
            rows += [(f"day {t}", f"m{t}.{k}", own)] * n
            centre = np.array([2.0 * t, 0.0]) + rng.normal(0, spread, 2)
            x.append(centre + rng.normal(0, 1, (n, 2)))
    obs = pd.DataFrame(rows, columns=["time", "mouse", "run"])
    obs.index = [f"c{k}" for k in range(len(obs))]
    return ad.AnnData(np.concatenate(x).astype("float32"), obs=obs)


def notes(adata):
    return " | ".join(ct.get.sample_report(adata, part="notes")["note"])


report = {"sample_key": "mouse", "progress": False}


def test_samples_that_scatter_are_told_from_those_that_do_not():
    same, apart = study(spread=0.0), study(spread=1.0)
    for adata in (same, apart):
        ct.tl.sample_report(adata, **report)
    table = ct.get.sample_report(apart)
    assert (table["p"] <= 0.05).all()
    assert table["verdict"].str.contains("intervals must be by sample").all()
    # means of 24 cells scatter by .2, those of mice by 1: (1 + .04) / .04 = 26 in squares; of 3
    # times 2 variables 3 degrees of freedom each, the mean square is within a factor of 2.5
    assert 26 / 2.5 < (table["inflation"] ** 2).mean() < 26 * 2.5
    table = ct.get.sample_report(same)
    ratio = table["W1_between"] / table["W1_within"]
    assert ratio.between(0.7, 1.4).all()
    assert (table["p"] > 0.01).all()


def test_a_batch_of_one_time_each_cannot_be_corrected():
    adata = study(spread=0.3, batch=lambda t, k: f"run {t}")
    ct.tl.sample_report(adata, batch_key="run", **report)
    assert "no method corrects it" in notes(adata)
    assert (ct.get.sample_report(adata, part="gaps")["told"] == "confounded").all()
    with pytest.raises(ValueError, match="no time was seen in two batches"):
        ct.get.sample_report(adata, part="shifts")


def test_a_shift_is_seen_where_a_time_is_in_two_batches():
    adata = study(spread=0.0, n=60, batch=lambda t, k: "ab"[k % 2] if t == 1 else "ab"[t // 2])
    adata.X[(adata.obs["run"] == "b").to_numpy()] += np.float32(1.0)
    ct.tl.sample_report(adata, batch_key="run", **report)
    (shift,) = ct.get.sample_report(adata, part="shifts").itertuples()
    assert shift.time == 1.0
    assert shift.excess > 3 * shift.of_samples
    gaps = ct.get.sample_report(adata, part="gaps")
    assert (gaps["told"] == "within batches").all()
    # within batches cells move by two; across them by three from the first time to the last
    assert gaps["W1"].to_numpy() == pytest.approx(2, abs=0.6)
    assert "batches are" in notes(adata)
    assert ct.get.sample_report(adata, part="batches")["n_cells"].sum() == adata.n_obs


def test_what_is_odd_is_said_in_the_notes():
    adata = study(spread=0.3, batch=lambda t, k: "ab"[k % 2])
    mouse = adata.obs["mouse"].to_numpy(copy=True)
    mouse[0] = "loner"  # of one cell
    mouse[1:3] = None
    mouse[30] = "m0.0"  # is now in both batches
    adata.obs["mouse"] = mouse
    ct.tl.sample_report(adata, batch_key="run", **report)
    text = notes(adata)
    assert "2 of 288 cells have nothing in adata.obs['mouse']" in text
    assert "samples of fewer than 10 cells, left out there: 'loner' at 0 (1)" in text
    assert "samples in several batches at one time: 'm0.0'" in text
    once = study(spread=0.3, n_samples=1)
    ct.tl.sample_report(once, **report)
    assert ct.get.sample_report(once)["verdict"].str.startswith("one sample").all()


def test_it_comes_back_from_a_file_is_drawn_and_repeats(tmp_path):
    adata = study(spread=0.3, batch=lambda t, k: "ab"[k % 2])
    adata.uns["time_unit"] = "day"
    ct.tl.sample_report(adata, batch_key="run", **report)
    again = ct.tl.sample_report(adata, batch_key="run", copy=True, **report)
    adata.write_h5ad(tmp_path / "a.h5ad")
    back = ad.read_h5ad(tmp_path / "a.h5ad")
    for part in ("table", "gaps", "shifts", "batches", "notes"):
        one = ct.get.sample_report(adata, part=part)
        pd.testing.assert_frame_equal(ct.get.sample_report(back, part=part), one)
        pd.testing.assert_frame_equal(ct.get.sample_report(again, part=part), one)
    ax = ct.pl.sample_report(back, metric="energy", show=False)
    assert ax.get_xlabel() == "time (day)"
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == [
        *("between samples", "within samples", "from time to time", "between batches"),
    ]
    plt.close("all")


def test_the_order_of_cells_plays_no_part_in_what_is_counted():
    adata = study(spread=0.5)
    turned = adata[np.random.default_rng(0).permutation(adata.n_obs)].copy()
    for one in (adata, turned):
        ct.tl.sample_report(one, **report)
    one, two = ct.get.sample_report(adata), ct.get.sample_report(turned)
    for name in ("time", "n_samples", "n_cells", "n_smallest", "n_side"):
        assert one[name].tolist() == two[name].tolist()
    assert two["inflation"].to_numpy() == pytest.approx(one["inflation"].to_numpy())


def test_what_cannot_be_reported_is_refused():
    adata = study(spread=0.3)
    with pytest.raises(KeyError, match=r"no samples in adata\.obs"):
        ct.tl.sample_report(adata, sample_key="donor")
    with pytest.raises(KeyError, match=r"no batches in adata\.obs"):
        ct.tl.sample_report(adata, batch_key="plate", **report)
    with pytest.raises(ValueError, match="max_cells must be at least 2"):
        ct.tl.sample_report(adata, max_cells=1, **report)
    adata.obs["cell"] = adata.obs_names
    with pytest.raises(ValueError, match="samples of many cells each are needed"):
        ct.tl.sample_report(adata, sample_key="cell")
    adata.obs["empty"] = np.nan
    with pytest.raises(ValueError, match="missing for all cells"):
        ct.tl.sample_report(adata, sample_key="empty")
    ct.tl.sample_report(adata, **report)
    with pytest.raises(KeyError, match=r"tells nothing of batches.*batch_key="):
        ct.get.sample_report(adata, part="shifts")
