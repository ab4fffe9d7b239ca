"""The family that the documentation adds is one."""

import re
from pathlib import Path

import numpy as np
import torch

import celltraj as ct
from celltraj.models import Reference, Refinement, refine
from celltraj.ot import solve
from celltraj.snapshots import Snapshots

PAGE = Path(__file__).parents[2] / "docs" / "adding_a_reference.md"


def family():
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    names = {"__name__": "page"}
    exec(compile(code, "page", "exec", dont_inherit=True), names)
    return names["Logistic"]


def test_it_is_recovered_from_snapshots():
    logistic = family()
    true = logistic(rate=1.0, capacity=5.0, sigma=0.05)
    assert isinstance(true, Reference)
    rng = np.random.default_rng(0)
    times = (0.0, 1.0, 2.0, 4.0)
    start = torch.from_numpy(rng.uniform(0.5, 1.5, size=(150, 1)))
    clouds = ct.models.simulate(true, start, times, generator=torch.Generator().manual_seed(0)).x
    found, _ = refine(
        Snapshots(times, tuple(clouds)),
        logistic(sigma=0.05),
        coupling=solve,
        refinement=Refinement(),
        generator=torch.Generator().manual_seed(0),
        progress=False,
    )
    # the noise of sigma over four units of time moves a cell by .1, the mean of 150 by .01
    assert abs(found.rate - 1) < 0.03
    assert abs(found.capacity - 5) < 0.1
