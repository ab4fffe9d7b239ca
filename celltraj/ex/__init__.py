"""Export results to the forms that other packages read."""

from celltraj._lazy import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
