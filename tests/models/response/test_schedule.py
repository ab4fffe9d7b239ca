"""How long a response is trained by default."""

import pytest
import torch

from celltraj.models import (
    Condition,
    GraphEncoder,
    Group,
    Populations,
    ResponseOptions,
    Training,
    Treated,
)
from celltraj.models.response.schedule import schedule_of

EQUIVARIANT = GraphEncoder(is_equivariant=True)


def cohort(n):
    """Return ``n`` treatments, each of one population of a cell."""
    x = torch.zeros(1, 1).double()
    treated = tuple(Treated(k, Condition(("drug",)), Group(x)) for k in range(n))
    return Populations(tuple(map(str, range(n))), (Group(x),) * n, treated)


@pytest.mark.parametrize(
    ("n", "options", "steps"),
    [
        (7, {}, 1000),  # the fewest
        (40, {}, 2000),  # 400 times each, 8 in a step
        (40, {"n_populations": 16}, 1000),
        (75, {}, 3000),  # enough
        (1000, {}, 4000),  # 32 times each
        (10_000, {}, 20_000),  # the most
        (40, {"encoder": GraphEncoder()}, 1000),
        (1000, {"encoder": GraphEncoder()}, 4000),
    ],
)
def test_each_treatment_is_drawn_often_enough(n, options, steps):
    assert schedule_of(Training(), ResponseOptions(**options), cohort(n)).n_steps == steps


def test_what_is_given_stands():
    found = schedule_of(Training(max_steps=7), ResponseOptions(), cohort(40))
    assert (found.n_steps, found.learning_rate) == (7, 5e-3)
    turned = schedule_of(Training(), ResponseOptions(encoder=EQUIVARIANT), cohort(40))
    assert turned.learning_rate == 2e-3
    with_rate = Training(learning_rate=1e-3)
    options = ResponseOptions(encoder=EQUIVARIANT)
    assert schedule_of(with_rate, options, cohort(40)).learning_rate == 1e-3
