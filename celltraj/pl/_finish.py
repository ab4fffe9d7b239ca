"""The shared beginning and ending of every plot."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import ParamSpec, TypeVar

import matplotlib.pyplot as plt
import numpy as np
import scanpy as sc
from matplotlib.animation import Animation
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from celltraj._errors import warn
from celltraj._writable import check_file, check_folder
from celltraj.pl._style import PLAIN, Style

Save = bool | str | Path | None
P = ParamSpec("P")
Drawn = TypeVar("Drawn")


def tidy(function: Callable[P, Drawn]) -> Callable[P, Drawn]:
    """Decorate a plot: what cannot be saved is refused before, and no half of a figure stays.

    What was saved is closed, as in scanpy, so that a notebook does not show it once more.

    Raises
    ------
    ValueError
        ``save`` is a path given as text.
    NotADirectoryError, PermissionError
        Nothing can be written there.
    """

    @wraps(function)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> Drawn:
        save = kwargs.get("save")
        check_save(save)
        if isinstance(save, Save) and is_saved(save):  # what else it may be is refused below
            _check_place(save)
        known = set(plt.get_fignums())
        try:
            result = function(*args, **kwargs)
        except BaseException:
            _close(set(plt.get_fignums()) - known)
            raise
        if is_saved(kwargs.get("save")) and not isinstance(result, Animation):
            _close(set(plt.get_fignums()) - known)
        return result

    return drawn


def is_saved(save: object) -> bool:
    """Return whether a figure is written, by itself or since all are."""
    return bool(sc.settings.autosave if save is None else save)


def _check_place(save: object) -> None:
    """Raise where no figure can be written: to a path, or to scanpy's folder."""
    if isinstance(save, Path):
        check_file(save)
    else:
        check_folder(Path(sc.settings.figdir))


def _close(numbers: set[int]) -> None:
    for number in numbers:
        plt.close(number)


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


def axes_of(ax: Axes | None, look: Style = PLAIN, size: tuple[float, float] | None = None) -> Axes:
    """Return ``ax``, or the axes of a new figure, of ``size`` unless the style says another.

    Raises
    ------
    ValueError
        The style is for a new figure, and ``ax`` is given.
    """
    look.check_new(ax)
    if ax is not None:
        return ax
    return plt.subplots(figsize=look.figsize or size, layout="constrained")[1]


def finish(
    name: str,
    drawn: object,
    *,
    show: bool | None,
    save: Save,
    return_fig: bool,
    look: Style = PLAIN,
) -> object:
    """Style, save, show and return as scanpy's plots do.

    Returns the figure, nothing once it was shown, or what was ``drawn``: axes or an array of them.
    """
    axes = list(np.ravel(np.asarray(drawn, dtype=object)))
    look.finish(axes)
    figure: Figure = axes[0].figure
    if is_saved(save):
        write_figure(figure, _path_of(name, True if save is None else save))
        warn_of_text(name, save)
    if return_fig:
        return figure
    if sc.settings.autoshow if show is None else show:
        plt.show()
        return None
    return drawn


def write_figure(figure: Figure, path: Path) -> None:
    """Write a figure, its folder too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    chosen = plt.rcParams["savefig.dpi"]  # a number once sc.set_figure_params was called
    figure.savefig(path, bbox_inches="tight", dpi=150 if chosen == "figure" else chosen)


def warn_of_text(name: str, save: object) -> None:
    """Say that names of files in scanpy's folder come to an end, as scanpy 1.12 does."""
    if save is not None and not isinstance(save, Path):
        warn(
            f"save={save!r} writes to sc.settings.figdir, which scanpy 1.12 deprecates; pass "
            f"save=Path('{name}.png'), or save the figure that return_fig=True returns",
            FutureWarning,
        )


def _path_of(name: str, save: Save) -> Path:
    """Return where to save: a ``Path`` as it is, else by scanpy's rule in its figure folder."""
    if isinstance(save, Path):
        return save
    suffix = save if isinstance(save, str) else ""
    has_format = suffix.endswith((".svg", ".pdf", ".png"))
    ending = "" if has_format else f"{sc.settings.plot_suffix}.{sc.settings.file_format_figs}"
    return Path(sc.settings.figdir) / f"{name}{suffix}{ending}"
