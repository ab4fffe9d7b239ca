"""Plots draw the data they are given, in the user's colours, and change nothing."""

import anndata as ad
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import scanpy as sc

import celltraj as ct


@pytest.fixture
def adata():
    adata = ct.datasets.branching(n_cells=30, seed=0)
    adata.uns["celltraj"] = {
        "bridge": {
            "kind": "bridge",
            "history": pd.DataFrame({"step": np.arange(100), "loss": np.arange(100.0)}),
        },
        "plug": {"kind": "bridge", "history": pd.DataFrame({"step": [], "loss": []})},
    }
    return adata


@pytest.fixture
def path():
    """Five trajectories at the sampled times, ``x = trajectory + time`` and ``y = -time``."""
    labels, times = np.tile(np.arange(5), 5), np.repeat(np.arange(5.0), 5)
    obs = pd.DataFrame({"trajectory": labels, "time": times}).rename(index=str)
    return ad.AnnData(np.column_stack([labels + times, -times]).astype(np.float32), obs=obs)


def offsets(ax):
    return [c.get_offsets().data for c in ax.collections if hasattr(c, "get_offsets")]


def test_snapshots_draw_each_time_in_its_panel(adata):
    panels = ct.pl.snapshots(adata, show=False)
    times = adata.obs["time"].to_numpy()
    for t, panel in enumerate(panels):
        others, own = panel.collections[:2]
        np.testing.assert_allclose(own.get_offsets(), adata.X[times == t])
        assert len(others.get_offsets()) == (times != t).sum()
        assert panel.get_title().startswith(f"{t} ")


def test_snapshots_fit_into_given_axes(adata):
    _, ax = plt.subplots()
    assert ct.pl.snapshots(adata, ax=ax, show=False) is ax
    assert sum(map(len, offsets(ax))) >= adata.n_obs


def test_colours_come_from_uns_and_are_not_written(adata):
    palette = ["#ff0000", "#00ff00", "#0000ff"]  # progenitor, upper, lower
    adata.uns["arm_colors"] = palette
    panel = ct.pl.snapshots(adata, color="arm", show=False)[3]
    here = (adata.obs["time"] == 3).to_numpy()
    codes = adata.obs["arm"].cat.codes.to_numpy()[here]
    expected = [mpl.colors.to_rgba(palette[c]) for c in codes]
    np.testing.assert_allclose(panel.collections[1].get_facecolors(), expected)
    del adata.uns["arm_colors"]
    ct.pl.snapshots(adata, color="arm", show=False)
    assert "arm_colors" not in adata.uns
    with pytest.raises(KeyError, match="to colour by"):
        ct.pl.snapshots(adata, color="leg", show=False)


def test_without_colours_in_uns_those_of_scanpy_are_drawn(adata):
    copy = adata.copy()
    panel = ct.pl.snapshots(adata, color="arm", show=False)[3]
    sc.pl.scatter(copy, *copy.var_names, color="arm", show=False)  # writes its choice to uns
    here = (adata.obs["time"] == 3).to_numpy()
    codes = adata.obs["arm"].cat.codes.to_numpy()[here]
    expected = [mpl.colors.to_rgba(copy.uns["arm_colors"][c]) for c in codes]
    np.testing.assert_allclose(panel.collections[1].get_facecolors(), expected)


def test_cells_without_a_value_are_grey(adata):
    adata.obs["score"] = np.arange(adata.n_obs, dtype=float)
    adata.obs.loc[adata.obs["time"] == 2, "score"] = np.nan
    adata.obs["count"] = adata.obs["score"].astype("Int64")
    adata.obs["arm"] = adata.obs["arm"].where(adata.obs["time"] != 2)
    for color in ("score", "count", "arm"):
        drawn = ct.pl.snapshots(adata, color=color, show=False)[2].collections[1]
        grey = mpl.colors.to_rgba("lightgrey")
        np.testing.assert_allclose(np.unique(drawn.get_facecolors(), axis=0), [grey])
    adata.obs["score"] = np.nan
    with pytest.raises(ValueError, match="holds no value"):
        ct.pl.snapshots(adata, color="score", show=False)


def test_truth_values_are_categories(adata):
    adata.obs["late"] = adata.obs["time"] > 2
    panels = ct.pl.snapshots(adata, color="late", show=False)
    assert [t.get_text() for t in panels[-1].get_legend().get_texts()] == ["False", "True"]


def test_too_many_categories_are_refused(adata):
    adata.obs["cell"] = adata.obs_names
    with pytest.raises(ValueError, match="has 270 categories"):
        ct.pl.snapshots(adata, color="cell", show=False)


def test_many_times_are_drawn_in_rows():
    times = np.repeat(np.arange(8.0), 10)
    obs = pd.DataFrame({"day": times}).rename(index=str)
    adata = ad.AnnData(np.column_stack([times, -times]), obs=obs, uns={"time_unit": "days"})
    panels = ct.pl.snapshots(adata, time_key="day", show=False)
    assert len(panels) == 8
    assert panels[7].get_position().y1 < panels[0].get_position().y0
    np.testing.assert_allclose(panels[7].collections[1].get_offsets(), np.tile([7, -7], (10, 1)))
    assert "day (days)" in [ax.get_ylabel() for ax in panels[0].figure.axes]


def test_a_basis_is_named_as_in_scanpy(adata):
    adata.obsm["X_umap"] = adata.X + 10
    panels = ct.pl.snapshots(adata, basis="umap", show=False)
    assert panels[0].get_xlabel() == "UMAP1"
    assert panels[0].collections[1].get_offsets().min() > 5
    with pytest.raises(KeyError, match="tsne"):
        ct.pl.snapshots(adata, basis="tsne", show=False)
    with pytest.raises(ValueError, match=r"components \(0, 7\)"):
        ct.pl.snapshots(adata, components=(0, 7), show=False)


def test_mass_makes_lines_heavy_and_weighs_marginals(adata, path):
    # the last trajectory comes to stand for nine times as much as each of the others
    is_last = path.obs["trajectory"] == path.obs["trajectory"].max()
    path.obs["mass"] = np.where(is_last & (path.obs["time"] == path.obs["time"].max()), 9.0, 1.0)
    lines = ct.pl.trajectories(adata, path, show=False).collections[1]
    widths = np.asarray(lines.get_linewidths())
    assert widths[-1] / widths[0] == pytest.approx(3.0)
    panels = ct.pl.marginals(adata, path, show=False)
    steps = panels[0, -1].patches[-1].get_xy()
    # the tallest step of the predicted outline holds 9 of 13 parts
    heights = np.unique(steps[:, 1].round(9))
    assert heights[-1] / heights[1] == pytest.approx(9.0)


def test_trajectories_draw_the_paths(adata, path):
    ax = ct.pl.trajectories(adata, path, n_trajectories=3, show=False)
    lines = next(c for c in ax.collections if isinstance(c, mpl.collections.LineCollection))
    segments = lines.get_segments()
    assert len(segments) == 3
    for label, segment in enumerate(segments):
        np.testing.assert_allclose(segment, path.X[path.obs["trajectory"] == label])
    with pytest.raises(ValueError, match="basis="):
        ct.pl.trajectories(adata, path[:, :1].copy(), show=False)
    with pytest.raises(KeyError, match=r"ct\.tl\.simulate"):
        ct.pl.trajectories(adata, adata, show=False)


def test_marginals_compare_densities_at_common_times(adata, path):
    panels = ct.pl.marginals(adata, path, show=False)
    assert panels.shape == (2, 5)
    filled, line = panels[0, 2].patches[:-1], panels[0, 2].patches[-1]
    area = sum(bar.get_height() * bar.get_width() for bar in filled)
    assert area == pytest.approx(1)
    # trajectories 0..4 at time 2 lie at x = 2..6
    drawn = line.get_xy()[line.get_xy()[:, 1] > 0][:, 0]
    assert drawn.min() == pytest.approx(2, abs=0.5)
    assert drawn.max() == pytest.approx(6, abs=0.5)
    path.obs["time"] += 0.5
    with pytest.raises(ValueError, match=r"no common time.*n_times"):
        ct.pl.marginals(adata, path, show=False)


def test_marginals_refuse_states_of_another_space(adata, path):
    adata.obsm["X_pca"] = np.column_stack([adata.X, adata.X[:, 0]])
    with pytest.raises(ValueError, match=r"path has 2 variables but X_pca has 3; pass use_rep="):
        ct.pl.marginals(adata, path, show=False)
    assert ct.pl.marginals(adata, path, use_rep="X", show=False).shape == (2, 5)
    with pytest.raises(KeyError, match=r"ct\.tl\.simulate"):
        ct.pl.marginals(adata, ad.AnnData(path.X), use_rep="X", show=False)


def test_times_match_relative_to_their_scale(adata, path):
    for a in (adata, path):
        a.obs["time"] = a.obs["time"] * 1e-9  # seconds, say, and sampled each nanosecond
    path.obs["time"] += 0.5e-9
    with pytest.raises(ValueError, match="no common time"):
        ct.pl.marginals(adata, path, show=False)
    path.obs["time"] -= 0.5e-9  # zero only up to rounding
    assert ct.pl.marginals(adata, path, show=False).shape == (2, 5)


def test_history_draws_every_column_and_its_mean(adata):
    table = adata.uns["celltraj"]["bridge"]["history"]
    table["score_loss"], table["phase"] = 3.0, "warm-up"
    ax = ct.pl.history(adata, show=False)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["loss", "score_loss"]
    np.testing.assert_allclose(ax.lines[0].get_ydata(), np.arange(100))
    np.testing.assert_allclose(ax.lines[2].get_ydata(), 3)
    with pytest.raises(ValueError, match=r"fit with training=ct\.models\.Training\(\)"):
        ct.pl.history(adata, key="plug", show=False)
    with pytest.raises(KeyError, match=r"found \['bridge', 'plug'\]"):
        ct.pl.history(adata, key="other", show=False)
    adata.uns["celltraj"]["simulate"] = {"seed": 0}
    with pytest.raises(KeyError, match=r"no fit 'simulate'"):
        ct.pl.history(adata, key="simulate", show=False)


def scores():
    rows = [
        (m, t, "W1", v + s, s)
        for m, v in {"floor": 0.1, "displacement": 0.5, "mine": 0.3}.items()
        for t in (1.0, 2.0)
        for s in (0, 1)
    ]
    return pd.DataFrame(rows, columns=["method", "held_out", "metric", "value", "seed"])


def test_scores_are_means_over_seeds_with_a_dashed_floor(tmp_path):
    scores().to_csv(tmp_path / "s.csv", index=False)
    ax = ct.pl.scores(pd.read_csv(tmp_path / "s.csv"), show=False)
    lines = {c.get_label(): c.lines[0] for c in ax.containers}
    errors = {c.get_label(): c.lines[2][0] for c in ax.containers}
    np.testing.assert_allclose(lines["mine"].get_ydata(orig=False), 0.8)
    assert lines["floor"].get_linestyle() == "--"
    # two seeds a distance of one apart: standard error 1/2
    assert np.ptp(errors["mine"].get_segments()[0][:, 1]) == pytest.approx(1)
    with pytest.raises(ValueError, match="no metric 'W2'"):
        ct.pl.scores(scores(), metric="W2", show=False)
    with pytest.raises(ValueError, match="lack the columns"):
        ct.pl.scores(scores().drop(columns="seed"), show=False)


def test_models_stand_out_from_what_needs_no_model():
    ax = ct.pl.scores(scores().query("seed == 0"), show=False)
    lines = {c.get_label(): c.lines[0] for c in ax.containers}
    shade = {name: np.ptp(mpl.colors.to_rgb(line.get_color())) for name, line in lines.items()}
    assert shade["floor"] == shade["displacement"] == 0  # a grey
    assert shade["mine"] > 0.3
    assert not any(c.has_yerr for c in ax.containers)  # one seed has no standard error
    outside = ax.get_legend().get_window_extent().x0 >= ax.get_window_extent().x1
    assert outside


def test_plots_from_a_reloaded_file_change_nothing(adata, path, tmp_path):
    adata.write_h5ad(tmp_path / "a.h5ad")
    path.write_h5ad(tmp_path / "p.h5ad")
    again, reloaded = ad.read_h5ad(tmp_path / "a.h5ad"), ad.read_h5ad(tmp_path / "p.h5ad")
    before = again.copy()
    ct.pl.snapshots(again, show=False)
    ct.pl.trajectories(again, reloaded, color="arm", show=False)
    ct.pl.marginals(again, reloaded, show=False)
    ct.pl.history(again, show=False)
    np.testing.assert_array_equal(again.X, before.X)
    pd.testing.assert_frame_equal(again.obs, before.obs)
    assert sorted(again.uns) == sorted(before.uns)


@pytest.fixture
def figdir(tmp_path):
    before, sc.settings.figdir = sc.settings.figdir, tmp_path / "figures"
    yield tmp_path / "figures"
    sc.settings.figdir = before


@pytest.mark.parametrize(
    ("save", "name"),
    [(True, "snapshots.pdf"), ("_a", "snapshots_a.pdf"), ("_v1.5.png", "snapshots_v1.5.png")],
)
def test_names_of_files_follow_scanpy(adata, figdir, save, name):
    with pytest.warns(FutureWarning, match=r"scanpy 1\.12 deprecates; pass save=Path\('snap"):
        ct.pl.snapshots(adata, show=False, save=save)
    assert [f.name for f in figdir.iterdir()] == [name]
    assert not plt.get_fignums()  # what was saved is closed, as in scanpy


def test_a_path_is_taken_as_it_is(adata, tmp_path, figdir):
    figure = ct.pl.snapshots(adata, save=tmp_path / "new" / "mine.png", return_fig=True)
    assert isinstance(figure, mpl.figure.Figure)
    assert (tmp_path / "new" / "mine.png").stat().st_size > 0
    with pytest.raises(ValueError, match=r"pass save=Path\('mine/a.png'\)"):
        ct.pl.snapshots(adata, show=False, save="mine/a.png")
    assert not figdir.exists()


@pytest.mark.parametrize("autoshow", [True, False])
def test_autoshow_decides_where_show_is_not_given(adata, monkeypatch, autoshow):
    shown = []
    monkeypatch.setattr(plt, "show", lambda: shown.append(True))
    before, sc.settings.autoshow = sc.settings.autoshow, autoshow
    try:
        returned = ct.pl.snapshots(adata)
    finally:
        sc.settings.autoshow = before
    assert (returned is None) == autoshow
    assert bool(shown) == autoshow


def test_the_energy_distance_stands_beside_w1():
    both = pd.concat([scores(), scores().assign(metric="energy", value=0.2)])
    panels = ct.pl.scores(both, show=False)
    assert [ax.get_ylabel().split(" ")[0] for ax in panels] == ["W1", "energy"]
    shades = [
        {c.get_label(): c.lines[0].get_color() for c in ax.containers if c.get_label() == "mine"}
        for ax in panels
    ]
    assert shades[0] == shades[1]
    ax = panels[0]
    assert ct.pl.scores(both, metric="energy", ax=ax, show=False) is ax
    with pytest.raises(ValueError, match="name one metric for ax="):
        ct.pl.scores(both, metric=["W1", "energy"], ax=ax, show=False)
