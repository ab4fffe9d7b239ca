"""Encoders of populations, one per file."""

from celltraj.models.encoders._cell_encoder import CellEncoder
from celltraj.models.encoders._encoder import PopulationEncoder
from celltraj.models.encoders._kinds import Encoder, carrying, pooling
from celltraj.models.encoders._pack import pack_encoder, unpack_encoder
from celltraj.models.encoders.deep_sets import DeepSets
from celltraj.models.encoders.graph import GraphEncoder
from celltraj.models.encoders.moments import Moments
from celltraj.models.encoders.pooled_graph import PooledGraphEncoder
from celltraj.models.encoders.set_attention import SetAttention

__all__ = [
    "CellEncoder",
    "DeepSets",
    "Encoder",
    "GraphEncoder",
    "Moments",
    "PooledGraphEncoder",
    "PopulationEncoder",
    "SetAttention",
    "carrying",
    "pack_encoder",
    "pooling",
    "unpack_encoder",
]
