"""Knock-outs: the held law against closed form, and what is found against random genes."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch
from heard import ours
from scipy.linalg import expm
from scipy.stats import kstest

import celltraj as ct
from celltraj._errors import DataWarning
from celltraj.models import DormandPrince, KnockedOut, simulate
from celltraj.tl._knock_outs import Experiment, matched_sets, share_as_large
from celltraj.tl._knock_screen import random_genes, screen_p

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
        # there are nine others, and none counts twice
        assert len(null) == 2 * null["genes"].nunique() == 18
        # gene 1 is the fate itself; no other random gene shifts it as far
        others = null[null["genes"] != "gene1"]
        assert others["shift"].abs().max() < 0.1 < table["shift"].abs().min()
        assert table["p"].tolist() == pytest.approx([2 / 10] * 2)

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
        bridge = ct.tl.fit_bridge(adata, use_rep="X_pca", training=None, **SILENT)
        asked = {"start": 0.0, "groupby": "fate", "n_null": 2} | SILENT
        ct.tl.knockout(adata, bridge, genes=["gene0"], level=-1.0, **asked)
        shift = ct.get.knockout(adata, fate=FATES[1])["shift"].iloc[0]
        assert shift > 0.5

    @pytest.mark.parametrize(
        ("arguments", "error", "message"),
        [
            ({"genes": ["none"]}, ValueError, "first: .'none'"),
            ({"genes": []}, ValueError, "0 of 0 genes"),
            ({"genes": "gene0"}, TypeError, r"must be a list of texts, such as \["),
            ({"n_null": -1}, ValueError, "n_null must be 0 or more"),
            ({"level": float("nan")}, ValueError, "level must be finite"),
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

    def test_a_response_is_refused(self):
        response = object.__new__(ct.models.MetaFlowMatching)
        with pytest.raises(TypeError, match=r"as ct\.tl\.fit_bridge\(adata\) returns"):
            ct.tl.knockout(switched(n=20), response, genes=["gene0"], start=0.0, groupby="fate")

    def test_a_gene_that_the_components_do_not_hold_is_named(self):
        adata = switched(n=20)
        adata.X[:, 7] = 1.0
        ct.pp.pca_model(adata, n_comps=4)
        bridge = ct.tl.fit_bridge(adata, use_rep="X_pca", training=None, **SILENT)
        with pytest.raises(ValueError, match=r"holds nothing of 1 genes \(first: \['gene7'\]"):
            ct.tl.knockout(adata, bridge, genes=["gene7"], start=0.0, groupby="fate", **SILENT)

    def test_the_order_of_genes_does_not_matter(self):
        tables = []
        for genes in (["gene0", "gene4"], ["gene4", "gene0", "gene4"]):
            adata = switched(n=60)
            asked = {"start": 0.0, "groupby": "fate", "n_null": 0} | SILENT
            ct.tl.knockout(adata, Switch(), genes=genes, **asked)
            tables.append(ct.get.knockout(adata))
        columns = ["control", "knockout", "shift"]
        np.testing.assert_allclose(tables[0][columns], tables[1][columns], atol=1e-12)
        assert tables[1]["genes"].iloc[0] == "gene4 + gene0"

    def test_names_survive_a_file(self, tmp_path):
        for n_null in (0, 3):
            adata = switched(n=30)
            asked = {"start": 0.0, "groupby": "fate", "n_null": n_null} | SILENT
            ct.tl.knockout(adata, Switch(), genes=["gene0"], **asked)
            adata.write_h5ad(tmp_path / "a.h5ad")
            found = ct.get.knockout(ad.read_h5ad(tmp_path / "a.h5ad"))
            pd.testing.assert_frame_equal(found, ct.get.knockout(adata), check_dtype=False)
            assert found["fate"].tolist() == list(FATES)

    def test_numbers_of_cells_change_with_the_gene(self):
        class Growing(Switch):
            def growth(self, t, x):
                return (x[:, 0] + 1) / 2

        adata = switched()
        asked = {"start": 0.0, "groupby": "fate", "n_null": 0} | SILENT
        ct.tl.knockout(adata, Growing(), genes=["gene0"], level=-1.0, **asked)
        masses = adata.uns["celltraj"]["knockout"]["masses"].set_index("cells")["mass"]
        assert masses["knockout"] == pytest.approx(1.0)  # nothing divides at level -1
        # exp((1 + 1) / 2) of four fifths of the cells, and noise of the gene over a unit of time
        assert masses["control"] == pytest.approx(0.8 * np.e + 0.2, rel=0.15)

    def test_a_mass_beyond_all_numbers_leaves_shares(self):
        class Growing(Switch):
            rate = 0.5

            def growth(self, t, x):
                return torch.full_like(x[:, 0], self.rate)

        class Exploding(Growing):
            rate = 800.0

        tables = []
        for process in (Growing(), Exploding()):
            adata = switched(n=40)
            asked = {"start": 0.0, "groupby": "fate", "n_null": 0} | SILENT
            ct.tl.knockout(adata, process, genes=["gene0"], **asked)
            tables.append(ct.get.knockout(adata)[["control", "knockout"]])
        # the same growth of all changes no share
        np.testing.assert_allclose(tables[0], tables[1], atol=1e-9)

    def test_a_model_in_components_needs_the_projection(self):
        adata = switched(n=20)
        adata.obsm["X_pca"] = adata.X[:, :4]
        bridge = ct.tl.fit_bridge(adata, use_rep="X_pca", training=None, **SILENT)
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

    def test_a_column_of_var_names_the_genes(self):
        adata = switched(n=40)
        adata.var["is_driver"] = adata.var_names.isin(["gene0", "gene3"])
        asked = {"start": 0.0, "groupby": "fate", "n_null": 2} | SILENT
        ct.tl.knockout_screen(adata, Switch(), genes="is_driver", **asked)
        table = ct.get.knockout(adata, key="knockout_screen")
        # every gene is one test, however often it is named
        again = ["gene0", "gene3", "gene0"]
        ct.tl.knockout_screen(adata, Switch(), genes=again, key_added="again", **asked)
        pd.testing.assert_frame_equal(table, ct.get.knockout(adata, key="again"))
        assert table["genes"].unique().tolist() == ["gene0", "gene3"]
        with pytest.raises(KeyError, match=r"no adata\.var\['none'\]"):
            ct.tl.knockout_screen(adata, Switch(), genes="none", **asked)
        adata.var["score"] = 1.0
        with pytest.raises(
            ValueError, match="must be true or false for every gene; found dtype float64"
        ):
            ct.tl.knockout_screen(adata, Switch(), genes="score", **asked)

    def test_too_few_random_genes_are_refused(self):
        with pytest.raises(ValueError, match="n_null must be at least"):
            ct.tl.knockout_screen(
                switched(n=20), Switch(), genes=["gene0"], start=0.0, groupby="fate", n_null=0
            )


class TestConstantGenes:
    """Of a gene that never varies nothing is known; others are screened all the same."""

    ASKED = {"start": 0.0, "groupby": "fate", "n_null": 4, **SILENT}  # noqa: RUF012

    def screened(self, adata, **options):
        ct.tl.knockout_screen(adata, Switch(), **self.ASKED | options)
        return ct.get.knockout(adata, key="knockout_screen").set_index(["genes", "fate"])

    def test_their_rows_are_empty_and_they_are_named(self):
        adata = switched(n=30)
        adata.X[:, 4] = 0.5
        with pytest.warns(DataWarning, match=r"holds nothing of 1 genes.*\['gene4'\]") as said:
            table = self.screened(adata, genes=["gene0", "gene4", "gene3"])
        assert ours(said)[0].filename == __file__
        assert table.index.get_level_values("genes").unique().tolist() == [
            "gene0", "gene4", "gene3"
        ]  # fmt: skip
        flat = table.loc["gene4"]
        assert flat[["knockout", "shift", "p", "q"]].isna().all(axis=None)
        rest = table.drop("gene4", level="genes")
        assert rest.notna().all(axis=None)
        # the rest is what it is without the constant one
        pd.testing.assert_frame_equal(rest, self.screened(adata, genes=["gene0", "gene3"]))
        assert "gene4" not in set(adata.uns["celltraj"]["knockout_screen"]["null"]["genes"])
        with pytest.warns(DataWarning):
            self.screened(adata, genes=["gene0", "gene4"])
        drawn = ct.pl.knockout(adata, key="knockout_screen", show=False)
        assert not any("gene4" in label.get_text() for label in drawn.get_yticklabels())

    def test_nothing_but_constant_ones_is_refused(self):
        adata = switched(n=30)
        adata.X[:, 4] = 0.5
        with pytest.raises(ValueError, match=r"holds nothing of 1 genes \(first: \['gene4'\]"):
            self.screened(adata, genes=["gene4"])
        with pytest.raises(ValueError, match="leave them out"):
            ct.tl.knockout(adata, Switch(), genes=["gene0", "gene4"], **self.ASKED)


def many_genes(seed, n=800):
    """Return an experiment on genes, half of them ten times as variable, and their shifts."""
    rng = np.random.default_rng(seed)
    spread = np.where(np.arange(n) % 2, 1.0, 0.1)
    start = torch.from_numpy(rng.normal(1.0, spread, (200, n)))
    names = tuple(f"gene{i}" for i in range(n))
    times, labels = (0.0, 1.0), np.ones((1, 1))
    experiment = Experiment(
        Switch(), None, names, start, times, start[:1], labels, ("NK",), 0.0, seed
    )
    return experiment, (spread * rng.normal(size=n))[:, None]


def test_p_values_of_random_genes_are_uniform():
    experiment, shifts = many_genes(0)
    rng = np.random.default_rng(1)
    p = []
    for place in range(len(shifts)):
        sets = matched_sets([place], experiment, 39, rng)
        p.append(share_as_large(shifts[np.ravel(sets)], shifts[place])[0])
    p = np.array(p)
    # both kinds alike: of steps of 1/40, a law whose distance from the uniform one is 1/40 at most
    for one in (p[::2], p[1::2]):
        bound = np.sqrt(np.log(2 / 1e-4) / 2 / len(one))  # Dvoretzky, Kiefer, Wolfowitz
        assert kstest(one, "uniform").statistic < bound + 1 / 40
        # at .05, which is a step, within four standard errors
        error = np.sqrt(0.05 * 0.95 / len(one))
        assert np.mean(one <= 0.05 + 1e-9) == pytest.approx(0.05, abs=4 * error)


def test_p_values_of_a_screen_are_nearly_uniform():
    p, is_wide = [], []
    for seed in range(4):
        experiment, shifts = many_genes(seed, n=400)
        rng = np.random.default_rng(seed)
        places = rng.choice(400, 200, replace=False)
        random = random_genes(experiment, 236, rng)
        found = screen_p(experiment, places, random, shifts[places], shifts[random])[:, 0]
        # each is compared with a quarter of the random genes: 1 + 59 in all
        np.testing.assert_allclose(found * 60, np.rint(found * 60), atol=1e-9)
        p.append(found)
        is_wide.append(places % 2 == 1)
    p, is_wide = np.concatenate(p), np.concatenate(is_wide)
    error = np.sqrt(0.05 * 0.95 / 400)
    # of two kinds of genes, one ten times as variable, the quarter holds some of the other kind
    assert np.mean(p[is_wide] <= 0.05 + 1e-9) < 0.065 + 3 * error
    assert np.mean(p[~is_wide] <= 0.05 + 1e-9) < 0.05 + 3 * error
    # without regard to spread 1 in 10 would be
    every = [share_as_large(shifts[random], shifts[place])[0] for place in places[is_wide[-200:]]]
    assert np.mean(every) < np.mean(p[is_wide])


def test_no_random_set_counts_twice():
    experiment, _ = many_genes(0, n=60)
    rng = np.random.default_rng(0)
    single = matched_sets([3], experiment, 100, rng)
    assert sorted(np.ravel(single)) == [i for i in range(60) if i != 3]
    pairs = matched_sets([3, 4], experiment, 100, rng)
    assert len({tuple(one) for one in pairs}) == len(pairs) == 100
    assert not {3, 4} & set(np.ravel(pairs))
    assert all(len(set(one)) == 2 for one in pairs)


def test_a_fate_that_is_not_there_is_named():
    adata = switched(n=30)
    asked = {"start": 0.0, "groupby": "fate", "n_null": 0} | SILENT
    ct.tl.knockout(adata, Switch(), genes=["gene0"], **asked)
    with pytest.raises(ValueError, match="no fate 'B'"):
        ct.get.knockout(adata, fate="B")
    with pytest.raises(ValueError, match="no fate 'B'"):
        ct.pl.knockout(adata, fate="B")
