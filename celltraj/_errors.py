"""Errors and warnings that carry what a caller needs to go on."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterable
from typing import Any


class _WithResult(RuntimeError):
    """Carry a result, out of another process as well."""

    def __init__(self, message: str, result: Any) -> None:
        super().__init__(message)
        self.result = result

    def __reduce__(self) -> tuple[Any, ...]:
        # by default a message alone is handed on, and the process that gets it dies of that
        return type(self), (str(self), self.result)


class ConvergenceError(_WithResult):
    """Report a solver that stopped before its tolerance.

    Parameters
    ----------
    message
        What was reached and what mends it.
    result
        The unconverged result; inspect it, or ask the solver for it with ``throw=False``.
    """


class RefinementError(_WithResult):
    """Report a refinement that diverged.

    Parameters
    ----------
    message
        What happened in which round, and what mends it.
    result
        The bridge on the best reference until then.
    """


class TrainingError(_WithResult):
    """Report a training whose loss is no longer finite.

    Parameters
    ----------
    message
        At which step, on what batch, and what mends it.
    result
        The averaged network of the steps before.
    """


class DataWarning(UserWarning):
    """Point to data that can be fitted but deserve a look: few, constant or duplicate cells."""


class FitWarning(DataWarning):
    """Point to a fit that misses what it was shown, or that has too little to learn from."""


def warn(message: str, category: type[Warning] = DataWarning) -> None:
    """Warn at the line of the user, the last one that is not of this package.

    Parameters
    ----------
    message
        What deserves a look, and what mends it.
    category
        Kind of the warning.
    """
    frame, level = inspect.currentframe(), 1
    while frame is not None and frame.f_globals.get("__name__", "").startswith("celltraj."):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


def some(names: Iterable[Any], most: int = 8) -> str:
    """Return the first few names as text, and how many there are beside, for a message.

    Examples
    --------
    >>> from celltraj._errors import some
    >>> some("abc", 2)
    "['a', 'b'] and 1 more"
    """
    found = list(names)
    return f"{found[:most]}{_beside(found, most)}"


def listed(names: Iterable[str], most: int = 8) -> str:
    """Return the same without brackets.

    Examples
    --------
    >>> from celltraj._errors import listed
    >>> listed("abc", 2)
    'a, b and 1 more'
    """
    found = list(names)
    return ", ".join(found[:most]) + _beside(found, most)


def _beside(found: list[Any], most: int) -> str:
    return f" and {len(found) - most} more" if len(found) > most else ""
