"""Draw populations of cells in the shape of rotated letters."""

from __future__ import annotations

from pathlib import Path
from string import ascii_uppercase

import anndata as ad
import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib import path as mpath
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath

from celltraj._checks import checked
from celltraj.datasets._build import check_count
from celltraj.datasets._build_labelled import build_labelled

HALF_SIDE = 3.0
RASTER = 100  # pixels along the longer side: finer than the noise of the sharp cells
BLUR_SD = 0.5
SHARP_SD = 0.05
VALIDATION, TEST = "X", "Y"


def _winding(corners: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return +-1 inside the closed polygon `corners`, by its sense of rotation, 0 outside."""
    x, y = corners.T
    turn = np.sign(np.dot(x[:-1], y[1:]) - np.dot(x[1:], y[:-1]))
    winding: np.ndarray = turn * mpath.Path(corners).contains_points(points)
    return winding


def _pixels(letter: str) -> np.ndarray:
    """Return the centres ``(n, 2)`` of the filled pixels; the longer side spans [-3, 3]."""
    font = Path(mpl.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")
    outline = TextPath((0, 0), letter, size=100, prop=FontProperties(fname=font)).to_polygons()
    corners = np.concatenate(outline)
    low, high = corners.min(axis=0), corners.max(axis=0)
    scale = 2 * HALF_SIDE / (high - low).max()
    centre = (low + high) / 2
    edges = np.linspace(-HALF_SIDE, HALF_SIDE, RASTER + 1)
    x, y = np.meshgrid(*2 * [(edges[1:] + edges[:-1]) / 2])
    grid = np.column_stack([x.ravel(), y.ravel()])
    # a hole turns against the contour around it, so that the windings cancel there
    winding = sum(_winding((part - centre) * scale, grid) for part in outline)
    inside: np.ndarray = grid[winding != 0]
    return inside


def _rotate(x: np.ndarray, degrees: int) -> np.ndarray:
    angle = np.deg2rad(degrees)
    cos, sin = np.cos(angle), np.sin(angle)
    turned: np.ndarray = x @ np.array([[cos, sin], [-sin, cos]])
    return turned


def _check_letters(letters: str) -> None:
    if not letters or len(set(letters)) < len(letters) or not set(letters) <= {*ascii_uppercase}:
        raise ValueError(
            f"letters must be different capitals of A to Z, such as 'ABXY'; found {letters!r}"
        )


def _split(letter: str) -> str:
    return {VALIDATION: "validation", TEST: "test"}.get(letter, "train")


@checked
def letters(
    *, n_cells: int = 700, n_rotations: int = 10, letters: str = ascii_uppercase, seed: int = 0
) -> ad.AnnData:
    """Draw populations in the shape of rotated letters, blurred and sharp.

    A population is a letter at an angle, a uniform law on its filled pixels ``p``. The cells of
    its two conditions are drawn apart from each other, so that none is seen twice:

    ``blurred: p + N(0, 0.5^2 I)``, ``sharp: p' + N(0, 0.05^2 I)``.

    Where a blurred cell belongs depends on the letter around it: a field that does not know the
    population cannot sharpen it. The letters X (validation) and Y (test) are unseen in training at
    every angle. The glyphs are those of DejaVu Sans, which comes with matplotlib, on a raster of
    100 pixels along the longer side, which spans [-3, 3] before the rotation about its centre.

    Parameters
    ----------
    n_cells
        Cells of a population in each of the two conditions (count, at least 1).
    n_rotations
        Angles of each letter (count, 1 to 360): whole degrees drawn without repetition.
    letters
        Different capitals of A to Z.
    seed
        Seed of the random generator, which draws angles and cells.

    Returns
    -------
    ``X`` of shape ``(2 * len(letters) * n_rotations * n_cells, 2)``, float32, arbitrary length
    unit; ``obs["population"]`` (such as ``"A at 36"``), ``obs["letter"]``, ``obs["rotation"]``
    (degree, anticlockwise), ``obs["condition"]`` (``"blurred"``, ``"sharp"``), ``obs["split"]``
    (``"train"``, ``"validation"``, ``"test"``); ``uns["source"]`` (text) and
    ``uns["parameters"]`` (numbers).

    Raises
    ------
    TypeError
        A count is not an integer.
    ValueError
        A count is out of range, or `letters` are not different capitals.

    References
    ----------
    Atanackovic et al. (2024), Meta Flow Matching, arXiv:2408.14608: the experiment, in another
    font.

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.letters(n_cells=20, n_rotations=2, letters="AXY")
    >>> adata.obs.groupby("split", observed=True)["population"].nunique().to_dict()
    {'train': 2, 'validation': 2, 'test': 2}
    """
    n_cells = check_count("n_cells", n_cells)
    n_rotations = check_count("n_rotations", n_rotations)
    if n_rotations > 360:
        raise ValueError(f"n_rotations must be at most 360, found {n_rotations}")
    _check_letters(letters)
    rng = np.random.default_rng(seed)
    blocks, labels = [], []
    for letter in letters:
        pixels = _pixels(letter)
        for angle in np.sort(rng.choice(360, n_rotations, replace=False)):
            rotated = _rotate(pixels, angle)
            for condition, sd in (("blurred", BLUR_SD), ("sharp", SHARP_SD)):
                target = rotated[rng.integers(len(rotated), size=n_cells)]
                blocks.append(target + sd * rng.standard_normal(target.shape))
                name = f"{letter} at {angle}"
                labels.append((name, letter, float(angle), condition, _split(letter)))
    columns = ["population", "letter", "rotation", "condition", "split"]
    parameters = {
        "blur_sd": BLUR_SD,
        "sharp_sd": SHARP_SD,
        "half_side": HALF_SIDE,
        "raster": RASTER,
        "n_cells": n_cells,
        "n_rotations": n_rotations,
        "seed": int(seed),
    }
    source = (
        f"simulated letters {letters} in DejaVu Sans, longer side 2*{HALF_SIDE:g}, blurred sd="
        f"{BLUR_SD:g}, sharp sd={SHARP_SD:g}, n_cells={n_cells}, n_rotations={n_rotations}, "
        f"seed={seed}"
    )
    return build_labelled(blocks, pd.DataFrame(labels, columns=columns), "xy", source, parameters)
