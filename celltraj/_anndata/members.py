"""Find the population that each predicted cell lives in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from anndata import AnnData

from celltraj._anndata.new_cells import Untreated, read_untreated
from celltraj.models import MetaFlowMatching
from celltraj.models.response.cell_identity import key_of

_SAME = 0.01  # standard deviations by which one cell may differ between two files


class Members(NamedTuple):
    """Hold cells to predict, and all untreated cells of the population they live in."""

    cells: Untreated
    population: Untreated


def read_members(
    adata: AnnData, population: AnnData | None, model: MetaFlowMatching
) -> list[Members]:
    """Return the untreated cells of ``adata`` by population, each with the whole of it.

    The whole is what ``population`` holds, or else ``adata`` itself.

    Raises
    ------
    TypeError
        ``population`` is not an AnnData.
    ValueError
        A population that ``population`` does not hold, or that has a single cell where the model
        reads it; a cell that is another one in both; anything that the cells are refused for.
    """
    found = read_untreated(adata, model)
    members = [Members(one, one) for one in found]
    if population is not None:
        if not isinstance(population, AnnData):
            raise TypeError(
                "population must be an AnnData with the untreated cells of whole populations; "
                f"found {type(population).__name__}"
            )
        whole = read_untreated(population, model)
        known = _by_name(found, whole, adata, model)
        members = [
            Members(_as_there(one, known[one.name], adata, population, model), known[one.name])
            for one in found
        ]
    _check_whole(members, model)
    return members


def _by_name(
    found: Sequence[Untreated],
    whole: Sequence[Untreated],
    adata: AnnData,
    model: MetaFlowMatching,
) -> dict[str, Untreated]:
    """Return the whole populations by the names that the cells to predict know them by."""
    known = {one.name: one for one in whole}
    key = "" if model.source is None else model.source.population_key
    if key not in adata.obs and len(whole) == 1:  # whose name does not matter
        return {found[0].name: whole[0]}
    if missing := [one.name for one in found if one.name not in known]:
        raise ValueError(
            f"population= holds no untreated cells of {missing}; it has {sorted(known)} in "
            f"obs[{key!r}]. Add all of theirs, or leave these cells out"
        )
    return known


def _as_there(
    one: Untreated,
    whole: Untreated,
    adata: AnnData,
    population: AnnData,
    model: MetaFlowMatching,
) -> Untreated:
    """Return the cells with the states their population has of them, to the last digit."""
    names = population.obs_names[whole.rows]
    if not names.is_unique:
        return one
    at = names.get_indexer(adata.obs_names[one.rows])
    met = np.flatnonzero(at >= 0)
    x = one.x.clone()
    x[met] = whole.x[at[met]]
    away = (model.standardised(x) - model.standardised(one.x)).abs().amax(1)
    if bool((away > _SAME).any()):
        name = adata.obs_names[one.rows[int(away.argmax())]]
        raise ValueError(
            f"cell {name!r} of population {one.name!r} is another one in population=, "
            f"{float(away.max()):.2g} standard deviations away: take both from the same AnnData, "
            "or rename the cells of one (obs_names)"
        )
    return replace(one, x=x)


def _check_whole(members: Sequence[Members], model: MetaFlowMatching) -> None:
    alone = [one.population.name for one in members if len(one.population.rows) == 1]
    if alone and model.reads_population:
        raise ValueError(
            f"population {alone[0]!r} has one untreated cell, and what becomes of a cell depends "
            "on the population it lives in: pass population= an AnnData with all untreated cells "
            "of it, of which adata may hold any, or leave it out"
        )


def noise_keys(adata: AnnData, one: Members) -> list[int]:
    """Return what the noise of each cell is drawn by: its name and that of its population.

    Raises
    ------
    ValueError
        Two cells of the population have one name.
    """
    name, names = one.population.name, adata.obs_names[one.cells.rows]
    if not names.is_unique:
        twice = names[names.duplicated()][0]
        raise ValueError(
            f"population {name!r} has several cells named {twice!r}, and noise is drawn by "
            "the name of a cell; call adata.obs_names_make_unique(), or pass noise=0"
        )
    return [key_of(name, str(cell)) for cell in names]
