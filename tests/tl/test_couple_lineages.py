"""Couplings by features and by lineage trees within each time."""

import anndata as ad
import numpy as np
import ot as pot
import pandas as pd
import pytest
from scipy.sparse import csr_matrix

import celltraj as ct

SILENT = {"progress": False}


def families(n_families=4, size=5, seed=0):
    """Return two times of families, each at a height of its own, whose features say nothing.

    The trees of both times have the same shape: the later cells are the earlier ones in another
    order, with other names.
    """
    rng = np.random.default_rng(seed)
    family = np.repeat(np.arange(n_families), size)
    order = rng.permutation(len(family))
    obs = pd.DataFrame(
        {
            "time": np.repeat([0.0, 1.0], len(family)),
            "family": pd.Categorical(np.concatenate([family, family[order]])),
        },
        index=[f"e{k}" for k in range(len(family))] + [f"l{k}" for k in range(len(family))],
    )
    adata = ad.AnnData(0.01 * rng.normal(size=(len(obs), 2)), obs=obs)
    trees = {}
    for time, names in (("0", obs.index[: len(family)]), ("1", obs.index[len(family) :])):
        here = adata.obs.loc[names, "family"]
        parts = [
            f"({','.join(f'{n}:{f + 1}' for n in names[here == f])}):{3 * f + 1}"
            for f in range(n_families)
        ]
        trees[time] = f"({','.join(parts)});"
    adata.uns["trees"] = trees
    return adata


@pytest.fixture
def adata():
    return families()


def kept(adata):
    """Return the share of mass that stays in its family."""
    ct.tl.transitions(adata, groupby="family")
    table = ct.get.transitions(adata)
    return float(np.diag(table.to_numpy(dtype=float)).mean())


def test_families_are_found_by_the_shape_of_their_trees(adata, tmp_path):
    ct.tl.couple_lineages(adata, lineage_key="trees", alpha=1.0, **SILENT)
    assert kept(adata) == pytest.approx(1, abs=1e-6)
    adata.write_h5ad(tmp_path / "cells.h5ad")
    again = ad.read_h5ad(tmp_path / "cells.h5ad")
    ct.tl.fates(again, groupby="family")
    fates = ct.get.fates(again)[(again.obs["time"] == 0).to_numpy()].to_numpy()
    assert (fates.argmax(1) == again.obs["family"].astype(int)[:20]).all()


def test_without_lineages_it_is_transport_of_features(adata):
    ct.tl.couple_lineages(adata, lineage_key="trees", alpha=0.0, **SILENT)
    plan = adata.obsp["couplings"][:20][:, 20:].toarray()
    x = np.asarray(adata.X)
    cost = ct.ot.SquaredEuclidean(x[:20], x[20:])
    even = np.full(20, 1 / 20)
    least = pot.emd2(even, even, cost.dense().numpy())
    np.testing.assert_allclose((plan * cost.dense().numpy()).sum(), least, rtol=1e-6)


def test_distances_in_obsp_are_those_of_the_trees(adata):
    from celltraj._anndata.kin import read_kin

    trees = read_kin(adata, "trees", "time")
    apart = np.full((40, 40), 7.0)
    apart[:20, :20], apart[20:, 20:] = trees(0), trees(1)
    adata.obsp["apart"] = apart
    read = read_kin(adata, "apart", "time")
    for k in (0, 1):
        np.testing.assert_allclose(read(k), trees(k))
    ct.tl.couple_lineages(adata, lineage_key="apart", alpha=1.0, **SILENT)
    assert kept(adata) == pytest.approx(1, abs=1e-6)
    adata.obsp["sparse"] = csr_matrix(np.where(apart > 4, apart, 0))
    with pytest.raises(ValueError, match=r"'sparse' at time 0\.0: the matrix is sparse and holds"):
        ct.tl.couple_lineages(adata, lineage_key="sparse", **SILENT)


def test_what_is_missing_is_named(adata):
    with pytest.raises(KeyError, match=r"neither obsp\['kin'\] with distances nor uns\['kin'\]"):
        ct.tl.couple_lineages(adata, lineage_key="kin", **SILENT)
    with pytest.raises(ValueError, match=r"alpha must lie in \[0, 1\].* found 2"):
        ct.tl.couple_lineages(adata, lineage_key="trees", alpha=2.0, **SILENT)
    few = ct.ot.FusedGromov(max_cells=10)
    with pytest.raises(ValueError, match="more than the 10 a side"):
        ct.tl.couple_lineages(adata, lineage_key="trees", options=few, **SILENT)
    del adata.uns["trees"]["1"]
    with pytest.raises(KeyError, match=r"no tree of the times \['1.0'\]"):
        ct.tl.couple_lineages(adata, lineage_key="trees", **SILENT)
    adata.uns["trees"] = "((e0,e1),e2);"
    with pytest.raises(ValueError, match="17 of 20 cells are no leaves"):
        ct.tl.couple_lineages(adata, lineage_key="trees", **SILENT)
