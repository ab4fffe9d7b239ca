"""Watch the losses of a training for the step at which it is lost."""

from __future__ import annotations

import math

import torch
from torch import Tensor

_DIVERGED = 1e6  # times the first loss: finite, and lost for good


class Watch:
    """Keep the losses of a training, and find the first that is not finite or much too large.

    A loss on the CPU is looked at when it comes. Those on a GPU stay there until they are asked
    for, since a look at each would make the CPU wait for every step; until then a flag there says
    whether all of them are sound.
    """

    def __init__(self) -> None:
        self.losses: list[float] = []
        self._unread: list[Tensor] = []
        self._flag: Tensor | None = None

    def __len__(self) -> int:
        return len(self.losses) + len(self._unread)

    def add(self, loss: Tensor) -> float | None:
        """Take the loss of one more step; return it where it is at hand and unsound."""
        if _is_at_hand(loss):
            return self._judged([float(loss)])
        first = self.losses[0] if self.losses else [*self._unread, loss][0]
        bound = _DIVERGED * torch.as_tensor(first, device=loss.device).clamp(min=1)
        is_sound = loss.isfinite() & (loss <= bound)
        self._flag = is_sound if self._flag is None else self._flag & is_sound
        self._unread.append(loss)
        return None

    @property
    def flag(self) -> Tensor | None:
        """Whether all losses are sound, on their device; None where they are known to be."""
        return self._flag

    def look(self) -> float | None:
        """Read the losses that are still on their device; return the first unsound one."""
        unread, self._unread, self._flag = self._unread, [], None
        return self._judged(torch.stack(unread).tolist() if unread else [])

    def _judged(self, losses: list[float]) -> float | None:
        for loss in losses:
            if not math.isfinite(loss) or loss > _DIVERGED * max([1.0, *self.losses[:1]]):
                return loss
            self.losses.append(loss)
        return None


def _is_at_hand(loss: Tensor) -> bool:
    return loss.device.type == "cpu"
