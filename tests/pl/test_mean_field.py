"""Plots of mean fields draw what the record says, and where the law takes cells."""

import anndata as ad
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import celltraj as ct

CENTRES = {"a/b": (-3.0, 0.0), "c": (0.0, 2.0), "d": (2.0, -2.0)}
KAPPA = 0.7


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """Return populations that gather, read from a file, and the law fitted to them."""
    rng, times = np.random.default_rng(0), (0.0, 2.0)
    rows = [(name, f"day {t:g}") for name in CENTRES for t in times for _ in range(40)]
    states = [
        centre + np.exp(-KAPPA * t) * rng.normal(size=(40, 2))
        for centre in CENTRES.values()
        for t in times
    ]
    obs = pd.DataFrame(rows, columns=["dish", "day"], index=[f"c{k}" for k in range(len(rows))])
    adata = ad.AnnData(np.concatenate(states).astype("float32"), obs=obs)
    given = {"population_key": "dish", "time_key": "day", "growth": None, "training": None}
    found = ct.tl.fit_mean_field(adata, **given, progress=False)
    file = tmp_path_factory.mktemp("mean_field") / "a.h5ad"
    adata.write_h5ad(file)
    return ad.read_h5ad(file), found


def test_strengths_are_those_of_the_record(fitted):
    adata, found = fitted
    ax = ct.pl.mean_field(adata, show=False)
    tried = ct.get.mean_field(adata, candidates=True)
    means, each = (np.asarray(one.get_offsets()) for one in ax.collections)
    np.testing.assert_allclose(means[:, 1], tried["unexplained"])
    np.testing.assert_allclose(each[:, 1], sorted(one.unexplained for one in found.seen))
    assert [one.get_text() for one in ax.get_xticklabels()] == [f"{x:g}" for x in tried["own"]]
    is_black = ~ax.collections[0].get_facecolors()[:, :3].any(1)
    assert tried["own"][is_black].tolist() == [found.own]
    plt.close()


def test_cells_are_drawn_where_they_are_and_where_the_law_takes_them(fitted):
    """Cells gather about the mean of their dish: 40 of them tell a spread to a tenth."""
    adata, found = fitted
    panels = ct.pl.mean_field(adata, found, show=False)
    assert [panel.get_title().split("\n")[0] for panel in panels] == list(CENTRES)
    for panel, name in zip(panels, CENTRES, strict=True):
        first, last, moved = (np.asarray(one.get_offsets()) for one in panel.collections)
        for drawn, day in ((first, "day 0"), (last, "day 2")):
            own = (adata.obs["dish"] == name) & (adata.obs["day"] == day)
            np.testing.assert_allclose(drawn, adata.X[own.to_numpy()])
        assert moved.std(0).mean() < 0.5 * first.std(0).mean()  # exp(-1.4) is a quarter
        assert np.abs(moved.mean(0) - last.mean(0)).max() < 0.5
        assert "day 0 to 2" in panel.get_title()
    plt.close()


def test_populations_are_chosen_by_name(fitted):
    _, ax = plt.subplots()
    assert ct.pl.mean_field(*fitted, groups="a/b", ax=ax, show=False) is ax
    assert ax.get_title().startswith("a/b\n")
    with pytest.raises(ValueError, match="ax= holds one population; pass groups="):
        ct.pl.mean_field(*fitted, ax=ax)
    plt.close()


def test_what_it_cannot_draw_is_said(fitted):
    adata, found = fitted
    with pytest.raises(ValueError, match=r"counts has no groups; populations have"):
        ct.pl.mean_field(adata, groups="c")
    with pytest.raises(ValueError, match=r"components \(0, 7\) must lie between 0 and 1"):
        ct.pl.mean_field(adata, found, components=(0, 7))
    with pytest.raises(ValueError, match=r"does not have, \['d'\]; pass the model and the adata"):
        ct.pl.mean_field(adata[adata.obs["dish"] != "d"].copy(), found)
