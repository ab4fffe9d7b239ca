"""Simulate populations whose cells attract each other and move where they are dense."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
from scipy.spatial.distance import cdist
from scipy.special import expit

from celltraj._checks import checked
from celltraj.datasets._build import check_count
from celltraj.datasets._build_labelled import build_labelled
from celltraj.datasets._euler_maruyama import euler_maruyama

ATTRACTION = 0.8
SPEED = 2.0
THRESHOLD = 0.25
WIDTH = 0.05
BANDWIDTH = 0.3
SIGMA = 0.1
STEP = 0.02
CENTRE_RANGE = 2.0
SPREADS = (0.3, 1.2)
BLOB_OFFSET = 1.5  # of two blobs from their middle, in units of the spread
TEST_SHARE = 0.2


def _density(x: np.ndarray, bandwidth: float) -> np.ndarray:
    """Return the mean Gaussian kernel of every cell to the others (a cell does not see itself)."""
    squared = cdist(x, x, "sqeuclidean")
    kernel = np.exp(-squared / (2 * bandwidth**2)) / (2 * np.pi * bandwidth**2)
    np.fill_diagonal(kernel, 0.0)
    density: np.ndarray = kernel.sum(axis=1) / max(len(x) - 1, 1)
    return density


@checked
def interaction_drift(
    x: np.ndarray,
    *,
    attraction: float = ATTRACTION,
    speed: float = SPEED,
    threshold: float = THRESHOLD,
    width: float = WIDTH,
    bandwidth: float = BANDWIDTH,
) -> np.ndarray:
    """Return the drift of every cell of one population, which depends on the others.

    ``b(x) = a (mean - x) + q sigmoid((rho(x) - rho0) / w) (1, 0)``

    with the centroid ``mean`` of the cells and ``rho(x)`` the mean over the other cells of a
    Gaussian kernel of bandwidth ``h``, whose expectation does not depend on their number.

    Parameters
    ----------
    x
        ``(n, 2)`` cells of one population at one time (length).
    attraction
        ``a``, the rate of attraction to the centroid (per unit of time).
    speed
        ``q``, the speed of the quorum along the first axis (length per unit of time).
    threshold
        ``rho0``, the density at which cells move at half that speed (per square length).
    width
        ``w``, the width of the switch (per square length, positive).
    bandwidth
        ``h``, the bandwidth of the kernel (length, positive).

    Returns
    -------
    ``(n, 2)`` velocities (length per unit of time).

    Raises
    ------
    ValueError
        ``x`` is not a table of two columns, or `width` or `bandwidth` is not positive.

    Examples
    --------
    >>> import celltraj as ct
    >>> import numpy as np
    >>> ct.datasets.interaction_drift(np.array([[-1.0, 0.0], [1.0, 0.0]]), speed=0.0)
    array([[ 0.8,  0. ],
           [-0.8,  0. ]])
    """
    if x.ndim != 2 or x.shape[1] != 2:
        raise ValueError(f"x must be (n, 2) cells, found shape {x.shape}")
    if not (width > 0 and bandwidth > 0):
        raise ValueError(
            f"width and bandwidth must be positive, found width {width}, bandwidth {bandwidth}"
        )
    drift: np.ndarray = attraction * (x.mean(axis=0) - x)
    drift[:, 0] += speed * expit((_density(x, bandwidth) - threshold) / width)
    return drift


def _draw_cloud(rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """Return the centres ``(1 or 2, 2)`` and the spread of a population's Gaussian blobs."""
    centre = rng.uniform(-CENTRE_RANGE, CENTRE_RANGE, 2)
    spread = rng.uniform(*SPREADS)
    angle = rng.uniform(0, 2 * np.pi)
    offset = BLOB_OFFSET * spread * np.array([np.cos(angle), np.sin(angle)])
    two = rng.random() < 0.5
    return (np.array([centre + offset, centre - offset]) if two else centre[None]), spread


def _before_and_after(
    n_cells: int, truth: dict[str, float], rng: np.random.Generator
) -> list[np.ndarray]:
    """Draw a population, its cells ``(n, 2)``, and the cells of another draw after they moved."""
    centres, spread = _draw_cloud(rng)
    before, start = [
        centres[rng.integers(len(centres), size=n_cells)]
        + spread * rng.standard_normal((n_cells, 2))
        for _ in range(2)
    ]
    after = euler_maruyama(
        lambda x: interaction_drift(x, **truth), start, 1.0, SIGMA, rng, max_step=STEP
    )
    return [before, after]


@checked
def interacting_populations(
    *,
    n_populations: int = 40,
    n_cells: int = 300,
    attraction: float = ATTRACTION,
    speed: float = SPEED,
    seed: int = 0,
) -> ad.AnnData:
    """Simulate populations whose drift depends on the population itself.

    The cells of a population follow, from time 0 to 1,

    ``dX = [a (mean_t - X) + q sigmoid((rho_t(X) - rho0) / w) (1, 0)] dt + sigma dW``

    with the current centroid ``mean_t`` and kernel density ``rho_t`` of their own population
    (:func:`interaction_drift`). A population starts as one or two Gaussian blobs around a centre
    uniform in [-2, 2]^2, each of a spread uniform in [0.3, 1.2]. Populations overlap: at one place
    cells of different populations move differently, so a field of the position alone cannot be
    right. The cells after are those of another draw of the population, moved: none is seen twice.

    Parameters
    ----------
    n_populations
        Number of populations (count, at least 2); a fifth of them, at least one, is for the test.
    n_cells
        Cells of a population before, and after (count, at least 1).
    attraction
        ``a``, the rate of attraction to the centroid (per unit of time, not negative).
    speed
        ``q``, the speed of the quorum (length per unit of time).
    seed
        Seed of the random generator.

    Returns
    -------
    ``X`` of shape ``(2 * n_populations * n_cells, 2)``, float32, arbitrary length unit;
    ``obs["population"]``, ``obs["condition"]`` (``"before"``, ``"after"``), ``obs["split"]``
    (``"train"``, ``"test"``); the arguments of :func:`interaction_drift` in ``uns["truth"]``, the
    noise and the settings in ``uns["parameters"]`` (numbers), both in ``uns["source"]`` (text).

    Raises
    ------
    TypeError
        A count is not an integer.
    ValueError
        A count is too small, or the attraction is negative or the speed not finite.

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.interacting_populations(n_populations=5, n_cells=20)
    >>> adata.shape
    (200, 2)
    >>> before = adata[adata.obs["condition"] == "before"]
    >>> first = before.X[before.obs["population"] == "population 0"]
    >>> ct.datasets.interaction_drift(first, **adata.uns["truth"]).shape
    (20, 2)
    """
    n_populations = check_count("n_populations", n_populations, minimum=2)
    n_cells = check_count("n_cells", n_cells)
    if not (np.isfinite([attraction, speed]).all() and attraction >= 0):
        raise ValueError(
            "attraction must be finite and not negative and speed finite, found attraction "
            f"{attraction}, speed {speed}"
        )
    truth = {
        "attraction": float(attraction),
        "speed": float(speed),
        "threshold": THRESHOLD,
        "width": WIDTH,
        "bandwidth": BANDWIDTH,
    }
    rng = np.random.default_rng(seed)
    n_test = max(1, round(TEST_SHARE * n_populations))
    test = set(rng.choice(n_populations, n_test, replace=False).tolist())
    blocks, labels = [], []
    for i in range(n_populations):
        blocks += _before_and_after(n_cells, truth, rng)
        split = "test" if i in test else "train"
        labels += [(f"population {i}", condition, split) for condition in ("before", "after")]
    parameters = {
        "sigma": SIGMA,
        "step": STEP,
        "n_populations": n_populations,
        "n_cells": n_cells,
        "seed": int(seed),
    }
    source = "simulated interacting populations, " + ", ".join(
        f"{name}={value:g}" for name, value in {**truth, **parameters}.items()
    )
    columns = ["population", "condition", "split"]
    adata = build_labelled(blocks, pd.DataFrame(labels, columns=columns), "xy", source, parameters)
    adata.uns["truth"] = truth
    return adata
