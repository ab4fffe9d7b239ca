"""Networks, one per file."""

from celltraj.models.networks._scale import scale_of
from celltraj.models.networks.carried_reader import CarriedReader
from celltraj.models.networks.meta_network import MetaNetwork
from celltraj.models.networks.mlp import linear, mlp
from celltraj.models.networks.neighbourhood import NeighbourhoodKernels, saturated
from celltraj.models.networks.response_field import (
    FieldSizes,
    Neighbourhood,
    ResponseField,
    Situation,
)
from celltraj.models.networks.two_heads import (
    HeadSizes,
    Points,
    TwoHeads,
    point_errors,
    two_heads_loss,
)

__all__ = [
    "CarriedReader",
    "FieldSizes",
    "HeadSizes",
    "MetaNetwork",
    "Neighbourhood",
    "NeighbourhoodKernels",
    "Points",
    "ResponseField",
    "Situation",
    "TwoHeads",
    "linear",
    "mlp",
    "point_errors",
    "saturated",
    "scale_of",
    "two_heads_loss",
]
