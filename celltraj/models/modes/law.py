r"""Slow modes of a law of motion without explicit time, its sets, and the rates between them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from celltraj._typing import Cells
from celltraj.models.modes.bursts import Bursts, Pace
from celltraj.models.modes.choice import chosen_features
from celltraj.models.modes.crossings import Crossings, count_crossings
from celltraj.models.modes.features import Motion
from celltraj.models.modes.generator import GeneratorModes, generator_modes
from celltraj.models.modes.sets import Sets, n_sets_of
from celltraj.models.process import Affine, Process, is_growing, span_of
from celltraj.models.references import PotentialLandscape

_PROBED = 200  # cells at which a law is asked for other times
_SAME = 1e-6  # of the drift, by which it may differ: programs round
_CORE = 0.75  # share of the cells of a set that lie in its core
_PATHS = 2_000  # that start in all cores together
_GROWS = 0.1  # of the pace of a law: what features miss a slow rate by is less
_STAYS = 1e-6  # of the pace
_EVEN = 0.5  # chance of staying from which a set is terminal


@dataclass(frozen=True, eq=False)
class LawModes:
    """Hold what is slow in a law of motion.

    Parameters
    ----------
    modes
        Eigenfunctions of its generator.
    functions
        ``(n, K)`` their values at the cells.
    sets
        Sets that the slowest of them tell apart.
    labels
        ``(n,)`` the set of each cell.
    crossings
        How often paths went from set to set; None of a single set.
    is_reversible
        Whether the law is a gradient system.
    """

    modes: GeneratorModes
    functions: Tensor
    sets: Sets
    labels: Tensor
    crossings: Crossings | None
    is_reversible: bool

    def stays(self, duration: float) -> Tensor:
        """Return the chance ``(k,)`` that a cell of each set is not seen in another for a time."""
        if self.crossings is None:
            return torch.ones(1, dtype=torch.float64)
        leaving = self.crossings.counts.sum(1) / self.crossings.at_risk
        return (-leaving * duration).exp()

    def is_terminal(self, duration: float) -> Tensor:
        """Return whether a cell of each set ``(k,)`` is likelier than not to stay for a time."""
        return self.stays(duration) > _EVEN


def is_gradient(process: Process, dim: int) -> bool:
    """Return whether a law is known to be a gradient system with the same noise everywhere."""
    if isinstance(process, PotentialLandscape):
        return True
    if isinstance(process, Affine):
        matrix, _ = process.affine(dim)
        return bool(torch.allclose(matrix, matrix.T))
    return False


def check_without_time(process: Process, x: Cells, times: Sequence[float]) -> None:
    """Raise where a law depends on time, or its cells divide and die.

    Parameters
    ----------
    process
        Law of motion.
    x
        ``(n, d)`` states to ask it at.
    times
        Times to ask it for.

    Raises
    ------
    ValueError
        It does.
    """
    name = type(process).__name__
    way = (
        "couplings say what is slow between two times: run ct.tl.couplings(adata, model) and then "
        "ct.tl.slow_modes(adata) without the model"
    )
    if span_of(process) is not None:
        raise ValueError(f"the drift of a {name} depends on time, so that it has no modes; {way}")
    if is_growing(process):
        raise ValueError(
            f"the cells of this {name} divide and die, and modes of a law are of its motion alone; "
            f"{way}, where cells count by their descendants"
        )
    few = x[:: max(1, len(x) // _PROBED)].double()
    with torch.no_grad():
        for ask in (process.drift, process.diffusion):
            first, *others = (ask(float(t), few) for t in times)
            scale = float(first.abs().max())
            if any(float((one - first).abs().max()) > _SAME * scale for one in others):
                raise ValueError(
                    f"the {ask.__name__} of this {name} is another at other times of "
                    f"{[float(t) for t in times]}, so that it has no modes; {way}"
                )


def law_modes(
    process: Process,
    x: Cells,
    n_modes: int,
    *,
    n_sets: int | None = None,
    generator: torch.Generator,
    progress: bool = False,
) -> LawModes:
    """Return the slowest modes of a law without explicit time, sets of cells and rates.

    Parameters
    ----------
    process
        Law of motion.
    x
        ``(n, d)`` cells, where the law is looked at.
    n_modes
        Modes beside the constant one.
    n_sets
        Number of sets; by default from the largest gap between rates.
    generator
        Source of randomness.
    progress
        Whether to show a progress bar.

    Raises
    ------
    ValueError
        There are too few cells, or the law does not keep cells together.

    Examples
    --------
    >>> import torch
    >>> import celltraj as ct
    >>> from celltraj.models.modes.law import law_modes
    >>> matrix = torch.tensor([[-1.0, 0.0], [0.0, -3.0]])
    >>> pull = ct.models.OrnsteinUhlenbeck(matrix=matrix, shift=torch.zeros(2), sigma=1.0)
    >>> draw = torch.Generator().manual_seed(0)
    >>> x = torch.randn(100, 2, dtype=torch.float64, generator=draw)
    >>> law_modes(pull, x, 3, generator=draw).modes.rates.round(decimals=6)
    tensor([1., 2., 3.], dtype=torch.float64)
    """
    x = x.double()
    pace = Pace.of(process, Motion.of(process, x, 0.0), generator=generator)
    bursts = Bursts.of(process, x, pace, generator=generator)
    is_reversible = is_gradient(process, x.shape[1])
    features = chosen_features(bursts, n_modes, is_reversible=is_reversible, generator=generator)
    modes = generator_modes(bursts, features, n_modes, is_reversible=is_reversible)
    _check_held(process, modes, pace)
    k = _n_sets(modes, n_sets)
    shaped = modes.functions(bursts.motion.x)
    sets = Sets.of(shaped, torch.ones(len(shaped)).double(), k, generator=generator)
    functions = modes.functions(x)
    labels = sets.labels(functions)
    crossings = None
    if k > 1:
        crossings = _crossings(bursts, modes, sets, pace, generator, progress=progress)
    return LawModes(modes, functions, sets, labels, crossings, is_reversible)


def _n_sets(modes: GeneratorModes, asked: int | None) -> int:
    """Return how many sets to look for, by modes that do not rotate.

    Raises
    ------
    ValueError
        More were asked for than there are such modes before the first rotation.
    """
    rotates = (modes.eigenvalues.imag != 0).tolist()
    n_real = rotates.index(True) if any(rotates) else len(rotates)
    if asked is None:
        return min(n_sets_of(modes.rates, modes.errors), n_real + 1)
    if asked - 1 > n_real:
        raise ValueError(
            f"{asked} sets need {asked - 1} slow modes that do not rotate; found {n_real}"
        )
    return asked


def _check_held(process: Process, modes: GeneratorModes, pace: Pace) -> None:
    """Raise where modes do not decay, as those of cells that nothing holds."""
    grows = modes.rates + 3 * modes.errors < -_GROWS * pace.usual
    stays = torch.maximum(modes.rates.abs(), modes.errors) < _STAYS * pace.usual
    if bool((grows | stays).any()):
        raise ValueError(
            f"{type(process).__name__} does not keep these cells together: what they are at the "
            "start grows or stays for good, rates "
            f"{[round(rate, 6) for rate in modes.rates.tolist()]}, and a law without a stationary "
            "state has no slow modes. Couplings have: ct.tl.slow_modes(adata) after "
            "ct.tl.couplings(adata, model)"
        )


def _crossings(
    bursts: Bursts,
    modes: GeneratorModes,
    sets: Sets,
    pace: Pace,
    generator: torch.Generator,
    *,
    progress: bool,
) -> Crossings:
    """Return the crossings of paths that start from cells in the cores of all sets."""
    x, k = bursts.motion.x, sets.n_sets
    distance, nearest = sets.distances(modes.functions(x)).min(1)
    radius = torch.stack([distance[nearest == i].quantile(_CORE) for i in range(k)])

    def core_of(states: Cells) -> Tensor:
        distance, nearest = sets.distances(modes.functions(states)).min(1)
        return torch.where(distance <= radius[nearest], nearest, -1)

    cores, each = core_of(x), math.ceil(_PATHS / k)
    rows = []
    for i in range(k):
        inside = (cores == i).nonzero()[:, 0]
        rows.append(inside[torch.randint(len(inside), (each,), generator=generator)])
    starts = x[torch.cat(rows)]
    return count_crossings(
        bursts.process, starts, core_of, k, pace=pace, generator=generator, progress=progress
    )
