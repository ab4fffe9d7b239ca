"""What is said before the work of memory is what the work takes, and a limit finds another way."""

import json
import logging
import subprocess
import sys

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch
from analytic import normal, uniform

import celltraj as ct
from celltraj import ot
from celltraj._anndata import needs
from celltraj.ot import Coupling
from celltraj.ot.memory import solving_bytes

STEPS = ct.models.Training(max_steps=3)


def cells(n, dim=2, n_times=3):
    rng = np.random.default_rng(0)
    time = np.repeat(np.arange(float(n_times)), n)
    x = (rng.normal(size=(len(time), dim)) + time[:, None]).astype(np.float32)
    obs = pd.DataFrame({"time": time, "arm": "a"}, index=[f"c{i}" for i in range(len(time))])
    return ad.AnnData(obs=obs, obsm={"X_pca": x})


CALLS = {
    "flow": lambda adata: ct.tl.fit_flow(adata, training=STEPS, progress=False),
    "bridge": lambda adata: ct.tl.fit_bridge(adata, training=STEPS, progress=False),
    "couplings": lambda adata: ct.tl.couplings(adata, progress=False),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_limit_too_small_for_any_way_ends_before_the_work(name):
    adata = cells(50)
    words = r"this needs about 0\.\d+ GB \(.*\), and the limit is 1e-05 GB; pass fewer cells"
    with ct.memory_limit(gb=1e-5), pytest.raises(MemoryError, match=words):
        CALLS[name](adata)
    assert "celltraj" not in adata.uns
    assert list(adata.obsm) == ["X_pca"]


def test_couplings_are_followed_within_the_limit():
    adata = cells(50)
    ct.tl.couplings(adata, growth=None, progress=False)
    options = {"source": 0.0, "target": 2.0, "cells": {"arm": "a"}}
    words = r"states of 150 cells .* pass cells of fewer times"
    with ct.memory_limit(gb=1e-5), pytest.raises(MemoryError, match=words):
        ct.tl.push(adata, **options)
    with ct.memory_limit(gb=1):
        ct.tl.push(adata, **options)


def test_what_takes_less_is_named():
    adata = cells(3000)
    exact = ct.models.FlowOptions(coupling=ot.Exact(), max_cells=None)
    words = r"couplings of 3,000 x 3,000 cells .* max_cells=1500 or less in options=, or ct\.ot\.so"
    with ct.memory_limit(gb=0.3), pytest.raises(MemoryError, match=words):
        ct.tl.fit_flow(adata, options=exact, progress=False)


def test_many_cells_are_what_takes_most():
    many = cells(10, dim=2)
    observed = needs_of(many, n=5_000_000, dim=50)
    words = (
        r"velocities of 10,000,000 cells 2 GB.* pass fewer cells, such as adata\[rows\]\.copy\(\)"
    )
    with ct.memory_limit(gb=2), pytest.raises(MemoryError, match=words):
        needs.check_flow(observed, ct.models.FlowOptions())
    with ct.memory_limit(gb=6):
        needs.check_flow(observed, ct.models.FlowOptions())
        needs.check_bridge(observed, ct.models.BridgeOptions(), STEPS)


def needs_of(adata, n, dim):
    """Return what a need is told of, for as many cells as nobody has here."""

    class Many:
        def __len__(self):
            return n

    class Of:
        class states:
            pass

        class rows:
            x = (Many(), Many())

    Of.states.dim = dim
    return Of


def test_processes_share_the_limit(monkeypatch):
    adata = cells(1000)
    monkeypatch.setattr(needs, "n_at_once", lambda n_gaps: min(2, n_gaps))
    with ct.memory_limit(gb=0.0485), pytest.raises(MemoryError, match="in 2 processes"):
        ct.tl.couplings(adata, progress=False)


def test_a_plan_that_does_not_fit_is_coupled_in_blocks(caplog):
    n = 900
    cost = ot.SquaredEuclidean(normal(n, 2, seed=0), normal(n, 2, seed=1) + 1)
    epsilon = 0.05 * cost.mean()
    for solver in (ot.Balanced(tol=1e-4), ot.Unbalanced(tol=1e-4)):
        whole = solver(cost, uniform(n), uniform(n), epsilon=epsilon)
        with ct.memory_limit(gb=0.02), caplog.at_level(logging.INFO, "celltraj"):
            blocks = solver(cost, uniform(n), uniform(n), epsilon=epsilon)
        assert blocks.stats.passes != whole.stats.passes
        assert float((blocks.row_mass - whole.row_mass).abs().sum()) < 5e-4
        assert float((blocks.to_dense() - whole.to_dense()).abs().sum()) < 1e-2
    said = "900 x 900 cells are coupled in blocks: held whole, their plan takes 0.019 GB"
    assert caplog.text.count(said) == 2


def test_a_limit_that_is_wide_changes_nothing():
    cost = ot.SquaredEuclidean(normal(300, 2, seed=0), normal(200, 2, seed=1))
    weights = uniform(300), uniform(200)
    one = ot.solve(cost, *weights, epsilon=1.0)
    with ct.memory_limit(gb=1):
        two = ot.solve(cost, *weights, epsilon=1.0)
    assert torch.equal(one.f, two.f)
    assert isinstance(two, Coupling)


def test_a_solver_of_a_user_says_nothing_of_memory():
    class Own:
        is_balanced = True

        def __call__(self, cost, a, b, *, epsilon):
            return ot.solve(cost, a, b, epsilon=epsilon)

    assert solving_bytes(Own(), 10**6, 10**6, 50) == 0


CHILD = """
import ctypes, gc, json, sys, warnings
sys.path[:0] = {path!r}
warnings.simplefilter("ignore")
import test_memory_needs as tests

def resident(name):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(name))

def run(n, dim):
    adata = tests.cells(n, dim)
    if {name!r} == "push":
        tests.ct.tl.couplings(adata, growth=None, progress=False)
    tests.MEASURED[{name!r}](adata) if n < 1000 else measured(adata)

def measured(adata):
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    open("/proc/self/clear_refs", "w").write("5")
    before, said = resident("VmRSS"), []
    tests.needs.check_memory = lambda need, ways: said.append(sum(need.values()))
    tests.MEASURED[{name!r}](adata)
    print(json.dumps([resident("VmHWM") - before, max(said)]))

run(100, {dim})
run({n}, {dim})
"""

EXACT = ct.models.FlowOptions(coupling=ot.Exact(), max_cells=None)
MEASURED = CALLS | {
    "exact flow": lambda adata: ct.tl.fit_flow(
        adata, training=STEPS, growth=None, options=EXACT, progress=False
    ),
    "push": lambda adata: ct.tl.push(
        adata, source=0.0, target=2.0, cells={"arm": "a"}, progress=False
    ),
}


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks /proc")
@pytest.mark.parametrize(
    ("name", "n", "dim"),
    [
        ("flow", 3000, 10),
        ("flow", 1000, 50),
        ("bridge", 3000, 10),
        ("exact flow", 2000, 10),
        ("couplings", 4000, 20),  # held whole
        ("couplings", 20_000, 20),  # of draws
        ("push", 20_000, 20),
    ],
)
def test_what_is_said_is_what_is_taken(name, n, dim):
    program = CHILD.format(name=name, n=n, dim=dim, path=sys.path)
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=600
    )
    taken, said = json.loads(run.stdout.splitlines()[-1])
    assert taken / 2 < said < 2.5 * taken
