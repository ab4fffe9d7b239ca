"""Turn models of older formats into the present one: from number to number, one step each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch

from celltraj.models._files import Content

OLDEST = 4


def migrated(content: Content) -> Content:
    """Return a model of format 4 or 5 as it would have been written in format 6.

    Raises
    ------
    ValueError
        What the step needs is not there.
    """
    while content.format in _STEPS:
        content = replace(_STEPS[content.format](content), format=content.format + 1)
    return content


def _from_4(content: Content) -> Content:
    """Add the sizes of the population, which 4 did not know: they stayed as they were."""
    facts, tensors = content.facts, content.tensors
    if content.kind == "bridge":
        times = facts.get("times")
        if not isinstance(times, list):
            raise ValueError("it has no list of times")
        facts = facts | {"sizes": [1.0] * len(times)}
    if "mass.drift" in tensors:
        sizes = torch.zeros(len(tensors["mass.drift"]), dtype=torch.float64)
        tensors = tensors | {"mass.sizes": sizes}
    return replace(content, facts=facts, tensors=tensors)


def _from_5(content: Content) -> Content:
    """Return the same: 6 has one file in place of two, and null where 5 had NaN in its JSON."""
    return content


_STEPS: dict[int, Callable[[Content], Content]] = {4: _from_4, 5: _from_5}
