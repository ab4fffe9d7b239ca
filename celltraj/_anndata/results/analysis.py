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
SAMPLE_REPORT = Result(
    kind="sample report",
    call="ct.tl.sample_report(adata, sample_key=...)",
    key="sample_report",
    fields=(
        Field(
            "table",
            "one row per time: mean distances between samples and between halves of a sample, of "
            "n_side cells each (W1 in [x], energy in its root), inflation, how many times too "
            "short a standard error by cell is, p of one law for all, and what it means",
            columns=(
                *("time", "n_samples", "n_cells", "n_smallest", "n_side"),
                *("W1_between", "W1_within", "energy_between", "energy_within"),
                *("inflation", "p", "verdict"),
            ),
            texts=("verdict",),
        ),
        Field(
            "gaps",
            "one row per gap: how far cells move, of a batch that both times were seen in where "
            "there is one; excess, the energy distance above the floor; told, whether batches can "
            "be told from time",
            columns=(
                *("t0", "t1", "told", "n_side", "W1", "W1_within"),
                *("energy", "energy_within", "excess"),
            ),
            texts=("told",),
            rare=("told",),
        ),
        Field(
            "shifts",
            "one row per time of several batches: their distances, of_samples and movement, the "
            "excess of samples of one batch and of the gaps beside, ratio, excess over movement",
            columns=(
                *("time", "n_batches", "n_side", "W1", "W1_within", "energy", "energy_within"),
                *("excess", "of_samples", "movement", "ratio"),
            ),
            is_optional=True,
        ),
        Field(
            "batches",
            "one row per batch and time",
            columns=("batch", "time", "n_cells", "n_samples"),
            texts=("batch",),
            is_optional=True,
        ),
        Field(
            "notes",
            "sentences about samples and batches",
            columns=("about", "note"),
            texts=("about", "note"),
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
CLONE_MEMORY = Result(
    kind="clone memory",
    call="ct.tl.clone_memory(adata, clone_key=...)",
    key="clone_memory",
    fields=(
        Field(
            "hurst",
            "one row: Hurst index of clones, interval, clones seen at three times or more",
            columns=("hurst", "lower", "upper", "n_clones"),
        ),
        Field(
            "pairs",
            "one row per pair of times: variance of what clones move by in [x]^2, the fitted one, "
            "clones",
            columns=("t0", "t1", "variance", "fitted", "n_clones"),
        ),
    ),
)
CLONE_GROWTH = Result(
    kind="growth of clones",
    call="ct.tl.clone_growth(adata, clone_key=...)",
    key="clone_growth",
    params="arguments as used; found, in words; and scope, what clones cannot say",
    places=(
        Place(
            "obs",
            "{key}",
            "net rate of growth that clones tell, relative to that of all clonal cells of the gap; "
            "at the last time that of the last gap",
            dtype="float32",
            unit="1/[t]",
        ),
    ),
    fields=(
        Field(
            "table",
            "one row per gap: clones of its first time, strength (0 is equal growth), gain in nats "
            "a clone and its standard error, z of its slope at 0, clonal cells that a state is "
            "told by, in words",
            columns=(
                *("t0", "t1", "n_clones", "strength", "gain", "error", "z", "n_neighbors"),
                "words",
            ),
            texts=("words",),
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
SLOW_MODES = Result(
    kind="slow modes",
    call="ct.tl.slow_modes(adata)",
    key="ct_modes",
    reads="couplings",
    params="arguments as used; of a law also model, use_rep and reversible, whether it is known to "
    "be a gradient system",
    places=(
        Place(
            "obsm",
            "{key}",
            "slow modes at each cell, the slowest first; of a rotation real and imaginary part; "
            "NaN outside the times that were asked for",
            width="K",
            dtype="float32",
        ),
        Place(
            "obs",
            "{key}_metastable",
            "set of cells that stay together, by the slowest modes, the largest first",
        ),
        Place(
            "obs",
            "{key}_terminal",
            "the same of cells of the last time alone; of a law, only sets that are likelier than "
            "not to be kept for as long as the time course; not of a law and a single time",
            is_optional=True,
        ),
        Place(
            "obs", "{key}_initial", "the same of cells of the first time alone", is_optional=True
        ),
    ),
    fields=(
        Field(
            "table",
            "one row per mode and by what its rate is known: `couplings`, `features` (an upper "
            "bound where a barrier is crossed) or simulated `crossings`; rates in 1/[t], times in "
            "[t]",
            columns=(
                *("mode", "by", "rate", "lower", "upper", "frequency"),
                *("time", "time_lower", "time_upper", "singular_value"),
            ),
            texts=("by",),
            rare=("singular_value",),
        ),
        Field(
            "sets",
            "one row per set and time; decided, which share of descendants is in the set at the "
            "last time (of couplings); stays, the chance not to leave it in the time of the whole "
            "course (of a law)",
            columns=("set", "time", "share", "decided", "stays"),
            texts=("set",),
            rare=("decided", "stays"),
        ),
        Field(
            "rates",
            "one row per pair of sets of a law: simulated crossings and the time that paths were "
            "in the source; rates in 1/[t]",
            columns=("source", "target", "rate", "lower", "upper", "crossings", "at_risk"),
            texts=("source", "target"),
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
JACOBIAN = Result(
    kind="jacobian",
    call="ct.tl.jacobian(adata, model)",
    key="jacobian",
    places=(
        Place(
            "obs",
            "{key}_divergence",
            "sum of the derivatives of each variable by itself: below zero where cells converge",
            dtype="float32",
            unit="1/[t]",
        ),
        Place(
            "obs",
            "{key}_instability",
            "largest real part of the eigenvalues: above zero where small differences grow",
            dtype="float32",
            unit="1/[t]",
        ),
        Place(
            "obsm",
            "{key}",
            "derivatives of the pairs that were asked for, in their order; only with pairs",
            width="p",
            dtype="float32",
            unit="1/[t]",
            is_optional=True,
        ),
    ),
    params="arguments as used, and derivatives (known, torch or differences: how they were taken)",
    fields=(
        Field(
            "table",
            "one row per group, time and pair of the strongest or those asked for; mean and std "
            "over cells, in 1/[t], and agreement, the share of cells of the same sign",
            columns=(
                *("group", "time", "regulator", "target", "mean", "std", "agreement"),
                "n_cells",
            ),
            texts=("group", "regulator", "target"),
        ),
        Field(
            "means",
            "mean derivative of variable i by j of each group and time, `(rows, d, d)`, in 1/[t]",
        ),
        Field(
            "rows",
            "group, time and number of cells of each of the means",
            columns=("group", "time", "n_cells"),
            texts=("group",),
        ),
        Field("genes", "names of the genes, in the order of the loadings"),
        Field(
            "loadings",
            "rows of the genes in the variables, `(g, d)`; absent where variables are genes",
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
