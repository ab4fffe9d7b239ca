"""Find, verify and read a data set, or make it from its original files."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import anndata as ad
import platformdirs
import pooch

from celltraj._errors import warn
from celltraj.datasets._files import FILES
from celltraj.datasets._sources.fetch import Download, check, fetch, writing_to
from celltraj.datasets._sources.recipes import CONVERTERS, convert, originals_of
from celltraj.datasets._sources.table import MISSING, UNTRIED

# raise by one with any change of what a converter returns: what was kept before is then left alone
_CONVERSION = 1


def _cache_dir() -> Path:
    return Path(platformdirs.user_cache_dir("celltraj"))


def load(name: str) -> ad.AnnData:
    """Read data set ``name`` from the first of these places that has it.

    The folder CELLTRAJ_DATA_DIR, the user's cache, the address CELLTRAJ_DATA_URL, the package
    itself, the addresses of its original files. Checksums are verified wherever a file comes from;
    a download goes to the cache, and so does what is made of it.
    """
    try:
        path = _tidy(name)
        return _from_originals(name) if path is None else ad.read_h5ad(path)
    except ConnectionError as error:
        raise FileNotFoundError(f"{_absent(name)}, and {error}") from error


def _tidy(name: str) -> Path | None:
    """Return the file that holds the data set as it is returned, if there is one."""
    expected, _ = FILES[name]
    path = next((p for p in _paths(name) if p.is_file()), None)
    if path is None and os.environ.get("CELLTRAJ_DATA_URL"):
        path = _download(f"{os.environ['CELLTRAJ_DATA_URL'].rstrip('/')}/{name}.h5ad", expected)
    if path is not None:
        check(path, expected, origin=str(path))
    return path


def _paths(name: str) -> list[Path]:
    """Return where that file may lie."""
    named = os.environ.get("CELLTRAJ_DATA_DIR")
    folders = [Path(named).expanduser()] if named else []
    return [folder / f"{name}.h5ad" for folder in (*folders, _cache_dir())]


def _download(url: str, expected: str) -> Path:
    """Return the cached file from ``url``; a wrong checksum raises and leaves nothing behind."""
    folder, name = _cache_dir(), url.rsplit("/", 1)[-1]
    download = Download(expected)
    with writing_to(folder):
        return Path(pooch.retrieve(url, expected, fname=name, path=folder, downloader=download))


def _from_originals(name: str) -> ad.AnnData:
    """Return the data set made of its original files, now or before."""
    if name not in CONVERTERS:
        raise FileNotFoundError(f"{_absent(name)}, and not made by the package: {UNTRIED[name]}")
    rows = originals_of(name)
    kept = _kept(name)
    if kept is None:
        paths = [fetch(row, _cache_dir() / "originals") for row in rows]
        kept = _keep(_made(name, paths), name)
    if name in MISSING:
        column, reason = MISSING[name]
        warn(f"{name} is made of its original files, without obs[{column!r}]: {reason}")
    return ad.read_h5ad(kept)


def _absent(name: str) -> str:
    places = " or ".join(map(str, _paths(name)))
    return (
        f"data set {name!r} not found at {places} (the environment variable CELLTRAJ_DATA_DIR "
        f"names the folder to look in first)"
    )


def _made(name: str, paths: list[Path]) -> ad.AnnData:
    adata = convert(name, paths)
    adata.uns["source"] = FILES[name][1]
    return adata


def _kept(name: str) -> Path | None:
    """Return the file that was made before, if any; its name carries its checksum."""
    path = next((_cache_dir() / "made").glob(f"{name}.{_CONVERSION}.*.h5ad"), None)
    if path is not None:
        check(path, path.name.split(".")[2], origin=f"{path} was damaged, delete it")
    return path


def _keep(adata: ad.AnnData, name: str) -> Path:
    """Write the data set to the cache: beside its place first, so that no half of it is found.

    HDF5 meets a full disk with pages of its own complaints; it writes elsewhere, for a plain copy.
    """
    folder = _cache_dir() / "made"
    with tempfile.TemporaryDirectory() as elsewhere:
        written = Path(elsewhere) / "made.h5ad"
        adata.write_h5ad(written, compression="gzip")
        path = folder / f"{name}.{_CONVERSION}.{pooch.file_hash(str(written))}.h5ad"
        with writing_to(folder):
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder) as beside:
                return Path(shutil.copy(written, beside)).replace(path)
