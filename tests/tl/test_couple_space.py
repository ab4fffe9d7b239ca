"""Slices of a tissue: couplings, registration and slices in between, on a tissue that is known."""

import anndata
import numpy as np
import pytest

import celltraj as ct
from celltraj.datasets._growing_tissue import flowed

SILENT = {"progress": False}


@pytest.fixture(scope="module")
def tissue():
    return ct.datasets.growing_tissue(n_cells=250, seed=1)


@pytest.fixture(scope="module")
def coupled(tissue):
    return ct.tl.couple_space(tissue, copy=True, **SILENT)


def moved(adata, times=(0.0,), angle=1.0, scale=40.0):
    """Return the cells with some slices in another frame and unit."""
    adata = adata.copy()
    c, s = np.cos(angle), np.sin(angle)
    here = adata.obs["time"].isin(times).to_numpy()
    places = adata.obsm["spatial"].copy()
    places[here] = scale * places[here] @ np.array([[c, s], [-s, c]]) + 100
    adata.obsm["spatial"] = places
    return adata


@pytest.mark.parametrize("method", ["registration", pytest.param("gromov", marks=pytest.mark.slow)])
def test_the_tissue_turns_and_swells_as_it_truly_does(tissue, coupled, method):
    adata = coupled
    if method == "gromov":
        adata = ct.tl.couple_space(tissue, method=method, copy=True, **SILENT)
    found = ct.get.registration(adata)
    # half a radian and a quarter per unit of time; a stretch of .08 is no part of a similarity, and
    # it turns with the tissue: it may add half its size to either
    assert np.abs(found["angle"] - np.degrees(0.5)).max() < 9
    assert np.abs(np.log(found["scale"]) - 0.25).max() < 0.08


def test_what_reads_couplings_reads_these(coupled):
    adata = coupled.copy()
    ct.tl.fates(adata, groupby="domain", **SILENT)
    ct.tl.push(adata, source=0.0, target=2.0, cells={"domain": "north"}, **SILENT)
    ct.tl.growth(adata)
    ct.tl.transitions(adata, groupby="domain", **SILENT)
    stay = ct.get.transitions(adata, source=0.0, target=1.0)
    assert np.diag(stay).mean() > 0.8  # domains are of cells that stay in them
    rates = adata.obs["ct_growth"].groupby(adata.obs["domain"], observed=True).mean()
    assert rates["north"] > rates["east"]


def test_the_frame_and_unit_of_a_slice_change_nothing(tissue, coupled):
    with pytest.warns(ct.DataWarning, match="may be in different units"):
        other = ct.tl.couple_space(moved(tissue), copy=True, **SILENT)
    # places of the last slice, to which all are registered, are the same
    first, second = (one.obsm["couplings_registered"] for one in (coupled, other))
    assert np.abs(first - second).max() < 0.02 * first.std()
    ct.tl.transitions(coupled, groupby="domain", **SILENT)
    ct.tl.transitions(other, groupby="domain", **SILENT)
    shares = [ct.get.transitions(one, source=0.0, target=1.0) for one in (coupled, other)]
    np.testing.assert_allclose(*shares, atol=0.02)


def test_a_slice_in_between_is_where_it_truly_is(tissue):
    ends = tissue[tissue.obs["time"] != 1].copy()
    ct.tl.couple_space(ends, **SILENT)
    between = ct.tl.interpolate_slice(ends, at=1.0, n_cells=400)
    origin = ends[between.obs["source"]].obsm["origin"]
    away = between.obsm["spatial"] - flowed(origin, 1.0)
    straight = (
        ends[between.obs["source"]].obsm["spatial"] + ends[between.obs["target"]].obsm["spatial"]
    ) / 2
    error, plain = (
        float(np.sqrt(np.square(one).sum(1).mean()))
        for one in (away, straight - flowed(origin, 1.0))
    )
    assert error < 0.25  # of cells a tenth of the tissue apart: radius 1.3
    assert error < plain
    assert set(between.obs["time"]) == {1.0}
    sources = ends[between.obs["source"]].obs["time"]
    assert set(sources) == {0.0}


def test_at_its_ends_it_is_the_slices_themselves(coupled):
    for at, name in ((1.0, "source"), (2.0, "target")):
        found = ct.tl.interpolate_slice(coupled, at=at, n_cells=30)
        own = coupled[found.obs[name if at == 2 else "source"]]
        np.testing.assert_allclose(found.obsm["spatial"], own.obsm["spatial"], atol=1e-9)
        np.testing.assert_allclose(found.X, own.X, atol=1e-5)


def test_slices_in_three_dimensions(tissue):
    adata = tissue[tissue.obs["time"] < 2].copy()
    height = np.random.default_rng(0).uniform(-0.3, 0.3, adata.n_obs)
    adata.obsm["spatial"] = np.column_stack([adata.obsm["spatial"], height])
    ct.tl.couple_space(adata, **SILENT)
    found = ct.get.registration(adata)
    assert abs(found["angle"][0] - np.degrees(0.5)) < 10
    assert ct.tl.interpolate_slice(adata, at=0.5, n_cells=5).obsm["spatial"].shape == (5, 3)


def test_it_is_read_from_a_file(coupled, tmp_path):
    coupled.write_h5ad(tmp_path / "slices.h5ad")
    again = anndata.read_h5ad(tmp_path / "slices.h5ad")
    first, second = (
        ct.tl.interpolate_slice(one, at=0.5, n_cells=20).obsm["spatial"] for one in (coupled, again)
    )
    np.testing.assert_array_equal(first, second)


def test_options_are_those_that_are_given(tissue):
    two = tissue[tissue.obs["time"] < 2].copy()
    firm = ct.ot.Registration(tau=(1.0, 1.0), n_cells=100)
    ct.tl.couple_space(two, method=firm, alpha=0.3, epsilon=0.5, **SILENT)
    params = two.uns["celltraj"]["couplings"]["params"]
    assert params["options"]["alpha"] == 0.3
    assert ct.get.convergence(two)["mass"][0] == pytest.approx(1)
    assert ct.get.convergence(two)["epsilon"][0] == 0.5


def test_growth_is_expected(tissue):
    two = tissue[tissue.obs["time"] < 2].copy()
    firm = ct.ot.Registration(tau=(1.0, 1.0))
    ct.tl.couple_space(two, method=firm, growth_key="growth_rate", **SILENT)
    ct.tl.growth(two)
    found = two.obs["ct_growth"][two.obs["time"] == 0]
    given = two.obs["growth_rate"][two.obs["time"] == 0]
    np.testing.assert_allclose(found - given, (found - given).mean(), atol=1e-4)


class TestRefused:
    def test_places_that_are_not_there(self, tissue):
        with pytest.raises(KeyError, match=r"no obsm\['xy'\] with the places"):
            ct.tl.couple_space(tissue, spatial_key="xy", **SILENT)
        adata = tissue.copy()
        adata.obsm["spatial"][3, 0] = np.nan
        with pytest.raises(ValueError, match=r"missing or infinite for 1 of .* couple all without"):
            ct.tl.couple_space(adata, **SILENT)

    def test_a_slice_that_is_a_point(self, tissue):
        adata = tissue.copy()
        adata.obsm["spatial"][(adata.obs["time"] == 1).to_numpy()] = 2.0
        with pytest.raises(ValueError, match=r"times \['1.0'\] lie at one point"):
            ct.tl.couple_space(adata, **SILENT)

    @pytest.mark.parametrize("value", [np.nan, 0.0])
    def test_two_dimensions_beside_three(self, tissue, value):
        adata = tissue.copy()
        height = np.random.default_rng(0).uniform(size=adata.n_obs)
        height[(adata.obs["time"] == 0).to_numpy()] = value
        adata.obsm["spatial"] = np.column_stack([adata.obsm["spatial"], height])
        with pytest.raises(ValueError, match="in two and in three dimensions have no similarity"):
            ct.tl.couple_space(adata, **SILENT)

    def test_other_numbers_of_dimensions(self, tissue):
        adata = tissue.copy()
        adata.obsm["spatial"] = adata.X.copy()
        with pytest.raises(ValueError, match="must hold two or three coordinates"):
            ct.tl.couple_space(adata, **SILENT)

    def test_weights_out_of_range(self, tissue):
        with pytest.raises(ValueError, match=r"alpha must lie in \[0, 1\].*found 1.2"):
            ct.tl.couple_space(tissue, alpha=1.2, **SILENT)
        with pytest.raises(ValueError, match="have no slice between them: mirror the places"):
            ct.tl.couple_space(tissue, method=ct.ot.Registration(reflects=True), **SILENT)

    def test_more_cells_than_distances_are_for(self, tissue):
        few = ct.ot.FusedGromov(max_cells=100)
        with pytest.raises(ValueError, match="more than the 100 a side"):
            ct.tl.couple_space(tissue, method=few, **SILENT)

    def test_couplings_without_places(self, tissue):
        adata = tissue.copy()
        ct.tl.couplings(adata, growth=None, **SILENT)
        with pytest.raises(KeyError, match=r"know no places; run ct\.tl\.couple_space"):
            ct.tl.interpolate_slice(adata, at=0.5)

    def test_places_that_changed_since(self, coupled):
        adata = coupled.copy()
        adata.obsm["spatial"] = adata.obsm["spatial"] + 1
        with pytest.raises(ValueError, match=r"places in adata.obsm\['spatial'\] have changed"):
            ct.tl.interpolate_slice(adata, at=0.5)

    def test_times_outside(self, coupled):
        with pytest.raises(ValueError, match="lies outside the observed"):
            ct.tl.interpolate_slice(coupled, at=3.0)
