"""Return a bridge of coordinates of constant noise as one of the states themselves."""

from __future__ import annotations

from dataclasses import replace

from celltraj.models.bridge.bridge import Bridge
from celltraj.models.bridge.curved import CurvedField
from celltraj.models.references import Straightened
from celltraj.models.references.chart import mapped_snapshots
from celltraj.snapshots import Snapshots


def in_states(bridge: Bridge, states: Snapshots) -> Bridge:
    """Return the bridge of the cells ``states``; itself where its noise is constant.

    Parameters
    ----------
    bridge
        Bridge that was fitted in coordinates of these cells.
    states
        The same cells as they were observed.
    """
    law = bridge.reference
    if not isinstance(law, Straightened) or isinstance(bridge.field, CurvedField):
        return bridge
    return replace(
        bridge,
        snapshots=mapped_snapshots(bridge.snapshots, states.x),
        reference=law.law,
        field=CurvedField(bridge.field, law),
    )
