"""The law of motion of a coupling as plain texts and arrays, and the cost that it asks for.

The potentials of a bridge mean something only beside the cost of its reference. An AnnData keeps
the reference itself, which is small, in place of costs or transformed cells, which are not.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from celltraj._typing import Cells, Targets
from celltraj.models._facts import Stored, facts_as
from celltraj.models.references._pack import (
    PackedReference,
    is_ours,
    pack_reference,
    unpack_reference,
)
from celltraj.models.references.chart import chart_of, straightened
from celltraj.models.references.family import Reference
from celltraj.models.references.gaussian_law import gap_flow
from celltraj.ot import Cost


def packed_law(reference: Reference) -> dict[str, Any] | None:
    """Return name, options (JSON) and arrays of a reference; None for one that is a user's code.

    Examples
    --------
    >>> from celltraj.models import Brownian
    >>> from celltraj.models.references.packed_law import packed_law, unpacked_law
    >>> unpacked_law(packed_law(Brownian(0.3)), dim=2)
    Brownian(sigma=0.3)
    """
    if not is_ours(reference):
        return None
    name, options, tensors = pack_reference(reference)
    arrays = {key: value.detach().cpu().numpy() for key, value in tensors.items()}
    return {"name": name, "options": json.dumps(options), "arrays": arrays}


def unpacked_law(packed: Mapping[str, Any], *, dim: int) -> Reference:
    """Return the reference that :func:`packed_law` took apart, of ``dim`` variables.

    Raises
    ------
    ValueError
        These are not the texts and arrays of a fitted reference.
    """
    facts = {"name": str(packed["name"]), "options": json.loads(str(packed["options"]))}
    # an empty dict may not come back from a file
    arrays = {key: np.ascontiguousarray(v) for key, v in packed.get("arrays", {}).items()}
    tensors = Stored({key: torch.from_numpy(value) for key, value in arrays.items()})
    found = facts_as(PackedReference, facts, "the law of the couplings")
    return unpack_reference(found, tensors, dim=dim, classes={})


def law_cost(reference: Reference, x: Cells, y: Targets, span: tuple[float, float]) -> Cost:
    """Return the cost of transport under a reference from ``x`` to ``y``, at the two times."""
    chart, law = chart_of(reference), straightened(reference)
    return gap_flow(law, chart.straight(x.double()), *span).problem(chart.straight(y.double()))[0]
