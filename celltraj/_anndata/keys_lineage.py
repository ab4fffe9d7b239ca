"""The keys of couplings and of what is read off them: fates, growth, drivers, knock-outs.

``{key}`` stands for ``key_added``, by default the name of the function's result.
"""

from __future__ import annotations

from celltraj._anndata.key import RECORD, Key, record_keys

_SAMPLE = RECORD | {
    "params": "arguments as used",
    "version": "version of celltraj",
    "seed": "seed; recorded also where nothing is random",
}


def _result(name: str, fields: dict[str, str], written_by: str) -> tuple[Key, ...]:
    return record_keys(name, _SAMPLE | fields, written_by)


COUPLINGS = (
    Key(
        "obsm",
        ("{key}",),
        "potentials f (of the gap after) and g (of the gap before), weight, and the mass that a "
        "cell sends and receives, `(n_obs, 5)`, float64; `couplings` by default",
        "cost, -",
        "tl.couplings",
    ),
    Key(
        "obsp",
        ("{key}",),
        "plan of every gap, rows = earlier cells, sparse; in place of the potentials, for plans of "
        "other packages and of simulated models",
        "-",
        "tl.couplings, io.from_moscot, io.from_wot",
    ),
    Key(
        "obs",
        ("{key}_weight",),
        "weight of each cell within its time, where plans couple cells of unequal weight",
        "-",
        "tl.couplings",
    ),
    Key(
        "obs",
        ("{key}_growth",),
        "net growth that a bridge was given or has learned; only of one that has some",
        "1/[t]",
        "tl.couplings",
    ),
    *_result(
        "{key}",
        {
            "time_points": "the sampling times, `(T,)`, in [t]",
            "numbers": "sizes of the population as declared, `(T,)`",
            "cells": "cells at each time, `(T,)`",
            "gaps": "one row per gap: t0, t1, epsilon, marginal_error, converged, n_iters (these "
            "four only beside potentials), mass",
            "law": "name, options (JSON) and arrays of the reference whose cost the potentials "
            "belong to; absent where that is the squared Euclidean one",
            "predicted": "sizes of the population that the model predicts, 1 at the first time, "
            "`(T,)`; only with a model",
        },
        "tl.couplings, io.from_moscot, io.from_wot",
    ),
)
PUSH = (
    Key(
        "obs",
        ("{key}",),
        "share of each cell in the descendants (`push`) or ancestors (`pull`), of sum 1 at every "
        "time between source and target; NaN at others; float32",
        "-",
        "tl.push, tl.pull",
    ),
    *_result(
        "{key}",
        {"masses": "one row per time: time, mass (cells per starting cell)"},
        "tl.push, tl.pull",
    ),
)
TRANSITIONS = _result(
    "{key}",
    {
        "table": "one row per pair of groups and of times: t0, t1, source, target, mass, forward, "
        "backward",
    },
    "tl.transitions",
)
FATES = (
    Key(
        "obsm",
        ("{key}",),
        "share of each cell's descendants in each fate, `(n_obs, K)`, float32; NaN after the time "
        "of the fates (`ct_fates` by default)",
        "-",
        "tl.fates",
    ),
    Key(
        "obsm",
        ("{key}_lower",),
        "lower end of the interval over couplings, as `{key}`; only with several of them",
        "-",
        "tl.fates",
    ),
    Key("obsm", ("{key}_upper",), "upper end of it", "-", "tl.fates"),
    *_result("{key}", {"names": "names of the fates, `(K,)`"}, "tl.fates"),
)
ENTROPY = (
    Key(
        "obs",
        ("{key}",),
        "entropy of where a cell's descendants are at the next time, float32 (`ct_entropy` by "
        "default); NaN at the last time",
        "nats",
        "tl.entropy",
    ),
    *_result("{key}", {}, "tl.entropy"),
)
GROWTH = (
    Key(
        "obs",
        ("{key}",),
        "net rate at which the cell multiplies until the next time, float32 (`ct_growth` by "
        "default); at the last time what a bridge learned, else NaN",
        "1/[t]",
        "tl.growth",
    ),
    *_result(
        "{key}",
        {
            "numbers": "one row per time: time, cells (sampled), observed (declared size), "
            "predicted; the last two in units of the first snapshot's cells",
        },
        "tl.growth",
    ),
)
SCORE_GROWTH = (
    Key(
        "obs",
        ("{key}",),
        "net rate of growth that the genes tell, float32 (`growth_prior` by default)",
        "1/[t]",
        "pp.score_growth",
    ),
    *(
        Key(
            "obs",
            (f"{{key}}_{name}",),
            f"mean standardised expression of the {name} genes, float32",
            "standard deviations",
            "pp.score_growth",
        )
        for name in ("proliferation", "apoptosis")
    ),
    *record_keys(
        "{key}",
        RECORD
        | {
            "params": "organism, proliferation and apoptosis (`built-in` or `given`), layer (if "
            "given), min_share, rates, days_per_unit",
            "version": "version of celltraj",
            "unit": "unit of the rate, such as `1/hour`",
            "genes": "one row per gene: gene, set, status (`used`, `constant`, `missing`)",
        },
        "pp.score_growth",
    ),
)
DRIVERS = _result(
    "{key}",
    {
        "table": "one row per fate and gene: gene, fate, correlation, lower, upper, p, q, "
        "n_samples (where samples are the units), n_cells; fates in their order, highest "
        "correlation first, NaN for genes that are constant",
    },
    "tl.drivers",
)
CONDITIONS = _result(
    "{key}",
    {
        "table": "one row per quantity and condition: quantity, condition, baseline, effect, "
        "lower, upper, p, q, n, n_baseline (samples), p_min (least p of so few samples)",
        "samples": "one row per sample, condition and quantity: sample, condition, quantity, value",
    },
    "tl.compare_conditions",
)
VELOCITY_OF = (
    Key(
        "obsm",
        ("{key}",),
        "mean velocity of the process at each cell, `(n_obs, d)`, float32 (`velocity` by default)",
        "[x]/[t]",
        "tl.velocity",
    ),
    Key(
        "obsm",
        ("{key}_{basis}",),
        "its projection on `obsm[X_{basis}]`, float32; only with basis",
        "[embedding]/[t]",
        "tl.velocity",
    ),
    *_result("{key}", {}, "tl.velocity"),
)
GENE_TRENDS = _result(
    "{key}",
    {"table": "one row per gene, group and time: gene, group, time, mean, lower, upper"},
    "tl.gene_trends",
)
KNOCKOUT = _result(
    "{key}",
    {
        "table": "one row per knock-out and fate: genes, fate, control, knockout, shift, p, q",
        "null": "one row per random set of genes and fate: genes, fate, shift",
        "masses": "cells per starting cell with and without the genes: cells, mass; tl.knockout",
    },
    "tl.knockout, tl.knockout_screen",
)
CELLRANK = (
    Key(
        "obsp",
        ("{key}",),
        "probabilities with which cells become cells of the next time, `(n_obs, n_obs)`, sparse, "
        "float32 (`T_fwd` by default)",
        "-",
        "ex.to_cellrank",
    ),
    Key("uns", ("{key}_params",), "what CellRank's kernels read beside it", "-", "ex.to_cellrank"),
    *_result("{key}", {}, "ex.to_cellrank"),
)
READ_GROUPS = (
    Key("obs", ("{groupby}",), "group of each cell, such as a cell type or a fate", "-", "you"),
    Key("obs", ("{growth_key}",), "net growth that is expected of each cell", "1/[t]", "you"),
    Key("obs", ("{counts}",), "number of cells that each cell stands for", "cells", "you"),
    Key("obs", ("{sample_key}",), "sample of each cell: patient, mouse, well", "-", "you"),
    Key(
        "obs", ("{of}",), "number or category of each cell to compare or correlate", "yours", "you"
    ),
    Key(
        "var",
        ("{genes}",),
        "whether a gene is looked at, such as a transcription factor",
        "-",
        "you",
    ),
)
LINEAGE = (
    *READ_GROUPS,
    *SCORE_GROWTH,
    *COUPLINGS,
    *PUSH,
    *TRANSITIONS,
    *FATES,
    *ENTROPY,
    *GROWTH,
    *DRIVERS,
    *CONDITIONS,
    *VELOCITY_OF,
    *GENE_TRENDS,
    *KNOCKOUT,
    *CELLRANK,
)
