"""How alike conditions are, before any cell is looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from celltraj.models.response.condition import Covariate, Value

_RANK = 1e-8  # of the largest eigenvalue, below which a direction tells no conditions apart


def similarity_root(
    names: Sequence[str], covariates: Mapping[str, Sequence[Value]] | None = None
) -> Tensor:
    r"""Return ``L``, ``(C, r)``, with ``L L'`` the similarity of conditions.

    The identity where conditions are told by their names alone; else
    ``exp(-|z_c - z_c'|^2 / 2)`` with ``z`` the covariates, each in standard deviations over
    conditions, or one number for each category.

    Parameters
    ----------
    names
        The ``C`` conditions.
    covariates
        Value of each covariate for each condition, by name.

    Examples
    --------
    >>> from celltraj.models.arms.similarity import similarity_root
    >>> root = similarity_root(["a", "b", "c"], {"dose": [0.0, 1.0, 2.0]})
    >>> (root @ root.T)[0].round(decimals=3)  # doses are 0.816 apart in standard deviations
    tensor([1.0000, 0.4720, 0.0500], dtype=torch.float64)
    """
    if not covariates:
        return torch.eye(len(names), dtype=torch.float64)
    columns = []
    for name, values in covariates.items():
        coder = Covariate.of(name, values)
        columns.append(torch.tensor([coder.encode(one) for one in values], dtype=torch.float64))
    z = torch.cat(columns, 1)
    similarity = torch.exp(-torch.cdist(z, z).square() / 2)
    eigenvalues, vectors = torch.linalg.eigh(similarity)
    kept = eigenvalues > _RANK * eigenvalues.max()
    root: Tensor = vectors[:, kept] * eigenvalues[kept].sqrt()
    return root
