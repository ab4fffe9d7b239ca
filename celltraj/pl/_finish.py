"""The shared beginning and ending of every plot."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import ParamSpec, TypeVar

import matplotlib.pyplot as plt
import scanpy as sc
from matplotlib.axes import Axes
from matplotlib.figure import Figure

Save = bool | str | Path | None
P = ParamSpec("P")
Drawn = TypeVar("Drawn")


def tidy(function: Callable[P, Drawn]) -> Callable[P, Drawn]:
    """Decorate a plot: what cannot be saved is refused before, and no half of a figure stays.

    Raises
    ------
    ValueError
        ``save`` is a path given as text.
    """

    @wraps(function)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> Drawn:
        check_save(kwargs.get("save"))
        known = set(plt.get_fignums())
        try:
            return function(*args, **kwargs)
        except BaseException:
            for number in set(plt.get_fignums()) - known:
                plt.close(number)
            raise

    return drawn


def check_save(save: object) -> None:
    """Raise where a path is given as text.

    Raises
    ------
    ValueError
        It is.
    """
    if isinstance(save, str) and {"/", "\\"} & set(save):
        raise ValueError(
            f"save={save!r} is a path given as text, and text ends the name of a file in "
            f"sc.settings.figdir, as in scanpy; pass save=Path({save!r})"
        )


def axes_of(ax: Axes | None) -> Axes:
    """Return ``ax``, or the axes of a new figure."""
    return plt.subplots(layout="constrained")[1] if ax is None else ax


def finish(
    name: str, figure: Figure, drawn: object, *, show: bool | None, save: Save, return_fig: bool
) -> object:
    """Save, show and return as scanpy's plots do.

    Returns the figure, nothing once it was shown, or what was ``drawn``.
    """
    save = sc.settings.autosave if save is None else save
    if save:
        path = _path_of(name, save)
        path.parent.mkdir(parents=True, exist_ok=True)
        chosen = plt.rcParams["savefig.dpi"]  # a number once sc.set_figure_params was called
        figure.savefig(path, bbox_inches="tight", dpi=150 if chosen == "figure" else chosen)
    if return_fig:
        return figure
    if sc.settings.autoshow if show is None else show:
        plt.show()
        return None
    return drawn


def _path_of(name: str, save: Save) -> Path:
    """Return where to save: a ``Path`` as it is, else by scanpy's rule in its figure folder."""
    if isinstance(save, Path):
        return save
    suffix = save if isinstance(save, str) else ""
    has_format = suffix.endswith((".svg", ".pdf", ".png"))
    ending = "" if has_format else f"{sc.settings.plot_suffix}.{sc.settings.file_format_figs}"
    return Path(sc.settings.figdir) / f"{name}{suffix}{ending}"
