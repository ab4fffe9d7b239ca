"""How a flow meets the snapshots that it is trained on: when to stop, and how much noise it has."""

from __future__ import annotations

from dataclasses import dataclass, replace

from celltraj.models.flow.flow import FlowMatching
from celltraj.models.networks import TwoHeads
from celltraj.models.own_snapshots import Meeting, furthest, stop_at, warn_of
from celltraj.models.training.early_stop import EarlyStop
from celltraj.models.training.options import Schedule

_NEARER = 0.95  # of the distance without noise, for noise to be the default


@dataclass(frozen=True)
class CourseCheck:
    """Simulate a flow from its first snapshot on while it is trained.

    Parameters
    ----------
    flow
        The flow, of whatever weights.
    meeting
        What its trajectories are to meet.
    """

    flow: FlowMatching
    meeting: Meeting

    def stop(self, schedule: Schedule) -> EarlyStop | None:
        """Return what ends a training of several cycles once the flow meets its snapshots."""
        return stop_at(self.meeting, self._made, schedule)

    def judged(self, flow: FlowMatching) -> FlowMatching:
        """Return the trained flow with what brings it nearer, and how near it comes.

        Errors of an ODE are carried along for good; noise forgets them, because the score leads
        cells back to where others are.
        """
        still = self.meeting.passages(flow)
        noisy = self._with_noise(flow)
        passages = self.meeting.passages(noisy)
        if furthest(passages) < _NEARER * furthest(still):
            flow = noisy
        else:
            passages = still
        warn_of(
            passages,
            "the flow",
            "Train it for longer, ct.models.Training(max_steps=20_000), take "
            "ct.models.SplineInterpolant() where one law of motion does not hold, or growth=None",
        )
        return replace(flow, passages=passages)

    def _made(self, heads: TwoHeads) -> tuple[FlowMatching, ...]:
        flow = replace(self.flow, heads=heads)
        return flow, self._with_noise(flow)

    def _with_noise(self, flow: FlowMatching) -> FlowMatching:
        sigma = flow.interpolant.sigma
        return flow.with_noise(sigma) if sigma else flow
