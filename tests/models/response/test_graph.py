"""A response whose cells carry what they saw of their population."""

from dataclasses import replace

import pytest
import torch

import celltraj as ct
from celltraj.models import (
    Condition,
    GraphEncoder,
    Group,
    Populations,
    ResponseOptions,
    Training,
    Treated,
    fit_response,
)
from celltraj.ot import Unbalanced

DRUG = Condition(("drug",))
HEADS = pytest.mark.parametrize("is_equivariant", [True, False])


def normal(n, d=2, *, seed):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed)).double()


def cohort(law, *, n=6, n_cells=60):
    """Return populations of two groups of cells that lie elsewhere in each, moved by a law."""
    cells = []
    for k in range(n):
        x = normal(n_cells, seed=k)
        x[::2] += 2 * normal(1, seed=100 + k)
        cells.append(x)
    return Populations(
        tuple(map(str, range(n))),
        tuple(map(Group, cells)),
        tuple(Treated(k, DRUG, Group(law(x))) for k, x in enumerate(cells)),
    )


def fitted(populations, *, steps=40, encoder=None, **options):
    return fit_response(
        populations,
        ResponseOptions(encoder=encoder or GraphEncoder(), base=0.0, sigma=0.05, **options),
        training=Training(max_steps=steps, batch_size=32, width=32),
        generator=torch.Generator().manual_seed(0),
        progress=False,
    )


def to_centre(x):
    return x + 0.7 * (x.mean(0) - x)


@pytest.fixture(scope="module")
def models():
    populations = cohort(to_centre)
    return {
        head: fitted(populations, encoder=GraphEncoder(is_equivariant=head))
        for head in (True, False)
    }


def respond(model, cells, **told):
    return model.respond(cells, DRUG, generator=torch.Generator().manual_seed(0), **told).x


@HEADS
def test_a_law_of_the_population_is_learned(is_equivariant):
    # without its population a cell cannot know where the others are
    encoder = GraphEncoder(is_equivariant=is_equivariant, n_hops=1, has_covariance=False)
    model = fitted(cohort(to_centre, n=30), encoder=encoder, steps=150)
    x = normal(60, seed=50) + 1.5 * normal(1, seed=51)
    way, wanted = respond(model, x) - x, to_centre(x) - x
    assert (way - wanted).square().mean() < 0.2 * wanted.square().mean()
    other = respond(model, x, embedded=x + 4) - x
    assert (other - wanted).square().mean() > 3 * (way - wanted).square().mean()


@HEADS
def test_a_response_is_of_cell_and_population_whatever_the_rows(models, is_equivariant):
    model, x = models[is_equivariant], normal(50, seed=9)
    whole, order = respond(model, x), torch.randperm(50)
    torch.testing.assert_close(respond(model, x[order]), whole[order], rtol=0, atol=1e-5)
    torch.testing.assert_close(respond(model, x[:7], population=x[order]), whole[:7], rtol=0,
                               atol=1e-5)  # fmt: skip
    new = normal(3, seed=10)
    assert respond(model, new, population=x).isfinite().all()


def test_an_equivariant_response_turns_with_the_cells(models):
    x, turn = normal(40, seed=9), torch.linalg.qr(normal(2, seed=3))[0]
    found = {}
    for is_equivariant, model in models.items():
        centre = model.network.field.centre
        turned = respond(model, (x - centre) @ turn + centre)
        found[is_equivariant] = (turned - centre) @ turn.T + centre - respond(model, x)
    # single precision
    assert found[True].abs().max() < 1e-4
    assert found[False].abs().max() > 1e-2


@HEADS
def test_a_saved_model_is_the_same(models, is_equivariant, tmp_path):
    model, x = models[is_equivariant], normal(30, seed=9)
    model.save(tmp_path / "model")
    again = ct.load(tmp_path / "model")
    assert again.encoder == model.encoder
    assert again.encoder.bandwidths is not None
    assert torch.equal(respond(again, x), respond(model, x))
    assert torch.equal(again.embed(x), model.embed(x))
    assert torch.equal(again.support.embeddings, model.support.embeddings)


def test_populations_lie_where_their_cells_see_alike(models):
    model, x = models[True], normal(60, seed=9)
    assert model.embed(x).shape == (model.encoder.n_scalars,)
    near, far = (
        (model.embed(other) - model.embed(x)).norm() for other in (normal(60, seed=8), 3 * x)
    )
    assert near < far / 2


def test_cells_that_die_are_told_by_what_they_see():
    adata = ct.datasets.interacting_populations(n_populations=3, n_cells=30, seed=0)
    x = torch.from_numpy(adata.X[:30]).double()
    populations = Populations(
        ("a",), (Group(x),), (Treated(0, DRUG, Group(x[x[:, 0] > x[:, 0].median()])),)
    )
    for is_equivariant in (True, False):
        encoder = GraphEncoder(is_equivariant=is_equivariant)
        model = fitted(populations, encoder=encoder, coupling=Unbalanced())
        survival = model.respond(x, DRUG, generator=torch.Generator()).survival
        assert survival.std() > 0
        assert abs(float(survival.mean()) - 1) < 1e-5


@HEADS
def test_controls_change_what_cells_carry_alone(models, is_equivariant):
    model, x = models[is_equivariant], normal(30, seed=9)
    own = model.carried(x, x)
    torch.testing.assert_close(respond(model, x, carried=own), respond(model, x))
    others = respond(model, x, carried=own.roll(1, 0)) - x
    # the field sees no state: cells go the ways of those whose features they carry
    torch.testing.assert_close(others, (respond(model, x) - x).roll(1, 0), rtol=0, atol=1e-5)
    other = normal(20, seed=4)
    nearest = model.carried(other, other)[torch.cdist(x, other).argmin(1)]
    assert torch.equal(model.carried_by_nearest(x, other), nearest)
    torch.testing.assert_close(respond(model, x, embedded=other),
                               respond(model, x, carried=nearest))  # fmt: skip


def test_what_does_not_go_with_it_is_refused(models):
    with pytest.raises(ValueError, match="through no kernels; found n_kernels=2"):
        ResponseOptions(encoder=GraphEncoder(), n_kernels=2)
    assert ResponseOptions(encoder=GraphEncoder()).kernels == 0
    assert replace(ResponseOptions(encoder=GraphEncoder()), encoder=None).kernels == 4
    x = normal(10, seed=9)
    with pytest.raises(ValueError, match="a field of features that cells carry has none"):
        respond(models[False], x, noise=0.1)
    law = models[False].process(x, DRUG, generator=torch.Generator())
    with pytest.raises(ValueError, match="sees no state and has no score"):
        law.score(0.5, x)
    with pytest.raises(ValueError, match="pass carried="):
        law.velocity(0.5, x)
