"""How alike conditions are, before any cell is looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from celltraj.models.response.condition import Covariate, Value

KINDS = ("linear", "smooth")  # of what is told of conditions, what says less first
_RANK = 1e-8  # of the largest eigenvalue, below which a direction tells no conditions apart


def similarity_root(
    names: Sequence[str],
    covariates: Mapping[str, Sequence[Value]] | None = None,
    kind: str = "smooth",
) -> Tensor:
    r"""Return ``L``, ``(C, r)``, with ``L L'`` the similarity of conditions.

    The identity where conditions are told by their names alone; else ``z_c . z_c'`` with ``z`` the
    covariates, each in standard deviations over conditions, or one number for each category: laws
    that change in proportion to a covariate. Smooth ones besides by the sum of that and
    ``exp(-|z_c - z_c'|^2 / 2)``.

    Parameters
    ----------
    names
        The ``C`` conditions.
    covariates
        Value of each covariate for each condition, by name.
    kind
        ``"linear"`` or ``"smooth"``; of conditions with covariates alone.

    Examples
    --------
    >>> from celltraj.models.arms.similarity import similarity_root
    >>> root = similarity_root(["a", "b", "c"], {"dose": [0.0, 1.0, 2.0]})
    >>> (root @ root.T)[0].round(decimals=3)  # doses are 1.225 apart in standard deviations
    tensor([ 2.5000,  0.4720, -1.4500], dtype=torch.float64)
    """
    if not covariates:
        return torch.eye(len(names), dtype=torch.float64)
    z = _numbers(covariates, covariates)
    vectors, values = _directions(_similarity(z, z, kind))
    root: Tensor = vectors * values.sqrt()
    return root


def shares_of(
    covariates: Mapping[str, Sequence[Value]], new: Mapping[str, Value], kind: str = "smooth"
) -> tuple[Tensor, float]:
    r"""Return what of each condition a new one has, ``(C,)``, and how far the nearest one is.

    ``a = K^+ k`` with ``K`` the similarity of conditions and ``k`` that of the new one to them, so
    that the deviation of its law from what all share is ``sum_c a_c`` times those of the
    conditions. The distance is in standard deviations of the covariates.

    Parameters
    ----------
    covariates
        Value of each covariate for each condition, by name.
    new
        Value of each for the new condition.
    kind
        As of :func:`similarity_root`.

    Raises
    ------
    ValueError
        A category was never seen, or a number is not finite.

    Examples
    --------
    >>> from celltraj.models.arms.similarity import shares_of
    >>> shares, distance = shares_of({"dose": [0.0, 1.0, 2.0]}, {"dose": 1.0})
    >>> shares.round(decimals=3).abs(), distance
    (tensor([0., 1., 0.], dtype=torch.float64), 0.0)
    """
    z = _numbers(covariates, covariates)
    here = _numbers(covariates, {name: [value] for name, value in new.items()})
    vectors, values = _directions(_similarity(z, z, kind))
    near = _similarity(z, here, kind)[:, 0]
    shares: Tensor = vectors @ ((vectors.T @ near) / values)
    return shares, float(torch.cdist(z, here).min())


def _numbers(
    covariates: Mapping[str, Sequence[Value]], of: Mapping[str, Sequence[Value]]
) -> Tensor:
    """Return covariates ``(n, q)`` of conditions as numbers, in the units of all conditions."""
    columns = []
    for name, values in covariates.items():
        coder = Covariate.of(name, values)
        columns.append(torch.tensor([coder.encode(one) for one in of[name]], dtype=torch.float64))
    return torch.cat(columns, 1)


def _similarity(z: Tensor, other: Tensor, kind: str) -> Tensor:
    """Return the similarity ``(n, m)``."""
    linear = z @ other.T
    if kind == "linear":
        return linear
    return linear + torch.exp(-torch.cdist(z, other).square() / 2)


def _directions(similarity: Tensor) -> tuple[Tensor, Tensor]:
    """Return the eigenvectors ``(C, r)`` that tell conditions apart, and their eigenvalues."""
    values, vectors = torch.linalg.eigh(similarity)
    kept = values > _RANK * values.max().clamp(min=_RANK)  # none where all are the same
    return vectors[:, kept], values[kept]
