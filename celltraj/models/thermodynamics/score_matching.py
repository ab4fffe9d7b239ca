"""Score of a cloud of cells, ``grad log p``, by score matching in closed form.

``s = grad (w . psi)`` with quadratic and radial features ``psi`` minimises
``E[s' D s / 2 + div(D s)]``, which is the distance ``E |s - grad log p|_D^2 / 2`` up to a constant,
so that ``w = -(E[grad psi D grad psi'] + ridge)^-1 E[tr(D hess psi)]``, and what is held out says
how many features, how wide and how much ridge. Hyvärinen, *Estimation of non-normalized statistical
models by score matching* (2005); Sriperumbudur et al., *Density estimation in infinite dimensional
exponential families* (2017).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor

from celltraj._typing import Cells, Earlier

_BLOCK = 512  # cells at once
_MANY = (0, 25, 75)  # radial features
_WIDE = (0.5, 1.0)  # widths of them, in sqrt(d) standard deviations
_RIDGES = (1e-6, 1e-3, 1e-2, 1e-1, 1.0)  # of the mean of the diagonal
_PER_FEATURE = 5  # cells of the training for each radial feature, at least
_MOST_QUADRATIC = 60  # variables; beyond them only the squares


@dataclass(frozen=True, eq=False)
class _Features:
    """Quadratic and radial features of whitened states.

    Parameters
    ----------
    centre
        ``(d,)`` mean of the cells.
    white
        ``(d, d)`` matrix that whitens them, ``z = white (x - centre)``.
    spread
        ``(d, d)`` ``white D white'``, the noise in whitened states.
    centres
        ``(K, d)`` of the radial features, whitened.
    width
        Their width.
    """

    centre: Tensor
    white: Tensor
    spread: Tensor
    centres: Tensor
    width: float

    @property
    def pairs(self) -> Tensor:
        """Pairs of variables ``(2, q)`` of the quadratic features."""
        d = len(self.centre)
        if d > _MOST_QUADRATIC:
            return torch.arange(d).repeat(2, 1)
        return torch.triu_indices(d, d)

    @property
    def size(self) -> int:
        """Number of features."""
        return len(self.centre) + self.pairs.shape[1] + len(self.centres)

    def slopes(self, x: Cells) -> tuple[Tensor, Tensor]:
        """Return gradients ``(n, q, d)`` and ``tr(D hess psi)``, ``(n, q)``, in whitened states."""
        z = (x - self.centre) @ self.white.T
        n, d = z.shape
        i, j = self.pairs
        rows = torch.arange(len(i))
        linear = torch.eye(d, dtype=z.dtype).expand(n, d, d)
        square = z.new_zeros(n, len(i), d)
        square[:, rows, i] += z[:, j]
        square[:, rows, j] += z[:, i]
        bent = (2 * self.spread[i, j]).expand(n, -1)
        parts, traces = [linear, square], [z.new_zeros(n, d), bent]
        if len(self.centres):
            off, h2 = z[:, None] - self.centres, self.width**2
            bump = torch.exp(-off.square().sum(2) / (2 * h2))
            parts.append(-off * bump[..., None] / h2)
            along = torch.einsum("nki,ij,nkj->nk", off, self.spread, off)
            traces.append(bump * (along / h2**2 - torch.trace(self.spread) / h2))
        return torch.cat(parts, 1), torch.cat(traces, 1)


@dataclass(frozen=True, eq=False)
class ScoreFit:
    """Hold the score of cells, each by the fit to the others, and its divergence.

    Parameters
    ----------
    score
        ``(n, d)`` score, in 1/[x].
    divergence
        ``(n,)`` ``div(D s)``, in 1/[t].
    held_out
        ``E[s' D s / 2 + div(D s)]``, in 1/[t]; the less, the better.
    n_features
        Radial features that were chosen.
    """

    score: Cells
    divergence: Earlier
    held_out: float
    n_features: int


def matched_score(x: Cells, noise: Tensor, *, n_folds: int, generator: torch.Generator) -> ScoreFit:
    """Return the score at each cell by score matching on the cells of the other folds.

    Parameters
    ----------
    x
        ``(n, d)`` states, float64.
    noise
        ``(d,)`` diagonal of ``D``, in [x]^2/[t].
    n_folds
        Number of folds.
    generator
        Source of folds and centres.

    Raises
    ------
    ValueError
        Fewer cells than three for each variable, or variables that do not vary.
    """
    n, d = x.shape
    if n < 3 * (d + 1):
        raise ValueError(
            f"{n} cells tell no score in {d} variables; at least {3 * (d + 1)} are needed. Pass "
            "use_rep= with fewer variables"
        )
    fold = torch.arange(n)[torch.randperm(n, generator=generator)] % n_folds
    best: tuple[float, _Features, Tensor] | None = None
    order = torch.randperm(n, generator=generator)
    for many, wide in product(_MANY, _WIDE):
        if many * _PER_FEATURE > n * (n_folds - 1) / n_folds or (many == 0 and wide != _WIDE[0]):
            continue
        features = _features(x, noise, order[:many], wide)
        gram, trace = _sums(features, x, fold, n_folds)
        for ridge in _RIDGES:
            value, weights = _held_out(gram, trace, ridge)
            if best is None or value < best[0]:
                best = (value, features, weights)
    assert best is not None  # noqa: S101 - the quadratic features alone are always tried
    value, features, weights = best
    score, divergence = torch.empty_like(x), x.new_empty(n)
    for part in torch.split(torch.arange(n), _BLOCK):
        slopes, traces = features.slopes(x[part])
        here = weights[fold[part]]
        score[part] = torch.einsum("nqd,nq->nd", slopes, here) @ features.white
        divergence[part] = (traces * here).sum(1)
    return ScoreFit(score, divergence, value, len(features.centres))


def _features(x: Cells, noise: Tensor, chosen: Tensor, wide: float) -> _Features:
    """Return features of whitened states, with radial ones at some cells."""
    centre = x.mean(0)
    values, vectors = torch.linalg.eigh(torch.cov(x.T).reshape(x.shape[1], x.shape[1]))
    if float(values[0]) <= 1e-12 * float(values[-1]):
        raise ValueError(
            f"the cells do not span their {x.shape[1]} variables, so that they have no density; "
            "choose fewer variables"
        )
    white = (vectors / values.sqrt()).T
    spread = white @ torch.diag(noise) @ white.T
    centres = (x[chosen] - centre) @ white.T
    return _Features(centre, white, spread, centres, wide * x.shape[1] ** 0.5)


def _sums(features: _Features, x: Cells, fold: Tensor, n_folds: int) -> tuple[Tensor, Tensor]:
    """Return ``E[grad psi D grad psi']`` ``(F, q, q)`` and ``E[tr(D hess psi)]`` of each fold."""
    grams, traces = [], []
    for k in range(n_folds):
        rows = torch.nonzero(fold == k)[:, 0]
        gram = x.new_zeros(features.size, features.size)
        trace = x.new_zeros(features.size)
        for part in torch.split(rows, _BLOCK):
            slopes, bent = features.slopes(x[part])
            flat = (slopes @ features.spread).transpose(1, 2).reshape(-1, slopes.shape[1])
            gram += flat.T @ slopes.transpose(1, 2).reshape(-1, slopes.shape[1])
            trace += bent.sum(0)
        grams.append(gram / len(rows))
        traces.append(trace / len(rows))
    return torch.stack(grams), torch.stack(traces)


def _held_out(gram: Tensor, trace: Tensor, ridge: float) -> tuple[float, Tensor]:
    """Return the held-out loss, and the weights ``(F, q)`` without each fold."""
    value, weights = 0.0, []
    for k in range(len(gram)):
        others = [j for j in range(len(gram)) if j != k]
        matrix = gram[others].mean(0)
        diagonal = matrix.diagonal()
        matrix = matrix + torch.diag(ridge * diagonal + 1e-10 * diagonal.mean())
        w = -torch.linalg.solve(matrix, trace[others].mean(0))
        weights.append(w)
        value += float(w @ gram[k] @ w / 2 + w @ trace[k]) / len(gram)
    return value, torch.stack(weights)
