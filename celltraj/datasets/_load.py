"""Find, verify and read a data set's file."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import anndata as ad
import platformdirs
import pooch

from celltraj.datasets._files import FILES


def _cache_dir() -> Path:
    return Path(platformdirs.user_cache_dir("celltraj"))


def load(name: str) -> ad.AnnData:
    """Read data set ``name`` from CELLTRAJ_DATA_DIR, the user's cache or CELLTRAJ_DATA_URL.

    The checksum is verified wherever the file comes from; a download goes to the cache.
    """
    expected, source = FILES[name]
    folders = [_cache_dir()]
    if os.environ.get("CELLTRAJ_DATA_DIR"):
        folders.insert(0, Path(os.environ["CELLTRAJ_DATA_DIR"]).expanduser())
    paths = [folder / f"{name}.h5ad" for folder in folders]
    path = next((p for p in paths if p.is_file()), None)
    if path is None and os.environ.get("CELLTRAJ_DATA_URL"):
        path = _download(f"{os.environ['CELLTRAJ_DATA_URL'].rstrip('/')}/{name}.h5ad", expected)
    if path is None:
        raise FileNotFoundError(
            f"data set {name!r} not found; looked for {', '.join(map(str, paths))}. Set the "
            f"environment variable CELLTRAJ_DATA_DIR to the folder that holds {name}.h5ad, or "
            f"CELLTRAJ_DATA_URL to an address below which it lies. Origin: {source}"
        )
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != expected:
        raise ValueError(f"{path}: sha256 mismatch, expected {expected}, found {found}")
    return ad.read_h5ad(path)


def _download(url: str, expected: str) -> Path:
    """Return the cached file from ``url``; a wrong checksum raises and leaves nothing behind."""
    name = url.rsplit("/", 1)[-1]
    return Path(pooch.retrieve(url, f"sha256:{expected}", fname=name, path=_cache_dir()))
