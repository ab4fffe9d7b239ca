"""Classes of a user work wherever ours do."""

import numpy as np
import pytest
import torch
from notebook import Annealed, Decay, Easing, Forgiving, Monotone, Waves

import celltraj as ct
from celltraj import ot
from celltraj.models import (
    Brownian,
    Refinement,
    ResponseOptions,
    Training,
    fit_bridge,
    refine,
)
from celltraj.snapshots import Snapshots

SHORT = Training(max_steps=20)


@pytest.fixture
def adata():
    return ct.datasets.branching(n_cells=50, seed=0)


@pytest.fixture(scope="module")
def populations():
    return ct.datasets.interacting_populations(n_populations=3, n_cells=40, seed=0)


def respond(cells, **options):
    return ct.tl.fit_response(
        cells.copy(),
        population_key="population",
        condition_key="condition",
        control="before",
        options=ResponseOptions(**options),
        training=Training(max_steps=5),
        progress=False,
    )


def test_a_bridge_takes_a_solver_and_a_reference(adata):
    bridge = ct.tl.fit_bridge(
        adata,
        reference=Decay(),
        sigma=0.8,
        options=ct.models.BridgeOptions(
            coupling=Annealed(), refinement=ct.models.Refinement(max_rounds=1)
        ),
        training=None,
        progress=False,
    )
    assert isinstance(bridge.reference, Decay)
    assert bridge.reference.is_fitted
    assert all(one.converged for one in bridge.couplings)
    params = adata.uns["celltraj"]["bridge"]["params"]
    assert params["options"]["coupling"] == {
        "name": "Annealed",
        "n_sweeps": 300,
        "is_balanced": True,
    }
    # the same as with a solver of ours of the same tolerance
    x = bridge.snapshots.x[0]
    ours = fit_bridge(
        bridge.snapshots,
        bridge.reference,
        coupling=ot.solve,
        training=None,
        generator=torch.Generator(),
        progress=False,
    )
    torch.testing.assert_close(bridge.drift(0.1, x), ours.drift(0.1, x), rtol=0.02, atol=0.02)


@pytest.mark.parametrize(
    "solver", [Monotone(), Forgiving(), ot.Exact()], ids=lambda one: type(one).__name__
)
def test_a_flow_takes_any_solver_and_an_interpolant(adata, solver):
    flow = ct.tl.fit_flow(
        adata,
        interpolant=Easing(),
        options=ct.models.FlowOptions(coupling=solver),
        growth=None,
        training=SHORT,
        progress=False,
    )
    assert isinstance(flow.interpolant, Easing)
    assert np.isfinite(adata.obsm["flow_velocity"]).all()
    # cells divide and die where marginals may be missed
    assert (flow.mass is None) == solver.is_balanced
    assert (
        adata.uns["celltraj"]["flow"]["params"]["options"]["coupling"]["name"]
        == type(solver).__name__
    )


@pytest.mark.parametrize(
    "solver", [Monotone(), Forgiving(), ot.Exact()], ids=lambda one: type(one).__name__
)
def test_a_response_takes_any_solver_an_encoder_and_an_interpolant(populations, solver):
    model = respond(populations, encoder=Waves(), coupling=solver, interpolant=Easing(), sigma=0.5)
    assert isinstance(model.encoder, Waves)
    assert isinstance(model.interpolant, Easing)
    # cells die where marginals may be missed
    assert model.network.field.sizes.has_survival != solver.is_balanced


def clouds():
    x = torch.randn(20, 2, generator=torch.Generator().manual_seed(0)).double()
    return Snapshots((0.0, 1.0, 2.0), (x, x + 1, x + 2))


@pytest.mark.parametrize(
    ("solver", "what"),
    [
        (ot.Exact(), r"Exact\(max_iters=10000000\) returns a plan without"),
        (ot.Minibatch(), r"Minibatch\(size=256.*\) returns a plan without"),
        (Monotone(), r"Monotone\(is_balanced=True\) returned a PlanCoupling without"),
    ],
)
def test_a_bridge_without_potentials_is_refused_at_once(adata, solver, what, monkeypatch):
    def train(*args, **options):
        raise AssertionError("the drift was fitted")

    monkeypatch.setattr("celltraj.models.bridge.fit.train_field", train)
    message = f"a bridge needs the potentials of an entropic coupling; {what}. Pass ct.ot.solve or"
    options = {"generator": torch.Generator(), "progress": False}
    with pytest.raises(TypeError, match=message):
        fit_bridge(
            clouds(),
            Brownian(0.5),
            coupling=solver,
            training=Training(),
            **options,
        )
    with pytest.raises(TypeError, match=message):
        refine(clouds(), Decay(sigma=0.5), coupling=solver, refinement=Refinement(), **options)
    with pytest.raises(TypeError, match=message):
        ct.tl.fit_bridge(
            adata,
            reference=Brownian(),
            growth=None,
            options=ct.models.BridgeOptions(coupling=solver),
            progress=False,
        )
    assert "celltraj" not in adata.uns


def test_known_plans_are_refused_before_anything_is_computed(adata, monkeypatch):
    def solve(*args, **options):
        raise AssertionError("something was coupled")

    monkeypatch.setattr(ot.Exact, "__call__", solve)
    monkeypatch.setattr(ot.Unbalanced, "__call__", solve)
    with pytest.raises(TypeError, match="a bridge needs the potentials"):
        ct.tl.fit_bridge(
            adata,
            options=ct.models.BridgeOptions(coupling=ot.Exact()),
            growth=ct.models.LearnedGrowth(),
            progress=False,
        )


class Silent:
    """A user's solver that does not say whether it keeps its marginals."""

    def __call__(self, cost, a, b, *, epsilon):
        return ot.solve(cost, a, b, epsilon=epsilon)


def test_a_solver_that_lacks_something_is_told_what(adata, populations):
    message = r"must be .*Solver.*; found .*Silent.*, which has no is_balanced"
    with pytest.raises(TypeError, match=message):
        ct.tl.fit_bridge(adata, options=ct.models.BridgeOptions(coupling=Silent()), progress=False)
    with pytest.raises(TypeError, match=message):
        ct.tl.fit_flow(adata, options=ct.models.FlowOptions(coupling=Silent()), progress=False)
    with pytest.raises(TypeError, match=r"coupling must be .*which has no is_balanced"):
        respond(populations, coupling=Silent())
