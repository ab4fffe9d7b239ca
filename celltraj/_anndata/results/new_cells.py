"""Cells and populations that a tool returns as an AnnData of their own."""

from __future__ import annotations

from celltraj._anndata.results._declared import Field, Place
from celltraj._anndata.results._result import Result

_SUPPORT = ("n_cells", "outside_share", "embedding_ratio", "spread_ratio", "centre_distance")


def _states(whose: str) -> Place:
    return Place(
        "obsm", "{use_rep}", f"the {whose} states, unless use_rep is `X`", width="d", unit="[x]"
    )


SIMULATE = Result(
    kind="simulation",
    call="ct.tl.simulate(adata, model, ...)",
    key="simulate",
    record="simulate",
    places=(
        Place("obs", "trajectory", "number of the trajectory"),
        Place("obs", "time", "time of the state", unit="[t]"),
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
INTERPOLATE = Result(
    kind="interpolation",
    call="ct.tl.interpolate(adata, ...)",
    key="interpolate",
    record="interpolate",
    places=(Place("obs", "time", "time of the drawn cells", unit="[t]"), _states("drawn")),
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
