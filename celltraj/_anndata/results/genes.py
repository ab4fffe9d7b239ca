"""The way from genes to components and back, and what the genes tell of growth."""

from __future__ import annotations

from celltraj._anndata.results._declared import Field, Place
from celltraj._anndata.results._record import PROJECTION
from celltraj._anndata.results._result import Result

PCA = Result(
    kind="projection",
    call="ct.pp.pca_model(adata)",
    key="X_pca",
    record=PROJECTION,
    also=("pp.project", "tl.predict_response"),
    params="arguments as used: use_rep (key_added), layer (if given), n_comps, fit_on (column, or "
    "`mask`; if given) and n_fitted (cells); of a model only the first two are known",
    places=(
        Place(
            "obsm",
            "{key}",
            "principal components of each cell",
            width="k",
            dtype="float32",
            unit="[x]",
            is_optional=True,
        ),
    ),
    fields=(
        Field("mean", "mean expression of the cells learnt from, `(g,)`, float64"),
        Field("loadings", "orthonormal columns, `(g, k)`, float64"),
        Field("genes", "names of the genes, `(g,)`"),
    ),
)
DECODE = Result(
    kind="decoding",
    call="ct.tl.decode(adata)",
    key="decode",
    record="decode",
)
GROWTH_PRIOR = Result(
    kind="growth prior",
    call="ct.pp.score_growth(adata)",
    key="growth_prior",
    params="organism, proliferation and apoptosis (`built-in` or `given`), layer (if given), "
    "min_share, rates, days_per_unit",
    places=(
        Place(
            "obs",
            "{key}",
            "net rate of growth that the genes tell",
            dtype="float32",
            unit="1/[t]",
        ),
        *(
            Place(
                "obs",
                f"{{key}}_{name}",
                f"mean standardised expression of the {name} genes",
                dtype="float32",
                unit="standard deviations",
            )
            for name in ("proliferation", "apoptosis")
        ),
    ),
    fields=(
        Field("unit", "unit of the rate, such as `1/hour`"),
        Field(
            "genes",
            "one row per gene; status is `used`, `constant` or `missing`",
            columns=("gene", "set", "status"),
            texts=("gene", "set", "status"),
        ),
    ),
)
