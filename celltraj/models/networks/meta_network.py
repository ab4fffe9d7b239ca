"""Encoder of populations and field of cells as one network."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from celltraj._card import card
from celltraj.models.networks.mlp import linear
from celltraj.models.networks.neighbourhood import saturated
from celltraj.models.networks.response_field import ResponseField


@card()
class MetaNetwork(torch.nn.Module):
    """Hold encoder and field, which one optimiser trains together.

    Parameters
    ----------
    field
        Velocity, score and survival.
    encoder
        Network of a :class:`celltraj.models.PopulationEncoder`; None where nothing is embedded.
    generator
        Draws the first weights.
    """

    def __init__(
        self,
        field: ResponseField,
        encoder: torch.nn.Module | None,
        *,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        size = field.sizes.embedding
        self.field, self.encoder = field, encoder
        self.spread = linear(size, size, generator) if encoder is not None else None

    def embed(self, features: Tensor, mask: Tensor) -> Tensor:
        """Return the embeddings ``(p, e)`` of populations; ``(p, 0)`` without an encoder.

        Their length saturates: they scale every layer of the field, and what is far from all that
        was trained on must not scale them by more.
        """
        if self.encoder is None:
            return features.new_zeros(len(features), 0)
        return saturated(self.encoder(features, mask))

    def parameter_groups(self, *, weight_decay: float) -> list[dict[str, Any]]:
        """Return what reads the state and the population, which decays, and the rest."""
        readers = (self.field.reads_state, self.field.straight, self.field.by_population)
        decaying = [layer.weight for layer in readers if layer is not None]
        rest = [v for v in self.parameters() if all(v is not one for one in decaying)]
        return [
            {"params": decaying, "weight_decay": weight_decay},
            {"params": rest, "weight_decay": 0.0},
        ]
