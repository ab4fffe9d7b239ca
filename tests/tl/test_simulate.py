"""Simulation between AnnData and AnnData."""

import anndata as ad
import matplotlib.pyplot as plt
import numpy as np
import pytest
import scanpy as sc
import torch

import celltraj as ct
from celltraj.models import (
    Brownian,
    DormandPrince,
    ExponentialEuler,
    Midpoint,
    OrnsteinUhlenbeck,
)


@pytest.fixture(scope="module")
def adata():
    return ct.datasets.branching(n_cells=20, seed=0)


@pytest.fixture(scope="module")
def bridge(adata):
    return ct.tl.fit_bridge(adata.copy(), training=None, progress=False)


def simulate(adata, model, **options):
    return ct.tl.simulate(
        adata, model, **{"ode_solver": Midpoint(n_steps=5), "progress": False} | options
    )


@pytest.mark.parametrize(("start", "stop"), [(0.0, 4.0), (4.0, 0.0)])
def test_trajectories_begin_at_the_cells_they_name(adata, bridge, start, stop):
    path = simulate(adata, bridge, start=start, stop=stop, n_cells=10, n_times=5, seed=1)
    assert path.obs["time"].tolist() == np.repeat(np.linspace(start, stop, 5), 10).tolist()
    assert path.obs["trajectory"].tolist() == list(range(10)) * 5
    assert path.obs["trajectory"].dtype.kind == "i"
    first = path[path.obs["time"] == start]
    sources = first.obs["source"].astype(str).tolist()
    assert len(set(sources)) == 10
    np.testing.assert_array_equal(first.X, adata[sources].X)
    assert (adata.obs.loc[sources, "time"] == start).all()
    assert path.obs["source"].astype(str).tolist() == sources * 5
    assert path.var_names.tolist() == ["x", "y"]


def test_new_cells_need_no_times(adata, bridge):
    new = adata[:4].copy()
    del new.obs["time"]
    path = simulate(new, bridge, start=0.5, stop=2.0, n_times=3, time_key=None)
    assert path.n_obs == 12
    assert set(path.obs["source"]) == set(new.obs_names)


def test_more_trajectories_than_cells_are_drawn_with_replacement(adata, bridge):
    path = simulate(
        adata[:4].copy(),
        bridge,
        start=0.0,
        stop=1.0,
        n_cells=9,
        n_times=2,
        time_key=None,
    )
    assert path.n_obs == 18


def test_several_stops(adata, bridge):
    path = simulate(adata, bridge, start=0.0, stop=[0.3, 2.0], n_cells=2)
    assert path.obs["time"].tolist() == [0.0, 0.0, 0.3, 0.3, 2.0, 2.0]
    assert path.uns["celltraj"]["simulate"]["params"]["n_times"] == 3


def test_params_say_what_was_asked(adata, bridge):
    path = simulate(
        adata,
        bridge,
        start=0,
        stop=1,
        n_cells=2,
        n_times=2,
        noise=0.0,
        ode_solver=Midpoint(n_steps=9),
        seed=4,
    )
    record = path.uns["celltraj"]["simulate"]
    assert record["params"] == {
        "model": "Bridge",
        "start": 0.0,
        "stop": 1.0,
        "n_cells": 2,
        "n_times": 2,
        "time_key": "time",
        "use_rep": "X",
        "noise": 0.0,
        "ode_solver": {"name": "Midpoint", "n_steps": 9},
    }
    assert record["seed"] == 4


# scanpy's use of matplotlib
@pytest.mark.filterwarnings("ignore:The set_bad function:PendingDeprecationWarning")
@pytest.mark.parametrize("use_rep", ["X", "X_two"])
def test_scanpy_draws_the_result_as_it_is(adata, use_rep):
    adata = adata.copy()
    adata.obsm["X_two"] = adata.X.copy()
    path = simulate(
        adata, Brownian(0.1), start=0.0, stop=1.0, n_cells=5, n_times=3, use_rep=use_rep
    )
    x, y = path.var_names
    drawn = [sc.pl.scatter(path, x=x, y=y, color="time", show=False)]
    if use_rep != "X":
        drawn.append(sc.pl.embedding(path, basis=use_rep, color="trajectory", show=False))
    for ax in drawn:
        np.testing.assert_allclose(np.sort(ax.collections[0].get_offsets(), 0), np.sort(path.X, 0))
    plt.close("all")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start": 1.0, "stop": 1.0}, "start is 1, stop is 1.0; choose another stop="),
        ({"start": 0.5}, r"no cells at start=0.5; observed times are \[0.0, 1.0, 2.0, 3.0, 4.0\]"),
        ({"n_times": 1}, "n_times must be at least 2; found 1"),
        ({"n_cells": 0}, "n_cells must be at least 1; found 0"),
        ({"stop": []}, r"start is 0, stop is \[\]; choose another stop="),
        ({"stop": [0.0, 1.0]}, r"start is 0, stop is \[0.0, 1.0\]; choose another stop="),
        ({"stop": [1.0, 0.5, 2.0]}, "strictly monotone"),
        ({"ode_solver": DormandPrince()}, "the equation has noise: .* noise=0"),
        ({"use_rep": "X_one"}, "the bridge has 2 variables, X_one has 1; pass the use_rep="),
    ],
)
def test_what_cannot_be_simulated(adata, bridge, options, message):
    adata = adata.copy()
    adata.obsm["X_one"] = adata.X[:, :1]
    with pytest.raises(ValueError, match=message):
        simulate(adata, bridge, **{"start": 0.0, "stop": 2.0} | options)


def test_no_cells_to_start_from(adata, bridge):
    with pytest.raises(ValueError, match="no cells"):
        simulate(adata[:0].copy(), bridge, start=0.0, stop=1.0, time_key=None)


def test_backwards_needs_a_score(adata):
    with pytest.raises(TypeError, match="can only be simulated forwards"):
        simulate(adata, Brownian(0.1), start=1.0, stop=0.0)


@pytest.fixture(scope="module")
def flow(adata):
    return ct.tl.fit_flow(adata.copy(), training=ct.models.Training(max_steps=20), progress=False)


def test_no_noise_is_the_probability_flow_of_any_model(adata, bridge, flow):
    options = {"start": 0.0, "stop": 2.0, "n_cells": 5, "n_times": 2}
    one, other = (simulate(adata, bridge, noise=0, seed=s, **options).X[5:] for s in (0, 0))
    np.testing.assert_array_equal(one, other)
    x = adata.X[(adata.obs["time"] == 0).to_numpy()].astype(float)
    rows = np.random.default_rng(0).choice(len(x), 5, replace=False)
    path = ct.models.simulate(
        bridge,
        torch.from_numpy(x[rows]),
        (0.0, 2.0),
        solver=Midpoint(n_steps=5),
        ode=True,
        generator=torch.Generator(),
    )
    np.testing.assert_allclose(one, path.x[-1], rtol=1e-6)
    still = simulate(adata, flow.with_noise(0.3), noise=0.0, **options)
    other = simulate(adata, flow.with_noise(0.0), **options)
    np.testing.assert_array_equal(still.X, other.X)
    with pytest.raises(TypeError, match="noise is chosen after the fit for a flow only"):
        simulate(adata, bridge, noise=0.1, **options)


def test_noise_must_not_be_negative(adata, flow):
    with pytest.raises(ValueError, match=r"noise must not be negative; found -0\.1"):
        simulate(adata, flow, start=0.0, stop=1.0, noise=-0.1)


def test_states_beyond_the_fit_are_marked(adata, bridge, flow, caplog):
    path = simulate(adata, flow, start=3.0, stop=[3.5, 4.0, 4.5, 5.0], n_cells=2)
    assert path.obs["extrapolated"].dtype == bool
    outside = [t > 4 for t in path.obs["time"]]
    assert path.obs["extrapolated"].tolist() == outside
    (record,) = caplog.records
    assert "2 of 5 times lie outside [0, 4], which the FlowMatching" in record.getMessage()
    caplog.clear()
    # its reference goes on beyond a bridge: marked, and no cause for a warning
    path = simulate(adata, bridge, start=4.0, stop=5.0, n_cells=2, n_times=2)
    assert path.obs["extrapolated"].tolist() == [False, False, True, True]
    path = simulate(adata, Brownian(0.1), start=4.0, stop=9.0, n_cells=2, n_times=2)
    assert not path.obs["extrapolated"].any()
    assert not caplog.records


class Growing(Brownian):
    """Double in each unit of time."""

    def growth(self, t, x):
        return torch.full_like(x[:, 0], np.log(2))


def test_mass_of_a_growing_population(adata):
    path = simulate(adata, Growing(0.1), start=0.0, stop=3.0, n_cells=2, n_times=4)
    np.testing.assert_allclose(path.obs["mass"], np.repeat([1, 2, 4, 8], 2), rtol=1e-5)
    assert "mass" not in simulate(adata, Brownian(0.1), start=0.0, stop=1.0, n_cells=2).obs


def leap(equation, x0, times, *, generator, progress):
    return torch.stack([x0 + (t - times[0]) * equation.velocity(t, x0) for t in times])


class Leap:
    """A solver that is no dataclass."""

    __call__ = staticmethod(leap)


PULL = OrnsteinUhlenbeck(matrix=-torch.eye(2), shift=torch.zeros(2), sigma=0.2)


@pytest.mark.parametrize(
    ("solver", "names", "n_evaluations"),
    [
        (Midpoint(n_steps=4), {"name", "n_steps"}, 8),
        (ExponentialEuler(PULL, n_steps=4), {"name", "n_steps", "reference"}, 4),
        (leap, {"name"}, 2),
        (Leap(), {"name"}, 2),
    ],
    ids=["midpoint", "exponential", "function", "object"],
)
def test_every_solver_is_recorded_in_a_file(adata, tmp_path, solver, names, n_evaluations):
    path = simulate(adata, PULL, start=0.0, stop=1.0, n_cells=2, n_times=2, ode_solver=solver)
    path.write_h5ad(tmp_path / "path.h5ad")
    record = ad.read_h5ad(tmp_path / "path.h5ad").uns["celltraj"]["simulate"]
    assert set(record["params"]["ode_solver"]) == names
    assert record["params"]["ode_solver"]["name"] in (
        "Midpoint",
        "ExponentialEuler",
        "leap",
        "Leap",
    )
    assert record["n_evaluations"] == n_evaluations
    if "reference" in names:
        assert record["params"]["ode_solver"]["reference"]["name"] == "OrnsteinUhlenbeck"


def test_times_stand_under_the_users_name_too(tmp_path):
    adata = ct.datasets.branching(n_cells=20, seed=0)
    adata.obs["day"] = 2 * adata.obs.pop("time")
    bridge = ct.tl.fit_bridge(adata, time_key="day", training=None, progress=False)
    options = {"start": 0.0, "stop": 4.0, "time_key": "day", "n_times": 3, "progress": False}
    path = ct.tl.simulate(adata, bridge, **options, n_cells=4)
    assert sorted(set(path.obs["day"])) == [0.0, 2.0, 4.0]
    with pytest.warns(ct.DataWarning):  # few particles
        steered = ct.tl.condition(adata, bridge, **options, toward=None, n_particles=8)
    drawn = ct.tl.interpolate(adata, bridge, time=3.0, n_cells=5, time_key="day")
    for found in (path, steered, drawn):
        found.write_h5ad(tmp_path / "path.h5ad")
        again = ad.read_h5ad(tmp_path / "path.h5ad")
        assert (again.obs["day"] == again.obs["time"]).all()
    # of labels most times of a simulation have none
    adata.obs["day"] = [f"day {t:g}" for t in adata.obs["day"]]
    path = ct.tl.simulate(adata, bridge, **options, n_cells=4)
    assert "day" not in path.obs
    assert sorted(set(path.obs["time"])) == [0.0, 2.0, 4.0]


def test_a_column_of_the_path_itself_is_not_replaced():
    adata = ct.datasets.branching(n_cells=20, seed=0)
    adata.obs["source"] = adata.obs["time"]
    bridge = ct.tl.fit_bridge(adata, time_key="source", training=None, progress=False)
    path = ct.tl.simulate(
        adata, bridge, start=0.0, stop=1.0, time_key="source", n_cells=4, n_times=2, progress=False
    )
    assert set(path.obs["source"]) <= set(adata.obs_names)
