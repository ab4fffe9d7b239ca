"""Say from a survey what to use, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from celltraj.models.evaluation.choice import Choice, choose, lead
from celltraj.models.evaluation.holdout import DISPLACEMENT, MANY_DIMENSIONS, TRIVIAL
from celltraj.models.evaluation.rows import FLOOR
from celltraj.models.evaluation.survey import SPREAD, Finding
from celltraj.snapshots import Snapshots

STRAIGHT = "straight lines"  # the candidate that a recommendation must beat
_FEW_CELLS = 50  # below which a snapshot says little of its law
_NO_ROOM = 0.15  # of the floor: where the best row is nearer than that nothing is to be ranked


@dataclass(frozen=True, eq=False)
class Advice:
    """Read a survey.

    Parameters
    ----------
    findings
        All that it found; empty where nothing can be left out.
    whole
        The snapshots that it was of.
    calls
        What to call for each candidate, the default first, by name; ``displacement`` may be one.

    Examples
    --------
    >>> import torch
    >>> from celltraj.models.evaluation import Advice
    >>> from celltraj.snapshots import Snapshots
    >>> x = torch.zeros(60, 2)
    >>> pair = Snapshots((0.0, 1.0), (x, x + 1))
    >>> print(Advice([], pair, {"flow": "fit(adata)"}).sentence())
    fit(adata): the default, unjudged. With two times nothing can be left out, so that nothing \
tells paths or growth apart: what lies between them is assumed.
    """

    findings: Sequence[Finding]
    whole: Snapshots
    calls: Mapping[str, str]

    @cached_property
    def _frame(self) -> pd.DataFrame:
        return pd.DataFrame(self.findings, columns=list(Finding._fields))

    @cached_property
    def _by_time(self) -> dict[str, dict[str, np.ndarray]]:
        """Return the ``(n,)`` means over draws at the held-out times, by metric and method."""
        means = self._frame.groupby(["metric", "method", "held_out"])["value"].mean()
        found: dict[str, dict[str, np.ndarray]] = {}
        for (metric, name), part in means.groupby(level=["metric", "method"]):
            found.setdefault(metric, {})[name] = part.to_numpy()
        return found

    @cached_property
    def choice(self) -> Choice:
        """Return the candidate to use: the default unless another one is surely ahead."""
        if not len(self.findings):
            return Choice(next(iter(self.calls)), "", math.nan)
        w1, energy = (
            {name: self._by_time[metric][name] for name in self.calls}
            for metric in ("W1", "energy")
        )
        found = choose(w1, energy, self._by_time["W1"][FLOOR])
        if self._has_room:
            return found
        # where all are at the floor a twentieth of what is above it is nothing
        default, *others = w1
        rival = min(others, key=lambda name: w1[name].mean())
        return Choice(default, rival, lead(w1[rival] - w1[default]))

    @cached_property
    def _has_room(self) -> bool:
        """Whether the best row without a model is so far from the floor that rows can be ranked."""
        w1 = self._by_time["W1"]
        return bool(w1[self._best_row("W1")].mean() > (1 + _NO_ROOM) * w1[FLOOR].mean())

    def table(self) -> pd.DataFrame:
        """Return a row for the floor, each row without a model and each candidate."""
        found = pd.unique(self._frame["method"]).tolist() or list(self.calls)
        rows = [self._row(name) for name in found]
        return pd.DataFrame(rows).astype({"won": "Int64", "n_held_out": "int64"})

    def sentence(self) -> str:
        """Return in words what to call, how sure that is, and what cannot be told."""
        default, name = next(iter(self.calls)), self.choice.name
        start = f"{self.calls[name]}: "
        if not len(self.findings):
            said = [
                f"{start}the default, unjudged.",
                "With two times nothing can be left out, so that nothing tells paths or growth "
                "apart: what lies between them is assumed.",
            ]
        else:
            reason = self._kept() if name == default else self._preferred(default)
            said = [start + reason, self._against_rows(), self._against_straight()]
            said += [self._limits()]
        return " ".join(part for part in (*said, self._few_cells()) if part)

    def _row(self, name: str) -> dict[str, object]:
        values = {metric: of.get(name) for metric, of in self._by_time.items()}
        w1, energy, ratio = (values.get(metric) for metric in ("W1", "energy", SPREAD))
        default = next(iter(self.calls))
        best = self._best_row("W1")
        is_told = w1 is not None
        gain = self._gain(default, name) if is_told else np.empty(0)
        kind = "trivial" if name in TRIVIAL else "floor" if name == FLOOR else "candidate"
        return {
            "method": name,
            "kind": kind,
            "call": self.calls.get(name, ""),
            "W1": _mean(w1),
            "W1_sd": self._deviation(name),
            "energy": _mean(energy),
            "excess": self._excess(name, "W1"),
            "energy_excess": self._excess(name, "energy"),
            "variance_ratio": _mean(ratio),
            "won": int((self._gain(best, name) > 0).sum()) if is_told and best else pd.NA,
            "n_held_out": 0 if w1 is None else len(w1),
            "margin": lead(gain) if is_told and name not in (default, FLOOR) else math.nan,
            "recommended": name == self.choice.name,
        }

    def _deviation(self, name: str) -> float:
        """Return the standard deviation over draws of the mean W1 over held-out times."""
        rows = self._frame[(self._frame["method"] == name) & (self._frame["metric"] == "W1")]
        return float(rows.groupby("draw")["value"].mean().std())

    def _best_row(self, metric: str) -> str:
        """Return the best of the rows without a model, picked afterwards."""
        known = self._by_time.get(metric, {})
        rows = [name for name in TRIVIAL if name in known]
        return min(rows, key=lambda name: known[name].mean(), default="")

    def _excess(self, name: str, metric: str) -> float:
        """Return ``(d - floor) / (d_best - floor)``; NaN where the best row is at the floor."""
        known, best = self._by_time.get(metric, {}), self._best_row(metric)
        if name not in known or not best:
            return math.nan
        distance, floor, reach = (known[one].mean() for one in (name, FLOOR, best))
        return float((distance - floor) / (reach - floor)) if reach > floor else math.nan

    def _gain(self, other: str, name: str) -> np.ndarray:
        """Return by how much nearer a method is than another one at each held-out time."""
        gain: np.ndarray = self._by_time["W1"][other] - self._by_time["W1"][name]
        return gain

    def _share(self, gain: np.ndarray) -> str:
        """Return gains in words, as a share of what the default has above the floor."""
        known, default = self._by_time["W1"], next(iter(self.calls))
        reach = float((known[default] - known[FLOOR]).mean())
        size = abs(float(gain.mean()))
        word = "nearer" if gain.mean() > 0 else "further"
        share = f"{word} by {size:.3g}"
        if reach > 0:
            share += f", {size / reach:.0%} of what '{default}' has above the floor"
        return share if len(gain) < 2 else f"{share}, {_errors(gain)}"

    def _kept(self) -> str:
        name, rival = self.choice.name, self.choice.rival
        gain = self._gain(name, rival)
        if len(gain) == 1:
            return (
                "the default, as one held-out time is too little to prefer another candidate (the "
                f"best other, '{rival}', is {self._share(gain)})."
            )
        return (
            f"over {len(gain)} held-out times no other candidate is surely nearer (the best other, "
            f"'{rival}', is nearer at {_times(gain)}, in the mean {self._share(gain)})."
        )

    def _preferred(self, default: str) -> str:
        name = self.choice.name
        gain = self._gain(default, name)
        return (
            f"'{name}' is nearer than the default '{default}' at {_times(gain)} held-out times, in "
            f"the mean {self._share(gain)}."
        )

    def _against_rows(self) -> str:
        """Say how it compares with the best row that needs no model."""
        name, best = self.choice.name, self._best_row("W1")
        if name == best:
            return "No row without a model is nearer."
        gain = self._gain(best, name)
        verb = "It is nearer than" if gain.mean() > 0 else "It is not nearer than"
        sure = "" if len(gain) < 2 else f", {_errors(gain)}"
        return (
            f"{verb} the best row without a model, '{best}' (nearer at {_times(gain)}, in the mean "
            f"by {abs(gain.mean()):.3g}{sure})."
        )

    def _against_straight(self) -> str:
        """Say where nothing is surely nearer than straight lines."""
        name, known = self.choice.name, self._by_time["W1"]
        lines = [one for one in (STRAIGHT, DISPLACEMENT) if one in self.calls]
        if name in lines or not lines:
            return ""
        nearest = min(lines, key=lambda one: known[one].mean())
        gain = self._gain(nearest, name)
        if gain.mean() > 0 and not lead(gain) <= 1:
            return ""
        word = "Not surely nearer" if gain.mean() > 0 else "No nearer"
        return f"{word} than '{nearest}', which is simpler: {self.calls[nearest]}."

    def _limits(self) -> str:
        """Say what the distances cannot tell."""
        said = []
        if not self._has_room:
            said.append(
                f"'{self._best_row('W1')}' is within {_NO_ROOM:.0%} of the floor: these cells rank "
                "nothing, and the default is kept."
            )
        if len(self.whole.times) == 3:
            said.append("With one of three times left out all paths are straight.")
        if self.whole.dim > MANY_DIMENSIONS:
            energy = self._by_time["energy"]
            nearest = min(self.calls, key=lambda name: energy[name].mean())
            said.append(
                f"In {self.whole.dim} dimensions W1 rewards narrow predictions; by the energy "
                f"distance the nearest candidate is '{nearest}'."
            )
        return " ".join(said)

    def _few_cells(self) -> str:
        few = [
            f"{len(x)} at time {t:g}"
            for t, x in zip(self.whole.times, self.whole.x, strict=True)
            if len(x) < _FEW_CELLS
        ]
        if not few:
            return ""
        return f"Few cells ({', '.join(few)}): couplings, paths and these distances are rough."


def _mean(values: np.ndarray | None) -> float:
    return math.nan if values is None else float(values.mean())


def _times(gain: np.ndarray) -> str:
    return f"{int((gain > 0).sum())} of {len(gain)}"


def _errors(gain: np.ndarray) -> str:
    return f"{abs(lead(gain)):.1f} standard errors"
