"""How long a response is trained where nothing else is said."""

from __future__ import annotations

import math

from celltraj.models.response.options import ResponseOptions
from celltraj.models.response.populations import Populations
from celltraj.models.training.options import ModelDefaults, Schedule, Training

_DEFAULTS = ModelDefaults(fewest_steps=1_000, batch_size=128, learning_rate=5e-3, per_cell=0.0)
_SLOWER = 2e-3  # products of vectors make larger steps unstable
# steps in which each treatment of a population is seen; a regression of ways, which the state does
# not blur, is learned sooner
_VISITS, _VISITS_CARRIED = 400, 32


def schedule_of(training: Training, options: ResponseOptions, populations: Populations) -> Schedule:
    """Return how long the networks of a response are trained, and how fast.

    By default for a thousand steps, or as many more as it takes to draw each treatment of a
    population 400 times, 32 times where cells carry what they saw of their population.
    """
    carried = options.carrying
    visits = _VISITS if carried is None else _VISITS_CARRIED
    steps = math.ceil(visits * len(populations.treated) / options.n_populations)
    defaults = _DEFAULTS._replace(fewest_steps=max(_DEFAULTS.fewest_steps, steps))
    if carried is not None and carried.is_equivariant:
        defaults = defaults._replace(learning_rate=_SLOWER)
    n_cells = sum(len(group.x) for group in populations.groups)
    return training.schedule(defaults, n_cells, n_populations=options.n_populations)
