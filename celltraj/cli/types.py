"""Types of the options of the shell: what is out of range is refused before any work."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

_MOST = 2**63 - 1  # what torch and NumPy both take as a seed


class Parser(argparse.ArgumentParser):
    """Refuse what is mistyped in one line."""

    def error(self, message: str) -> NoReturn:
        """End with status 2 and one line that says where the options are explained."""
        line = " ".join(message.split())
        self.exit(2, f"celltraj: {line}; {self.prog} --help explains the options\n")


def whole(least: int) -> Callable[[str], int]:
    """Return the type of a whole number that is at least ``least``."""

    def convert(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"invalid whole number {text!r}") from None
        if not least <= value <= _MOST:
            raise argparse.ArgumentTypeError(
                f"must be at least {least} and at most {_MOST}; found {text}"
            )
        return value

    return convert


def number(least: float = -math.inf) -> Callable[[str], float]:
    """Return the type of a finite number that is at least ``least``."""

    def convert(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"invalid number {text!r}") from None
        if not math.isfinite(value):
            raise argparse.ArgumentTypeError(f"{text} is not a finite number")
        if value < least:
            raise argparse.ArgumentTypeError(f"must be at least {least:g}; found {text}")
        return value

    return convert


def assignment(text: str) -> tuple[str, str]:
    """Return the name and the value of ``name=value``."""
    name, sign, value = text.partition("=")
    if not sign or not name:
        raise argparse.ArgumentTypeError(f"{text!r} is not name=value")
    return name, value


def result_file(*endings: str) -> Callable[[str], Path]:
    """Return the type of a path with one of the ``endings``, which say what is written."""

    def convert(text: str) -> Path:
        if (path := Path(text)).suffix not in endings:
            raise argparse.ArgumentTypeError(
                f"the name must end in {' or '.join(endings)}; found {text!r}"
            )
        return path

    return convert


def moment(text: str) -> float | str:
    """Return a time: a number, or a label as the column of times holds it."""
    return _time(text.strip(), text)


def times(text: str) -> tuple[float | str, ...]:
    """Return the times between commas: numbers, or labels as the column of times holds them."""
    return tuple(_time(one.strip(), text) for one in text.split(","))


def _time(one: str, text: str) -> float | str:
    if not one:
        where = " on one side of a comma" if "," in text else ""
        raise argparse.ArgumentTypeError(f"{text!r} names no time{where}")
    try:
        value = float(one)
    except ValueError:
        return one
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{one} is not a finite number")
    return value
