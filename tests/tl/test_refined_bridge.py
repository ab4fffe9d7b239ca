"""What a user of ct.tl.fit_bridge(reference=...) gets, and what bad input is told."""

from functools import partial

import numpy as np
import pytest
import torch
from anndata import read_h5ad

import celltraj as ct

fit = partial(ct.tl.fit_bridge, training=None, progress=False)


def refined(**options):
    return ct.models.BridgeOptions(refinement=ct.models.Refinement(**options))


def test_a_number_of_rounds_below_zero_is_refused():
    with pytest.raises(ValueError, match="max_rounds must be at least 0"):
        refined(max_rounds=-1)


@pytest.fixture
def prey():
    adata = ct.datasets.lotka_volterra_simulation(n_cells=50, seed=0)
    return adata[adata.obs["time"].isin([0.0, 2.0, 4.0])].copy()


def test_history_survives_a_file(prey, tmp_path):
    bridge = fit(prey, reference=ct.models.LotkaVolterra(), sigma=0.1)
    prey.write_h5ad(tmp_path / "prey.h5ad")
    again = read_h5ad(tmp_path / "prey.h5ad")
    history = again.uns["celltraj"]["bridge"]["refinement"]
    np.testing.assert_allclose(history["alpha"].to_numpy(float), bridge.history["alpha"])
    assert again.uns["celltraj"]["bridge"]["params"]["reference"] == "LotkaVolterra"
    bridge.save(tmp_path / "bridge")
    loaded = ct.load(tmp_path / "bridge")
    assert loaded.reference == bridge.reference
    assert loaded.history.equals(bridge.history)


def test_a_module_is_a_reference(prey):
    bridge = fit(prey, reference=Plain())
    assert list(bridge.history["kept"]).count(True) == 1
    assert torch.isfinite(bridge.drift(1.0, bridge.snapshots.x[0])).all()


class Plain(torch.nn.Linear):
    """A layer that takes the time and does not use it."""

    def __init__(self, out=2):
        super().__init__(2, out)

    def forward(self, t, x):
        return super().forward(x)


class Undefined(Plain):
    def forward(self, t, x):
        return super().forward(t, x) / 0


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"reference": ct.models.GeneRegulation(edges=torch.ones(3, 3))},
            ValueError,
            "has 3 variables, the data have 2",
        ),
        ({"reference": Plain(out=1)}, ValueError, "a drift has the shape of x"),
        ({"reference": Undefined()}, ValueError, "NaN or infinite for"),
        ({"sigma": "estimate"}, TypeError, "sigma must be a number or None"),
        ({"sigma": -0.1}, ValueError, "sigma must be positive"),
        ({"options": refined(hold_out=4.0)}, ValueError, "hold_out must be one of the inner times"),
        ({"options": refined(hold_out=3.0)}, ValueError, "hold_out must be one of the inner times"),
    ],
)
def test_bad_input_is_told_and_loses_nothing(prey, options, error, message):
    options = {"reference": ct.models.LotkaVolterra()} | options
    before = prey.copy()
    with pytest.raises(error, match=message):
        fit(prey, **options)
    assert set(prey.uns) == set(before.uns)
    assert set(prey.obsm) == set(before.obsm)
    np.testing.assert_array_equal(prey.X, before.X)


def test_negative_amounts_are_told(prey):
    prey.X = prey.X - prey.X.mean(0)
    with pytest.raises(ValueError, match=r"describes amounts, and .* cells have negative ones"):
        fit(prey, reference=ct.models.LotkaVolterra(), sigma=0.1)


def test_an_estimate_of_sigma_that_falls_to_nothing_is_told():
    x = torch.linspace(1, 1.9, 30, dtype=torch.float64)[:, None]
    exact = ct.datasets.branching(n_cells=30, seed=0)[:90, :1].copy()
    exact.X = torch.cat([x, x / 2, x / 4]).numpy()
    exact.obs["time"] = np.repeat([0.0, 1.0, 2.0], 30)
    with pytest.raises(ct.RefinementError, match="the estimate of sigma fell to"):
        fit(
            exact,
            reference=ct.models.OrnsteinUhlenbeck(ridge=0.0),
            options=refined(max_rounds=200, estimate_sigma=True),
        )


@pytest.mark.slow
def test_a_longer_forecast_of_the_bridge_is_that_of_its_law(prey):
    bridge = fit(prey, reference=ct.models.LotkaVolterra(), sigma=0.1)
    path = ct.tl.simulate(prey, bridge, start=4.0, stop=10.0, n_cells=20, progress=False)
    x = path.X[path.obs["time"] == 10.0] if hasattr(path, "obs") else path.x[-1]
    assert np.isfinite(np.asarray(x)).all()
