"""Trees of cell divisions, and how far their leaves are from each other."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

_TOKEN = re.compile(r"\s*(?:\[[^\]]*\]\s*)*([(),:;]|'(?:[^']|'')*'|[^\s()\[\]':;,]+)")
_SHOWN = 3


@dataclass(frozen=True, eq=False)
class LineageTree:
    """Hold a rooted tree, nodes in an order in which parents come first.

    Parameters
    ----------
    parent
        ``(n,)`` number of the parent of each node, -1 of the root.
    length
        ``(n,)`` length of the branch to it, 0 of the root.
    names
        ``n`` names, empty for none.

    Examples
    --------
    >>> from celltraj.models.lineage_tree import LineageTree
    >>> tree = LineageTree.of_newick("((a:1,b:1):2,c:3);")
    >>> tree.distances(["a", "b", "c"])
    array([[0., 2., 6.],
           [2., 0., 6.],
           [6., 6., 0.]])
    """

    parent: np.ndarray
    length: np.ndarray
    names: tuple[str, ...]

    @classmethod
    def of_newick(cls, text: str) -> LineageTree:
        """Return the tree of a Newick string; without lengths every branch counts 1.

        Raises
        ------
        ValueError
            It is no Newick string, or only some branches have a length.
        """
        parent, length, names, at = [-1], [np.nan], [""], 0
        tokens, is_length = _tokens(text), False
        for token in tokens:
            if is_length:
                length[at], is_length = _number(token), False
            elif token == "(" or token == ",":
                up = at if token == "(" else parent[at]
                if up < 0:
                    raise ValueError("Newick: a comma stands outside of all brackets")
                parent.append(up)
                length.append(np.nan)
                names.append("")
                at = len(parent) - 1
            elif token == ")":
                at = parent[at]
                if at < 0:
                    raise ValueError("Newick: a bracket closes that was never opened")
            elif token == ":":
                is_length = True
            else:
                names[at] = token[1:-1].replace("''", "'") if token[0] == "'" else token
        if at != 0:
            raise ValueError("Newick: a bracket is not closed")
        return cls(np.array(parent), _lengths(np.array(length)), tuple(names))

    def distances(self, leaves: Sequence[str]) -> np.ndarray:
        """Return the lengths ``(m, m)`` of the ways between leaves along the tree.

        Raises
        ------
        ValueError
            A name is no leaf, or two leaves have it.
        """
        n, node_of = len(self.parent), self._nodes(leaves)
        depth = np.zeros(n)
        for node in range(1, n):
            depth[node] = depth[self.parent[node]] + self.length[node]
        below = [np.empty(0, dtype=int)] * n  # leaves, by their number among those asked for
        for number, node in enumerate(node_of):
            below[node] = np.array([number])
        found = np.zeros((len(leaves), len(leaves)))
        for node in range(n - 1, 0, -1):  # children before their parents
            up = self.parent[node]
            one, other = below[node], below[up]
            ways = depth[node_of[one]][:, None] + depth[node_of[other]]
            found[np.ix_(one, other)] = ways - 2 * depth[up]
            below[up] = np.concatenate([other, one])
        distances: np.ndarray = found + found.T
        return distances

    def _nodes(self, leaves: Sequence[str]) -> np.ndarray:
        """Return the node of each leaf."""
        has_children = np.isin(np.arange(len(self.parent)), self.parent)
        of_leaf: dict[str, int] = {}
        for node in np.flatnonzero(~has_children).tolist():
            if self.names[node] in of_leaf:
                raise ValueError(f"two leaves of the tree are called {self.names[node]!r}")
            of_leaf[self.names[node]] = node
        if missing := [name for name in leaves if name not in of_leaf]:
            raise ValueError(
                f"{len(missing)} of {len(leaves)} cells are no leaves of the tree (first: "
                f"{missing[:_SHOWN]}); leaves are {list(of_leaf)[:_SHOWN]}, ..."
            )
        return np.array([of_leaf[name] for name in leaves], dtype=int)


def _tokens(text: str) -> Iterator[str]:
    """Yield brackets, commas, colons and labels up to the semicolon."""
    place, text = 0, text.strip()
    while place < len(text):
        found = _TOKEN.match(text, place)
        if found is None:
            raise ValueError(f"Newick: nothing that can be read at {text[place : place + 20]!r}")
        if found[1] == ";":
            return
        yield found[1]
        place = found.end()


def _number(token: str) -> float:
    try:
        length = float(token)
    except ValueError:
        length = math.nan
    if not 0 <= length < math.inf:
        raise ValueError(f"Newick: a branch length must be a number, 0 or more; found {token!r}")
    return length


def _lengths(length: np.ndarray) -> np.ndarray:
    """Return lengths of all branches, 1 where none has one, and 0 of the root."""
    absent = np.isnan(length)
    absent[0] = False
    if absent.all() or absent[1:].all():
        length = np.ones_like(length)
    elif absent.any():
        raise ValueError(
            f"Newick: {int(absent.sum())} of {len(length) - 1} branches have no length"
        )
    found: np.ndarray = np.concatenate([[0.0], length[1:]])
    return found
