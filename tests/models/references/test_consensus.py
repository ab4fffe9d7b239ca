"""Consensus-based optimisation finds minima that a gradient would not."""

import logging
import math
import re

import numpy as np
import pytest
import torch
from analytic import normal
from tqdm.auto import tqdm

import celltraj as ct
from celltraj.models import Refinement, Simulator, refine, simulate
from celltraj.models.references._consensus import minimise_by_consensus
from celltraj.models.references.family import Paths
from celltraj.ot import solve
from celltraj.snapshots import Snapshots

AT = torch.tensor([0.3, 0.62]).double()


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def bowl(theta):
    return (theta - AT).square().sum(1)


def rastrigin(theta):
    """Return a function with about a hundred minima in the box, the lowest at AT."""
    z = 10 * (theta - AT)
    return (z.square() + 3 * (1 - torch.cos(2 * math.pi * z))).sum(1)


def stairs(theta):
    """Return a function whose gradient is zero wherever it exists."""
    return ((theta - AT).abs() * 200).floor().sum(1)


def nearly_nowhere(theta):
    """Return a bowl that is finite on a third of the box only."""
    return torch.where(theta[:, 0] < 0.4, bowl(theta), math.nan)


@pytest.mark.parametrize(
    ("objective", "tolerance"),
    [(bowl, 1e-3), (rastrigin, 5e-3), (stairs, 5e-3), (nearly_nowhere, 1e-3)],
)
@pytest.mark.parametrize("seed", range(3))
def test_the_minimum_is_found(objective, tolerance, seed):
    found = minimise_by_consensus(objective, 2, generator=generator(seed))
    assert found.is_settled
    assert (found.at - AT).abs().max() < tolerance


def test_a_minimum_on_the_edge_of_the_box_is_found():
    found = minimise_by_consensus(lambda theta: theta.sum(1), 3, generator=generator())
    assert found.at.max() < 1e-3


def test_a_start_at_the_minimum_stays():
    found = minimise_by_consensus(bowl, 2, start=AT, generator=generator())
    assert (found.at - AT).abs().max() < 1e-3


def test_nothing_finite_is_an_error():
    with pytest.raises(ValueError, match="no finite states anywhere"):
        minimise_by_consensus(lambda theta: theta[:, 0] * math.nan, 2, generator=generator())


def predation(parameters, x, start, stop):
    """Return prey and predators after four Euler steps, as a program in NumPy would."""
    states, h = x.numpy().copy(), (stop - start) / 4
    alpha, gamma = (np.asarray(parameters[name]) for name in ("alpha", "gamma"))
    for _ in range(4):
        prey, predator = states.T.copy()
        meet = prey * predator
        states[:, 0] += h * (alpha * prey - 0.4 * meet)
        states[:, 1] += h * (0.1 * meet - gamma * predator)
    return torch.from_numpy(states)


class Counted:
    """A program that counts its runs."""

    def __init__(self):
        self.n_runs = 0

    def __call__(self, parameters, x, start, stop):
        self.n_runs += 1
        return predation(parameters, x, start, stop)


HUNT = {"alpha": (0.0, 3.0), "gamma": (0.0, 2.0)}


def hunted(n_times):
    """Paths of prey and predators at ``n_times`` times, with the velocities of the program."""
    times, x = torch.linspace(0, 1, n_times + 1).double(), 1 + normal(n_times * 40, 2, seed=1).abs()
    law = Simulator(predation, HUNT, step=0.01, parameters={"alpha": 1.0, "gamma": 0.4})
    states = torch.cat([x, x[:40]]).reshape(n_times + 1, 40, 2)
    velocity = torch.stack([law.drift(0.0, one) for one in states[:-1]])
    return [Paths(times, states, velocity, torch.full((40,), 1 / 40).double())]


@pytest.mark.parametrize("batched", [False, True])
@pytest.mark.parametrize("max_runs", [3_000, 10**6])
def test_the_runs_told_are_those_of_the_fit(batched, max_runs, caplog):
    caplog.set_level(logging.INFO, logger="celltraj")
    paths, program = hunted(2), Counted()
    bound = max_runs // 36 if batched else max_runs
    law = Simulator(program, HUNT, step=0.01, batched=batched, max_runs=bound, sigma=0.1)
    found = law.fit(paths, generator=generator())
    most, took = (
        int(re.search(r"(\d+) runs", record.message)[1])
        for record in caplog.records
        if record.levelno == logging.INFO
    )
    assert took == program.n_runs <= most <= bound
    warned = any("had not met" in record.message for record in caplog.records)
    # what is told before it starts is what it takes, unless the particles meet before
    assert (took == most) == warned == (max_runs == 3_000)
    assert found.estimates() == pytest.approx({"alpha": 1.0, "gamma": 0.4}, abs=0.05)


def test_a_bar_shows_the_runs(monkeypatch):
    bars = []

    class Bar(tqdm):
        def __init__(self, **options):
            super().__init__(**options)
            bars.append(self)

    monkeypatch.setattr("celltraj.models.references.simulator.tqdm", Bar)
    program = Counted()
    law = Simulator(program, HUNT, step=0.01, max_runs=500, progress=True, sigma=0.1)
    law.fit(hunted(2), generator=generator())
    assert bars[0].n == bars[0].total == program.n_runs <= 500


def test_too_few_runs_are_refused_before_the_first():
    program = Counted()
    law = Simulator(program, HUNT, step=0.01, max_runs=73, sigma=0.1)
    with pytest.raises(ValueError, match=r"max_runs=73 is less than the 74 runs of one step"):
        law.fit(hunted(2), generator=generator())
    assert program.n_runs == 0


def test_a_batched_program_moves_and_fits_as_one_at_a_time():
    laws = [Simulator(predation, HUNT, step=0.01, batched=one, sigma=0.1) for one in (False, True)]
    one, many = (law.fit(hunted(2), generator=generator()) for law in laws)
    assert many.estimates() == pytest.approx(one.estimates(), rel=1e-9)
    x = normal(5, 2, seed=0)
    torch.testing.assert_close(many.drift(0.0, x), one.drift(0.0, x))
    assert many.drift(0.0, x.float()).dtype == torch.float32


def test_a_program_is_fitted_to_snapshots():
    adata = ct.datasets.lotka_volterra_simulation(n_cells=60, seed=0)
    clouds = [torch.from_numpy(adata.X[adata.obs["time"] == t]) for t in (0.0, 1.0, 2.0, 3.0)]
    found, rounds = refine(
        Snapshots((0.0, 1.0, 2.0, 3.0), tuple(clouds)),
        Simulator(predation, {"alpha": (0.0, 3.0), "gamma": (0.0, 2.0)}, step=0.01, sigma=0.1),
        coupling=solve,
        refinement=Refinement(max_rounds=3),
        generator=generator(),
        progress=False,
    )
    # the spread of estimates from 60 cells over three gaps is about 3 %
    assert found.estimates() == pytest.approx({"alpha": 1.0, "gamma": 0.4}, rel=0.08)
    assert rounds[-1].log_likelihood > rounds[0].log_likelihood


def decay(parameters, x, start, stop):
    return x * math.exp(-parameters["rate"] * (stop - start))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bounds": {"rate": (1.0, 1.0)}}, "bounds of rate must be finite and increase"),
        ({"bounds": {"rate": (0.0, math.inf)}}, "bounds of rate must be finite"),
        ({"bounds": {}}, "some bounds and a positive step"),
        ({"step": 0.0}, "a positive step"),
        ({"parameters": {"speed": 1.0}}, "are not those of bounds"),
        ({"sigma": -1.0}, "sigma must be positive"),
        ({"max_runs": 0}, "max_runs must be a whole number of at least 1"),
    ],
)
def test_options_of_a_simulator_are_checked(options, message):
    with pytest.raises(ValueError, match=message):
        Simulator(**({"advance": decay, "bounds": {"rate": (0.0, 1.0)}, "step": 0.1} | options))


@pytest.mark.parametrize(
    ("advance", "message"),
    [
        (lambda p, x, start, stop: x[:, :1], r"advance returned \(5, 1\)"),
        (lambda p, x, start, stop: x * math.nan, "NaN or infinite at time 2"),
        (lambda p, x, start, stop: x.numpy(), "advance returned ndarray"),
    ],
)
def test_what_a_program_returns_is_checked(advance, message):
    law = Simulator(advance, {"rate": (0.0, 1.0)}, step=0.1, parameters={"rate": 0.5}, sigma=0.1)
    with pytest.raises(ValueError, match=message):
        law.drift(2.0, torch.ones(5, 2))


def test_a_program_can_be_simulated():
    law = Simulator(decay, {"rate": (0.0, 1.0)}, step=1e-3, parameters={"rate": 0.5}, sigma=1e-6)
    path = simulate(law, torch.ones(3, 1), (0.0, 2.0), generator=generator())
    torch.testing.assert_close(path.x[-1], torch.full((3, 1), math.exp(-1.0)), rtol=1e-3, atol=0)
