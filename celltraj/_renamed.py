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
