"""What the cards of models and of their results say, in the user's units."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from celltraj.snapshots import cells_of, course_facts, sizes_of

_LAST = 100  # steps over which the loss at the end is averaged


def bridge_facts(bridge: Any) -> dict[str, object]:
    """Return what is to be known of a fitted bridge."""
    sigma = getattr(bridge.reference, "sigma", None)
    return {
        **course_facts(bridge.snapshots),
        "reference": bridge.reference,
        "diffusion": None if sigma is None else f"{sigma:.4g} [x]/sqrt([t])",
        "drift": type(getattr(bridge.field, "straight", bridge.field)).__name__,
        "training": training_of(bridge.losses),
        "couplings": couplings_of(bridge.couplings),
        "growth": growth_of(bridge.masses),
        "refinement": _rounds(bridge.rounds),
    }


def arms_facts(arms: Any) -> dict[str, object]:
    """Return what is to be known of fitted arms of a study."""
    return {
        "conditions": list(arms),
        "times": sorted({t for one in arms.seen for t in one.times}),
        "cells": f"{sum(sum(one.n_cells) for one in arms.seen):,} in all",
        "variables": arms.dim,
        "bridges": len(arms.bridges),
        "laws": arms.in_words,
        "own": arms.own,
    }


def mean_field_facts(fitted: Any) -> dict[str, object]:
    """Return what is to be known of a mean-field law and the bridges of its populations."""
    return {
        "populations": list(fitted),
        "times": sorted({t for one in fitted.seen for t in one.times}),
        "cells": f"{sum(sum(one.n_cells) for one in fitted.seen):,} in all",
        "variables": fitted.dim,
        "law": fitted.in_words,
        "own": fitted.own,
    }


def flow_facts(flow: Any) -> dict[str, object]:
    """Return what is to be known of a trained flow."""
    return {
        "times": flow.times,
        "variables": flow.dim,
        "interpolant": flow.interpolant,
        "noise": f"{flow.noise:.4g} [x]/sqrt([t])" if flow.noise else "none, an ODE",
        "network": flow.heads,
        "training": training_of(flow.losses),
        "growth": growth_of(flow.mass),
    }


def response_facts(model: Any) -> dict[str, object]:
    """Return what is to be known of a fitted response."""
    source, projection = model.source, model.projection
    return {
        "populations": model.support.names,
        "conditions": model.conditions,
        "covariates": [one.name for one in model.coder.covariates],
        "doses": model.coder.log_dose is not None,
        "variables": f"{model.dim}" + ("" if source is None else f", of {source.use_rep}"),
        "genes": None if projection is None else len(projection.names),
        "encoder": model.encoder if model.encoder is not None else "none",
        "interpolant": model.interpolant,
        "base": f"neighbours, weight {model.strength:g}" if model.base is not None else "none",
        "survival": _survival(model),
        "training": _trained(model),
    }


def _survival(model: Any) -> str:
    if not model.has_survival:
        return "all cells survive"
    return "learned, with the share killed" if model.has_lived else "learned"


def _trained(model: Any) -> str | None:
    told = training_of(model.losses)
    return f"{told}, {1 + len(model.others)} networks" if model.others else told


def lineage_facts(lineage: Any) -> dict[str, object]:
    """Return what is to be known of the couplings of a time course."""
    return {
        "times": lineage.times,
        "cells": cells_of(lineage.weights),
        "couplings": couplings_of(lineage.couplings),
        "population": sizes_of(lineage.numbers),
    }


def trajectories_facts(trajectories: Any) -> dict[str, object]:
    """Return what is to be known of simulated states."""
    n, d = trajectories.x.shape[1:]
    return {
        "times": trajectories.times,
        "trajectories": n,
        "variables": d,
        "evaluations": trajectories.n_evaluations,
        "mass": "one of each trajectory" if trajectories.log_mass is not None else None,
    }


def masses_facts(masses: Any) -> dict[str, object]:
    """Return what is to be known of the masses of cells."""
    return {
        "times": masses.times,
        "cells": f"{cells_of(masses.sent)} of what they send, {cells_of(masses.met)} meet it",
        "growing": masses.is_growing,
    }


def populations_facts(populations: Any) -> dict[str, object]:
    """Return what is to be known of populations before and after treatments."""
    treated = [one.cells.x for one in populations.treated]
    return {
        "populations": populations.names,
        "untreated cells": sum(len(one.x) for one in populations.controls),
        "treated cells": f"{sum(map(len, treated)):,} in {len(treated)} samples",
        "conditions": sorted({one.condition.name for one in populations.treated}),
        "variables": populations.dim,
    }


def treated_facts(treated: Any) -> dict[str, object]:
    """Return what is to be known of the treated cells of a population."""
    return {
        "population": treated.population,
        "condition": treated.condition.name,
        "cells": treated.cells.x,
    }


def couplings_of(couplings: Sequence[Any]) -> str:
    """Return how many couplings there are, and how well they were solved."""
    kinds = ", ".join(dict.fromkeys(type(one).__name__ for one in couplings))
    errors = [e for one in couplings if not math.isnan(e := one.marginal_error)]
    error = f", marginal error at most {max(errors):.2g}" if errors else ""
    failed = sum(not one.converged for one in couplings)
    return f"{len(couplings)} of {kinds}{error}" + (f", {failed} not converged" if failed else "")


def growth_of(masses: object) -> str:
    """Return whether cells divide and die."""
    return "cells keep their mass" if masses is None else "cells divide and die"


def training_of(losses: Sequence[float]) -> str | None:
    """Return how long a network was trained and where the loss ended; None for no training."""
    if not len(losses):
        return None
    end = float(np.mean(losses[-_LAST:]))
    return f"{len(losses):,} steps, loss {end:.4g} over the last {min(_LAST, len(losses))}"


def _rounds(rounds: Sequence[Any]) -> str | None:
    kept = [one.number for one in rounds if one.kept]
    return f"{len(rounds)} rounds, round {kept[0]} kept" if kept else None
