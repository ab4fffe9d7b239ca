"""Shapes of the arrays that travel between modules; checked in every test run."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

Cells = Float[Tensor, "n d"]
Targets = Float[Tensor, "m d"]
Plan = Float[Tensor, "n m"]
Earlier = Float[Tensor, " n"]
Later = Float[Tensor, " m"]
Column = Float[Tensor, "n 1"]
States = Float[Tensor, "T n d"]
