"""Laws of motion and how they are fitted, simulated and stored."""

from celltraj._lazy import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
