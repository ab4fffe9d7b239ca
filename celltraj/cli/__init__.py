"""The shell: ``celltraj``."""

from celltraj.cli.main import main

__all__ = ["main"]
