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

# by function, as in ct.tl.fit_bridge without ct.: old argument -> what to write in its place
OLD_ARGUMENTS: dict[str, dict[str, str]] = {
    "tl.fit_bridge": {
        "solver": _OPTIONS.format("BridgeOptions", "coupling"),
        "growth": "pass options=ct.models.BridgeOptions(growth=ct.models.LearnedGrowth())",
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
}
