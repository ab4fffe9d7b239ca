"""Samples of several conditions, one number of each quantity per sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from celltraj._stats.correlation import false_discovery
from celltraj._stats.mean_difference import MeanDifference, mean_difference, paired_difference

_SHOWN = 10
_FEWEST = 2


@dataclass(frozen=True)
class Samples:
    """Hold the mean of each quantity in each sample under each condition.

    Parameters
    ----------
    names
        ``(u,)`` names of the samples; one that was seen under several conditions occurs as often.
    conditions
        ``(u,)`` their conditions.
    quantities
        ``k`` names.
    values
        ``(u, k)`` means over cells.
    """

    names: np.ndarray
    conditions: np.ndarray
    quantities: tuple[str, ...]
    values: np.ndarray

    @classmethod
    def of(
        cls,
        samples: Sequence[str],
        conditions: Sequence[str],
        quantities: tuple[str, ...],
        values: np.ndarray,
    ) -> Samples:
        """Return the means over cells with labels ``samples`` and ``conditions`` and ``values``."""
        units = pd.MultiIndex.from_arrays([samples, conditions])
        codes, found = pd.factorize(units, sort=True)
        sums = np.zeros((len(found), len(quantities)))
        np.add.at(sums, codes, values)
        names, their = (found.get_level_values(k).to_numpy(dtype=object) for k in (0, 1))
        return cls(names, their, quantities, sums / np.bincount(codes)[:, None])

    @property
    def labels(self) -> list[str]:
        """The conditions in alphabetical order."""
        return sorted(set(self.conditions.tolist()))

    @property
    def is_paired(self) -> bool:
        """Whether every sample was seen under every condition, and not each under one.

        Raises
        ------
        ValueError
            Some were seen under several conditions and not all under all of them.
        """
        seen = pd.Series(self.conditions).groupby(self.names).nunique()
        if (seen == 1).all():
            return False
        all_of_them = len(self.labels)
        if (seen == all_of_them).all():
            return True
        fewer = seen.index[(seen > 1) & (seen < all_of_them)].tolist()
        twice, once = seen.index[seen > 1].tolist(), seen.index[seen == 1].tolist()
        raise ValueError(
            f"samples were seen either in one condition each or all in each of {self.labels}; "
            f"found in several {twice[:_SHOWN]}, in one alone {once[:_SHOWN]}"
            f"{f', not in all {fewer[:_SHOWN]}' if fewer else ''}. Drop cells of one kind, or "
            "compare fewer conditions at once"
        )

    def check(self, baseline: str | None) -> str:
        """Return the baseline, once there is enough to compare with it.

        Raises
        ------
        ValueError
            Fewer than two conditions, no such baseline, or a condition with a single sample.
        """
        labels = self.labels
        if len(labels) < _FEWEST:
            raise ValueError(f"two conditions or more are needed; found {labels}")
        baseline = labels[0] if baseline is None else str(baseline)
        if baseline not in labels:
            raise ValueError(f"no baseline={baseline!r} among the conditions; found {labels}")
        counts = {one: int((self.conditions == one).sum()) for one in labels}
        if min(counts.values()) < _FEWEST:
            raise ValueError(
                f"at least two samples per condition are needed; found {counts}. Cells of a single "
                "sample do not tell a condition from that sample"
            )
        return baseline

    def compare(
        self, baseline: str, *, n_permutations: int, confidence: float, rng: np.random.Generator
    ) -> pd.DataFrame:
        """Return one row for each quantity and each condition but the baseline."""
        compare = paired_difference if self.is_paired else mean_difference
        base = self.values[self.conditions == baseline]
        parts = []
        for condition in self.labels:
            if condition == baseline:
                continue
            # samples stand in the order of their names under each condition
            one = self.values[self.conditions == condition]
            found = compare(
                one, base, n_permutations=n_permutations, confidence=confidence, rng=rng
            )
            parts.append(self._rows(condition, baseline, found).assign(n=len(one)))
        table = pd.concat(parts)
        table["n_baseline"] = len(base)
        table["q"] = false_discovery(table[["p"]].to_numpy())[:, 0]
        order = ["quantity", "condition", "baseline", "effect", "lower", "upper", "p", "q", "n"]
        # by quantity, in their order
        table = table.sort_index(kind="stable")
        return table[[*order, "n_baseline", "p_min"]].reset_index(drop=True).rename(index=str)

    def _rows(self, condition: str, baseline: str, found: MeanDifference) -> pd.DataFrame:
        return pd.DataFrame(
            {
                "quantity": np.array(self.quantities, dtype=object),
                "condition": condition,
                "baseline": baseline,
                "effect": found.effect,
                "lower": found.lower,
                "upper": found.upper,
                "p": found.p,
                "p_min": found.p_min,
            }
        )

    def table(self) -> pd.DataFrame:
        """Return one row for each sample, condition and quantity."""
        k = len(self.quantities)
        columns = {
            "sample": np.repeat(self.names, k),
            "condition": np.repeat(self.conditions, k),
            "quantity": np.tile(np.array(self.quantities, dtype=object), len(self.names)),
            "value": self.values.ravel(),
        }
        return pd.DataFrame(columns).rename(index=str)
