"""Streams follow the velocities, where cells are."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest

import celltraj as ct
from celltraj.pl._stream import mean_on_grid


@pytest.fixture
def adata():
    adata = ct.datasets.branching(n_cells=40, seed=0)
    adata.obsm["X_umap"] = adata.X * 10
    adata.obsm["velocity_umap"] = np.tile(np.float32([2, 1]), (adata.n_obs, 1))
    return adata


def streams(ax):
    return next(c for c in ax.collections if isinstance(c, mpl.collections.LineCollection))


def test_lines_follow_a_wind_over_the_cells(adata):
    ax = ct.pl.stream(adata, show=False)
    np.testing.assert_allclose(ax.collections[0].get_offsets(), adata.obsm["X_umap"])
    steps = np.array([s[1] - s[0] for s in streams(ax).get_segments()])
    steps = steps[np.linalg.norm(steps, axis=1) > 1e-9]
    assert len(steps) > 50
    np.testing.assert_allclose(steps[:, 1] / steps[:, 0], 0.5, rtol=1e-3)
    assert ax.get_xlabel() == "UMAP1"


def test_none_is_drawn_far_from_all_cells(adata):
    points = np.concatenate(streams(ct.pl.stream(adata, show=False)).get_segments())
    cells = adata.obsm["X_umap"]
    spacing = 1.04 * np.ptp(cells, axis=0) / 49
    nearest = np.sqrt((((points[:, None] - cells) / spacing) ** 2).sum(-1)).min(1)
    assert nearest.max() < 3.5  # three widths of 0.8 spacings, and into the next field of the grid


def test_the_mean_on_the_grid_is_its_equation():
    rng = np.random.default_rng(0)
    cells, velocity = rng.uniform(0, 1, (300, 2)) * [1, 50], rng.normal(size=(300, 2))
    x, y, mean = mean_on_grid(cells, velocity, 8)
    spacing = np.array([x[1] - x[0], y[1] - y[0]])
    compared = 0
    for i in range(8):
        for j in range(8):
            far = np.linalg.norm((cells - [x[i], y[j]]) / spacing, axis=1)
            w = np.exp(-(far**2) / 2 / 0.8**2) * (far <= 2.4)
            assert mean.mask[j, i].all() == (w.sum() < 1)
            if w.sum() >= 1:
                np.testing.assert_allclose(mean[j, i], w @ velocity / w.sum(), atol=1e-12)
                compared += 1
    assert compared > 20


def test_the_order_of_cells_does_not_matter():
    rng = np.random.default_rng(0)
    cells, velocity = rng.normal(size=(200, 2)), rng.normal(size=(200, 2))
    order = rng.permutation(200)
    one, other = mean_on_grid(cells, velocity, 10), mean_on_grid(cells[order], velocity[order], 10)
    np.testing.assert_array_equal(one[2].mask, other[2].mask)
    np.testing.assert_allclose(one[2].filled(0), other[2].filled(0), atol=1e-12)


def test_a_handful_of_cells_is_drawn_too(adata):
    few = adata[::40].copy()
    assert few.n_obs < 12
    ct.pl.stream(few, show=False)
    assert len(streams(ct.pl.stream(few, n_grid=8, show=False)).get_segments()) > 0


def test_faster_cells_have_wider_lines(adata):
    adata.obsm["velocity_umap"] *= 1 + 9 * (adata.obs["time"].to_numpy() > 2)[:, None]
    lines = streams(ct.pl.stream(adata, show=False))
    widths = np.array(lines.get_linewidths())
    late = np.array([s[0, 0] for s in lines.get_segments()]) > 30
    assert widths[late].mean() > 1.5 * widths[~late].mean()


def test_grammar_of_scanpy(adata, tmp_path):
    _, ax = plt.subplots()
    assert ct.pl.stream(adata, ax=ax, color="arm", show=False) is ax
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["progenitor", "upper", "lower"]
    file = tmp_path / "new" / "s.png"
    figure = ct.pl.stream(adata, save=file, return_fig=True, density=0.5, n_grid=12)
    assert isinstance(figure, mpl.figure.Figure)
    assert file.stat().st_size > 0


def test_times_are_not_needed_for_other_colours(adata):
    del adata.obs["time"]
    ct.pl.stream(adata, color="arm", show=False)
    with pytest.raises(KeyError, match="no times"):
        ct.pl.stream(adata, show=False)


def test_what_tl_velocity_writes_is_drawn():
    adata = ct.datasets.branching(n_cells=30, seed=0)
    adata.obsm["X_umap"] = adata.X.copy()
    ct.tl.velocity(adata, ct.models.Brownian(0.1), basis="umap", progress=False)
    with pytest.raises(ValueError, match="zero wherever cells are"):
        ct.pl.stream(adata, show=False)
    bridge = ct.tl.fit_bridge(adata, training=None, progress=False)
    ct.tl.velocity(adata, bridge, basis="umap", progress=False)
    assert len(streams(ct.pl.stream(adata, show=False)).get_segments()) > 20


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"key": "velocity_no"}, KeyError, r"basis='umap'\) first"),
        ({"basis": "X"}, KeyError, r"ct.tl.velocity\(adata, model, basis='X'\) first"),
        ({"basis": "tsne"}, KeyError, "tsne"),
        ({"key": "narrow"}, ValueError, "velocities in two variables"),
        ({"color": "no"}, KeyError, "to colour by"),
        ({"n_grid": 1}, ValueError, "n_grid must be at least 2"),
        ({"density": 0.0}, ValueError, "density above 0"),
    ],
)
def test_what_is_refused(adata, options, error, message):
    adata.obsm["narrow"] = adata.obsm["velocity_umap"][:, :1].copy()
    with pytest.raises(error, match=message):
        ct.pl.stream(adata, show=False, **options)
