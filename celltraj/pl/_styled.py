"""Which of scanpy's styling a plot takes, in its signature and its docstring.

A plot says by the annotation of its last argument what it takes, ``**style: Unpack[CellStyle]``.
:func:`styled` writes these names into its signature and its docstring;
:class:`~celltraj.pl._style.Style` checks and applies them, so that each means the same everywhere.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from textwrap import fill
from typing import Any, Literal, ParamSpec, TypedDict, TypeVar, cast, get_args, get_type_hints

from matplotlib.colors import Colormap

from celltraj.pl._style import Bound, Palette

_INDENT: dict[str, Any] = dict.fromkeys(("initial_indent", "subsequent_indent"), "    ")
P = ParamSpec("P")
Drawn = TypeVar("Drawn")
LegendLoc = Literal[
    "none",
    "right margin",
    "best",
    "upper right",
    "upper left",
    "lower left",
    "lower right",
    "center left",
    "center right",
    "lower center",
    "upper center",
    "center",
]
CellLegendLoc = Literal["on data", LegendLoc]


class FigureStyle(TypedDict, total=False):
    """What every plot takes."""

    title: str | Sequence[str]
    frameon: bool
    figsize: tuple[float, float]


class PanelStyle(FigureStyle, total=False):
    """What plots of several panels take."""

    ncols: int


class LineStyle(FigureStyle, total=False):
    """What plots with a legend take."""

    palette: Palette
    alpha: float
    legend_loc: LegendLoc


class DotStyle(LineStyle, total=False):
    """What plots of dots with a legend take."""

    size: float


class PanelLineStyle(LineStyle, PanelStyle, total=False):
    """What panels of lines take."""


class PanelDotStyle(DotStyle, PanelStyle, total=False):
    """What panels of dots with a legend take."""


class PanelGroupDotStyle(PanelDotStyle, total=False):
    """What panels of dots of groups with a legend take."""

    groups: str | Sequence[str]


class PanelGroupStyle(LineStyle, PanelStyle, total=False):
    """What panels of lines of groups take."""

    groups: str | Sequence[str]


class GroupStyle(LineStyle, total=False):
    """What plots of groups take."""

    groups: str | Sequence[str]


class ValueStyle(FigureStyle, total=False):
    """What plots of numbers in colour take."""

    cmap: str | Colormap
    vmin: Bound
    vmax: Bound


class MatrixStyle(ValueStyle, total=False):
    """What a matrix of numbers between coloured groups takes."""

    palette: Palette


class PanelValueStyle(ValueStyle, PanelStyle, total=False):
    """What panels of numbers in colour take."""

    groups: str | Sequence[str]


class CellValueStyle(ValueStyle, total=False):
    """What plots of cells take whose colours are numbers alone."""

    size: float
    alpha: float


class PanelCellValueStyle(CellValueStyle, PanelStyle, total=False):
    """What panels of cells take whose colours are numbers alone."""


class PanelGroupValueStyle(PanelCellValueStyle, total=False):
    """What panels of cells by groups take whose colours are numbers alone."""

    groups: str | Sequence[str]


class DotOnlyStyle(FigureStyle, total=False):
    """What plots of dots without a legend take."""

    size: float
    alpha: float


class ShareStyle(FigureStyle, total=False):
    """What plots of shares in colours of their times take."""

    palette: Palette
    vmin: Bound
    vmax: Bound
    size: float
    alpha: float


class ColoredCellStyle(CellValueStyle, total=False):
    """What plots of cells take whose colours may be groups."""

    palette: Palette
    groups: str | Sequence[str]


class MovingCellStyle(ColoredCellStyle, total=False):
    """What plots of cells take that do not stay where they are."""

    legend_loc: LegendLoc


class CellStyle(ColoredCellStyle, total=False):
    """What plots of cells take."""

    legend_loc: CellLegendLoc


class PanelCellStyle(CellStyle, PanelStyle, total=False):
    """What panels of cells take."""


TEXTS = {
    "palette": """Colours of groups, or of what else the legend names: the name of a map such as
        ``"tab20"``, a list in their order, a dict by name or a cycler; by default those of
        ``uns``, or those that scanpy would choose. ``uns`` stays as it is.""",
    "groups": "The group or groups to draw; other cells are grey, other rows and lines left out.",
    "cmap": 'Map of numbers to colours, or its name such as ``"magma"``.',
    "vmin": """Number that the map begins with, or a percentile of the numbers drawn such as
        ``"p1.5"``.""",
    "vmax": "Number that the map ends with, likewise.",
    "size": "Area of a dot of a cell in square points; by default smaller the more there are.",
    "alpha": "Opacity, from 0 to 1.",
    "legend_loc": """``"right margin"``, ``"none"``, a place within the axes such as
        ``"upper left"``, or where groups of cells are drawn ``"on data"``.""",
    "title": """Title of the axes; of several panels a list has one for each, and a text stands
        above them all.""",
    "frameon": "Whether axes have a frame; cells without one have no axes at all, as in scanpy.",
    "figsize": "Width and height of the figure in inches; without ``ax`` alone.",
    "ncols": "Panels beside each other; without ``ax`` alone.",
}


def styled(function: Callable[P, Drawn]) -> Callable[P, Drawn]:
    """Give a plot the names of its style one by one, in its signature and its docstring.

    Examples
    --------
    >>> import inspect
    >>> from typing import Unpack
    >>> from celltraj.pl._styled import FigureStyle, styled
    >>> @styled
    ... def draw(adata: object, *, show: bool = True, **style: Unpack[FigureStyle]) -> None:
    ...     '''Draw.
    ...
    ...     Returns
    ...     -------
    ...     Nothing.
    ...     '''
    >>> list(inspect.signature(draw).parameters)
    ['adata', 'show', 'title', 'frameon', 'figsize']
    """
    hints = get_type_hints(function)
    (kind,) = get_args(hints.pop("style"))
    # a style is asked for by its name alone, and None is as good as not to ask
    taken = {name: hint | None for name, hint in get_type_hints(kind).items()}
    taken = {name: taken[name] for name in TEXTS if name in taken}
    signature = inspect.signature(function)
    own = [one for one in signature.parameters.values() if one.kind is not one.VAR_KEYWORD]
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=hint)
        for name, hint in taken.items()
    ]
    known = cast("Any", function)
    known.__signature__ = signature.replace(parameters=[*own, *added])
    known.__annotations__ = hints | taken
    known.__doc__ = _described(inspect.getdoc(function) or "", list(taken))
    return function


def _described(document: str, names: Sequence[str]) -> str:
    """Return a docstring that describes each style which it does not describe itself."""
    before, returns, after = document.partition("\nReturns\n-------\n")
    texts = [
        f"{name}\n{fill(' '.join(TEXTS[name].split()), 96, **_INDENT)}\n"
        for name in names
        if f"\n{name}\n    " not in before
    ]
    return f"{before.rstrip()}\n{''.join(texts)}{returns}{after}"
