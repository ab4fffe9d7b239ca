"""Check what comes of an original file: downloaded, refused, kept; and the cards."""

import errno
import hashlib
import os
import shutil
import socket
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pooch
import pytest
import scipy.sparse as sp

import celltraj.datasets as ds
from celltraj import DataWarning
from celltraj.datasets import _load
from celltraj.datasets._files import FILES
from celltraj.datasets._sources import fetch, table
from celltraj.datasets._sources.recipes import CONVERTERS, convert, originals_of

CARDS = Path(__file__).parents[2] / "datasets"
SMALL = b"samples,x1,x2\n1.0,0.5,-2\n0.0,3,4\n"  # an original of emt_a549, in small


@pytest.fixture
def original(monkeypatch, server):
    """Serve a small original of emt_a549 and return its path."""
    folder, address = server
    path = folder / "emt.csv"
    path.write_bytes(SMALL)
    give_out(monkeypatch, address + path.name)
    return path


def give_out(monkeypatch, address):
    """Name ``address`` as that of emt_a549."""
    rows = tuple(
        replace(row, address=address, sha256=hashlib.sha256(SMALL).hexdigest())
        for row in originals_of("emt_a549")
    )
    monkeypatch.setattr(table, "ORIGINALS", rows)


def files_of(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


class TestDownload:
    def test_an_original_is_converted(self, original, cache):
        adata = ds.emt_a549()
        np.testing.assert_array_equal(adata.X, np.float32([[0.5, -2], [3, 4]]))
        assert adata.X.dtype == np.float32
        assert adata.obs["time"].tolist() == [1.0, 0.0]
        assert adata.uns["source"] == FILES["emt_a549"][1]

    def test_what_was_made_is_kept(self, original, cache, monkeypatch):
        first = ds.emt_a549()
        original.unlink()
        shutil.rmtree(cache / "originals")
        np.testing.assert_array_equal(ds.emt_a549().X, first.X)
        assert len(files_of(cache)) == 1

    def test_an_original_is_downloaded_once(self, original, cache):
        ds.emt_a549()
        original.unlink()
        shutil.rmtree(cache / "made")
        assert ds.emt_a549().n_obs == 2

    def test_the_named_folder_wins(self, original, cache, monkeypatch, tmp_path):
        (tmp_path / "env").mkdir()
        monkeypatch.setenv("CELLTRAJ_DATA_DIR", str(tmp_path / "env"))
        ds.branching(n_cells=5).write_h5ad(tmp_path / "env" / "emt_a549.h5ad")
        checksum = pooch.file_hash(str(tmp_path / "env" / "emt_a549.h5ad"))
        monkeypatch.setitem(FILES, "emt_a549", (checksum, "here"))
        assert ds.emt_a549().uns["source"] != "here"  # as the file has it
        assert not cache.exists()

    def test_a_damaged_original_is_downloaded_anew(self, original, cache):
        ds.emt_a549()
        shutil.rmtree(cache / "made")
        (cache / "originals" / "emt_a549.csv").write_bytes(b"broken")
        assert ds.emt_a549().n_obs == 2


def test_what_is_missing_is_told(original, cache, monkeypatch):
    monkeypatch.setitem(_load.MISSING, "emt_a549", ("stage", "nobody knows where"))
    with pytest.warns(
        DataWarning, match=r"emt_a549 is .* without obs\['stage'\]: nobody knows where"
    ):
        ds.emt_a549()


class TestRefusal:
    def test_no_network(self, monkeypatch, cache, tmp_path):
        monkeypatch.setenv("CELLTRAJ_DATA_DIR", str(tmp_path / "here"))
        with socket.socket() as unused:  # a port at which nobody listens
            unused.bind(("127.0.0.1", 0))
            address = f"http://127.0.0.1:{unused.getsockname()[1]}/emt.csv"
        give_out(monkeypatch, address)
        with pytest.raises(FileNotFoundError) as error:
            ds.emt_a549()
        for part in ("here", "cache", "CELLTRAJ_DATA_DIR", f"{address} cannot be had"):
            assert part in str(error.value)
        assert not files_of(cache)

    def test_no_such_file_on_the_server(self, original, cache):
        original.unlink()
        with pytest.raises(FileNotFoundError, match=r"emt\.csv cannot be had \(error 404\)"):
            ds.emt_a549()

    def test_no_such_file_on_a_server_of_tidy_files(self, monkeypatch, cache, server):
        _, address = server
        monkeypatch.setenv("CELLTRAJ_DATA_URL", address)
        with pytest.raises(FileNotFoundError, match=r"emt_a549\.h5ad cannot be had \(error 404\)"):
            ds.emt_a549()

    def test_another_checksum(self, original, cache):
        original.write_bytes(SMALL + b"2.0,1,1\n")
        expected, found = (hashlib.sha256(b).hexdigest() for b in (SMALL, original.read_bytes()))
        with pytest.raises(
            ValueError, match=rf"emt\.csv: sha256 mismatch, expected {expected}, found {found}$"
        ):
            ds.emt_a549()
        assert not files_of(cache)

    @pytest.mark.parametrize(
        "page", [b"\n<!DOCTYPE html>\n<html>", b"\xef\xbb\xbf<HTML lang='en'>log in"]
    )
    def test_a_page_of_html(self, original, cache, page):
        original.write_bytes(page)
        with pytest.raises(ValueError, match=r"emt\.csv answers with a page of HTML"):
            ds.emt_a549()
        assert not files_of(cache)

    def test_a_full_disk_in_the_download(self, original, cache, monkeypatch):
        def full(*_):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(pooch.HTTPDownloader, "__call__", full)
        with pytest.raises(OSError, match=r"cache folder .*originals is full$") as error:
            ds.emt_a549()
        assert error.value.errno == errno.ENOSPC
        assert not files_of(cache)

    def test_a_full_disk_for_what_was_made(self, original, cache, monkeypatch):
        def full(*_):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(shutil, "copy", full)
        with pytest.raises(OSError, match=r"cache folder .*made is full$"):
            ds.emt_a549()
        assert [path.name for path in files_of(cache)] == ["emt_a549.csv"]

    def test_a_cache_of_others(self, original, cache, monkeypatch):
        def closed(*_, **__):
            raise PermissionError("pooch says more")

        monkeypatch.setattr(pooch.Pooch, "fetch", closed)
        with pytest.raises(PermissionError, match=r"cache folder .*originals may not be written$"):
            ds.emt_a549()

    def test_what_was_made_and_damaged(self, original, cache):
        ds.emt_a549()
        (made,) = files_of(cache / "made")
        made.write_bytes(b"broken")
        with pytest.raises(ValueError, match=rf"{made.name} was damaged, delete it: sha256"):
            ds.emt_a549()

    @pytest.mark.parametrize("name", sorted(table.UNTRIED))
    def test_an_original_that_could_not_be_tried(self, cache, name):
        with pytest.raises(FileNotFoundError, match=f"data set '{name}' not found at ") as error:
            getattr(ds, name)()
        assert str(error.value).endswith(table.UNTRIED[name])


class TestTable:
    def test_every_data_set_is_made_or_told_why_not(self):
        assert set(CONVERTERS) | set(table.UNTRIED) == set(FILES)
        assert not set(CONVERTERS) & set(table.UNTRIED)

    def test_every_original_belongs_to_a_data_set(self):
        assert {row.name.split(".")[0] for row in table.ORIGINALS} == set(CONVERTERS)
        assert len({row.name for row in table.ORIGINALS}) == len(table.ORIGINALS)

    @pytest.mark.parametrize("row", table.ORIGINALS, ids=lambda row: row.name)
    def test_rows_are_whole(self, row):
        commit = row.address.removeprefix("https://raw.githubusercontent.com/").split("/")[2]
        assert len(commit) == 40
        assert int(commit, 16)
        assert len(row.sha256) == 64
        assert int(row.sha256, 16)
        assert 0 < row.size < 4 * 2**20
        assert row.licence
        assert row.citation


class TestCards:
    @pytest.mark.parametrize("name", sorted(FILES))
    def test_cards_give_the_recorded_checksum(self, name):
        card = (CARDS / f"{name}.md").read_text()
        assert f"**sha256 of `{name}.h5ad`:** `{FILES[name][0]}`" in card
        assert f"ct.datasets.{name}()" in card

    @pytest.mark.parametrize("name", sorted(FILES))
    def test_cards_give_the_originals(self, name):
        card = (CARDS / f"{name}.md").read_text()
        for row in originals_of(name):
            line = f"{row.address} ({row.size:,} bytes, sha256 `{row.sha256}`)"
            assert line in card
            assert row.licence in card
        assert ("**Original:** could not be tried" in card) == (name in table.UNTRIED)

    @pytest.mark.parametrize("card", sorted(CARDS.glob("*.md")), ids=lambda card: card.stem)
    def test_every_card_has_a_licence(self, card):
        assert "\n- **Licence:** " in card.read_text()


@pytest.mark.skipif(
    not {"CELLTRAJ_DATA_DIR", "CELLTRAJ_ORIGINALS"} <= set(os.environ),
    reason="needs the data sets and, in the folder CELLTRAJ_ORIGINALS, the files of the table",
)
@pytest.mark.parametrize("name", sorted(CONVERTERS))
def test_the_originals_give_the_data_sets(name):
    folder = Path(os.environ["CELLTRAJ_ORIGINALS"])
    rows = originals_of(name)
    for row in rows:
        fetch.check(folder / row.name, row.sha256, origin=row.name)
    made = convert(name, [folder / row.name for row in rows])
    expected = getattr(ds, name)()
    if name in table.MISSING:
        del expected.obs[table.MISSING[name][0]]
    assert_same(made, expected)


def assert_same(made, expected):
    """Compare all but the source."""
    pd.testing.assert_frame_equal(made.obs, expected.obs)
    pd.testing.assert_frame_equal(made.var, expected.var)
    assert set(made.layers) == set(expected.layers)
    assert set(made.uns) == set(expected.uns) - {"source"}
    for found, wanted in [
        (made.X, expected.X),
        *((made.layers[key], expected.layers[key]) for key in expected.layers),
        *((made.obsm[key], expected.obsm[key]) for key in expected.obsm),
        *((made.uns[key], expected.uns[key]) for key in made.uns),
    ]:
        if sp.issparse(wanted):
            assert abs(found - wanted).max() == 0
        elif isinstance(wanted, np.ndarray) and wanted.dtype.kind == "f":
            np.testing.assert_allclose(found, wanted, rtol=0, atol=2e-5)  # components of LAPACK
        else:
            np.testing.assert_array_equal(found, wanted)
