r"""How much each cell has a say in the singular values of couplings, and what that makes uncertain.

With ``phi = u / sqrt(a)`` and ``psi = v / sqrt(b)`` a singular value is the sum of ``P_ij phi_i
psi_j`` and stationary in both. A cell of the first time that weighs more by ``omega_i`` changes
``a``, and the plan that is fitted to it anew changes to ``P_ij (1 + alpha_i + beta_j)`` with

    alpha + E[beta | i] = omega,    beta + E[alpha | j] = 0,

solved mode by mode, since ``E`` multiplies mode ``k`` by ``s_k``. So the influence on ``s_m`` is

    s_m a_i [ (phi_m^2 - 1) / 2 + sum_k phi_k c_km ],
    c_km = (s_k^2 <phi_k, phi_m^2>_a - s_k <psi_k, psi_m^2>_b) / (1 - s_k^2),

likewise at the last time; modes beyond those that were found have small ``s_k`` and are left out.
Without ``c`` a few isolated cells would seem to decide what they do not, and shares of sets that
differ by chance between two times, whence transport carries cells across, would seem to cost
nothing. A cell between has the paths through it, of mass ``m``: with the means of ``phi`` over its
ancestors, and of ``psi`` over its descendants, its influence is

    m [ E[phi] E[psi] - s (E[phi^2] + E[psi^2]) / 2 ].

The sum of their squares is the variance over cells that are drawn anew, the limit of the bootstrap
(the infinitesimal jackknife; Efron, *The jackknife, the bootstrap and other resampling plans*,
1982).
"""

from __future__ import annotations

import torch
from torch import Tensor

from celltraj.models.modes.chain import Chain

_KEPT = 1e-9  # of ``1 - s_k^2``, below which two sets never mix


def standard_errors(
    chain: Chain,
    values: Tensor,
    ends: tuple[Tensor, Tensor],
    functions: tuple[Tensor, ...],
    masses: tuple[Tensor, ...],
) -> Tensor:
    """Return the standard errors ``(K,)`` of the singular values of a chain of plans.

    Parameters
    ----------
    chain
        Plans from the first time to the last.
    values
        ``(K,)`` singular values.
    ends
        ``phi (n, K)`` and ``psi (m, K)``, orthonormal under the masses of the first and last cells.
    functions
        ``T`` tensors ``(n_k, K)``: means of ``psi`` over descendants.
    masses
        ``T`` tensors ``(n_k,)``, of sum 1.
    """
    left, right = ends
    mass = masses[0], masses[-1]
    skews = [(w[:, None] * f).T @ f.square() for w, f in zip(mass, ends, strict=True)]
    influences = [
        mass[0][:, None] * _of_an_end(left, values, *skews),
        mass[1][:, None] * _of_an_end(right, values, *skews[::-1]),
    ]
    k = len(values)
    origins = chain.onwards(torch.cat([left, left.square()], 1))
    squares, _ = chain.means(right.square())
    for place in range(1, len(masses) - 1):
        reached = chain.reached[place][:, None]
        before = torch.where(reached > 0, origins[place] / reached, 0.0)
        spread = before[:, k:] + squares[place]
        paths = before[:, :k] * functions[place] - values / 2 * spread
        influences.append(masses[place][:, None] * paths)
    return torch.stack([one.nan_to_num().square().sum(0) for one in influences]).sum(0).sqrt()


def _of_an_end(functions: Tensor, values: Tensor, own: Tensor, other: Tensor) -> Tensor:
    """Return the influence ``(n, K)`` of cells of one end, per mass.

    ``own (K, K)`` are ``<phi_k, phi_m^2>`` of its own functions, ``other`` those of the other end.
    """
    s, rest = values[:, None], 1 - values.square()[:, None]
    # of sets that never mix both ends have the same functions, and c goes to half of -own
    apart = (s.square() * own - s * other) / rest.clamp(min=_KEPT)
    answers = torch.where(rest > _KEPT, apart, -own / 2)
    found: Tensor = values * ((functions.square() - 1) / 2 + functions @ answers)
    return found
