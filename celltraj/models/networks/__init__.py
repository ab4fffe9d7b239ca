"""Networks, one per file."""

from celltraj.models.networks.mlp import mlp

__all__ = ["mlp"]
