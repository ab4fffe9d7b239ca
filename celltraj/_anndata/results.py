"""Every result that is kept in AnnData: what it is, where it stands, and that it is still true.

One object per result. What a tool writes is a record below ``uns["celltraj"]``, with its kind, the
places that it fills in ``obs``, ``obsm`` and ``obsp``, and digests of what it was computed from.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from anndata import AnnData, ImplicitModificationWarning
from scipy.sparse import issparse

from celltraj._anndata import keys, keys_lineage
from celltraj._anndata.columns import check_adata
from celltraj._anndata.key import PROJECTION, ROOT, Key
from celltraj._anndata.source import Source

logger = logging.getLogger("celltraj")


@dataclass(frozen=True)
class Result:
    """Describe one kind of result, and read and write those of that kind.

    Parameters
    ----------
    kind
        Its name, which stands in every record of it.
    call
        What makes one, for an error to say.
    keys
        The places that it may fill.
    record
        Name of its record where that is the same whatever ``key_added`` is.
    """

    kind: str
    call: str
    keys: tuple[Key, ...]
    record: str | None = None

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
        before = records_of(adata).get(self.record or key)
        if before is not None and _kind_of(before) != self.kind:
            raise ValueError(
                f"adata.uns[{ROOT!r}][{self.record or key!r}] holds {_named(before)}, which "
                f"{self.call} does not replace; choose another key_added=, or remove it "
                f"with del adata.uns[{ROOT!r}][{self.record or key!r}]"
            )
        own = _places_of(before)
        for slot, name in self._places(key, braces):
            if name in getattr(adata, slot) and f"{slot} {name}" not in own:
                raise ValueError(
                    f"adata.{slot}[{name!r}] is there already, and {self.call} did not write it "
                    f"under this name; choose another key_added=, or remove it with "
                    f"del adata.{slot}[{name!r}]"
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
        """
        name = self.record or key
        placed = [(_slot_of(values), at, values) for at, values in (columns or {}).items()]
        records = dict(records_of(adata))
        before = records.pop(name, None)
        own = _places_of(before) if self.record is None else frozenset()
        with warnings.catch_warnings():
            # a view becomes an AnnData of its own, as anndata has it for every write
            warnings.simplefilter("ignore", ImplicitModificationWarning)
            for slot, old in (place.split(" ", 1) for place in own):
                if old in getattr(adata, slot):
                    del getattr(adata, slot)[old]
            for slot, at, values in placed:
                getattr(adata, slot)[at] = values
            made = self.made(record, [f"{slot} {at}" for slot, at, _ in placed], source)
            adata.uns[ROOT] = records | {name: made}
        filled = [f"adata.{slot}[{at!r}]" for slot, at, _ in placed]
        wrote = " and ".join(
            [", ".join(filled)] * bool(filled) + [f"adata.uns[{ROOT!r}][{name!r}]"]
        )
        logger.info("wrote %s: %s", wrote, ", ".join(made))

    def made(
        self, record: Mapping[str, Any], places: list[str], source: Source | None = None
    ) -> dict[str, Any]:
        """Return a record with its kind, its places and its source."""
        filled = {"places": np.array(places, dtype=object)} if places else {}
        origin = {} if source is None else {"source": source.record()}
        return {"kind": self.kind} | dict(record) | filled | origin

    def read(self, adata: AnnData, key: str, *, whole: bool = False) -> dict[str, Any]:
        """Return the record under ``key``, once it is known to be of this kind and still true.

        ``whole`` asks that all cells are there that it was computed from; otherwise some will do.

        Raises
        ------
        KeyError
            There is none of this kind.
        ValueError
            What it was computed from has changed.
        """
        found = self.peek(adata, key)
        check_fresh(adata, key, found, self.call, whole=whole)
        return found

    def peek(self, adata: AnnData, key: str) -> dict[str, Any]:
        """Return the record under ``key``, whatever became of the cells since.

        Raises
        ------
        KeyError
            There is none of this kind.
        """
        records = records_of(adata)
        if key not in records:
            fitting = sorted(name for name, one in records.items() if _kind_of(one) == self.kind)
            raise KeyError(
                f"no {self.kind} {key!r} in adata.uns[{ROOT!r}]; found {fitting}. Run {self.call} "
                "first, or pass key= with its key_added"
            )
        if _kind_of(records[key]) != self.kind:
            raise KeyError(
                f"adata.uns[{ROOT!r}][{key!r}] holds {_named(records[key])} and no {self.kind}; "
                f"run {self.call}, or pass key= with its key_added"
            )
        return records[key]

    def _places(self, key: str, braces: Mapping[str, str]) -> list[tuple[str, str]]:
        """Return slot and name of everything that may be written under ``key``."""
        values = {"key": key} | dict(braces)
        found = []
        for one in self.keys:
            if one.slot in ("obs", "obsm", "obsp"):
                try:
                    found.append((one.slot, one.at(**values)[0]))
                except KeyError:  # a place that this call does not fill
                    continue
        return found


def check_name(key: str) -> None:
    """Raise where a name cannot be one of a result.

    Raises
    ------
    TypeError
        It is no text.
    ValueError
        It is empty, or has a slash.
    """
    if not isinstance(key, str):
        raise TypeError(f"key_added must be a text; found {key!r}")
    if not key.strip():
        raise ValueError("key_added is empty; give the result a name, or leave key_added= out")
    if "/" in key:
        raise ValueError(f"key_added={key!r} holds '/', which h5ad reads as nesting; leave it out")


def check_fresh(
    adata: AnnData, key: str, record: Mapping[str, Any], call: str, *, whole: bool = False
) -> None:
    """Raise where the cells are no more those that a result was computed from.

    Raises
    ------
    ValueError
        They changed since; the message says what did.
    """
    if "source" not in record:
        return
    source = Source.from_record(record["source"])
    if change := source.change(adata, whole=whole):
        raise ValueError(
            f"the result {key!r} of {call} is stale: {change} since it was computed. Run it again, "
            "or bring back the cells that it was computed from"
        )


def check_column_fresh(adata: AnnData, key: str) -> None:
    """Raise where a column is a result whose source has changed; the user's own passes.

    Raises
    ------
    ValueError
        It is stale.
    """
    record = records_of(adata).get(key)
    if record is not None:
        call = next((one.call for one in RESULTS if one.kind == _kind_of(record)), "the call")
        check_fresh(adata, key, record, call)


def fit_of(adata: AnnData, key: str) -> dict[str, Any]:
    """Return the record of a fit, of whatever model.

    Raises
    ------
    KeyError
        There is none.
    """
    records, fits = records_of(adata), (BRIDGE, FLOW, RESPONSE)
    kinds = {one.kind for one in fits}
    found = sorted(name for name, one in records.items() if _kind_of(one) in kinds)
    if key not in found:
        raise KeyError(
            f"no fit {key!r} in adata.uns[{ROOT!r}]; found {found}. Run "
            f"{' or '.join(one.call for one in fits)} first, or pass key= with its key_added"
        )
    return records[key]


def records_of(adata: AnnData) -> Mapping[str, Any]:
    """Return everything below ``uns["celltraj"]``; empty where nothing was written."""
    check_adata(adata)
    records = adata.uns.get(ROOT, {})
    if not isinstance(records, Mapping):
        raise ValueError(f"adata.uns[{ROOT!r}] is not a dict; move it: celltraj writes there")
    return records


def _kind_of(record: Any) -> str | None:
    kind = record.get("kind") if isinstance(record, Mapping) else None
    return None if kind is None else str(kind)


def _named(record: Any) -> str:
    kind = _kind_of(record)
    return f"a result of the kind {kind!r}" if kind else "a record of no kind, as of old versions"


def _places_of(record: Any) -> frozenset[str]:
    return (
        frozenset(map(str, record.get("places", ())))
        if isinstance(record, Mapping)
        else frozenset()
    )


def _slot_of(values: Any) -> str:
    if issparse(values):
        return "obsp"
    return "obs" if np.ndim(values) == 1 else "obsm"


BRIDGE = Result("bridge", "ct.tl.fit_bridge(adata)", keys.FIT_BRIDGE)
FLOW = Result("flow", "ct.tl.fit_flow(adata)", keys.FIT_FLOW)
RESPONSE = Result("response", "ct.tl.fit_response(adata, ...)", keys.FIT_RESPONSE)
LOG_DENSITY = Result("log density", "ct.tl.log_density(adata, flow)", keys.LOG_DENSITY)
PCA = Result("projection", "ct.pp.pca_model(adata)", keys.PCA_MODEL, record=PROJECTION)
COUPLINGS = Result("couplings", "ct.tl.couplings(adata)", keys_lineage.COUPLINGS)
PUSH, PULL = (
    Result(name, f"ct.tl.{name}(adata, source=..., target=..., cells=...)", keys_lineage.PUSH)
    for name in ("push", "pull")
)
TRANSITIONS = Result(
    "transitions", "ct.tl.transitions(adata, groupby=...)", keys_lineage.TRANSITIONS
)
FATES = Result("fates", "ct.tl.fates(adata, groupby=...)", keys_lineage.FATES)
ENTROPY = Result("entropy", "ct.tl.entropy(adata)", keys_lineage.ENTROPY)
GROWTH = Result("growth", "ct.tl.growth(adata)", keys_lineage.GROWTH)
GROWTH_PRIOR = Result("growth prior", "ct.pp.score_growth(adata)", keys_lineage.SCORE_GROWTH)
DRIVERS = Result("drivers", "ct.tl.drivers(adata)", keys_lineage.DRIVERS)
CONDITIONS = Result(
    "comparison of conditions",
    "ct.tl.compare_conditions(adata, sample_key=..., condition_key=...)",
    keys_lineage.CONDITIONS,
)
VELOCITY = Result("velocity", "ct.tl.velocity(adata, model)", keys_lineage.VELOCITY_OF)
GENE_TRENDS = Result(
    "gene trends", "ct.tl.gene_trends(adata, path, genes=...)", keys_lineage.GENE_TRENDS
)
KNOCKOUT = Result("knock-out", "ct.tl.knockout(adata, ...)", keys_lineage.KNOCKOUT)
MATRIX = Result("transition matrix", "ct.ex.to_cellrank(adata)", keys_lineage.CELLRANK)
SIMULATE = Result("simulation", "ct.tl.simulate(adata, model, ...)", keys.SIMULATE)
INTERPOLATE = Result("interpolation", "ct.tl.interpolate(adata, ...)", keys.INTERPOLATE)
PREDICTION = Result("prediction", "ct.tl.predict_response(adata, ...)", keys.PREDICT_RESPONSE)
EMBEDDING = Result("embedding", "ct.tl.embed_populations(adata, ...)", keys.EMBED_POPULATIONS)
DECODE = Result("decoding", "ct.tl.decode(adata)", keys.DECODE)
RESULTS = tuple(one for one in list(globals().values()) if isinstance(one, Result))
