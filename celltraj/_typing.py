"""Shapes of the arrays that travel between modules; checked in every test run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from jaxtyping import Float
from torch import Tensor

Cells = Float[Tensor, "n d"]
Targets = Float[Tensor, "m d"]
Plan = Float[Tensor, "n m"]
Earlier = Float[Tensor, " n"]
Later = Float[Tensor, " m"]
Column = Float[Tensor, "n 1"]
States = Float[Tensor, "T n d"]

Time = (
    float | np.number | str
)  # a number in the user's unit, or a label as the column of times has it
# what numbers of cells mean: a word, a column of obs, or sizes by time or in the order of times
Counts: TypeAlias = str | Mapping[Any, float] | pd.Series | Sequence[float] | np.ndarray
# the same of several courses: one text for all, or by name
CountsByName: TypeAlias = str | Mapping[Any, Counts | float] | pd.Series
