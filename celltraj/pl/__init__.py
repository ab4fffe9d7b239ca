"""Plots, with scanpy's grammar: ``show``, ``save``, ``return_fig``, ``ax``."""

from celltraj._lazy import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
