"""The colours of groups: the user's own in ``uns``, or those that scanpy would choose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
import scanpy as sc
from anndata import AnnData
from cycler import Cycler
from matplotlib.colors import is_color_like, to_hex

from celltraj._errors import warn
from celltraj.pl._style import PLAIN, Palette, Style, named_map

_SHOWN = 5
_KINDS = (list, tuple, np.ndarray, pd.Series, pd.Index, pd.Categorical)


def category_colors(
    adata: AnnData, key: str, names: Sequence[str], look: Style = PLAIN
) -> dict[str, str]:
    """Return the colour of each category of ``obs[key]``, in the order of ``names``.

    Those of ``look``; else those in ``uns[f"{key}_colors"]``, in that order or by name; without
    any, or with too few, those that scanpy would choose.

    Raises
    ------
    ValueError
        The palette, or ``uns``, holds something else than colours, none for one of the names, or
        there are more categories than colours.
    """
    if look.palette is not None:
        return colors_by_name(look.palette, names, f"categories of {key!r}")
    given = adata.uns.get(f"{key}_colors")
    own = None if given is None else _own(given, key, names, is_there=key in adata.obs)
    chosen = _of_scanpy(key, len(names)) if own is None else own
    return dict(zip(names, chosen, strict=True))


def colors_by_name(palette: Palette, names: Sequence[str], what: str) -> dict[str, str]:
    """Return the colour that the user's palette has for each of ``names``.

    Parameters
    ----------
    palette
        Name of a map, list, dict by name, or cycler.
    names
        What is coloured, in its order.
    what
        What the names are, for an error to say.

    Raises
    ------
    ValueError
        It has too few colours, none for one of the names, or holds something else than colours.
    """
    if isinstance(palette, str):
        colors = _of_map(palette, len(names), what)
    elif isinstance(palette, Mapping) or (isinstance(palette, pd.Series) and _is_named(palette)):
        colors = _by_name({str(k): v for k, v in palette.items()}, names, "palette", what)
    else:
        shades = palette.by_key().get("color", ()) if isinstance(palette, Cycler) else palette
        colors = list(shades)
    _check_enough(len(colors), names, what)
    advice = "Leave palette= out for the usual colours"
    chosen = [_checked(one, "palette", advice) for one in colors[: len(names)]]
    return dict(zip(names, chosen, strict=True))


def named_colors(look: Style, usual: Mapping[str, str]) -> dict[str, str]:
    """Return the colours of what a legend names: the palette's, or the usual ones.

    Raises
    ------
    ValueError
        The palette has too few colours, or holds something else.
    """
    if look.palette is None:
        return dict(usual)
    return colors_by_name(look.palette, list(usual), "things to draw")


def _of_map(name: str, n: int, what: str) -> list[object]:
    """Return ``n`` colours from a map, its own ones as far apart as can be, as in scanpy."""
    found = named_map(name, "palette")
    if n > found.N:
        _check_enough(found.N, [""] * n, what)
    return [to_hex(one) for one in found(np.linspace(0, 1, n))]


def _check_enough(n_colors: int, names: Sequence[str], what: str) -> None:
    if n_colors < len(names):
        wide = "tab20" if len(names) <= 20 else "nipy_spectral"
        raise ValueError(
            f"palette has {n_colors} colours for {len(names)} {what}; give one for each, or the "
            f"name of a map that has as many, such as {wide!r}"
        )


def _own(given: object, key: str, names: Sequence[str], *, is_there: bool) -> list[str] | None:
    """Return the user's colours in the order of ``names``; None where it is open whose they are."""
    place = f"adata.uns['{key}_colors']"
    if isinstance(given, Mapping) or (isinstance(given, pd.Series) and _is_named(given)):
        colors = _by_name({str(k): v for k, v in given.items()}, names, place, "categories")
    elif isinstance(given, _KINDS) and np.ndim(given) > 0:
        colors = list(given)
    else:
        raise ValueError(
            f"{place} is {_short(given)}; it must be a list of colours, one for each category, or "
            "a dict from categories to colours. Delete it for the colours that scanpy would choose"
        )
    if len(colors) != len(names) and not is_there:
        return None  # those of categories that nothing knows any more
    if len(colors) != len(names):
        drawn = "those that scanpy would choose" if len(colors) < len(names) else "the first ones"
        warn(f"{place} has {len(colors)} colours for {len(names)} categories: {drawn} are drawn")
    if len(colors) < len(names):
        return None
    advice = "Delete it for the colours that scanpy would choose"
    return [_checked(one, place, advice) for one in colors[: len(names)]]


def _is_named(given: pd.Series) -> bool:
    return not isinstance(given.index, pd.RangeIndex)


def _by_name(
    given: Mapping[str, object], names: Sequence[str], place: str, what: str
) -> list[object]:
    if missing := [name for name in names if name not in given]:
        unused = ", or drop categories that no cell has by .cat.remove_unused_categories()"
        raise ValueError(
            f"{place} has no colour for {missing[:_SHOWN]}, only for {list(given)[:_SHOWN]}; add "
            f"it{unused if what.startswith('categories') else ''}"
        )
    return [given[name] for name in names]


def _checked(one: object, place: str, advice: str) -> str:
    """Return a colour as text once it is known to be one."""
    is_text = isinstance(one, str)
    if not is_color_like(one) or not (is_text or np.ndim(one) == 1):
        raise ValueError(
            f"{place} holds {_short(one)}, which is no colour; give names such as 'red', texts "
            f"such as '#ff0000', or red, green and blue from 0 to 1. {advice}"
        )
    return str(one) if is_text else to_hex(one, keep_alpha=True)


def _of_scanpy(key: str, n: int) -> list[str]:
    """Return the colours that scanpy would choose for ``n`` categories."""
    choices = (
        mpl.rcParams["axes.prop_cycle"].by_key().get("color", ()),
        sc.pl.palettes.default_20,
        sc.pl.palettes.default_28,
        sc.pl.palettes.default_102,
    )
    enough = [choice for choice in choices if len(choice) >= n]
    if not enough:
        raise ValueError(
            f"adata.obs[{key!r}] has {n} categories, more than colours can tell apart; "
            f"group them, or set adata.uns['{key}_colors']"
        )
    return list(enough[0])[:n]


def _short(value: object) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:59]}…"
