"""Simulate slices of a tissue that grows, turns and stretches."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd

from celltraj._checks import checked
from celltraj.datasets._build import build_adata, check_count

TIMES = (0.0, 1.0, 2.0)
TURN = 0.5  # radians per unit of time
SWELL = 0.25  # of every length, per unit of time
STRETCH = 0.08  # of one axis of the tissue, and what the other loses, per unit of time
NOISE = 0.02  # of a place, in radii of the first slice
DOMAINS = ("core", "north", "east", "south", "west")
DIVISION = np.array([0.0, 0.6, 0.0, 0.0, 0.3])  # by domain, per unit of time
ANGLES = np.array([0.0, 1.3, 2.9, 4.1, 2 * np.pi])  # where the outer domains end
CORE = 0.45  # radius of the core
N_GENES = 10
DRIFT = 0.3  # of expression, per unit of time


def flowed(origin: np.ndarray, time: float) -> np.ndarray:
    """Return where descendants ``(n, 2)`` of cells are that were at ``origin`` at time 0."""
    shape = np.exp(SWELL * time + STRETCH * time * np.array([1.0, -1.0]))
    c, s = np.cos(TURN * time), np.sin(TURN * time)
    moved: np.ndarray = (origin * shape) @ np.array([[c, s], [-s, c]])
    return moved


def domain_of(origin: np.ndarray) -> np.ndarray:
    """Return the number of the domain ``(n,)`` of cells that were at ``origin`` at time 0."""
    angle = np.arctan2(origin[:, 1], origin[:, 0]) % (2 * np.pi)
    outer = 1 + np.searchsorted(ANGLES[1:], angle).clip(max=len(DOMAINS) - 2)
    return np.where(np.hypot(*origin.T) < CORE, 0, outer)


def _slice(
    n_cells: int, time: float, programs: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return expression, places, origins and domains of one slice."""
    radius, angle = np.sqrt(rng.random(n_cells)), 2 * np.pi * rng.random(n_cells)
    origin = np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])
    number = rng.poisson(np.exp(DIVISION[domain_of(origin)] * time)) if time else 1
    origin = np.repeat(origin, number, axis=0)
    domain = domain_of(origin)
    places = flowed(origin, time) + NOISE * rng.standard_normal(origin.shape)
    level = programs[domain] + origin @ programs[-2:] * 0.7
    level = level + DRIFT * time * np.roll(programs, 1, axis=1)[domain]
    x = level + 0.6 * rng.standard_normal((len(origin), N_GENES))
    return x, places, origin, domain


@checked
def growing_tissue(n_cells: int = 500, *, seed: int = 0) -> ad.AnnData:
    """Simulate slices of a tissue that grows, turns and stretches, for spatial couplings.

    A disc of five domains at times 0, 1, 2. A cell that was at ``X`` at time 0 is at
    ``R(0.5 t) diag(exp(0.33 t), exp(0.17 t)) X`` at ``t``: the tissue turns by 0.5 radians, swells
    by a quarter and stretches by .08 per unit of time, and cells lie about that by .02. Cells of
    the north divide at 0.6 and those of the west at 0.3 per unit of time. Expression is that of the
    domain, with a gradient across the tissue, a drift in time and noise. Every time is a tissue of
    its own, because measuring destroys the cells.

    Parameters
    ----------
    n_cells
        Cells of the tissue at time 0, from which those of the later times grow (count, at least 1).
    seed
        Seed of the random generator.

    Returns
    -------
    ``X`` of shape ``(n, 10)``, float32; ``obs["time"]``; ``obs["domain"]``; ``obs["growth_rate"]``
    (per unit of time); ``obsm["spatial"]``, places ``(n, 2)``, and ``obsm["origin"]``, where the
    ancestor of each cell was at time 0, in radii of the first slice; the true parameters in
    ``uns["source"]`` (text) and ``uns["parameters"]`` (numbers).

    Raises
    ------
    TypeError
        ``n_cells`` is not an integer.
    ValueError
        ``n_cells`` is less than 1.

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.growing_tissue(n_cells=100)
    >>> adata.obsm["spatial"].shape[1], sorted(adata.obs["domain"].unique())
    (2, ['core', 'east', 'north', 'south', 'west'])
    """
    n_cells = check_count("n_cells", n_cells)
    rng = np.random.default_rng(seed)
    programs = np.random.default_rng(7).standard_normal((len(DOMAINS) + 2, N_GENES))
    slices = [_slice(n_cells, t, programs, rng) for t in TIMES]
    blocks, places, origins, domains = zip(*slices, strict=True)
    parameters = {
        "turn": TURN,
        "swell": SWELL,
        "stretch": STRETCH,
        "noise": NOISE,
        "n_cells": n_cells,
        "seed": int(seed),
    }
    source = (
        f"simulated tissue, turn={TURN:g}, swell={SWELL:g}, stretch={STRETCH:g} per unit of time, "
        f"n_cells={n_cells}, seed={seed}"
    )
    names = [f"gene{i}" for i in range(N_GENES)]
    adata = build_adata(blocks, TIMES, names, source, parameters)
    domain = np.concatenate(domains)
    adata.obs["domain"] = pd.Categorical(np.array(DOMAINS)[domain], categories=list(DOMAINS))
    adata.obs["growth_rate"] = DIVISION[domain]
    adata.obsm["spatial"] = np.concatenate(places)
    adata.obsm["origin"] = np.concatenate(origins)
    return adata
