"""Conditional paths, one per file."""

from celltraj.models.interpolants._interpolant import (
    Interpolant,
    PathSample,
    gap_of,
    noise_of,
    sample_path,
)
from celltraj.models.interpolants.linear import LinearInterpolant
from celltraj.models.interpolants.spline import SplineInterpolant

__all__ = [
    "Interpolant",
    "LinearInterpolant",
    "PathSample",
    "SplineInterpolant",
    "gap_of",
    "noise_of",
    "sample_path",
]
