"""Several networks of one response: their mean, their disagreement, their file."""

import pickle
from dataclasses import replace
from functools import partial

import joblib
import pytest
import torch
from analytic import normal

from celltraj import ConvergenceError, load
from celltraj.models import (
    Condition,
    Group,
    Populations,
    ResponseOptions,
    TrainerOptions,
    Training,
    Treated,
    fit_response,
    remove_checkpoint,
)
from celltraj.models.response.pairs import couple_all
from celltraj.ot import Unbalanced, solve

DRUG, OTHER = Condition(("drug",)), Condition(("other",))
FLOW = ResponseOptions(n_context=30, n_kernels=1)


def cohort(n=4):
    controls = tuple(Group(normal(30, 2, seed=k)) for k in range(n))
    treated = tuple(
        Treated(k, one, Group(normal(25, 2, seed=10 + k) + 2))
        for k in range(n)
        for one in (OTHER, DRUG)[k == 0 :]
    )
    return Populations(tuple(f"p{k}" for k in range(n)), controls, treated)


def fitted(options=FLOW, **training):
    return fit_response(
        cohort(),
        options,
        training=Training(max_steps=20, width=16, batch_size=16, **training),
        generator=torch.Generator().manual_seed(3),
        progress=False,
    )


def told(model, **options):
    return model.respond(normal(12, 2, seed=9), DRUG, generator=torch.Generator(), **options)


def weights(model):
    networks = (one.network for one in model.members)
    return [value for network in networks for value in network.state_dict().values()]


@pytest.fixture(scope="module")
def three():
    return fitted(replace(FLOW, n_models=3))


@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_what_is_predicted_is_the_mean_of_the_networks(three, noise):
    parts = torch.stack([told(one, noise=noise).x for one in three.members])
    found = told(three, noise=noise)
    torch.testing.assert_close(found.x, parts.mean(0))
    torch.testing.assert_close(found.spread, parts.var(0).sum(1).sqrt())
    assert told(three.members[0]).spread is None


def test_the_first_network_is_that_of_a_fit_without_others(three):
    one = fitted()
    for name, value in one.network.state_dict().items():
        assert torch.equal(value, three.network.state_dict()[name]), name
    assert torch.equal(one.support.cells, three.support.cells)
    first, second = (each.network.field.head.weight for each in three.members[:2])
    assert not torch.equal(first, second)


@pytest.mark.slow
def test_processes_change_nothing(three):
    with joblib.parallel_config(n_jobs=2):
        again = fitted(replace(FLOW, n_models=3))
    assert all(map(torch.equal, weights(again), weights(three)))
    assert torch.equal(again.support.cells, three.support.cells)
    assert again.losses == three.losses


def test_one_folder_holds_all(three, tmp_path):
    three.save(tmp_path)
    again = load(tmp_path)
    assert torch.equal(told(again).x, told(three).x)
    assert torch.equal(told(again).spread, told(three).spread)
    assert again.reason == three.reason
    assert "3 networks" in repr(again)


def test_each_network_goes_on_from_a_checkpoint_of_its_own(three, tmp_path):
    folder = tmp_path / "checkpoint"
    trainer = TrainerOptions(checkpoint=folder)
    options = replace(FLOW, n_models=3)
    fitted(options, trainer=trainer)
    again = fitted(options, trainer=replace(trainer, resume=True))
    assert all(map(torch.equal, weights(again), weights(three)))
    remove_checkpoint(folder)
    assert not folder.exists()


def test_no_network_is_no_ensemble():
    with pytest.raises(ValueError, match="n_models must be at least 1; found 0"):
        ResponseOptions(n_models=0)


class TestCouplings:
    def test_untreated_cells_are_held_once(self):
        populations = cohort()
        pairs = couple_all(populations, solve, sigma=0.5, progress=False)
        for one, found in zip(populations.treated, pairs, strict=True):
            assert found.before is populations.controls[one.population].x
            assert found.after is one.cells.x

    @pytest.mark.slow
    def test_processes_give_the_same_plans(self):
        couple = partial(couple_all, cohort(), Unbalanced(), sigma=0.5, progress=False)
        here = couple()
        with joblib.parallel_config(n_jobs=2):
            there = couple()
        for one, other in zip(here, there, strict=True):
            assert all(torch.equal(value, vars(other)[name]) for name, value in vars(one).items())

    def test_a_failure_comes_out_of_a_process_whole(self):
        error = pickle.loads(pickle.dumps(ConvergenceError("too small", {"error": 1.0})))
        assert (str(error), error.result) == ("too small", {"error": 1.0})
