"""Plots of slices draw them where they were registered, from a file too."""

import anndata as ad
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from scipy.spatial.distance import pdist

import celltraj as ct
from celltraj._anndata.slices import read_slices
from celltraj._anndata.slices_in_place import registered_between, registered_moves


@pytest.fixture(scope="module")
def adata(tmp_path_factory):
    """Return registered slices, read from a file."""
    adata = ct.datasets.growing_tissue(n_cells=120, seed=1)
    adata.uns["time_unit"] = "day"
    ct.tl.couple_space(adata, progress=False)
    file = tmp_path_factory.mktemp("slices") / "a.h5ad"
    adata.write_h5ad(file)
    return ad.read_h5ad(file)


@pytest.fixture(scope="module")
def half(adata):
    return ct.tl.interpolate_slice(adata, at=0.5, n_cells=60)


def test_each_slice_lies_in_the_frame_of_the_last(adata):
    panels = ct.pl.slices(adata, color="domain", show=False)
    assert [panel.get_title().split("\n")[0] for panel in panels] == [
        "time (day) 0",
        "time (day) 1",
        "time (day) 2",
    ]
    last = adata.obs["time"] == 2
    for t, panel in enumerate(panels):
        drawn = np.asarray(panel.collections[-1].get_offsets())
        own = adata.obsm["couplings_registered"][adata.obs["time"] == t]
        np.testing.assert_allclose(drawn, own)
        assert panel.get_aspect() == 1
    np.testing.assert_allclose(drawn, adata.obsm["spatial"][last])  # the frame of the last one
    behind = np.asarray(panels[1].collections[0].get_offsets())
    np.testing.assert_allclose(behind, drawn)
    assert len(panels[2].collections) == 1
    plt.close()


def test_a_slice_between_is_the_interpolated_one_in_another_frame(adata, half):
    """A similarity scales all distances alike, whatever it turns and moves."""
    panels = ct.pl.slices(adata, between=[half], show=False)
    drawn = np.asarray(panels[1].collections[-1].get_offsets())
    own = pdist(half.obsm["spatial"])
    ratio = pdist(drawn)[own > 0.01] / own[own > 0.01]
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-6)
    first, last = ct.get.registration(adata)["scale"]
    assert ratio[0] == pytest.approx(first**0.5 * last, rel=1e-6)  # half of the first gap is left
    assert panels[1].get_title() == "time (day) 0.5, interpolated\n(60 cells)"
    shades = panels[1].collections[-1].get_facecolors()
    np.testing.assert_allclose(shades, np.tile(mpl.colormaps["viridis"](0.25), (60, 1)))
    plt.close()


@pytest.mark.parametrize(("at", "column", "t"), [(1.0, "target", 1), (1.5, "source", 1)])
def test_cells_between_are_coloured_by_the_nearer_one(adata, at, column, t):
    between = ct.tl.interpolate_slice(adata, at=at, n_cells=20)
    found = registered_between(adata, read_slices(adata, "couplings"), between)
    if at == 1.0:  # of the two gaps that meet there, the one that the slice was drawn from
        column = "source" if (adata[between.obs["source"]].obs["time"] == 1).all() else "target"
    assert adata.obs_names[found.nearer].tolist() == between.obs[column].astype(str).tolist()
    assert set(adata.obs["time"].iloc[found.nearer]) == {t}


def test_arrows_lead_to_the_mean_of_descendants(adata):
    found = read_slices(adata, "couplings")
    moves = registered_moves(adata, found)
    places = adata.obsm["couplings_registered"]
    for t, plan in enumerate(found.tied.lineage.couplings):
        here, there = ((adata.obs["time"] == k).to_numpy() for k in (t, t + 1))
        dense = plan.to_dense().numpy()
        mean = dense / dense.sum(1, keepdims=True) @ places[there]
        np.testing.assert_allclose(moves[here], mean - places[here], atol=1e-9)
    assert np.isnan(moves[there]).all()
    panels = ct.pl.slices(adata, arrows=True, show=False)
    kinds = [[type(one).__name__ for one in panel.collections] for panel in panels]
    assert [names.count("Quiver") for names in kinds] == [1, 1, 0]
    arrows = [panel.collections[-1] for panel in panels[:2]]
    assert arrows[0].scale == arrows[1].scale
    times = 1 / arrows[0].scale
    label = panels[0].get_xlabel()
    assert label == ("spatial1" if times == 1 else f"spatial1, arrows × {times:g}")
    plt.close()


def test_arrows_of_a_tissue_that_moves_as_a_whole_are_short(adata):
    """The second slice is the first one, turned and doubled: descendants are where cells are."""
    first = adata[adata.obs["time"] == 0].copy()
    first.uns, first.obsm = {}, {"spatial": first.obsm["spatial"]}
    later = first.copy()
    later.obs["time"], later.obs_names = 1.0, [f"later {name}" for name in later.obs_names]
    later.X = later.X + 1e-3  # copies deserve a warning
    later.obsm["spatial"] = 2 * later.obsm["spatial"] @ np.array([[0.0, 1.0], [-1.0, 0.0]])
    both = ad.concat([first, later])
    both.obs["time"] = both.obs["time"].astype(float)
    ct.tl.couple_space(both, alpha=0.9, epsilon=0.01, progress=False)
    moves = registered_moves(both, read_slices(both, "couplings"))[: first.n_obs]
    size = later.obsm["spatial"].std()
    assert np.sqrt(np.square(moves).mean()) < 0.05 * size


def test_all_slices_in_one_pair_of_axes_by_a_gene(adata, half):
    _, ax = plt.subplots()
    assert ct.pl.slices(adata, color="gene3", between=half, ax=ax, show=False) is ax
    assert [len(one.get_offsets()) for one in ax.collections] == [
        (adata.obs["time"] == 0).sum(),
        60,
        (adata.obs["time"] == 1).sum(),
        (adata.obs["time"] == 2).sum(),
    ]
    values = adata[adata.obs["time"] == 0, "gene3"].X.ravel()
    scale = mpl.colors.Normalize(adata[:, "gene3"].X.min(), adata[:, "gene3"].X.max())
    np.testing.assert_allclose(
        ax.collections[0].get_facecolors(), mpl.colormaps["viridis"](scale(values)), atol=1e-6
    )
    assert ax.get_title() == ""
    plt.close()


def test_two_of_three_coordinates(adata):
    adata = adata[adata.obs["time"] < 2].copy()
    adata.uns, adata.obsm = {}, {"spatial": adata.obsm["spatial"]}
    height = np.random.default_rng(0).uniform(-0.3, 0.3, adata.n_obs)
    adata.obsm["spatial"] = np.column_stack([adata.obsm["spatial"], height])
    ct.tl.couple_space(adata, progress=False)
    panels = ct.pl.slices(adata, components=(0, 2), arrows=True, show=False)
    drawn = np.asarray(panels[1].collections[-1].get_offsets())
    np.testing.assert_allclose(drawn, adata.obsm["spatial"][adata.obs["time"] == 1][:, [0, 2]])
    assert panels[0].get_ylabel() == "spatial3"
    plt.close()


def test_what_it_cannot_draw_is_said(adata, half):
    with pytest.raises(KeyError, match=r"between holds no interpolated slice; make it with"):
        ct.pl.slices(adata, between=adata)
    other = half.copy()
    other.obs["source"] = "nobody"
    with pytest.raises(ValueError, match="between lies between cells that adata does not have"):
        ct.pl.slices(adata, between=other)
    two = half.copy()
    two.obs["time"] = np.arange(60) / 60
    with pytest.raises(ValueError, match="between must be one slice"):
        ct.pl.slices(adata, between=two)
    with pytest.raises(KeyError, match=r"no adata.obs\['gene99'\]"):
        ct.pl.slices(adata, color="gene99")
    with pytest.raises(ValueError, match="cells are coloured by the gene 'gene3'"):
        ct.pl.slices(adata, color="gene3", groups="north")
    with pytest.raises(ValueError, match="must lie between 0 and 1, the variables of spatial"):
        ct.pl.slices(adata, components=(0, 2))
    plain = adata.copy()
    ct.tl.couplings(plain, key_added="plain", progress=False)
    with pytest.raises(KeyError, match="the couplings 'plain' know no places"):
        ct.pl.slices(plain, key="plain")
    plain.obsm["spatial"] = plain.obsm["spatial"] + plain.obs[["time"]].to_numpy()
    with pytest.raises(ValueError, match="stale"):
        ct.pl.slices(plain)
