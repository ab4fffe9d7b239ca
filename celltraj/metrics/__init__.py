"""Distances between samples, and what a law of motion should satisfy: arrays in, floats out."""

from celltraj._lazy import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
