"""Conditional paths, one per file."""

from celltraj.models.interpolants._curves import Curves
from celltraj.models.interpolants._interpolant import (
    Interpolant,
    PathSample,
    gap_of,
    sample_path,
    share_of,
)
from celltraj.models.interpolants._pack import (
    PackedInterpolant,
    pack_interpolant,
    unpack_interpolant,
)
from celltraj.models.interpolants.brownian_bridge import BrownianBridgeInterpolant
from celltraj.models.interpolants.encoding_decoding import EncodingDecodingInterpolant
from celltraj.models.interpolants.kinetic import KineticInterpolant
from celltraj.models.interpolants.linear import LinearInterpolant
from celltraj.models.interpolants.one_sided import OneSidedInterpolant
from celltraj.models.interpolants.reference import ReferenceInterpolant
from celltraj.models.interpolants.spline import SplineInterpolant
from celltraj.models.interpolants.trigonometric import TrigonometricInterpolant

__all__ = [
    "BrownianBridgeInterpolant",
    "Curves",
    "EncodingDecodingInterpolant",
    "Interpolant",
    "KineticInterpolant",
    "LinearInterpolant",
    "OneSidedInterpolant",
    "PackedInterpolant",
    "PathSample",
    "ReferenceInterpolant",
    "SplineInterpolant",
    "TrigonometricInterpolant",
    "gap_of",
    "pack_interpolant",
    "sample_path",
    "share_of",
    "unpack_interpolant",
]
