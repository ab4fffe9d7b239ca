"""How a path of least action is looked for."""

from __future__ import annotations

from dataclasses import dataclass

from celltraj._checks import check_at_least, checked_fields


@checked_fields
@dataclass(frozen=True)
class LeastAction:
    """Say how finely a path of least action is resolved, and from how many guesses it is sought.

    Parameters
    ----------
    n_points
        Pieces of the path (count), each a straight line; rounded up to a multiple of four in each
        interval between breakpoints of the law.
    n_starts
        Guesses that the search begins with: the straight line, and lines that are bent at random.
        The one of least action is kept; others may end in other paths.
    onsager_machlup
        Whether ``int div b dt / 2`` is added: the path that a tube of trajectories is most likely
        to follow at this noise, not in the limit of little. For a fixed duration and a noise that
        is the same everywhere.
    max_iter
        Most iterations of L-BFGS on each grid (count).

    Raises
    ------
    ValueError
        A count is too small.

    Examples
    --------
    >>> from celltraj.models import LeastAction
    >>> LeastAction(n_points=40).n_starts
    3
    """

    n_points: int = 100
    n_starts: int = 3
    onsager_machlup: bool = False
    max_iter: int = 1000

    def __post_init__(self) -> None:
        check_at_least(8, n_points=self.n_points)
        check_at_least(1, n_starts=self.n_starts, max_iter=self.max_iter)
