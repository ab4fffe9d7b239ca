"""What arguments of public functions were called before, and what a user is to write now.

One table: the function, as in ``ct.tl.push`` without ``ct.``, the old name, and the sentence that
stands in the error. :func:`celltraj._checks.checked` reads it.
"""

from __future__ import annotations

_DOOR = "run ct.tl.couplings(adata, model) first, then ct.{0}(adata, ...)"
_READERS = ("tl.push", "tl.pull", "tl.transitions", "tl.fates", "tl.entropy", "tl.growth")
_MODEL = "it is called model= now, and stands directly after adata"


def _door(function: str, *names: str) -> dict[str, str]:
    """Return one sentence for what only a call to ``ct.tl.couplings`` still takes."""
    return dict.fromkeys(names, _DOOR.format(function))


def _now(name: str) -> str:
    return f"it is called {name}= now"


_TIMES_KNOWN = "the column of times is the one that the result under key= was computed with"

OLD_ARGUMENTS: dict[str, dict[str, str]] = {
    **{one: _door(one, "model", "time_key", "use_rep", "seed") for one in _READERS},
    "tl.couplings": {
        "weights_key": "counts= also takes the name of a column of obs that says how many cells "
        "each cell stands for"
    },
    "tl.interpolate": {"bridge": _MODEL, "process": _MODEL},
    "tl.simulate": {
        "process": _MODEL,
        "solver": _now("ode_solver"),
        "ode": "noise=0 follows the probability flow of any model",
    },
    "tl.velocity": {"process": _MODEL},
    "tl.log_density": {"process": _MODEL},
    "tl.knockout": {
        "process": _MODEL,
        "time_key": "the column of times is the one that the model was fitted with",
    },
    "tl.knockout_screen": {
        "process": _MODEL,
        "time_key": "the column of times is the one that the model was fitted with",
    },
    "tl.regulation": {"bridge": _MODEL, "solver": _now("coupling")},
    "tl.predict_response": {"solver": _now("ode_solver")},
    "tl.bootstrap": {"level": _now("confidence")},
    "tl.compare_conditions": {"reference": _now("baseline"), "time_key": _TIMES_KNOWN},
    "tl.drivers": {
        "time_key": _TIMES_KNOWN,
        "within_time": 'time="pooled" compares cells of all times',
        "method": "n_permutations= asks for p values of as many exchanges, and without it they are "
        "those of Student's distribution",
        "groups": "every fate is in the result; ct.get.drivers(adata, fate=...) and "
        "ct.pl.drivers(adata, fate=...) show one",
    },
    "tl.gene_trends": {"reference": _now("loadings")},
    "tl.decode": {"reference": _now("loadings")},
    "pp.project": {"reference": _now("loadings")},
    "pl.landscape": {"bridge": _MODEL},
    "pl.vector_field": {"bridge": _MODEL},
    "pl.refinement": {"bridge": _MODEL},
    "ex.to_cellrank": {
        **_door("ex.to_cellrank", "model", "time_key", "use_rep", "seed"),
        "mass": _now("drop"),
    },
    "io.from_moscot": {"mass": _now("drop")},
    "io.from_wot": {"mass": _now("drop")},
}
OLD_ARGUMENTS["tl.growth"]["progress"] = "there is nothing to wait for; leave it out"

# what once stood without a name after those that still may
OLD_POSITIONS: dict[str, str] = dict.fromkeys((*_READERS, "ex.to_cellrank"), "model")
