"""Cells and populations that a tool returns as an AnnData of their own."""

from __future__ import annotations

from celltraj._anndata.results._declared import Field, Place
from celltraj._anndata.results._result import Result

_SUPPORT = ("n_cells", "outside_share", "embedding_ratio", "spread_ratio", "centre_distance")


def _states(whose: str) -> Place:
    return Place(
        "obsm", "{use_rep}", f"the {whose} states, unless use_rep is `X`", width="d", unit="[x]"
    )


_TIME_KEY = Place(
    "obs",
    "{time_key}",
    "the same under the name of the user's column; only where that holds numbers",
    is_optional=True,
    unit="[t]",
)
SIMULATE = Result(
    kind="simulation",
    call="ct.tl.simulate(adata, model, ...)",
    key="simulate",
    record="simulate",
    places=(
        Place("obs", "trajectory", "number of the trajectory"),
        Place("obs", "time", "time of the state", unit="[t]"),
        _TIME_KEY,
        Place("obs", "source", "obs name of the cell that the trajectory starts from"),
        Place("obs", "extrapolated", "whether the time lies outside those of the fit"),
        Place(
            "obs",
            "mass",
            "mass of the trajectory, 1 at its start; only where the process has growth",
            is_optional=True,
        ),
        _states("simulated"),
    ),
    fields=(Field("n_evaluations", "calls of the velocity that the solver took"),),
)
CONDITION = Result(
    kind="conditioned paths",
    call="ct.tl.condition(adata, model, ...)",
    key="condition",
    record="condition",
    params="arguments as used; toward as text",
    places=(
        Place("obs", "trajectory", "number of the trajectory"),
        Place("obs", "time", "time of the state", unit="[t]"),
        _TIME_KEY,
        Place("obs", "source", "obs name of the cell that the trajectory starts from"),
        Place("obs", "extrapolated", "whether the time lies outside those of the fit"),
        Place("obs", "mass", "weight of the trajectory, the same at all its times, mean 1"),
        _states("simulated"),
    ),
    fields=(
        Field(
            "summary",
            "one row: log of the mean of e^r, for a group of its probability, its standard error, "
            "whether it is only a bound; effective number of paths, particles of the start that "
            "they come from; unsteered paths that were simulated before, and how many of them met "
            "the condition; log of the mean mass without condition, what paths were steered by; "
            "share of states outside the data",
            columns=(
                *("log_probability", "error", "is_bound", "effective", "n_ancestors"),
                *("n_pilot", "n_reached", "log_mass", "look_ahead", "outside"),
            ),
            texts=("look_ahead",),
        ),
        Field(
            "ancestors",
            "one row per cell that paths with weight start from, heaviest first: its share of the "
            "weight and how many paths; of no rows where no path meets the condition",
            columns=("source", "share", "n_paths"),
            texts=("source",),
        ),
    ),
)
INTERPOLATE = Result(
    kind="interpolation",
    call="ct.tl.interpolate(adata, ...)",
    key="interpolate",
    record="interpolate",
    places=(
        Place("obs", "time", "time of the drawn cells", unit="[t]"),
        _TIME_KEY,
        _states("drawn"),
    ),
)
SLICE = Result(
    kind="interpolated slice",
    call="ct.tl.interpolate_slice(adata, at=...)",
    key="interpolate_slice",
    record="interpolate_slice",
    places=(
        Place("obs", "time", "time of the slice", unit="[t]"),
        _TIME_KEY,
        Place("obs", "source", "obs name of the earlier cell that the drawn one comes from"),
        Place("obs", "target", "obs name of the later cell that it is on its way to"),
        Place("obsm", "{spatial_key}", "places of the drawn cells", width="k"),
        _states("drawn"),
    ),
)
LEAST_ACTION = Result(
    kind="least action",
    call="ct.tl.least_action(adata, model, source=..., target=...)",
    key="least_action",
    record="least_action",
    params="arguments as used, sigma (mean noise on the paths) and sigma_source",
    places=(
        Place("obs", "trajectory", "number of the path"),
        Place("obs", "time", "time of the point", unit="[t]"),
        Place("obs", "source", "group or cell that the path starts from"),
        Place("obs", "target", "group or cell that it leads to"),
        Place("obs", "action", "action from the start of the path to the point"),
        _states("points of paths: their"),
    ),
    fields=(
        Field(
            "table",
            "one row per path; duration in [t], infinite where a path comes to rest on its way",
            columns=(
                *("source", "target", "action", "error", "duration", "converged"),
                "agreeing_starts",
            ),
            texts=("source", "target"),
        ),
    ),
)
PREDICTION = Result(
    kind="prediction",
    call="ct.tl.predict_response(adata, model, condition=...)",
    key="response",
    record="response",
    params="arguments as used: condition (drugs given together, or names of several conditions), "
    "dose (if given, of one condition), guidance, noise; and of the model use_rep, "
    "population_key, condition_key and dose_key (if it has doses)",
    places=(
        Place("obs", "population", "population of the untreated cell"),
        Place("obs", "condition", "drugs, with their doses, joined by ` + `"),
        Place("obs", "source", "obs name of the untreated cell"),
        Place(
            "obs",
            "outside",
            "whether the untreated cell lies farther from those of the training than is usual "
            "there",
        ),
        Place(
            "obs",
            "survival",
            "mass that the cell keeps, mean 1; only with an unbalanced coupling",
            dtype="float32",
            is_optional=True,
        ),
        Place(
            "obs",
            "spread",
            "how far the networks of an ensemble disagree on the cell; only of an ensemble",
            dtype="float32",
            unit="[x]",
            is_optional=True,
        ),
        Place(
            "obs",
            "{cell_type_key}",
            "cell type of the untreated cell, if known",
            is_optional=True,
        ),
        _states("predicted"),
    ),
    fields=(
        Field(
            "support",
            "one row per population; base is the weight of the way of neighbours in others, 0 "
            "where the network alone predicts",
            columns=("population", *_SUPPORT, "base"),
            texts=("population",),
        ),
        Field(
            "killed",
            "one row per population and condition: survival relative to the control, and the share "
            "killed; only by a model with `survival_key`",
            columns=("population", "condition", "survival", "killed"),
            texts=("population", "condition"),
            is_optional=True,
        ),
    ),
)
EMBEDDING = Result(
    kind="embedding",
    call="ct.tl.embed_populations(adata, model)",
    key="embedding",
    record="embedding",
    places=(
        Place("obs", "population", "name of the population"),
        Place("obs", "n_cells", "number of its untreated cells"),
        Place("obs", "in_training", "whether the model was fitted to a population so named"),
        Place("obs", "outside_share", "share of its cells outside the training"),
        Place(
            "obs",
            "embedding_ratio",
            "distance to the nearest embedding of the training, over the greatest that one of "
            "these has to its nearest neighbour; NaN with fewer than three",
        ),
        Place("obs", "spread_ratio", "spread of its cells over that of the training, median"),
        Place("obs", "centre_distance", "distance of its mean from that of the training, in std"),
        Place(
            "obs",
            "{column}",
            "every column that is constant in all populations",
            unit="yours",
            is_optional=True,
        ),
    ),
)
