"""Colours of groups, the representation that is drawn, and figures that errors leave."""

from pathlib import Path

import anndata as ad
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from heard import ours

import celltraj as ct
from celltraj.pl._cells import check_components, default_basis
from celltraj.pl._colors import palette_of, shades_of

NAMES = ["a", "b", "c"]
THREE = ["red", "#00ff00", "blue"]


@pytest.fixture
def adata():
    rng = np.random.default_rng(0)
    kind = pd.Categorical(np.tile(NAMES, 20))
    obs = pd.DataFrame({"time": np.repeat([0.0, 1.0], 30), "kind": kind}).rename(index=str)
    return ad.AnnData(rng.normal(size=(60, 2)).astype("float32"), obs=obs)


@pytest.mark.parametrize(
    "given",
    [
        THREE,
        tuple(THREE),
        np.array(THREE),
        np.array(THREE, dtype=object),
        pd.Series(THREE),
        pd.Categorical(THREE),
        dict(zip(NAMES, THREE, strict=True)),
        {"c": "blue", "b": "#00ff00", "other": "black", "a": "red"},
        pd.Series({"c": "blue", "b": "#00ff00", "a": "red"}),
        [(1, 0, 0), (0, 1, 0), (0, 0, 1)],
        np.array([[1, 0, 0, 1.0], [0, 1, 0, 1.0], [0, 0, 1, 1.0]]),
    ],
)
def test_the_users_colours_in_any_form(adata, given):
    adata.uns["kind_colors"] = given
    found = palette_of(adata, "kind")
    assert list(found) == NAMES
    assert [mpl.colors.to_rgb(c) for c in found.values()] == [mpl.colors.to_rgb(c) for c in THREE]


def test_colours_by_name_survive_a_file(adata, tmp_path):
    adata.uns["kind_colors"] = dict(zip(NAMES, THREE, strict=True))
    adata.write_h5ad(tmp_path / "cells.h5ad")
    again = ad.read_h5ad(tmp_path / "cells.h5ad")
    assert list(palette_of(again, "kind").values()) == THREE


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([0, 1, 2], "holds 0, which is no colour"),
        (np.array([0, 1, 2]), "no colour"),
        (["reddish", "green", "blue"], "'reddish', which is no colour"),
        ([(255, 0, 0), (0, 255, 0), (0, 0, 255)], "0 to 1"),
        ([np.nan, "green", "blue"], "nan, which is no colour"),
        ([["red"], ["green"], ["blue"]], "no colour"),
        ([b"red", b"green", b"blue"], "no colour"),
        ("viridis", "must be a list of colours"),
        (3, "must be a list of colours"),
        ({"red", "green", "blue"}, "must be a list of colours"),
        (pd.DataFrame({"x": THREE}), "must be a list|no colour"),
        ({"a": "red"}, r"no colour for \['b', 'c'\]"),
    ],
)
def test_what_are_no_colours_is_refused_before_drawing(adata, given, message):
    adata.uns["kind_colors"] = given
    _, ax = plt.subplots()
    known = plt.get_fignums()
    with pytest.raises(ValueError, match=message) as error:
        ct.pl.snapshots(adata, color="kind", ax=ax, show=False)
    assert "adata.uns['kind_colors']" in str(error.value)
    assert not ax.collections
    assert plt.get_fignums() == known


def test_another_number_of_colours_is_said(adata):
    cycle = mpl.rcParams["axes.prop_cycle"].by_key()["color"]
    adata.uns["kind_colors"] = THREE[:2]
    with pytest.warns(ct.DataWarning, match="has 2 colours for 3 categories: those that scanpy"):
        panels = ct.pl.snapshots(adata, color="kind", show=False)
    drawn = panels[0].collections[1].get_facecolors()[:3]
    np.testing.assert_allclose(drawn, [mpl.colors.to_rgba(c) for c in cycle[:3]])
    adata.uns["kind_colors"] = [*THREE, "black"]
    with pytest.warns(ct.DataWarning, match="4 colours for 3 categories: the first") as heard:
        assert list(palette_of(adata, "kind").values()) == THREE
    assert ours(heard)[0].filename == __file__
    # what is left of a column that is gone belongs to nobody
    del adata.obs["kind"]
    assert list(shades_of(adata, "kind", NAMES).values()) == cycle[:3]


def test_a_picture_of_the_cells_comes_before_two_genes(adata):
    assert default_basis(adata, None) == "X"
    for key in ("X_pca", "X_draw_graph_fa", "X_phate", "X_tsne", "X_umap"):
        adata.obsm[key] = np.asarray(adata.X) + 1
        assert default_basis(adata, None) == key
    assert default_basis(adata, "X") == "X"
    assert ct.pl.snapshots(adata, show=False)[0].get_xlabel() == "UMAP1"
    # a law of motion has no picture but its own representation
    assert default_basis(adata, None, lives_in=object()) == "X_pca"


def test_simulated_cells_are_drawn_where_they_were_simulated():
    adata = ct.datasets.branching(n_cells=30, seed=0)
    for key in ("X_mine", "X_umap"):
        adata.obsm[key] = np.asarray(adata.X) + 1
    bridge = ct.tl.fit_bridge(adata, training=None, use_rep="X_mine", progress=False)
    path = ct.tl.simulate(
        adata, bridge, start=0.0, stop=1.0, n_cells=5, use_rep="X_mine", progress=False
    )
    assert ct.pl.trajectories(adata, path, show=False).get_xlabel() == "mine1"
    assert ct.pl.marginals(adata, path, show=False)[0, 0].get_ylabel().startswith("mine1\n")


@pytest.mark.parametrize("components", [(0,), (), "01", 0, (0, 1, 1), (0.0, 1.0), None])
def test_a_plane_has_two_components(adata, components):
    with pytest.raises(TypeError, match="components must be a tuple of 2, an integer"):
        ct.pl.snapshots(adata, components=components, show=False)


def test_rows_of_components_may_be_any_number():
    check_components((0,), 2, "X")
    with pytest.raises(ValueError, match="between 0 and 1"):
        check_components((0, 2), 2, "X")


def test_an_error_leaves_no_figure_and_keeps_those_of_the_user(adata, monkeypatch):
    mine = plt.figure()

    def full(*args, **kwargs):
        raise OSError("no space left")

    monkeypatch.setattr(mpl.figure.Figure, "savefig", full)
    with pytest.raises(OSError, match="no space"):
        ct.pl.snapshots(adata, show=False, save=Path("anywhere.png"))
    assert plt.get_fignums() == [mine.number]
    with pytest.raises(ValueError, match="a path given as text"):
        ct.pl.snapshots(adata, show=False, save="a/b.png")


@pytest.mark.parametrize("name", ct.pl.__all__)
def test_every_plot_is_tidy(name):
    assert hasattr(getattr(ct.pl, name), "__wrapped__")
