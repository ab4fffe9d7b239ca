"""The unit that a network sees each variable in."""

from __future__ import annotations

import logging

import torch
from torch import Tensor

_HIDDEN = (
    10.0  # times its spread that the noise of the paths may be before a variable is lost in it
)
logger = logging.getLogger("celltraj")


def scale_of(spread: Tensor, noise: float) -> Tensor:
    """Return the unit of each variable: its spread, or that of the paths where they are wider.

    Parameters
    ----------
    spread
        ``(d,)`` standard deviations of the cells, in [x].
    noise
        Standard deviation of the paths around their means in the middle of the widest gap, in [x],
        the same for every variable.
    """
    lost = ((spread > 0) & (_HIDDEN * spread < noise)).nonzero().flatten().tolist()
    if lost:
        logger.warning(
            "%d of %d variables (number %s) vary by %.2g or less, and the noise of the paths by "
            "%.2g in each: a network cannot resolve them, and cells simulated through it spread by "
            "more than those observed. Bring the variables to one size, leave out the large one, "
            "or pass a smaller sigma=",
            len(lost),
            len(spread),
            ", ".join(map(str, lost[:5])) + ", ..." * (len(lost) > 5),
            float(spread[lost].max()),
            noise,
        )
    scale = spread.clamp(min=noise)
    # a constant variable carries no scale of its own; one keeps it where it is
    return torch.where(scale > 0, scale, torch.ones_like(scale))
