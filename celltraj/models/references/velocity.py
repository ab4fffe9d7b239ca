"""A law of motion that measured velocities of cells and snapshots have a say in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from celltraj._card import card
from celltraj._checks import checked_fields
from celltraj._typing import Cells
from celltraj.models.references._parameters import check_sigma
from celltraj.models.references._regression import stack_points
from celltraj.models.references.family import Paths, sigma_of
from celltraj.models.references.kernel import KernelReference

_MOST_CELLS = 5_000  # with velocities, of which a smooth law learns as much as of more


@card()
@checked_fields
@dataclass(frozen=True, eq=False)
class VelocityReference:
    r"""RNA velocity as the reference: one smooth law that velocities and snapshots agree on.

    ``b = argmin (1 - a) E_paths |v - b|^2 + a E_cells |c w_i - b(x_i)|^2 + ridge |b|^2`` over the
    drifts of a :class:`celltraj.models.KernelReference`, with ``w_i`` the measured velocity of a
    cell, ``v`` the velocity of paths between snapshots, ``a`` the strength and ``c`` the unit. So
    velocities are smoothed over neighbouring cells and weighed against the snapshots, which fix
    where cells are and say little of how they move in between. ``ct.tl.fit_bridge`` finds the
    strength by snapshots that are left out: 0, and a warning, where velocities foretell them no
    better than the law of the snapshots alone.

    Parameters
    ----------
    key
        Where the velocities lie: a key of ``layers``, of the genes, or of ``obsm``. Genes are
        projected by the loadings in ``varm["PCs"]`` where the bridge is fitted in ``X_pca``.
    strength
        Say ``a`` of the velocities, in [0, 1]; None to find it.
    unit
        Factor ``c`` from the unit of the velocities to [x]/[t]; None to fit it to the snapshots,
        since the time of scVelo and of others has no unit.
    sigma
        Diffusion, in [x]/sqrt([t]); None takes that of the call that fits.
    cells, velocities
        ``(n, d)`` states with a velocity, in [x], and these; read from ``key`` where omitted.
    law
        The smooth law, fitted or not.

    Raises
    ------
    ValueError
        ``strength`` is outside [0, 1], ``unit`` not positive, or cells and velocities differ in
        shape.

    References
    ----------
    La Manno et al., *RNA velocity of single cells* (2018); Bergen et al. (2020).

    Examples
    --------
    >>> import celltraj as ct
    >>> adata = ct.datasets.branching(n_cells=50, seed=0)
    >>> adata.obsm["velocity"] = 0 * adata.X + 1.0
    >>> bridge = ct.tl.fit_bridge(
    ...     adata, reference=ct.models.VelocityReference("velocity", strength=0.5), training=None,
    ...     progress=False,
    ... )
    >>> type(bridge.reference).__name__  # the law that they agree on
    'KernelReference'
    """

    key: str = "velocity"
    strength: float | None = None
    unit: float | None = None
    sigma: float | None = None
    cells: Tensor | None = None
    velocities: Tensor | None = None
    law: KernelReference = field(default_factory=lambda: KernelReference(n_scales=2))

    def __post_init__(self) -> None:
        check_sigma(self)
        if self.strength is not None and not 0 <= self.strength <= 1:
            raise ValueError(f"strength must lie in [0, 1]; found {self.strength}")
        if self.unit is not None and not self.unit > 0:
            raise ValueError(f"unit must be positive; found {self.unit}")
        if (self.cells is None) != (self.velocities is None):
            raise ValueError("pass cells= and velocities= together, or neither")
        if self.cells is not None and self.velocities is not None:
            shapes = tuple(self.cells.shape), tuple(self.velocities.shape)
            if shapes[0] != shapes[1] or self.cells.ndim != 2:
                raise ValueError(
                    f"cells have shape {shapes[0]}, velocities {shapes[1]}; both must be (n, d)"
                )

    @property
    def dim(self) -> int | None:
        """Number of variables; None before velocities are read."""
        return None if self.cells is None else self.cells.shape[1]

    @property
    def is_fitted(self) -> bool:
        """Whether the law is known."""
        return self.law.is_fitted

    @property
    def is_smooth(self) -> bool:
        """Whether a few steps follow the drift over a gap: yes, by the lengths of the kernel."""
        return True

    @property
    def common_slope(self) -> Tensor | None:
        """Return the mean slope of the law, ``(d, d)``, above ten variables; else None."""
        return self.law.common_slope

    def drift(self, t: float, x: Cells) -> Cells:
        """Return the drift of the law, ``(n, d)``, in [x]/[t]."""
        return self.law.drift(t, x)

    def drift_and_jacobian(self, t: float, x: Cells) -> tuple[Cells, Tensor]:
        """Return the drift ``(n, d)`` and its derivatives ``(n, d, d)``, in 1/[t]."""
        return self.law.drift_and_jacobian(t, x)

    def diffusion(self, t: float, x: Cells) -> Cells:
        """Return ``sigma`` everywhere, ``(n, d)``, in [x]/sqrt([t])."""
        return torch.full_like(x, sigma_of(self))

    def estimates(self) -> dict[str, float]:
        """Return nothing: the weights have no meaning of their own."""
        return {}

    def fit(self, paths: Sequence[Paths], *, generator: torch.Generator) -> VelocityReference:
        """Return the law that ``paths`` and velocities agree on; ``generator`` chooses centres.

        Raises
        ------
        ValueError
            The velocities have not been read, or the strength has not been found.
        """
        if self.cells is None or self.velocities is None or self.strength is None:
            raise ValueError(
                "VelocityReference has no velocities or no strength yet: pass it to "
                "ct.tl.fit_bridge, or give it cells=, velocities= and strength="
            )
        measured = self._measured(generator)
        unit = self._unit(measured, paths, generator)
        if self.strength == 0 or unit == 0:
            parts = list(paths)
        else:
            total = sum(float(part.times[-1] - part.times[0]) for part in paths)
            share = self.strength / max(1 - self.strength, 1e-9) * total
            told = replace(
                measured, velocity=unit * measured.velocity, weights=share * measured.weights
            )
            parts = [told] if self.strength == 1 else [*paths, told]
        return replace(self, law=self.law.fit(parts, generator=generator))

    def _measured(self, generator: torch.Generator) -> Paths:
        """Return cells and their velocities as one step of paths, of total weight one."""
        cells, velocities = self.cells, self.velocities
        if cells is None or velocities is None:
            raise ValueError("VelocityReference has no velocities yet")
        few = torch.randperm(len(cells), generator=generator)[:_MOST_CELLS]
        x, v = cells[few].double(), velocities[few].double()
        weights = torch.full((len(few),), 1 / len(few), dtype=torch.float64)
        return Paths(torch.tensor([0.0, 1.0]).double(), torch.stack([x, x]), v[None], weights)

    def _unit(self, measured: Paths, paths: Sequence[Paths], generator: torch.Generator) -> float:
        """Return the factor ``E v.w / E |w|^2`` of the velocities; 0 where they run against."""
        if self.unit is not None:
            return self.unit
        smooth = replace(self.law, weights=None, centres=None, frame=None).fit(
            [measured], generator=generator
        )
        _, x, v, weights = stack_points(paths)
        told = smooth.drift(0.0, x)
        size = float(weights @ told.square().sum(1))
        return max(0.0, float(weights @ (told * v).sum(1)) / size) if size > 0 else 0.0
