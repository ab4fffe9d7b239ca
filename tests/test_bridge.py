"""The bridge against closed forms, POT, and the AnnData round trip."""

from functools import partial

import anndata as ad
import numpy as np
import ot as pot
import pytest
import torch

import celltraj as ct
from celltraj.models import Brownian, NeuralDrift, PlugInDrift


def test_sinkhorn_agrees_with_pot():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 3)), rng.normal(size=(50, 3)) + 1
    a, b = pot.unif(40), pot.unif(50)
    cost = ct.ot.SquaredEuclidean(torch.from_numpy(x), torch.from_numpy(y))
    solve = ct.ot.Sinkhorn(tol=1e-11)
    plan = solve(cost, torch.from_numpy(a), torch.from_numpy(b), epsilon=0.5).to_dense()
    expected = pot.sinkhorn(a, b, cost.dense().numpy(), 0.5, stopThr=1e-12, numItermax=10_000)
    np.testing.assert_allclose(plan, expected, atol=1e-11)
    assert cost.mean() == pytest.approx(float(cost.dense().mean()))


def test_unconverged_raises_and_carries_the_coupling():
    x = torch.randn(30, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    w = torch.full((30,), 1 / 30, dtype=torch.float64)
    with pytest.raises(ct.ConvergenceError, match="marginal error") as caught:
        ct.ot.Sinkhorn(tol=1e-14, max_iters=2)(ct.ot.SquaredEuclidean(x, x + 1), w, w, epsilon=0.1)
    assert not caught.value.result.converged


def test_plug_in_from_one_cell_to_one_cell_is_the_brownian_bridge():
    x0, x1 = torch.zeros(1, 2, dtype=torch.float64), torch.ones(1, 2, dtype=torch.float64)
    snapshots = ct.models._bridge.Snapshots((0.0, 2.0), (x0, x1))
    bridge = ct.models.fit_bridge(
        snapshots, Brownian(0.5), solver=ct.ot.Sinkhorn(), drift=PlugInDrift(),
        generator=torch.Generator(),
    )
    x = torch.tensor([[0.3, -1.0]], dtype=torch.float64)
    torch.testing.assert_close(bridge.drift(0.5, x), (x1 - x) / 1.5)
    mean, variance = 0.25 * x1, 0.25 * 0.5 * 1.5 / 2
    torch.testing.assert_close(bridge.score(0.5, x), (mean - x) / variance)


def test_brownian_simulation_has_the_right_variance_on_unequal_times():
    x = ct.models.simulate(
        Brownian(0.7), torch.zeros(20_000, 1, dtype=torch.float64), (0.0, 0.3, 2.0),
        n_steps=4, generator=torch.Generator().manual_seed(0),
    ).x[..., 0]
    for states, t in zip(x[1:], (0.3, 2.0), strict=True):
        expected = 0.49 * t
        # standard error of a Gaussian sample variance: sqrt(2 / n) x variance
        assert abs(float(states.var()) - expected) < 4 * expected * (2 / 20_000) ** 0.5


@pytest.mark.parametrize("drift", [PlugInDrift(), NeuralDrift(max_steps=30)])
def test_fit_simulate_save_and_reload(tmp_path, drift):
    adata = ct.datasets.branching(n_cells=40, seed=0)
    state = torch.get_rng_state()
    bridge = ct.tl.fit_bridge(adata, drift=drift, seed=3, progress=False)
    assert torch.equal(torch.get_rng_state(), state)
    adata.write_h5ad(tmp_path / "a.h5ad")
    again = ad.read_h5ad(tmp_path / "a.h5ad")
    assert again.uns["celltraj"]["bridge"]["seed"] == 3
    bridge.save(tmp_path / "model")
    loaded = ct.load(tmp_path / "model")
    for start, stop in ((0.0, 4.0), (4.0, 0.0)):
        one, two = (
            ct.tl.simulate(adata, b, start=start, stop=stop, n_cells=10, n_times=5)
            for b in (bridge, loaded)
        )
        np.testing.assert_array_equal(one.X, two.X)
        assert one.obs["time"].iloc[-1] == stop


def test_cross_validation_holds_floor_and_trivial_rows():
    adata = ct.datasets.branching(n_cells=40, seed=0)
    fit = partial(ct.tl.fit_bridge, drift=PlugInDrift())
    scores = ct.tl.cross_validate(adata, fit={"plug": fit}, hold_out=[(1.0, 3.0)])
    assert set(scores["method"]) == {"plug", "floor", "previous", "next", "mixture", "displacement"}
    assert set(scores["time"]) == {1.0, 3.0}
    assert np.isfinite(scores["value"]).all()


def test_bad_input_names_what_mends_it_and_leaves_the_data_alone():
    adata = ct.datasets.branching(n_cells=40, seed=0)
    with pytest.raises(KeyError, match="time_key="):
        ct.tl.fit_bridge(adata, time_key="day")
    adata.X[0, 0] = np.nan
    with pytest.raises(ValueError, match="1 cells have NaN"):
        ct.tl.fit_bridge(adata)
    assert "celltraj" not in adata.uns
    with pytest.raises(ValueError, match="interior"):
        ct.tl.cross_validate(
            ct.datasets.branching(n_cells=40, seed=0), fit=ct.tl.fit_bridge, hold_out=[0.0]
        )


def test_times_are_read_from_text_in_numerical_order():
    adata = ad.AnnData(np.zeros((3, 1)), obs={"time": ["day 10", "day 2", "day 2"]})
    assert ct.pp.check_times(adata)["time"].tolist() == [2.0, 10.0]
