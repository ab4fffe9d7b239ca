"""Any network of the user's as a reference, and two of ours."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from celltraj._card import card
from celltraj._typing import Cells
from celltraj.models.references._regression import fit_module
from celltraj.models.references.family import Paths, sigma_of


@card()
@dataclass(frozen=True, eq=False)
class ModuleReference:
    r"""Move cells by ``dX = module(t, X) dt + sigma dW``, for any ``torch.nn.Module``.

    ``fit`` is least squares by L-BFGS on the drift of the bridge, from the weights it has; the
    module that is passed is copied to double precision and left as it is.

    Parameters
    ----------
    module
        ``module(t, x) -> (n, d)`` drift in [x]/[t], for ``t (n, 1)`` in the user's unit and
        ``x (n, d)``, both float64.
    sigma
        Diffusion, in [x]/sqrt([t]); None takes that of the call that fits.
    decay
        Weight of the squared weight matrices, against 1 for the squared velocity.
    max_iter
        Iterations of L-BFGS in each fit.

    Raises
    ------
    TypeError
        ``module`` is not a ``torch.nn.Module``.

    Examples
    --------
    >>> import torch
    >>> from celltraj.models import ModuleReference
    >>> class Pull(torch.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.rate = torch.nn.Parameter(torch.tensor(2.0))
    ...     def forward(self, t, x):
    ...         return -self.rate * x
    >>> ModuleReference(Pull()).drift(0.0, torch.ones(1, 2))
    tensor([[-2., -2.]])
    """

    module: torch.nn.Module
    sigma: float | None = None
    decay: float = 0.0
    max_iter: int = 100

    def __post_init__(self) -> None:
        if not isinstance(self.module, torch.nn.Module):
            raise TypeError(f"expected a torch.nn.Module, found {type(self.module).__name__}")
        object.__setattr__(self, "module", copy.deepcopy(self.module).double())

    @property
    def is_fitted(self) -> bool:
        """Whether the start is a member of its own: weights are only where learning begins."""
        return False

    def drift(self, t: float, x: Cells) -> Cells:
        """Return ``module(t, x)``, ``(n, d)``, in [x]/[t].

        Raises
        ------
        ValueError
            The module returns another shape, or a number that is not finite.
        """
        return evaluate(self.module, t, x)

    def diffusion(self, t: float, x: Cells) -> Cells:
        """Return ``sigma`` everywhere, ``(n, d)``, in [x]/sqrt([t])."""
        return torch.full_like(x, sigma_of(self))

    def estimates(self) -> dict[str, float]:
        """Return the parameters that are single numbers, by their name in the module."""
        named = self.module.named_parameters()
        return {name: float(value.detach()) for name, value in named if value.numel() == 1}

    def fit(self, paths: Sequence[Paths], *, generator: torch.Generator) -> ModuleReference:
        """Return the member nearest to ``paths``; ``generator`` chooses points of them."""
        fitted = fit_module(
            self.module, paths, decay=self.decay, max_iter=self.max_iter, generator=generator
        )
        return replace(self, module=fitted)


def evaluate(module: torch.nn.Module, t: float, x: Cells) -> Cells:
    """Return ``module(t, x)`` without a gradient, in the precision of ``x``.

    Raises
    ------
    ValueError
        The module returns another shape, or a number that is not finite.
    """
    with torch.no_grad():
        value = module(torch.full((len(x), 1), t, dtype=torch.float64), x.double())
    if not isinstance(value, Tensor) or value.shape != x.shape:
        found = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
        raise ValueError(
            f"{type(module).__name__}(t, x) returned {found} for x of shape {tuple(x.shape)}; "
            "a drift has the shape of x"
        )
    if not torch.isfinite(value).all():
        n_bad = int((~torch.isfinite(value)).any(1).sum())
        raise ValueError(
            f"{type(module).__name__}(t, x) is NaN or infinite for {n_bad} of {len(x)} states "
            f"at time {t:g}"
        )
    return value.to(x.dtype)
