"""Conditions: what they are, and the numbers that stand for them."""

import math

import pytest
import torch

from celltraj.models import Condition, ConditionCoder, Covariate

FEATURES = {"A": [1.0, 0.0], "B": [0.5, 2.0], "a+b": [0.0, -1.0]}


def close(found, wanted):
    torch.testing.assert_close(found, torch.tensor(wanted), rtol=1e-6, atol=1e-6)


def test_a_name_does_not_depend_on_the_order():
    assert Condition(("B", "A"), (1.0, 10.0)).name == Condition(("A", "B"), (10.0, 1.0)).name
    assert Condition(("B", "A")).name == "A + B"
    assert Condition(("CD3/CD28",), (0.25,)).name == "CD3/CD28 0.25"


def test_a_token_is_the_drug_and_its_standardised_log_dose():
    doses = (0.1, 1.0, 10.0)
    coder = ConditionCoder.of([Condition(("B", "A"), (1.0, d)) for d in doses])
    # six doses: three of 1, and .1, 1 and 10; their logs have mean 0 and variance ln(10)^2 / 3
    scale = math.log(10) / math.sqrt(3)
    assert coder.drugs == ("A", "B")
    close(coder.tokens(Condition(("A",), (10.0,))), [[1.0, 0.0, math.log(10) / scale]])
    close(
        coder.tokens(Condition(("B", "A"), (10.0, 1.0))),
        [[0.0, 1.0, math.log(10) / scale], [1.0, 0.0, 0.0]],
    )
    assert coder.token_size == 3


def test_one_dose_alone_is_the_middle_and_the_scale_stays_one():
    coder = ConditionCoder.of([Condition(("A",), (3.0,))])
    close(coder.tokens(Condition(("A",), (3.0 * math.e,))), [[1.0, 1.0]])


def test_own_features_describe_drugs_that_were_never_given():
    coder = ConditionCoder.of([Condition(("A",)), Condition(("B",))], features=FEATURES)
    assert coder.drugs == ("A", "B")  # what was never given stays unknown until it is asked for
    close(coder.tokens(Condition(("B",))), [[0.5, 2.0, 0.0]])
    wider = coder.with_features({"a+b": FEATURES["a+b"], "A": [9.0, 9.0]})
    close(wider.tokens(Condition(("a+b", "A"))), [[0.0, -1.0, 0.0], [1.0, 0.0, 0.0]])
    assert coder.with_features({"A": [9.0, 9.0]}).drugs == coder.drugs


def test_covariates_are_one_vector():
    drug = ("A",)
    conditions = [Condition(drug, (), values) for values in ((30.0, "F"), (50.0, "M"))]
    coder = ConditionCoder.of(conditions, covariate_names=("age", "sex"))
    assert coder.n_covariates == 3
    close(coder.covariate_vector(Condition(drug, (), (60.0, "M"))), [2.0, 0.0, 1.0])
    assert coder.covariate_vector(conditions[0]).dtype == torch.float32


def test_a_constant_covariate_is_zero():
    assert Covariate.of("age", [40.0, 40.0]).encode(40.0) == [0.0]
    assert Covariate.of("sex", ["F", "F"]).encode("F") == [1.0]
    assert Covariate.of("smokes", [True, False]).encode(True) == [1.0]  # noqa: FBT003


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((),), "names one drug or more, each once; found"),
        ((("A", "A"),), "each once; found"),
        ((("A", "B"), (1.0,)), "2 drugs need as many doses; found"),
        ((("A",), (0.0,)), r"positive and finite; found \(0.0,\). No drug at all is the control"),
        ((("A",), (-1.0,)), "positive and finite"),
        ((("A",), (math.nan,)), "positive and finite"),
        ((("A",), (math.inf,)), "positive and finite"),
    ],
)
def test_conditions_are_checked(arguments, message):
    with pytest.raises(ValueError, match=message):
        Condition(*arguments)


@pytest.mark.parametrize(
    ("covariate", "value", "message"),
    [
        (Covariate.of("sex", ["F", "M"]), "X", r"'sex' is 'X'; the model knows \('F', 'M'\)"),
        (Covariate.of("sex", ["F", "M"]), 1.0, "'sex' is 1.0"),
        (Covariate.of("age", [1.0, 2.0]), math.nan, "'age' must be a finite number; found nan"),
        (Covariate.of("age", [1.0, 2.0]), "old", "must be a finite number; found 'old'"),
    ],
)
def test_values_of_covariates_are_checked(covariate, value, message):
    with pytest.raises(ValueError, match=message):
        covariate.encode(value)


PLAIN = ConditionCoder.of([Condition(("A",))])
DOSED = ConditionCoder.of([Condition(("A",), (1.0,))])
OWN = ConditionCoder.of([Condition(("A",))], features=FEATURES)


@pytest.mark.parametrize(
    ("work", "message"),
    [
        (lambda: PLAIN.tokens(Condition(("X",))), r"unknown drug 'X'; known are \['A'\], and a mo"),
        (lambda: OWN.tokens(Condition(("X",))), r"known are \['A'\], and pass condition_features="),
        (lambda: PLAIN.tokens(Condition(("A",), (1.0,))), "has no doses; leave those of 'A 1' out"),
        (lambda: DOSED.tokens(Condition(("A",))), "'A' needs one for each drug"),
        (lambda: PLAIN.with_features(FEATURES), r"knows \['A'\] by name alone; fit it with"),
        (lambda: OWN.with_features({"X": [1.0]}), "with 2 features of each drug; found 1"),
        (lambda: OWN.with_features({"X": [1.0, math.nan]}), "NaN or infinite values; impute"),
        (lambda: PLAIN.covariate_vector(Condition(("A",), (), (1.0,))), r"covariates \[\]; found"),
    ],
)
def test_what_a_coder_cannot_read_is_said(work, message):
    with pytest.raises(ValueError, match=message):
        work()


@pytest.mark.parametrize(
    ("conditions", "features", "message"),
    [
        ([Condition(("A",), (1.0,)), Condition(("B",))], None, "some conditions have doses, 'B'"),
        ([Condition(("A",)), Condition(("X",))], FEATURES, r"no features for \['X'\]; give"),
        ([Condition(("A",)), Condition(("B",))], {"A": [1.0], "B": [1.0, 2.0]}, "be as long"),
    ],
)
def test_conditions_that_do_not_go_together_are_told(conditions, features, message):
    with pytest.raises(ValueError, match=message):
        ConditionCoder.of(conditions, features=features)
