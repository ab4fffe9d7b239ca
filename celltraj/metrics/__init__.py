"""Distances between samples: arrays in, floats out."""

from celltraj.metrics._floor import split_half_floor
from celltraj.ot import wasserstein

__all__ = ["split_half_floor", "wasserstein"]
