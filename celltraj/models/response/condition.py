"""Say what was done to a population, and turn it into numbers a network reads."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from numbers import Real
from typing import Any

import torch
from torch import Tensor

from celltraj._card import card

Value = str | float


@dataclass(frozen=True)
class Condition:
    """Describe a treatment: a set of drugs with their doses, and covariates.

    Parameters
    ----------
    drugs
        Names of the drugs given together, in any order.
    doses
        Positive dose of each, in your unit; empty where doses are not known.
    covariates
        Value of each covariate, in the order of the model's.

    Raises
    ------
    ValueError
        No drug, one drug twice, another number of doses than of drugs, or a dose that is not
        positive and finite.

    Examples
    --------
    >>> from celltraj.models import Condition
    >>> Condition(("B", "A"), (1.0, 10.0)).name
    'A 10 + B 1'
    """

    drugs: tuple[str, ...]
    doses: tuple[float, ...] = ()
    covariates: tuple[Value, ...] = ()

    def __post_init__(self) -> None:
        if not self.drugs or len(set(self.drugs)) < len(self.drugs):
            raise ValueError(f"a condition names one drug or more, each once; found {self.drugs}")
        if self.doses and len(self.doses) != len(self.drugs):
            raise ValueError(f"{len(self.drugs)} drugs need as many doses; found {self.doses}")
        if not all(isinstance(d, Real) and 0 < d < math.inf for d in self.doses):
            raise ValueError(
                f"doses must be positive and finite; found {self.doses}. No drug at all is the "
                "control"
            )

    @property
    def name(self) -> str:
        """The drugs in alphabetical order, each with its dose, joined by a plus sign."""
        doses = self.doses or (None,) * len(self.drugs)
        parts = sorted(zip(self.drugs, doses, strict=True))
        return " + ".join(d if dose is None else f"{d} {dose:g}" for d, dose in parts)


@card()
@dataclass(frozen=True)
class Covariate:
    """Turn one covariate into numbers.

    Parameters
    ----------
    name
        What it is called.
    categories
        Values of a categorical covariate; empty for a continuous one.
    mean, scale
        What a continuous one is standardised by.

    Examples
    --------
    >>> from celltraj.models import Covariate
    >>> Covariate.of("sex", ["F", "M", "F"]).encode("M")
    [0.0, 1.0]
    """

    name: str
    categories: tuple[str, ...] = ()
    mean: float = 0.0
    scale: float = 1.0

    @classmethod
    def of(cls, name: str, values: Sequence[Value]) -> Covariate:
        """Return the covariate of which these values were seen in training."""
        if any(isinstance(value, str) for value in values):
            return cls(name, tuple(sorted({str(value) for value in values})))
        numbers = torch.tensor([float(value) for value in values], dtype=torch.float64)
        spread = float(numbers.std(correction=0))
        return cls(name, mean=float(numbers.mean()), scale=spread if spread > 0 else 1.0)

    @property
    def size(self) -> int:
        """How many numbers it becomes."""
        return len(self.categories) or 1

    def encode(self, value: Value) -> list[float]:
        """Return the numbers of one value.

        Raises
        ------
        ValueError
            The category was not seen in training, or a continuous value is not finite.
        """
        if self.categories:
            if value not in self.categories:
                raise ValueError(
                    f"covariate {self.name!r} is {value!r}; the model knows {self.categories}"
                )
            return [float(value == one) for one in self.categories]
        if not isinstance(value, Real) or not math.isfinite(value):
            raise ValueError(f"covariate {self.name!r} must be a finite number; found {value!r}")
        return [(float(value) - self.mean) / self.scale]


@card()
@dataclass(frozen=True)
class ConditionCoder:
    """Turn conditions into tokens, one of each drug, and covariates into a vector.

    Parameters
    ----------
    drugs
        Names of the ``k`` drugs of the training.
    features
        ``(k, f)`` what is known of each drug: columns of the identity, or the user's own, with
        which a drug that was never given can be described.
    has_own_features
        Whether they are the user's.
    log_dose
        Mean and standard deviation of the log dose in training; None where there were no doses.
    covariates
        The covariates, in order.

    Examples
    --------
    >>> from celltraj.models import Condition
    >>> from celltraj.models.response.condition import ConditionCoder
    >>> ConditionCoder.of([Condition(("A",)), Condition(("A", "B"))]).tokens(Condition(("B",)))
    tensor([[0., 1., 0.]])
    """

    drugs: tuple[str, ...]
    features: Tensor
    has_own_features: bool = False
    log_dose: tuple[float, float] | None = None
    covariates: tuple[Covariate, ...] = ()

    def facts(self) -> dict[str, Any]:
        """Return all but the features as plain values, as a file holds them."""
        return {
            "drugs": self.drugs,
            "has_own_features": self.has_own_features,
            "log_dose": self.log_dose,
            "covariates": [asdict(one) for one in self.covariates],
        }

    @classmethod
    def of(
        cls,
        conditions: Sequence[Condition],
        *,
        features: Mapping[str, Sequence[float]] | None = None,
        covariate_names: Sequence[str] = (),
    ) -> ConditionCoder:
        """Return the coder of the conditions seen in training.

        Raises
        ------
        ValueError
            A drug without features where others have some, doses for some conditions only, or
            covariates of another number than names.
        """
        told = {len(one.covariates) for one in conditions}
        if told != {len(covariate_names)}:
            raise ValueError(
                f"conditions have {sorted(told)} covariates and covariate_keys= names "
                f"{list(covariate_names)}; name each of them"
            )
        drugs = tuple(sorted({drug for one in conditions for drug in one.drugs}))
        doses = [dose for one in conditions for dose in one.doses]
        if doses and any(not one.doses for one in conditions):
            bare = next(one for one in conditions if not one.doses)
            raise ValueError(f"some conditions have doses, {bare.name!r} has none")
        logs = torch.tensor(doses, dtype=torch.float64).log()
        spread = float(logs.std(correction=0)) if doses else 0.0
        columns = zip(*(one.covariates for one in conditions), strict=True)
        return cls(
            drugs,
            torch.eye(len(drugs)) if features is None else _rows(features, drugs),
            features is not None,
            (float(logs.mean()), spread if spread > 0 else 1.0) if doses else None,
            tuple(Covariate.of(*one) for one in zip(covariate_names, columns, strict=True)),
        )

    @property
    def token_size(self) -> int:
        """Length of a token: the features of a drug and its dose."""
        return self.features.shape[1] + 1

    @property
    def n_covariates(self) -> int:
        """Length of the vector of the covariates."""
        return sum(one.size for one in self.covariates)

    def with_features(self, features: Mapping[str, Sequence[float]]) -> ConditionCoder:
        """Return the coder that knows further drugs by their features.

        Raises
        ------
        ValueError
            The model was fitted without features, so that it can read none, or with another number
            of them.
        """
        if not self.has_own_features:
            raise ValueError(
                f"the model was fitted without features and knows {list(self.drugs)} by name "
                "alone; fit it with condition_features="
            )
        new = tuple(sorted(set(features) - set(self.drugs)))
        added, size = _rows(features, new), self.features.shape[1]
        if added.shape[1] != size:
            raise ValueError(
                f"the model was fitted with {size} features of each drug; found {added.shape[1]}"
            )
        return replace(self, drugs=self.drugs + new, features=torch.cat([self.features, added]))

    def tokens(self, condition: Condition) -> Tensor:
        """Return a token ``(k, f + 1)`` for each drug: its features and its standardised log dose.

        Raises
        ------
        ValueError
            A drug that the model does not know, or a dose where there were none or the reverse.
        """
        if unknown := [drug for drug in condition.drugs if drug not in self.drugs]:
            hint = (
                "pass condition_features= with a row for it"
                if self.has_own_features
                else "a model fitted with condition_features= can predict drugs never given"
            )
            raise ValueError(
                f"unknown drug {unknown[0]!r}; known are {list(self.drugs)}, and {hint}"
            )
        if bool(condition.doses) != (self.log_dose is not None):
            raise ValueError(
                f"the model has no doses; leave those of {condition.name!r} out"
                if self.log_dose is None
                else f"the model was fitted with doses; {condition.name!r} needs one for each drug"
            )
        rows = self.features[[self.drugs.index(drug) for drug in condition.drugs]]
        dose = torch.zeros(len(rows), 1)
        if self.log_dose is not None:
            mean, scale = self.log_dose
            dose = ((torch.tensor(condition.doses).log() - mean) / scale)[:, None]
        return torch.cat([rows, dose.float()], 1)

    def covariate_vector(self, condition: Condition) -> Tensor:
        """Return the covariates ``(q,)`` of a condition.

        Raises
        ------
        ValueError
            Another number of covariates than the model has, or an unknown value.
        """
        if len(condition.covariates) != len(self.covariates):
            names = [one.name for one in self.covariates]
            raise ValueError(f"the model has covariates {names}; found {condition.covariates}")
        pairs = zip(self.covariates, condition.covariates, strict=True)
        return torch.tensor([number for one, value in pairs for number in one.encode(value)])


def _rows(features: Mapping[str, Sequence[float]], drugs: Sequence[str]) -> Tensor:
    """Return the features of each drug as float32."""
    if missing := [drug for drug in drugs if drug not in features]:
        raise ValueError(f"no features for {missing}; give condition_features a row for each drug")
    if not drugs:
        size = len(next(iter(features.values())))
        return torch.empty(0, size)
    lengths = {len(features[drug]) for drug in drugs}
    if len(lengths) > 1:
        raise ValueError(f"every row of condition_features must be as long; found {lengths}")
    rows = torch.tensor([list(features[drug]) for drug in drugs], dtype=torch.float32)
    if not torch.isfinite(rows).all():
        raise ValueError("condition_features holds NaN or infinite values; impute them")
    return rows
