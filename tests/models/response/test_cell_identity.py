"""Order, keys and noise of cells depend on what they are and not on where they stand."""

import torch
from analytic import normal

from celltraj.models.response.cell_identity import (
    brownian_paths,
    content_keys,
    content_order,
    key_of,
    row_bytes,
)


def test_an_order_is_that_of_the_content():
    order = torch.randperm(50, generator=torch.Generator().manual_seed(0))
    for x in (normal(50, 3, seed=0), torch.arange(50).remainder(4).double()[:, None].repeat(1, 2)):
        assert torch.equal(x[content_order(x)], x[order][content_order(x[order])])


def test_equal_cells_stand_in_the_order_of_their_types():
    x, types = torch.zeros(6, 2), torch.tensor([2, 0, 1, 0, 2, 1])
    assert types[content_order(x, types)].tolist() == [0, 0, 1, 1, 2, 2]


def test_rounding_leaves_the_order_nearly_as_it_is():
    x = normal(200, 5, seed=1)
    first, second = content_order(x), content_order(x * (1 + 1e-12))
    assert (first == second).double().mean() > 0.98


def test_keys_tell_words_and_numbers_apart():
    keys = {key_of(*parts) for parts in (("a", "b"), ("ab",), ("b", "a"), ("a", "b", 0))}
    assert len(keys) == 4
    assert all(0 <= key < 2**63 for key in keys)


def test_equal_cells_are_counted_through_and_zero_has_no_sign():
    x = torch.tensor([[0.0, 1.0], [-0.0, 1.0], [2.0, 1.0]])
    keys = content_keys(x)
    assert len(set(keys)) == 3
    assert content_keys(x[[2, 0, 1]]) == [keys[2], keys[0], keys[1]]
    assert row_bytes(x)[0] == row_bytes(x)[1]


def test_paths_are_brownian_and_each_is_that_of_its_key():
    paths = brownian_paths(range(2000), 2, seed=1)
    assert (paths[0] == 0).all()
    steps = paths.diff(dim=0) * (len(paths) - 1) ** 0.5
    n = steps.numel()
    # 256,000 normal numbers: standard errors 1/sqrt(n) of the mean and sqrt(2/n) of the variance
    assert abs(float(steps.mean())) < 4 / n**0.5
    assert abs(float(steps.var()) - 1) < 4 * (2 / n) ** 0.5
    # neither times nor cells know of each other
    for one, other in ((steps[1:], steps[:-1]), (steps[:, 1:], steps[:, :-1])):
        assert abs(float((one * other).mean())) < 4 / n**0.5
    torch.testing.assert_close(brownian_paths([7, 3], 2, seed=1), paths[:, [7, 3]], rtol=0, atol=0)
    assert not torch.equal(brownian_paths([7], 2, seed=2), paths[:, [7]])
