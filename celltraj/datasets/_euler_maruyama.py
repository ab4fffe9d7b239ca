"""Integrate an additive-noise SDE."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def euler_maruyama(
    drift: Callable[[np.ndarray], np.ndarray],
    x: np.ndarray,
    duration: float,
    sigma: float,
    rng: np.random.Generator,
    max_step: float = 0.01,
) -> np.ndarray:
    """Advance ``dX = drift(X) dt + sigma dW`` by `duration`, in steps up to `max_step`."""
    n_steps = int(np.ceil(duration / max_step - 1e-9))
    if n_steps <= 0:
        return x
    dt = duration / n_steps
    for _ in range(n_steps):
        x = x + drift(x) * dt + sigma * np.sqrt(dt) * rng.standard_normal(x.shape)
    return x
