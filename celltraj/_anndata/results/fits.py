"""Fitted models, and the density along one."""

from __future__ import annotations

from celltraj._anndata.results._declared import Field, Place
from celltraj._anndata.results._result import Result

_MET = ("W1", "floor", "effective")  # of trajectories from the first snapshot
GAP = ("t0", "t1", "epsilon", "marginal_error", "converged", "n_iters")
DRAWN = "is_drawn"  # whether marginals are those of a few pairs, drawn for each stratum
_TIMES = Field("time_points", "the sampling times, `(T,)`, in [t]")
_HISTORY = Field(
    "history",
    "training loss at each step; of no rows for a drift that is not trained",
    columns=("step", "loss"),
)

BRIDGE = Result(
    kind="bridge",
    call="ct.tl.fit_bridge(adata)",
    key="bridge",
    also=("tl.update",),
    places=(
        Place(
            "obsm",
            "{key}_velocity",
            "drift of the bridge at each cell; at the last time the backward drift",
            width="d",
            dtype="float32",
            unit="[x]/[t]",
        ),
    ),
    params="arguments as used: time_key, use_rep, reference, sigma, sigma_source (given or "
    "estimated), law (of a bridge on the law of chains, what is left of it in gaps that it was not "
    "fitted to), growth, options, training (absent for the plug-in drift), counts and growth_key "
    "(if given); of an update time_key, use_rep, replay, training and parent, the digest of the "
    "bridge before",
    fields=(
        _TIMES,
        Field(
            "convergence",
            "one row per gap, with how trajectories from the first snapshot meet its later one",
            columns=(*GAP, *_MET),
            rare=_MET,
        ),
        Field(
            "refinement",
            "one row per round; absent for Brownian motion; estimates of the reference besides",
            columns=(
                *("log_likelihood", "change", "marginal_error", "effective_share", "held_out"),
                *("sigma", "kept"),
            ),
            is_open=True,
            is_optional=True,
        ),
        _HISTORY,
    ),
)
FLOW = Result(
    kind="flow",
    call="ct.tl.fit_flow(adata)",
    key="flow",
    also=("tl.update",),
    places=(
        Place(
            "obsm",
            "{key}_velocity",
            "velocity of the flow at each cell",
            width="d",
            dtype="float32",
            unit="[x]/[t]",
        ),
    ),
    params="arguments as used: time_key, use_rep, interpolant, sigma, sigma_source (given or "
    "estimated), law (what is left of it in gaps that it was not fitted to), growth, options, "
    "training, counts and growth_key (if given); what a fit filled in belongs to the flow; of an "
    "update time_key, use_rep, replay, training and parent, the digest of the flow before",
    fields=(
        _TIMES,
        Field(
            "convergence",
            "one row per gap: how trajectories from the first snapshot meet its later one",
            columns=("t0", "t1", *_MET),
        ),
        _HISTORY,
    ),
)
RESPONSE = Result(
    kind="response",
    call="ct.tl.fit_response(adata, ...)",
    key="response",
    params="arguments as used: population_key, condition_key, control, use_rep, options, training, "
    "and cell_type_key, dose_key and covariate_keys (if given)",
    fields=(
        Field("populations", "names of the populations with treated cells, `(p,)`"),
        Field("base", "weight of the way of neighbours in other populations in a prediction"),
        Field("base_reason", "where that weight comes from, in words"),
        Field("encoder", "the encoder of populations and its settings, `none` without one"),
        Field("encoder_reason", "where the encoder comes from, in words"),
        _HISTORY,
    ),
)
LOG_DENSITY = Result(
    kind="log density",
    call="ct.tl.log_density(adata, flow)",
    key="log_density",
    places=(
        Place(
            "obs",
            "{key}",
            "log density of each cell among those of its time",
            dtype="float64",
            unit="nats, of [x]^-d",
        ),
    ),
    params="arguments as used: time_key, use_rep",
)
ARMS = Result(
    kind="arms",
    call="ct.tl.fit_arms(adata, condition_key=...)",
    key="arms",
    places=(
        Place(
            "obsm",
            "{key}_velocity",
            "drift at each cell of the bridge of its condition, or of its law",
            width="d",
            dtype="float32",
            unit="[x]/[t]",
        ),
    ),
    params="arguments as used: condition_key, time_key, use_rep, sigma, sigma_source (given or "
    "estimated), growth, training (absent for plug-in drifts), counts, covariate_keys and "
    "growth_key (if given); own, how much conditions deviate from one law, similarity, by what "
    "they are alike (names, linear or smooth in covariates), and law, what that is worth, in words",
    fields=(
        Field(
            "table",
            "one row per condition and time; miss of the gap that begins there, by laws without "
            "it, over how far cells go",
            columns=("condition", "time", "cells", "miss", "growth"),
            texts=("condition", "growth"),
        ),
        Field(
            "candidates",
            "one row per similarity of conditions and own that were tried, with the mean miss",
            columns=("similarity", "own", "miss"),
            texts=("similarity",),
        ),
    ),
)
MEAN_FIELD = Result(
    kind="mean field",
    call="ct.tl.fit_mean_field(adata, population_key=...)",
    key="mean_field",
    places=(
        Place(
            "obsm",
            "{key}_velocity",
            "drift at each cell of the bridge of its population",
            width="d",
            dtype="float32",
            unit="[x]/[t]",
        ),
    ),
    params="arguments as used: population_key, time_key, use_rep, reference, sigma, sigma_source "
    "(given or estimated), growth, training (absent for plug-in drifts) and growth_key (if given); "
    "own, how much what is around a cell counts, and law, what that is worth, in words",
    fields=(
        Field(
            "table",
            "one row per population and time; unexplained is the share of the squared velocities "
            "of the population that the law of all others leaves",
            columns=("population", "time", "cells", "unexplained", "growth"),
            texts=("population", "growth"),
        ),
        Field(
            "candidates",
            "one row per own that was tried, with the share that is left of all populations",
            columns=("own", "unexplained"),
        ),
    ),
)
FITS = (BRIDGE, FLOW, RESPONSE)
