"""Checks and preparation of the user's data."""

from celltraj.pp._check_times import check_times

__all__ = ["check_times"]
