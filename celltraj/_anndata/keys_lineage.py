"""The keys of couplings and of what is read off them: fates, growth, drivers, knock-outs.

``{key}`` stands for ``key_added``, by default the name of the function's result.
"""

from __future__ import annotations

from celltraj._anndata.key import Key, record_keys

_SAMPLE = {
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
        "plan of every gap, rows = earlier cells, sparse; in place of the potentials",
        "-",
        "io.from_moscot, io.from_wot",
    ),
    *_result(
        "{key}",
        {
            "time_points": "the sampling times, `(T,)`, in [t]",
            "numbers": "sizes of the population as declared, `(T,)`",
            "cells": "cells at each time, `(T,)`",
            "gaps": "one row per gap: t0, t1, epsilon, marginal_error, converged, n_iters, mass",
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
        "lower end of the interval over models, as `{key}`; only with several models",
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
LINEAGE = (*COUPLINGS, *PUSH, *TRANSITIONS, *FATES, *ENTROPY)
