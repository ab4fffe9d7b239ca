"""Couplings within samples from AnnData, and what reads them."""

import anndata as ad
import numpy as np
import pytest

import celltraj as ct
from celltraj._anndata import read_lineage

SILENT = {"progress": False}


@pytest.fixture(scope="module")
def cells():
    """Return three donors, each of which keeps its place in the second variable."""
    rng = np.random.default_rng(0)
    n, times = 36, np.repeat([0.0, 1.0, 2.0], 36)
    donor = np.tile(np.repeat(["a", "b", "c"], 12), 3)
    x = rng.normal(0, 0.3, (3 * n, 2))
    x[:, 0] += times
    x[:, 1] += 0.2 * (donor == "b") + 0.4 * (donor == "c")
    adata = ad.AnnData(x)
    adata.obs["day"] = [f"D{t:g}" for t in times]
    adata.obs["donor"], adata.obs["time"] = donor, times
    return adata


def coupled(cells, **options):
    return ct.tl.couple_samples(cells, sample_key="donor", copy=True, **SILENT | options)


def test_what_reads_couplings_reads_these(cells, tmp_path):
    adata = coupled(cells)
    ct.tl.fates(adata, groupby="donor", **SILENT)
    ct.tl.transitions(adata, groupby="donor", **SILENT)
    ct.tl.push(adata, source=0.0, target=2.0, cells={"donor": "b"}, **SILENT)
    ct.tl.pull(adata, source=0.0, target=2.0, cells={"donor": "c"}, **SILENT)
    ct.tl.growth(adata)
    ct.tl.entropy(adata, **SILENT)
    own = adata.obs["donor"].to_numpy()
    expected = (own[:, None] == np.array(["a", "b", "c"])).astype(float)
    np.testing.assert_allclose(adata.obsm["ct_fates"], expected, atol=1e-6)
    shares = ct.get.transitions(adata, source=1.0, target=2.0)
    np.testing.assert_allclose(shares.to_numpy(dtype=float), np.eye(3), atol=1e-6)
    assert adata.obs["push"][own != "b"].abs().max() < 1e-6
    assert adata.obs["ct_growth"].abs().max() < 1e-5
    adata.write_h5ad(tmp_path / "a.h5ad")
    again = ad.read_h5ad(tmp_path / "a.h5ad")
    ct.tl.fates(again, groupby="donor", **SILENT)
    np.testing.assert_allclose(again.obsm["ct_fates"], expected, atol=1e-6)
    assert ct.get.convergence(again)["sample"].tolist() == ["a", "b", "c"] * 2
    ct.ex.to_cellrank(adata)


def test_one_sample_alone_is_plain_transport(cells):
    adata = cells.copy()
    adata.obs["donor"] = "only"
    plain = ct.tl.couplings(adata, growth=None, epsilon=0.2, copy=True, **SILENT)
    expected = read_lineage(plain, "couplings").lineage.couplings[0].to_dense().numpy()
    rows = [np.flatnonzero(cells.obs["time"] == t) for t in (0.0, 1.0)]
    found = coupled(adata, epsilon=0.2).obsp["couplings"].toarray()[np.ix_(*rows)]
    np.testing.assert_allclose(found, expected, atol=1e-7)


def test_labels_of_times_names_and_order_play_no_part(cells):
    numbers = coupled(cells).obsp["couplings"].toarray()
    labels = coupled(cells, time_key="day").obsp["couplings"].toarray()
    np.testing.assert_array_equal(numbers, labels)
    order = np.random.default_rng(1).permutation(cells.n_obs)
    turned = cells[order].copy()
    turned.obs["donor"] = turned.obs["donor"].map({"a": "z", "b": "y", "c": "x"}).astype("category")
    found = coupled(turned).obsp["couplings"].toarray()
    np.testing.assert_allclose(found, numbers[np.ix_(order, order)], atol=1e-9)


def test_samples_that_are_missing_somewhere_are_named(cells):
    gone = (cells.obs["donor"] == "c") & (cells.obs["time"] == 1.0)
    with pytest.warns(ct.DataWarning, match="samples 'c' have cells on one side only of the gap"):
        adata = coupled(cells[~gone.to_numpy()].copy())
    table = ct.get.convergence(adata)
    assert table[table["mass"] == 0]["sample"].tolist() == ["c", "c"]
    ct.tl.fates(adata, groupby="donor", **SILENT)
    first = (adata.obs["donor"] == "c") & (adata.obs["time"] < 2)
    assert np.isnan(adata.obsm["ct_fates"][first.to_numpy()]).all()


def test_few_cells_of_a_sample_are_said(cells):
    few = cells[
        ~((cells.obs["donor"] == "a").to_numpy() & (np.arange(cells.n_obs) % 12 > 0))
    ].copy()
    with pytest.warns(ct.DataWarning, match=r"fewer than 10 cells at a time: 'a' at 0 \(1\)"):
        adata = coupled(few)
    plan = adata.obsp["couplings"]
    assert plan[0].sum() == pytest.approx(1 / 3)  # its only cell has the mass of its donor


def test_what_cannot_be_coupled_within_is_refused(cells):
    adata = cells.copy()
    adata.obs["embryo"] = adata.obs["donor"] + adata.obs["day"]
    with pytest.raises(ValueError, match=r"was seen at one time.*ct.tl.couplings\(adata\)"):
        ct.tl.couple_samples(adata, sample_key="embryo")
    adata.obs["part"] = np.where(adata.obs["time"] < 1, "early", "late")
    with pytest.raises(ValueError, match="no sample has cells both at time 0 and at 1"):
        ct.tl.couple_samples(adata, sample_key="part")
    adata.obs.loc[adata.obs_names[0], "donor"] = None
    with pytest.raises(ValueError, match="is missing for 1 cells"):
        coupled(adata)
    with pytest.raises(ValueError, match="epsilon must be positive"):
        coupled(cells, epsilon=-1.0)
    with pytest.raises(KeyError, match=r"no samples in adata\.obs"):
        ct.tl.couple_samples(cells, sample_key="mouse")
