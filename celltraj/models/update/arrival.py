"""Cells that arrive after a law of motion was fitted, and whether it can go on from them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from celltraj._typing import Cells
from celltraj.models.representation import Representation
from celltraj.snapshots import Snapshots

_FEWEST = 50  # cells of a snapshot from which something is learned, as of a fit
_LONGEST = 20.0  # times the longest gap, beyond which a new one is of another unit of time
_SAME = 1e-5  # of the scale of a variable, by which moments of the same cells may differ
_ADVICE = "fit to all cells with ct.tl.fit_flow or ct.tl.fit_bridge"


@dataclass(frozen=True)
class Arrival:
    """Hold the snapshots that follow those of a model, and those before as far as they are there.

    Parameters
    ----------
    times
        Sampling times that are new, in [t].
    x
        Cells ``(n, d)`` of each, in [x].
    old
        Snapshots of the times of the model that are there, by time.
    space
        What the model knew of its representation, and now knows of the new times.
    """

    times: tuple[float, ...]
    x: tuple[Tensor, ...]
    old: dict[float, Tensor]
    space: Representation

    @classmethod
    def of(cls, space: Representation, times: Tensor, x: Cells) -> Arrival:
        """Sort cells ``(n, d)`` of times ``(n,)`` by what a model knows of its own.

        Raises
        ------
        ValueError
            No cell comes after the last time of the model, a time lies before it and is none of
            its own, old cells are others than those of the fit, or new ones are too few, the same
            as those of the last time, or of another scale or unit of time.
        """
        clouds = {t: x[times == t] for t in sorted(set(times.tolist()))}
        new = {t: cloud for t, cloud in clouds.items() if t > space.times[-1]}
        old = {t: cloud for t, cloud in clouds.items() if t not in new}
        _check_times(space, list(new), list(old))
        for t, cloud in old.items():
            _check_old(space, t, cloud)
        for t, cloud in new.items():
            _check_new(space, t, cloud)
        return cls(tuple(new), tuple(new.values()), old, _longer(space, new))

    def course(self, old: Snapshots) -> Snapshots:
        """Return the snapshots of a model and those that follow, of a population of one size."""
        weights = tuple(torch.full((len(x),), 1 / len(x), dtype=torch.float64) for x in self.x)
        times = old.times + self.times
        return Snapshots(times, (*old.x, *self.x), (*old.weights, *weights))

    def observed(self) -> Snapshots:
        """Return the snapshots of the fit, all of which are there.

        Raises
        ------
        ValueError
            Some are not.
        """
        missing = [t for t in self.space.times if t not in self.old and t not in self.times]
        if missing:
            raise ValueError(
                f'replay="cells" asks for the cells of all times of the fit, and adata has none of '
                f"{_shown(missing)}; add them, or where they may not travel pass "
                'replay="model", which asks the flow in their place'
            )
        return Snapshots(tuple(self.old), tuple(self.old.values()))

    def check_absent(self) -> None:
        """Raise where old cells are there, which would not be looked at.

        Raises
        ------
        ValueError
            They are.
        """
        if self.old:
            raise ValueError(
                f'replay="model" takes no cells of old times, and adata has some of '
                f'{_shown(list(self.old))}; pass replay="cells" to use them, or the new cells alone'
            )


def _check_times(space: Representation, new: list[float], old: list[float]) -> None:
    unknown = [t for t in old if t not in space.times]
    first, last = space.times[0], space.times[-1]
    if unknown:
        raise ValueError(
            f"time {unknown[0]:g} is none of the model's, {_shown(list(space.times))}, and does "
            f"not come after them: an update goes on from the last one. For snapshots inside a "
            f"course or before its start, {_ADVICE}"
        )
    if not new:
        raise ValueError(
            f"adata has no cells after time {last:g}, the last one of the model, so that there is "
            "nothing to go on to. Where cells of old times arrived, such as those of a donor, "
            f"{_ADVICE}"
        )
    gaps = [b - a for a, b in zip(space.times[:-1], space.times[1:], strict=True)]
    steps = [b - a for a, b in zip([last, *new[:-1]], new, strict=True)]
    longest = max(gaps)
    if max(steps) > _LONGEST * longest or min(steps) < min(gaps) / _LONGEST:
        raise ValueError(
            f"times {_shown(new)} follow {last:g} at distances of {_shown(steps)}, and those of "
            f"the model, from {first:g} on, are {min(gaps):g} to {longest:g} apart: more than "
            f"{_LONGEST:g} times as far, or as near. Are they of the same unit? If so, {_ADVICE}"
        )


def _check_old(space: Representation, t: float, x: Cells) -> None:
    if not _is_same(space, space.times.index(t), x):
        raise ValueError(
            f"the cells of time {t:g} are not those that the model was fitted to: their means or "
            "standard deviations differ. Cells that arrive at old times, such as those of a donor, "
            f"change the couplings there: {_ADVICE}"
        )


def _check_new(space: Representation, t: float, x: Cells) -> None:
    if len(x) < _FEWEST:
        raise ValueError(
            f"time {t:g} has {len(x)} cells, and fewer than {_FEWEST} tell little of where cells "
            "go; wait for more, or merge times"
        )
    if not bool(torch.isfinite(x).all()):
        raise ValueError(f"cells of time {t:g} hold NaN or infinite values in {space.name}")
    if _is_same(space, len(space.times) - 1, x):
        raise ValueError(
            f"the cells of time {t:g} are those of time {space.times[-1]:g} once more: mean and "
            "standard deviation of every variable are the same. Were cells copied in place of new "
            "ones?"
        )
    doubt = space.doubt(x)
    if doubt is not None:
        raise ValueError(
            f"the cells of time {t:g} do not look like those in {space.name} that the model was "
            f"fitted to: {doubt}. Bring them into its space, with the scaling and the loadings of "
            f"then (ct.pp.match_variables, ct.pp.project); if they are in it, {_ADVICE}"
        )


def _is_same(space: Representation, k: int, x: Cells) -> bool:
    """Whether cells have the moments that a model knows of its snapshot ``k``."""
    centre, scale = (torch.tensor(one[k]).double() for one in (space.centres, space.scales))
    most = _SAME * torch.tensor(space.scales).double().amax(0)
    found = ((x.mean(0), centre), (x.std(0, correction=0), scale))
    return all(bool(((one - other).abs() <= most).all()) for one, other in found)


def _longer(space: Representation, new: dict[float, Tensor]) -> Representation:
    moments = [(x.mean(0), x.std(0, correction=0)) for x in new.values()]
    centres, scales = (tuple(tuple(m[i].tolist()) for m in moments) for i in (0, 1))
    return replace(
        space,
        times=space.times + tuple(new),
        centres=space.centres + centres,
        scales=space.scales + scales,
    )


def _shown(times: list[float]) -> str:
    return ", ".join(f"{t:g}" for t in times)
