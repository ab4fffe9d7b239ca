"""Networks, one per file."""

from celltraj.models.networks.mlp import mlp
from celltraj.models.networks.two_heads import TwoHeads

__all__ = ["TwoHeads", "mlp"]
