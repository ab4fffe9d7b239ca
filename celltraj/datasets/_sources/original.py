"""Describe one original file."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Original:
    """Say where one file of a data set comes from.

    Parameters
    ----------
    name
        Of the file in the cache.
    address
        From which it is downloaded; fixed to a commit, so that the content cannot change.
    sha256
        Of the file, in hexadecimal digits.
    size
        Of the file (bytes).
    licence
        As far as the source states one.
    citation
        Whom to cite.
    """

    name: str
    address: str
    sha256: str
    size: int
    licence: str
    citation: str
