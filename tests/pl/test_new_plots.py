"""Branches, densities, heat maps of genes and held-out cells show what they are given."""

import anndata as ad
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import celltraj as ct
from celltraj.pl._cells import never_below_zero


def recorded(kind, table, **params):
    """Return cells of two times with one result of a tool, as it stands after a file."""
    obs = pd.DataFrame({"time": np.repeat([0.0, 1.0], 10)}).rename(index=str)
    adata = ad.AnnData(np.ones((20, 2), dtype=np.float32), obs=obs)
    adata.var_names = ["low", "high"]
    record = {"kind": kind, "params": params, "table": table.rename(index=str)}
    adata.uns["celltraj"] = {kind.replace(" ", "_"): record}
    return adata


def reloaded(adata, tmp_path):
    adata.write_h5ad(tmp_path / "cells.h5ad")
    return ad.read_h5ad(tmp_path / "cells.h5ad")


class TestBranches:
    """A stem gives a left and a right arm; a rare group comes mostly from elsewhere."""

    @pytest.fixture
    def adata(self, tmp_path):
        rows = [
            ("stem", "left", 0, 1, 0.5),
            ("stem", "right", 0, 1, 0.3),
            ("other", "right", 0, 1, 0.1),
            ("stem", "mixed", 0, 1, 0.04),
            ("other", "mixed", 0, 1, 0.03),
            ("rare", "mixed", 0, 1, 0.03),
            ("left", "left", 1, 2, 0.6),
            ("right", "right", 1, 2, 0.4),
        ]
        table = pd.DataFrame(rows, columns=["source", "target", "t0", "t1", "mass"])
        table = table.astype({"t0": float, "t1": float})
        for column in ("forward", "backward"):
            table[column] = 0.0
        found = recorded("transitions", table, groupby="kind", time_key="time")
        return reloaded(found, tmp_path)

    def lines(self, ax):
        return {
            tuple(np.round([*line.get_xydata()[0], *line.get_xydata()[-1]], 6)): line
            for line in ax.lines
        }

    def places(self, ax):
        return {text.get_text(): text.xy for text in ax.texts}

    def test_each_group_is_joined_to_most_of_its_ancestors(self, adata):
        ax = ct.pl.branches(adata, show=False)
        assert [tick.get_text() for tick in ax.get_xticklabels()] == ["0", "1", "2"]
        named = self.places(ax)
        ends = self.lines(ax)
        assert len(ends) == 5  # three from the stem, two that go on
        stem = tuple(named["stem"])
        from_stem = [one for one in ends if one[:2] == stem]
        assert len(from_stem) == 3
        widths = sorted(ends[one].get_linewidth() for one in from_stem)
        assert widths[-1] == pytest.approx(7.0 * 0.5)
        assert widths[-2] == pytest.approx(7.0 * 0.4)
        dashed = [one for one in ends if ends[one].get_linestyle() == "--"]
        assert [one[2:] for one in dashed] == [tuple(named["mixed"])]  # .04 of .1 from the stem

    def test_rings_mark_branch_points_and_areas_are_shares(self, adata):
        ax = ct.pl.branches(adata, size=100.0, show=False)
        dots = {tuple(one.get_offsets()[0]): one for one in ax.collections}
        black = mpl.colors.to_rgba("black")
        ringed = [at for at, one in dots.items() if tuple(one.get_edgecolors()[0]) == black]
        assert ringed == [tuple(self.places(ax)["stem"])]
        assert dots[ringed[0]].get_sizes()[0] == pytest.approx(84.0)  # .84 of the mass
        texts = [text.get_text() for text in ax.figure.legends[0].get_texts()]
        assert texts == ["branch point", "less than half of its ancestors"]

    def test_small_groups_are_left_out_and_lines_do_not_cross(self, adata):
        ax = ct.pl.branches(adata, min_share=0.2, show=False)
        assert set(self.places(ax)) == {"stem", "left", "right"}
        starts = sorted(self.lines(ax))
        first = [one for one in starts if one[0] == 0]
        assert [one[3] for one in first] == sorted(one[3] for one in first)
        with pytest.raises(ValueError, match=r"no group has a share of 0\.9 at time 0"):
            ct.pl.branches(adata, min_share=0.9, show=False)
        with pytest.raises(ValueError, match="min_share must lie in"):
            ct.pl.branches(adata, min_share=1.0, show=False)

    def test_into_the_axes_of_the_user(self, adata):
        _, (ax, _) = plt.subplots(1, 2)
        assert ct.pl.branches(adata, ax=ax, show=False) is ax
        assert ax.get_legend() is not None


class TestGeneHeatmap:
    """Three genes over two times: one early, one late, one that never changes."""

    @pytest.fixture
    def adata(self, tmp_path):
        means = {
            ("late", "up"): (1.0, 5.0),
            ("late", "down"): (1.0, 3.0),
            ("flat", "up"): (2.0, 2.0),
            ("flat", "down"): (2.0, 2.0),
            ("high", "up"): (4.0, -1.0),
            ("high", "down"): (4.0, 0.0),
        }
        rows = [
            (gene, group, t, value, np.nan, np.nan)
            for (gene, group), values in means.items()
            for t, value in zip((0.0, 1.0), values, strict=True)
        ]
        columns = ["gene", "group", "time", "mean", "lower", "upper"]
        table = pd.DataFrame(rows, columns=columns)
        return reloaded(recorded("gene trends", table, groupby="kind"), tmp_path)

    def values(self, panel):
        return np.asarray(panel.collections[0].get_array().filled(np.nan)).reshape(3, 2)

    def test_early_genes_are_on_top_and_scaled_over_groups(self, adata):
        panels = ct.pl.gene_heatmap(adata, show=False)
        assert [panel.get_title() for panel in panels] == ["up", "down"]
        names = [label.get_text() for label in panels[0].get_yticklabels()]
        assert names == ["high", "late", "flat"]
        bottom, top = panels[0].get_ylim()
        assert bottom > top
        # log expression that is nowhere below zero is not drawn below zero
        np.testing.assert_allclose(self.values(panels[0]), [[1, 0], [0, 1], [np.nan] * 2])
        np.testing.assert_allclose(self.values(panels[1]), [[1, 0], [0, 0.5], [np.nan] * 2])

    def test_means_as_they_are(self, adata):
        panels = ct.pl.gene_heatmap(adata, standard_scale=False, groups="down", show=False)
        assert len(panels) == 1
        np.testing.assert_allclose(self.values(panels[0]), [[4, 0], [1, 3], [2, 2]])
        bar = panels[0].figure.axes[-1]._colorbar
        assert (bar.norm.vmin, bar.norm.vmax) == (0.0, 4.0)

    def test_many_genes_are_counted_instead_of_named(self, adata):
        table = adata.uns["celltraj"]["gene_trends"]["table"]
        late = table[table["gene"] == "late"]
        many = pd.concat([late.assign(gene=f"g{k}") for k in range(200)], ignore_index=True)
        adata.uns["celltraj"]["gene_trends"]["table"] = many
        panels = ct.pl.gene_heatmap(adata, show=False)
        assert panels[0].get_ylabel() == "200 genes"
        assert not panels[0].get_yticklabels()

    def test_what_is_not_there(self, adata):
        with pytest.raises(KeyError, match=r"no trend of \['nobody'\], only of"):
            ct.pl.gene_heatmap(adata, genes="nobody", show=False)
        with pytest.raises(ValueError, match="genes is empty"):
            ct.pl.gene_heatmap(adata, genes=[], show=False)
        _, ax = plt.subplots()
        with pytest.raises(ValueError, match="ax= holds one group; pass groups="):
            ct.pl.gene_heatmap(adata, ax=ax, show=False)

    def test_trends_have_no_expression_below_zero_and_no_interval_of_few(self, adata):
        panel = ct.pl.gene_trends(adata, genes="high", show=False)[0]
        assert never_below_zero(adata, "high")
        assert not never_below_zero(adata, "late")  # not among the cells, so nothing is known
        assert panel.get_ylim()[0] == 0
        assert min(line.get_ydata().min() for line in panel.lines) == 0
        drawn = [path for one in panel.collections for path in one.get_paths()]
        assert not any(np.isfinite(path.vertices).any() for path in drawn)


class TestDensity:
    @pytest.fixture
    def adata(self, tmp_path):
        rng = np.random.default_rng(0)
        value = np.concatenate([rng.normal(0, 1, 400), rng.normal(5, 1, 100)])
        obs = pd.DataFrame({"time": np.repeat([0.0, 1.0], [400, 100]), "value": value})
        obs["kind"] = pd.Categorical(np.where(np.arange(500) % 4 == 0, "b", "a"))
        adata = ad.AnnData(value[:, None].astype(np.float32), obs=obs.rename(index=str))
        adata.var_names = ["gene"]
        return reloaded(adata, tmp_path)

    def layers(self, ax):
        """Return bottom and top of each layer over the bins, from the first row on."""
        return [one.get_paths()[0].vertices for one in ax.collections]

    def area(self, vertices):
        x, y = vertices.T
        return abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2

    def test_ridges_have_one_area_and_stand_at_their_median(self, adata):
        ax = ct.pl.density(adata, of="value", show=False)
        areas = [self.area(one) for one in self.layers(ax)]
        assert areas[0] == pytest.approx(areas[1], rel=0.02)
        heights = [row - ax.lines[4 * row + 1].get_ydata().min() for row in (0, 1)]
        assert max(heights) == pytest.approx(1.35)  # rows, of the highest
        medians = [
            line.get_xdata()[0]
            for line in ax.lines
            if len(line.get_xdata()) == 2 and line.get_xdata()[0] == line.get_xdata()[1]
        ]
        np.testing.assert_allclose(medians, adata.obs.groupby("time")["value"].median())
        assert [label.get_text() for label in ax.get_yticklabels()] == ["0", "1"]

    def test_layers_are_as_large_as_their_share(self, adata):
        ax = ct.pl.density(adata, of="value", groupby="kind", palette=["red", "blue"], show=False)
        first, second = (self.area(one) for one in self.layers(ax)[:2])
        assert first / second == pytest.approx(3, rel=0.05)
        texts = [text.get_text() for text in ax.get_legend().get_texts()]
        assert texts == ["a", "b"]
        grey = ct.pl.density(adata, of="value", groupby="kind", groups="b", show=False)
        assert mpl.colors.to_hex(grey.collections[0].get_facecolor()[0]) == "#d3d3d3"
        with pytest.raises(ValueError, match="groups= are those of groupby="):
            ct.pl.density(adata, of="value", groups="b", show=False)

    def test_a_gene_a_representation_and_what_is_neither(self, adata):
        adata.obsm["X_umap"] = np.column_stack([adata.X[:, 0], -adata.X[:, 0]])
        assert ct.pl.density(adata, of="gene", show=False).get_xlabel() == "gene"
        assert ct.pl.density(adata, show=False).get_xlabel() == "UMAP1"
        assert ct.pl.density(adata, of="umap", component=1, show=False).get_xlabel() == "UMAP2"
        with pytest.raises(KeyError, match="is no column of obs, no gene and no representation"):
            ct.pl.density(adata, of="nobody", show=False)
        with pytest.raises(ValueError, match="holds no numbers"):
            ct.pl.density(adata, of="kind", show=False)
        with pytest.raises(ValueError, match="between 0 and 1"):
            ct.pl.density(adata, of="umap", component=2, show=False)

    def test_times_without_a_number_are_left_out(self, adata):
        adata.obs["some"] = adata.obs["value"].where(adata.obs["time"] == 1)
        ax = ct.pl.density(adata, of="some", show=False)
        assert [label.get_text() for label in ax.get_yticklabels()] == ["1"]
        adata.obs["none"] = np.nan
        with pytest.raises(ValueError, match="no cell has a number in 'none'"):
            ct.pl.density(adata, of="none", show=False)


class TestHeldOut:
    @pytest.fixture
    def adata(self, tmp_path):
        times = np.repeat([0.0, 1.0, 2.0, 3.0], 5)
        obs = pd.DataFrame({"time": times, "kind": pd.Categorical(["a", "b"] * 10)})
        x = np.column_stack([times, np.arange(20.0)]).astype(np.float32)
        return reloaded(ad.AnnData(x, obs=obs.rename(index=str)), tmp_path)

    @pytest.fixture
    def predicted(self):
        obs = pd.DataFrame({"time": np.full(7, 2.0)}).rename(index=str)
        return ad.AnnData(np.full((7, 2), -3.0, dtype=np.float32), obs=obs)

    def test_before_held_out_predicted_and_after(self, adata, predicted):
        panels = ct.pl.held_out(adata, predicted, show=False)
        titles = [" ".join(panel.get_title().split()) for panel in panels]
        assert titles == [
            "time 1, before (5 cells)",
            "time 2, held out (5 cells)",
            "time 2, predicted (7 cells)",
            "time 3, after (5 cells)",
        ]
        for k, panel in ((0, panels[0]), (1, panels[1]), (3, panels[3])):
            t = (1.0, 2.0, 2.0, 3.0)[k]
            others, own = panel.collections[:2]
            here = (adata.obs["time"] == t).to_numpy()
            np.testing.assert_allclose(own.get_offsets(), adata.X[here])
            np.testing.assert_allclose(others.get_offsets(), adata.X[~here])
        np.testing.assert_allclose(panels[2].collections[-1].get_offsets(), predicted.X)
        assert len(panels[2].collections[0].get_offsets()) == adata.n_obs
        # both are of one time, and in its colour
        held, drawn = panels[1].collections[1], panels[2].collections[-1]
        np.testing.assert_allclose(held.get_facecolors()[0], drawn.get_facecolors()[0])

    def test_the_last_time_has_no_panel_after(self, adata, predicted):
        predicted.obs["time"] = 3.0
        panels = ct.pl.held_out(adata, predicted, show=False)
        assert [panel.get_title().split("\n")[0] for panel in panels] == [
            "time 2, before",
            "time 3, held out",
            "time 3, predicted",
        ]

    def test_groups_colour_what_is_observed(self, adata, predicted):
        adata.uns["kind_colors"] = ["red", "blue"]
        panels = ct.pl.held_out(adata, predicted, color="kind", show=False)
        shades = {mpl.colors.to_hex(one) for one in panels[1].collections[1].get_facecolors()}
        assert shades == {"#ff0000", "#0000ff"}
        predicted_shade = panels[2].collections[-1].get_facecolors()[0]
        assert mpl.colors.to_hex(predicted_shade) == "#000000"

    def test_over_each_other_in_given_axes(self, adata, predicted):
        _, ax = plt.subplots()
        assert ct.pl.held_out(adata, predicted, ax=ax, show=False) is ax
        np.testing.assert_allclose(ax.collections[-1].get_offsets(), predicted.X)
        assert len(ax.collections[1].get_offsets()) == 5

    def test_what_cannot_be_compared(self, adata, predicted):
        other = predicted.copy()
        other.obs["time"] = 1.5
        with pytest.raises(ValueError, match=r"times \[1\.5\]; keep those of one"):
            ct.pl.held_out(adata, other, show=False)
        other.obs["time"] = np.arange(7) % 2
        with pytest.raises(ValueError, match=r"times \[0\.0, 1\.0\]"):
            ct.pl.held_out(adata, other, show=False)
        with pytest.raises(KeyError, match="no 'time'"):
            ct.pl.held_out(adata, ad.AnnData(predicted.X), show=False)
        with pytest.raises(ValueError, match="predicted has 1 variables but X has 2; pass basis="):
            ct.pl.held_out(adata, predicted[:, :1].copy(), basis="X", show=False)
