"""Plots of arms draw what the record says, from a file too."""

import anndata as ad
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import celltraj as ct

SPEEDS = {"a": (1.0, 0.0), "b/c": (0.0, 2.0)}


@pytest.fixture(scope="module")
def adata(tmp_path_factory):
    """Return cells that each condition shifts in its own direction, read from a file."""
    rng = np.random.default_rng(0)
    rows, states = [], []
    for name, speed in SPEEDS.items():
        for t in (0.0, 1.0, 2.0):
            states.append(rng.normal(size=(15, 2)) + t * np.array(speed))
            rows += [(name, t)] * 15
    obs = pd.DataFrame(rows, columns=["drug", "day"], index=[f"c{k}" for k in range(len(rows))])
    adata = ad.AnnData(np.concatenate(states).astype("float32"), obs=obs)
    given = {"condition_key": "drug", "time_key": "day", "growth": None, "training": None}
    ct.tl.fit_arms(adata, **given, sigma=0.1, progress=False)
    file = tmp_path_factory.mktemp("arms") / "a.h5ad"
    adata.write_h5ad(file)
    return ad.read_h5ad(file)


def test_misses_are_those_of_the_record(adata):
    ax = ct.pl.arms(adata, show=False)
    tried, gaps = ct.get.arms(adata, candidates=True), ct.get.arms(adata)["miss"].dropna()
    means, own = (np.asarray(one.get_offsets()) for one in ax.collections)
    np.testing.assert_allclose(means[:, 1], tried["miss"])
    np.testing.assert_allclose(own[:, 1], np.sort(gaps))
    assert [one.get_text() for one in ax.get_xticklabels()] == [f"{x:g}" for x in tried["own"]]
    chosen = adata.uns["celltraj"]["arms"]["params"]["own"]
    is_black = ~ax.collections[0].get_facecolors()[:, :3].any(1)
    assert tried["own"][is_black].tolist() == [chosen]
    plt.close()


def test_each_condition_is_drawn_with_its_drift(adata):
    adata = adata.copy()
    for name, speed in SPEEDS.items():
        adata.obsm["arms_velocity"][adata.obs["drug"] == name] = speed
    panels = ct.pl.arms(adata, kind="embedding", show=False)
    assert [panel.get_title() for panel in panels] == list(SPEEDS)
    for panel, (name, speed) in zip(panels, SPEEDS.items(), strict=True):
        others, own, arrows = panel.collections
        is_own = (adata.obs["drug"] == name).to_numpy()
        np.testing.assert_allclose(own.get_offsets(), adata.X[is_own])
        np.testing.assert_allclose(others.get_offsets(), adata.X[~is_own])
        shown = ~np.asarray(arrows.Umask)
        drift = np.column_stack([np.ravel(arrows.U), np.ravel(arrows.V)])[np.ravel(shown)]
        assert len(drift) > 20
        np.testing.assert_allclose(drift, np.tile(speed, (len(drift), 1)), atol=1e-6)
    assert panels[0].collections[2].scale == panels[1].collections[2].scale
    plt.close()


def test_conditions_are_chosen_by_name(adata):
    _, ax = plt.subplots()
    given = {"kind": "embedding", "show": False}
    assert ct.pl.arms(adata, **given, groups="b/c", ax=ax) is ax
    assert ax.get_title() == "b/c"
    with pytest.raises(ValueError, match="ax= holds one condition; pass groups="):
        ct.pl.arms(adata, **given, ax=ax)
    plt.close()


def test_what_it_cannot_draw_is_said(adata):
    with pytest.raises(ValueError, match=r"kind must be one of \('misses', 'embedding'\)"):
        ct.pl.arms(adata, kind="laws")
    with pytest.raises(ValueError, match="kind='misses' has no cmap, groups; kind='embedding' has"):
        ct.pl.arms(adata, cmap="magma", groups="a")
    with pytest.raises(ValueError, match=r"components \(0, 7\) must lie between 0 and 1"):
        ct.pl.arms(adata, kind="embedding", components=(0, 7))
    alone = adata[(adata.obs["day"] == 0) | ((adata.obs["drug"] == "a") & (adata.obs["day"] == 1))]
    alone = alone.copy()
    del alone.uns["celltraj"], alone.obsm["arms_velocity"]
    given = {"condition_key": "drug", "time_key": "day", "growth": None, "training": None}
    with pytest.warns(ct.FitWarning, match="seen at one time"):
        ct.tl.fit_arms(alone, **given, progress=False)
    with pytest.raises(ValueError, match="one gap of one condition tells no miss"):
        ct.pl.arms(alone)
