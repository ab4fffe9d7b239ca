"""Options of the commands that lead from genes to components and back."""

from __future__ import annotations

from pathlib import Path

from celltraj import cli
from celltraj.cli.options.shared import COLUMN, Commands, add_command, add_data, add_file, add_seed
from celltraj.cli.types import whole


def add_pca(commands: Commands) -> None:
    """Add ``pca``."""
    text = (
        "learn principal components with the way back to genes, or place cells in those of others"
    )
    pca = add_command(commands, "pca", lambda found: cli.components.pca(found), text)
    add_data(pca)
    pca.add_argument("--n-comps", type=whole(1), default=50, help="components (50)")
    pca.add_argument("--fit-on", help="obs column that marks the cells to learn from", **COLUMN)
    pca.add_argument("--layer", help="layer with the expression (X)")
    pca.add_argument(
        "--loadings",
        type=Path,
        metavar="H5AD",
        help="cells whose components these are placed in, and nothing is learned",
    )
    add_file(pca, "components.h5ad", ".h5ad")
    add_seed(pca)


def add_decode(commands: Commands) -> None:
    """Add ``decode``."""
    text = "lead cells from principal components back to genes"
    decode = add_command(commands, "decode", lambda found: cli.components.decode(found), text)
    add_data(decode, " with components, such as predicted cells")
    decode.add_argument(
        "--loadings", type=Path, metavar="H5AD", help="cells whose components these are (its own)"
    )
    decode.add_argument("--use-rep", help="key of obsm with the components (that of the fit)")
    add_file(decode, "genes.h5ad", ".h5ad")
