"""Genes that regulate each other by soft logic, and decay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from celltraj._card import card
from celltraj._checks import checked_fields
from celltraj._typing import Cells
from celltraj.models.references._parameters import check_sigma
from celltraj.models.references._regression import stack_points
from celltraj.models.references._soft_logic import Logic, LogicProblem, fit_logic
from celltraj.models.references.family import Paths, sigma_of

_MOST_POINTS = 20_000  # of paths that a fit reads


@card()
@checked_fields
@dataclass(frozen=True, eq=False)
class GeneRegulation:
    r"""Gene regulation: make each gene at a rate that others set by soft logic, and let it decay.

    ``dx_i = (v_i logistic(b_i + sum_j W_ij h(x_j / k_j)) - g_i x_i) dt + sigma dW`` with Hill's
    ``h(u) = u^n / (1 + u^n)``: ``W_ij > 0`` where gene j activates gene i, ``W_ij < 0`` where it
    represses it. With large weights this is Boolean logic: a bias of -1.5 w with two inputs of
    weight w is AND, of -w/2 OR.

    ``fit`` is least squares of the drift of the bridge, gene by gene, with ``l1 sum_j |W_ij|``
    added to the share of the squared velocity that is left unexplained; edges that explain less
    are exactly zero.

    Parameters
    ----------
    edges
        ``(d, d)`` booleans, whether the gene of the column may regulate that of the row; by default
        all pairs but a gene with itself, which snapshots hardly tell from its decay.
    l1
        Share of a gene's squared velocity that a weight of one must explain to be worth it.
    ridge
        The same for the square of a bias: it settles what data leave open for a gene that never
        saturates, whose bias trades with its production.
    hill
        Exponent n, the same for all.
    half_level
        ``(d,)`` levels k of half effect, in [x]; by default the means over the bridge of the first
        fit.
    production, degradation
        ``(d,)`` rates v, in [x]/[t], and g, in 1/[t]; None before a fit.
    bias, weights
        ``(d,)`` and ``(d, d)`` inputs of the logistic, without unit; None before a fit.
    sigma
        Diffusion, in [x]/sqrt([t]); None takes that of the call that fits.

    Raises
    ------
    TypeError
        ``edges`` is text.
    ValueError
        ``edges`` is not square, a penalty is negative, or ``hill`` or ``sigma`` is not positive.

    References
    ----------
    Wittmann et al., *Transforming Boolean models to continuous models* (2009), on Hill functions
    as soft logic; Alon, *An introduction to systems biology* (2019), chapter 2.

    Examples
    --------
    >>> import torch
    >>> from celltraj.models import GeneRegulation
    >>> switch = GeneRegulation(
    ...     half_level=torch.ones(2), production=torch.ones(2), degradation=torch.ones(2),
    ...     bias=torch.zeros(2), weights=torch.tensor([[0.0, -8.0], [-8.0, 0.0]]),
    ... )
    >>> switch.drift(0.0, torch.tensor([[0.0, 1.0]])).round(decimals=2)  # the second is on
    tensor([[ 0.0200, -0.5000]])
    """

    edges: Tensor | None = None
    l1: float = 1e-2
    ridge: float = 1e-3
    hill: float = 2.0
    half_level: Tensor | None = None
    production: Tensor | None = None
    degradation: Tensor | None = None
    bias: Tensor | None = None
    weights: Tensor | None = None
    sigma: float | None = None
    is_positive = True

    def __post_init__(self) -> None:
        for name in ("half_level", "production", "degradation", "bias", "weights"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, torch.as_tensor(getattr(self, name)).double())
        if self.edges is not None:
            if isinstance(self.edges, str):
                raise TypeError(f"edges must be booleans (d, d), or None; found {self.edges!r}")
            edges = torch.as_tensor(self.edges).bool()
            if edges.ndim != 2 or edges.shape[0] != edges.shape[1]:
                raise ValueError(
                    "edges must be (d, d), target by regulator, for the d genes of the data; "
                    f"found {tuple(edges.shape)}"
                )
            object.__setattr__(self, "edges", edges)
        if not (self.l1 >= 0 and self.ridge >= 0 and self.hill > 0):
            raise ValueError(
                "l1 and ridge must not be negative and hill positive; "
                f"found {self.l1}, {self.ridge}, {self.hill}"
            )
        check_sigma(self)

    @property
    def dim(self) -> int | None:
        """Number of genes, None as long as any will do."""
        known = [v for v in (self.edges, self.half_level, self.weights) if v is not None]
        return len(known[0]) if known else None

    @property
    def is_fitted(self) -> bool:
        """Whether the parameters are known."""
        return self.weights is not None

    def drift(self, t: float, x: Cells) -> Cells:
        """Return production less decay, ``(n, d)``, in [x]/[t].

        Raises
        ------
        ValueError
            The parameters are not known yet.
        """
        production, degradation, bias, weights, half_level = self._known()
        state = x.double()
        logic = torch.sigmoid(bias + saturation(state, half_level, self.hill) @ weights.T)
        return (production * logic - degradation * state).to(x.dtype)

    def diffusion(self, t: float, x: Cells) -> Cells:
        """Return ``sigma`` everywhere, ``(n, d)``, in [x]/sqrt([t])."""
        return torch.full_like(x, sigma_of(self))

    def estimates(self) -> dict[str, float]:
        """Return rates and biases by the index of the gene, weights by target and regulator."""
        production, degradation, bias, weights, _ = self._known()
        vectors = {"production": production, "degradation": degradation, "bias": bias}
        named = {f"{k}[{i}]": v for k, all_ in vectors.items() for i, v in enumerate(all_.tolist())}
        rows = enumerate(weights.tolist())
        allowed = allowed_edges(self.edges, len(weights))
        return named | {
            f"W[{i},{j}]": value for i, row in rows for j, value in enumerate(row) if allowed[i, j]
        }

    def fit(self, paths: Sequence[Paths], *, generator: torch.Generator) -> GeneRegulation:
        """Return the member nearest to ``paths``; ``generator`` chooses points of them.

        Raises
        ------
        ValueError
            The data have another number of genes.
        """
        _, x, velocity, w = stack_points(paths)
        d = x.shape[1]
        if self.dim not in (None, d):
            raise ValueError(f"GeneRegulation is set up for {self.dim} genes, the data have {d}")
        half_level = _half_level(x, w) if self.half_level is None else self.half_level
        kept = torch.randperm(len(x), generator=generator)[:_MOST_POINTS]
        inputs = saturation(x[kept], half_level, self.hill).numpy()
        level, speed, share = x[kept].numpy(), velocity[kept].numpy(), w[kept].numpy()
        genes = [
            fit_logic(
                LogicProblem(
                    inputs[:, allowed], level[:, i], speed[:, i], share, self.l1, self.ridge
                ),
                None if self.weights is None else self._logic_of(i, allowed),
            )
            for i, allowed in enumerate(allowed_edges(self.edges, d).numpy())
        ]
        weights = torch.zeros(d, d, dtype=torch.float64)
        weights[allowed_edges(self.edges, d)] = torch.from_numpy(
            np.concatenate([gene.weights for gene in genes])
        )
        production, degradation, bias = torch.tensor(
            [(gene.production, gene.degradation, gene.bias) for gene in genes]
        ).T.double()
        return replace(
            self,
            half_level=half_level,
            production=production,
            degradation=degradation,
            bias=bias,
            weights=weights,
        )

    def _logic_of(self, gene: int, allowed: np.ndarray) -> Logic:
        production, degradation, bias, weights, _ = (part.numpy() for part in self._known())
        return Logic(production[gene], degradation[gene], bias[gene], weights[gene, allowed])

    def _known(self) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        if (
            self.production is None
            or self.degradation is None
            or self.bias is None
            or self.weights is None
            or self.half_level is None
        ):
            raise ValueError(
                "GeneRegulation has no parameters yet; fit it, or pass production, degradation, "
                "bias, weights and half_level"
            )
        return self.production, self.degradation, self.bias, self.weights, self.half_level


def allowed_edges(edges: Tensor | None, dim: int) -> Tensor:
    """Return ``(d, d)`` booleans: the given edges, or all between different genes."""
    return ~torch.eye(dim, dtype=torch.bool) if edges is None else edges


def saturation(x: Cells, half_level: Tensor, hill: float) -> Cells:
    """Return Hill's ``u^n / (1 + u^n)`` of ``u = x / k``, zero below zero."""
    power = (x.clamp(min=0) / half_level) ** hill
    return power / (1 + power)


def _half_level(x: Cells, weights: Tensor) -> Tensor:
    """Return the mean of each gene; 1 for a gene that is never on, whose inputs are zero anyway."""
    mean = weights @ x.clamp(min=0)
    return torch.where(mean > 0, mean, torch.ones_like(mean))
