"""Plots of drivers and conditions draw what the tables say, from a file too."""

import anndata as ad
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import celltraj as ct

NAMES = ["CD4/CD8", "Mono."]
KEYS = {"sample_key": "mouse", "condition_key": "diet"}


@pytest.fixture
def adata(tmp_path):
    """Return cells of eight mice with fates, drivers and conditions, read from a file."""
    rng = np.random.default_rng(0)
    share = rng.uniform(size=200)
    x = rng.normal(size=(200, 9))
    x[:, :2] += np.outer(share - 0.5, [4, -4])
    x[:, 8] = 1.0
    mouse = np.arange(200) % 8
    obs = {"mouse": [f"m{k}" for k in mouse], "diet": np.where(mouse < 4, "fat", "lean")}
    obs["time"] = 0.0
    adata = ad.AnnData(x, obs=pd.DataFrame(obs, [f"c{k}" for k in range(200)]))
    adata.var_names = [f"g{k}" for k in range(9)]
    adata.obsm["ct_fates"] = np.column_stack([share, 1 - share]).astype("float32")
    names = np.array(NAMES, dtype=object)
    adata.uns["celltraj"] = {
        "ct_fates": {"kind": "fates", "params": {"time_key": "time"}, "names": names}
    }
    ct.tl.drivers(adata, progress=False)
    ct.tl.compare_conditions(adata, **KEYS)
    adata.write_h5ad(tmp_path / "cells.h5ad")
    return ad.read_h5ad(tmp_path / "cells.h5ad")


def labels(ax):
    return [text.get_text() for text in ax.get_yticklabels()]


def legend_of(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


class TestDrivers:
    def test_each_fate_has_its_genes(self, adata):
        panels = ct.pl.drivers(adata, n=3, show=False)
        assert [panel.get_title() for panel in panels] == NAMES
        for panel, name in zip(panels, NAMES, strict=True):
            table = ct.get.drivers(adata, fate=name).dropna()
            up = table[table["correlation"] >= 0][:3]
            down = table[table["correlation"] < 0][-3:]
            assert labels(panel) == [*up["gene"], *down["gene"]]
            bars = np.concatenate([one.get_segments() for one in panel.collections[::2]])
            drawn = pd.concat([up, down])
            np.testing.assert_allclose(bars[:, :, 0], drawn[["lower", "upper"]])
            dots = np.concatenate([one.get_offsets() for one in panel.collections[1::2]])
            np.testing.assert_allclose(dots[:, 0], drawn["correlation"])
            faces = np.concatenate([one.get_facecolors() for one in panel.collections[1::2]])
            is_white = (faces == 1).all(1)
            np.testing.assert_array_equal(is_white, drawn["q"] > 0.05)
            assert panel.yaxis_inverted()
        assert panels[0].get_xlabel() == "correlation over 200 cells"
        assert legend_of(panels[0].figure) == ["q ≤ 0.05", "q > 0.05"]

    def test_samples_are_named_where_they_are_the_units(self, adata):
        ct.tl.drivers(adata, sample_key="mouse", progress=False)
        panels = ct.pl.drivers(adata, show=False)
        assert panels[0].get_xlabel() == "mean correlation in 8 samples, 200 cells"

    def test_no_legend_where_all_are_alike(self, adata):
        panels = ct.pl.drivers(adata, n=1, show=False)
        assert labels(panels[0]) == ["g0", "g1"]
        assert panels[0].figure.legends == []

    def test_given_axes(self, adata):
        _, ax = plt.subplots()
        assert ct.pl.drivers(adata, fate="Mono.", ax=ax, show=False) is ax
        assert ax.get_title() == "Mono."
        figure = ct.pl.drivers(adata, show=False, return_fig=True)
        assert isinstance(figure, mpl.figure.Figure)

    def test_six_of_many_fates(self, adata):
        names = np.array([f"fate {k}" for k in range(7)], dtype=object)
        adata.uns["celltraj"]["ct_fates"]["names"] = names
        adata.obsm["ct_fates"] = np.random.default_rng(0).dirichlet(np.ones(7), adata.n_obs)
        ct.tl.drivers(adata, progress=False)
        panels = ct.pl.drivers(adata, show=False)
        assert len(panels) == 6
        assert panels[0].figure.get_suptitle() == "the first 6 of 7 fates"

    def test_errors(self, adata):
        with pytest.raises(KeyError, match=r"Run ct.tl.drivers\(adata\)"):
            ct.pl.drivers(adata, key="mine", show=False)
        with pytest.raises(KeyError, match="and no drivers"):
            ct.pl.drivers(adata, key="conditions", show=False)
        with pytest.raises(ValueError, match=r"no fate \['NK'\]"):
            ct.pl.drivers(adata, fate="NK", show=False)
        with pytest.raises(ValueError, match="ax= holds one fate"):
            ct.pl.drivers(adata, ax=plt.subplots()[1], show=False)
        with pytest.raises(ValueError, match="n must be at least 1"):
            ct.pl.drivers(adata, n=0, show=False)
        ct.tl.drivers(adata, genes=["g8"], progress=False)
        with pytest.raises(ValueError, match="nothing correlates with 'CD4/CD8'"):
            ct.pl.drivers(adata, show=False)


class TestConditions:
    def test_samples_means_and_intervals(self, adata):
        panels = ct.pl.conditions(adata, show=False)
        samples, table = ct.get.conditions(adata, samples=True), ct.get.conditions(adata)
        for panel, name in zip(panels, NAMES, strict=True):
            assert panel.get_title() == name
            its = samples[samples["quantity"] == name].groupby("condition")["value"]
            effect = table[table["quantity"] == name].iloc[0]
            for dots, condition in zip(panel.collections[:2], ("fat", "lean"), strict=True):
                expected = np.sort(its.get_group(condition))
                np.testing.assert_allclose(dots.get_offsets()[:, 0], expected)
            bar = panel.collections[-1].get_segments()[0][:, 0]
            base = its.get_group("fat").mean()
            np.testing.assert_allclose(bar, base + effect[["lower", "upper"]].to_numpy(float))
            assert panel.texts[0].get_text() == f"p = {effect['p']:.2g}"
            assert panel.get_xlabel() == "share of descendants"
        assert labels(panels[0]) == ["fat", "lean"]
        assert "difference from fat" in legend_of(panels[0].figure)[1]

    def test_pairs_are_joined(self, adata):
        adata.obs["mouse"] = (
            adata.obs["mouse"].astype(str).replace({f"m{k}": f"m{k - 4}" for k in range(4, 8)})
        )
        adata.obs["value"] = adata.obsm["ct_fates"][:, 0]
        with pytest.warns(UserWarning, match="no p can be below"):
            ct.tl.compare_conditions(adata, of="value", **KEYS)
        (panel,) = ct.pl.conditions(adata, show=False)
        lines = np.sort([line.get_xdata() for line in panel.lines], axis=0)
        wide = ct.get.conditions(adata, samples=True).pivot(
            index="sample", columns="condition", values="value"
        )
        np.testing.assert_allclose(lines, np.sort(wide[["fat", "lean"]], axis=0))
        assert panel.get_xlabel() == "mean over cells"
        assert legend_of(panel.figure)[0] == "sample, joined to itself"

    def test_given_axes_and_labels(self, adata):
        _, ax = plt.subplots()
        assert ct.pl.conditions(adata, quantity="Mono.", ax=ax, show=False) is ax
        adata.obs["ct_growth"] = adata.obsm["ct_fates"][:, 0]
        adata.uns["time_unit"] = "days"
        ct.tl.compare_conditions(adata, of="growth", **KEYS)
        (panel,) = ct.pl.conditions(adata, show=False)
        assert panel.get_xlabel() == "growth (1/days)"
        adata.obs["kind"] = [f"kind {k % 13}" for k in range(adata.n_obs)]
        ct.tl.compare_conditions(adata, of="kind", **KEYS)
        panels = ct.pl.conditions(adata, show=False)
        assert len(panels) == 12
        assert panels[-1].get_xlabel() == "share of cells"
        said = panels[0].figure.get_suptitle()
        assert said == "the 12 quantities with the least p, of 13"
        dropped = ct.get.conditions(adata).sort_values("p", kind="stable")["quantity"].iloc[-1]
        assert dropped not in [panel.get_title() for panel in panels]

    def test_errors(self, adata):
        with pytest.raises(KeyError, match=r"Run ct.tl.compare_conditions\(adata"):
            ct.pl.conditions(adata, key="mine", show=False)
        with pytest.raises(ValueError, match=r"no quantity \['NK'\]"):
            ct.pl.conditions(adata, quantity="NK", show=False)
        with pytest.raises(ValueError, match="ax= holds one quantity"):
            ct.pl.conditions(adata, ax=plt.subplots()[1], show=False)
