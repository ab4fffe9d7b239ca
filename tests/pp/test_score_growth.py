"""Growth guessed from genes: scores, rates, units, sets, errors and files."""

import logging
import os
import re

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from heard import ours
from scipy.sparse import csc_matrix, csr_array, csr_matrix
from scipy.stats import zscore

import celltraj as ct
from celltraj.models import BirthDeath
from celltraj.pp import _score_growth as module
from celltraj.pp._gene_sets import gene_set

DIVISION, DEATH = [f"d{i}" for i in range(12)], [f"a{i}" for i in range(8)]
OTHERS = [f"o{i}" for i in range(20)]
KINDS = {
    "float32": lambda x: x.astype("float32"),
    "csr": csr_matrix,
    "csc": csc_matrix,
    "csr array": csr_array,
}
STORES = {
    "h5ad": (ad.AnnData.write_h5ad, ad.read_h5ad),
    "zarr": (ad.AnnData.write_zarr, ad.read_zarr),
}


def cells(n=60, seed=0, genes=None, **uns):
    genes = [*DIVISION, *OTHERS, *DEATH] if genes is None else list(genes)
    rng = np.random.default_rng(seed)
    x = np.log1p(rng.poisson(rng.gamma(0.5, 2.0, (n, len(genes)))))
    obs = pd.DataFrame(index=[f"c{i}" for i in range(n)])
    return ad.AnnData(x, obs=obs, var=pd.DataFrame(index=genes), uns=uns)


def score(adata, **options):
    """Return an annotated copy."""
    sets = {"proliferation": DIVISION, "apoptosis": DEATH} | options
    return ct.pp.score_growth(adata, copy=True, **sets)


def columns(adata, key="growth_prior"):
    names = [key, f"{key}_proliferation", f"{key}_apoptosis"]
    return adata.obs[names].to_numpy(dtype=float)


def genes_of(adata, key="growth_prior"):
    return adata.uns["celltraj"][key]["genes"]


def test_scores_are_those_of_scipy_and_rates_their_closed_form():
    adata = cells()
    rate, s, a = columns(score(adata)).T
    for found, names in ((s, DIVISION), (a, DEATH)):
        z = zscore(np.asarray(adata[:, names].X), axis=0).clip(-5, 5)
        np.testing.assert_allclose(found, z.mean(1), atol=1e-6)  # float32 of numbers about 1
    # the logistic function written as a hyperbolic tangent
    birth = 1.0 + 0.7 * np.tanh(2 * (s - 0.25) / 0.5)
    death = 1.0 + 0.7 * np.tanh(2 * (a - 0.1) / 0.2)
    np.testing.assert_allclose(rate, birth - death, atol=1e-5)
    assert rate.std() > 0.2  # no rate is at a bound


def test_one_gene_lifts_a_score_by_at_most_five_deviations():
    adata = cells(n=200, genes=["d", "a"])
    adata.X[:, 0] = np.arange(200) == 7  # its standardised value is sqrt(199)
    assert columns(score(adata, proliferation=["d"], apoptosis=["a"]))[7, 1] == 5


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("entries", [1, 2**22])
def test_sparse_and_blockwise_are_dense(kind, entries, monkeypatch):
    adata = cells()
    expected = columns(score(adata))
    monkeypatch.setattr(module, "_ENTRIES", entries)  # one column at a time
    adata.X = KINDS[kind](adata.X)
    # entries in float32 are rounded by 6e-8 of themselves, and the death law's slope is 7
    np.testing.assert_allclose(columns(score(adata)), expected, atol=3e-6)


def test_order_of_cells_and_of_genes_does_not_matter():
    adata = cells()
    expected = columns(score(adata))
    rng = np.random.default_rng(1)
    rows, order = rng.permutation(adata.n_obs), rng.permutation(adata.n_vars)
    np.testing.assert_allclose(columns(score(adata[rows].copy())), expected[rows], atol=1e-6)
    np.testing.assert_allclose(columns(score(adata[:, order].copy())), expected, atol=1e-6)
    turned = score(adata, proliferation=DIVISION[::-1], apoptosis=(*DEATH, *DEATH))
    np.testing.assert_allclose(columns(turned), expected, atol=1e-6)


def test_shift_and_scale_of_a_gene_do_not_matter():
    adata = cells()
    expected = columns(score(adata))
    adata.X = adata.X * np.linspace(0.5, 3, adata.n_vars) + 1.0
    np.testing.assert_allclose(columns(score(adata)), expected, atol=1e-6)


def test_the_layer_is_read_and_nothing_else_is_written():
    adata = cells()
    adata.layers["log"] = adata.X.copy()
    adata.X = np.zeros_like(adata.X)
    found = score(adata, layer="log", key_added="mine")
    np.testing.assert_array_equal(columns(found, "mine"), columns(score(cells())))
    assert list(adata.obs.columns) == []
    assert "celltraj" not in adata.uns
    assert ct.pp.score_growth(found, layer="log", proliferation=DIVISION, apoptosis=DEATH) is None
    assert set(found.uns["celltraj"]) == {"mine", "growth_prior"}
    assert {found.obs[name].dtype for name in found.obs} == {np.dtype("float32")}


@pytest.mark.parametrize(
    ("unit", "days"),
    [("day", 1), ("Days", 1), ("hour", 1 / 24), ("h", 1 / 24), ("weeks", 7), ("minute", 1 / 1440)],
)
def test_rates_are_per_unit_of_time(unit, days):
    expected = columns(score(cells()))[:, 0]
    named = score(cells(time_unit=unit))
    np.testing.assert_allclose(columns(named)[:, 0], expected * days, rtol=2e-7, atol=1e-12)
    assert named.uns["celltraj"]["growth_prior"]["unit"] == f"1/{unit}"
    given = score(cells(time_unit="no unit"), days_per_unit=days)
    np.testing.assert_array_equal(columns(given), columns(named))


@pytest.mark.parametrize(
    ("uns", "text"), [({}, "missing"), ({"time_unit": "stage"}, "'stage', no unit that is known")]
)
def test_a_unit_that_is_not_known_is_told(uns, text, caplog):
    with caplog.at_level(logging.INFO, logger="celltraj"):
        found = score(cells(**uns))
    assert f"rates are per day: adata.uns['time_unit'] is {text}" in caplog.text
    assert "days_per_unit=" in caplog.text
    assert found.uns["celltraj"]["growth_prior"]["unit"] == "1/day"


def test_rates_of_ones_own():
    adata = score(cells(), rates=BirthDeath(birth_max=0.3, death_min=0.0, death_max=0.0))
    np.testing.assert_allclose(adata.obs["growth_prior"], 0.3, rtol=1e-6)
    record = adata.uns["celltraj"]["growth_prior"]["params"]
    assert record["rates"]["name"] == "BirthDeath"
    assert record["rates"]["death_max"] == 0.0


@pytest.mark.parametrize("organism", ["human", "mouse"])
def test_the_sets_of_the_package(organism):
    division, death = (gene_set(name, organism, None) for name in ("proliferation", "apoptosis"))
    assert (len(set(division)), len(set(death))) == (len(division), len(death)) == (97, 161)
    markers = {"human": ("MKI67", "CASP3"), "mouse": ("Mki67", "Casp3")}[organism]
    assert markers[0] in division
    assert markers[1] in death
    adata = cells(genes=dict.fromkeys(division + death))
    built_in = score(adata, organism=organism, proliferation=None, apoptosis=None)
    given = score(adata, proliferation=division, apoptosis=list(death))
    np.testing.assert_array_equal(columns(built_in), columns(given))
    assert (genes_of(built_in)["status"] == "used").all()
    params = built_in.uns["celltraj"]["growth_prior"]["params"]
    assert params["proliferation"] == params["apoptosis"] == "built-in"
    one = score(adata, organism=organism, proliferation=None, apoptosis=death[:5])
    np.testing.assert_array_equal(columns(one)[:, 1], columns(built_in)[:, 1])


def test_missing_and_constant_genes_are_left_out_told_and_recorded(caplog):
    adata = cells()[:, [*DIVISION[2:], *OTHERS, *DEATH]].copy()
    adata.X[:, adata.var_names.get_loc(DIVISION[5])] = 0.1  # whose mean is not 0.1 when rounded
    with caplog.at_level(logging.INFO, logger="celltraj"):
        found = score(adata)
    assert "2 of the 12 genes of proliferation are not in adata.var_names: d0, d1" in caplog.text
    assert "1 of the 12 genes of proliferation are constant: d5" in caplog.text
    table = genes_of(found).set_index("gene")
    assert table["set"].value_counts().to_dict() == {"proliferation": 12, "apoptosis": 8}
    assert table.index[table["status"] == "missing"].tolist() == ["d0", "d1"]
    assert table.index[table["status"] == "constant"].tolist() == ["d5"]
    used = [name for name in DIVISION[2:] if name != "d5"]
    alone = score(adata, proliferation=used)
    np.testing.assert_array_equal(columns(found), columns(alone))


@pytest.mark.filterwarnings("ignore:Writing zarr v2 data:UserWarning")
@pytest.mark.parametrize("store", STORES)
def test_round_trip(store, tmp_path):
    write, read = STORES[store]
    adata = score(cells(time_unit="hour")[:, 1:].copy(), rates=BirthDeath(birth_max=2.0))
    write(adata, tmp_path / "a")
    back = read(tmp_path / "a")
    np.testing.assert_array_equal(columns(back), columns(adata))
    before, after = (one.uns["celltraj"]["growth_prior"] for one in (adata, back))
    assert set(after) == set(before) == {"kind", "places", "params", "version", "unit", "genes"}
    assert after["unit"] == "1/hour"
    assert dict(after["params"]["rates"]) == before["params"]["rates"]
    assert after["genes"].astype(str).to_dict("list") == before["genes"].astype(str).to_dict("list")


def test_backed_and_views(tmp_path):
    expected = columns(score(cells()))
    cells().write_h5ad(tmp_path / "a.h5ad")
    backed = ad.read_h5ad(tmp_path / "a.h5ad", backed="r")
    np.testing.assert_array_equal(columns(score(backed)), expected)
    view = cells()[:, :]
    assert ct.pp.score_growth(view, proliferation=DIVISION, apoptosis=DEATH) is None
    np.testing.assert_array_equal(columns(view), expected)


def test_raw_counts_are_told():
    adata = cells()
    adata.X = np.random.default_rng(0).poisson(30.0, adata.shape).astype(float)
    with pytest.warns(ct.DataWarning, match="looks like raw counts") as told:
        ct.pp.score_growth(adata, proliferation=DIVISION, apoptosis=DEATH)
    assert ours(told)[0].filename == __file__


class TestErrors:
    def test_half_of_a_set_must_be_there(self):
        adata = cells()[:, [*DIVISION[:6], *DEATH]].copy()
        score(adata)  # six of twelve are just enough
        message = (
            "5 of the 12 genes of proliferation are in adata.var_names, and min_share=0.5 asks "
            "for 6; missing: ['d5', 'd6', 'd7', 'd8', 'd9', 'd10', 'd11']. Keep these genes"
        )
        few = adata[:, [*DIVISION[:5], *DEATH]].copy()
        with pytest.raises(ValueError, match=re.escape(message)):
            score(few)
        assert (genes_of(score(few, min_share=0.4))["status"] == "missing").sum() == 7

    def test_organism(self):
        message = re.escape("organism must be one of ('human', 'mouse'); found 'rat'")
        with pytest.raises(ValueError, match=message):
            score(cells(), organism="rat")

    @pytest.mark.parametrize(
        ("options", "error", "message"),
        [
            ({"proliferation": "MKI67"}, TypeError, r"must be a list of texts, such as \["),
            ({"apoptosis": []}, ValueError, "apoptosis holds no genes"),
            ({"min_share": 1.5}, ValueError, "min_share must be between 0 and 1; found 1.5"),
            ({"min_share": np.nan}, ValueError, "min_share must be finite"),
            ({"days_per_unit": 0}, ValueError, "days_per_unit must be a positive number of days"),
            ({"days_per_unit": np.inf}, ValueError, "days_per_unit must be finite"),
            ({"rates": BirthDeath}, TypeError, "pass an instance"),
            ({"rates": 1.0}, TypeError, "rates must be .*such as ct.models.BirthDeath"),
            ({"layer": "log"}, KeyError, "no adata.layers"),
            ({"key_added": "a/b"}, ValueError, "holds '/'"),
        ],
    )
    def test_bad_arguments(self, options, error, message):
        with pytest.raises(error, match=message):
            score(cells(), **options)

    def test_values_that_are_no_numbers(self):
        adata = cells()
        adata.X[3, 0] = np.nan
        with pytest.raises(ValueError, match=r"1 cells have NaN .*first: 'c3'"):
            score(adata)

    def test_names_that_are_not_unique(self):
        adata = cells()
        adata.var_names = [*adata.var_names[:-1], "d0"]
        with pytest.raises(ValueError, match=r"adata.var_names_make_unique\(\)"):
            score(adata)

    def test_no_cells(self):
        with pytest.raises(ValueError, match="adata has no cells"):
            score(cells()[:0].copy())

    @pytest.mark.parametrize("n", [1, 60])
    def test_all_genes_constant(self, n):
        adata = cells()[:n].copy()
        adata.X = np.full_like(adata.X, 0.1)
        with pytest.raises(ValueError, match=f"proliferation are constant in all {n} cells"):
            score(adata)

    def test_a_failure_leaves_no_trace(self):
        adata = cells()
        with pytest.raises(ValueError, match="apoptosis"):
            ct.pp.score_growth(adata, proliferation=DIVISION, apoptosis=["none"])
        assert list(adata.obs.columns) == []
        assert "celltraj" not in adata.uns


@pytest.mark.skipif(not os.environ.get("CELLTRAJ_DATA_DIR"), reason="CELLTRAJ_DATA_DIR unset")
def test_reprogramming_has_few_of_the_genes():
    adata = ct.datasets.reprogramming()
    with pytest.raises(ValueError, match="4 of the 97 genes of proliferation"):
        ct.pp.score_growth(adata, organism="mouse")
    ct.pp.score_growth(adata, organism="mouse", min_share=0.04)
    used = genes_of(adata)
    counts = used[used["status"] == "used"]["set"].value_counts().to_dict()
    assert counts == {"apoptosis": 41, "proliferation": 4}
    assert np.isfinite(columns(adata)).all()
