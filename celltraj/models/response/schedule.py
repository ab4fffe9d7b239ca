"""How long a response is trained where nothing else is said."""

from __future__ import annotations

import math

from celltraj.models.response.options import ResponseOptions
from celltraj.models.response.populations import Populations
from celltraj.models.training.options import ModelDefaults, Schedule, Training

_DEFAULTS = ModelDefaults(fewest_steps=1_000, batch_size=128, learning_rate=5e-3, per_cell=0.0)
_SLOWER = 2e-3  # products of vectors make larger steps unstable
_VISITS, _MANY_VISITS = 32, 400  # steps in which each treatment of a population is seen
# by then few treatments are learned; a regression of ways, which the state does not blur, sooner
_ENOUGH, _ENOUGH_CARRIED = 3_000, 1_000


def schedule_of(training: Training, options: ResponseOptions, populations: Populations) -> Schedule:
    """Return how long the networks of a response are trained, and how fast.

    By default as many steps as draw each treatment of a population 400 times, but at least 1,000
    and at most 3,000, or 1,000 where cells carry what they saw of their population; or as many as
    draw each of very many treatments 32 times.
    """
    carried, share = options.carrying, len(populations.treated) / options.n_populations
    enough = _ENOUGH if carried is None else _ENOUGH_CARRIED
    steps = max(
        _DEFAULTS.fewest_steps,
        min(enough, math.ceil(_MANY_VISITS * share)),
        math.ceil(_VISITS * share),
    )
    defaults = _DEFAULTS._replace(fewest_steps=steps)
    if carried is not None and carried.is_equivariant:
        defaults = defaults._replace(learning_rate=_SLOWER)
    n_cells = sum(len(group.x) for group in populations.groups)
    return training.schedule(defaults, n_cells, n_populations=options.n_populations)
