"""Read couplings that other packages have computed, their containers, and many files at once."""

from celltraj._lazy import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
