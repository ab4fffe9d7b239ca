"""Declare the places and the fields of a result."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import issparse


@dataclass(frozen=True)
class Place:
    """Describe one place in AnnData.

    Parameters
    ----------
    slot
        ``"obs"``, ``"obsm"``, ``"obsp"``, ``"var"``, ``"layers"`` or ``"uns"``.
    name
        The key there; ``{key}`` stands for ``key_added``, other braces for an argument's value.
    content
        What is there.
    width
        Number of columns of a matrix in ``obsm``, or the letter for it.
    dtype
        What it is stored as; None where that is left open.
    unit
        Its unit, ``"-"`` where there is none.
    is_optional
        Whether only some calls write it.
    """

    slot: str
    name: str
    content: str
    width: str | None = None
    dtype: str | None = None
    unit: str = "-"
    is_optional: bool = False

    def at(self, **values: str) -> str:
        """Return the name with its braces filled in.

        Examples
        --------
        >>> from celltraj._anndata.results import Place
        >>> Place("obsm", "{key}_velocity", "drift").at(key="bridge")
        'bridge_velocity'
        """
        return self.name.format(**values)

    @property
    def shape(self) -> str | None:
        """The shape as text, None where any will do."""
        if self.slot == "obsp":
            return "(n_obs, n_obs)"
        return None if self.width is None else f"(n_obs, {self.width})"

    def holds(self, slot: str, name: str, key: str) -> bool:
        """Return whether ``slot`` and ``name`` are this place of the result ``key``."""
        parts = re.split(r"(\{\w+\})", self.name)
        pattern = "".join(
            re.escape(key) if part == "{key}" else ".+" if part[:1] == "{" else re.escape(part)
            for part in parts
        )
        return slot == self.slot and re.fullmatch(pattern, name) is not None

    def check(self, values: Any) -> None:
        """Raise where values are not of the form that is declared.

        Raises
        ------
        ValueError
            They have another width, or are stored as another type.
        """
        if self.dtype is not None and values.dtype != self.dtype:
            raise ValueError(f"{self.slot} {self.name} is {self.dtype}; found {values.dtype}")
        is_fixed = self.width is not None and self.width.isdigit()
        if is_fixed and values.shape[1] != int(str(self.width)):
            raise ValueError(f"{self.slot} {self.name} is {self.shape}; found {values.shape}")


@dataclass(frozen=True)
class Field:
    """Describe one entry of a record.

    Parameters
    ----------
    name
        Its key.
    content
        What is there.
    columns
        Columns of a table, in their order; none for what is no table.
    texts
        Those of texts, which a file gives back in other forms.
    rare
        Those that only some calls write.
    is_open
        Whether there may be further columns.
    is_optional
        Whether only some calls write the entry.
    """

    name: str
    content: str
    columns: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    rare: tuple[str, ...] = ()
    is_open: bool = False
    is_optional: bool = False

    def check(self, value: Any) -> None:
        """Raise where a table lacks a column that is declared, or has another.

        Raises
        ------
        ValueError
            It does.
        """
        if not self.columns:
            return
        found = set(value.columns)
        missing = set(self.columns) - set(self.rare) - found
        unknown = set() if self.is_open else found - set(self.columns)
        if missing or unknown:
            raise ValueError(
                f"the table {self.name!r} has columns {list(value.columns)}; declared are "
                f"{list(self.columns)}, of which it may lack {list(self.rare)}"
            )


COMMON = (  # what a record of any result holds besides its own
    Field("kind", "what it is a result of, such as `fates`"),
    Field("params", "arguments as used"),
    Field("version", "version of celltraj"),
    Field("seed", "seed, recorded also where nothing is random", is_optional=True),
    Field(
        "places",
        "slots and names that it fills, such as `obsm ct_fates`; absent where none",
        is_optional=True,
    ),
    Field(
        "source",
        "digests of the names and states of the cells that it was computed from, `(n,)` uint32, "
        "their times and numbers `(T,)`, use_rep, time_key; absent where none were read",
        is_optional=True,
    ),
)


def slot_of(values: Any) -> str:
    """Return the slot of AnnData that values of cells belong to."""
    if issparse(values):
        return "obsp"
    return "obs" if np.ndim(values) == 1 else "obsm"


def filled(places: tuple[Place, ...], values: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return slot and name of the places of cells whose braces all have a value."""
    found = []
    for one in places:
        if one.slot in ("obs", "obsm", "obsp"):
            try:
                found.append((one.slot, one.at(**values)))
            except KeyError:  # a place that this call does not fill
                continue
    return found
