"""Populations are read from AnnData as they stand there, in any order and of any type."""

import re

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch
from scipy.sparse import csr_matrix

import celltraj as ct
from celltraj._anndata import ResponseKeys, read_populations, read_samples
from celltraj._errors import DataWarning
from celltraj.models import Condition

KEYS = ResponseKeys.of("donor", "drug", "DMSO", cell_type_key="type")
PAIRS = ResponseKeys.of("line", ["drug_1", "drug_2"], "none", dose_key=["dose_1", "dose_2"])


def cells(n=12, seed=0):
    """Return ``n`` cells of two donors under two drugs and the control, in no order."""
    donors, drugs = ("CD4/CD8", "b"), ("DMSO", "a+b", "x/y")
    table = [(d, c, t) for d in donors for c in drugs for t in ("T", "B") for _ in range(n)]
    rng = np.random.default_rng(seed)
    table = [table[i] for i in rng.permutation(len(table))]
    obs = pd.DataFrame(table, columns=["donor", "drug", "type"])
    obs.index = [f"c{i}" for i in range(len(obs))]
    x = rng.normal(size=(len(obs), 3)).astype("float32")
    return ad.AnnData(x, obs=obs, var=pd.DataFrame(index=["x", "y", "z"]))


def screen():
    """Return one cell of each way to write a treatment."""
    nothing = float("nan")
    rows = [
        ("A", "none", None, nothing, nothing),
        ("A", None, "none", 5.0, nothing),  # a dose of nothing is nothing
        ("A", "p", None, 1.0, nothing),
        ("A", "none", "p", nothing, 1.0),
        ("A", "p", "q", 1.0, 10.0),
        ("A", "q", "p", 10.0, 1.0),
        ("A", "q", "p", 1.0, 1.0),
        ("B", "none", "none", nothing, nothing),
        ("B", "p", None, 1.0, nothing),
    ]
    obs = pd.DataFrame(rows, columns=["line", "drug_1", "drug_2", "dose_1", "dose_2"])
    obs.index = [f"c{i}" for i in range(len(obs))]
    return ad.AnnData(np.arange(18.0).reshape(9, 2), obs=obs)


def read(adata, keys=KEYS, use_rep="X"):
    return read_populations(adata, keys, use_rep)[0]


def assert_same(one, two):
    assert one.names == two.names
    assert [(t.population, t.condition) for t in one.treated] == [
        (t.population, t.condition) for t in two.treated
    ]
    for a, b in zip(one.groups, two.groups, strict=True):
        assert torch.equal(a.x, b.x)
        if a.types is not None:
            # codes are names: what counts is which cells share one
            assert torch.equal(a.types[:, None] == a.types, b.types[:, None] == b.types)


def test_groups_are_those_of_pandas():
    adata = cells()
    populations, source = read_populations(adata, KEYS, None)
    assert populations.names == ("CD4/CD8", "b")
    frame = pd.DataFrame(adata.X, index=adata.obs_names).astype("float64")
    table = adata.obs
    found = {(populations.names[k], "DMSO"): one for k, one in enumerate(populations.controls)}
    found |= {
        (populations.names[one.population], one.condition.name): one.cells
        for one in populations.treated
    }
    parts = {key: frame.loc[part.index] for key, part in table.groupby(["donor", "drug"])}
    assert set(found) == set(parts)
    for key, part in parts.items():
        np.testing.assert_array_equal(found[key].x.numpy(), part.to_numpy())
        types = table.loc[part.index, "type"].to_numpy()
        codes = found[key].types.numpy()
        assert ((codes[:, None] == codes) == (types[:, None] == types)).all()
    assert (source.low, source.high) == (adata.X.min(), adata.X.max())
    assert source.variables == ("x", "y", "z")
    assert source.controls == ("DMSO",)


def test_codes_of_types_are_the_same_in_all_groups():
    adata = cells()
    populations = read(adata)
    x = {tuple(row): kind for row, kind in zip(adata.X.tolist(), adata.obs["type"], strict=True)}
    codes = {}
    for group in populations.groups:
        for row, code in zip(group.x.tolist(), group.types.tolist(), strict=True):
            codes.setdefault(code, set()).add(x[tuple(row)])
    assert sorted(map(sorted, codes.values())) == [["B"], ["T"]]


def test_the_order_of_cells_is_kept_and_that_of_groups_does_not_matter():
    adata = cells()
    # sorted by group in another order, cells of a group keep theirs
    order = np.argsort(adata.obs["drug"].to_numpy() + adata.obs["donor"].to_numpy(), kind="stable")
    assert_same(read(adata[order[::-1]][::-1].copy()), read(adata))
    assert_same(read(adata[order].copy()), read(adata))


@pytest.mark.parametrize(
    "change",
    [
        lambda a: a.obs.update({"donor": pd.Categorical(a.obs["donor"], ["z", "b", "CD4/CD8"])}),
        lambda a: setattr(a, "X", csr_matrix(a.X)),
        lambda a: setattr(a, "X", a.X.astype("float64")),
        lambda a: setattr(a, "obs_names", ["same"] * a.n_obs),
    ],
    ids=["categories in another order and unused", "sparse", "float64", "one name for all cells"],
)
@pytest.mark.filterwarnings("ignore:Observation names are not unique:UserWarning")
def test_the_same_cells_in_another_form_are_the_same(change):
    one, two = cells(), cells()
    if change.__code__.co_names[0] == "obs":
        two.obs["donor"] = pd.Categorical(two.obs["donor"], ["z", "b", "CD4/CD8"])
    else:
        change(two)
    assert_same(read(two), read(one))


def test_a_view_is_read_like_its_copy_and_stays_one():
    view = cells()[:, ["z", "x"]]
    assert_same(read(view), read(view.copy()))
    assert view.is_view


@pytest.mark.parametrize("convert", [np.asarray, csr_matrix])
def test_a_backed_file_is_read_like_one_in_memory(tmp_path, convert):
    adata = cells()
    adata.X = convert(adata.X)
    adata.write_h5ad(tmp_path / "a.h5ad")
    backed = ad.read_h5ad(tmp_path / "a.h5ad", backed="r")
    assert_same(read(backed), read(adata))
    backed.file.close()


def test_a_table_in_obsm_is_read():
    adata = cells()
    adata.obsm["X_table"] = pd.DataFrame(adata.X, index=adata.obs_names)
    assert_same(read(adata, use_rep="X_table"), read(adata))


@pytest.mark.parametrize(
    ("labels", "names"), [([3, 20], ("20", "3")), ([0.5, 1.5], ("0.5", "1.5"))]
)
def test_numbers_name_populations(labels, names):
    adata = cells()
    adata.obs["donor"] = np.where(adata.obs["donor"] == "b", labels[0], labels[1])
    assert read(adata).names == names


def test_numbers_and_truth_values_name_drugs():
    adata = cells()
    adata.obs["drug"] = (adata.obs["drug"] != "DMSO").astype(int)
    keys = ResponseKeys.of("donor", "drug", 0)
    assert {one.condition.drugs for one in read(adata, keys).treated} == {("1",)}
    adata.obs["drug"] = adata.obs["drug"] == 1
    keys = ResponseKeys.of("donor", "drug", "False")
    assert {one.condition.drugs for one in read(adata, keys).treated} == {("True",)}


def test_a_set_of_drugs_has_no_order_and_no_columns():
    samples = read_samples(screen(), PAIRS)
    found = {(s.population, s.condition): s.rows.tolist() for s in samples}
    assert found == {
        ("A", None): [0, 1],
        ("A", Condition(("p",), (1.0,))): [2, 3],
        ("A", Condition(("p", "q"), (1.0, 10.0))): [4, 5],
        ("A", Condition(("p", "q"), (1.0, 1.0))): [6],
        ("B", None): [7],
        ("B", Condition(("p",), (1.0,))): [8],
    }
    assert [s.condition is None for s in samples] == [True, True] + 4 * [False]


def test_several_controls_are_pooled():
    adata = cells()
    keys = ResponseKeys.of("donor", "drug", ["DMSO", "x/y"])
    populations = read(adata, keys)
    assert [len(one.x) for one in populations.controls] == [48, 48]
    assert {one.condition.name for one in populations.treated} == {"a+b"}


def test_covariates_split_treatments_and_not_controls():
    adata = cells()
    adata.obs["batch"] = np.arange(adata.n_obs) % 2
    adata.obs["sex"] = np.where(adata.obs["donor"] == "b", "F", "M")
    keys = ResponseKeys.of("donor", "drug", "DMSO", covariate_keys=["batch", "sex"])
    populations = read(adata, keys)
    assert {one.condition.covariates for one in populations.treated} == {
        (0.0, "F"), (1.0, "F"), (0.0, "M"), (1.0, "M"),
    }  # fmt: skip
    assert [len(one.x) for one in populations.controls] == [24, 24]
    assert ResponseKeys.of("donor", "drug", "DMSO", covariate_keys="sex").covariates == ("sex",)


def test_covariates_of_untreated_cells_may_be_missing():
    adata = cells()
    adata.obs["age"] = np.where(adata.obs["drug"] == "DMSO", np.nan, 40.0)
    keys = ResponseKeys.of("donor", "drug", "DMSO", covariate_keys="age")
    assert {one.condition.covariates for one in read(adata, keys).treated} == {(40.0,)}


@pytest.mark.parametrize("kind", ["category", "text", "nullable"])
def test_doses_are_numbers_in_any_form(kind):
    adata = screen()
    table = adata.obs[["dose_1", "dose_2"]]
    forms = {
        "category": table.astype("category"),
        "text": table.astype(object).where(table.notna(), "vehicle").astype(str),
        "nullable": table.astype("Float64"),
    }
    adata.obs[["dose_1", "dose_2"]] = forms[kind]
    found, wanted = (read_samples(one, PAIRS) for one in (adata, screen()))
    assert [(s.population, s.condition) for s in found] == [
        (s.population, s.condition) for s in wanted
    ]


def test_populations_that_were_never_treated_are_left_out():
    adata = cells()
    rest = adata[(adata.obs["donor"] != "b") | (adata.obs["drug"] == "DMSO")].copy()
    with pytest.warns(DataWarning, match=r"1 populations have untreated cells only.*'b'"):
        assert read(rest).names == ("CD4/CD8",)


def test_few_cells_are_told_by_population_and_condition():
    adata = cells()
    at = np.flatnonzero((adata.obs["donor"] == "b") & (adata.obs["drug"] == "x/y"))
    adata = adata[np.setdiff1d(np.arange(adata.n_obs), at[5:])].copy()
    with pytest.warns(DataWarning, match=r"fewer than 10 cells in {'b \(x/y\)': 5}"):
        read(adata)


def changed(adata, **columns):
    for name, values in columns.items():
        adata.obs[name] = values
    return adata


def with_value(value):
    adata = cells()
    adata.X[3, 1] = value
    return adata


def without(adata, donor, drug):
    return adata[~((adata.obs["donor"] == donor) & (adata.obs["drug"] == drug))].copy()


def dosed(value):
    adata = screen()
    adata.obs["dose_1"] = [*adata.obs["dose_1"][:-1], value]
    return adata


BAD = {
    "an array": (lambda: cells().X, KEYS, TypeError, "expected an AnnData, found ndarray"),
    "no cells": (lambda: cells()[:0].copy(), KEYS, ValueError, "adata has no cells"),
    "no column": (
        cells,
        ResponseKeys.of("patient", "drug", "DMSO"),
        KeyError,
        "no adata.obs['patient']; columns found: ['donor', 'drug', 'type']",
    ),
    "no such control": (
        cells,
        ResponseKeys.of("donor", "drug", "PBS"),
        KeyError,
        "control=['PBS'] is not among ['DMSO', 'a+b', 'x/y'] of obs['drug']",
    ),
    "no such control in two columns": (
        screen,
        ResponseKeys.of("line", ["drug_1", "drug_2"], "PBS"),
        KeyError,
        "control=['PBS'] is not among ['none', 'p', 'q'] of obs['drug_1']",
    ),
    "controls alone": (
        cells,
        ResponseKeys.of("donor", "drug", ["DMSO", "a+b", "x/y"]),
        ValueError,
        "every cell is a control (['DMSO', 'a+b', 'x/y']); add treated cells",
    ),
    "no control of one": (
        lambda: without(cells(), "CD4/CD8", "DMSO"),
        KEYS,
        ValueError,
        "population 'CD4/CD8' has treated cells and no control (['DMSO'] in obs['drug']); add its",
    ),
    "no population": (
        lambda: changed(cells(), donor=[None, *cells().obs["donor"][1:]]),
        KEYS,
        ValueError,
        "cell 'c0' has no population in obs['donor']; drop it",
    ),
    "one drug twice": (
        lambda: changed(screen(), drug_2=screen().obs["drug_1"].astype(object).fillna("none")),
        ResponseKeys.of("line", ["drug_1", "drug_2"], "none"),
        ValueError,
        "cell 'c2' has 'p' both in obs['drug_1'] and in obs['drug_2']; leave one of them empty",
    ),
    "NaN": (
        lambda: with_value(np.nan),
        KEYS,
        ValueError,
        "1 cells have NaN or infinite values in X (first: 'c3'); drop or impute them",
    ),
    "infinity": (lambda: with_value(np.inf), KEYS, ValueError, "(first: 'c3')"),
    "no variables": (
        lambda: cells()[:, :0].copy(),
        KEYS,
        ValueError,
        "X has no variables; pass use_rep=",
    ),
    "no X": (
        lambda: ad.AnnData(obs=cells().obs),
        KEYS,
        ValueError,
        "adata.X is None; pass use_rep",
    ),
    "one name for two variables": (
        lambda: cells()[:, ["x", "y", "y"]].copy(),
        KEYS,
        ValueError,
        "call adata.var_names_make_unique()",
    ),
    "no dose": (
        lambda: dosed(np.nan),
        PAIRS,
        ValueError,
        "1 cells have a drug in obs['drug_1'] and no positive dose in obs['dose_1'] (first: 'c8', "
        "nan); fill it in",
    ),
    "a dose of zero": (lambda: dosed(0.0), PAIRS, ValueError, "(first: 'c8', 0.0)"),
    "a negative dose": (lambda: dosed(-1.0), PAIRS, ValueError, "(first: 'c8', -1.0)"),
    "an infinite dose": (lambda: dosed(np.inf), PAIRS, ValueError, "(first: 'c8', inf)"),
    "a dose in words": (lambda: dosed("high"), PAIRS, ValueError, "(first: 'c8', high)"),
    "no covariate": (
        lambda: changed(cells(), age=pd.array([None, *[1.0] * 143], dtype="Float64")),
        ResponseKeys.of("donor", "drug", ["x/y"], covariate_keys="age"),
        ValueError,
        "1 treated cells have no covariate obs['age'] (first: 'c0'); fill it in, or drop them",
    ),
}


@pytest.mark.filterwarnings("ignore:Variable names are not unique:UserWarning")
@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_named(name):
    make, keys, error, message = BAD[name]
    with pytest.raises(error, match=re.escape(message)):
        read_populations(make(), keys, "X")


def test_texts_in_place_of_numbers_are_told():
    adata = cells()
    adata.obsm["X_text"] = np.full((adata.n_obs, 2), "a", dtype=object)
    with pytest.raises(ValueError, match="X_text has dtype object, and numbers are needed; conv"):
        read(adata, use_rep="X_text")


def test_each_drug_needs_the_column_of_its_dose():
    with pytest.raises(ValueError, match=r"dose_key names \['d'\] and condition_key \['a', 'b'\]"):
        ResponseKeys.of("donor", ["a", "b"], "none", dose_key="d")


def test_all_columns_are_named():
    keys = ResponseKeys.of("p", "c", "0", dose_key="d", covariate_keys=["v"], cell_type_key="t")
    assert keys.columns == ("p", "c", "d", "v", "t")


def test_the_screen_is_read_as_it_was_made():
    adata = ct.datasets.drug_screen(n_lines=2, n_drugs=3, n_cells=4, seed=0)
    keys = ResponseKeys.of(
        "population", ["drug_1", "drug_2"], "control", dose_key=["dose_1", "dose_2"]
    )
    samples = read_samples(adata, keys)
    # of either line: the control, three drugs at three doses, three pairs
    assert len(samples) == 2 * (1 + 9 + 3)
    assert sorted(np.concatenate([s.rows for s in samples])) == list(range(adata.n_obs))


class TestCopies:
    def test_cells_that_are_there_twice_are_told_by_population(self):
        adata = cells()
        rows = np.flatnonzero((adata.obs["donor"] == "b") & (adata.obs["drug"] == "a+b"))
        adata.X[rows[1:4]] = adata.X[rows[0]]
        with pytest.warns(DataWarning, match=r"copies of others: {'b \(a\+b\)': 3}"):
            read(adata)

    def test_a_population_of_copies_of_one_cell_is_told(self):
        adata = cells()
        adata.X[(adata.obs["donor"] == "b") & (adata.obs["drug"] == "DMSO")] = 1.0
        with pytest.warns(DataWarning, match=r"all cells of \['b \(control\)'\] are copies of one"):
            read(adata)
