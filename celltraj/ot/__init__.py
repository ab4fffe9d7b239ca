"""Optimal transport between point clouds: costs, solvers and couplings."""

from celltraj._lazy import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
