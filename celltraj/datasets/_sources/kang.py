"""Convert a sample of the blood cells of 8 donors, and tell the donors."""

from __future__ import annotations

from pathlib import Path

import anndata as ad
import pandas as pd
import scipy.sparse as sp

from celltraj.datasets._sources.r_data import read_r_data
from celltraj.datasets._sources.sparse_r import cells_by_genes


def kang_counts(counts: Path, control: Path, treated: Path) -> ad.AnnData:
    """Read raw counts stored by R, and the donor of each cell by its genotype.

    The second and third file are what demuxlet found of all cells, untreated and treated.
    """
    stored = read_r_data(counts)
    blocks, tables = [], []
    for condition, genotypes in (("CTRL", control), ("STIM", treated)):
        matrix = stored[f"pbmc.{condition.lower()}"]
        genes, cells = (part.value for part in matrix["Dimnames"].value)
        blocks.append(cells_by_genes(matrix))
        tables.append(_donors(cells, pd.read_csv(genotypes, sep="\t"), condition))
    obs = pd.concat(tables)
    obs["condition"] = obs["condition"].astype("category")
    obs["donor"] = pd.Categorical(obs["donor"], categories=sorted(set(obs["donor"]), key=int))
    return ad.AnnData(sp.vstack(blocks, format="csr"), obs=obs, var=pd.DataFrame(index=genes))


def _donors(cells: list[str], genotypes: pd.DataFrame, condition: str) -> pd.DataFrame:
    """Return condition, donor and whether the droplet held one cell, by barcode."""
    # a barcode found in both conditions ends in -11 in the second
    barcodes = [cell.split("-")[0] for cell in cells]
    found = genotypes.set_index("BARCODE").loc[[f"{barcode}-1" for barcode in barcodes]]
    columns = {
        "condition": condition,
        "donor": found["SNG.1ST"].astype(str).to_numpy(),
        "singlet": found["BEST"].str.startswith("SNG").to_numpy(),
    }
    return pd.DataFrame(columns, index=[f"{barcode}-{condition}" for barcode in barcodes])
