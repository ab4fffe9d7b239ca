"""Arguments are what their annotation says, down to the last item."""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np
import pandas as pd
import pytest
import torch

from celltraj._checks import checked, fits
from celltraj.models import Process


class Moving:
    def drift(self, when, where):  # a user's own names
        return where

    def diffusion(self, when, where):
        return where


@pytest.mark.parametrize(
    ("value", "hint", "expected"),
    [
        (1, int, True),
        (np.int64(1), int, True),
        (True, int, False),
        (1.0, int, False),
        (1, float, True),
        (np.float32(1), float, True),
        (False, float, False),
        ("1", float, False),
        (np.array([True])[0], bool, True),
        (1, bool, False),
        (None, int | None, True),
        ([1, 2.5], Sequence[float], True),
        ([1] * 1000 + ["x"], Sequence[float], False),
        (np.array([1.0, 2.0]), Sequence[float], True),
        (pd.Index(["a", "b"]), Sequence[str], True),
        (pd.Series([1, 2]), Sequence[float], True),
        (torch.tensor(1.0), Sequence[float], False),
        ("ab", Sequence[str], False),
        (("a", "b"), tuple[str, str], True),
        (("a",), tuple[str, str], False),
        ({"a": 1.0}, Mapping[str, float], True),
        ({"a": "x"}, Mapping[str, float], False),
        ("learn", Literal["learn"], True),
        ("teach", Literal["learn"], False),
        (len, Callable[..., int], True),
        (3, Callable[..., int], False),
        (Moving(), Process, True),
        (Moving, str, False),
    ],
)
def test_what_fits(value, hint, expected):
    assert fits(value, hint) is expected


@checked
def draw(n: int, *, width: float = 1.0, seed: int = 0, name: str = "x") -> tuple:
    """Return what was given."""
    return n, width, seed, name


def test_what_is_right_goes_through_as_it_is():
    assert draw(2, width=0.5, seed=7, name="y") == (2, 0.5, 7, "y")
    assert draw.__doc__ == "Return what was given."


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"n": "2"}, TypeError, r"n must be an integer; found '2' \(str\)"),
        ({"n": 2, "width": float("nan")}, ValueError, "width must be finite; found nan"),
        ({"n": 2, "seed": -1}, ValueError, r"seed must be an integer from 0 to 2\^63"),
        ({"n": 2, "seed": True}, TypeError, "seed must be an integer"),
        ({"n": 10**30}, ValueError, r"n must be less than 2\^31"),
        ({"n": 2, "name": " "}, ValueError, "name is empty"),
        ({"n": 2, "sed": 1}, TypeError, r"takes no argument 'sed'; did you mean seed=\?"),
        ({"n": 2, "other": 1}, TypeError, "it takes n, width, seed, name"),
        ({}, TypeError, "missing a required argument: 'n'"),
        ({"n": Moving}, TypeError, "pass an instance, Moving"),
        ({"n": np.ones((2, 3))}, TypeError, r"found ndarray of shape \(2, 3\)"),
    ],
)
def test_what_is_wrong_is_told(given, error, message):
    with pytest.raises(error, match=message):
        draw(**given)
