"""The table of held-out scores: one schema for times and for responses."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import pandas as pd
from pandas.api.types import is_numeric_dtype

from celltraj.models.evaluation.arm_baselines import TRIVIAL_ARMS
from celltraj.models.evaluation.holdout import PREVIOUS, TRIVIAL
from celltraj.models.evaluation.response_baselines import NO_CHANGE, TRIVIAL_RESPONSES

COLUMNS = ("method", "held_out", "metric", "value", "seed")
RESPONSE_COLUMNS = ("population", "condition")
# columns with the model that nested selection took, and how sure that was
CHOSEN, MARGIN = "chosen", "margin"
ARM = "condition"  # column with the condition of a time that was held out
_MAKER, _RESPONSE_MAKER = "ct.tl.cross_validate", "ct.tl.cross_validate_response"
_OLD = ("time", "left_out")  # what held_out was called


class Score(NamedTuple):
    """One row.

    Parameters
    ----------
    method
        Model, or row that needs none.
    held_out
        Time, or name of what was held out.
    metric
        What is measured.
    value
        The score.
    extra
        Values of further columns.
    """

    method: str
    held_out: float | str
    metric: str
    value: float
    extra: tuple[str | float, ...] = ()


@dataclass(frozen=True)
class Design:
    """Say how a kind of table is read.

    Parameters
    ----------
    unit
        Column with what is drawn anew in a bootstrap, and won or lost.
    case
        Columns that say what one prediction was of; methods are compared over the same.
    trivial
        Methods that need no model, and know nothing that was held out.
    nothing
        The one of these by which nothing happens.
    """

    unit: str
    case: tuple[str, ...]
    trivial: tuple[str, ...]
    nothing: str


TIMES = Design("held_out", ("held_out", "seed"), TRIVIAL, PREVIOUS)
ARMS = Design(ARM, ("held_out", ARM, "seed"), TRIVIAL_ARMS, PREVIOUS)
RESPONSES = Design(
    "population", ("held_out", *RESPONSE_COLUMNS, "seed"), TRIVIAL_RESPONSES, NO_CHANGE
)


@dataclass(frozen=True, eq=False)
class ScoreTable:
    """Hold held-out scores, one in a row.

    Parameters
    ----------
    frame
        Columns method, held_out, metric, value, seed; population and condition, of responses;
        others are left as they are.

    Raises
    ------
    TypeError
        ``frame`` is not a DataFrame.
    ValueError
        It lacks a column.

    Examples
    --------
    >>> from celltraj.models.evaluation import Score, ScoreTable
    >>> ScoreTable.of([Score("floor", 2.0, "W1", 0.1)], seed=0).design.unit
    'held_out'
    """

    frame: pd.DataFrame

    def __post_init__(self) -> None:
        if not isinstance(self.frame, pd.DataFrame):
            raise TypeError(
                f"scores must be the table of {_MAKER} or {_RESPONSE_MAKER}; found "
                f"{type(self.frame).__name__}"
            )
        is_response = not self.is_of_arms and any(name in self.frame for name in RESPONSE_COLUMNS)
        needed = (*COLUMNS, *RESPONSE_COLUMNS) if is_response else COLUMNS
        if missing := [name for name in needed if name not in self.frame]:
            old = [name for name in _OLD if name in self.frame and "held_out" in missing]
            hint = f"; rename {old[0]!r} of an older table to 'held_out'" if old else ""
            maker = _RESPONSE_MAKER if is_response else _MAKER
            raise ValueError(f"scores lack the columns {missing}; make them with {maker}{hint}")

    @classmethod
    def of(cls, scores: Iterable[Score], *, seed: int, extra: Sequence[str] = ()) -> ScoreTable:
        """Return the table of these rows, in their order; ``extra`` names further columns."""
        rows = [(*one[:4], seed, *one.extra) for one in scores]
        return cls(pd.DataFrame(rows, columns=[*COLUMNS, *extra]))

    @property
    def is_of_arms(self) -> bool:
        """Whether these are scores of conditions at times that were held out."""
        has_times = "held_out" in self.frame and is_numeric_dtype(self.frame["held_out"])
        return has_times and ARM in self.frame and RESPONSES.unit not in self.frame

    @property
    def is_response(self) -> bool:
        """Whether these are scores of responses."""
        return RESPONSES.unit in self.frame

    @property
    def design(self) -> Design:
        """How it is read: by population or by condition where there are some, else by time."""
        return RESPONSES if self.is_response else ARMS if self.is_of_arms else TIMES

    def known(self) -> ScoreTable:
        """Return the rows with a value, their names as text whatever a file made of them.

        Raises
        ------
        ValueError
            There are none.
        """
        rows = self.frame[self.frame["value"].notna()]
        if rows.empty:
            raise ValueError("scores have no rows with a value")
        texts = [*(name for name in self.design.case if name != "seed"), "method", "metric"]
        if not self.is_response:
            texts.remove("held_out")  # a number, whose order is that of time
        return ScoreTable(rows.astype(dict.fromkeys(texts, str)))

    def of_metric(self, metric: str) -> ScoreTable:
        """Return the rows of one metric that have a value.

        Raises
        ------
        ValueError
            There are none.
        """
        known = self.known()
        rows = known.frame[known.frame["metric"] == metric]
        if rows.empty:
            found = sorted(known.frame["metric"].unique())
            raise ValueError(f"no metric {metric!r}; found {found}")
        return ScoreTable(rows)
