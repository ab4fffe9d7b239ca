"""Models, couplings and results show themselves by a short card."""

import re
from dataclasses import MISSING, dataclass, fields, is_dataclass
from typing import Any

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

import celltraj as ct
from celltraj._card import card

LONGEST = 1000  # letters
# what a field holds whose contents nobody wants to read
HEAVY = re.compile(
    r"Tensor|ndarray|ArrayLike|Converted|csr_array|Cells|States|Earlier|Later|Plan\b|Cost|Transport|Coupling|Snapshots|"
    r"Module|TwoHeads|\bReference\b|\bProcess\b"
)
PUBLIC = {
    f"{module.__name__}.{name}": getattr(module, name)
    for module in (ct.models, ct.ot, ct.metrics)
    for name in module.__all__
    if isinstance(getattr(module, name), type)
}
HOLDING = {
    name: kind
    for name, kind in PUBLIC.items()
    if is_dataclass(kind) and any(HEAVY.search(str(field.type)) for field in fields(kind))
}
# what can be made without arguments
OPTIONS = sorted(
    name
    for name, kind in PUBLIC.items()
    if is_dataclass(kind)
    and not any(f.default is MISSING and f.default_factory is MISSING for f in fields(kind))
)


def check(one):
    text = repr(one)
    assert len(text) < LONGEST, type(one)
    assert not re.search(r"tensor\(|array\(|\bnan\b|object at 0x", text), text
    if hasattr(one, "_repr_html_"):
        html = one._repr_html_()
        assert "tensor(" not in html
        assert html.count("<tr>") == text.count("\n")


def reached(one, seen):
    """Return all instances of our own classes within ``one``."""
    if id(one) in seen:
        return
    seen[id(one)] = one
    if isinstance(one, tuple | list):
        parts = one
    elif isinstance(one, dict):
        parts = one.values()
    elif type(one).__module__.startswith("celltraj"):
        parts = getattr(one, "__dict__", {}).values()
    else:
        return
    for part in list(parts):
        reached(part, seen)


@pytest.fixture(scope="module")
def fitted():
    adata = ct.datasets.branching(n_cells=60, seed=0)
    quick = {"progress": False, "seed": 0}
    bridge = ct.tl.fit_bridge(adata, reference=ct.models.Brownian(), training=None, **quick)
    refined = ct.tl.fit_bridge(
        adata,
        reference=ct.models.OrnsteinUhlenbeck(),
        options=ct.models.BridgeOptions(refinement=ct.models.Refinement(max_rounds=1)),
        training=ct.models.Training(max_steps=2),
        **quick,
    )
    flow = ct.tl.fit_flow(adata, training=ct.models.Training(max_steps=2), **quick)
    cells = ct.datasets.interacting_populations(n_populations=5, n_cells=40, seed=0)
    response = ct.tl.fit_response(
        cells,
        population_key="population",
        condition_key="condition",
        control="before",
        training=ct.models.Training(max_steps=2),
        **quick,
    )
    generator = torch.Generator().manual_seed(0)
    path = ct.models.simulate(bridge, bridge.snapshots.x[0], [0.0, 1.0], generator=generator)
    x, half = torch.zeros(4, 2), torch.full((4,), 0.25).double()
    cost = ct.ot.SquaredEuclidean(x, x + 1)
    plans = [
        solver(cost, half, half, epsilon=0.1) for solver in (ct.ot.Sinkhorn(), ct.ot.Multiscale())
    ]
    plans += [ct.ot.Exact()(cost, half, half), ct.ot.SparseCoupling(csr_array(np.eye(4)))]
    return [bridge, bridge.lineage, refined, flow, response, path, cost, *plans]


def test_all_that_a_fit_returns(fitted):
    seen: dict[int, Any] = {}
    reached(fitted, seen)
    ours = [one for one in seen.values() if type(one).__module__.startswith("celltraj")]
    assert len({type(one) for one in ours}) > 25
    for one in ours:
        check(one)


@pytest.mark.parametrize("name", HOLDING)
def test_every_public_class_that_holds_arrays_has_a_card(name):
    assert "_repr_html_" in vars(HOLDING[name])


def test_the_walk_knows_what_holds_arrays():
    assert {"celltraj.models.Bridge", "celltraj.ot.Coupling", "celltraj.models.Lineage"} <= set(
        HOLDING
    )
    assert len(HOLDING) > 25


@pytest.mark.parametrize("name", OPTIONS)
def test_options_are_short_as_they_are(name):
    check(PUBLIC[name]())


def test_a_bridge_says_what_it_is(fitted):
    text = repr(fitted[0])
    for said in ("times ", "0, 1, 2, 3, 4", "cells ", "Brownian(sigma=", "[x]/sqrt([t])"):
        assert said in text
    assert "training" not in text  # nothing was trained
    assert "2 steps" in repr(fitted[2])
    html = fitted[0]._repr_html_()
    assert html.startswith("<div><strong>Bridge</strong>")
    assert len(html) < LONGEST + 200


@card()
@dataclass
class Odd:
    text: str
    names: tuple
    number: float
    numbers: tuple
    table: dict
    cloud: torch.Tensor
    nothing: None = None


def test_texts_are_escaped_and_what_is_not_known_is_left_out():
    bad = "<script>alert('&')</script>\n" * 200
    odd = Odd(bad, (bad,) * 90, float("nan"), (1.0, 2.5), {bad: bad, "a": 1}, torch.zeros(0, 3))
    check(odd)
    text, html = repr(odd), odd._repr_html_()
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert len(text.split("\n")) == 5  # no number, no cloud, nothing
    assert "1, 2.5" in text


@card(lambda self: {f"fact {k}": "w" * 500 for k in range(500)})
@dataclass
class Much:
    x: int = 0


def test_no_card_is_long():
    assert len(repr(Much())) < LONGEST


def test_many_numbers_are_counted():
    many = Odd("", (), 1e7, tuple(range(5000)), {}, np.zeros((20_000, 3)))
    assert "0, 1, 2, 3, 4, 5, …, 4,999 (5,000)" in repr(many)
    assert "20,000 × 3" in repr(many)


@pytest.mark.parametrize("kind", [ct.models.Bridge, ct.ot.Coupling, ct.models.FlowMatching])
def test_what_is_not_yet_whole_has_a_name(kind):
    assert repr(object.__new__(kind)) == kind.__name__
