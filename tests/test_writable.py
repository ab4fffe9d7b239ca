"""Where nothing can be written is said before the work, by every function that writes a file."""

import os
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
import scanpy as sc

import celltraj as ct
from celltraj._writable import check_file, check_folder
from celltraj.models._files import Content, write_file


@pytest.fixture
def closed(tmp_path, monkeypatch):
    """Return a folder that can only be read; the permissions alone say nothing to root."""
    folder, asked = tmp_path / "closed", os.access
    folder.mkdir()

    def access(path, mode, **options):
        is_closed = folder in (Path(path), *Path(path).parents) and mode & os.W_OK
        return not is_closed and asked(path, mode, **options)

    monkeypatch.setattr(os, "access", access)
    return folder


def never(*_, **__):
    raise AssertionError("the work has begun")


SAYS = r"nothing can be written to .*closed; choose another folder, or change its permissions"


def test_folders_that_are_open_pass(tmp_path):
    check_folder(tmp_path / "new" / "deep")
    check_file(tmp_path / "new" / "file")
    assert not (tmp_path / "new").exists()


@pytest.mark.skipif(getattr(os, "geteuid", lambda: 0)() == 0, reason="root writes everywhere")
def test_permissions_are_read(tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(PermissionError, match="nothing can be written to"):
            check_folder(tmp_path / "results")
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.parametrize("below", ["", "new", "new/deep"])
def test_a_closed_folder_is_told(closed, below):
    with pytest.raises(PermissionError, match=SAYS):
        check_folder(closed / below)


def test_a_file_that_can_only_be_read_is_told(closed, tmp_path):
    (closed / "a.png").touch()
    with pytest.raises(PermissionError, match=SAYS):
        check_file(closed / "a.png")
    (tmp_path / "file").touch()
    with pytest.raises(
        NotADirectoryError, match=r"is, or lies in, a file .* choose another folder"
    ):
        check_file(tmp_path / "file" / "a.png")


def test_a_model_and_a_checkpoint(closed):
    with pytest.raises(PermissionError, match=SAYS):
        write_file(closed / "model" / "model.safetensors", Content("flow", 1, {}, {}))
    with pytest.raises(PermissionError, match=SAYS):
        ct.models.TrainerOptions(checkpoint=closed)


def test_plots(closed, monkeypatch):
    adata = ct.datasets.branching(n_cells=20, seed=0)
    monkeypatch.setattr(plt, "subplots", never)
    with pytest.raises(PermissionError, match=SAYS):
        ct.pl.snapshots(adata, save=closed / "snapshots.png")
    figdir = sc.settings.figdir
    sc.settings.figdir = closed / "figures"
    try:
        with pytest.raises(PermissionError, match=SAYS):
            ct.pl.snapshots(adata, save=True)
    finally:
        sc.settings.figdir = figdir
    with pytest.raises(PermissionError, match=SAYS):
        ct.pl.animate(adata, save=closed / "cells.gif")


def test_a_report(closed):
    adata = ct.datasets.branching(n_cells=20, seed=0)
    with pytest.raises(PermissionError, match=SAYS):  # before it is known that there are no results
        ct.pl.report(adata, closed / "run.html", progress=False)
