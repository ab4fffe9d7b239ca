"""What a response is told besides its training."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import pandas as pd

from celltraj._checks import check_option, checked_fields
from celltraj.models.encoders import (
    CellEncoder,
    Encoder,
    Moments,
    PopulationEncoder,
    carrying,
    pooling,
)
from celltraj.models.interpolants import BrownianBridgeInterpolant, Interpolant
from celltraj.ot import Solver, solve
from celltraj.ot.solver import check_solver

_KERNELS = 4


@checked_fields
@dataclass(frozen=True)
class ResponseOptions:
    """Say how populations and conditions enter a response, and how its cells are coupled.

    Parameters
    ----------
    encoder
        What embeds the untreated population, or gives each of its cells features of its own
        (:class:`celltraj.models.GraphEncoder`); None for a field that knows nothing of it but what
        the neighbourhood of a cell shows. By default ``"auto"``:
        :class:`celltraj.models.Moments`, unless there are more than five populations, neighbours in
        the others tell little of their cells (see ``base``), and small networks, taught on half of
        the populations, explain more of the ways of the cells of the others with ``GraphEncoder()``
        or ``GraphEncoder(is_equivariant=True)``, by more than the standard error over populations,
        and keep seven tenths of the variance.
        Where ``n_kernels`` is given or ``kl`` is not 0, which ask for moments, and in trainings of
        fewer than 500 steps, nothing is chosen.
    n_kernels
        Kernels by which a cell sees the cells of its population around it, at the same time of the
        response; 0 for none. By default 4, and 0 where cells carry features of their own.
    coupling
        Coupling solver. ``ct.ot.solve`` keeps the mass of every cell; under
        ``ct.ot.Unbalanced()`` cells may die, and the model predicts which.
    interpolant
        Paths between coupled cells.
    sigma
        Noise of couplings and paths, in [x] per square root of the duration of the response; by
        default a hundredth of the mean squared displacement goes to noise.
    condition_features
        A row of numbers for each drug, such as a fingerprint, under its name in the index of a
        table, or by name: drugs that were never given can then be predicted. By default drugs are
        known by name.
    covariate_keys
        Covariates of the treated cells, such as age or batch, by name (columns of ``obs``): text is
        categorical.
    n_populations
        Populations, each under one condition, per step of the training.
    n_context
        Cells that a population is embedded by in a step, and that stand for it.
    cell_dropout
        Share of these that are hidden at random, against memorising populations.
    kl
        Weight of the divergence of embeddings from a standard normal distribution; above 0 they
        are noisy in training, which bounds what they can tell of a single patient.
    weight_decay
        Decay of the weights that read state and population, per step and unit of the learning rate
        (AdamW's): towards a law by which a condition moves all cells of all populations alike.
    base
        Weight of the base, the mean way of the nearest untreated cells of other populations under
        the same condition, see :class:`celltraj.models.NeighbourTransfer`; the network has the
        rest of 1, and all of it where no other population had the condition. By default a half, but
        0 where there are more than five populations and their neighbours in the others bring them,
        on average, less than half of the way to their treated cells, in energy distance.
    weigh_base
        Whether small networks shall find, with more than five populations, whether the network adds
        to neighbours: each population is predicted by the mean of four that have not seen it. The
        base gets more than a half only where they leave a larger energy distance than neighbours
        alone by more than its standard error. They take about three tenths of the time of the
        training again; one of less than some 2,200 steps is too short for them to tell.
    unknown
        Share of the steps in which the embedding, and apart from it the condition, is hidden: what
        guidance needs.
    n_models
        Networks of an ensemble, fitted to the same couplings from other seeds, in the processes of
        ``joblib.parallel_config``. A prediction is their mean, and says how far they disagree.
    survival_key
        Column of ``obs`` with the number of cells, or their viability: one number for a population
        under a condition, of which that over the control's is the share that lived (where the
        control has none, the number itself). The model then predicts the share killed.

    Raises
    ------
    TypeError
        A class or a text in place of an encoder, a solver or an interpolant.
    ValueError
        A number is out of range, kernels beside features that cells carry, or a drug has several
        rows of features.

    Examples
    --------
    >>> import celltraj as ct
    >>> ct.models.ResponseOptions(
    ...     encoder=ct.models.DeepSets(), coupling=ct.ot.Unbalanced()
    ... ).kernels
    4
    """

    encoder: Encoder | Literal["auto"] | None = "auto"
    n_kernels: int | None = None
    coupling: Solver = solve
    interpolant: Interpolant = field(default_factory=BrownianBridgeInterpolant)
    sigma: float | None = None
    condition_features: pd.DataFrame | Mapping[str, Sequence[float]] | None = None
    covariate_keys: Sequence[str] = ()
    n_populations: int = 8
    n_context: int = 128
    cell_dropout: float = 0.1
    kl: float = 0.0
    weight_decay: float = 1.0
    unknown: float = 0.1
    base: float | None = None
    weigh_base: bool = False
    n_models: int = 1
    survival_key: str | None = None

    def __post_init__(self) -> None:
        if self.encoder not in (None, "auto") and self.carrying is None:
            check_option(self.encoder, PopulationEncoder, "encoder", "ct.models.Moments()")
        check_solver(self.coupling, "coupling")
        example = "ct.models.BrownianBridgeInterpolant()"
        check_option(self.interpolant, Interpolant, "interpolant", example)
        object.__setattr__(self, "covariate_keys", tuple(self.covariate_keys))
        self._check_numbers()
        self.features()

    @property
    def pooling(self) -> PopulationEncoder | None:
        """The encoder where it embeds a population."""
        return pooling(self.used_encoder)

    @property
    def carrying(self) -> CellEncoder | None:
        """The encoder where it gives each cell features of its own."""
        return carrying(self.used_encoder)

    @property
    def asks_for_moments(self) -> bool:
        """Whether something is asked for that only fields of moments have."""
        return self.n_kernels is not None or self.kl > 0

    @property
    def used_encoder(self) -> Encoder | None:
        """The encoder, that of most fits where none is chosen yet."""
        return Moments() if isinstance(self.encoder, str) else self.encoder

    @property
    def kernels(self) -> int:
        """Kernels by which a cell sees those around it."""
        if self.n_kernels is not None:
            return self.n_kernels
        return _KERNELS if self.carrying is None else 0

    def _check_numbers(self) -> None:
        if self.carrying is not None and self.kernels:
            raise ValueError(
                "cells that carry what they saw of their population see it through no kernels; "
                f"found n_kernels={self.kernels}, pass n_kernels=0 or leave it out"
            )
        if min(self.n_populations, self.n_context) < 1 or self.kernels < 0:
            raise ValueError(
                "n_populations and n_context must be positive and n_kernels not negative; found "
                f"{self.n_populations}, {self.n_context} and {self.kernels}"
            )
        if self.n_models < 1:
            raise ValueError(f"n_models must be at least 1; found {self.n_models}")
        if not 0 <= self.cell_dropout < 1 or not 0 <= self.unknown < 1:
            raise ValueError(
                "cell_dropout and unknown must lie in [0, 1); found "
                f"{self.cell_dropout} and {self.unknown}"
            )
        if not 0 <= self.kl < math.inf or not 0 <= self.weight_decay < math.inf:
            raise ValueError(
                f"kl and weight_decay must not be negative; found {self.kl} and {self.weight_decay}"
            )
        if self.base is not None and not 0 <= self.base <= 1:
            raise ValueError(f"base must lie between 0 and 1; found {self.base}")
        if self.weigh_base and self.base is not None:
            raise ValueError(
                f"weigh_base=True finds the weight that base={self.base:g} gives; leave one out"
            )
        if self.sigma is not None and not 0 < self.sigma < math.inf:
            raise ValueError(f"sigma must be positive and finite; found {self.sigma}")

    def features(self) -> dict[str, list[float]] | None:
        """Return the features of each drug by its name; None where drugs are known by name alone.

        Raises
        ------
        ValueError
            A drug has several rows.
        """
        table = self.condition_features
        if table is None:
            return None
        if not isinstance(table, pd.DataFrame):
            return {str(name): [float(v) for v in row] for name, row in table.items()}
        names = [str(name) for name in table.index]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"condition_features has several rows for {twice}; keep one of each")
        return dict(zip(names, table.to_numpy(dtype=float).tolist(), strict=True))

    def numbers(self) -> dict[str, float]:
        """Return what a training with other numbers would differ in."""
        names = ("n_populations", "n_context", "cell_dropout", "kl", "weight_decay", "unknown")
        return {name: getattr(self, name) for name in names}

    def check_decay(self, learning_rate: float) -> None:
        """Raise where the decay would take the whole of a weight in a step.

        Raises
        ------
        ValueError
            It does.
        """
        if self.weight_decay * learning_rate >= 1:
            raise ValueError(
                "weight_decay x learning_rate must stay below 1, the whole of a weight per step; "
                f"found {self.weight_decay:g} x {learning_rate:g}"
            )
