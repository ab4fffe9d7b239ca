"""Read populations under conditions from AnnData, one after the other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from scipy.sparse import issparse

from celltraj._anndata.columns import in_memory, texts_of
from celltraj._anndata.copies import warn_of_copies
from celltraj._anndata.read import find_representation
from celltraj._anndata.samples import (
    ResponseKeys,
    read_samples,
    warn_of_never_treated,
)
from celltraj._anndata.survival import relative_survival, shared_survival
from celltraj._errors import DataWarning, warn
from celltraj.models import Group, Populations, ResponseSource, Treated
from celltraj.models.evaluation import Sample

_FEW_CELLS = 10
_LEAST = 1e-12  # of a share that lived: of none there are no cells


def read_rows(adata: AnnData, use_rep: str, rows: np.ndarray) -> np.ndarray:
    """Return the states ``(n, d)`` of some cells, float64; a backed file is read for these alone.

    Raises
    ------
    ValueError
        No variables, or values that are not finite numbers.
    """
    whole = adata.X if use_rep == "X" else adata.obsm[use_rep]
    values = in_memory(whole.iloc[rows] if isinstance(whole, pd.DataFrame) else whole[rows])
    dense = values.toarray() if issparse(values) else np.asarray(values)
    if dense.dtype.kind not in "fiu":
        raise ValueError(
            f"{use_rep} has dtype {dense.dtype}, and numbers are needed; convert it with "
            ".astype(float) once every entry is a number"
        )
    if dense.shape[1] == 0:
        raise ValueError(f"{use_rep} has no variables; pass use_rep= with a representation")
    bad = ~np.isfinite(dense.astype(np.float64)).all(1)
    if bad.any():
        raise ValueError(
            f"{int(bad.sum())} cells have NaN or infinite values in {use_rep} "
            f"(first: {adata.obs_names[rows][bad][0]!r}); drop or impute them"
        )
    return dense.astype(np.float64)


def read_populations(
    adata: AnnData, keys: ResponseKeys, use_rep: str | None
) -> tuple[Populations, ResponseSource]:
    """Return the populations, and what of ``adata`` was read.

    Populations that were never treated are left out, and named in a warning.

    Raises
    ------
    KeyError
        A column, the representation or the control does not exist.
    ValueError
        A treated population without a control, names of variables that are not unique, values
        that are not finite, or a survival that is not positive or not shared by treated cells.
    """
    samples = read_samples(adata, keys)
    use_rep = find_representation(adata, use_rep)
    treated = [one for one in samples if one.condition is not None]
    controls = {one.population: one for one in samples if one.condition is None}
    if bare := sorted({one.population for one in treated} - set(controls)):
        raise ValueError(
            f"population {bare[0]!r} has treated cells and no control "
            f"({list(keys.controls)} in obs[{keys.conditions[0]!r}])"
            + (f", and so have {bare[1:]}" if bare[1:] else "")
            + "; add its untreated cells, or drop it"
        )
    names = sorted({one.population for one in treated})
    if not names:
        raise ValueError(f"every cell is a control ({list(keys.controls)}); add treated cells")
    warn_of_never_treated(samples)
    codes = _type_codes(adata, keys.cell_type)

    def group(sample: Sample) -> Group:
        x = torch.from_numpy(read_rows(adata, use_rep, sample.rows))
        return Group(x, None if codes is None else torch.from_numpy(codes[sample.rows]))

    places = {name: k for k, name in enumerate(names)}
    rates = None if keys.survival is None else relative_survival(adata, keys.survival, samples)

    def lived(sample: Sample) -> float | None:
        if rates is None:
            return None
        return shared_survival(rates[sample.rows], sample.population, least=_LEAST)

    populations = Populations(
        tuple(names),
        tuple(group(controls[name]) for name in names),
        tuple(
            Treated(places[one.population], one.condition, group(one), lived(one))
            for one in treated
            if one.condition is not None
        ),
    )
    read = [*(controls[name] for name in names), *treated]
    cells = [*populations.controls, *(one.cells for one in populations.treated)]
    _warn_of_few(read)
    warn_of_copies({_name(one): group.x.numpy() for one, group in zip(read, cells, strict=True)})
    source = ResponseSource(
        use_rep,
        tuple(variables_of(adata, use_rep)),
        keys.population,
        keys.conditions,
        keys.controls,
        keys.doses,
        keys.covariates,
        keys.cell_type,
        min(float(one.x.min()) for one in cells),
        max(float(one.x.max()) for one in cells),
    )
    return populations, source


def variables_of(adata: AnnData, use_rep: str) -> list[str]:
    """Return the names of the variables of a representation."""
    if use_rep == "X":
        if not adata.var_names.is_unique:
            raise ValueError(
                "names of variables are not unique; call adata.var_names_make_unique() first"
            )
        return [str(name) for name in adata.var_names]
    return [f"{use_rep}_{i}" for i in range(adata.obsm[use_rep].shape[1])]


def _type_codes(adata: AnnData, key: str | None) -> np.ndarray | None:
    """Return a code for the cell type of every cell; cells without one share a code."""
    if key is None:
        return None
    # by their names, and not by which comes first: a fit does not depend on the order of cells
    names = texts_of(adata.obs[key])
    codes: np.ndarray = pd.factorize(names, sort=True)[0].astype(np.int64)
    return codes


def given_once(populations: Populations) -> list[str]:
    """Return the drugs, with their doses, that a single population of several was given."""
    given: dict[str, set[int]] = {}
    for one in populations.treated:
        given.setdefault(one.condition.name, set()).add(one.population)
    several = len(populations.names) > 1
    return sorted(name for name, owners in given.items() if several and len(owners) == 1)


def never_together(populations: Populations) -> list[str]:
    """Return groups of conditions, joined by commas, that have no population in common.

    The difference between two of them is not told from that of the populations; of a single group
    there is nothing to tell.

    Examples
    --------
    >>> import torch
    >>> from celltraj._anndata.populations import never_together
    >>> from celltraj.models import Condition, Group, Populations, Treated
    >>> cells = Group(torch.zeros(2, 1))
    >>> treated = [Treated(k, Condition((drug,)), cells) for k, drug in enumerate(["A", "B"])]
    >>> never_together(Populations(("a", "b"), (cells, cells), tuple(treated)))
    ['A', 'B']
    """
    groups: list[tuple[set[int], set[str]]] = []
    for one in populations.treated:
        owners, names = {one.population}, {one.condition.name}
        shared = [group for group in groups if group[0] & owners or group[1] & names]
        for group in shared:
            owners, names = owners | group[0], names | group[1]
        groups = [group for group in groups if group not in shared] + [(owners, names)]
    found = sorted(", ".join(sorted(names)) for _, names in groups)
    return found if len(found) > 1 else []


def _name(sample: Sample) -> str:
    condition = "control" if sample.condition is None else sample.condition.name
    return f"{sample.population} ({condition})"


def _warn_of_few(samples: Sequence[Sample]) -> None:
    few = {_name(one): len(one.rows) for one in samples if len(one.rows) < _FEW_CELLS}
    if few:
        warn(
            f"fewer than {_FEW_CELLS} cells in {few}: what is learned from them is mostly noise; "
            "merge or drop these",
            DataWarning,
        )
