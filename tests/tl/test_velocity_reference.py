"""Measured velocities as a reference, weighed against snapshots."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch

import celltraj as ct
from celltraj._anndata.velocities import with_velocities
from celltraj.models import KernelReference, Refinement, VelocityReference
from celltraj.models.bridge.weigh_velocity import STRENGTHS
from celltraj.models.references import pack_reference
from celltraj.models.references.family import Paths

SPEED = 1.4  # angle of a turn, per unit of time
CHEAP = {
    "training": None,
    "growth": None,
    "progress": False,
    "options": ct.models.BridgeOptions(refinement=Refinement(max_rounds=0)),
}


def turning(n=50, n_times=4, seed=0):
    """Return a cloud that turns by more than a right angle between two left in."""
    random = np.random.default_rng(seed)
    parts, times = [], []
    for k in range(n_times):
        angle = SPEED * k
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        parts.append((np.array([3.0, 0.0]) + 0.3 * random.standard_normal((n, 2))) @ turn.T)
        times += [float(k)] * n
    x = np.concatenate(parts)
    names = [f"cell {i}" for i in range(len(x))]
    adata = ad.AnnData(x, obs=pd.DataFrame({"time": times}, index=names))
    around = SPEED * np.stack([-x[:, 1], x[:, 0]], 1)
    adata.layers["velocity"] = around + 0.5 * random.standard_normal(x.shape)
    return adata


def paths_at_rest(x):
    """Return paths that go nowhere, of cells ``x``."""
    times = torch.tensor([0.0, 1.0]).double()
    weights = torch.full((len(x),), 1 / len(x)).double()
    return Paths(times, torch.stack([x, x]), torch.zeros(1, *x.shape).double(), weights)


def test_the_law_lies_between_paths_and_velocities():
    x = torch.randn(200, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    wind = torch.tensor([1.0, -2.0]).double().expand(200, 2)
    for strength in (0.0, 0.25, 0.5, 1.0):
        told = VelocityReference(strength=strength, unit=1.0, cells=x, velocities=wind)
        law = told.fit([paths_at_rest(x)], generator=torch.Generator().manual_seed(0))
        # the mean of two constants by their weights is least in squares
        torch.testing.assert_close(law.drift(0.0, x), strength * wind, rtol=0.02, atol=0.02)
    again = pack_reference(ct.models.VelocityReference(sigma=0.1, law=law.law))
    assert again[0] == "KernelReference"


@pytest.mark.parametrize("factor", [0.2, 1.0, 30.0])
def test_the_unit_of_velocities_is_fitted(factor):
    x = torch.randn(200, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    paths = paths_at_rest(x)
    moving = Paths(paths.times, paths.x, (x - 3)[None], paths.weights)
    told = VelocityReference(strength=1.0, cells=x, velocities=factor * (x - 3))
    law = told.fit([moving], generator=torch.Generator().manual_seed(0))
    assert (law.drift(0.0, x) - (x - 3)).abs().mean() < 0.05
    against = VelocityReference(strength=0.5, cells=x, velocities=-factor * (x - 3))
    law = against.fit([moving], generator=torch.Generator().manual_seed(0))
    assert (law.drift(0.0, x) - (x - 3)).abs().mean() < 0.05


def test_right_velocities_are_taken_and_say_so():
    adata = turning()
    reference = VelocityReference("velocity", unit=1.0)
    bridge = ct.tl.fit_bridge(adata, reference=reference, **CHEAP)
    words = adata.uns["celltraj"]["bridge"]["params"]["velocities"]
    assert any(f"strength {one:g}" in words for one in STRENGTHS)
    assert isinstance(bridge.reference, KernelReference)
    # half way over a gap the cloud has kept its distance from the centre
    middle = bridge.sample(0.5, 200, generator=torch.Generator().manual_seed(0))
    assert float(middle.norm(dim=1).mean()) == pytest.approx(3.0, abs=0.2)


def test_wrong_velocities_are_turned_down():
    adata = turning()
    adata.layers["velocity"] = -adata.layers["velocity"]
    with pytest.warns(ct.FitWarning, match="velocities in 'velocity' are not used"):
        bridge = ct.tl.fit_bridge(adata, reference=VelocityReference(unit=1.0), **CHEAP)
    default = ct.tl.fit_bridge(adata, key_added="default", **CHEAP)
    x = torch.from_numpy(adata.X[:5])
    torch.testing.assert_close(bridge.drift(0.3, x), default.drift(0.3, x))
    assert "strength 0:" in adata.uns["celltraj"]["bridge"]["params"]["velocities"]


def test_genes_are_projected_by_loadings():
    adata = turning(5)
    loadings = np.array([[0.6], [0.8]])
    adata.obsm["X_pca"], adata.varm["PCs"] = adata.X @ loadings, loadings
    found = with_velocities(adata, VelocityReference(), "X_pca")
    np.testing.assert_allclose(found.velocities, adata.layers["velocity"] @ loadings)
    adata.layers["velocity"][:, 1] = np.nan  # a gene that is not modelled
    adata.layers["velocity"][0, 0] = np.nan  # and a cell without a velocity
    found = with_velocities(adata, VelocityReference(), "X_pca")
    np.testing.assert_allclose(found.velocities, adata.layers["velocity"][1:, :1] * 0.6)
    np.testing.assert_allclose(found.cells, adata.obsm["X_pca"][1:])


def test_velocities_that_cannot_be_used():
    adata = turning(5)
    adata.obsm["velocity_umap"] = np.zeros((adata.n_obs, 3))
    adata.obsm["X_umap"] = np.zeros((adata.n_obs, 1))
    adata.layers["nothing"] = np.full(adata.shape, np.nan)
    adata.layers["nothing"][0, 0] = adata.layers["nothing"][1, 1] = 1.0
    cases = [
        ("fast", "X", KeyError, r"no velocities in layers\['fast'\] or obsm"),
        ("velocity_umap", "X", ValueError, r"have 3 variables, X has 2; velocities must lie"),
        ("velocity", "X_umap", ValueError, "without loadings that tell of genes"),
        ("nothing", "X", ValueError, "no cell has a velocity in 'nothing'"),
    ]
    for key, use_rep, error, message in cases:
        with pytest.raises(error, match=message):
            with_velocities(adata, VelocityReference(key), use_rep)


def test_two_snapshots_weigh_nothing():
    adata = turning(50, n_times=2)
    with (
        pytest.raises(ValueError, match="two snapshots: none can be left out"),
        pytest.warns(ct.FitWarning),
    ):
        ct.tl.fit_bridge(adata, reference=VelocityReference(), **CHEAP)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strength": 1.5}, "strength must lie in"),
        ({"unit": -1.0}, "unit must be positive"),
        ({"cells": torch.ones(2, 2)}, "pass cells= and velocities= together"),
        ({"cells": torch.ones(2, 2), "velocities": torch.ones(2, 3)}, r"both must be \(n, d\)"),
    ],
)
def test_what_is_no_such_reference(options, message):
    with pytest.raises(ValueError, match=message):
        VelocityReference(**options)
    with pytest.raises(ValueError, match="no velocities or no strength yet"):
        VelocityReference().fit([], generator=torch.Generator())
