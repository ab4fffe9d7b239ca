"""Data in which nothing is to be found, although samples differ or all changes with time."""

from __future__ import annotations

from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import torch
from torch import Tensor

PLAIN: dict[str, Any] = {}
DESIGNS: dict[str, dict[str, Any]] = {
    "cells alone": PLAIN,
    "samples differ": {"between": 1.0},
    "time trend": {"trend": 1.0},
    "samples differ, time trend": {"between": 1.0, "trend": 1.0},
    "spread grows with time": {"growth": 1.0},
    "each sample of one time": {"between": 1.0, "trend": 1.0, "is_nested": True},
    "unequal samples": {"between": 1.0, "is_unequal": True},
    "slopes of samples": {"slope": 0.5},
    "rare genes": {"rarity": 0.05},
}
COHORTS: dict[str, dict[str, Any]] = {
    "cells alone": {"sizes": (6, 6), "between": 0.0, "step": 2 / 924},
    "samples differ": {"sizes": (6, 6), "step": 2 / 924},
    "samples differ, time trend": {"sizes": (6, 6), "trend": 1.0, "step": 2 / 924},
    "samples differ, three of each": {"sizes": (3, 3), "step": 2 / 20},
    "samples differ, pairs": {"sizes": (8, 8), "is_paired": True, "step": 2 / 2**8},
    "the fewer differ more": {"sizes": (4, 12), "spread": 3.0, "step": 1 / 1820},
    "the more differ more": {"sizes": (12, 4), "spread": 3.0, "step": 1 / 1820},
}
WIRINGS: dict[str, dict[str, Any]] = {
    "cells alone": PLAIN,
    "samples differ": {"between": 1.0},
    "time trend": {"trend": 0.3},
}


def cells(
    rng: np.random.Generator,
    *,
    n_genes: int = 20,
    between: float = 0.0,
    trend: float = 0.0,
    growth: float = 0.0,
    slope: float = 0.0,
    rarity: float = 0.0,
    is_nested: bool = False,
    is_unequal: bool = False,
) -> ad.AnnData:
    """Return cells of eight samples at three times, with a fate that no gene goes with.

    Parameters
    ----------
    between
        Standard deviation over samples of the means of fate and genes, that over cells being one.
    trend
        Change of the fate, and of genes that way or the other, from one time to the next.
    growth
        Change of the standard deviation of both from one time to the next.
    slope
        Standard deviation, over samples, of the slope of a gene along the fate; its mean is zero.
    rarity
        Share of cells that have a gene; all by default.
    is_nested, is_unequal
        Whether each sample is seen at one time, and whether samples have 9 to 90 cells.
    """
    sizes = np.full(8, 45) if not is_unequal else np.array([9, 9, 18, 18, 36, 36, 90, 90])
    sample = np.repeat(np.arange(8), sizes)
    time = sample % 3 if is_nested else np.arange(len(sample)) % 3
    spread = 1 + growth * time
    own = spread * rng.normal(size=len(sample))
    fate = own + between * rng.normal(size=8)[sample] + trend * time
    x = spread[:, None] * rng.normal(size=(len(sample), n_genes))
    x += between * rng.normal(size=(8, n_genes))[sample]
    x += trend * rng.choice([-1, 1], n_genes) * time[:, None]
    x += slope * rng.normal(size=(8, n_genes))[sample] * own[:, None]
    if rarity:
        x = np.log1p(rng.poisson(rarity * np.exp(x - x.mean(0)) / np.exp(x - x.mean(0)).mean(0)))
    share = 1 / (1 + np.exp(-fate))
    obs = {"sample": [f"s{k}" for k in sample], "time": time.astype(float), "fate": share}
    return ad.AnnData(x, obs=pd.DataFrame(obs).rename(index=str))


def cohort(
    rng: np.random.Generator,
    *,
    sizes: tuple[int, int],
    between: float = 1.0,
    trend: float = 0.0,
    spread: float = 1.0,
    is_paired: bool = False,
    step: float,
) -> ad.AnnData:
    """Return 20 cells of each sample of two conditions that do not differ.

    Parameters
    ----------
    sizes
        Samples of each condition.
    between
        Standard deviation over samples, in the first condition ``spread`` times as large.
    trend
        Change from one of two times to the next; samples have unlike shares of both.
    is_paired
        Whether each sample is seen in both conditions.
    step
        Step of the p values, for the table.
    """
    unit = np.arange(sum(sizes))
    condition = np.repeat(["a", "b"], sizes)
    mean = between * np.where(condition == "a", spread, 1.0) * rng.normal(size=len(unit))
    names = unit % sizes[0] if is_paired else unit
    if is_paired:
        mean += rng.normal(size=sizes[0])[names]
    row = np.repeat(unit, 20)
    late = rng.random(len(row)) < rng.uniform(0.1, 0.9, len(unit))[row]
    obs = {
        "sample": [f"s{k}" for k in names[row]],
        "condition": condition[row],
        "time": late.astype(float),
        "value": mean[row] + trend * late + rng.normal(size=len(row)),
    }
    return ad.AnnData(obs=pd.DataFrame(obs).rename(index=str))


class Law:
    """Genes fluctuate about themselves, and move the first variable by their weights."""

    def __init__(self, weights: np.ndarray) -> None:
        self.weights = torch.from_numpy(weights)
        self.dim = len(weights)

    def drift(self, t: float, x: Tensor) -> Tensor:
        """Return how states move."""
        move = torch.zeros_like(x)
        move[:, 0] = x @ self.weights.to(x)
        return move

    def diffusion(self, t: float, x: Tensor) -> Tensor:
        """Return the noise."""
        return torch.full_like(x, 0.1)


def wired(
    rng: np.random.Generator, *, n_genes: int, between: float = 0.0, trend: float = 0.0
) -> tuple[ad.AnnData, np.ndarray]:
    """Return cells of two times, and weights with which all genes alike move a fate.

    Parameters
    ----------
    n_genes
        Number of genes.
    between
        Standard deviation of genes over four samples.
    trend
        Change of all genes from one time to the next.
    """
    n = 40
    weights = np.concatenate([[0.0], rng.normal(size=n_genes) / np.sqrt(n_genes)])
    level, spread = rng.normal(1, 0.3, n_genes), rng.choice([0.2, 1.0], n_genes)
    sample = np.arange(2 * n) % 4
    time = np.repeat([0.0, 1.0], n)
    genes = level + spread * rng.normal(size=(2 * n, n_genes))
    genes += between * (spread * rng.normal(size=(4, n_genes)))[sample] + trend * time[:, None]
    arm = genes @ weights[1:] * time + 0.3 * rng.normal(size=2 * n)
    middle = np.median(arm[n:])
    adata = ad.AnnData(np.column_stack([arm, genes]))
    adata.var_names = ["arm", *(f"g{k}" for k in range(n_genes))]
    adata.obs["time"] = time
    adata.obs["kind"] = pd.Categorical(np.where(arm > middle, "up", "down"))
    return adata, weights
