"""Plots of a refined bridge, against what they show."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

import celltraj as ct
from celltraj.models import OrnsteinUhlenbeck, PotentialLandscape


@pytest.fixture(scope="module")
def adata():
    return ct.datasets.branching(n_cells=30, seed=0)


def fitted(adata, reference):
    return ct.tl.fit_bridge(
        adata,
        reference=reference,
        options=ct.models.BridgeOptions(refinement=ct.models.Refinement(max_rounds=2)),
        training=None,
        progress=False,
    )


@pytest.fixture(scope="module")
def pulled(adata):
    return fitted(adata, OrnsteinUhlenbeck())


@pytest.fixture(autouse=True)
def close():
    yield
    plt.close("all")


def test_arrows_are_the_drift(adata, pulled):
    ax = ct.pl.vector_field(adata, pulled, time=1.5, n_grid=6, show=False)
    arrows = ax.collections[1]
    drift = pulled.drift(1.5, torch.from_numpy(np.asarray(arrows.get_offsets())))
    np.testing.assert_allclose(np.stack([arrows.U, arrows.V], 1), drift, rtol=1e-6)
    assert 4 < len(arrows.U) <= 36
    with pytest.raises(ValueError, match="n_grid must be at least 2"):
        ct.pl.vector_field(adata, pulled, time=1.5, n_grid=1)
    with pytest.raises(ValueError, match="has 2 variables"):
        ct.pl.vector_field(adata[:, [0]].copy(), pulled, time=1.5, components=(0, 0))


def test_heights_are_the_potential(adata, pulled):
    bridge = fitted(adata, PotentialLandscape(width=8, max_iter=10))
    ax = ct.pl.landscape(adata, bridge, show=False)
    assert "potential" in ax.figure.axes[1].get_ylabel()
    x = torch.from_numpy(np.asarray(adata.X, dtype=float))
    heights = bridge.reference.potential(x)
    low, high = ax.figure.axes[1].get_ylim()
    # cells stand on the drawn range, which begins at the lowest drawn point
    assert heights.max() - heights.min() < 1.1 * (high - low)
    ax.figure.canvas.draw()
    names = [label.get_text() for label in ax.figure.axes[1].get_yticklabels()]
    assert len(names) > 2
    assert max(map(len, names)) < 6  # round numbers, not those of the levels
    with pytest.raises(TypeError, match="OrnsteinUhlenbeck has no potential"):
        ct.pl.landscape(adata, pulled)


def test_rounds_are_those_of_the_history(adata, pulled):
    axes = ct.pl.refinement(pulled, show=False)
    history = pulled.history
    np.testing.assert_array_equal(axes[0].lines[0].get_ydata(), history["log_likelihood"])
    kept = int(history["round"][history["kept"]].iloc[0])
    assert axes[0].lines[1].get_xdata()[0] == kept
    assert [line.get_label() for line in axes[3].lines[:-1]] == list(pulled.reference.estimates())
    mine = plt.subplots()[1]
    assert ct.pl.refinement(pulled, ax=mine, show=False) is mine
    plain = ct.tl.fit_bridge(adata, training=None, progress=False)
    with pytest.raises(ValueError, match="was not refined"):
        ct.pl.refinement(plain)


def test_the_legend_of_the_estimates_covers_none_of_their_lines(pulled):
    axes = ct.pl.refinement(pulled, show=False)
    axes[0].figure.canvas.draw()
    assert axes[3].get_legend().get_window_extent().x0 >= axes[3].get_window_extent().x1
    narrowest, widest = sorted(ax.get_window_extent().width for ax in axes)[:: len(axes) - 1]
    assert narrowest > 0.8 * widest
