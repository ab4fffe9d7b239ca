"""Single-cell dynamics from snapshots: AnnData in, AnnData out."""

from celltraj._lazy import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
__version__ = "0.2.0"
