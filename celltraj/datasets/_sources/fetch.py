"""Bring original files into the cache, checked, or say in a sentence why not."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pooch

from celltraj.datasets._sources import table
from celltraj.datasets._sources.original import Original

_FULL = (errno.ENOSPC, errno.EDQUOT)


def fetch(original: Original, folder: Path) -> Path:
    """Return the file from ``folder``, downloaded to it where it is not there yet.

    Raises
    ------
    ConnectionError
        The address cannot be reached.
    ValueError
        It answers with something else than the file.
    OSError
        The folder cannot be written: it is full, or not ours.
    """
    registry = pooch.create(
        path=folder,
        base_url="",
        registry={row.name: f"sha256:{row.sha256}" for row in table.ORIGINALS},
        urls={row.name: row.address for row in table.ORIGINALS},
    )
    with writing_to(folder):
        return Path(registry.fetch(original.name, downloader=Download(original.sha256)))


@dataclass(frozen=True)
class Download:
    """Download one file and look at it before pooch gives it its name.

    Parameters
    ----------
    sha256
        That the file must have.
    """

    sha256: str

    def __call__(self, url: str, output_file: str, registry: Any) -> None:
        """Write what lies at ``url`` to ``output_file``, or raise what went wrong."""
        try:
            pooch.HTTPDownloader()(url, output_file, registry)
        except OSError as error:
            if error.errno is not None:  # of the file system: those of the network have no number
                raise
            response = getattr(error, "response", None)
            told = type(error).__name__ if response is None else f"error {response.status_code}"
            raise ConnectionError(f"{url} cannot be had ({told})") from None
        with Path(output_file).open("rb") as file:
            start = file.read(512).lstrip(b"\xef\xbb\xbf \t\r\n").lower()
        if start.startswith((b"<!doctype html", b"<html")):
            raise ValueError(f"{url} answers with a page of HTML in place of the file")
        check(Path(output_file), self.sha256, origin=url)


def check(path: Path, sha256: str, *, origin: str) -> None:
    """Raise ``ValueError`` if the file at ``path`` has another checksum."""
    found = pooch.file_hash(str(path))
    if found != sha256:
        raise ValueError(f"{origin}: sha256 mismatch, expected {sha256}, found {found}")


@contextmanager
def writing_to(folder: Path) -> Iterator[None]:
    """Say which folder it was that could not be written, and why."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            reason = "is full"
        elif isinstance(error, PermissionError) or error.errno == errno.EROFS:
            reason = "may not be written"
        else:
            raise
        code = error.errno or errno.EACCES
        raise OSError(code, f"the cache folder {folder} {reason}") from error
