"""The page of the documentation that shows every place in AnnData: docs/keys.md.

``python -m celltraj._anndata.keys > docs/keys.md`` writes it from what the results declare.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator

from celltraj._anndata.results import COMMON, RESULTS, ROOT, Field, Place, Result

GIVEN = (  # what is read and never written
    Place("obs", "{time_key}", "sampling time of each cell", unit="[t], yours"),
    Place("obs", "{counts}", "number of cells that each cell stands for", unit="cells"),
    Place("obs", "{population_key}", "population of each cell: patient, donor, well"),
    Place(
        "obs",
        "{condition_key}",
        "drug of each cell, or label of the control; missing for none; one column or several",
    ),
    Place("obs", "{dose_key}", "dose of the drug, one column for each of those", unit="yours"),
    Place(
        "obs",
        "{covariate}",
        "covariate of the cells, one column for each of covariate_keys; text is categorical",
        unit="yours",
    ),
    Place("obs", "{cell_type_key}", "cell type of each cell"),
    Place("obs", "{groupby}", "group of each cell, such as a cell type or a fate"),
    Place("obs", "{growth_key}", "net growth that is expected of each cell", unit="1/[t]"),
    Place("obs", "{sample_key}", "sample of each cell: patient, mouse, well"),
    Place("obs", "{unit_key}", "unit that calibration counts once: clone, donor, sample"),
    Place("obs", "{truth}", "share of a cell's unit that was seen in a fate, one column each"),
    Place("obs", "{clone_key}", "clone of each cell, missing where it is not known"),
    Place("obs", "{of}", "number or category of each cell to compare or correlate", unit="yours"),
    Place("obs", "{fit_on}", "whether a cell is one to learn components from"),
    Place("obsm", "{use_rep}", "representation to work in", unit="[x], yours"),
    Place("var", "{genes}", "whether a gene is looked at, such as a transcription factor"),
    Place("layers", "{layer}", "expression to take components of, in place of `X`", unit="[x]"),
    Place("uns", "time_unit", "name of the unit of time, for axis labels"),
    Place("uns", "{color}_colors", "colours of the categories of `obs[{color}]`"),
)
_INTRODUCTION = """# Keys

Every place in AnnData that celltraj reads or writes. `{key}` stands for `key_added`, other braces
for an argument's value. Units: `[x]` that of the representation, `[t]` that of the sampling
times; celltraj rescales neither. All of it survives `write_h5ad` and `write_zarr`, and
`ct.get.results(adata)` lists what an AnnData holds.

A result is read only while its source is what it was: the states of the cells that are there,
their times and, for couplings, that all cells of each time are there. The order of the cells, the
signs of variables and single precision play no part; values of cells may be read of some of them,
and couplings of times that follow each other. `key_added` replaces a result of the same kind,
with all its places, and nothing else: not another kind, and no column of yours.

## What you give
"""
_RECORDS = f"""
## What a result is

Values of cells in `obs`, `obsm` or `obsp`, and a record in `uns["{ROOT}"]["{{key}}"]`, which
holds besides what its table names:
"""
_RESULTS = """
## Results

Entries without a slot are those of the record. `tl.simulate`, `tl.interpolate`,
`tl.predict_response`, `tl.embed_populations` and `tl.decode` write to the AnnData that they
return, all others to the one that they are given, or with `copy=True` to a copy."""


def page() -> str:
    """Return the page."""
    parts = [
        _INTRODUCTION,
        *_table(("slot", "key", "content", "unit"), map(_given, GIVEN)),
        _RECORDS,
        *_table(("entry", "content"), ((f"`{one.name}`", one.content) for one in COMMON)),
        _RESULTS,
    ]
    for result in RESULTS:
        parts += _section(result)
    return "\n".join(parts) + "\n"


def _given(place: Place) -> tuple[str, ...]:
    return f"`{place.slot}`", f"`{place.name}`", place.content, place.unit


def _section(result: Result) -> Iterator[str]:
    """Yield the lines on one result."""
    writers = ", ".join(f"`{name}`" for name in result.written_by)
    name = result.record or "{key}"
    at = f'Record: `uns["{ROOT}"]["{name}"]`'
    by_default = "" if result.record == result.key else f"; `key` is `{result.key}` by default"
    yield f"\n### {result.kind}: {writers}\n\n{at}{by_default}.\n"
    rows = [*map(_place, result.places), ("`params`", result.params, "-")]
    yield from _table(("place", "content", "unit"), [*rows, *map(_field, result.fields)])


def _place(place: Place) -> tuple[str, ...]:
    form = ", ".join(one for one in (place.shape and f"`{place.shape}`", place.dtype) if one)
    content = f"{place.content} ({form})" if form else place.content
    return f"`{place.slot}` `{place.name}`", content, place.unit


def _field(field: Field) -> tuple[str, ...]:
    columns = f"; columns {', '.join(field.columns)}" if field.columns else ""
    return f"`{field.name}`", field.content + columns, "-"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield "|" + "---|" * len(head)
    yield from (f"| {' | '.join(row)} |" for row in rows)


if __name__ == "__main__":
    sys.stdout.write(page())
