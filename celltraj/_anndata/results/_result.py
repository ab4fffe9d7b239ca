"""A result that is kept in AnnData: what it is, where it stands, and that it is still true.

What a tool writes is a record below ``uns["celltraj"]``, with its kind, the places that it fills in
``obs``, ``obsm`` and ``obsp``, and digests of what it was computed from.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData, ImplicitModificationWarning

from celltraj._anndata.results._declared import COMMON, Field, Place, filled, slot_of
from celltraj._anndata.results._record import (
    ROOT,
    check_name,
    kept_records,
    kind_of,
    named,
    places_of,
    records_of,
)
from celltraj._anndata.source import Source

logger = logging.getLogger("celltraj")


@dataclass(frozen=True, eq=False)
class Result:
    """Describe one kind of result, and read and write those of that kind.

    Parameters
    ----------
    kind
        Its name, which stands in every record of it.
    call
        What makes one, for an error to say.
    key
        The name that one has by default.
    places
        The places that it may fill.
    fields
        The entries of its record, besides those that every record has.
    params
        What the arguments are that it keeps.
    record
        Name of its record where that is the same whatever ``key_added`` is.
    reads
        The param that names the other result, or the column, that it was computed from.
    is_whole
        Whether it ties cells to each other, and is true only while all cells are there.
    also
        Further functions that write it.
    """

    kind: str
    call: str
    key: str
    places: tuple[Place, ...] = ()
    fields: tuple[Field, ...] = ()
    params: str = "arguments as used"
    record: str | None = None
    reads: str | None = None
    is_whole: bool = False
    also: tuple[str, ...] = ()

    @property
    def written_by(self) -> tuple[str, ...]:
        """The functions that write it, such as ``tl.fates``."""
        return (self.call.removeprefix("ct.").partition("(")[0], *self.also)

    def claim(self, adata: AnnData, key: str, **braces: str) -> None:
        """Raise before any work where the result could not be written under ``key``.

        Raises
        ------
        ValueError
            ``key`` is no name, another result or a column of the user stands there, or ``adata``
            is a view of a file.
        """
        check_name(key)
        if adata.is_view and adata.isbacked:
            raise ValueError(
                "adata is a view of a backed file; load it first with adata.to_memory()"
            )
        name = self.record or key
        before = records_of(adata).get(name)
        if before is not None and kind_of(before) != self.kind:
            raise ValueError(
                f"adata.uns[{ROOT!r}][{name!r}] holds {named(before)}, which {self.call} does not "
                f"replace; choose another key_added=, or remove it with del "
                f"adata.uns[{ROOT!r}][{name!r}]"
            )
        own = places_of(before)
        for slot, at in filled(self.places, {"key": key} | braces):
            if at in getattr(adata, slot) and f"{slot} {at}" not in own:
                raise ValueError(
                    f"adata.{slot}[{at!r}] is there already, and {self.call} did not write it "
                    f"under this name; choose another key_added=, or remove it with "
                    f"del adata.{slot}[{at!r}]"
                )

    def write(
        self,
        adata: AnnData,
        key: str,
        record: Mapping[str, Any],
        columns: Mapping[str, Any] | None = None,
        *,
        source: Source | None = None,
    ) -> None:
        """Write columns to ``obs``, ``obsm`` and ``obsp``, and what they are to ``uns``.

        What stood under ``key`` before is removed whole.

        Raises
        ------
        ValueError
            A column or an entry of the record is not as it is declared.
        """
        name = self.record or key
        placed = [(slot_of(values), at, values) for at, values in (columns or {}).items()]
        for slot, at, values in placed:
            self._place(slot, at, key).check(values)
        made = self.made(record, [f"{slot} {at}" for slot, at, _ in placed], source)
        records = dict(kept_records(adata))
        before = records.pop(name, None)
        own = places_of(before) if self.record is None else ()
        with warnings.catch_warnings():
            # a view becomes an AnnData of its own, as anndata has it for every write
            warnings.simplefilter("ignore", ImplicitModificationWarning)
            for slot, old in (place.split(" ", 1) for place in own):
                if old in getattr(adata, slot):
                    del getattr(adata, slot)[old]
            for slot, at, values in placed:
                getattr(adata, slot)[at] = values
            adata.uns[ROOT] = records | {name: made}
        at = ", ".join(f"adata.{slot}[{at!r}]" for slot, at, _ in placed)
        wrote = [at] * bool(at) + [f"adata.uns[{ROOT!r}][{name!r}]"]
        logger.info("wrote %s: %s", " and ".join(wrote), ", ".join(made))

    def made(
        self, record: Mapping[str, Any], places: list[str], source: Source | None = None
    ) -> dict[str, Any]:
        """Return a record with its kind, its places and its source.

        Raises
        ------
        ValueError
            An entry is not as it is declared.
        """
        declared = {one.name: one for one in (*COMMON, *self.fields)}
        if unknown := sorted(set(record) - set(declared)):
            raise ValueError(f"{self.kind} declares no field {unknown}; found {sorted(declared)}")
        for name, value in record.items():
            declared[name].check(value)
        kept = {"places": np.array(places, dtype=object)} if places else {}
        origin = {} if source is None else {"source": source.record()}
        return {"kind": self.kind} | dict(record) | kept | origin

    def read(self, adata: AnnData, key: str | None = None) -> dict[str, Any]:
        """Return the record under ``key``, once it is known to be of this kind and still true.

        Raises
        ------
        KeyError
            There is none of this kind.
        ValueError
            What it was computed from has changed.
        """
        found = self.peek(adata, key)
        self.check_fresh(adata, self._name(key), found)
        return found

    def peek(self, adata: AnnData, key: str | None = None) -> dict[str, Any]:
        """Return the record under ``key``, whatever became of the cells since.

        Raises
        ------
        KeyError
            There is none of this kind.
        """
        records, name = records_of(adata), self._name(key)
        if name not in records:
            fitting = sorted(name for name, one in records.items() if kind_of(one) == self.kind)
            raise KeyError(
                f"no {self.kind} {name!r} in adata.uns[{ROOT!r}]; found {fitting}. Run {self.call} "
                "first, or pass key= with its key_added"
            )
        if kind_of(records[name]) != self.kind:
            raise KeyError(
                f"adata.uns[{ROOT!r}][{name!r}] holds {named(records[name])} and no {self.kind}; "
                f"run {self.call}, or pass key= with its key_added"
            )
        found: dict[str, Any] = records[name]
        return found

    def find(self, adata: AnnData, key: str | None = None) -> dict[str, Any] | None:
        """Return the record under ``key`` where there is one of this kind, else None."""
        found = records_of(adata).get(self._name(key))
        return found if kind_of(found) == self.kind else None

    def table(self, adata: AnnData, key: str, field: str = "table") -> pd.DataFrame:
        """Return a table of the record, with its texts as they were before a file.

        Raises
        ------
        KeyError
            There is no such result, or it is one of another kind.
        ValueError
            It has no rows, or its source has changed.
        """
        table = self.read(adata, key)[field]
        if len(table) == 0:
            raise ValueError(f"the result {key!r} of {self.call} has no rows; run it again")
        return self.plain(table, field)

    def plain(self, table: pd.DataFrame, field: str) -> pd.DataFrame:
        """Return a copy of a table of a record, with its texts as they were before a file."""
        declared = next(one for one in self.fields if one.name == field)
        texts = [name for name in declared.texts if name in table]
        return table.astype(dict.fromkeys(texts, object)).reset_index(drop=True)

    def values(self, adata: AnnData, key: str, place: str = "{key}") -> Any:
        """Return what stands at one of the places, once the result is known to be still true.

        Raises
        ------
        KeyError
            There is no such result, or nothing at that place.
        ValueError
            Its source has changed.
        """
        self.read(adata, key)
        declared = next(one for one in self.places if one.name == place)
        slot, name = getattr(adata, declared.slot), declared.at(key=key)
        if name not in slot:
            raise KeyError(
                f"no adata.{declared.slot}[{name!r}] ({declared.content}); found {list(slot)}. Run "
                f"{self.call} again"
            )
        return slot[name]

    def check_fresh(self, adata: AnnData, key: str, record: Mapping[str, Any]) -> None:
        """Raise where the cells are no more those that a result was computed from.

        Raises
        ------
        ValueError
            They changed since; the message says what did.
        """
        if change := self.change(adata, record):
            raise ValueError(
                f"the result {key!r} of {self.call} is stale: {change} since it was computed. Run "
                "it again, or bring back the cells that it was computed from"
            )

    def change(self, adata: AnnData, record: Mapping[str, Any]) -> str | None:
        """Return what of the cells is no more what it was, None where nothing is known to be."""
        if "source" not in record:
            return None
        return Source.from_record(record["source"]).change(adata, whole=self.is_whole)

    def _name(self, key: str | None) -> str:
        return (self.record or self.key) if key is None else key

    def _place(self, slot: str, name: str, key: str) -> Place:
        """Return the declared place that ``adata.slot[name]`` is."""
        for one in self.places:
            if one.holds(slot, name, key):
                return one
        raise ValueError(f"{self.kind} declares no place {slot} {name!r} of the key {key!r}")
