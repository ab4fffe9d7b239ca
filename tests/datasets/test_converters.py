"""Check each converter on a small file of its format, against what was written into it."""

import os
import pickle

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from celltraj.datasets._sources import components, snapshots, tables
from celltraj.datasets._sources.array_files import read_snapshots
from celltraj.datasets._sources.larry import larry_spring
from celltraj.datasets._sources.reprogramming import reprogramming
from celltraj.datasets._sources.scode import hesc_tf


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def ragged(*blocks):
    stored = np.empty(len(blocks), dtype=object)
    stored[:] = blocks
    return stored


class TestSnapshots:
    def test_an_array(self, tmp_path, rng):
        x = rng.random((5, 3, 2))
        np.save(tmp_path / "x.npy", x)
        adata = snapshots.eb_pca5(tmp_path / "x.npy")
        np.testing.assert_array_equal(adata.X, x.reshape(15, 2).astype(np.float32))
        assert (
            adata.obs["time"].tolist() == [0.0] * 3 + [1.0] * 3 + [2.0] * 3 + [3.0] * 3 + [4.0] * 3
        )
        assert adata.uns["time_unit"] == "window of 6 days"
        assert list(adata.var_names) == ["dim1", "dim2"]

    @pytest.mark.parametrize("shape", [(5,), (1, 5)])
    def test_a_pickled_list_of_arrays(self, tmp_path, rng, shape):
        blocks = [rng.random((n, 2)).astype(np.float32) for n in (1, 2, 3, 4, 5)]
        np.save(tmp_path / "x.npy", ragged(*blocks).reshape(shape), allow_pickle=True)
        adata = snapshots.hesc_pca5(tmp_path / "x.npy")
        np.testing.assert_array_equal(adata.X, np.concatenate(blocks))
        assert adata.obs["time"].value_counts(sort=False).to_dict() == {
            0.0: 1, 12.0: 2, 24.0: 3, 36.0: 4, 72.0: 5
        }  # fmt: skip

    def test_a_pickle_that_asks_for_more_than_arrays(self, tmp_path):
        class Harm:
            def __reduce__(self):
                return os.mkdir, (str(tmp_path / "harm"),)

        np.save(tmp_path / "x.npy", ragged(np.zeros((1, 2)), Harm()), allow_pickle=True)
        with pytest.raises(ValueError, match=r"a pickle of arrays asks for \w+\.mkdir"):
            read_snapshots(tmp_path / "x.npy")
        assert not (tmp_path / "harm").exists()

    def test_a_pickle_alone(self, tmp_path):
        (tmp_path / "x.npy").write_bytes(pickle.dumps([1]))
        with pytest.raises(ValueError, match="magic string"):
            read_snapshots(tmp_path / "x.npy")

    def test_an_archive(self, tmp_path, rng):
        x = rng.random((3, 4, 2))
        np.savez(tmp_path / "x.npz", Xs=x, N_steps=3)
        adata = snapshots.pbmc_programs(tmp_path / "x.npz")
        np.testing.assert_array_equal(adata.X, x.reshape(12, 2).astype(np.float32))
        assert adata.obs["time"].tolist() == [0.0] * 4 + [1.0] * 4 + [2.0] * 4
        assert adata.uns["time_unit"] == "hour"


def test_a_table_keeps_the_order_of_its_cells(tmp_path):
    (tmp_path / "x.csv").write_text("samples,x1,x2\n2.0,1,2\n0.0,3,4\n1.0,5,6\n")
    adata = tables.growing_gaussians_10d(tmp_path / "x.csv")
    np.testing.assert_array_equal(adata.X, [[1, 2], [3, 4], [5, 6]])
    assert adata.obs["time"].tolist() == [2.0, 0.0, 1.0]


class TestComponents:
    def test_they_keep_distances_and_are_uncorrelated(self, tmp_path, rng):
        # five latent directions: five components hold all that the cells differ by
        x = rng.standard_normal((12, 5)) @ rng.standard_normal((5, 7))
        cells = [f"cell{i}" for i in range(12)]
        pd.DataFrame(x.T, columns=cells).to_csv(tmp_path / "x.csv")
        pd.DataFrame({"cell": cells, "obstime": np.repeat([0, 6], 6)}).to_csv(tmp_path / "m.csv")
        adata = components.shalek_lps(tmp_path / "x.csv", tmp_path / "m.csv")
        z = adata.X.astype(float)
        np.testing.assert_allclose(z @ z.T, (x - x.mean(0)) @ (x - x.mean(0)).T, atol=1e-4)
        covariance = z.T @ z
        np.testing.assert_allclose(covariance, np.diag(np.diag(covariance)), atol=1e-4)
        assert (np.diff(np.diag(covariance)) < 0).all()
        assert np.sign(z[0]).tolist() == [-1, -1, 1, 1, 1]
        assert adata.obs["time"].tolist() == [0.0] * 6 + [6.0] * 6

    def test_embryos_of_two_cells_are_left_out_and_thresholds_cut(self, tmp_path, rng):
        thresholds = rng.uniform(10, 28, (8, 12))
        thresholds[0, :2] = 40.0  # not detected, as 28 is
        stage = np.repeat([1, 2, 3, 5], 3)
        table = pd.DataFrame(np.vstack([stage, thresholds]), index=["Stage", *"ABCDEFGH"])
        table.to_csv(tmp_path / "x.txt", sep="\t", index_label="Cell ID")
        adata = components.guo_embryo(tmp_path / "x.txt")
        assert adata.obs["time"].tolist() == [2.0] * 3 + [4.0] * 3
        kept = 28 - np.minimum(thresholds, 28).T[6:]
        distances = np.linalg.norm(kept[:, None] - kept[None], axis=2)
        z = adata.X.astype(float)  # six cells differ in five directions
        np.testing.assert_allclose(
            np.linalg.norm(z[:, None] - z[None], axis=2), distances, atol=1e-4
        )


def test_genes_by_cells_are_turned(tmp_path):
    (tmp_path / "data.txt").write_text("0\t1.5\t2\n3\t4\t5\n")
    (tmp_path / "tf.txt").write_text("GATA6\nNANOG\n")
    (tmp_path / "time.txt").write_text("0\t0.1\n0\t3.2\n12\t20.5\n")
    adata = hesc_tf(*(tmp_path / name for name in ("data.txt", "tf.txt", "time.txt")))
    np.testing.assert_array_equal(adata.X, [[0, 3], [1.5, 4], [2, 5]])
    assert adata.obs["time"].tolist() == [0.0, 0.0, 12.0]
    assert list(adata.var_names) == ["GATA6", "NANOG"]


def test_fates_and_predictions_go_to_their_cells(tmp_path):
    arrays = {
        "x": [2000.0, 700.0, 2000.0, 0.0],
        "y": [0.0, -1500.0, 0.0, 0.0],
        "days": [6.0, 2.0, 2.0, 2.0],
        "trajectory": [True, True, False, True],
        "truth": [0.1, 0.2],
        "pba": [0.3, 0.4],
        "wot": [0.5, 0.6],
        "fateid": [0.7, 0.8],
        "heldout": [True, False],
        "fates": [[1.0, 0.0], [0.0, 2.0], [0.0, 0.0]],
    }
    for name, values in arrays.items():
        np.save(tmp_path / f"{name}.npy", values)
    (tmp_path / "names.txt").write_text("Meg\nMast\n")
    adata = larry_spring(*(tmp_path / f"{name}.npy" for name in arrays), tmp_path / "names.txt")
    assert adata.obs["arm"].tolist() == [
        "Monocyte", "Neutrophil", "undifferentiated", "undifferentiated"
    ]  # fmt: skip
    np.testing.assert_array_equal(adata.obs["fateid"], np.float32([np.nan, 0.7, np.nan, 0.8]))
    np.testing.assert_array_equal(adata.obs["heldout"], [np.nan, 1, np.nan, 0])
    nan = [np.nan, np.nan]
    np.testing.assert_array_equal(adata.obsm["clonal_fate"], [nan, [1, 0], [0, 2], [0, 0]])
    assert list(adata.uns["clonal_fate_names"]) == ["Meg", "Mast"]


def test_couplings_of_a_file_of_older_form(tmp_path):
    obs = pd.DataFrame(
        {"day": [11.0, 10.0, 10.5], "cell_type": ["a", "b", "a"], "batch": [0, 1, 2]}
    )
    old = ad.AnnData(
        sp.csr_matrix(np.eye(3, dtype=np.float32)), obs=obs.set_index(pd.Index(list("uvw")))
    )
    for gap in ("10_105", "105_11", "10_11"):
        old.uns[f"tmap_{gap}"] = np.ones((1, 1), dtype=np.float32)
    old.uns["cell_transition_10_105_forward"] = pd.DataFrame({"a": [1.0]})
    old.write_h5ad(tmp_path / "old.h5ad")
    with h5py.File(tmp_path / "old.h5ad", "r+") as file:  # columns did not yet say what they are
        for key in ("encoding-type", "encoding-version"):
            del file["obs/day"].attrs[key]
            del file["uns/tmap_10_11"].attrs[key]
    adata = reprogramming(tmp_path / "old.h5ad")
    assert adata.obs["time"].tolist() == [11.0, 10.0, 10.5]
    assert list(adata.obs) == ["time", "cell_type", "batch"]
    assert set(adata.uns) == {
        "time_unit",
        *(f"wot_tmap_{gap}" for gap in ("10_105", "105_11", "10_11")),
    }
