"""Trees of cell divisions, read from Newick strings."""

import numpy as np
import pytest
from scipy.cluster.hierarchy import cophenet, linkage, to_tree
from scipy.spatial.distance import squareform

from celltraj.models.lineage_tree import LineageTree


def newick(node, above):
    """Return a node of scipy's tree, whose leaves all end at height zero."""
    length = above - node.dist
    if node.is_leaf():
        return f"c{node.id}:{float(length)!r}"
    return f"({newick(node.left, node.dist)},{newick(node.right, node.dist)}):{float(length)!r}"


def test_distances_are_those_of_a_dendrogram():
    x = np.random.default_rng(0).normal(size=(25, 3))
    tree = linkage(x, "average")
    root = to_tree(tree)
    text = f"{newick(root, root.dist)};"
    found = LineageTree.of_newick(text).distances([f"c{k}" for k in range(25)])
    np.testing.assert_allclose(found, 2 * squareform(cophenet(tree)), rtol=1e-12)


def test_without_lengths_branches_count_one_and_order_is_that_of_the_names():
    tree = LineageTree.of_newick("(c,(b,a)inner,'it''s d')[a comment];")
    expected = [[0, 2, 3, 3], [2, 0, 3, 3], [3, 3, 0, 2], [3, 3, 2, 0]]
    np.testing.assert_array_equal(tree.distances(["a", "b", "c", "it's d"]), expected)
    np.testing.assert_array_equal(tree.distances(["c", "a"]), [[0, 3], [3, 0]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("((a,b)", "not closed"),
        ("(a,b)),c", "never opened|outside of all"),
        ("a,b", "outside of all brackets"),
        ("(a:1,b);", "1 of 2 branches have no length"),
        ("(a:-1,b:2);", "found '-1'"),
        ("(a:x,b:2);", "found 'x'"),
        ("(a,'b", "nothing that can be read"),
    ],
)
def test_what_is_no_newick_is_told(text, message):
    with pytest.raises(ValueError, match=message):
        LineageTree.of_newick(text)


def test_cells_that_are_no_leaves():
    tree = LineageTree.of_newick("((a,b)x,c);")
    with pytest.raises(
        ValueError, match=r"1 of 2 cells are no leaves of the tree \(first: \['x'\]"
    ):
        tree.distances(["a", "x"])
    with pytest.raises(ValueError, match="two leaves of the tree are called 'a'"):
        LineageTree.of_newick("(a,a);").distances(["a"])
