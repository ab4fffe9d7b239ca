"""Simulate a screen of drugs, doses and pairs of drugs on several cell lines."""

from __future__ import annotations

from itertools import combinations
from typing import NamedTuple

import anndata as ad
import numpy as np
import pandas as pd

from celltraj._checks import checked
from celltraj.datasets._build import check_count
from celltraj.datasets._build_labelled import build_labelled

N_STATES = 3
DOSES = (0.1, 1.0, 10.0)
PAIR_DOSE = 1.0
STATE_SD = 0.4  # of cells around the mean of their state in their line
STATE_DISTANCE = 2.0  # typical distance of a state's mean from the origin
LINE_DISTANCE = 1.0  # typical distance of a line's state from the state's mean over lines
SHIFT = 1.5  # length of a drug's shift at full effect
STATE_SHIFT = 1.0  # length of what a state adds to it
SLOPE = 0.2  # typical size of the part of a shift that grows with the cell's position
SYNERGY = 4.0  # length of what the interacting pair adds at full effect
KILLED_SHARE = 0.8


class _Screen(NamedTuple):
    """The law of a screen; every field goes to ``uns["truth"]``."""

    drugs: np.ndarray  # (n_drugs,)
    lines: np.ndarray  # (n_lines,)
    states: np.ndarray  # (n_states,)
    state_share: np.ndarray  # (n_lines, n_states)
    state_mean: np.ndarray  # (n_lines, n_states, d)
    state_sd: float
    shift: np.ndarray  # (n_drugs, n_states, d)
    slope: np.ndarray  # (n_drugs, d, d)
    half_dose: np.ndarray  # (n_drugs,)
    hill: np.ndarray  # (n_drugs,)
    interacting_drugs: np.ndarray  # (2,)
    synergy: np.ndarray  # (d,)
    killing_drug: str
    killed_state: str
    killed_share: float


def _directions(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    x = rng.standard_normal(shape)
    unit: np.ndarray = x / np.linalg.norm(x, axis=-1, keepdims=True)
    return unit


def _state_shares(n_lines: int, rng: np.random.Generator) -> np.ndarray:
    """Return ``(n_lines, n_states)`` shares; about half of the lines lack one of the states."""
    share = rng.dirichlet(np.full(N_STATES, 4.0), size=n_lines)
    lacks = rng.random(n_lines) < 0.5
    lacks[0] = False  # so that every state exists somewhere
    share[lacks, rng.integers(N_STATES, size=n_lines)[lacks]] = 0.0
    shares: np.ndarray = share / share.sum(axis=1, keepdims=True)
    return shares


def _draw_screen(n_lines: int, n_drugs: int, n_vars: int, rng: np.random.Generator) -> _Screen:
    drugs = np.array([f"drug {i}" for i in range(n_drugs)])
    states = np.array([f"state {i}" for i in range(N_STATES)])
    common = STATE_DISTANCE * _directions((N_STATES, n_vars), rng)
    own = LINE_DISTANCE * _directions((n_lines, N_STATES, n_vars), rng)
    by_drug = SHIFT * _directions((n_drugs, 1, n_vars), rng)
    by_state = STATE_SHIFT * _directions((n_drugs, N_STATES, n_vars), rng)
    # the last drug kills; a pair with it would mix two effects
    pair = rng.choice(n_drugs - 1, 2, replace=False)
    return _Screen(
        drugs=drugs,
        lines=np.array([f"line {i}" for i in range(n_lines)]),
        states=states,
        state_share=_state_shares(n_lines, rng),
        state_mean=common + own,
        state_sd=STATE_SD,
        shift=by_drug + by_state,
        slope=SLOPE * rng.standard_normal((n_drugs, n_vars, n_vars)) / np.sqrt(n_vars),
        half_dose=10 ** rng.uniform(-0.4, 0.2, n_drugs),
        hill=rng.uniform(1.0, 2.0, n_drugs),
        interacting_drugs=drugs[np.sort(pair)],
        synergy=SYNERGY * _directions((n_vars,), rng),
        killing_drug=str(drugs[-1]),
        killed_state=str(states[rng.integers(N_STATES)]),
        killed_share=KILLED_SHARE,
    )


def _effects(screen: _Screen, doses: dict[int, float]) -> dict[int, float]:
    """Return the effect in [0, 1] of every drug at its dose."""
    return {
        drug: 1.0 / (1.0 + (screen.half_dose[drug] / dose) ** screen.hill[drug])
        for drug, dose in doses.items()
    }


def _treat(
    screen: _Screen, line: int, doses: dict[int, float], n_cells: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw untreated cells of a line and return states ``(n, d)`` and labels of the survivors."""
    state = rng.choice(N_STATES, n_cells, p=screen.state_share[line])
    noise = rng.standard_normal((n_cells, screen.synergy.size))
    x = screen.state_mean[line, state] + screen.state_sd * noise
    effects = _effects(screen, doses)
    moved = x.copy()
    for drug, effect in effects.items():
        moved += effect * (screen.shift[drug, state] + x @ screen.slope[drug].T)
    if set(screen.drugs[list(doses)]) == set(screen.interacting_drugs):
        moved += np.prod(list(effects.values())) * screen.synergy
    kill = screen.killed_share * effects.get(len(screen.drugs) - 1, 0.0)
    risk = kill * (screen.states[state] == screen.killed_state)
    alive = rng.random(n_cells) >= risk
    return moved[alive], state[alive]


def _treatments(n_drugs: int) -> list[dict[int, float]]:
    """Return control, every drug at every dose, every pair at one dose, as doses by drug."""
    single = [{drug: dose} for drug in range(n_drugs) for dose in DOSES]
    pairs = [{i: PAIR_DOSE, j: PAIR_DOSE} for i, j in combinations(range(n_drugs), 2)]
    return [{}, *single, *pairs]


def _label(screen: _Screen, line: int, doses: dict[int, float]) -> tuple[str | float | None, ...]:
    names = [str(screen.drugs[drug]) for drug in doses] or ["control"]
    first, second = [*names, None][:2]
    dose_1, dose_2 = [*doses.values(), np.nan, np.nan][:2]
    return str(screen.lines[line]), first, second, dose_1, dose_2


@checked
def drug_screen(
    *, n_lines: int = 8, n_drugs: int = 5, n_cells: int = 200, n_vars: int = 10, seed: int = 0
) -> ad.AnnData:
    """Simulate a drug screen of which every effect is known.

    A line (a population) is a mixture of two or three states. A drug ``d`` at dose ``c`` has the
    effect ``h_d(c) = 1 / (1 + (k_d / c)^n_d)`` and moves a cell at ``x`` in state ``s`` to

    ``x + sum_d h_d (b_ds + C_d x) + [the interacting pair] h_d h_e u``

    so that effects of drugs add within a state, but for exactly one pair, which ``u`` pushes
    further. The last drug also kills cells of one state, a share ``0.8 h`` of them: numbers of
    cells and composition change with it. Conditions of every line: control, every drug at the
    doses 0.1, 1 and 10, every pair of drugs at dose 1 each. Every condition is another draw of the
    line: no cell is seen twice.

    Parameters
    ----------
    n_lines
        Number of cell lines (count, at least 1).
    n_drugs
        Number of drugs (count, at least 3).
    n_cells
        Cells of a line in each condition before the drug kills (count, at least 1).
    n_vars
        Number of features (count, at least 2).
    seed
        Seed of the random generator, which draws the law and the cells.

    Returns
    -------
    ``X`` of shape ``(n, n_vars)``, float32, arbitrary length unit; ``obs["population"]`` (the
    line), ``obs["drug_1"]`` (``"control"`` without treatment), ``obs["drug_2"]`` (missing without a
    second drug), ``obs["dose_1"]`` and ``obs["dose_2"]`` (arbitrary concentration unit, missing
    without a drug), ``obs["state"]``. In ``uns["truth"]``: names (``drugs``, ``lines``,
    ``states``), the mixtures (``state_share``, ``state_mean``, ``state_sd``), ``b`` (``shift``),
    ``C`` (``slope``), ``k`` (``half_dose``), ``n`` (``hill``), the pair (``interacting_drugs``) and
    its ``u`` (``synergy``), and ``killing_drug``, ``killed_state``, ``killed_share``. Settings in
    ``uns["source"]`` (text) and ``uns["parameters"]`` (numbers).

    Raises
    ------
    TypeError
        A count is not an integer.
    ValueError
        A count is too small.

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.drug_screen(n_lines=2, n_drugs=3, n_cells=10)
    >>> list(adata.obs["drug_1"].cat.categories)
    ['control', 'drug 0', 'drug 1', 'drug 2']
    >>> print(*adata.uns["truth"]["interacting_drugs"], sep=", ")
    drug 0, drug 1
    """
    n_lines = check_count("n_lines", n_lines)
    n_drugs = check_count("n_drugs", n_drugs, minimum=3)
    n_cells = check_count("n_cells", n_cells)
    n_vars = check_count("n_vars", n_vars, minimum=2)
    rng = np.random.default_rng(seed)
    screen = _draw_screen(n_lines, n_drugs, n_vars, rng)
    blocks, states, labels = [], [], []
    for line in range(n_lines):
        for doses in _treatments(n_drugs):
            x, state = _treat(screen, line, doses, n_cells, rng)
            blocks.append(x)
            states.append(state)
            labels.append(_label(screen, line, doses))
    parameters = {
        "pair_dose": PAIR_DOSE,
        "n_lines": n_lines,
        "n_drugs": n_drugs,
        "n_cells": n_cells,
        "n_vars": n_vars,
        "seed": int(seed),
    }
    source = (
        f"simulated drug screen, doses {DOSES}, pairs at {PAIR_DOSE:g}, "
        f"{' and '.join(screen.interacting_drugs)} interact, {screen.killing_drug} kills "
        f"{screen.killed_state}; n_lines={n_lines}, n_drugs={n_drugs}, n_cells={n_cells}, "
        f"n_vars={n_vars}, seed={seed}"
    )
    columns = ["population", "drug_1", "drug_2", "dose_1", "dose_2"]
    names = [f"x{i}" for i in range(n_vars)]
    table = pd.DataFrame(labels, columns=columns)
    adata = build_labelled(blocks, table, names, source, parameters)
    adata.obs["state"] = pd.Categorical(screen.states[np.concatenate(states)], screen.states)
    adata.uns["truth"] = screen._asdict()
    return adata
