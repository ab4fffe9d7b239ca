"""Growth from clones: rates beside the truth, what is written, and what is refused."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch

import celltraj as ct
from celltraj._errors import DataWarning
from celltraj.models.clonal.growth import KinCounts, clonal_growth, gains, slopes

SILENT = {"use_rep": "X", "progress": False}
SEEN = 0.4  # share of the cells that each sampling takes


def kin(rates, *, sizes=(6.0, 6.0), n_clones=60, seed=0):
    """Return cells of two states far apart at one time, and how many kin each clone has later.

    Clones have a geometric number of cells, a share of which is taken; of those that are left each
    leaves a Poisson number, ``exp(rate)`` on average.
    """
    rng = np.random.default_rng(seed)
    state = np.repeat([0, 1], n_clones)
    whole = rng.geometric(1 / np.asarray(sizes)[state])
    early = rng.binomial(whole, SEEN)
    late = rng.poisson((whole - early) * SEEN * np.exp(np.asarray(rates)[state]))
    return state, early, late


def counts_of(rates, **options):
    """Return the counts of a gap, and the state of each of its cells."""
    state, early, late = kin(rates, **options)
    seen = early > 0
    clone = np.repeat(np.arange(seen.sum()), early[seen])
    at = state[seen][clone]
    x = np.random.default_rng(1).normal(size=(len(clone), 2)) + 10 * at[:, None]
    parts = torch.from_numpy(x), torch.from_numpy(clone), torch.from_numpy(late[seen]).double()
    return KinCounts((0.0, 1.0), *parts, is_ancestor=False), at


def tissue(rates=(0.0, 1.2), *, share=1.0, unit=1.0, seed=0, **options):
    """Return cells of two times, of whose clones a share is known."""
    state, early, late = kin(rates, seed=seed, **options)
    rng = np.random.default_rng(seed)
    clone = np.concatenate([np.repeat(np.arange(len(state)), n) for n in (early, late)])
    time = np.repeat([0.0, 2.0 * unit], [early.sum(), late.sum()])
    x = rng.normal(size=(len(clone), 2)) + 10 * state[clone][:, None]
    obs = pd.DataFrame({"time": time, "side": np.where(state[clone], "fast", "slow")})
    obs["clone"] = [f"clone {c}" if c % 10 < 10 * share else None for c in clone]
    return ad.AnnData(x.astype(np.float32), obs=obs.rename(index="c{}".format))


def difference(values, is_fast):
    return float(values[is_fast].mean() - values[~is_fast].mean())


@pytest.fixture(scope="module")
def grown():
    adata = tissue(share=0.7)
    ct.tl.clone_growth(adata, clone_key="clone", **SILENT)
    return adata


def found_in(rates, seeds, **options):
    """Return strengths and differences of growth between the states, one for each seed."""
    strengths, differences = [], []
    for seed in seeds:
        counts, at = counts_of(rates, seed=seed, **options)
        one = clonal_growth(counts, generator=torch.Generator().manual_seed(seed))
        strengths.append(one.strength)
        differences.append(difference(one(counts.x).numpy(), at == 1))
    return np.array(strengths), np.array(differences)


def test_the_difference_of_two_rates_is_found():
    _, found = found_in((0.0, 1.2), range(6))
    # of n clones of mean size m, a state's log rate has a variance of about 2 / n: their sizes are
    # geometric, and kin Poisson; a clone of ratio 1 beside tens of them takes off some percent
    error = np.sqrt(2 * 2 / 60)
    assert abs(found.mean() - 1.2) < 3 * error / np.sqrt(6)
    assert found.std(ddof=1) < 2 * error


@pytest.mark.slow
@pytest.mark.parametrize("sizes", [(6.0, 6.0), (3.0, 9.0)])
def test_equal_growth_is_told_apart_from_none(sizes):
    strengths, _ = found_in((0.3, 0.3), range(40), sizes=sizes)
    assert (strengths > 0).sum() <= 5  # of a share of .05, more come about once in 70


def test_sizes_of_clones_before_are_not_growth():
    logs = {"cells with a sister": [], "all cells": []}
    for seed in range(100):
        counts, at = counts_of((0.0, 0.0), sizes=(2.0, 9.0), seed=seed)
        shared, is_fast = counts.kin, torch.from_numpy(at == 1)
        exposures = {"cells with a sister": counts.exposure, "all cells": torch.ones_like(shared)}
        for name, exposure in exposures.items():
            logs[name].append(
                [[shared[on].sum(), exposure[on].sum()] for on in (is_fast, ~is_fast)]
            )
    # the ratio of expectations, which is what is unbiased: sums over simulations
    for name, at_zero in (("cells with a sister", True), ("all cells", False)):
        sums = np.array(logs[name])
        log_ratio = np.log(sums.sum(0))
        found = log_ratio[0, 0] - log_ratio[0, 1] - log_ratio[1, 0] + log_ratio[1, 1]
        parts = sums / sums.mean(0)
        influence = parts[:, 0, 0] - parts[:, 0, 1] - parts[:, 1, 0] + parts[:, 1, 1]
        error = influence.std(ddof=1) / np.sqrt(len(sums))
        assert (abs(found) < 3 * error) == at_zero
        assert at_zero or found > 0.3


def test_of_ancestors_all_count_and_the_gain_is_that_of_poisson_numbers():
    rng = np.random.default_rng(0)
    x, n = torch.from_numpy(rng.normal(size=(30, 1))), torch.from_numpy(rng.poisson(3.0, 30))
    counts = KinCounts((0.0, 1.0), x, torch.arange(30), n.double(), is_ancestor=True)
    log_ratio = x[:, 0]
    ratio = np.exp(x[:, 0].numpy())
    ratio /= ratio.mean()
    from_scipy = pytest.importorskip("scipy.stats").poisson
    mean = float(n.double().mean())
    wanted = from_scipy.logpmf(n.numpy(), mean * ratio) - from_scipy.logpmf(n.numpy(), mean)
    np.testing.assert_allclose(gains(counts, log_ratio, 1.0) * mean, wanted, atol=1e-9)
    step = 1e-6
    slope = (gains(counts, log_ratio, step) - gains(counts, log_ratio, -step)) / (2 * step)
    np.testing.assert_allclose(slopes(counts, log_ratio), slope, atol=1e-8)


def test_cells_without_a_barcode_have_the_rate_of_cells_alike(grown):
    is_fast = (grown.obs["side"] == "fast").to_numpy()
    rates = grown.obs["clone_growth"].to_numpy()
    assert np.isfinite(rates).all()
    for time in (0.0, 2.0):
        others = (grown.obs["time"] == time).to_numpy() & grown.obs["clone"].isna().to_numpy()
        assert difference(rates[others], is_fast[others]) == pytest.approx(0.6, abs=3 * 0.15)


def test_couplings_send_more_from_cells_that_multiply(grown):
    adata = grown.copy()
    early = (adata.obs["time"] == 0.0).to_numpy()
    masses = {}
    for name, growth_key in (("plain", None), ("grown", "clone_growth")):
        ct.tl.couplings(
            adata,
            growth=None if growth_key is None else "auto",
            growth_key=growth_key,
            key_added=name,
            **SILENT,
        )
        sent = np.exp(2.0 * growth_of(adata, name)[early])
        is_fast = (adata.obs["side"] == "fast").to_numpy()[early]
        masses[name] = sent[is_fast].mean() / sent[~is_fast].mean()
    assert masses["plain"] == pytest.approx(1.0, abs=1e-3)
    assert masses["grown"] > 2


def growth_of(adata, key):
    ct.tl.growth(adata, key=key, key_added=f"growth_{key}")
    return adata.obs[f"growth_{key}"].to_numpy()


def test_the_order_of_cells_does_not_matter(grown):
    rows = np.random.default_rng(0).permutation(grown.n_obs)
    again = grown[rows].copy()
    del again.uns["celltraj"], again.obs["clone_growth"]
    ct.tl.clone_growth(again, clone_key="clone", **SILENT)
    np.testing.assert_allclose(
        again.obs["clone_growth"], grown.obs["clone_growth"].iloc[rows], rtol=1e-4, atol=1e-5
    )


def test_rates_are_per_unit_of_time(grown):
    hours = tissue(share=0.7, unit=24.0)
    ct.tl.clone_growth(hours, clone_key="clone", **SILENT)
    np.testing.assert_allclose(
        24 * hours.obs["clone_growth"], grown.obs["clone_growth"], rtol=1e-5, atol=1e-6
    )


def test_clonal_cells_have_mean_ratio_one_and_it_comes_back_from_a_file(grown, tmp_path):
    grown.write_h5ad(tmp_path / "a.h5ad")
    again = ad.read_h5ad(tmp_path / "a.h5ad")
    pd.testing.assert_frame_equal(
        ct.get.clone_growth(again), ct.get.clone_growth(grown), check_dtype=False
    )
    row = ct.get.clone_growth(again).iloc[0]
    assert row["strength"] == 1.0
    assert row["z"] > 1.64
    assert row["gain"] > 0
    assert row["words"].startswith("strength 1: numbers of clones left out are foretold")
    early = again.obs[(again.obs["time"] == 0.0) & again.obs["clone"].notna()]
    counted = early[early.groupby("clone", observed=True)["clone"].transform("size") > 1]
    assert np.exp(2.0 * counted["clone_growth"].astype(float)).mean() == pytest.approx(1, abs=1e-5)
    ct.tl.couple_clones(again, clone_key="clone", strength=0.0, growth_key="clone_growth", **SILENT)


def test_equal_growth_is_said_and_is_zero():
    adata = tissue((0.5, 0.5), n_clones=30)
    with pytest.warns(DataWarning, match="clones tell of no growth in some gaps"):
        ct.tl.clone_growth(adata, clone_key="clone", **SILENT)
    assert (adata.obs["clone_growth"] == 0).all()
    assert ct.get.clone_growth(adata)["words"][0].startswith("none: numbers of clones")


def test_what_tells_nothing_is_refused():
    adata, options = tissue(n_clones=20), SILENT | {"clone_key": "clone"}
    with pytest.raises(KeyError, match=r"no clones in adata.obs\['barcode'\]"):
        ct.tl.clone_growth(adata, **options | {"clone_key": "barcode"})
    adata.obs["none"] = None
    with pytest.raises(ValueError, match="no cell has a clone"):
        ct.tl.clone_growth(adata, **options | {"clone_key": "none"})
    adata.obs["lone"] = [f"cell {k}" for k in range(adata.n_obs)]
    with pytest.raises(ValueError, match="with two cells or more at the earlier time of each gap"):
        ct.tl.clone_growth(adata, **options | {"clone_key": "lone"})
    with pytest.raises(ValueError, match="no clone that was seen at time 0 was seen at time 2"):
        ct.tl.clone_growth(adata, is_ancestor=True, **options | {"clone_key": "lone"})
    with pytest.raises(ValueError, match="found 8 at time 0"):
        ct.tl.clone_growth(adata[adata.obs["clone"].isin(told_clones(adata, 8))], **options)
    with pytest.raises(ValueError, match=r"two times or more; .* holds \[0.0\] alone"):
        ct.tl.clone_growth(adata[adata.obs["time"] == 0.0], **options)
    with pytest.raises(KeyError, match="no growth of clones"):
        ct.get.clone_growth(adata)


def told_clones(adata, n):
    """Return some clones with two cells at the first time."""
    sizes = adata.obs[adata.obs["time"] == 0.0]["clone"].value_counts()
    return sizes.index[sizes > 1][:n]
