"""What an update takes where its training leaves it open."""

from __future__ import annotations

from celltraj.models.training.options import ModelDefaults, Schedule, Training

# half the points of a step of a fit: those of the old course carry no noise
DEFAULTS = ModelDefaults(fewest_steps=500, batch_size=256, learning_rate=1e-2)


def schedule_of(training: Training, n_cells: int) -> Schedule:
    """Return what a training comes to for ``n_cells`` new cells.

    By default the same for however many: a gap or two is learned from points of paths.
    """
    return training.schedule(DEFAULTS, 0 if training.max_epochs is None else n_cells)
