"""Read what R saved, from files written here in the binary form of its ``save``."""

import bz2
import gzip
import lzma
import struct

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from celltraj.datasets._sources.glioblastoma import glioblastoma
from celltraj.datasets._sources.kang import kang_counts
from celltraj.datasets._sources.r_data import read_r_data

ATTRIBUTES, TAG = 0x200, 0x400
END = struct.pack(">i", 254)


def word(*values):
    return struct.pack(f">{len(values)}i", *values)


def text(value):
    if value is None:  # NA
        return word(9, -1)
    return word(9, len(value.encode())) + value.encode()


def symbol(name):
    return word(1) + text(name)


def strings(values):
    return word(16, len(values)) + b"".join(map(text, values))


def numbers(values):
    values = np.asarray(values)
    kind, dtype = (13, ">i4") if values.dtype.kind == "i" else (14, ">f8")
    return word(kind, len(values)) + values.astype(dtype).tobytes()


def pairs(**values):
    return b"".join(word(2 | TAG) + symbol(n) + value for n, value in values.items()) + END


def named_list(**values):
    names = strings(list(values))
    return word(19 | ATTRIBUTES, len(values)) + b"".join(values.values()) + pairs(names=names)


def slots(**values):
    return word(25 | ATTRIBUTES) + pairs(**values)


def frame(rownames=END, **columns):
    return slots(rownames=rownames, listData=named_list(**columns))


def saved(**objects):
    return b"RDX2\nX\n" + word(2, 0, 0) + pairs(**objects)


def test_a_sample_of_counts(tmp_path):
    counts = sp.csc_matrix(np.array([[0, 1, 2, 0], [3, 0, 0, 4], [0, 0, 5, 6]], dtype=float))
    (tmp_path / "x.rda").write_bytes(bz2.compress(saved(x=experiment(counts))))
    adata = glioblastoma(tmp_path / "x.rda")
    np.testing.assert_array_equal(adata.X.toarray(), counts.toarray().T)
    np.testing.assert_allclose(
        adata.layers["logcounts"].toarray(), np.log1p(counts.toarray().T), rtol=1e-6
    )
    assert adata.X.dtype == np.float32
    assert list(adata.obs_names) == ["c_0", "d_1", "c_2", "e_3"]
    assert adata.obs["patient_id"].tolist() == ["P1", "P1", "P2", "P2"]
    assert isinstance(adata.obs["patient_id"].dtype, pd.CategoricalDtype)
    assert adata.obs["age"].tolist() == [65.0, 65.0, 50.0, 50.0]
    assert adata.var["symbol"].tolist() == ["SPP1", "FTH1", "MBP"]
    assert list(adata.var_names) == ["E1", "E2", "E3"]


def matrix(stored, **more):
    return slots(
        i=numbers(stored.indices),
        p=numbers(stored.indptr),
        Dim=numbers(np.array(stored.shape)),
        x=numbers(stored.data),
        **more,
    )


def experiment(counts):
    layers = named_list(counts=matrix(counts), logcounts=matrix(counts.log1p()))
    return slots(
        rowRanges=slots(
            elementMetadata=frame(symbol=strings(["SPP1", "FTH1", "MBP"])),
            partitioning=slots(NAMES=strings(["E1", "E2", "E3"])),
        ),
        colData=frame(
            rownames=strings(["c", "d", "c", "e"]),
            patient_id=strings(["P1", "P1", "P2", "P2"]),
            age=numbers([65.0, 65.0, 50.0, 50.0]),
        ),
        assays=slots(data=slots(listData=layers)),
    )


def test_cells_get_the_donors_of_their_condition(tmp_path):
    counts = sp.csc_matrix(np.array([[0, 1], [3, 0], [0, 5]], dtype=float))

    def named(*cells):
        names = word(19, 2) + strings(["A", "B", "C"]) + strings(cells)
        return matrix(counts, Dimnames=names)

    (tmp_path / "counts").write_bytes(
        gzip.compress(
            saved(**{"pbmc.stim": named("TT-1", "CC-11"), "pbmc.ctrl": named("CC-1", "GG-1")})
        )
    )
    columns = "BARCODE\tBEST\tSNG.1ST\n"
    (tmp_path / "ctrl").write_text(columns + "CC-1\tSNG-101\t101\nGG-1\tDBL-9-101\t9\n")
    (tmp_path / "stim").write_text(columns + "CC-1\tSNG-9\t9\nAA-1\tSNG-9\t9\nTT-1\tAMB-9\t101\n")
    adata = kang_counts(*(tmp_path / name for name in ("counts", "ctrl", "stim")))
    np.testing.assert_array_equal(adata.X.toarray(), np.vstack(2 * [counts.toarray().T]))
    assert list(adata.obs_names) == ["CC-CTRL", "GG-CTRL", "TT-STIM", "CC-STIM"]
    assert adata.obs["donor"].tolist() == ["101", "9", "101", "9"]
    assert list(adata.obs["donor"].cat.categories) == ["9", "101"]
    assert adata.obs["singlet"].tolist() == [True, False, False, True]
    assert list(adata.var_names) == ["A", "B", "C"]


@pytest.mark.parametrize("compress", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_every_compression(tmp_path, compress):
    path = tmp_path / "x.rda"
    path.write_bytes(compress(saved(a=numbers([1, -2]), b=strings(["x", None]))))
    read = read_r_data(path)
    assert read["a"].value.tolist() == [1, -2]
    assert read["b"].value == ["x", None]


def test_the_third_version_and_what_was_said_before(tmp_path):
    content = b"RDX3\nX\n" + word(3, 0, 0, 5) + b"UTF-8"
    content += word(2 | TAG) + symbol("a") + numbers([0.5])
    # the tag is the first thing that was named; an environment counts as one more
    content += word(2 | TAG, 255 | 1 << 8) + word(4, 0) + 4 * END + END
    (tmp_path / "x.rda").write_bytes(content)
    assert read_r_data(tmp_path / "x.rda") == {"a": None}


def test_attributes(tmp_path):
    factor = word(13 | ATTRIBUTES, 1, 2) + pairs(levels=strings(["no", "yes"]))
    (tmp_path / "x.rda").write_bytes(saved(a=factor))
    read = read_r_data(tmp_path / "x.rda")["a"]
    assert read["levels"].value[read.value[0] - 1] == "yes"


def test_what_is_no_file_of_r(tmp_path):
    (tmp_path / "x.rda").write_bytes(b"<html>")
    with pytest.raises(ValueError, match=r"x\.rda is no file of R's save"):
        read_r_data(tmp_path / "x.rda")


def test_a_file_cut_short(tmp_path):
    (tmp_path / "x.rda").write_bytes(saved(a=numbers([1, 2, 3]))[:-6])
    with pytest.raises(ValueError, match="ends 2 bytes too soon"):
        read_r_data(tmp_path / "x.rda")


def test_code(tmp_path):
    (tmp_path / "x.rda").write_bytes(saved(a=word(21)))
    with pytest.raises(ValueError, match="an item of type 21, which only R can read"):
        read_r_data(tmp_path / "x.rda")
