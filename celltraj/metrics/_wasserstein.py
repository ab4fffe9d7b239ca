"""Wasserstein distance, the same as that of optimal transport."""

from celltraj.ot import wasserstein

__all__ = ["wasserstein"]
