"""What is found out about cells, genes and samples from fits and fates."""

from __future__ import annotations

from celltraj._anndata.results._declared import Field, Place
from celltraj._anndata.results._result import Result

DRIVERS = Result(
    kind="drivers",
    call="ct.tl.drivers(adata)",
    key="drivers",
    reads="key",
    fields=(
        Field(
            "table",
            "one row per fate and gene; fates in their order, highest correlation first, NaN for "
            "genes that are constant; n_samples where samples are the units",
            columns=(
                *("gene", "fate", "correlation", "lower", "upper", "p", "q"),
                *("n_samples", "n_cells"),
            ),
            texts=("gene", "fate"),
            rare=("n_samples",),
        ),
    ),
)
CONDITIONS = Result(
    kind="comparison of conditions",
    call="ct.tl.compare_conditions(adata, sample_key=..., condition_key=...)",
    key="conditions",
    reads="key",
    fields=(
        Field(
            "table",
            "one row per quantity and condition; n and n_baseline are samples, p_min the least p "
            "of so few",
            columns=(
                *("quantity", "condition", "baseline", "effect", "lower", "upper", "p", "q"),
                *("n", "n_baseline", "p_min"),
            ),
            texts=("quantity", "condition", "baseline"),
        ),
        Field(
            "samples",
            "one row per sample, condition and quantity",
            columns=("sample", "condition", "quantity", "value"),
            texts=("sample", "condition", "quantity"),
        ),
    ),
)
JUMP_RATES = Result(
    kind="jump rates",
    call="ct.tl.jump_rates(adata, groupby=...)",
    key="jump_rates",
    params="arguments as used, and dispersion, by which factor samples vary more than drawn cells",
    fields=(
        Field(
            "table",
            "one row per jump; rates in 1/[t], identified where known to a factor of two",
            columns=("source", "target", "rate", "lower", "upper", "identified"),
            texts=("source", "target"),
        ),
        Field(
            "forecast",
            "one row per sample, time and state; only with forecast",
            columns=("sample", "time", "state", "share", "lower", "upper"),
            texts=("sample", "state"),
            is_optional=True,
        ),
    ),
)
MARTINGALE = Result(
    kind="martingale test",
    call="ct.tl.martingale_test(adata, model, clone_key=...)",
    key="martingale_test",
    fields=(
        Field(
            "table",
            "one row per law and gap: clones, those of which tell of slopes, moments, Wald "
            "statistic and p",
            columns=(*("model", "t0", "t1", "n_clones", "n_told", "n_moments", "statistic", "p"),),
            texts=("model",),
        ),
        Field(
            "moments",
            "one row per law, gap, function and variable: mean residual in [x], of the constant "
            "alone, and z, in standard errors over clones",
            columns=("model", "t0", "t1", "function", "variable", "residual", "z"),
            texts=("model", "function", "variable"),
        ),
    ),
)
ENTROPY_PRODUCTION = Result(
    kind="entropy production",
    call="ct.tl.entropy_production(adata, model)",
    key="ct_entropy_production",
    params="arguments as used; sigma_source, given, estimated or that of the law; and scope, what "
    "snapshots cannot say",
    places=(
        Place(
            "obs",
            "{key}",
            "rate at each cell by its mean velocity; NaN at times that the model does not tell",
            dtype="float32",
            unit="nats/[t]",
        ),
        Place(
            "obsm",
            "{key}_velocity",
            "mean velocity of the probability flow, the current over the density",
            width="d",
            dtype="float32",
            unit="[x]/[t]",
        ),
        Place(
            "obsm",
            "{key}_velocity_{basis}",
            "its projection on `obsm[X_{basis}]`; only with basis",
            width="e",
            dtype="float32",
            unit="[embedding]/[t]",
            is_optional=True,
        ),
    ),
    fields=(
        Field(
            "table",
            "one row per time, in nats per [t]; low and high are the bracket over resampled cells, "
            "middle is NaN where the density changes, least what any law needs to the next time",
            columns=(
                *("time", "n_cells", "lower", "plug_in", "middle", "medium", "system"),
                *("p_stationary", "low", "high", "least"),
            ),
        ),
        Field(
            "variables",
            "one row per time and variable, parts of plug_in",
            columns=("time", "variable", "rate"),
            texts=("variable",),
        ),
        Field(
            "genes",
            "one row per time and gene, parts of plug_in; only with components of "
            "`ct.pp.pca_model`",
            columns=("time", "gene", "rate"),
            texts=("gene",),
            is_optional=True,
        ),
        Field(
            "groups",
            "one row per time and group, plug-in rates; only with groupby",
            columns=("time", "group", "n_cells", "rate", "low", "high"),
            texts=("group",),
            is_optional=True,
        ),
    ),
)
VELOCITY = Result(
    kind="velocity",
    call="ct.tl.velocity(adata, model)",
    key="velocity",
    places=(
        Place(
            "obsm",
            "{key}",
            "mean velocity of the process at each cell",
            width="d",
            dtype="float32",
            unit="[x]/[t]",
        ),
        Place(
            "obsm",
            "{key}_{basis}",
            "its projection on `obsm[X_{basis}]`; only with basis",
            width="e",
            dtype="float32",
            unit="[embedding]/[t]",
            is_optional=True,
        ),
    ),
)
GENE_TRENDS = Result(
    kind="gene trends",
    call="ct.tl.gene_trends(adata, path, genes=...)",
    key="gene_trends",
    fields=(
        Field(
            "table",
            "one row per gene, group and time",
            columns=("gene", "group", "time", "mean", "lower", "upper"),
            texts=("gene", "group"),
        ),
    ),
)
KNOCKOUT = Result(
    kind="knock-out",
    call="ct.tl.knockout(adata, ...)",
    key="knockout",
    also=("tl.knockout_screen",),
    fields=(
        Field(
            "table",
            "one row per knock-out and fate",
            columns=("genes", "fate", "control", "knockout", "shift", "p", "q"),
            texts=("genes", "fate"),
        ),
        Field(
            "null",
            "one row per random set of genes and fate",
            columns=("genes", "fate", "shift"),
            texts=("genes", "fate"),
        ),
        Field(
            "masses",
            "cells per starting cell with and without the genes; `tl.knockout` alone",
            columns=("cells", "mass"),
            texts=("cells",),
            is_optional=True,
        ),
    ),
)
