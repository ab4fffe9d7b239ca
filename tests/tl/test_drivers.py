"""Genes that go with fates are found, for the right cells, and survive a file."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csc_matrix, csr_matrix
from scipy.stats import false_discovery_control, pearsonr

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
    adata.uns["celltraj"] = {"ct_fates": {"params": params, "names": names}}
    return adata


def found(adata, **options):
    ct.tl.drivers(adata, progress=False, **options)
    return ct.get.drivers(adata)


def of(table, gene, fate=NAMES[0]):
    (row,) = table[(table["gene"] == gene) & (table["fate"] == fate)].to_dict("records")
    return row


def test_every_row_is_what_scipy_finds(adata):
    table = found(adata, confidence=0.9)
    assert list(table) == ["gene", "fate", "correlation", "lower", "upper", "p", "q", "n_cells"]
    for row in table.itertuples():
        if row.gene == "g7":
            assert np.isnan([row.correlation, row.lower, row.upper, row.p, row.q]).all()
            continue
        fate = adata.obsm["ct_fates"][:, NAMES.index(row.fate)].astype(float)
        expected = pearsonr(adata.X[:, GENES.index(row.gene)].astype(float), fate)
        interval = expected.confidence_interval(0.9)
        ours = row.correlation, row.lower, row.upper
        np.testing.assert_allclose(ours, (expected.statistic, *interval), rtol=1e-6)
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


def test_cells_genes_and_fates_that_are_asked_for(adata):
    adata.obsm["ct_fates"][adata.obs["time"] == 2] = np.nan
    table = found(adata, groups=NAMES[1], genes="tf")
    assert set(table["gene"]) == {"g0", "g1", "g2"}
    assert set(table["fate"]) == {NAMES[1]}
    assert (table["n_cells"] == 60).all()
    alone = found(adata[adata.obs["time"] < 2].copy(), groups=NAMES[1], genes=["g1", "g0", "g2"])
    pd.testing.assert_frame_equal(table, alone)
    at_one = found(adata, time=1)
    assert (at_one["n_cells"] == 30).all()
    pd.testing.assert_frame_equal(at_one, found(adata[adata.obs["time"] == 1].copy()))
    assert (found(adata, time=[0, 1])["n_cells"] == 60).all()


def test_a_number_of_obs(adata):
    table = found(adata, key="ct_growth")
    assert set(table["fate"]) == {"ct_growth"}
    assert of(table, "g0", "ct_growth")["correlation"] == pytest.approx(
        pearsonr(adata.X[:, 0].astype(float), adata.obs["ct_growth"]).statistic
    )
    adata.obs["ct_growth"] = adata.obs["ct_growth"].where(adata.obs["time"] < 2)
    adata.obs.iloc[0, 1] = -np.inf
    with pytest.warns(DataWarning, match="1 cells have infinite values") as caught:
        ct.tl.drivers(adata, key="ct_growth", progress=False)
    assert caught[0].filename == __file__
    assert (ct.get.drivers(adata)["n_cells"] == 59).all()


class TestPermutation:
    def test_what_changes_with_time_alone_is_not_found(self, adata):
        assert of(found(adata), "g1")["p"] < 1e-6
        table = found(adata, method="permutation", n_permutations=499)
        assert of(table, "g1")["p"] > 0.02  # of uniform p values one in fifty is not
        assert of(table, "g0")["p"] == 1 / 500
        assert np.isnan(of(table, "g7")["p"])
        record = adata.uns["celltraj"]["drivers"]
        assert record["params"]["time_key"] == "time"
        its = table[(table["fate"] == NAMES[0]) & table["p"].notna()]
        np.testing.assert_allclose(its["q"], false_discovery_control(its["p"]))

    def test_seed(self, adata):
        state = np.random.get_state()[1].copy()
        options = {"method": "permutation", "n_permutations": 99}
        a, b, c = (found(adata, seed=seed, **options) for seed in (0, 0, 1))
        pd.testing.assert_frame_equal(a, b)
        assert not a["p"].equals(c["p"])
        np.testing.assert_array_equal(np.random.get_state()[1], state)


@pytest.mark.parametrize("store", ["h5ad", "zarr"])
@pytest.mark.filterwarnings("ignore:Writing zarr v2 data:UserWarning")
def test_round_trip(adata, tmp_path, store):
    table = found(adata, time=[0.0, 1.0], genes=GENES[:3], groups=NAMES)
    file = tmp_path / f"cells.{store}"
    getattr(adata, f"write_{store}")(file)
    again = getattr(ad, f"read_{store}")(file)
    pd.testing.assert_frame_equal(ct.get.drivers(again), table)
    top = ct.get.drivers(again, fate="CD4/CD8", n=1)
    pd.testing.assert_frame_equal(top, table[:1])
    params = again.uns["celltraj"]["drivers"]["params"]
    assert list(params["groups"]) == NAMES
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
        DataWarning, match=r"\['Mono.'\] of 'ct_fates' are the same in all 90"
    ) as said:
        ct.tl.drivers(adata, progress=False)
    assert said[0].filename == __file__
    assert ct.get.drivers(adata, fate="Mono.")["correlation"].isna().all()
    adata.layers["counts"] = np.random.default_rng(0).poisson(40.0, adata.shape).astype("float32")
    with pytest.warns(DataWarning, match=r"layers\['counts'\] looks like raw counts") as said:
        ct.tl.drivers(adata, layer="counts", groups=NAMES[0], progress=False)
    assert said[0].filename == __file__


ERRORS = [
    ({"key": "none"}, KeyError, r"no fates in adata.obsm\['none'\].*ct.tl.fates"),
    ({"genes": ["g1", "GATA1"]}, KeyError, r"1 of 2 genes are missing.*\['GATA1'\]"),
    ({"genes": "g1"}, KeyError, r"no adata.var\['g1'\].*a single gene is genes=\['g1'\]"),
    ({"genes": []}, ValueError, "names no gene"),
    ({"groups": "NK"}, ValueError, r"no \['NK'\]; found \['CD4/CD8', 'Mono.'\]"),
    ({"time": 5}, ValueError, r"no cells at time \[5.0\] in adata.obs\['time'\]; found \[0.0, 1.0"),
    ({"layer": "log"}, KeyError, "layers found"),
    ({"method": "t"}, ValueError, "method must be one of"),
    ({"confidence": 95}, ValueError, "confidence must lie between 0 and 1"),
    ({"method": "permutation", "n_permutations": 0}, ValueError, "n_permutations must be"),
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
