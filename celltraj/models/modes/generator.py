r"""Slow modes of a law without explicit time: eigenfunctions of its generator.

A function ``psi`` with ``L psi = mu psi`` has the mean ``exp(mu t) psi(x)`` over cells that start
at ``x``: ``-Re mu`` is the rate at which it is forgotten, ``Im mu`` the frequency of a rotation.
Within features ``f`` it is the eigenvector of the regression of ``L f`` on ``f`` over the cells,

    K = E[f f']^-1 E[f (L f)'],

the limit of extended dynamic mode decomposition for bursts of no length, without the noise of
simulated ones: exact, whatever the cells, where the features hold a space that the generator leaves
invariant, as linear and quadratic ones do for an Ornstein-Uhlenbeck process.

Of a state ``i`` an eigenvalue knows ``(y' f_i)^* r_i / n``, with ``r = L psi - mu psi`` what is
left there and ``y`` the left eigenvector; added up over the states of a cell, the sum of the
squares is the variance over cells that are drawn anew, the limit of the bootstrap (the
infinitesimal jackknife).

Klus, Nueske, Peitz, Niemann, Clementi & Schuette, *Data-driven approximation of the Koopman
generator* (2020); Williams, Kevrekidis & Rowley (2015); Efron, *The jackknife, the bootstrap and
other resampling plans* (1982).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from celltraj._typing import Cells
from celltraj.models.modes.bursts import Bursts
from celltraj.models.modes.features import Features

_RANK = 1e-9  # of the greatest eigenvalue of the Gram matrix, below which features are one another
_ROTATES = 1e-9  # of the rate of the fastest mode, above which an imaginary part is one


@dataclass(frozen=True, eq=False)
class GeneratorModes:
    """Hold slow modes of a law.

    Parameters
    ----------
    features
        What they are made of.
    coefficients
        ``(p, K)`` complex, of the features in each mode; of mean square 1 over the cells.
    eigenvalues
        ``(K,)`` complex, the slowest first, without the constant mode, in 1/[t].
    errors
        ``(K,)`` standard errors of the rates, in 1/[t].
    """

    features: Features
    coefficients: Tensor
    eigenvalues: Tensor
    errors: Tensor

    @property
    def rates(self) -> Tensor:
        """Rates ``-Re mu``, ``(K,)``, in 1/[t]."""
        return -self.eigenvalues.real

    @property
    def frequencies(self) -> Tensor:
        """Angular frequencies ``|Im mu|``, ``(K,)``, in 1/[t]; zero for what does not rotate."""
        return self.eigenvalues.imag.abs()

    def functions(self, x: Cells) -> Tensor:
        """Return the modes ``(n, K)`` at states ``(n, d)``.

        A pair of conjugate ones is given by its real and its imaginary part.
        """
        parts = self.features.values(x).to(self.coefficients.dtype) @ self.coefficients
        return torch.where(self.eigenvalues.imag < 0, parts.imag, parts.real)


def generator_modes(
    bursts: Bursts, features: Features, n_modes: int, *, is_reversible: bool
) -> GeneratorModes:
    """Return the slowest modes of a law within some features.

    Parameters
    ----------
    bursts
        Cells, and where the law takes them.
    features
        Features of the state, fewer than cells.
    n_modes
        Modes beside the constant one; fewer are returned where the features hold no more, and one
        more where the last would be half of a rotation.
    is_reversible
        Whether the law is known to be a gradient system, whose eigenvalues are real: what they miss
        that by is an error of the features, and left out.

    Examples
    --------
    >>> import torch
    >>> import celltraj as ct
    >>> from celltraj.models.modes.bursts import Bursts
    >>> from celltraj.models.modes.features import Features
    >>> from celltraj.models.modes.generator import generator_modes
    >>> pull = ct.models.OrnsteinUhlenbeck(matrix=-torch.eye(1), shift=torch.zeros(1), sigma=1.0)
    >>> x = torch.linspace(-1, 1, 20, dtype=torch.float64)[:, None]
    >>> one = torch.ones(1, dtype=torch.float64)
    >>> features = Features(0 * one, one, True, torch.zeros(0, 1, dtype=torch.float64))
    >>> bursts = Bursts(pull, x[None])
    >>> generator_modes(bursts, features, 2, is_reversible=True).rates.round(decimals=6)
    tensor([1., 2.], dtype=torch.float64)
    """
    f, moved = features.values(bursts.motion.x), features.generated(bursts.motion)
    n = len(f)
    sizes, turn = torch.linalg.eigh(f.T @ f / n)
    kept = sizes > _RANK * sizes[-1]
    basis = turn[:, kept] * sizes[kept].rsqrt()  # f @ basis is orthonormal over the cells
    g, h = f @ basis, moved @ basis
    values, right = torch.linalg.eig(g.T @ h / n)
    order = _slowest(values, n_modes)
    left = torch.linalg.inv(right).conj().T
    values, right, left = values[order], right[:, order], left[:, order]
    if is_reversible:
        values = values.real.to(values.dtype)
    rest = h.to(right.dtype) @ right - (g.to(right.dtype) @ right) * values
    influence = (g.to(left.dtype) @ left).conj() * rest
    # all states of a cell come and go with it
    of_cells = influence.real.view(-1, bursts.n_cells, len(values)).sum(0)
    errors = of_cells.square().sum(0).sqrt() / n
    return GeneratorModes(features, basis.to(right.dtype) @ right, values, errors)


def _slowest(values: Tensor, n_modes: int) -> Tensor:
    """Return the places of the slowest modes without the constant, pairs of them together."""
    constant = int(values.abs().argmin())
    rest = [k for k in range(len(values)) if k != constant]
    top = max(float(values.abs().max()), 1e-300)
    # conjugates have the same real part to rounding; that of a positive imaginary part goes first
    rest.sort(key=lambda k: (-round(float(values[k].real) / top, 12), -float(values[k].imag)))
    chosen = rest[:n_modes]
    if chosen and float(values[chosen[-1]].imag) > _ROTATES * top and len(rest) > len(chosen):
        chosen.append(rest[len(chosen)])
    return torch.tensor(chosen, dtype=torch.long)
