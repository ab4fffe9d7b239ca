"""What a call warned of."""

from __future__ import annotations

from collections.abc import Iterable
from warnings import WarningMessage

from celltraj import DataWarning


def ours(caught: Iterable[WarningMessage]) -> list[WarningMessage]:
    """Return the warnings of celltraj among those that a test caught."""
    # newer anndata adds its own at each read and view, see pyproject.toml
    return [one for one in caught if issubclass(one.category, DataWarning)]
