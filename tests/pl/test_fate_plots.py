"""Plots of transitions, fates, growth and trends draw what a file holds, in the user's colours."""

import warnings
from itertools import pairwise

import anndata as ad
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgba
from matplotlib.patches import PathPatch, Polygon

import celltraj as ct
from celltraj.pl._colors import MISSING, palette_of, shades_of

NAMES = ["CD4/CD8", "B", "Megakaryocyte-erythroid progenitor, cycling"]
COLORS = ["#ff0000", "#00ff00", "#0000ff", "#123456"]
TIMES = np.array([0.0, 2.0, 5.0])
N = 40  # cells at each time


def transition_table(names, times, seed=0):
    """Return joint masses of random sizes and what follows from them."""
    rng = np.random.default_rng(seed)
    blocks = []
    for t0, t1 in pairwise(times):
        mass = rng.dirichlet(np.full(len(names) ** 2, 0.5)).reshape(len(names), -1) + 1e-3
        mass /= mass.sum()
        columns = {
            "t0": t0,
            "t1": t1,
            "source": np.repeat(names, len(names)),
            "target": np.tile(names, len(names)),
            "mass": mass.ravel(),
            "forward": (mass / mass.sum(1, keepdims=True)).ravel(),
            "backward": (mass / mass.sum(0, keepdims=True)).ravel(),
        }
        blocks.append(pd.DataFrame(columns))
    return pd.concat(blocks, ignore_index=True).rename(index=str)


def trend_table(names, times, n_genes):
    rows = [
        (f"g{gene}", name, t, gene + k * t, gene + k * t - 0.5, gene + k * t + 0.5)
        for gene in range(n_genes)
        for k, name in enumerate(names)
        for t in times
    ]
    columns = ["gene", "group", "time", "mean", "lower", "upper"]
    return pd.DataFrame(rows, columns=columns).rename(index=str)


def made(names=NAMES, colors=COLORS, times=TIMES):
    """Return cells with every result that is drawn here; no cell is of the last category."""
    rng = np.random.default_rng(1)
    k, n = len(names), N * len(times)
    time = np.repeat(times, N)
    labels = np.array(names, dtype=object)[np.arange(n) % k]
    labels[:3] = np.nan
    kind = pd.Categorical(labels, [*names, "nobody"])
    obs = pd.DataFrame({"day": time, "kind": kind}, [f"c{i}" for i in range(n)])
    adata = ad.AnnData(rng.normal(size=(n, 2)).astype("float32"), obs=obs)
    adata.obsm["X_umap"] = rng.normal(size=(n, 2)).astype("float32")
    adata.uns |= {"time_unit": "day", "kind_colors": np.array(colors, dtype=object)}
    share = rng.uniform(size=n).astype("float32")
    share[time == times[1]] *= 10
    share[time == times[-1]] = np.nan
    adata.obs["push"] = adata.obs["pull"] = share
    fates = rng.dirichlet(np.ones(k), n).astype("float32")
    fates[time == times[-1]] = np.nan
    adata.obsm["ct_fates"] = fates
    adata.obs["ct_growth"] = np.where(time == times[0], np.nan, rng.normal(size=n))
    followed = {
        "params": {"source": times[0], "target": times[1], "time_key": "day"}
        | {"columns": np.array(["kind"], object), "values": np.array(names[:1], object)},
        "masses": pd.DataFrame({"time": times[:2], "mass": [1.0, 1.5]}).rename(index=str),
    }
    groups = {"groupby": "kind", "time_key": "day"}
    numbers = {"time": times, "observed": 40 + times, "predicted": 40 + 2 * times}
    adata.uns["celltraj"] = {
        "push": {"kind": "push"} | followed,
        "pull": {"kind": "pull"} | followed,
        "transitions": {
            "kind": "transitions",
            "params": groups,
            "table": transition_table(names, times),
        },
        "ct_fates": {
            "kind": "fates",
            "params": groups | {"at": times[-1]},
            "names": np.array(names, object),
        },
        "ct_growth": {
            "kind": "growth",
            "params": {"time_key": "day"},
            "numbers": pd.DataFrame(numbers).rename(index=str),
        },
        "gene_trends": {
            "kind": "gene trends",
            "params": groups,
            "table": trend_table(names, times, 3),
        },
    }
    return adata


def reloaded(adata, path):
    adata.write_h5ad(path / "cells.h5ad")
    return ad.read_h5ad(path / "cells.h5ad")


@pytest.fixture
def adata(tmp_path):
    return reloaded(made(), tmp_path)


def matrix(adata, t0, column):
    table = adata.uns["celltraj"]["transitions"]["table"]
    rows = table[table["t0"] == t0]
    return rows[column].to_numpy().reshape(3, 3)


def texts(handles):
    return [text.get_text() for text in handles]


class TestColours:
    def test_palette_follows_the_categories_and_uns(self, adata):
        assert palette_of(adata, "kind") == dict(zip([*NAMES, "nobody"], COLORS, strict=True))
        del adata.uns["kind_colors"]
        cycle = mpl.rcParams["axes.prop_cycle"].by_key()["color"]
        assert list(palette_of(adata, "kind").values()) == cycle[:4]
        assert "kind_colors" not in adata.uns

    def test_groups_that_obs_does_not_know(self, adata):
        found = shades_of(adata, "kind", ["B", "gone"])
        assert found == {"B": COLORS[1], "gone": MISSING}
        assert list(shades_of(adata, "no", ["a", "b"])) == ["a", "b"]
        assert len(set(shades_of(adata, None, [f"g{k}" for k in range(20)]).values())) == 20


class TestTransitions:
    @pytest.mark.parametrize("direction", ["forward", "backward"])
    def test_the_array_is_the_table(self, adata, direction):
        ax = ct.pl.transitions(adata, source=2.0, direction=direction, show=False)
        drawn = np.asarray(ax.images[0].get_array())
        np.testing.assert_array_equal(drawn, matrix(adata, 2.0, direction))
        np.testing.assert_allclose(drawn.sum(1 if direction == "forward" else 0), 1)
        assert ax.get_title() == "day (day) 2 to 5"
        assert ax.get_ylabel() == "kind at 2"
        assert ax.get_xlabel() == "kind at 5"
        assert texts(ax.get_yticklabels())[:2] == NAMES[:2]
        assert ax.get_yticklabels()[2].get_text().replace("\n", " ") == NAMES[2]

    def test_numbers_are_percent_and_squares_have_the_colours(self, adata):
        ax = ct.pl.transitions(adata, target=2.0, show=False)
        shares = matrix(adata, 0.0, "forward")
        for text in ax.texts:
            column, row = text.get_position()
            assert text.get_text() == f"{100 * shares[row, column]:.0f}"
        assert len(ax.texts) == (shares >= 0.005).sum()
        for squares in ax.collections:
            expected = [to_rgba(c) for c in COLORS[:3]]
            np.testing.assert_allclose(squares.get_facecolors(), expected)

    def test_lightness_falls_all_the_way(self, adata):
        image = ct.pl.transitions(adata, source=0.0, show=False).images[0]
        rgb = image.cmap(np.linspace(0, 1, 50))[:, :3]
        assert (np.diff(rgb @ [0.2126, 0.7152, 0.0722]) < 0).all()

    def test_an_empty_group_is_grey_and_has_no_numbers(self, adata):
        table = adata.uns["celltraj"]["transitions"]["table"]
        table.loc[table["source"] == "B", "forward"] = np.nan
        ax = ct.pl.transitions(adata, source=0.0, show=False)
        assert np.ma.getmaskarray(ax.images[0].get_array())[1].all()
        np.testing.assert_allclose(ax.images[0].cmap(np.nan), to_rgba(MISSING))
        assert 1 not in [text.get_position()[1] for text in ax.texts]

    def test_given_axes(self, adata):
        _, ax = plt.subplots(figsize=(0.6, 0.6))
        assert ct.pl.transitions(adata, source=0.0, ax=ax, show=False) is ax
        assert not ax.texts  # too small for numbers

    def test_errors(self, adata):
        with pytest.raises(
            ValueError, match=r"2 transitions from source=None.*Choose one by source="
        ):
            ct.pl.transitions(adata, show=False)
        with pytest.raises(ValueError, match="0 transitions from source=1"):
            ct.pl.transitions(adata, source=1.0, show=False)
        with pytest.raises(ValueError, match="direction must be one of"):
            ct.pl.transitions(adata, direction="up", show=False)
        with pytest.raises(KeyError, match=r"Run ct.tl.transitions\(adata, groupby=...\)"):
            ct.pl.transitions(adata, key="mine", show=False)
        with pytest.raises(KeyError, match="of the kind 'gene trends' and no transitions"):
            ct.pl.transitions(adata, key="gene_trends", show=False)
        record = adata.uns["celltraj"]["transitions"]
        record["table"] = record["table"].iloc[:0]
        with pytest.raises(ValueError, match="has no rows"):
            ct.pl.transitions(adata, show=False)


def bars_and_ribbons(ax):
    """Return corners of bars ``(x0, x1, left, right)`` heights, and ends of ribbons."""
    bars = [patch.get_xy()[:4] for patch in ax.patches if isinstance(patch, Polygon)]
    ribbons = [patch for patch in ax.patches if isinstance(patch, PathPatch)]
    return bars, ribbons


class TestSankey:
    def test_bars_are_all_mass_of_their_time(self, adata):
        bars, _ = bars_and_ribbons(ct.pl.sankey(adata, show=False))
        assert len(bars) == 9
        masses = [matrix(adata, t, "mass") for t in TIMES[:2]]
        arrives = [masses[0].sum(1), masses[0].sum(0), masses[1].sum(0)]
        leaves = [masses[0].sum(1), masses[1].sum(1), masses[1].sum(0)]
        for k in range(3):
            its = bars[3 * k : 3 * k + 3]
            left = np.array([bar[0, 1] - bar[3, 1] for bar in its])
            right = np.array([bar[1, 1] - bar[2, 1] for bar in its])
            np.testing.assert_allclose(left, arrives[k])
            np.testing.assert_allclose(right, leaves[k])
            assert left.sum() == pytest.approx(1)
            assert right.sum() == pytest.approx(1)
            assert all(np.isclose(bar[:, 0].mean(), k) for bar in its)
            for upper, lower in pairwise(its):
                assert (upper[[3, 2], 1] > lower[[0, 1], 1]).all()  # apart on both sides

    def test_ribbons_are_as_wide_as_their_mass(self, adata):
        ax = ct.pl.sankey(adata, show=False)
        bars, ribbons = bars_and_ribbons(ax)
        expected = [(k, *entry) for k in (0, 1) for entry in np.ndindex(3, 3)]
        assert len(ribbons) == len(expected)
        for patch, (k, row, column) in zip(ribbons, expected, strict=True):
            ends = patch.get_path().vertices
            mass = matrix(adata, TIMES[k], "mass")[row, column]
            assert ends[0, 1] - ends[7, 1] == pytest.approx(mass)
            assert ends[3, 1] - ends[4, 1] == pytest.approx(mass)
            np.testing.assert_allclose(patch.get_facecolor()[:3], to_rgba(COLORS[row])[:3])
            source, target = bars[3 * k + row], bars[3 * k + 3 + column]
            assert source[2, 1] - 1e-9 <= ends[7, 1] < ends[0, 1] <= source[1, 1] + 1e-9
            assert target[3, 1] - 1e-9 <= ends[4, 1] < ends[3, 1] <= target[0, 1] + 1e-9

    def test_ribbons_fill_bars_without_overlap(self, adata):
        bars, ribbons = bars_and_ribbons(ct.pl.sankey(adata, show=False))
        ends = [patch.get_path().vertices for patch in ribbons[:9]]
        for row in range(3):
            its = ends[3 * row : 3 * row + 3]
            assert its[0][0, 1] == pytest.approx(bars[row][1, 1])
            assert its[-1][7, 1] == pytest.approx(bars[row][2, 1])
            np.testing.assert_allclose([e[7, 1] for e in its[:-1]], [e[0, 1] for e in its[1:]])

    def test_times_and_names(self, adata):
        ax = ct.pl.sankey(adata, show=False)
        assert texts(ax.get_xticklabels()) == ["0", "2", "5"]
        assert ax.get_xlabel() == "day (day)"
        known = {name.replace(" ", "") for name in NAMES}
        assert {text.replace("\n", "").replace(" ", "") for text in texts(ax.texts)} <= known

    @pytest.mark.parametrize("n", [1, 2, 20])
    def test_names_do_not_overlap_and_a_legend_says_the_rest(self, n, tmp_path):
        names = [*NAMES, *(f"group number {k}" for k in range(20))][:n]
        colors = [f"#{k:02x}4080" for k in range(n + 1)]
        adata = reloaded(made(names, colors, np.arange(4.0)), tmp_path)
        ax = ct.pl.sankey(adata, show=False)
        ax.figure.canvas.draw()
        boxes = [text.get_window_extent() for text in ax.texts]
        for k, box in enumerate(boxes):
            assert box.x0 >= 0
            assert box.x1 <= ax.figure.bbox.x1
            assert not any(box.overlaps(other) for other in boxes[:k])
        shown = {text.replace("\n", " ") for text in texts(ax.texts)}
        if shown != set(names):
            legend = texts(ax.figure.legends[0].get_texts())
            assert [one.replace("\n", " ") for one in legend] == names

    def test_given_axes_and_no_column(self, adata):
        del adata.obs["kind"]
        _, ax = plt.subplots(figsize=(2, 1))
        assert ct.pl.sankey(adata, ax=ax, show=False) is ax
        assert len(ax.get_legend().get_texts()) == 3

    def test_one_pair_of_times_is_two_columns(self, adata):
        record = adata.uns["celltraj"]["transitions"]
        record["table"] = record["table"][record["table"]["t0"] == 2.0]
        assert texts(ct.pl.sankey(adata, show=False).get_xticklabels()) == ["2", "5"]

    def test_errors(self, adata):
        table = adata.uns["celltraj"]["transitions"]["table"]
        table.loc[table["t0"] == 2.0, "mass"] = 0.0
        with pytest.raises(ValueError, match="no mass moves from time 2 to 5"):
            ct.pl.sankey(adata, show=False)
        table.loc[table["t0"] == 2.0, "t0"] = 3.0
        with pytest.raises(ValueError, match=r"ct.tl.transitions\(adata, groupby=...\) without so"):
            ct.pl.sankey(adata, show=False)
        with pytest.raises(KeyError, match=r"Run ct.tl.transitions"):
            ct.pl.sankey(adata, key="mine", show=False)


@pytest.mark.parametrize("name", ["push", "pull"])
class TestPushAndPull:
    def test_high_shares_lie_on_top_each_time_by_its_maximum(self, adata, name):
        ax = getattr(ct.pl, name)(adata, show=False)
        grey, dots = ax.collections[:2]
        np.testing.assert_allclose(grey.get_offsets(), adata.obsm["X_umap"])
        time = adata.obs["day"].to_numpy()
        share = adata.obs[name].to_numpy(dtype=float)
        height = np.concatenate([share[time == t] / share[time == t].max() for t in TIMES[:2]])
        rows = np.concatenate([np.flatnonzero(time == t) for t in TIMES[:2]])
        order = np.argsort(height, kind="stable")
        np.testing.assert_allclose(dots.get_offsets(), adata.obsm["X_umap"][rows[order]])
        shades = dots.get_facecolors()
        distance = np.abs(shades[:, :3] - 0.87).sum(1)
        for t in TIMES[:2]:
            assert (np.diff(distance[time[rows[order]] == t]) > -0.02).all()
        assert len(np.unique(shades[-2:], axis=0)) == 2  # each time has its colour
        assert ax.get_title().endswith(f"of {NAMES[0]}")
        labels = [bar.get_ylabel() for bar in ax.figure.axes[1:]]
        expected = [f"share over its maximum, day (day) {t}" for t in (0, 2)]
        assert sorted(labels) == expected
        bars = [bar.get_window_extent().x0 for bar in ax.figure.axes[1:]]
        assert np.argsort(bars).tolist() == np.argsort(labels).tolist()  # the earliest is nearest

    def test_chosen_times_and_axes(self, adata, name):
        _, ax = plt.subplots()
        assert getattr(ct.pl, name)(adata, times=[2.0], ax=ax, show=False) is ax
        assert len(ax.collections[1].get_offsets()) == N

    def test_errors(self, adata, name):
        draw = getattr(ct.pl, name)
        with pytest.raises(ValueError, match=r"at times \[5.0\]; found some at \[0.0, 2.0\]"):
            draw(adata, times=[5.0], show=False)
        with pytest.raises(KeyError, match=rf"Run ct.tl.{name}\(adata, source="):
            draw(adata, key="mine", show=False)
        with pytest.raises(KeyError, match="tsne"):
            draw(adata, basis="tsne", show=False)
        del adata.obs[name]
        with pytest.raises(KeyError, match=rf"no adata.obs\['{name}'\]"):
            draw(adata, show=False)


class TestFates:
    def test_each_fate_has_a_panel(self, adata):
        panels = ct.pl.fates(adata, show=False)
        assert [p.get_title().replace("\n", " ") for p in panels] == NAMES
        known = adata.obs["day"].to_numpy() < 5
        for k, panel in enumerate(panels):
            missing, dots = panel.collections[:2]
            np.testing.assert_allclose(missing.get_offsets(), adata.obsm["X_umap"][~known])
            order = np.argsort(adata.obsm["ct_fates"][known, k], kind="stable")
            np.testing.assert_allclose(dots.get_offsets(), adata.obsm["X_umap"][known][order])
            light = dots.get_facecolors()[:, :3] @ [0.2126, 0.7152, 0.0722]
            assert (np.diff(light) <= 1e-9).all()
        assert panels[0].figure.axes[-1].get_ylabel() == "share of descendants"

    def test_bars_are_mean_shares(self, adata):
        for groupby in ("kind", None):
            ax = ct.pl.fates(adata, kind="bars", groupby=groupby, show=False)
            known = (adata.obs["day"] < 5).to_numpy()
            column = adata.obs["kind" if groupby else "day"][known]
            names = NAMES if groupby else [0.0, 2.0]
            fates = adata.obsm["ct_fates"][known]
            means = np.array([fates[(column == one).to_numpy()].mean(0) for one in names])
            widths = np.array([bar.get_width() for bar in ax.patches]).reshape(3, -1).T
            np.testing.assert_allclose(widths, means, rtol=1e-5)
            np.testing.assert_allclose(widths.sum(1), 1, rtol=1e-5)
            shades = [ax.patches[k * len(names)].get_facecolor() for k in range(3)]
            np.testing.assert_allclose(shades, [to_rgba(c) for c in COLORS[:3]])
            counts = [int((column == one).sum()) for one in names]
            assert [text.rsplit("(")[-1] for text in texts(ax.get_yticklabels())] == [
                f"{n})" for n in counts
            ]
            assert ax.get_legend().get_title().get_text() == "kind at 5"

    def test_cells_of_the_time_of_the_fates_are_left_out(self, adata):
        own = (adata.obs["day"] == 5).to_numpy()
        labels = pd.get_dummies(adata.obs["kind"])[NAMES].to_numpy(dtype="float32")
        adata.obsm["ct_fates"][own] = labels[own]  # as tl.fates writes them
        known, kind = np.isfinite(adata.obsm["ct_fates"]).all(1) & ~own, adata.obs["kind"]
        ax = ct.pl.fates(adata, kind="bars", groupby="kind", show=False)
        widths = np.array([bar.get_width() for bar in ax.patches]).reshape(3, -1).T
        here = [known & (kind == name).to_numpy() for name in NAMES]
        means = [adata.obsm["ct_fates"][rows].mean(0) for rows in here]
        np.testing.assert_allclose(widths, means, rtol=1e-5)
        assert ax.get_xlabel() == "mean share of descendants\nof cells before day 5"
        assert len(ct.pl.fates(adata, kind="bars", show=False).get_yticks()) == 2
        ax = ct.pl.fates(adata, kind="simplex", groupby="kind", show=False)
        assert len(ax.collections[0].get_offsets()) == known.sum()
        # in an embedding they are drawn, as what they are
        drawn = ct.pl.fates(adata, show=False)[0].collections[1]
        assert len(drawn.get_offsets()) == (known | own).sum()
        adata.obsm["ct_fates"][~own] = np.nan
        with pytest.raises(ValueError, match="no cell before the time of the fates, 5"):
            ct.pl.fates(adata, kind="bars", groupby="kind", show=False)

    def test_cells_lie_at_the_mean_of_the_corners(self, adata):
        ax = ct.pl.fates(adata, kind="simplex", groupby="kind", show=False)
        dots, corners = ax.collections[:2]
        places = np.asarray(corners.get_offsets())
        np.testing.assert_allclose(np.linalg.norm(places, axis=1), 1)
        np.testing.assert_allclose(corners.get_facecolors(), [to_rgba(c) for c in COLORS[:3]])
        known = np.flatnonzero(adata.obs["day"] < 5)
        expected = adata.obsm["ct_fates"][known] @ places
        shades = [to_rgba(c) for c in [*COLORS, MISSING]]
        codes = adata.obs["kind"].cat.codes.to_numpy()[known]
        drawn = {
            tuple(np.round(p, 4)): tuple(c)
            for p, c in zip(np.asarray(dots.get_offsets()), dots.get_facecolors(), strict=True)
        }
        assert drawn == {
            tuple(np.round(p, 4)): shades[c] for p, c in zip(expected, codes, strict=True)
        }

    @pytest.mark.parametrize("n", [3, 20])
    def test_names_of_corners_stay_in_the_picture(self, n, tmp_path):
        names = [*NAMES, *(f"fate {k}" for k in range(20))][:n]
        adata = reloaded(made(names, [f"#{k:02x}4080" for k in range(n + 1)]), tmp_path)
        ax = ct.pl.fates(adata, kind="simplex", show=False)
        ax.figure.canvas.draw()
        for text in ax.texts:
            box = text.get_window_extent()
            assert box.min.min() >= 0
            assert (box.max <= ax.figure.bbox.max).all()
            assert box.x1 <= ax.figure.axes[1].get_window_extent().x0  # the colour bar

    def test_two_fates_are_a_histogram(self, tmp_path):
        adata = reloaded(made(NAMES[:2], COLORS[:3]), tmp_path)
        ax = ct.pl.fates(adata, kind="simplex", groupby="kind", show=False)
        lines = ax.patches[::2]
        assert len(lines) == 2
        known = (adata.obs["day"] < 5).to_numpy()
        for line, name in zip(lines, NAMES, strict=False):
            values, edges, _ = line.get_data()
            assert values.sum() == pytest.approx(1)
            its = adata.obsm["ct_fates"][known & (adata.obs["kind"] == name).to_numpy(), 1]
            middle = (edges[1:] + edges[:-1]) / 2
            assert values @ middle == pytest.approx(its.mean(), abs=1 / 60)
        ct.pl.fates(adata, kind="simplex", show=False)  # by time

    def test_more_than_twelve(self, tmp_path):
        names = [f"fate {k}" for k in range(14)]
        adata = reloaded(made(names, [f"#{k:02x}4080" for k in range(15)]), tmp_path)
        panels = ct.pl.fates(adata, show=False)
        assert len(panels) == 12
        assert panels[0].figure.get_suptitle() == "the first 12 of 14 fates"
        assert len(ct.pl.fates(adata, fate=names[12:], show=False)) == 2

    def test_given_axes(self, adata):
        for kind in ("bars", "simplex"):
            _, ax = plt.subplots(figsize=(9, 6), layout="constrained")
            assert ct.pl.fates(adata, kind=kind, ax=ax, show=False) is ax
        _, ax = plt.subplots()
        assert ct.pl.fates(adata, fate="B", ax=ax, show=False) is ax
        with pytest.raises(ValueError, match="ax= holds one fate"):
            ct.pl.fates(adata, ax=ax, show=False)

    def test_errors(self, adata):
        for options, error, message in [
            ({"kind": "pie"}, ValueError, "kind must be one of"),
            ({"kind": "bars", "fate": "B"}, ValueError, "leave out fate="),
            ({"fate": "NK"}, ValueError, r"no fate \['NK'\]"),
            ({"key": "mine"}, KeyError, r"Run ct.tl.fates\(adata, groupby=...\)"),
            ({"basis": "tsne"}, KeyError, "tsne"),
            ({"kind": "bars", "groupby": "no"}, KeyError, "no groups in"),
            ({"kind": "simplex", "groupby": "no"}, KeyError, "to colour by"),
        ]:
            with pytest.raises(error, match=message):
                ct.pl.fates(adata, show=False, **options)
        adata.obs["rare"] = pd.Categorical(np.where(adata.obs["day"] == 5, "x", None))
        with pytest.raises(ValueError, match="no cell with fates has a group"):
            ct.pl.fates(adata, kind="bars", groupby="rare", show=False)
        record = adata.uns["celltraj"]["ct_fates"]
        record["names"] = record["names"][:1]
        with pytest.raises(ValueError, match="and 1 names"):
            ct.pl.fates(adata, show=False)
        adata.obsm["ct_fates"] = adata.obsm["ct_fates"][:, :1]
        with pytest.raises(ValueError, match="needs two fates or more"):
            ct.pl.fates(adata, kind="simplex", show=False)
        adata.obsm["ct_fates"] = np.full((adata.n_obs, 1), np.nan)
        with pytest.raises(ValueError, match="no cell has fates"):
            ct.pl.fates(adata, show=False)
        del adata.obsm["ct_fates"]
        with pytest.raises(KeyError, match=r"no adata.obsm\['ct_fates'\]"):
            ct.pl.fates(adata, show=False)


class TestGrowth:
    def test_colours_are_symmetric_about_zero(self, adata):
        ax = ct.pl.growth(adata, show=False)
        missing, dots = ax.collections[:2]
        rates = adata.obs["ct_growth"].to_numpy()
        assert len(missing.get_offsets()) == np.isnan(rates).sum()
        known = np.flatnonzero(~np.isnan(rates))
        order = known[np.argsort(np.abs(rates[known]), kind="stable")]
        np.testing.assert_allclose(dots.get_offsets(), adata.obsm["X_umap"][order])
        red, _, blue, _ = dots.get_facecolors().T
        clear = np.abs(rates[order]) > 0.3
        np.testing.assert_array_equal((red > blue)[clear], (rates[order] > 0)[clear])
        bar = ax.figure.axes[1]
        assert bar.get_ylabel() == "growth (1/day)"
        low, high = bar.get_ylim()
        assert low == pytest.approx(-high)
        assert high == pytest.approx(np.nanquantile(np.abs(rates), 0.995))

    def test_cells_without_descendants_are_the_bluest(self, adata):
        rates = adata.obs["ct_growth"].to_numpy(copy=True)
        adata.obs["ct_growth"] = np.append(rates[:-1], -np.inf)
        ax = ct.pl.growth(adata, show=False)
        dots = ax.collections[1]
        np.testing.assert_allclose(dots.get_offsets()[-1], adata.obsm["X_umap"][-1])
        np.testing.assert_allclose(dots.get_facecolors()[-1], mpl.colormaps["coolwarm"](0.0))
        reach = np.nanquantile(np.abs(rates[:-1]), 0.995)
        assert ax.figure.axes[1].get_ylim()[1] == pytest.approx(reach)
        adata.obs["ct_growth"] = np.append(np.full(len(rates) - 1, np.nan), -np.inf)
        ct.pl.growth(adata, show=False)

    def test_zero_everywhere_and_no_unit(self, adata):
        adata.obs["ct_growth"] = 0.0
        del adata.uns["time_unit"]
        _, ax = plt.subplots()
        assert ct.pl.growth(adata, ax=ax, show=False) is ax
        assert ax.figure.axes[1].get_ylabel() == "growth per unit of time"

    def test_errors(self, adata):
        with pytest.raises(KeyError, match=r"ct.tl.growth\(adata\) first"):
            ct.pl.growth(adata, key="mine", show=False)
        with pytest.raises(ValueError, match="rates must be numbers"):
            ct.pl.growth(adata, key="kind", show=False)
        adata.obs["ct_growth"] = np.nan
        with pytest.raises(ValueError, match="holds no rate"):
            ct.pl.growth(adata, show=False)


def test_cell_numbers_are_those_of_the_table(adata):
    ax = ct.pl.cell_numbers(adata, show=False)
    np.testing.assert_allclose(ax.lines[0].get_xydata(), np.c_[TIMES, 40 + 2 * TIMES])
    np.testing.assert_allclose(ax.collections[0].get_offsets(), np.c_[TIMES, 40 + TIMES])
    assert texts(ax.get_legend().get_texts()) == ["predicted", "observed"]
    assert ax.get_xlabel() == "day (day)"
    assert ax.get_ylim()[0] == 0
    assert ct.pl.cell_numbers(adata, ax=ax, show=False) is ax
    with pytest.raises(KeyError, match=r"Run ct.tl.growth\(adata\)"):
        ct.pl.cell_numbers(adata, key="mine", show=False)
    with pytest.raises(KeyError, match=r"and no growth; run ct\.tl\.growth"):
        ct.pl.cell_numbers(adata, key="push", show=False)


class TestGeneTrends:
    def test_lines_and_bands_are_the_table(self, adata):
        panels = ct.pl.gene_trends(adata, show=False)
        assert [p.get_title() for p in panels] == ["g0", "g1", "g2"]
        for gene, panel in enumerate(panels):
            for k, (line, band) in enumerate(zip(panel.lines, panel.collections, strict=True)):
                np.testing.assert_allclose(line.get_xydata(), np.c_[TIMES, gene + k * TIMES])
                corners = band.get_paths()[0].vertices
                widths = [np.ptp(corners[corners[:, 0] == t, 1]) for t in TIMES]
                np.testing.assert_allclose(widths, 1)
                assert to_rgba(line.get_color()) == to_rgba(COLORS[k])
        legend = texts(panels[0].figure.legends[0].get_texts())
        assert [one.replace("\n", " ") for one in legend] == NAMES
        assert panels[0].get_xlabel() == "day (day)"

    def test_all_is_one_group_without_a_legend(self, adata):
        record = adata.uns["celltraj"]["gene_trends"]
        record["params"] = {}
        record["table"] = trend_table(["all"], TIMES, 14)
        panels = ct.pl.gene_trends(adata, show=False)
        assert not panels[0].figure.legends
        assert panels[0].figure.get_suptitle() == "the first 12 of 14 genes"
        assert len(ct.pl.gene_trends(adata, genes=["g13", "g2"], show=False)) == 2

    def test_given_axes(self, adata):
        _, ax = plt.subplots()
        assert ct.pl.gene_trends(adata, genes="g1", ax=ax, show=False) is ax
        assert len(ax.get_legend().get_texts()) == 3

    def test_errors(self, adata):
        with pytest.raises(KeyError, match=r"no trend of \['no'\]"):
            ct.pl.gene_trends(adata, genes=["g0", "no"], show=False)
        with pytest.raises(KeyError, match=r"Run ct.tl.gene_trends\(adata, path"):
            ct.pl.gene_trends(adata, key="mine", show=False)
        with pytest.raises(ValueError, match="genes is empty"):
            ct.pl.gene_trends(adata, genes=[], show=False)
        with pytest.raises(ValueError, match="ax= holds one gene"):
            ct.pl.gene_trends(adata, ax=plt.subplots()[1], show=False)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("transitions", {"source": 0.0}),
        ("sankey", {}),
        ("push", {}),
        ("pull", {}),
        ("fates", {}),
        ("growth", {}),
        ("cell_numbers", {}),
        ("gene_trends", {}),
    ],
)
def test_grammar_and_nothing_is_changed(adata, tmp_path, name, options):
    before = adata.copy()
    file = tmp_path / "new" / "plot.png"
    figure = getattr(ct.pl, name)(adata, save=file, return_fig=True, **options)
    assert isinstance(figure, mpl.figure.Figure)
    assert file.stat().st_size > 0
    pd.testing.assert_frame_equal(adata.obs, before.obs)
    assert sorted(adata.uns) == sorted(before.uns)
    assert sorted(adata.obsm) == sorted(before.obsm)


def test_what_tl_writes_is_drawn(tmp_path):
    adata = ct.datasets.branching(n_cells=30, seed=0)
    adata.obsm["X_umap"] = adata.X.copy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        ct.tl.couplings(adata, progress=False)
    ct.tl.transitions(adata, groupby="arm")
    ct.tl.push(adata, source=0.0, target=4.0, cells={"arm": "progenitor"})
    ct.tl.pull(adata, source=0.0, target=4.0, cells={"arm": "upper"})
    ct.tl.fates(adata, groupby="arm")
    adata = reloaded(adata, tmp_path)
    ax = ct.pl.transitions(adata, source=3.0, show=False)
    expected = ct.get.transitions(adata, source=3.0)
    np.testing.assert_allclose(ax.images[0].get_array(), expected)
    bars, _ = bars_and_ribbons(ct.pl.sankey(adata, show=False))
    total = {}
    for bar in bars:
        k = round(bar[:, 0].mean())
        total[k] = total.get(k, 0.0) + bar[0, 1] - bar[3, 1]
    np.testing.assert_allclose(list(total.values()), np.ones(5))
    for draw in (ct.pl.push, ct.pl.pull, ct.pl.fates):
        draw(adata, show=False)
    ct.pl.fates(adata, kind="bars", groupby="arm", show=False)
    ct.pl.fates(adata, kind="simplex", show=False)
