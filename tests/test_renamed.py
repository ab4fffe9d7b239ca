"""Old names of arguments are told, with what to write now."""

import inspect
import re
from functools import partial

import pytest

import celltraj as ct
from celltraj._renamed import OLD_ARGUMENTS, OLD_POSITIONS
from celltraj._signature import bound

CASES = [(function, old) for function, names in OLD_ARGUMENTS.items() for old in names]


def function_of(name):
    place, _, own = name.partition(".")
    return getattr(getattr(ct, place), own)


def told_by(name, **given):
    """Bind the arguments of a class; its own call comes after the checks of shapes in tests."""
    return bound(name, inspect.signature(function_of(name)), (), given)


@pytest.mark.parametrize(("name", "old"), CASES)
def test_an_old_name_raises_its_sentence(name, old):
    function = function_of(name)
    assert old not in inspect.signature(function).parameters
    call = partial(told_by, name) if isinstance(function, type) else function
    with pytest.raises(
        TypeError, match=f"^{function.__name__} takes no argument {old!r}: "
    ) as told:
        call(**{old: None})
    assert str(told.value).endswith(OLD_ARGUMENTS[name][old])


@pytest.mark.parametrize(("name", "old"), CASES)
def test_sentences_speak_of_what_there_is(name, old):
    sentence = OLD_ARGUMENTS[name][old]
    called = {name} | set(re.findall(r"ct\.(\w+\.\w+)\(", sentence))
    known = {one for call in called for one in inspect.signature(function_of(call)).parameters}
    assert set(re.findall(r"\b(\w+)=", sentence)) <= known


@pytest.mark.parametrize("name", OLD_POSITIONS)
def test_an_old_position_raises_the_same_sentence(name):
    adata = ct.datasets.branching(n_cells=10, seed=0)
    with pytest.raises(TypeError, match=re.escape(OLD_ARGUMENTS[name][OLD_POSITIONS[name]])):
        function_of(name)(adata, ct.models.Brownian(0.1), key="couplings")


def test_a_response_before_its_data_is_told():
    adata = ct.datasets.branching(n_cells=10, seed=0)
    for function, call in (
        (ct.tl.predict_response, "ct.tl.predict_response(adata, model, ...)"),
        (ct.tl.embed_populations, "ct.tl.embed_populations(adata, model, ...)"),
        (ct.tl.couplings, "ct.tl.couplings(adata, model, ...)"),
    ):
        given = {"condition": "drug"} if function is ct.tl.predict_response else {}
        with pytest.raises(TypeError, match=re.escape(call)):
            function(ct.models.Brownian(0.1), adata, **given)
