"""What a model knows of the representation that it was fitted in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from celltraj.snapshots import Snapshots

_OTHER = 1.5  # times the scale of cells of the same time, in most variables, is another scale
_WIDER = 2.0  # the same where times are not known
_AWAY = 5.0  # scales from the centre, in any variable, is another place
_FEWEST = 10  # cells from which a scale can be told


@dataclass(frozen=True)
class Representation:
    """Hold the name of a representation and the facts by which another one is told.

    Parameters
    ----------
    name
        ``"X"`` or a key of ``obsm``.
    variables
        Names of the ``d`` variables.
    times
        ``(T,)`` sampling times, in [t].
    centres, scales
        ``(T, d)`` mean and standard deviation of the cells of each time, in [x].
    """

    name: str
    variables: tuple[str, ...]
    times: tuple[float, ...]
    centres: tuple[tuple[float, ...], ...]
    scales: tuple[tuple[float, ...], ...]

    @classmethod
    def of(cls, name: str, variables: Sequence[str], snapshots: Snapshots) -> Representation:
        """Return what these snapshots tell."""
        centres, scales = (
            [measure(x).tolist() for x in snapshots.x] for measure in (_mean, _spread)
        )
        rows = (tuple(map(tuple, one)) for one in (centres, scales))
        return cls(name, tuple(map(str, variables)), snapshots.times, *rows)

    def doubt(self, x: Tensor, times: Tensor | None = None) -> str | None:
        """Return what makes cells ``(n, d)`` look like those of another scale, None if nothing.

        Cells of times that the fit knows are compared with those of the same time. Without times,
        what is narrower than any snapshot or wider than all together is told.
        """
        known = _matched(x, times, self.times)
        if not known:
            return self._doubt_of_any(x)
        pairs = [(self._at(k), part) for k, part in known]
        ratio = float(torch.cat([_ratios(_spread(x), scale) for (_, scale), x in pairs]).median())
        away = max(float(_ratios((x.mean(0) - c).abs(), s).amax()) for (c, s), x in pairs)
        if not 1 / _OTHER <= ratio <= _OTHER:
            return f"their scale is {ratio:.3g} times that of the cells of the same times"
        if away > _AWAY:
            return f"their centre lies {away:.3g} standard deviations from that of the fit"
        return None

    def _at(self, k: int) -> tuple[Tensor, Tensor]:
        """Return centre and scale of one time; a variable that does not vary has those of all."""
        scales = torch.tensor(self.scales, dtype=torch.float64)
        scale = torch.where(scales[k] > 0, scales[k], scales.amax(0))
        return torch.tensor(self.centres[k], dtype=torch.float64), scale

    def _doubt_of_any(self, x: Tensor) -> str | None:
        if len(x) < _FEWEST:
            return None
        centres, scales = (
            torch.tensor(one, dtype=torch.float64) for one in (self.centres, self.scales)
        )
        centre = centres.mean(0)
        whole = (scales.square() + (centres - centre).square()).mean(0).sqrt()
        wider = float(_ratios(_spread(x), whole).median())
        narrower = float(_ratios(_spread(x), scales.amin(0)).median())
        away = float(_ratios((x.mean(0) - centre).abs(), whole).amax())
        if wider > _WIDER:
            return f"their scale is {wider:.3g} times that of the cells of the fit"
        if narrower < 1 / _WIDER:
            return f"their scale is {narrower:.3g} times the least that a time of the fit had"
        if away > _AWAY:
            return f"their centre lies {away:.3g} standard deviations from that of the fit"
        return None


@runtime_checkable
class Represented(Protocol):
    """A model that knows the representation that it was fitted in."""

    @property
    def representation(self) -> Representation | None:
        """What it knows; None where it was fitted to bare tensors."""
        ...


def known_space(space: Representation | None, dim: int) -> Representation | None:
    """Return what a file says of a representation, once it is of ``dim`` variables.

    Raises
    ------
    ValueError
        It is of another number.
    """
    if space is None:
        return None
    rows = (*space.centres, *space.scales)
    lengths = {len(space.variables), *map(len, rows)}
    if lengths != {dim} or not len(space.times) == len(space.centres) == len(space.scales) > 0:
        raise ValueError(f"its representation has {sorted(lengths)} variables, the model {dim}")
    if min(map(min, space.scales)) < 0:
        raise ValueError("its representation has a negative scale")
    return space


def _matched(x: Tensor, times: Tensor | None, known: Sequence[float]) -> list[tuple[int, Tensor]]:
    """Return the cells of each known time that has enough of them, with its number."""
    if times is None:
        return []
    parts = [(k, x[times == t]) for k, t in enumerate(known)]
    return [(k, part) for k, part in parts if len(part) >= _FEWEST]


def _mean(x: Tensor) -> Tensor:
    return x.mean(0)


def _spread(x: Tensor) -> Tensor:
    return x.std(0, correction=0)


def _ratios(found: Tensor, usual: Tensor) -> Tensor:
    """Return ``found / usual`` where that can be told; one number, 1, where it cannot."""
    is_known = usual > 0
    return found[is_known] / usual[is_known] if bool(is_known.any()) else torch.ones(1)
