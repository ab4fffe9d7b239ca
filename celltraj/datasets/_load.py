"""Find, verify and read a data set's file."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import anndata as ad

from celltraj.datasets._files import FILES


def _cache_dir() -> Path:
    import platformdirs

    return Path(platformdirs.user_cache_dir("celltraj"))


def load(name: str) -> ad.AnnData:
    """Read data set `name` from CELLTRAJ_DATA_DIR or the user cache, its checksum verified."""
    expected, source = FILES[name]
    folders = [_cache_dir()]
    if os.environ.get("CELLTRAJ_DATA_DIR"):
        folders.insert(0, Path(os.environ["CELLTRAJ_DATA_DIR"]).expanduser())
    paths = [folder / f"{name}.h5ad" for folder in folders]
    path = next((p for p in paths if p.is_file()), None)
    if path is None:
        raise FileNotFoundError(
            f"data set {name!r} not found; looked for {', '.join(map(str, paths))}. "
            f"Set the environment variable CELLTRAJ_DATA_DIR to the folder that holds "
            f"{name}.h5ad. No download address is recorded. Origin: {source}"
        )
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != expected:
        raise ValueError(f"{path}: sha256 mismatch, expected {expected}, found {found}")
    return ad.read_h5ad(path)
