"""What solvers take of memory, and which of their ways a limit leaves.

Numbers are measured rises of resident memory, see ``tests/test_memory_needs.py``.
"""

from __future__ import annotations

import logging
import math

from celltraj._memory import fits, in_gb, limit_in_bytes
from celltraj.ot._cost import Cost

PAIR = 24.0  # bytes of a pair whose plan is held: cost, plan, and what Newton steps keep of it
_SHARE = 0.5  # of the limit, that a plan or a subsample may take; the rest is for all else
_FEWEST = 300  # cells a side of a subsample that is worth to start from

logger = logging.getLogger("celltraj")


def is_held_whole(cost: Cost, most: int) -> bool:
    """Return whether a plan is held whole: it has at most so many pairs, and memory allows."""
    n, m = cost.shape
    if n * m > most or is_within_limit(n, m):
        return n * m <= most
    logger.info(
        "%s x %s cells are coupled in blocks: held whole, their plan takes %s, and of the limit "
        "of %s half is left to it",
        f"{n:,}",
        f"{m:,}",
        in_gb(PAIR * n * m),
        in_gb(limit_in_bytes()),
    )
    return False


def is_within_limit(n: int, m: int) -> bool:
    """Return whether a plan may be held whole, which half of the limit is for."""
    return fits(PAIR * n * m / _SHARE)


def side_within_limit(most: int) -> int:
    """Return how many cells a side a subsample has that is solved whole, ``most`` if it can."""
    return min(most, max(_FEWEST, math.isqrt(int(_SHARE * limit_in_bytes() / PAIR))))
