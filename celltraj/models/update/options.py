"""What an update takes where its training leaves it open."""

from __future__ import annotations

from celltraj.models.training.options import ModelDefaults

# half the points of a step of a fit: those of the old course carry no noise
DEFAULTS = ModelDefaults(fewest_steps=500, batch_size=256, learning_rate=1e-2)
