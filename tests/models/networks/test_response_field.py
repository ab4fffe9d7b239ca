"""The field of a response: what it reads, and what it must not depend on."""

import numpy as np
import pytest
import torch

from celltraj.models.networks import (
    FieldSizes,
    Neighbourhood,
    ResponseField,
    Situation,
    neighbourhood,
)
from celltraj.models.networks.neighbourhood import NeighbourhoodKernels

P, N, M, D, E, K, F, Q = 3, 7, 11, 2, 4, 2, 5, 3
CENTRE, SCALE = torch.tensor([1.0, -2.0]), torch.tensor([3.0, 0.5])
BOX = torch.tensor([[-15.0, -20.0], [20.0, 15.0]])  # in units of the scale


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=seeded(seed))


def field_of(**options):
    sizes = FieldSizes(**{"dim": D, "embedding": E, "token": F, "covariates": Q, "heads": 2,
                          "width": 16, "has_survival": True} | options)  # fmt: skip
    field = ResponseField(sizes, generator=seeded()).scale_to(CENTRE, SCALE, CENTRE + BOX * SCALE)
    with torch.no_grad():  # some weights are zero at first, and would hide what they read
        for k, value in enumerate(field.parameters()):
            value.add_(0.3 * normal(*value.shape, seed=k))
    return field


def situation(*, keeps=None, seed=0):
    return Situation(
        normal(P, E, seed=seed),
        normal(P, K, F, seed=seed + 1),
        torch.ones(P, K, dtype=torch.bool),
        normal(P, Q, seed=seed + 2),
        torch.ones(P, 2) if keeps is None else keeps,
    )


def around(m=M):
    return Neighbourhood(normal(P, m, D, seed=5), torch.ones(P, m, dtype=torch.bool))


def heads(field, known, *, x=None, cells=None):
    x = normal(P, N, D, seed=4) if x is None else x
    return torch.cat(field.heads(torch.full((*x.shape[:2], 1), 0.3), x, known, cells), -1)


def close(found, wanted):
    # float32 sums in another order, through three steep layers
    torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-3)


def plain_kernels(x, cells, bandwidths):
    """Return what one state sees of some cells, by loops over kernels and cells."""
    seen = []
    for bandwidth in bandwidths:
        weights = [np.exp(-0.5 * np.sum(((x - y) / bandwidth) ** 2)) for y in cells]
        mean = sum(w * y for w, y in zip(weights, cells, strict=True)) / sum(weights)
        for part in ((mean - x) / bandwidth, np.array([np.log(np.mean(weights))])):
            seen.append(part / np.sqrt(1 + np.sum(part**2) / neighbourhood._FAR**2))
    return np.concatenate(seen)


def test_kernels_are_those_of_a_plain_loop():
    kernels = NeighbourhoodKernels(D, 3)
    with torch.no_grad():
        kernels.log_bandwidth.add_(0.2 * normal(3, D, seed=9))
    x, cells = normal(P, N, D, seed=1), 2 * normal(P, M, D, seed=2)
    mask = torch.rand(P, M, generator=seeded()) < 0.7
    found = kernels(x, cells, mask).detach().numpy()
    bandwidths = kernels.log_bandwidth.detach().exp().double().numpy()
    wanted = [
        [plain_kernels(one.numpy(), part[at].double().numpy(), bandwidths) for one in states]
        for states, part, at in zip(x.double(), cells, mask, strict=True)
    ]
    assert found.shape == (P, N, kernels.size)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


def test_kernels_see_differences_only_and_move_with_the_neighbourhood():
    kernels, x, cells = NeighbourhoodKernels(D, 3), normal(P, N, D, seed=1), around()
    away = torch.tensor([1.0, -2.0])
    found, wanted = kernels(x + away, cells.x + away, cells.mask), kernels(x, cells.x, cells.mask)
    # squared distances come from a product: what the shift adds to it cancels up to rounding
    torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-3)


def test_a_state_far_from_the_neighbourhood_sees_something_finite():
    kernels, cells = NeighbourhoodKernels(D, 4), around()
    seen = kernels(torch.full((P, 1, D), 1e6), cells.x, cells.mask)
    assert torch.isfinite(seen).all()
    assert seen.abs().max() <= neighbourhood._FAR


@pytest.mark.parametrize("fill", [0.0, 1e30, float("nan")])
def test_masked_cells_do_not_count(fill):
    kernels, cells, x = NeighbourhoodKernels(D, 3), around(), normal(P, N, D, seed=1)
    longer = torch.cat([cells.x, torch.full((P, 4, D), fill)], 1)
    mask = torch.cat([cells.mask, torch.zeros(P, 4, dtype=torch.bool)], 1)
    close(kernels(x, longer, mask), kernels(x, cells.x, cells.mask))


def test_a_state_does_not_see_the_cell_that_it_is():
    kernels, cells = NeighbourhoodKernels(D, 3), around()
    k = 4
    own = torch.full((P, 2), -1)
    own[:, 0] = k
    x = cells.x[:, [k, k]]
    found = kernels(x, cells.x, cells.mask, own)
    others = torch.cat([cells.x[:, :k], cells.x[:, k + 1 :]], 1)
    close(found[:, 0], kernels(x, others, cells.mask[:, 1:])[:, 0])
    close(found[:, 1], kernels(x, cells.x, cells.mask)[:, 1])
    assert (found[:, 0] - found[:, 1]).abs().max() > 0.1  # the finest kernel sees itself best


def test_the_order_of_cells_changes_nothing_but_their_order():
    field, known, x = field_of(), situation(), normal(P, N, D, seed=4)
    vector, cells = field.known(known), around()
    order, other = torch.randperm(N, generator=seeded()), torch.randperm(M, generator=seeded(1))
    shuffled = Neighbourhood(cells.x[:, other], cells.mask[:, other])
    before = heads(field, vector, x=x, cells=cells)
    close(heads(field, vector, x=x[:, order], cells=shuffled), before[:, order])
    close(field.log_survival(x[:, order], vector), field.log_survival(x, vector)[:, order])


def test_cells_and_populations_do_not_see_each_other_but_through_the_neighbourhood():
    field, known, x, cells = field_of(), situation(), normal(P, N, D, seed=4), around()
    whole = heads(field, field.known(known), x=x, cells=cells)
    one = Situation(*(part[1:2] for part in known))
    alone = field.heads(
        torch.full((1, 1, 1), 0.3),
        x[1:2, 2:3],
        field.known(one),
        Neighbourhood(*(c[1:2] for c in cells)),
    )
    close(torch.cat(alone, -1)[0, 0], whole[1, 2])


@pytest.mark.parametrize("fill", [0.0, 7.0, float("nan")])
def test_padding_of_tokens_does_not_matter(fill):
    field, one = field_of(), situation()
    tokens = torch.cat([one.tokens, torch.full((P, 3, F), fill)], 1)
    mask = torch.cat([one.token_mask, torch.zeros(P, 3, dtype=torch.bool)], 1)
    close(field.known(one._replace(tokens=tokens, token_mask=mask)), field.known(one))


def test_padding_of_tokens_leaves_the_gradient_finite():
    field, one = field_of(), situation()
    tokens = torch.cat([one.tokens, torch.zeros(P, 1, F)], 1)
    mask = torch.cat([one.token_mask, torch.zeros(P, 1, dtype=torch.bool)], 1)
    field.known(one._replace(tokens=tokens, token_mask=mask)).square().sum().backward()
    assert all(v.grad.isfinite().all() for v in field.parameters() if v.grad is not None)


def test_a_set_of_drugs_has_no_order():
    field, one = field_of(), situation()
    assert torch.equal(field.known(one._replace(tokens=one.tokens.flip(1))), field.known(one))


def test_what_is_hidden_does_not_matter():
    field = field_of()
    for hidden, kept in ((0, slice(E, None)), (1, slice(None, E))):
        keeps = torch.ones(P, 2)
        keeps[:, hidden] = 0
        one, two = (field.known(situation(keeps=keeps, seed=s)) for s in (0, 20))
        shown = field.known(situation())
        at = slice(None, E) if hidden == 0 else slice(E, None)
        assert torch.equal(one[:, at], two[:, at])
        assert torch.equal(one[:, kept], shown[:, kept])
        assert not torch.equal(one[:, at], shown[:, at])


def test_rates_and_scores_are_in_units_of_the_scale():
    field, cells = field_of(), around()
    other = field_of()
    other.centre.copy_(10 * field.centre + 3)
    other.scale.copy_(10 * field.scale)
    x, vector = normal(P, N, D, seed=4), field.known(situation())
    close(
        heads(other, vector, x=10 * x + 3, cells=Neighbourhood(10 * cells.x + 3, cells.mask)),
        heads(field, vector, x=x, cells=cells),
    )


def test_a_state_beyond_the_box_is_seen_at_its_edge():
    field, known = field_of(heads=0), situation()
    vector, margin = field.known(known), 0.1 * 35.0  # of the width of the box
    edge = CENTRE + SCALE * torch.tensor([20.0 + margin, 0.0])
    beyond = edge + torch.tensor([1e6, 0.0])
    at, far = (one.expand(P, 1, D) for one in (edge, beyond))
    close(heads(field, vector, x=far), heads(field, vector, x=at))
    close(field.log_survival(far, vector), field.log_survival(at, vector))
    inside = edge - torch.tensor([0.5, 0.0])
    assert not torch.equal(
        heads(field, vector, x=inside.expand(P, 1, D)), heads(field, vector, x=at)
    )


def test_every_part_is_read():
    """A network that ignores one of its inputs passes every test of invariance."""
    field, one, cells = field_of(), situation(), around()
    base = heads(field, field.known(one), cells=cells)
    for name in ("phi", "tokens", "covariates"):
        changed = one._replace(**{name: getattr(one, name) + 0.5})
        assert (heads(field, field.known(changed), cells=cells) - base).abs().max() > 1e-2
    moved = Neighbourhood(cells.x + 0.5, cells.mask)
    assert (heads(field, field.known(one), cells=moved) - base).abs().max() > 1e-2


def test_parts_may_be_missing():
    field = field_of(embedding=0, covariates=0, heads=0, has_survival=False)
    one = situation()._replace(phi=torch.zeros(P, 0), covariates=torch.zeros(P, 0))
    known, x = field.known(one), normal(P, N, D, seed=4)
    assert heads(field, known, x=x).shape == (P, N, 2 * D)
    assert torch.equal(field.log_survival(x, known), torch.zeros(P, N))


def test_a_field_with_kernels_needs_a_neighbourhood():
    field = field_of()
    with pytest.raises(ValueError, match="sees the cells around a cell; pass neighbourhood="):
        heads(field, field.known(situation()))


def test_weights_come_from_the_generator_alone():
    state = torch.get_rng_state()
    one, two = field_of(), field_of()
    assert torch.equal(torch.get_rng_state(), state)
    for a, b in zip(one.parameters(), two.parameters(), strict=True):
        assert torch.equal(a, b)
