"""Slow modes of AnnData: what is written, read and drawn, and what is refused."""

import anndata as ad
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import adjusted_rand_score

import celltraj as ct

SILENT = {"progress": False}


class DoubleWell:
    """Roll down ``(x^2 - 1)^2 + y^2 / 2``."""

    def drift(self, t, x):
        return torch.cat([-4 * x[:, :1] * (x[:, :1].square() - 1), -x[:, 1:]], 1)

    def diffusion(self, t, x):
        return torch.full_like(x, 0.8)


class Growing(DoubleWell):
    def growth(self, t, x):
        return x[:, 0]


class Driven(DoubleWell):
    def drift(self, t, x):
        return super().drift(t, x) + t


class Heated(DoubleWell):
    def diffusion(self, t, x):
        return torch.full_like(x, 0.8 + t)


def in_wells(n=600, *, times=("d0", "d1", "d2")):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, 2)) * [0.3, 0.5]
    x[:, 0] += np.where(rng.random(n) < 0.5, -1, 1)
    obs = pd.DataFrame({"time": np.resize(times, n)}, index=[f"c{i}" for i in range(n)])
    return ad.AnnData(x, obs=obs)


@pytest.fixture(scope="module")
def course():
    adata = ct.datasets.branching(n_cells=80, seed=0)
    ct.tl.couplings(adata, **SILENT)
    ct.tl.slow_modes(adata, **SILENT)
    return adata


@pytest.fixture(scope="module")
def wells():
    adata = in_wells()
    ct.tl.slow_modes(adata, DoubleWell(), n_modes=3, **SILENT)
    return adata


def test_arms_are_found_without_annotation(course):
    last = course.obs["time"] == 4
    terminal = course.obs["ct_modes_terminal"]
    assert terminal[last].notna().all()
    assert terminal[~last].isna().all()
    assert adjusted_rand_score(course.obs["arm"][last], terminal[last]) > 0.8
    initial = course.obs["ct_modes_initial"]
    assert (initial.notna() == (course.obs["time"] == 0)).all()
    assert set(course.obs["ct_modes_metastable"]) == {"0", "1"}
    assert course.obsm["ct_modes"].shape == (course.n_obs, 6)
    assert course.obsm["ct_modes"].dtype == np.float32


def test_the_tables_of_couplings(course):
    table = ct.get.slow_modes(course)
    assert (table["by"] == "couplings").all()
    np.testing.assert_allclose(table["rate"], -np.log(table["singular_value"]) / 4)
    np.testing.assert_allclose(table["time"] * table["rate"], 1)
    assert (table["lower"] < table["rate"]).all()
    assert (table["rate"] < table["upper"]).all()
    sets = ct.get.slow_modes(course, kind="sets")
    np.testing.assert_allclose(sets.groupby("time")["share"].sum(), 1)
    decided = sets.groupby("time")["decided"].mean()
    assert decided.is_monotonic_increasing
    assert decided[0.0] < 0.9 < decided[3.0]


def test_the_tables_of_a_law_say_which_number_is_which(wells):
    table = ct.get.slow_modes(wells).set_index(["mode", "by"])
    assert table.index.tolist()[:2] == [(1, "features"), (1, "crossings")]
    # .0711 by the generator on a grid, see tests/models/modes; 200 crossings tell it to 7 %
    assert table.loc[(1, "crossings"), "rate"] == pytest.approx(0.0711, rel=0.25)
    rates = ct.get.slow_modes(wells, kind="rates")
    assert rates[["source", "target"]].values.tolist() == [["0", "1"], ["1", "0"]]
    assert rates["rate"].sum() == pytest.approx(table.loc[(1, "crossings"), "rate"])
    np.testing.assert_allclose(rates["crossings"] / rates["at_risk"], rates["rate"])
    sets = ct.get.slow_modes(wells, kind="sets")
    assert (sets["stays"] > 0.9).all()
    side = wells.X[:, 0] > 0
    assert adjusted_rand_score(side, wells.obs["ct_modes_metastable"]) > 0.95
    last = wells.obs["time"] == "d2"
    assert (wells.obs["ct_modes_terminal"].notna() == last).all()


def test_what_is_written_comes_back_from_a_file_and_is_drawn(course, wells, tmp_path):
    for adata, kinds in ((course, ["scales", "sets"]), (wells, ["scales", "sets", "rates"])):
        adata.write_h5ad(tmp_path / "a.h5ad")
        again = ad.read_h5ad(tmp_path / "a.h5ad")
        for kind in kinds:
            one, two = (ct.get.slow_modes(a, kind=kind) for a in (again, adata))
            pd.testing.assert_frame_equal(one, two)
        pd.testing.assert_series_equal(
            again.obs["ct_modes_terminal"], adata.obs["ct_modes_terminal"]
        )
        ax = ct.pl.slow_modes(again, show=False)
        assert ax.get_xscale() == "log"
        legend = ax.get_legend()
        names = [] if legend is None else [text.get_text() for text in legend.get_texts()]
        assert any("crossings" in name for name in names) == (adata is wells)
        panels = ct.pl.slow_modes(again, kind="embedding", basis="X", n_modes=2, show=False)
        assert [panel.get_title() for panel in panels] == ["mode 1", "mode 2"]
        plt.close("all")


def test_pictures_that_cannot_be_are_refused(course):
    with pytest.raises(ValueError, match="kind must be one of"):
        ct.pl.slow_modes(course, kind="tree")
    with pytest.raises(ValueError, match="kind='scales' has no cmap"):
        ct.pl.slow_modes(course, cmap="magma")
    _, ax = plt.subplots()
    with pytest.raises(ValueError, match="ax= holds one mode; pass n_modes=1"):
        ct.pl.slow_modes(course, kind="embedding", ax=ax)
    plt.close("all")


def test_the_order_of_cells_does_not_matter(course):
    turned = course[np.random.default_rng(0).permutation(course.n_obs)].copy()
    again = ct.tl.slow_modes(turned, key_added="again", copy=True, **SILENT)
    one, two = (ct.get.slow_modes(a, key=k) for a, k in ((again, "again"), (course, "ct_modes")))
    np.testing.assert_allclose(one["singular_value"], two["singular_value"], atol=1e-6)
    same = again.obs["again_metastable"] == course.obs["ct_modes_metastable"][again.obs_names]
    assert same.mean() > 0.99


def test_the_global_state_is_left_alone(course):
    before = np.random.get_state()[1].copy(), torch.get_rng_state()
    one = ct.tl.slow_modes(course, copy=True, **SILENT)
    two = ct.tl.slow_modes(course, copy=True, **SILENT)
    np.testing.assert_array_equal(before[0], np.random.get_state()[1])
    assert torch.equal(before[1], torch.get_rng_state())
    pd.testing.assert_frame_equal(ct.get.slow_modes(one), ct.get.slow_modes(two))


def test_couplings_of_a_single_gap_and_a_part_of_the_course_will_do(course):
    adata = course.copy()
    with pytest.raises(KeyError, match="holds no rates between sets"):
        ct.get.slow_modes(adata, kind="rates")
    ct.tl.slow_modes(adata, source=3.0, target=4.0, n_modes=2, **SILENT)
    inside = adata.obs["time"] >= 3
    assert np.isfinite(adata.obsm["ct_modes"]).all(1).tolist() == inside.tolist()
    two = adata[inside].copy()
    ct.tl.slow_modes(two, key_added="alone", n_modes=2, **SILENT)
    pd.testing.assert_frame_equal(
        ct.get.slow_modes(two, key="alone"), ct.get.slow_modes(adata), rtol=1e-5
    )


def test_cells_count_by_their_descendants_where_they_divide():
    adata = ct.datasets.branching(n_cells=80, growth=(1.0, 0.0), seed=0)
    ct.tl.couplings(adata, counts="population", growth_key="growth_rate", **SILENT)
    ct.tl.slow_modes(adata, source=2.0, n_sets=2, **SILENT)
    sets = ct.get.slow_modes(adata, kind="sets")
    arm = adata.obs["arm"][adata.obs["time"] == 4]
    share = max((arm == name).mean() for name in ("upper", "lower"))
    # descendants at the last time: the same share of the fast arm from the start; 300 cells tell
    # it to .02, and other shares at other times carry some cells across
    first = sets[sets["time"] == 2.0]["share"].max()
    assert first == pytest.approx(share, abs=0.1)
    assert share > 0.8


def test_a_law_at_a_single_time_has_sets_and_no_ends():
    adata = in_wells(times=("d1",))
    ct.tl.slow_modes(adata, DoubleWell(), n_modes=2, **SILENT)
    assert "ct_modes_metastable" in adata.obs
    assert "ct_modes_terminal" not in adata.obs
    adata.obs.drop(columns="time", inplace=True)
    del adata.uns["celltraj"], adata.obs["ct_modes_metastable"], adata.obsm["ct_modes"]
    ct.tl.slow_modes(adata, DoubleWell(), n_modes=2, **SILENT)
    assert ct.get.slow_modes(adata, kind="sets")["share"].sum() == pytest.approx(1)


def test_cells_of_one_well_are_one_set():
    pull = ct.models.OrnsteinUhlenbeck(matrix=-torch.eye(2), shift=torch.zeros(2), sigma=0.5)
    adata = in_wells(300)
    with pytest.warns(ct.DataWarning, match="all cells are of one"):
        ct.tl.slow_modes(adata, pull, n_modes=3, **SILENT)
    assert set(adata.obs["ct_modes_metastable"]) == {"0"}
    np.testing.assert_allclose(ct.get.slow_modes(adata)["rate"][:2], 1, rtol=1e-6)


def test_laws_that_have_no_modes_are_refused_by_name(course):
    adata = in_wells(300)
    for law, message in (
        (Driven(), "the drift of this Driven is another at other times"),
        (Heated(), "the diffusion of this Heated is another"),
        (Growing(), "cells of this Growing divide and die"),
        (ct.models.Brownian(0.5), "Brownian does not keep these cells together"),
    ):
        with pytest.raises(ValueError, match=message):
            ct.tl.slow_modes(adata, law, **SILENT)
    push = ct.models.OrnsteinUhlenbeck(matrix=torch.eye(2), shift=torch.zeros(2), sigma=0.5)
    with pytest.raises(ValueError, match="does not keep these cells together"):
        ct.tl.slow_modes(adata, push, **SILENT)
    bridge = ct.tl.fit_bridge(course.copy(), growth=None, training=None, **SILENT)
    with pytest.raises(
        ValueError, match=r"Bridge depends on time.*ct.tl.couplings\(adata, model\)"
    ):
        ct.tl.slow_modes(course, bridge, key_added="law", **SILENT)
    assert "law" not in course.uns["celltraj"]


def test_what_is_wrongly_asked_is_refused(course):
    with pytest.raises(KeyError, match="no couplings 'couplings'"):
        ct.tl.slow_modes(in_wells(30), **SILENT)
    with pytest.raises(ValueError, match=r"no cells at time 2\.5"):
        ct.tl.slow_modes(course, source=2.5, **SILENT)
    with pytest.raises(ValueError, match="must be before"):
        ct.tl.slow_modes(course, source=3.0, target=2.0, **SILENT)
    with pytest.raises(ValueError, match=r"n_sets must lie between 1 and n_modes \+ 1 = 3"):
        ct.tl.slow_modes(course, n_modes=2, n_sets=4, **SILENT)
    with pytest.raises(ValueError, match="need more cells than that at both ends"):
        ct.tl.slow_modes(course, n_modes=100, **SILENT)
    with pytest.raises(ValueError, match="couplings know theirs"):
        ct.tl.slow_modes(course, use_rep="X", **SILENT)
    with pytest.raises(ValueError, match="are times of couplings"):
        ct.tl.slow_modes(course, DoubleWell(), source=1.0, **SILENT)
    with pytest.raises(ValueError, match="need 30 cells at least, ten for each of 3 linear"):
        ct.tl.slow_modes(in_wells(20), DoubleWell(), **SILENT)
    with pytest.raises(ValueError, match="kind must be one of"):
        ct.get.slow_modes(course, kind="modes")
