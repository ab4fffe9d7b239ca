"""How a plot is to look, by scanpy's names: one object that checks and applies them."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import matplotlib as mpl
import numpy as np
from cycler import Cycler
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, Normalize

Palette = (
    str | Sequence[str | tuple[float, ...]] | Mapping[str, object] | Cycler  # type: ignore[type-arg]
)
Bound = float | str


@dataclass(frozen=True, kw_only=True)
class Style:
    """How a plot is to look, by scanpy's names; None where the plot decides by itself.

    Raises
    ------
    ValueError
        An opacity, an area, a size or a range is none, or there is no such map.
    """

    palette: Palette | None = None
    groups: str | Sequence[str] | None = None
    cmap: str | Colormap | None = None
    vmin: Bound | None = None
    vmax: Bound | None = None
    size: float | None = None
    alpha: float | None = None
    legend_loc: str | None = None
    title: str | Sequence[str] | None = None
    frameon: bool | None = None
    figsize: tuple[float, float] | None = None
    ncols: int | None = None

    def __post_init__(self) -> None:
        if self.alpha is not None and not 0 <= self.alpha <= 1:
            raise ValueError(f"alpha must lie between 0 and 1; found {self.alpha:g}")
        if self.size is not None and not self.size > 0:
            raise ValueError(f"size must be above 0; found {self.size:g}")
        if self.ncols is not None and self.ncols < 1:
            raise ValueError(f"ncols must be at least 1; found {self.ncols}")
        if self.figsize is not None and not min(self.figsize) > 0:
            raise ValueError(f"figsize must be two lengths above 0 in inches; found {self.figsize}")
        for name in ("vmin", "vmax"):
            _check_bound(name, getattr(self, name))
        if isinstance(self.cmap, str):
            named_map(self.cmap, "cmap")

    def check_new(self, ax: Axes | None) -> None:
        """Raise where what belongs to a new figure is asked of the user's axes.

        Raises
        ------
        ValueError
            It is.
        """
        for name in ("figsize", "ncols"):
            if ax is not None and getattr(self, name) is not None:
                raise ValueError(f"{name}= is for a new figure; leave it out, or leave out ax=")

    def map(self, default: str | Colormap) -> Colormap:
        """Return the map of numbers to colours."""
        chosen = default if self.cmap is None else self.cmap
        return named_map(chosen, "cmap") if isinstance(chosen, str) else chosen

    def scale(self, values: np.ndarray, default: tuple[float, float] | None = None) -> Normalize:
        """Return the range of numbers that the colours tell apart.

        Parameters
        ----------
        values
            Numbers that are drawn, of any shape; what is not finite does not count.
        default
            The range without ``vmin`` and ``vmax``, by default that of the numbers.

        Raises
        ------
        ValueError
            ``vmin`` is not below ``vmax``.
        """
        known = np.asarray(values, dtype=float)
        known = known[np.isfinite(known)]
        ends = default or ((known.min(), known.max()) if len(known) else (0.0, 1.0))
        low, high = (
            end if bound is None else _value_of(bound, known)
            for bound, end in zip((self.vmin, self.vmax), ends, strict=True)
        )
        if (self.vmin is not None or self.vmax is not None) and not low < high:
            raise ValueError(f"vmin must lie below vmax; found {low:g} and {high:g}")
        return Normalize(low, high)

    def dots(self, area: float, alpha: float | None = None) -> dict[str, Any]:
        """Return how dots of cells are drawn, of ``area`` and ``alpha`` unless told otherwise."""
        return {
            "s": area if self.size is None else float(self.size),
            "alpha": alpha if self.alpha is None else float(self.alpha),
            "lw": 0,
            "rasterized": True,
        }

    def opacity(self, default: float) -> float:
        """Return the opacity, ``default`` unless told otherwise."""
        return default if self.alpha is None else float(self.alpha)

    def group_names(self, names: Sequence[str], what: str) -> list[str]:
        """Return those of the groups that are to be drawn, in their order.

        Raises
        ------
        ValueError
            One of them is not there.
        """
        if self.groups is None:
            return list(names)
        wanted = [self.groups] if isinstance(self.groups, str) else list(map(str, self.groups))
        if not wanted or (unknown := [one for one in wanted if one not in names]):
            raise ValueError(
                f"groups= names {unknown if wanted else 'none'}, which {what} does not have; "
                f"found {list(names)[:20]}"
            )
        return [one for one in names if one in wanted]

    def finish(self, axes: Sequence[Axes]) -> None:
        """Set title and frame of what was drawn.

        Raises
        ------
        ValueError
            There are more or fewer titles than panels.
        """
        if self.frameon is not None:
            for one in axes:
                one.spines[:].set_visible(self.frameon)
        if isinstance(self.title, str):
            if len(axes) == 1:
                axes[0].set_title(self.title)
            else:
                cast("Any", axes[0].figure).suptitle(self.title)
        elif self.title is not None:
            if len(self.title) != len(axes):
                raise ValueError(f"title has {len(self.title)} texts for {len(axes)} panels")
            for one, text in zip(axes, self.title, strict=True):
                one.set_title(text)


def named_map(name: str, argument: str) -> Colormap:
    """Return a map by its name.

    Raises
    ------
    ValueError
        matplotlib knows none of that name.
    """
    if name not in mpl.colormaps:
        near = difflib.get_close_matches(name, list(mpl.colormaps), n=1)
        hint = f"did you mean {near[0]!r}?" if near else "such as 'viridis' is one"
        raise ValueError(f"{argument}={name!r} is no map of colours that matplotlib knows; {hint}")
    return mpl.colormaps[name]


def _check_bound(name: str, bound: Bound | None) -> None:
    if not isinstance(bound, str):
        return
    try:
        share = float(bound.removeprefix("p")) if bound.startswith("p") else np.nan
    except ValueError:
        share = np.nan
    if not 0 <= share <= 100:
        raise ValueError(f"{name} must be a number, or a percentile such as 'p99'; found {bound!r}")


def _value_of(bound: Bound, values: np.ndarray) -> float:
    if not isinstance(bound, str):
        return float(bound)
    return float(np.percentile(values, float(bound.removeprefix("p")))) if len(values) else 0.0


PLAIN = Style()
