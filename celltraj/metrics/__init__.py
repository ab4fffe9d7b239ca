"""Distances between samples, and what a law of motion should satisfy: arrays in, floats out."""

from celltraj.metrics._floor import split_half_floor
from celltraj.metrics._fokker_planck import directional, fokker_planck_residual, score_residual
from celltraj.ot import wasserstein

__all__ = [
    "directional",
    "fokker_planck_residual",
    "score_residual",
    "split_half_floor",
    "wasserstein",
]
