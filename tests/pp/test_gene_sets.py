"""The genes that the package knows, and how they are found among those of the user."""

import re

import numpy as np
import pandas as pd
import pytest

from celltraj.pp._gene_sets import find_genes, gene_set

NAMES = ("proliferation", "apoptosis")


def test_orthologues_that_are_spelt_otherwise():
    human, mouse = (
        gene_set(NAMES[0], one, None) + gene_set(NAMES[1], one, None) for one in ("human", "mouse")
    )
    otherwise = {a: b for a, b in zip(human, mouse, strict=True) if a.capitalize() != b}
    assert otherwise == {
        "FASLG": "Fasl",
        "GUCY2D": "Gucy2e",
        "H1-0": "H1f0",
        "PEA15": "Pea15a",
    }


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("organism", ["human", "mouse"])
def test_genes_are_found_where_they_stand(name, organism):
    genes = gene_set(name, organism, None)
    order = np.random.default_rng(0).permutation(len(genes))
    columns = find_genes(name, genes, pd.Index(np.array(genes)[order]), 1.0)
    np.testing.assert_array_equal(order[columns], np.arange(len(genes)))


@pytest.mark.parametrize(
    ("organism", "names"),
    [
        (
            "human",
            {
                "MLF1IP": "CENPU",
                "FAM64A": "PIMREG",
                "HN1": "JPT1",
                "H1-0": "H1F0",
                "PLPPR4": "LPPR4",
                "SC5D": "SC5DL",
            },
        ),
        ("mouse", {"Mlf1ip": "Cenpu", "Fam64a": "Pimreg", "Hn1": "Jpt1", "Plppr4": "Lppr4"}),
    ],
)
def test_a_renamed_gene_counts_under_its_other_name(organism, names):
    genes = gene_set(NAMES[0], organism, None) + gene_set(NAMES[1], organism, None)
    assert set(names) <= set(genes)
    there = pd.Index(dict.fromkeys(names.get(gene, gene) for gene in genes))
    columns = find_genes("all", genes, there, 1.0)
    assert there[columns].tolist() == [names.get(gene, gene) for gene in genes]
    # the name of the set comes first where both are there
    both = pd.Index(["JPT1", "HN1"])
    assert find_genes("both", ["HN1"], both, 1.0).tolist() == [1]


def test_at_most_ten_missing_genes_are_named():
    genes = [f"o{i}" for i in range(20)]
    with pytest.raises(ValueError, match=r"missing: \['o0', .*'o9'\] and 10 more"):
        find_genes("mine", genes, pd.Index(["a", "b"]), 0.5)


def test_nothing_of_a_set_is_too_little_for_any_share():
    with pytest.raises(ValueError, match=r"0 of the 1 genes of mine .* asks for 1;"):
        find_genes("mine", ["a"], pd.Index([]), 0.0)


def test_another_case_points_to_the_organism():
    message = (
        "97 of them are there in another case, so organism= or the case of adata.var_names is "
        "probably wrong"
    )
    mouse, human = (gene_set(NAMES[0], one, None) for one in ("mouse", "human"))
    for asked, there in ((human, mouse), (mouse, human)):
        with pytest.raises(ValueError, match=re.escape(message)):
            find_genes(NAMES[0], asked, pd.Index(there), 0.5)


def test_ensembl_ids():
    ids = pd.Index(["ENSG00000148773", "ENSG00000132646"])
    with pytest.raises(ValueError, match="look like Ensembl ids; put gene symbols there"):
        find_genes("mine", ["MKI67"], ids, 0.5)
