"""What a model knows of the representation that it was fitted in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from celltraj._snapshots import Snapshots

_WIDER = 2.0  # times the scale, in most variables, is another scale
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
    centre, scale
        ``(d,)`` mean and standard deviation over the cells of all times, in [x].
    narrowest
        ``(d,)`` least standard deviation at one time, in [x].
    """

    name: str
    variables: tuple[str, ...]
    centre: tuple[float, ...]
    scale: tuple[float, ...]
    narrowest: tuple[float, ...]

    @classmethod
    def of(cls, name: str, variables: Sequence[str], snapshots: Snapshots) -> Representation:
        """Return what these snapshots tell."""
        together = torch.cat(snapshots.x)
        least = torch.stack([_spread(x) for x in snapshots.x]).amin(0)
        facts = (together.mean(0), _spread(together), least)
        return cls(name, tuple(map(str, variables)), *(tuple(one.tolist()) for one in facts))

    def doubt(self, x: Tensor) -> str | None:
        """Return what makes cells ``(n, d)`` look like those of another scale, None if nothing.

        Narrower than any snapshot was, or wider than all of them, in half of the variables or more;
        or with a centre far from all cells of the fit.
        """
        if len(x) < _FEWEST:
            return None
        scale, least = (torch.tensor(one, dtype=x.dtype) for one in (self.scale, self.narrowest))
        moves = scale > 0
        if not bool(moves.any()):
            return None
        wider = float((_spread(x) / scale)[moves].median())
        narrower = float((_spread(x) / least.clamp(min=1e-12 * float(scale.max())))[moves].median())
        centre = torch.tensor(self.centre, dtype=x.dtype)
        away = float(((x.mean(0) - centre).abs() / scale)[moves].amax())
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
    lengths = {len(one) for one in (space.variables, space.centre, space.scale, space.narrowest)}
    if lengths != {dim}:
        raise ValueError(f"its representation has {sorted(lengths)} variables, the model {dim}")
    if min((*space.scale, *space.narrowest)) < 0:
        raise ValueError("its representation has a negative scale")
    return space


def _spread(x: Tensor) -> Tensor:
    return x.std(0, correction=0)
