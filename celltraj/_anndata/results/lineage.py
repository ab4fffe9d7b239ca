"""Couplings of cells of different times, and what is read off them."""

from __future__ import annotations

from celltraj._anndata.results._declared import Field, Place
from celltraj._anndata.results._result import Result
from celltraj._anndata.results.fits import DRAWN, GAP

COUPLINGS = Result(
    kind="couplings",
    call="ct.tl.couplings(adata)",
    key="couplings",
    is_whole=True,
    also=(
        *("tl.couple_samples", "tl.couple_clones", "tl.couple_lineages", "tl.couple_space"),
        *("io.from_moscot", "io.from_wot"),
    ),
    places=(
        Place(
            "obsm",
            "{key}",
            "potentials f (of the gap after) and g (of the gap before), weight, and the mass that "
            "a cell sends and receives",
            width="5",
            dtype="float64",
            unit="cost, -",
            is_optional=True,
        ),
        Place(
            "obsp",
            "{key}",
            "plan of every gap, rows = earlier cells, sparse; in place of the potentials, for "
            "plans of other packages and of simulated models",
            is_optional=True,
        ),
        Place(
            "obs",
            "{key}_weight",
            "weight of each cell within its time, where plans couple cells of unequal weight",
            dtype="float64",
            is_optional=True,
        ),
        Place(
            "obs",
            "{key}_growth",
            "net growth that a bridge was given or has learned; only of one that has some",
            dtype="float64",
            unit="1/[t]",
            is_optional=True,
        ),
        Place(
            "obsm",
            "{key}_registered",
            "places of all cells in the frame and unit of the last slice; only of slices",
            width="k",
            dtype="float64",
            is_optional=True,
        ),
        Place(
            "obsm",
            "{key}_joint",
            "weighted features and registered places, whose squared distances are the cost; only "
            "of slices",
            width="d + k",
            dtype="float64",
            is_optional=True,
        ),
    ),
    fields=(
        Field("time_points", "the sampling times, `(T,)`, in [t]"),
        Field("numbers", "sizes of the population as declared, `(T,)`"),
        Field("cells", "cells at each time, `(T,)`"),
        Field(
            "gaps",
            "one row per gap, of a plan from elsewhere its mass alone",
            columns=(*GAP, DRAWN, "mass"),
            rare=(*GAP[2:], DRAWN),
        ),
        Field(
            "law",
            "name, options (JSON) and arrays of the reference whose cost the potentials belong to; "
            "absent where that is the squared Euclidean one",
            is_optional=True,
        ),
        Field(
            "predicted",
            "sizes of the population that the model predicts, 1 at the first time, `(T,)`; only "
            "with a model",
            is_optional=True,
        ),
        Field(
            "samples",
            "one row per gap and sample of couplings within samples: cells on both sides, mass of "
            "the plan, 0 where a sample is missing on one side, and what the solver reached",
            columns=(
                *("t0", "t1", "sample", "n_source", "n_target", "mass"),
                *("epsilon", "marginal_error", "converged", "n_iters"),
            ),
            texts=("sample",),
            is_optional=True,
        ),
        Field(
            "registration",
            "one row per gap, only of slices: by how much the earlier one is sized and turned, in "
            "degrees, and moved, and rotation matrix and centres by their entries",
            columns=("t0", "t1", "scale", "angle"),
            is_open=True,
            is_optional=True,
        ),
        Field(
            "strengths",
            "how well clones foretold those that were left out, in nats a cell, one row for each "
            "gap, strength and scale of epsilon; only of `tl.couple_clones` that chose them",
            columns=(
                *("t0", "t1", "strength", "scale", "score", "gain", "error", "n_clones"),
                "is_chosen",
            ),
            is_optional=True,
        ),
    ),
)


def _shares(name: str, whose: str) -> Result:
    """Return the result of following cells in one direction."""
    return Result(
        kind=name,
        call=f"ct.tl.{name}(adata, source=..., target=..., cells=...)",
        key=name,
        reads="couplings",
        places=(
            Place(
                "obs",
                "{key}",
                f"share of each cell in the {whose}, of sum 1 at every time between source and "
                "target; NaN at others",
                dtype="float32",
            ),
        ),
        fields=(
            Field("masses", "one row per time; cells per starting cell", columns=("time", "mass")),
        ),
    )


PUSH, PULL = _shares("push", "descendants"), _shares("pull", "ancestors")
TRANSITIONS = Result(
    kind="transitions",
    call="ct.tl.transitions(adata, groupby=...)",
    key="transitions",
    reads="couplings",
    fields=(
        Field(
            "table",
            "one row per pair of groups and of times",
            columns=("t0", "t1", "source", "target", "mass", "forward", "backward"),
            texts=("source", "target"),
        ),
    ),
)


def _of_fates(name: str, content: str, *, is_optional: bool) -> Place:
    return Place("obsm", name, content, width="K", dtype="float32", is_optional=is_optional)


FATES = Result(
    kind="fates",
    call="ct.tl.fates(adata, groupby=...)",
    key="ct_fates",
    reads="couplings",
    places=(
        _of_fates(
            "{key}",
            "share of each cell's descendants in each fate; NaN after the time of the fates",
            is_optional=False,
        ),
        _of_fates(
            "{key}_lower",
            "lower end of the interval over couplings, as `{key}`; only of several",
            is_optional=True,
        ),
        _of_fates("{key}_upper", "upper end of it", is_optional=True),
    ),
    fields=(Field("names", "names of the fates, `(K,)`"),),
)
CALIBRATION = Result(
    kind="calibration",
    call="ct.tl.calibrate(adata, unit_key=...)",
    key="ct_fates_calibrated",
    reads="key",
    params="arguments as used, at, the time of the fates, and n_units whose fate was seen",
    places=(
        _of_fates(
            "{key}",
            "calibrated share of each cell's descendants in each fate",
            is_optional=False,
        ),
        _of_fates("{key}_lower", "lower end of the interval over new units", is_optional=False),
        _of_fates("{key}_upper", "upper end of it", is_optional=False),
    ),
    fields=(
        Field("names", "names of the fates, `(K,)`"),
        Field(
            "scores",
            "one row per fate, on units kept aside: coverage of intervals, mean squared errors and "
            "mean width; beats_constant where better than the mean of all by more than chance",
            columns=(
                *("fate", "n_units", "n_cells", "coverage_before", "coverage", "error_before"),
                *("error", "error_constant", "width", "beats_constant"),
            ),
            texts=("fate",),
        ),
        Field(
            "curve",
            "one row per fate and fifth of what was predicted, on units kept aside",
            columns=(
                *("fate", "before", "after", "observed", "lower", "upper", "coverage", "n_units"),
            ),
            texts=("fate",),
        ),
    ),
)
ENTROPY = Result(
    kind="entropy",
    call="ct.tl.entropy(adata)",
    key="ct_entropy",
    reads="couplings",
    places=(
        Place(
            "obs",
            "{key}",
            "entropy of where a cell's descendants are at the next time; NaN at the last time",
            dtype="float32",
            unit="nats",
        ),
    ),
)
GROWTH = Result(
    kind="growth",
    call="ct.tl.growth(adata)",
    key="ct_growth",
    reads="couplings",
    places=(
        Place(
            "obs",
            "{key}",
            "net rate at which the cell multiplies until the next time; at the last time what a "
            "bridge learned, else NaN",
            dtype="float32",
            unit="1/[t]",
        ),
    ),
    fields=(
        Field(
            "numbers",
            "one row per time: cells sampled, and the declared (observed) and the predicted size "
            "of the population, both in cells of the first snapshot",
            columns=("time", "cells", "observed", "predicted"),
        ),
    ),
)
MATRIX = Result(
    kind="transition matrix",
    call="ct.ex.to_cellrank(adata)",
    key="T_fwd",
    reads="couplings",
    places=(
        Place(
            "obsp",
            "{key}",
            "probabilities with which cells become cells of the next time, sparse",
            dtype="float32",
        ),
        Place("uns", "{key}_params", "what CellRank's kernels read beside it"),
    ),
)
