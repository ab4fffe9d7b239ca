"""Fitted laws and bridges of several conditions."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd
from torch import Tensor

from celltraj._card import card
from celltraj.models._card_facts import arms_facts
from celltraj.models._files import Content
from celltraj.models._saved import Saved, content_of, named
from celltraj.models.arms.likeness import Likeness
from celltraj.models.bridge.bridge import Bridge
from celltraj.models.interpolants.reference import FAILS
from celltraj.models.references import pack_reference
from celltraj.models.references.family import Reference
from celltraj.models.response.condition import Value


@dataclass(frozen=True)
class Arm:
    """Say what is known of one condition.

    Parameters
    ----------
    name
        The condition.
    times
        ``(T,)`` sampling times, in the user's unit.
    n_cells
        Cells of each.
    misses
        How far its law, found without a gap, misses where the cells of the gap go, over how far
        they go; ``T - 1`` of them, None where no other gap is there.
    growth
        What the growth of its cells is, in words; empty where it is what was given.
    """

    name: str
    times: tuple[float, ...]
    n_cells: tuple[int, ...]
    misses: tuple[float | None, ...] = ()
    growth: str = ""

    @property
    def miss(self) -> float:
        """The mean of the misses; NaN without any."""
        known = [one for one in self.misses if one is not None]
        return sum(known) / len(known) if known else math.nan


@card(arms_facts)
@dataclass(frozen=True, eq=False)
class Arms(Saved, Mapping[str, Bridge | Reference]):
    """Time courses under several conditions, fitted: a bridge of each, on laws that they share.

    A mapping from the name of a condition to its :class:`Bridge`, which beyond its last snapshot
    follows the law of its condition; of a condition that was seen at one time, to its law alone.

    Parameters
    ----------
    bridges
        Bridge of each condition that was seen twice or more.
    laws
        Law of motion of every condition.
    own
        How much each law deviates from what all share: 0 is one law for all.
    candidates
        Values of ``own`` that were tried, and the miss of each: how far laws without a gap miss
        where its cells go, over how far they go, in the mean over gaps of all conditions. Of the
        similarity of conditions that was chosen.
    seen
        What is known of each condition, in their order.
    likeness
        What tells the law of further conditions; None where conditions have names alone.
    compared
        Similarity of conditions, ``own`` and miss of all that was chosen among; empty in arms that
        were saved before these were kept.

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=60, seed=0)
    >>> adata.obs["arm"] = ["even" if k % 2 else "odd" for k in range(adata.n_obs)]
    >>> arms = ct.tl.fit_arms(adata, condition_key="arm", training=None, progress=False)
    >>> list(arms), arms.in_words.split(":")[0]
    (['even', 'odd'], 'conditions move alike')
    """

    bridges: dict[str, Bridge]
    laws: dict[str, Reference]
    own: float
    candidates: tuple[tuple[float, float | None], ...]
    seen: tuple[Arm, ...]
    likeness: Likeness | None = None
    compared: tuple[tuple[str, float, float | None], ...] = ()

    def __getitem__(self, condition: str) -> Bridge | Reference:
        """Return the bridge of a condition, or its law where it was seen at one time."""
        return self.bridges[condition] if condition in self.bridges else self.law(condition)

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names of the conditions."""
        return iter(one.name for one in self.seen)

    def __len__(self) -> int:
        """Return the number of conditions."""
        return len(self.seen)

    def law(
        self, condition: str | None = None, *, covariates: Mapping[str, Value] | None = None
    ) -> Reference:
        """Return the law of motion of a condition, the same at all times.

        Parameters
        ----------
        condition
            Its name.
        covariates
            In place of it the value of each covariate of a condition of which no cell was seen,
            such as a new dose. Its law follows from those of all conditions by their similarity.

        Warns
        -----
        FitWarning
            Conditions like this one were not seen: its law is extrapolated.

        Raises
        ------
        KeyError
            There is no such condition.
        TypeError
            Neither a name nor covariates are given, or both.
        ValueError
            Arms were fitted without covariates or with other ones, or a value cannot be used.
        """
        if (condition is None) == (covariates is None):
            raise TypeError("law takes the name of a condition, or covariates= of a new one")
        if covariates is not None:
            return self._new_law(covariates)
        if condition not in self.laws:
            raise KeyError(f"no condition {condition!r}; found {list(self)}")
        return self.laws[condition]

    def _new_law(self, covariates: Mapping[str, Value]) -> Reference:
        if self.likeness is None:
            raise ValueError(
                "these arms know conditions by their names alone, and nothing tells how near a new "
                "one is to them; fit them with covariate_keys="
            )
        laws = {name: self.laws[name] for name in self}
        return self.likeness.law(laws, covariates)

    @property
    def dim(self) -> int:
        """Number of state variables d."""
        return next(iter(self.bridges.values())).dim

    @property
    def miss(self) -> float:
        """Miss of the laws that were chosen; NaN where one gap alone tells none."""
        miss = dict(self.candidates)[self.own]
        return math.nan if miss is None else miss

    @property
    def in_words(self) -> str:
        """What was chosen, and what it is worth."""
        if math.isnan(self.miss):
            return "one gap of one condition tells no law that others could confirm"
        if self.miss >= FAILS:
            what = "no law foretells gaps that it was not fitted to"
        elif self.own == 0:
            what = "conditions move alike: one law of all foretells gaps that it was not fitted to"
        elif self.own >= max(own for own, _ in self.candidates):
            what = "conditions move each by a law of its own"
        else:
            what = "conditions share a law and deviate from it"
            if self.likeness is not None and self.likeness.kind == "linear":
                what += f" in proportion to {' and '.join(self.likeness.covariates)}"
        return f"{what} (it misses by {self.miss:.2f} of the way)"

    @property
    def table(self) -> pd.DataFrame:
        """One row for each condition and time: condition, time, cells, miss, growth.

        ``miss`` is that of the gap that begins at the time, NaN at the last.
        """
        rows = [
            (one.name, t, n, math.nan if miss is None else miss, one.growth)
            for one in self.seen
            for t, n, miss in zip(one.times, one.n_cells, (*one.misses, None), strict=True)
        ]
        return pd.DataFrame(rows, columns=["condition", "time", "cells", "miss", "growth"])

    @property
    def similarity(self) -> str:
        """By what conditions are alike: ``"names"`` alone, or covariates, by their laws' kind."""
        return "names" if self.likeness is None else self.likeness.kind

    @property
    def tried(self) -> pd.DataFrame:
        """One row for each law that was chosen among: similarity, own, miss (mean over gaps).

        ``own=0``, one law for all, is the same for each similarity.
        """
        known = tuple((self.similarity, own, miss) for own, miss in self.candidates)
        rows = self.compared or known
        table = pd.DataFrame(rows, columns=["similarity", "own", "miss"])
        return table.astype({"own": float, "miss": float})

    def pack(self) -> Content:
        """Return the arms as facts and tensors."""
        facts: dict[str, Any] = {
            "own": self.own,
            "candidates": self.candidates,
            "compared": self.compared,
            "seen": [asdict(one) for one in self.seen],
            "parts": {},
        }
        parts: dict[str, dict[str, Tensor]] = {}
        if self.likeness is not None:
            name, options, parts["common"] = pack_reference(self.likeness.common)
            told = {key: dict(of) for key, of in self.likeness.covariates.items()}
            facts["likeness"] = {
                "covariates": told,
                "law": {"name": name, "options": options},
                "kind": self.likeness.kind,
            }
        for k, name in enumerate(self):
            if name in self.bridges:
                content = self.bridges[name].pack()
                facts["parts"][name], parts[f"{k}"] = content.facts, content.tensors
            else:
                kind, options, state = pack_reference(self.laws[name])
                facts["parts"][name] = {"name": kind, "options": options}
                parts[f"{k}"] = state
        return content_of("arms", facts, named(parts))
