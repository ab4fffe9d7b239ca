"""One page of HTML that tells what was fitted, and moves the cells."""

from celltraj.pl._report.write import report

__all__ = ["report"]
