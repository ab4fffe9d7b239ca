"""Every key that the package reads from or writes to AnnData, in one table.

``{key}`` stands for ``key_added`` (``"bridge"``, ``"flow"`` or ``"response"`` by default), other
braces for an argument's value. docs/keys.md shows the same table.
"""

from __future__ import annotations

from celltraj._anndata.key import PROJECTION, RECORD, ROOT, Key, record_keys
from celltraj._anndata.keys_lineage import COUPLINGS, LINEAGE

_FIT, _FLOW = "tl.fit_bridge", "tl.fit_flow"
_SIMULATE, _INTERPOLATE = "tl.simulate", "tl.interpolate"
_RESPOND, _EMBED = "tl.predict_response", "tl.embed_populations"

VELOCITY = Key(
    "obsm",
    ("X_{key}_velocity",),
    "drift of the bridge at each cell, `(n_obs, d)`, float32; at the last time the backward drift",
    "[x]/[t]",
    _FIT,
)
READ = (
    Key("obs", ("{time_key}",), "sampling time of each cell", "[t], yours", "you"),
    Key("obs", ("{weights_key}",), "non-negative weight of each cell", "-", "you"),
    Key("obs", ("{population_key}",), "population of each cell: patient, donor, well", "-", "you"),
    Key(
        "obs",
        ("{condition_key}",),
        "drug of each cell, or label of the control; missing for none; one column or several",
        "-",
        "you",
    ),
    Key("obs", ("{dose_key}",), "dose of the drug, one column for each of those", "yours", "you"),
    Key(
        "obs",
        ("{covariate}",),
        "covariate of the cells, one column for each of covariate_keys; text is categorical",
        "yours",
        "you",
    ),
    Key("obs", ("{cell_type_key}",), "cell type of each cell", "-", "you"),
    Key("obsm", ("{use_rep}",), "representation to work in", "[x], yours", "you"),
    Key("obs", ("{fit_on}",), "whether a cell is one to learn components from", "-", "you"),
    Key("layers", ("{layer}",), "expression to take components of, in place of `X`", "[x]", "you"),
    Key("uns", ("time_unit",), "name of the unit of time, for axis labels", "-", "you"),
    Key("uns", ("{color}_colors",), "colours of the categories of `obs[{color}]`", "-", "you"),
)
FIT_BRIDGE = (
    VELOCITY,
    *record_keys(
        "{key}",
        RECORD
        | {
            "params": "arguments as used: time_key, use_rep, reference, sigma, sigma_source (given "
            "or estimated), options, training (absent for the plug-in drift), counts and "
            "growth_key (if given)",
            "version": "version of celltraj",
            "seed": "seed of the fit",
            "time_points": "the sampling times, `(T,)`, in [t]",
            "convergence": "one row per gap: t0, t1, epsilon, marginal_error, converged, n_iters",
            "refinement": "one row per round: log_likelihood, change, marginal_error, "
            "effective_share, held_out, sigma, kept, estimates; absent for Brownian motion",
            "history": "training loss at each step; empty for a drift that is not trained",
        },
        _FIT,
    ),
)
FIT_FLOW = (
    Key(
        "obsm",
        ("X_{key}_velocity",),
        "velocity of the flow at each cell, `(n_obs, d)`, float32",
        "[x]/[t]",
        _FLOW,
    ),
    *record_keys(
        "{key}",
        RECORD
        | {
            "params": "arguments as used: time_key, use_rep, interpolant, sigma, sigma_source "
            "(given or estimated), options, training, counts and growth_key (if given); what a fit "
            "filled in belongs to the flow",
            "version": "version of celltraj",
            "seed": "seed of the fit",
            "time_points": "the sampling times, `(T,)`, in [t]",
            "history": "training loss at each step",
        },
        _FLOW,
    ),
)
FIT_RESPONSE = record_keys(
    "{key}",
    RECORD
    | {
        "params": "arguments as used: population_key, condition_key, control, use_rep, options, "
        "training, and cell_type_key, dose_key and covariate_keys (if given)",
        "version": "version of celltraj",
        "seed": "seed of the fit",
        "populations": "names of the populations with treated cells, `(p,)`",
        "history": "training loss at each step",
    },
    "tl.fit_response",
)
LOG_DENSITY = (
    Key(
        "obs",
        ("{key}",),
        "log density of each cell among those of its time (`log_density` by default)",
        "nats, of [x]^-d",
        "tl.log_density",
    ),
    *record_keys(
        "{key}",
        RECORD
        | {
            "params": "arguments as used: time_key, use_rep",
            "version": "version of celltraj",
            "seed": "seed of the random directions",
        },
        "tl.log_density",
    ),
)
_SAMPLE_FIELDS = {
    "kind": RECORD["kind"],
    "params": "arguments as used",
    "version": "version of celltraj",
    "seed": "seed of the draws",
}
SIMULATE = (
    Key("obs", ("trajectory",), "number of the trajectory", "-", _SIMULATE),
    Key("obs", ("time",), "time of the state", "[t]", _SIMULATE),
    Key("obs", ("source",), "obs name of the cell that the trajectory starts from", "-", _SIMULATE),
    Key(
        "obs",
        ("extrapolated",),
        "whether the time lies outside those that the process was fitted to",
        "-",
        _SIMULATE,
    ),
    Key(
        "obs",
        ("mass",),
        "mass of the trajectory, 1 at its start; only where the process has growth",
        "-",
        _SIMULATE,
    ),
    Key("obsm", ("{use_rep}",), "the states, unless use_rep is `X`", "[x]", _SIMULATE),
    *record_keys(
        "simulate",
        _SAMPLE_FIELDS | {"n_evaluations": "calls of the velocity that the solver took"},
        _SIMULATE,
    ),
)
INTERPOLATE = (
    Key("obs", ("time",), "time of the drawn cells", "[t]", _INTERPOLATE),
    Key("obsm", ("{use_rep}",), "the drawn states, unless use_rep is `X`", "[x]", _INTERPOLATE),
    *record_keys("interpolate", _SAMPLE_FIELDS, _INTERPOLATE),
)
_PROJECTION_FIELDS = {
    "kind": RECORD["kind"],
    "places": RECORD["places"],
    "params": "arguments as used: use_rep (key_added), layer (if given), n_comps, fit_on (column, "
    "or `mask`; if given) and n_fitted (cells); of a model only the first two are known",
    "version": "version of celltraj",
    "seed": "seed of the fit; absent where the projection is that of a model",
    "mean": "mean expression of the cells learnt from, `(g,)`, float64",
    "loadings": "orthonormal columns, `(g, k)`, float64",
    "genes": "names of the genes, `(g,)`",
}
PCA_MODEL = (
    Key(
        "obsm",
        ("{key}",),
        "principal components of each cell, `(n_obs, k)`, float32 (`X_pca` by default)",
        "[x]",
        "pp.pca_model",
    ),
    *record_keys(PROJECTION, _PROJECTION_FIELDS, "pp.pca_model"),
)
PROJECT = (
    Key(
        "obsm",
        ("{use_rep}",),
        "principal components of each cell, `(n_obs, k)`, float32",
        "[x]",
        "pp.project",
    ),
    *record_keys(PROJECTION, _PROJECTION_FIELDS, "pp.project"),
)
PREDICT_RESPONSE = (
    Key("obs", ("population",), "population of the untreated cell", "-", _RESPOND),
    Key("obs", ("condition",), "drugs, with their doses, joined by ` + `", "-", _RESPOND),
    Key(
        "obs",
        ("outside",),
        "whether the untreated cell lies farther from those of the training than is usual there",
        "-",
        _RESPOND,
    ),
    Key(
        "obs",
        ("survival",),
        "mass that the cell keeps, mean 1, float32; only with an unbalanced coupling",
        "-",
        _RESPOND,
    ),
    Key("obs", ("{cell_type_key}",), "cell type of the untreated cell, if known", "-", _RESPOND),
    Key("obsm", ("{use_rep}",), "the predicted states, unless use_rep is `X`", "[x]", _RESPOND),
    *record_keys(
        "response",
        _SAMPLE_FIELDS
        | {
            "params": "arguments as used: condition, dose (if given), guidance, noise; and of the "
            "model use_rep, population_key, condition_key and dose_key (if it has doses)",
            "support": "one row per population: population, n_cells, outside_share, "
            "embedding_ratio",
        },
        _RESPOND,
    ),
    *record_keys(
        PROJECTION,
        {
            name: f"{content}; that of the model, if it has one"
            for name, content in (
                ("kind", RECORD["kind"]),
                ("params", "use_rep and layer (if given) of the projection"),
                ("version", "version of celltraj"),
                ("mean", _PROJECTION_FIELDS["mean"]),
                ("loadings", _PROJECTION_FIELDS["loadings"]),
                ("genes", _PROJECTION_FIELDS["genes"]),
            )
        },
        _RESPOND,
    ),
)
EMBED_POPULATIONS = (
    Key("obs", ("population",), "name of the population", "-", _EMBED),
    Key("obs", ("n_cells",), "number of its untreated cells", "-", _EMBED),
    Key(
        "obs",
        ("in_training",),
        "whether the model was fitted to a population so named",
        "-",
        _EMBED,
    ),
    Key("obs", ("outside_share",), "share of its cells outside the training", "-", _EMBED),
    Key(
        "obs",
        ("embedding_ratio",),
        "distance to the nearest embedding of the training, over the greatest that one of these "
        "has to its nearest neighbour; NaN with fewer than three",
        "-",
        _EMBED,
    ),
    Key("obs", ("{column}",), "every column that is constant in all populations", "yours", _EMBED),
    *record_keys("embedding", _SAMPLE_FIELDS | {"seed": "recorded; nothing is random"}, _EMBED),
)
DECODE = record_keys(
    "decode", _SAMPLE_FIELDS | {"seed": "recorded; nothing is random"}, "tl.decode"
)
KEYS = (
    *READ,
    *FIT_BRIDGE,
    *FIT_FLOW,
    *FIT_RESPONSE,
    *LOG_DENSITY,
    *SIMULATE,
    *INTERPOLATE,
    *PREDICT_RESPONSE,
    *EMBED_POPULATIONS,
    *PCA_MODEL,
    *PROJECT,
    *DECODE,
    *LINEAGE,
)
__all__ = ["COUPLINGS", "KEYS", "PROJECTION", "ROOT", "Key"]
