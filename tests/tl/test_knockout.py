"""Knock-outs: the held law against closed form, and what is found against random genes."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch
from scipy.linalg import expm

import celltraj as ct
from celltraj.models import DormandPrince, KnockedOut, PlugInDrift, simulate

FATES = ("CD4/CD8", "NK")
SILENT = {"progress": False}


class Linear:
    """``dx = A x dt``, growing as the first variable says."""

    dim = 3
    matrix = torch.tensor([[-1.0, 0.5, 0.0], [0.3, -0.5, 1.0], [0.2, 0.0, -2.0]]).double()

    def drift(self, t, x):
        return x @ self.matrix.T

    def diffusion(self, t, x):
        return torch.zeros_like(x)

    def growth(self, t, x):
        return x[:, 0]


class Switch:
    """Gene 0 decides the sign of gene 1, which is the fate; eight more only fluctuate."""

    dim = 10

    def drift(self, t, x):
        move = torch.zeros_like(x)
        move[:, 1] = 3 * x[:, 0]
        move[:, 2:] = -0.5 * x[:, 2:]
        return move

    def diffusion(self, t, x):
        return torch.full_like(x, 0.05)


def switched(seed=0, n=150):
    """Return cells of two times; four fifths of the early ones have gene 0 on."""
    rng = np.random.default_rng(seed)
    early = rng.normal(0, 0.3, (n, 10))
    early[:, 0] = np.where(rng.random(n) < 0.8, 1.0, -1.0)
    late = early.copy()
    late[:, 1] += 3 * late[:, 0]
    x = np.concatenate([early, late]).astype(np.float32)
    adata = ad.AnnData(x)
    adata.var_names = [f"gene{i}" for i in range(10)]
    adata.obs["time"] = np.repeat([0.0, 1.0], n)
    adata.obs["fate"] = pd.Categorical(np.where(x[:, 1] > 0, *FATES))
    return adata


def rotated(matrix, keep):
    """Return what moves when variables outside ``keep`` are held at zero."""
    reduced = torch.zeros_like(matrix)
    for i in keep:
        for j in keep:
            reduced[i, j] = matrix[i, j]
    return reduced


def test_the_rest_follows_the_reduced_system():
    held = KnockedOut(Linear(), torch.eye(3).double()[[1]], torch.zeros(1), 0.0)
    x = torch.tensor([[1.0, 5.0, -2.0], [0.3, -1.0, 0.7]]).double()
    path = simulate(
        held,
        held.hold(x),
        (0.0, 1.5),
        solver=DormandPrince(rtol=1e-8, atol=1e-10),
        generator=torch.Generator(),
        ode=False,
    )
    reduced = rotated(Linear.matrix, (0, 2))
    start = x.clone()
    start[:, 1] = 0
    expected = start.numpy() @ expm(1.5 * reduced.numpy()).T
    np.testing.assert_allclose(path.x[-1], expected, atol=1e-6)


def test_growth_is_that_of_the_held_cells():
    x = torch.tensor([[1.0, 5.0, -2.0]]).double()
    held = KnockedOut(Linear(), torch.eye(3).double()[[0]], torch.zeros(1), 0.25)
    assert float(held.growth(0.0, x)) == 0.25
    assert held.has_growth


def test_components_are_moved_no_farther_than_needed():
    rng = np.random.default_rng(0)
    loadings = torch.from_numpy(np.linalg.qr(rng.normal(size=(20, 4)))[0])
    mean, genes = torch.from_numpy(rng.random(20)), [3, 7]
    held = KnockedOut(Linear(), loadings[genes], mean[genes], 0.0)
    z = torch.from_numpy(rng.normal(size=(5, 4)))
    found = held.hold(z)
    np.testing.assert_allclose((mean + found @ loadings.T)[:, genes], 0, atol=1e-9)
    # the move lies in the span of the two rows: nothing shorter reaches the level
    rest = (found - z) @ (
        torch.eye(4).double() - torch.linalg.pinv(loadings[genes]) @ loadings[genes]
    )
    np.testing.assert_allclose(rest, 0, atol=1e-9)


def test_a_gene_without_loadings_is_refused():
    with pytest.raises(ValueError, match="do not change with the state"):
        KnockedOut(Linear(), torch.tensor([[1.0, 0, 0], [0, 0, 0]]).double(), torch.zeros(2), 0.0)


class TestKnockout:
    def test_the_gene_that_decides_is_told_from_others(self):
        adata = switched()
        asked = {"start": 0.0, "groupby": "fate", "n_null": 40} | SILENT
        ct.tl.knockout(adata, Switch(), genes=["gene0"], level=-1.0, **asked)
        table = ct.get.knockout(adata).set_index("fate")
        assert table.loc[FATES[0], "control"] == pytest.approx(0.8, abs=0.15)
        assert table.loc[FATES[1], "knockout"] > 0.95
        assert table["shift"].sum() == pytest.approx(0, abs=1e-9)
        null = adata.uns["celltraj"]["knockout"]["null"]
        assert set(null["genes"]) <= set(adata.var_names) - {"gene0"}
        assert len(null) == 80
        # gene 1 is the fate itself; no other random gene shifts it as far
        others = null[null["genes"] != "gene1"]
        assert others["shift"].abs().max() < 0.1 < table["shift"].abs().min()
        extreme = int((null["genes"] == "gene1").sum()) // 2
        assert table["p"].tolist() == pytest.approx([(1 + extreme) / 41] * 2)

    def test_a_gene_that_does_nothing_is_not(self):
        adata = switched()
        asked = {"start": 0.0, "groupby": "fate", "n_null": 20} | SILENT
        ct.tl.knockout(adata, Switch(), genes=["gene5"], **asked)
        table = ct.get.knockout(adata)
        assert table["shift"].abs().max() < 0.05
        assert table["p"].min() > 0.05

    def test_same_seed_same_table(self):
        tables = []
        for seed in (1, 1, 2):
            adata = switched()
            asked = {"start": 0.0, "groupby": "fate", "n_null": 3, "seed": seed} | SILENT
            ct.tl.knockout(adata, Switch(), genes=["gene0", "gene4"], **asked)
            tables.append(adata.uns["celltraj"]["knockout"]["null"])
        pd.testing.assert_frame_equal(tables[0], tables[1])
        assert not tables[0].equals(tables[2])

    def test_components_lead_back_to_genes(self):
        adata = switched()
        ct.pp.pca_model(adata, n_comps=9)
        bridge = ct.tl.fit_bridge(adata, use_rep="X_pca", drift=PlugInDrift(), **SILENT)
        asked = {"start": 0.0, "groupby": "fate", "n_null": 2} | SILENT
        ct.tl.knockout(adata, bridge, genes=["gene0"], level=-1.0, **asked)
        shift = ct.get.knockout(adata, fate=FATES[1])["shift"].iloc[0]
        assert shift > 0.5

    @pytest.mark.parametrize(
        ("arguments", "error", "message"),
        [
            ({"genes": ["none"]}, ValueError, "first: .'none'"),
            ({"genes": []}, ValueError, "0 of 0 genes"),
            ({"start": 1.0}, ValueError, "must be before stop"),
            ({"start": 0.5}, ValueError, "no cells at time 0.5"),
            ({"stop": 3.0}, ValueError, "no cells at time 3"),
            ({"groupby": "none"}, KeyError, "no groups"),
        ],
    )
    def test_bad_input_is_named(self, arguments, error, message):
        asked = {"genes": ["gene0"], "start": 0.0, "groupby": "fate", "n_null": 0} | arguments
        with pytest.raises(error, match=message):
            ct.tl.knockout(switched(n=20), Switch(), **asked, **SILENT)

    def test_a_model_in_components_needs_the_projection(self):
        adata = switched(n=20)
        adata.obsm["X_pca"] = adata.X[:, :4]
        bridge = ct.tl.fit_bridge(adata, use_rep="X_pca", drift=PlugInDrift(), **SILENT)
        with pytest.raises(ValueError, match=r"ct\.pp\.pca_model"):
            ct.tl.knockout(adata, bridge, genes=["gene0"], start=0.0, groupby="fate", **SILENT)


class TestScreen:
    def test_the_gene_that_decides_leads(self):
        adata = switched()
        asked = {"start": 0.0, "groupby": "fate", "level": -1.0, "n_null": 8} | SILENT
        ct.tl.knockout_screen(adata, Switch(), genes=list(adata.var_names), **asked)
        table = ct.get.knockout(adata, fate=FATES[1], key="knockout_screen")
        assert table["genes"].iloc[0] == "gene0"
        # gene 1 is the fate itself
        assert set(table["genes"][:2]) == {"gene0", "gene1"}
        assert table["shift"].abs().iloc[2] < 0.1

    def test_too_few_random_genes_are_refused(self):
        with pytest.raises(ValueError, match="n_null must be at least"):
            ct.tl.knockout_screen(
                switched(n=20), Switch(), genes=["gene0"], start=0.0, groupby="fate", n_null=0
            )


def test_a_fate_that_is_not_there_is_named():
    adata = switched(n=30)
    asked = {"start": 0.0, "groupby": "fate", "n_null": 0} | SILENT
    ct.tl.knockout(adata, Switch(), genes=["gene0"], **asked)
    with pytest.raises(ValueError, match="no fate 'B'"):
        ct.get.knockout(adata, fate="B")
    with pytest.raises(ValueError, match="no fate 'B'"):
        ct.pl.knockout(adata, fate="B")
