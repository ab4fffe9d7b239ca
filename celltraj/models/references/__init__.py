"""Reference dynamics, one family per file."""

from celltraj.models.references.brownian import Brownian

__all__ = ["Brownian"]
