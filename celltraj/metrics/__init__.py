"""Distances between samples, and what a law of motion should satisfy: arrays in, floats out."""

from celltraj.metrics._composition import composition_error
from celltraj.metrics._energy import energy_distance
from celltraj.metrics._floor import split_half_floor
from celltraj.metrics._fokker_planck import directional, fokker_planck_residual, score_residual
from celltraj.metrics._mmd import median_distance, mmd
from celltraj.metrics._shift import shift_cosine, shift_r2
from celltraj.ot import wasserstein

__all__ = [
    "composition_error",
    "directional",
    "energy_distance",
    "fokker_planck_residual",
    "median_distance",
    "mmd",
    "score_residual",
    "shift_cosine",
    "shift_r2",
    "split_half_floor",
    "wasserstein",
]
