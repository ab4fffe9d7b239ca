"""Networks, one per file."""

from celltraj.models.networks._scale import scale_of
from celltraj.models.networks.crowd import CrowdKernels, saturated
from celltraj.models.networks.mlp import linear, mlp
from celltraj.models.networks.response_field import Crowd, FieldSizes, ResponseField, Situation
from celltraj.models.networks.two_heads import TwoHeads

__all__ = [
    "Crowd",
    "CrowdKernels",
    "FieldSizes",
    "ResponseField",
    "Situation",
    "TwoHeads",
    "linear",
    "mlp",
    "saturated",
    "scale_of",
]
