"""What became of names of version 0.1, for whoever has them in a notebook."""

from __future__ import annotations

# by namespace: old name -> what to write in its place
OLD_NAMES: dict[str, dict[str, str]] = {
    "get": {"response_summary": "use ct.get.score_summary"},
    "models": {
        "FlowTraining": "use ct.models.Training, with ct.models.FlowOptions for penalties",
        "MetaFlow": "use ct.models.ResponseOptions, and pass it as options=",
        "NeuralDrift": "use ct.models.Training, and pass it as training=",
        "PlugInDrift": "pass training=None to ct.tl.fit_bridge",
        "ResponseTraining": "use ct.models.Training, and ct.models.ResponseOptions for the rest",
    },
    "ot": {"Effort": "use ct.ot.SolverStats"},
    "pl": {
        "cross_validation": "use ct.pl.scores",
        "response_scores": "use ct.pl.scores",
    },
}

_OPTIONS = "pass options=ct.models.{0}({1}=...)"
_TRAINING = "pass training=ct.models.Training({0}=...)"
_WEIGHTS = (
    "counts= also takes the name of a column of obs that says how many cells each cell stands for"
)
_REFINEMENT = (
    "pass options=ct.models.BridgeOptions(refinement=...) with ct.models.Refinement({0}=...)"
)
_COPY = "pass a copy of adata, adata.copy(): a fit returns the model alone"
_DOOR = "run ct.tl.couplings(adata, model) first, then ct.{0}(adata, ...)"
_READERS = ("tl.push", "tl.pull", "tl.transitions", "tl.fates", "tl.entropy", "tl.growth")
_MODEL = "it is called model= now, and stands directly after adata"


def _door(function: str, *names: str) -> dict[str, str]:
    """Return one sentence for what only a call to ``ct.tl.couplings`` still takes."""
    return dict.fromkeys(names, _DOOR.format(function))


def _now(name: str) -> str:
    return f"it is called {name}= now"


_TIMES_KNOWN = "the column of times is the one that the result under key= was computed with"


# by function or class, as in ct.tl.push without ct.: old argument -> what to write in its place
OLD_ARGUMENTS: dict[str, dict[str, str]] = {
    **{one: _door(one, "model", "time_key", "use_rep", "seed") for one in _READERS},
    "models.BridgeOptions": {
        "growth": "ct.tl.fit_bridge takes it itself, beside its options: ct.models.LearnedGrowth()"
    },
    "models.FlowOptions": {
        "causal": "leave it out: where it was measured, gaps that wait made held-out times worse"
    },
    "tl.couplings": {
        "weights_key": _WEIGHTS,
    },
    "tl.fit_bridge": {
        "solver": _OPTIONS.format("BridgeOptions", "coupling"),
        "max_refinements": _REFINEMENT.format("max_rounds"),
        "hold_out": _REFINEMENT.format("hold_out"),
        "drift": "training= says how the network is trained, and training=None is the plug-in "
        "drift",
        "weights_key": _WEIGHTS,
        "copy": _COPY,
    },
    "tl.fit_flow": {
        "coupling": _OPTIONS.format("FlowOptions", "coupling"),
        "max_epochs": _TRAINING.format("max_epochs"),
        "trainer": _TRAINING.format("trainer"),
        "weights_key": _WEIGHTS,
    },
    "tl.fit_response": {
        "flow": "it is called options= now, ct.models.ResponseOptions()",
        "covariate_keys": _OPTIONS.format("ResponseOptions", "covariate_keys"),
        "condition_features": _OPTIONS.format("ResponseOptions", "condition_features"),
    },
    "tl.cross_validate_response": {
        "leave_out": _now("hold_out"),
        "n_cells": "at most 1,000 cells a side are compared",
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
