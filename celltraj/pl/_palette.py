"""The colours of groups: the user's own in ``uns``, or those that scanpy would choose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
import scanpy as sc
from anndata import AnnData
from matplotlib.colors import is_color_like, to_hex

from celltraj._errors import warn

_SHOWN = 5
_KINDS = (list, tuple, np.ndarray, pd.Series, pd.Index, pd.Categorical)


def category_colors(adata: AnnData, key: str, names: Sequence[str]) -> dict[str, str]:
    """Return the colour of each category of ``obs[key]``, in the order of ``names``.

    Those in ``uns[f"{key}_colors"]``, in that order or by name; without any, or with too few, those
    that scanpy would choose.

    Raises
    ------
    ValueError
        ``uns`` holds something else than colours, none for one of the names, or there are more
        categories than colours.
    """
    given = adata.uns.get(f"{key}_colors")
    own = None if given is None else _own(given, key, names, is_there=key in adata.obs)
    chosen = _of_scanpy(key, len(names)) if own is None else own
    return dict(zip(names, chosen, strict=True))


def _own(given: object, key: str, names: Sequence[str], *, is_there: bool) -> list[str] | None:
    """Return the user's colours in the order of ``names``; None where it is open whose they are."""
    place = f"adata.uns['{key}_colors']"
    if isinstance(given, Mapping) or (isinstance(given, pd.Series) and _is_named(given)):
        colors = _by_name({str(k): v for k, v in given.items()}, names, place)
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
    return [_checked(one, place) for one in colors[: len(names)]]


def _is_named(given: pd.Series) -> bool:
    return not isinstance(given.index, pd.RangeIndex)


def _by_name(given: Mapping[str, object], names: Sequence[str], place: str) -> list[object]:
    if missing := [name for name in names if name not in given]:
        raise ValueError(
            f"{place} has no colour for {missing[:_SHOWN]}, only for {list(given)[:_SHOWN]}; add "
            "it, or drop categories that no cell has by .cat.remove_unused_categories()"
        )
    return [given[name] for name in names]


def _checked(one: object, place: str) -> str:
    """Return a colour as text once it is known to be one."""
    is_text = isinstance(one, str)
    if not is_color_like(one) or not (is_text or np.ndim(one) == 1):
        raise ValueError(
            f"{place} holds {_short(one)}, which is no colour; give names such as 'red', texts "
            "such as '#ff0000', or red, green and blue from 0 to 1. Delete it for the colours that "
            "scanpy would choose"
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
