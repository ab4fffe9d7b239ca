"""Export results to the forms that other packages read."""

from celltraj.ex._to_cellrank import to_cellrank

__all__ = ["to_cellrank"]
