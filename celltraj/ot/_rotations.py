"""Rotations that lie evenly among all, to start from."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import permutations, product

import torch
from torch import Tensor

_TURNS = 8  # in the plane


def rotations(k: int, *, reflects: bool) -> Iterator[tuple[str, Tensor]]:
    """Yield rotations that lie evenly among all, by name; with their mirror images if wanted."""
    mirror = torch.diag(torch.tensor([1.0] * (k - 1) + [-1.0], dtype=torch.float64))
    for name, rotation in _of_plane() if k == 2 else _of_cube():
        yield name, rotation
        if reflects:
            yield f"{name}, mirrored", rotation @ mirror


def _of_plane() -> Iterator[tuple[str, Tensor]]:
    for turn in range(_TURNS):
        angle = 2 * math.pi * turn / _TURNS
        c, s = math.cos(angle), math.sin(angle)
        yield f"{math.degrees(angle):g} degrees", torch.tensor([[c, -s], [s, c]]).double()


def _of_cube() -> Iterator[tuple[str, Tensor]]:
    """Yield the 24 rotations of a cube: signed permutations of determinant 1."""
    for order in permutations(range(3)):
        for signs in product((1.0, -1.0), repeat=3):
            matrix = torch.zeros(3, 3, dtype=torch.float64)
            matrix[torch.arange(3), torch.tensor(order)] = torch.tensor(signs).double()
            if float(torch.linalg.det(matrix)) > 0:
                axes = "".join(
                    f"{'+' if sign > 0 else '-'}{'xyz'[at]}"
                    for sign, at in zip(signs, order, strict=True)
                )
                yield f"axes {axes}", matrix
