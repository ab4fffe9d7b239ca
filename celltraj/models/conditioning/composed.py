r"""Products, averages and powers of laws of motion.

Laws ``i`` with marginals ``p_i``, probability flows ``v_i``, scores ``s_i`` and growth ``g_i`` are
composed to the law of the marginals ``q_t ~ prod_i p_i^{b_i}``. With ``u = sum b_i v_i`` and ``s_q
= sum b_i s_i`` the divergences of the flows cancel, and

    dX = (u + sigma^2/2 s_q) dt + sigma dW,   d log w = sum b_i [v_i . (s_q - s_i) + g_i] dt,

since ``d/dt log p_i = -div v_i - v_i . s_i + g_i`` and a cloud carried by ``u`` follows ``d/dt log
q = -div u - u . s_q``. The weight is the growth of the composed law: ``simulate`` gathers it, and
conditioned paths are resampled by it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import torch
from torch import Tensor

from celltraj._card import card
from celltraj._typing import Cells, Earlier
from celltraj.models.flow.flow import FlowMatching
from celltraj.models.process import (
    Bounded,
    Process,
    ReversibleProcess,
    breakpoints_of,
    dim_of,
    is_growing,
)
from celltraj.models.solvers.noise import DiagonalNoise


def _facts(composed: Composed) -> dict[str, object]:
    return {
        "parts": {type(one).__name__: f"^{power:g}" for one, power in composed.pairs},
        "powers": [power for _, power in composed.pairs],
        "noise": composed.noise,
    }


@card(_facts)
@dataclass(frozen=True, eq=False)
class Composed:
    r"""Compose laws of motion to one of the marginals ``prod_i p_i^{b_i}``; a ``Process``.

    ``{flow_a: 1, flow_b: 1, control: -1}`` is what two drugs do together where they act
    independently: their shifts add and the shares that survive multiply (Bliss). Powers that sum to
    1 are a geometric average, ``{flow: b}`` is annealing. Marginals are those of trajectories
    weighed by their mass (``obs["mass"]`` of :func:`celltraj.tl.simulate`), and
    :func:`celltraj.tl.condition` with ``toward=None`` resamples by it on the way.

    Parameters
    ----------
    parts
        Powers ``b_i`` by fitted models, or a list of pairs of both for models that cannot be keys.
    noise
        Diffusion ``sigma``, in [x]/sqrt([t]): brings trajectories to where the product has its
        mass, and weights nearer to each other. 0 is an ODE.

    Raises
    ------
    TypeError
        A model without a score, or something that is no model.
    ValueError
        No models, models of different dimensions, a power that is not finite, a flow of paths
        without noise, or a ``noise`` that is negative.

    Notes
    -----
    Cells to start from are those of ``prod_i p_i^{b_i}`` at the first time: where all laws start
    from the same cells and powers sum to 1, those; else a sample of it must be given. A negative
    power needs laws that are wider than it in all directions: where ``p_0`` is narrower than ``p_A
    p_B`` there is no such law. Scores of networks hold where they saw cells: ``outside`` tells
    which states lie beyond, where they are those of the edge. Errors of scores gather in the
    masses: of a few hundred cells an arm, ``{flow_a: 1, flow_b: 1, control: -1}`` may end with the
    mass of a few trajectories, which :func:`celltraj.tl.simulate` warns of. Scores of a bridge
    without a network are those of its single cells, and run away at snapshots.

    Shifts add within one normal state. Where both drugs move several states by more than their
    widths, a product of densities is made of tails, in which states mix, and is another law than
    that of cells that make both moves, however well the scores are known:
    :func:`celltraj.models.add_moves` adds these.

    References
    ----------
    Du et al., *Reduce, reuse, recycle: compositional generation with energy-based diffusion models*
    (2023); Skreta et al., *Feynman-Kac correctors in diffusion* (2025), proposition 3.1; Bliss,
    *The toxicity of poisons applied jointly* (1939).

    Examples
    --------
    >>> import torch
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=50, seed=0)
    >>> bridge = ct.tl.fit_bridge(adata, training=None, seed=0, progress=False)
    >>> both = ct.models.Composed([(bridge, 0.5), (bridge, 0.5)], noise=0.1)
    >>> x = torch.zeros(3, 2).double()
    >>> bool(torch.allclose(both.score(0.5, x), bridge.score(0.5, x)))
    True
    """

    parts: Mapping[Any, float] | Sequence[tuple[Any, float]]
    noise: float = 0.0

    def __post_init__(self) -> None:
        if not self.pairs:
            raise ValueError(
                "parts names no model; pass such as {flow_a: 1, flow_b: 1, flow_0: -1}"
            )
        for model, power in self.pairs:
            _check_part(model, power)
        dims = {dim_of(model) for model, _ in self.pairs} - {None}
        if len(dims) > 1:
            raise ValueError(
                f"models of {sorted(map(str, dims))} variables cannot be composed; fit them in the "
                "same representation"
            )
        if not 0 <= self.noise < math.inf:
            raise ValueError(f"noise must not be negative; found {self.noise}")

    @cached_property
    def pairs(self) -> tuple[tuple[Any, float], ...]:
        """Models with their powers."""
        given = self.parts.items() if isinstance(self.parts, Mapping) else self.parts
        return tuple((model, float(power)) for model, power in given)

    @property
    def dim(self) -> int | None:
        """Number of state variables; None where all take any."""
        return next((d for model, _ in self.pairs if (d := dim_of(model)) is not None), None)

    @property
    def breakpoints(self) -> tuple[float, ...]:
        """Times at which a drift may jump."""
        return tuple(sorted({t for model, _ in self.pairs for t in breakpoints_of(model)}))

    def drift(self, t: float, x: Cells) -> Cells:
        """Return ``sum b_i v_i + noise^2/2 s_q``, ``(n, d)``, in [x]/[t]."""
        total = torch.zeros_like(x)
        for k, (model, power) in enumerate(self.pairs):
            score = cast("ReversibleProcess", model).score(t, x)
            flow = self._flow(k, t, x, score)
            total = total + power * (flow + self.noise**2 / 2 * score)
        return total

    def diffusion(self, t: float, x: Cells) -> Cells:
        """Return ``noise`` everywhere, ``(n, d)``, in [x]/sqrt([t])."""
        return torch.full_like(x, self.noise)

    def score(self, t: float, x: Cells) -> Cells:
        """Return ``s_q = sum b_i s_i``, ``(n, d)``, in 1/[x]."""
        total = torch.zeros_like(x)
        for model, power in self.pairs:
            total = total + power * cast("ReversibleProcess", model).score(t, x)
        return total

    def growth(self, t: float, x: Cells) -> Earlier:
        """Return the rate at which log weights grow, ``(n,)``, in 1/[t]."""
        scores = [cast("ReversibleProcess", model).score(t, x) for model, _ in self.pairs]
        powers = [power for _, power in self.pairs]
        whole = sum((b * s for b, s in zip(powers, scores, strict=True)), torch.zeros_like(x))
        total = torch.zeros_like(x[:, 0])
        for k, (model, power) in enumerate(self.pairs):
            rate = (self._flow(k, t, x, scores[k]) * (whole - scores[k])).sum(1)
            if is_growing(model):
                rate = rate + model.growth(t, x)
            total = total + power * rate
        return total

    def outside(self, t: float, x: Cells) -> Tensor:
        """Return which states ``(n,)`` lie outside the data of a model that knows where."""
        found = torch.zeros(len(x), dtype=torch.bool)
        for model, _ in self.pairs:
            if isinstance(model, Bounded):
                found = found | model.outside(t, x)
        return found

    @cached_property
    def _noises(self) -> tuple[DiagonalNoise, ...]:
        return tuple(DiagonalNoise(model) for model, _ in self.pairs)

    def _flow(self, k: int, t: float, x: Cells, score: Cells) -> Cells:
        """Return the probability flow ``b - (d_i s_i^2 + s_i^2 score) / 2`` of a part."""
        variance, divergence = self._noises[k].variance(t, x)
        flow: Tensor = self.pairs[k][0].drift(t, x) - variance * score / 2
        return flow if divergence is None else flow - divergence / 2


def _check_part(model: object, power: float) -> None:
    name = type(model).__name__
    if not isinstance(model, Process):
        raise TypeError(
            f"parts must hold fitted models, such as ct.tl.fit_flow(adata) returns; found {name}"
        )
    if not isinstance(model, ReversibleProcess):
        raise TypeError(
            f"{name} has no score(t, x), and only laws whose marginal densities are known by it "
            "can be composed: a bridge, or a flow of paths with noise"
        )
    if isinstance(model, FlowMatching) and model.interpolant.sigma == 0:
        raise ValueError(
            f"the paths of a {name} have no noise, and without it no score was learned; fit it "
            "with sigma above 0"
        )
    if not math.isfinite(power):
        raise ValueError(f"the power of a {name} must be finite; found {power}")
