"""Tell the two kinds of encoders apart."""

from __future__ import annotations

from celltraj.models.encoders._cell_encoder import CellEncoder
from celltraj.models.encoders._encoder import PopulationEncoder

Encoder = PopulationEncoder | CellEncoder


def pooling(encoder: Encoder | None) -> PopulationEncoder | None:
    """Return the encoder where it embeds a population as a whole."""
    return None if isinstance(encoder, CellEncoder) else encoder


def carrying(encoder: Encoder | None) -> CellEncoder | None:
    """Return the encoder where it gives each cell features of its own."""
    return encoder if isinstance(encoder, CellEncoder) else None
