"""What the cards of couplings say."""

from __future__ import annotations

import math
from typing import Any


def coupling_facts(one: Any) -> dict[str, object]:
    """Return what is to be known of an entropic coupling."""
    return {
        "cells": f"{len(one.f):,} earlier, {len(one.g):,} later",
        "cost": type(one.cost).__name__,
        "epsilon": f"{one.epsilon:.4g}, in units of the cost",
        "mass": float(one.row_mass.sum()),
        "marginal error": _error(one.marginal_error),
        "converged": one.converged,
        "passes": one.n_iters,
    }


def plan_facts(one: Any) -> dict[str, object]:
    """Return what is to be known of a coupling that is held as a sparse plan."""
    cost = getattr(one, "cost", None)
    n, m = one.plan.shape
    return {
        "cells": f"{n:,} earlier, {m:,} later",
        "entries": f"{one.plan.nnz:,} of {n * m:,}",
        "cost": None if cost is None else type(cost).__name__,
        "mass": float(one.plan.sum()),
        "marginal error": _error(one.marginal_error),
    }


def _error(value: float) -> str | None:
    return None if math.isnan(value) else f"{value:.2g}"
