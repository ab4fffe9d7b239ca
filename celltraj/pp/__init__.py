"""Checks and preparation of the user's data."""

from celltraj.pp._check_times import check_times
from celltraj.pp._pca_model import pca_model
from celltraj.pp._project import project
from celltraj.pp._score_growth import score_growth

__all__ = ["check_times", "pca_model", "project", "score_growth"]
