"""States are read by blocks of rows, wherever they lie, and a damaged file is told."""

import tracemalloc

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csc_matrix, csr_matrix

import celltraj as ct
from celltraj._anndata import read_representation, read_snapshots, states
from celltraj._anndata.source import Source
from celltraj._anndata.states import States

N, D = 230, 4


def cells(x=None, n=N):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, D)).astype(np.float32) if x is None else x
    obs = pd.DataFrame({"time": np.arange(n) % 3}, index=[f"c{i}" for i in range(n)])
    return ad.AnnData(obs=obs, obsm={"X_pca": x})


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(states, "_ENTRIES", 50 * D)


def stored(kind, x, path):
    """Return the same numbers as a file has them."""
    if kind == "h5py":
        return h5py.File(path / "x.h5", "w").create_dataset("x", data=x, chunks=(64, 2))
    if kind == "zarr":
        zarr = pytest.importorskip("zarr")
        store = zarr.open_group(path / "x.zarr", mode="w")
        store.create_array("x", shape=x.shape, chunks=(64, 2), dtype=x.dtype)[:] = x
        return store["x"]
    if kind == "zarr in shards":
        zarr = pytest.importorskip("zarr", minversion="3")
        store = zarr.open_group(path / "x.zarr", mode="w")
        parts = {"chunks": (16, 2), "shards": (64, 4)}
        store.create_array("x", shape=x.shape, dtype=x.dtype, **parts)[:] = x
        return store["x"]
    if kind == "dask":
        return pytest.importorskip("dask.array").from_array(x, chunks=(64, 2))
    if kind == "one dask chunk":
        return pytest.importorskip("dask.array").from_array(x, chunks=x.shape)
    wide = np.memmap(path / "x.npy", dtype=x.dtype, mode="w+", shape=(len(x), 2 * x.shape[1]))
    wide[:, ::2] = x
    return wide[:, ::2]


KINDS = ["h5py", "zarr", "zarr in shards", "dask", "one dask chunk", "memory map with gaps"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.usefixtures("small_blocks")
def test_every_kind_of_array_is_read_alike(kind, tmp_path):
    adata = cells()
    x = adata.obsm["X_pca"]
    other = cells(stored(kind, x, tmp_path))
    np.testing.assert_array_equal(read_representation(other, "X_pca")[1], x)
    one, two = (read_snapshots(a, time_key="time", use_rep="X_pca")[0] for a in (adata, other))
    assert all(a.equal(b) for a, b in zip(one.x, two.x, strict=True))
    marks = [Source.of(a, "time", "X_pca").states for a in (adata, other)]
    np.testing.assert_array_equal(*marks)


@pytest.mark.parametrize("order", ["C", "F", "reversed"])
@pytest.mark.usefixtures("small_blocks")
def test_a_memory_map_of_any_order_that_can_only_be_read_is_fitted(order, tmp_path):
    x = cells().obsm["X_pca"]
    laid = x[::-1] if order == "reversed" else x
    file = np.memmap(
        tmp_path / "x", x.dtype, "w+", shape=x.shape, order="F" if order == "F" else "C"
    )
    file[:] = laid
    file.flush()
    lies = np.memmap(
        tmp_path / "x", x.dtype, "r", shape=x.shape, order="F" if order == "F" else "C"
    )
    other = cells(lies[::-1] if order == "reversed" else lies)
    np.testing.assert_array_equal(read_representation(other, "X_pca")[1], x)
    before = (tmp_path / "x").read_bytes()
    ct.tl.couplings(other, growth=None, progress=False)
    one = cells()
    ct.tl.couplings(one, growth=None, progress=False)
    np.testing.assert_array_equal(other.obsm["couplings"], one.obsm["couplings"])
    assert (tmp_path / "x").read_bytes() == before


def test_blocks_of_mixed_dtypes_are_one_table(small_blocks):
    da = pytest.importorskip("dask.array")
    x = np.round(3 * cells().obsm["X_pca"])
    kinds = (np.int16, np.float64, np.float32, np.uint8)
    parts = [np.abs(x[k::4]).astype(kind) for k, kind in enumerate(kinds)]
    mixed = cells(da.concatenate([da.from_array(part) for part in parts]))
    np.testing.assert_array_equal(
        read_representation(mixed, "X_pca")[1],
        np.concatenate([part.astype(float) for part in parts]),
    )
    table = pd.DataFrame(dict(enumerate(x.T.tolist())), index=mixed.obs_names)
    table[1] = table[1].astype(int)
    np.testing.assert_array_equal(read_representation(cells(table), "X_pca")[1], x)
    table[2] = table[2].astype(str)
    with pytest.raises(ValueError, match="X_pca has dtype object, and numbers are needed"):
        read_representation(cells(table), "X_pca")


def test_results_of_a_file_that_can_only_be_read_stay_in_memory(tmp_path):
    x = cells().obsm["X_pca"]
    ad.AnnData(x, obs=cells().obs).write_h5ad(tmp_path / "a.h5ad")
    before = (tmp_path / "a.h5ad").read_bytes()
    backed = ad.read_h5ad(tmp_path / "a.h5ad", backed="r")
    ct.tl.couplings(backed, use_rep="X", growth=None, progress=False)
    ct.tl.entropy(backed, progress=False)
    assert backed.obs["ct_entropy"].notna().any()
    copy = ct.tl.growth(backed, copy=True)
    assert not copy.isbacked
    backed.file.close()
    assert (tmp_path / "a.h5ad").read_bytes() == before


@pytest.mark.parametrize("kind", KINDS)
def test_blocks_hold_whole_chunks_and_few_rows(kind, tmp_path, small_blocks):
    x = cells().obsm["X_pca"]
    found = list(States.of(cells(stored(kind, x, tmp_path)), "X_pca").blocks())
    assert max(len(block) for _, block in found) <= 50
    assert [rows.start for rows, _ in found] == [0] + [rows.stop for rows, _ in found[:-1]]
    np.testing.assert_array_equal(np.concatenate([block for _, block in found]), x)
    assert {block.dtype for _, block in found} == {np.dtype("float32")}


@pytest.mark.parametrize("convert", [np.asarray, csr_matrix, csc_matrix, pd.DataFrame])
@pytest.mark.usefixtures("small_blocks")
def test_sparse_matrices_and_tables_are_read_by_rows(convert):
    adata = cells()
    x = adata.obsm["X_pca"]
    x[x < 0] = 0
    made = convert(x)
    values = made.set_axis(adata.obs_names) if isinstance(made, pd.DataFrame) else made
    np.testing.assert_array_equal(read_representation(cells(values), "X_pca")[1], x)


@pytest.mark.parametrize("convert", [np.asarray, csr_matrix, csc_matrix])
@pytest.mark.usefixtures("small_blocks")
def test_a_backed_matrix_is_read_by_rows(convert, tmp_path):
    x = np.maximum(np.random.default_rng(0).normal(size=(N, D)), 0)
    ad.AnnData(convert(x)).write_h5ad(tmp_path / "a.h5ad")
    backed = ad.read_h5ad(tmp_path / "a.h5ad", backed="r")
    held = States.of(backed, "X")
    assert held.is_in_memory == (convert is csc_matrix)
    np.testing.assert_array_equal(held.whole(), x)
    backed.file.close()


def test_rows_that_nobody_asks_for_are_not_read(tmp_path, small_blocks):
    x = cells().obsm["X_pca"]
    asked = []

    class Watched:
        shape, dtype, chunks = x.shape, x.dtype, (10, D)

        def __getitem__(self, rows):
            asked.append(rows)
            return x[rows]

    held = States("X_pca", Watched(), cells().obs_names)
    first, second = held.taken([np.array([3, 7]), np.array([5, 222])])
    np.testing.assert_array_equal(first, x[[3, 7]].astype(float))
    np.testing.assert_array_equal(second, x[[5, 222]].astype(float))
    assert asked == [slice(0, 50), slice(200, 230)]


def test_a_chunk_that_is_missing_is_told(tmp_path):
    values = stored("zarr", cells().obsm["X_pca"], tmp_path)
    found = (tmp_path / "x.zarr").rglob("*")
    chunk = next(path for path in found if path.name in {"1", "1.1"})
    (chunk if chunk.is_file() else next(chunk.rglob("*"))).unlink()
    with pytest.raises(ValueError, match=r"1 of 8 chunks of X_pca read as zeros.*write it anew"):
        ct.tl.fit_flow(cells(values), use_rep="X_pca", progress=False)


def test_a_chunk_of_zeros_behind_dask_is_told(tmp_path):
    x = cells().obsm["X_pca"]
    x[64:128] = 0
    with pytest.raises(
        ValueError, match="all variables of the cells 64 to 127 of X_pca read as ze"
    ):
        read_representation(cells(stored("dask", x, tmp_path)), "X_pca")
    read_representation(cells(x), "X_pca")
    x[64] = 1
    read_representation(cells(stored("dask", x, tmp_path)), "X_pca")


def test_a_damaged_file_is_told(tmp_path):
    values = stored("zarr", cells().obsm["X_pca"], tmp_path)
    for path in (tmp_path / "x.zarr" / "x").rglob("*"):
        if path.is_file() and path.suffix != ".json":
            path.write_bytes(b"no chunk")
    with pytest.raises(ValueError, match=r"cells 0 to 229 of X_pca cannot be read.*write it anew"):
        ct.tl.fit_flow(cells(values), use_rep="X_pca", progress=False)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_no_numbers_are_told_of_a_file_as_well(tmp_path, bad, small_blocks):
    x = cells().obsm["X_pca"]
    x[[200, 60], 1] = bad
    with pytest.raises(ValueError, match=r"2 cells have NaN or infinite values .*'c60'"):
        read_representation(cells(stored("dask", x, tmp_path)), "X_pca")
    da = pytest.importorskip("dask.array")
    mixed = da.concatenate([da.from_array(x[:50] > 0), da.from_array(x[50:] > 0)])
    with pytest.raises(ValueError, match="X_pca has dtype bool, and numbers are needed"):
        read_representation(cells(mixed), "X_pca")


def test_reading_holds_the_table_and_the_snapshots_alone():
    adata = cells(np.random.default_rng(0).normal(size=(400_000, 8)), n=400_000)
    table = adata.obsm["X_pca"].nbytes
    States.of(adata, "X_pca").whole()  # what is imported at first use
    tracemalloc.start()
    snapshots, _ = read_snapshots(adata, time_key="time", use_rep="X_pca")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert snapshots.n_cells == len(adata)
    assert peak < 1.5 * table + 60e6  # numbers of a cell and a block besides its state
