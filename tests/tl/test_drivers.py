"""Genes that go with fates are found, for the right cells, and survive a file."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from heard import ours
from scipy.sparse import csc_matrix, csr_matrix
from scipy.stats import false_discovery_control, pearsonr, ttest_1samp

import celltraj as ct
from celltraj._errors import DataWarning

NAMES = ["CD4/CD8", "Mono."]
N, GENES = 90, [f"g{k}" for k in range(8)]


@pytest.fixture
def adata():
    """Return cells of three times; g0 goes with the first fate, g1 with time alone, g7 is flat."""
    rng = np.random.default_rng(0)
    time = np.repeat([0.0, 1.0, 2.0], N // 3)
    share = 1 / (1 + np.exp(-rng.normal(size=N) - 2 * (time - 1)))
    x = np.abs(rng.normal(size=(N, 8)))
    x[:, 0] += 5 * (share - np.poly1d(np.polyfit(time, share, 2))(time))
    x[:, 1] += 3 * time
    x[:, 7] = 0.1
    obs = pd.DataFrame({"time": time, "ct_growth": share - 0.5}, [f"c{k}" for k in range(N)])
    var = pd.DataFrame({"tf": np.arange(8) < 3}, GENES)
    adata = ad.AnnData(x.astype("float32"), obs=obs, var=var)
    adata.obsm["ct_fates"] = np.column_stack([share, 1 - share]).astype("float32")
    params = {"groupby": "arm", "at": 2.0, "time_key": "time"}
    names = np.array(NAMES, dtype=object)
    adata.uns["celltraj"] = {"ct_fates": {"kind": "fates", "params": params, "names": names}}
    return adata


def found(adata, **options):
    ct.tl.drivers(adata, progress=False, **options)
    return ct.get.drivers(adata)


def of(table, gene, fate=NAMES[0]):
    (row,) = table[(table["gene"] == gene) & (table["fate"] == fate)].to_dict("records")
    return row


POOLED = {"time": "pooled"}


def test_every_row_is_what_scipy_finds(adata):
    table = found(adata, confidence=0.9, **POOLED)
    adata = adata[adata.obs["time"] < 2]  # the time of the fates is left out
    assert list(table) == ["gene", "fate", "correlation", "lower", "upper", "p", "q", "n_cells"]
    for row in table.itertuples():
        if row.gene == "g7":
            assert np.isnan([row.correlation, row.lower, row.upper, row.p, row.q]).all()
            continue
        fate = adata.obsm["ct_fates"][:, NAMES.index(row.fate)].astype(float)
        expected = pearsonr(adata.X[:, GENES.index(row.gene)].astype(float), fate)
        interval = expected.confidence_interval(0.9)
        ours = row.correlation, row.lower, row.upper, row.p
        np.testing.assert_allclose(
            ours, (expected.statistic, *interval, expected.pvalue), rtol=1e-6
        )
    for _, its in table.groupby("fate"):
        its = its[its["p"].notna()]
        np.testing.assert_allclose(its["q"], false_discovery_control(its["p"]))


def test_order(adata):
    table = found(adata)
    assert table["fate"].drop_duplicates().tolist() == NAMES
    for _, its in table.groupby("fate"):
        assert its["gene"].iloc[-1] == "g7"
        assert its["correlation"].iloc[:-1].is_monotonic_decreasing
    assert ct.get.drivers(adata, n=2)["fate"].tolist() == [NAMES[0]] * 2 + [NAMES[1]] * 2
    top = ct.get.drivers(adata, fate=NAMES[0], n=1)
    assert top["gene"].tolist() == table["gene"][:1].tolist()


@pytest.mark.parametrize("kind", [csr_matrix, csc_matrix])
def test_sparse_layer(adata, kind):
    expected = found(adata)
    adata.layers["log"] = kind(adata.X)
    adata.X = None
    # float32 is read as float64: in other orders of summing
    pd.testing.assert_frame_equal(found(adata, layer="log"), expected, rtol=1e-9)


def test_cells_and_genes_that_are_asked_for(adata):
    adata.obsm["ct_fates"][adata.obs["time"] == 2] = np.nan
    table = found(adata, genes="tf")
    assert set(table["gene"]) == {"g0", "g1", "g2"}
    assert (table["n_cells"] == 60).all()
    alone = found(adata[adata.obs["time"] < 2].copy(), genes=["g1", "g0", "g2"])
    pd.testing.assert_frame_equal(table, alone)
    at_one = found(adata, time=1)
    assert (at_one["n_cells"] == 30).all()
    pd.testing.assert_frame_equal(at_one, found(adata[adata.obs["time"] == 1].copy()))
    assert (found(adata, time=[0, 1])["n_cells"] == 60).all()


def test_a_number_of_obs(adata):
    table = found(adata, key="ct_growth", time="pooled")
    assert set(table["fate"]) == {"ct_growth"}
    assert of(table, "g0", "ct_growth")["correlation"] == pytest.approx(
        pearsonr(adata.X[:, 0].astype(float), adata.obs["ct_growth"]).statistic
    )
    adata.obs["ct_growth"] = adata.obs["ct_growth"].where(adata.obs["time"] < 2)
    adata.obs.iloc[0, 1] = -np.inf
    with pytest.warns(DataWarning, match="1 cells have infinite values") as caught:
        ct.tl.drivers(adata, key="ct_growth", progress=False)
    assert ours(caught)[0].filename == __file__
    assert (ct.get.drivers(adata)["n_cells"] == 59).all()


class TestPermutation:
    def test_what_changes_with_time_alone_is_not_found(self, adata):
        assert of(found(adata, **POOLED), "g1")["p"] < 1e-6
        table = found(adata, n_permutations=499)
        assert of(table, "g1")["p"] > 0.02  # of uniform p values one in fifty is not
        assert of(table, "g0")["p"] == 1 / 500
        assert np.isnan(of(table, "g7")["p"])
        record = adata.uns["celltraj"]["drivers"]
        assert record["params"]["time_key"] == "time"
        its = table[(table["fate"] == NAMES[0]) & table["p"].notna()]
        np.testing.assert_allclose(its["q"], false_discovery_control(its["p"]))

    def test_seed(self, adata):
        state = np.random.get_state()[1].copy()
        options = {"n_permutations": 99}
        a, b, c = (found(adata, seed=seed, **options) for seed in (0, 0, 1))
        pd.testing.assert_frame_equal(a, b)
        assert not a["p"].equals(c["p"])
        np.testing.assert_array_equal(np.random.get_state()[1], state)


class TestWithinTime:
    def test_of_several_times_it_is_the_correlation_of_what_times_leave(self, adata):
        table = found(adata)
        rows = (adata.obs["time"] < 2).to_numpy()
        time = adata.obs["time"].to_numpy()[rows]
        rest = [
            column - np.array([column[time == t].mean() for t in time])
            for column in (adata.X[rows, 0].astype(float), adata.obsm["ct_fates"][rows, 0])
        ]
        assert of(table, "g0")["correlation"] == pytest.approx(pearsonr(*rest).statistic)
        params = adata.uns["celltraj"]["drivers"]["params"]
        assert (params["within_time"], params["units"]) == (True, "cells")

    def test_of_one_time_it_is_scipys(self, adata):
        row = of(found(adata, time=1), "g0")
        rows = (adata.obs["time"] == 1).to_numpy()
        fate = adata.obsm["ct_fates"][rows, 0].astype(float)
        expected = pearsonr(adata.X[rows, 0].astype(float), fate)
        assert (row["correlation"], row["p"]) == pytest.approx(tuple(expected), rel=1e-6)

    def test_a_gene_that_changes_with_time_is_found_only_over_all_cells(self, adata):
        assert of(found(adata), "g1")["p"] > 0.02
        table = found(adata, time="pooled")
        assert of(table, "g1")["p"] < 1e-6
        assert not adata.uns["celltraj"]["drivers"]["params"]["within_time"]

    def test_without_times_it_says_how_to_go_on(self, adata):
        adata.obs = adata.obs.rename(columns={"time": "day"})
        adata.uns["celltraj"]["ct_fates"]["params"]["time_key"] = "gone"
        with pytest.raises(KeyError, match=r"obs\['gone'\].*that name, or pass time='pooled'"):
            found(adata)
        assert (found(adata, time="pooled")["n_cells"] == 90).all()
        assert "time_key" not in adata.uns["celltraj"]["drivers"]["params"]

    def test_the_column_of_times_is_that_of_the_fates(self, adata):
        adata.obs = adata.obs.rename(columns={"time": "day"})
        adata.uns["celltraj"]["ct_fates"]["params"]["time_key"] = "day"
        assert (found(adata)["n_cells"] == 60).all()
        assert adata.uns["celltraj"]["drivers"]["params"]["time_key"] == "day"
        # of a column of obs nothing is recorded: what all results share
        assert (found(adata, key="ct_growth")["n_cells"] == 90).all()


def test_cells_of_the_time_of_the_fates_are_left_out_and_this_is_said(adata, caplog):
    with caplog.at_level("INFO", "celltraj"):
        table = found(adata)
    assert "30 cells of time 2, at which 'ct_fates' were read, are left out" in caplog.text
    early = adata[adata.obs["time"] < 2].copy()
    pd.testing.assert_frame_equal(table, found(early))
    assert (found(adata, time=[1, 2])["n_cells"] == 60).all()
    assert (found(adata, key="ct_growth")["n_cells"] == 90).all()
    late = adata[adata.obs["time"] == 2].copy()
    with pytest.raises(ValueError, match=r"0 cells have a value.*unless it is named in time="):
        found(late)


class TestSamples:
    @pytest.fixture
    def mice(self, adata):
        adata.obs["mouse"] = [f"m{k % 6}" for k in range(adata.n_obs)]
        return adata

    def test_each_mouse_counts_once(self, mice):
        table = found(mice, sample_key="mouse", time=1, confidence=0.9)
        rows = (mice.obs["time"] == 1).to_numpy()
        fate = mice.obsm["ct_fates"][:, 0].astype(float)
        z = []
        for name in mice.obs["mouse"].unique():
            its = rows & (mice.obs["mouse"] == name).to_numpy()
            z.append(np.arctanh(pearsonr(mice.X[its, 2].astype(float), fate[its]).statistic))
        expected = ttest_1samp(z, 0)
        interval = expected.confidence_interval(0.9)
        row = of(table, "g2")
        ours = row["correlation"], row["lower"], row["upper"], row["p"]
        theirs = *np.tanh([np.mean(z), *interval]), expected.pvalue
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)
        assert (row["n_samples"], row["n_cells"]) == (6, 30)
        params = mice.uns["celltraj"]["drivers"]["params"]
        assert (params["units"], params["sample_key"]) == ("samples", "mouse")
        assert np.isnan(of(table, "g7")["p"])

    def test_what_differs_between_mice_alone_does_not_count(self, mice):
        expected = found(mice, sample_key="mouse")
        code = np.arange(mice.n_obs) % 6
        mice.X = mice.X + 4 * code[:, None]
        mice.obsm["ct_fates"] = mice.obsm["ct_fates"].astype(float) + 0.1 * code[:, None]
        # the order follows the correlations, which are the same up to rounding
        columns = ["correlation", "lower", "upper", "p"]
        again = found(mice, sample_key="mouse").set_index(["gene", "fate"])
        expected = expected.set_index(["gene", "fate"]).loc[again.index]
        is_flat = again.index.get_level_values("gene") == "g7"
        np.testing.assert_allclose(again[columns][~is_flat], expected[columns][~is_flat], rtol=1e-3)

    def test_a_real_driver_is_found(self, mice):
        row = of(found(mice, sample_key="mouse"), "g0")
        assert row["p"] < 0.01
        assert row["lower"] > 0.3
        with pytest.warns(DataWarning, match=r"signs of 4 samples .* below 0.12") as said:
            ct.tl.drivers(
                mice[mice.obs["mouse"] < "m4"].copy(), sample_key="mouse", n_permutations=1000
            )
        assert ours(said)[0].filename == __file__
        row = of(found(mice, sample_key="mouse", n_permutations=1000), "g0")
        assert row["p"] == 2 / 2**6

    def test_a_sparse_matrix_is_a_dense_one(self, mice):
        expected = found(mice, sample_key="mouse")
        mice.X = csr_matrix(mice.X)
        pd.testing.assert_frame_equal(found(mice, sample_key="mouse"), expected, rtol=1e-7)

    def test_mice_without_the_gene_do_not_count(self, mice):
        mice.X[(mice.obs["mouse"] < "m4").to_numpy(), 2] = 0
        mice.X[(mice.obs["mouse"] < "m5").to_numpy(), 3] = 0
        table = found(mice, sample_key="mouse")
        assert of(table, "g2")["n_samples"] == 2
        assert np.isfinite(of(table, "g2")["p"])
        alone = of(table, "g3")
        assert alone["n_samples"] == 1
        assert np.isfinite(alone["correlation"])
        assert np.isnan([alone["lower"], alone["upper"], alone["p"], alone["q"]]).all()

    def test_too_few_cells_or_mice(self, mice):
        name = mice.obs["mouse"].to_numpy(dtype=object)
        mice.obs["mouse"] = np.where(np.arange(90) == 3, "lonely", name)
        with pytest.warns(DataWarning, match=r"1 samples .* left out: \['lonely'\]") as said:
            ct.tl.drivers(mice, sample_key="mouse", progress=False)
        assert ours(said)[0].filename == __file__
        assert (ct.get.drivers(mice)["n_cells"] == 59).all()
        mice.obs["mouse"] = "m0"
        with pytest.raises(ValueError, match=r"the sample \['m0'\].*Leave sample_key= out"):
            found(mice, sample_key="mouse")
        with pytest.raises(KeyError, match=r"adata.obs\['rat'\]"):
            found(mice, sample_key="rat")

    def test_cells_without_a_mouse_are_left_out(self, mice):
        mice.obs["mouse"] = mice.obs["mouse"].where(mice.obs["mouse"] != "m2")
        assert (found(mice, sample_key="mouse")["n_cells"] == 50).all()


@pytest.mark.parametrize("store", ["h5ad", "zarr"])
@pytest.mark.filterwarnings("ignore:Writing zarr v2 data:UserWarning")
def test_round_trip(adata, tmp_path, store):
    table = found(adata, time=[0.0, 1.0], genes=GENES[:3])
    file = tmp_path / f"cells.{store}"
    getattr(adata, f"write_{store}")(file)
    again = getattr(ad, f"read_{store}")(file)
    pd.testing.assert_frame_equal(ct.get.drivers(again), table)
    top = ct.get.drivers(again, fate="CD4/CD8", n=1)
    pd.testing.assert_frame_equal(top, table[:1])
    params = again.uns["celltraj"]["drivers"]["params"]
    assert list(params["time"]) == [0.0, 1.0]


def test_nothing_but_the_record_is_written(adata):
    before = adata.copy()
    found(adata)
    assert set(adata.uns["celltraj"]) == {"ct_fates", "drivers"}
    assert list(adata.obs) == list(before.obs)
    np.testing.assert_array_equal(adata.X, before.X)


def test_doubtful_data_are_pointed_to(adata):
    adata.obsm["ct_fates"][:, 1] = 0.5 + 1e-8 * adata.X[:, 1]
    with pytest.warns(
        DataWarning, match=r"\['Mono.'\] of 'ct_fates' are the same in all cells of each time \(60"
    ) as said:
        ct.tl.drivers(adata, progress=False)
    assert ours(said)[0].filename == __file__
    assert ct.get.drivers(adata, fate="Mono.")["correlation"].isna().all()
    adata.layers["counts"] = np.random.default_rng(0).poisson(40.0, adata.shape).astype("float32")
    adata.obsm["ct_fates"][:, 1] = 1 - adata.obsm["ct_fates"][:, 0]
    with pytest.warns(DataWarning, match=r"layers\['counts'\] looks like raw counts") as said:
        ct.tl.drivers(adata, layer="counts", progress=False)
    assert ours(said)[0].filename == __file__


ERRORS = [
    ({"key": "none"}, KeyError, r"no fates in adata.obsm\['none'\].*ct.tl.fates"),
    ({"genes": ["g1", "GATA1"]}, KeyError, r"1 of 2 genes are missing.*\['GATA1'\]"),
    ({"genes": "g1"}, KeyError, r"no adata.var\['g1'\].*a single gene is genes=\['g1'\]"),
    ({"genes": []}, ValueError, "names no gene"),
    ({"time": 5}, ValueError, r"no cells at time \[5.0\] in adata.obs\['time'\]; found \[0.0, 1.0"),
    ({"layer": "log"}, KeyError, "layers found"),
    ({"confidence": 95}, ValueError, r"confidence must be in \(0, 1\)"),
    ({"n_permutations": 0}, ValueError, "n_permutations must be"),
    ({"key_added": "a/b"}, ValueError, "holds '/'"),
]


@pytest.mark.parametrize(("options", "error", "match"), ERRORS)
def test_errors(adata, options, error, match):
    with pytest.raises(error, match=match):
        ct.tl.drivers(adata, progress=False, **options)
    assert "drivers" not in adata.uns["celltraj"]


def test_errors_of_the_data(adata):
    with pytest.raises(KeyError, match=r"Run ct.tl.drivers\(adata\) first"):
        ct.get.drivers(adata)
    found(adata)
    with pytest.raises(ValueError, match=r"no fate 'NK'; found \['CD4/CD8', 'Mono.'\]"):
        ct.get.drivers(adata, fate="NK")
    with pytest.raises(ValueError, match="n must be at least 1; found 0"):
        ct.get.drivers(adata, n=0)
    adata.var["text"] = "yes"
    with pytest.raises(ValueError, match="must be true or false for every gene"):
        found(adata, genes="text")
    adata.obs["arm"] = "up"
    with pytest.raises(ValueError, match="numbers are needed"):
        found(adata, key="arm")
    adata.obsm["ct_fates"][3:] = np.nan
    with pytest.raises(ValueError, match=r"3 cells have a value of 'ct_fates'.*at least 4"):
        found(adata)
    adata.var_names = ["g"] * adata.n_vars
    with pytest.raises(ValueError, match="var_names_make_unique"):
        found(adata)
