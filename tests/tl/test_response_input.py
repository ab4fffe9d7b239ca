"""Designs that are odd: each has an answer, or one sentence that says what mends it."""

import logging

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import celltraj as ct

KEYS = {"population_key": "patient", "condition_key": "drug", "control": "DMSO"}
FEW = ct.models.ResponseOptions(n_context=16, n_kernels=0)


def cohort(design, *, n_cells=15, dose=None):
    """Return cells of ``(patient, drug)`` or ``(patient, drug, dose)``, moved by their drug."""
    rng = np.random.default_rng(0)
    rows = [tuple(one) for one in design for _ in range(n_cells)]
    names = ["patient", "drug", "dose"][: len(rows[0])]
    obs = pd.DataFrame(rows, columns=names).rename(index=str)
    x = rng.normal(size=(len(rows), 2)) + 2.0 * (obs[["drug"]] != "DMSO").to_numpy()
    return ad.AnnData(x, obs=obs)


def fitted(adata, *, options=FEW, **keys):
    training = ct.models.Training(max_steps=5, batch_size=8, width=8)
    keys = {"options": options, "training": training, "progress": False, "use_rep": "X"} | keys
    return ct.tl.fit_response(adata, **{**KEYS, **keys})


def predicted(adata, model, condition, **options):
    return ct.tl.predict_response(adata, model, condition=condition, progress=False, **options)


def test_one_population_is_told_by_the_network_alone():
    adata = cohort([("a", "DMSO"), ("a", "x")])
    model = fitted(adata)
    assert model.base is None
    assert model.reason == "one population has no neighbours in others"
    assert np.isfinite(predicted(adata, model, "x").X).all()
    assert adata.uns["celltraj"]["response"]["base_reason"] == model.reason


def test_conditions_without_a_population_in_common_are_told(caplog):
    adata = cohort([("a", "DMSO"), ("a", "x"), ("b", "DMSO"), ("b", "y")])
    with caplog.at_level(logging.INFO, logger="celltraj"):
        model = fitted(adata)
    assert "is not told from what does populations: x; y" in caplog.text
    assert adata.uns["celltraj"]["response"]["params"]["never_together"].tolist() == ["x", "y"]
    assert np.isfinite(predicted(adata, model, "y").X).all()
    chained = cohort([("a", "DMSO"), ("a", "x"), ("a", "y"), ("b", "DMSO"), ("b", "y")])
    fitted(chained)
    assert "never_together" not in chained.uns["celltraj"]["response"]["params"]


def test_a_cell_without_a_condition_is_no_control():
    adata = cohort([("a", "DMSO"), ("a", "x"), ("b", "DMSO"), ("b", "x")])
    adata.obs.loc[adata.obs_names[20:23], "drug"] = np.nan
    with pytest.raises(
        ValueError, match=r"3 cells have no condition in obs\['drug'\] \(first: '20'"
    ):
        fitted(adata)
    pair = cohort([("a", "DMSO"), ("a", "x"), ("b", "DMSO"), ("b", "x")])
    pair.obs["second"] = np.nan
    fitted(pair, condition_key=["drug", "second"])  # nothing beside a drug, or beside the control
    pair.obs.loc[pair.obs_names[0], "drug"] = None
    with pytest.raises(ValueError, match=r"no condition in obs.'drug'. and obs.'second'."):
        fitted(pair, condition_key=["drug", "second"])


def test_a_dose_of_zero_is_the_control():
    adata = cohort([("a", "DMSO", 0.0), ("a", "x", 0.0), ("a", "x", 1.0)])
    with pytest.raises(ValueError, match=r"no positive dose.*where it is zero, name the control"):
        fitted(adata, dose_key="dose")
    adata.obs.loc[adata.obs["dose"] == 0, "drug"] = "DMSO"
    assert fitted(adata, dose_key="dose").conditions == ("x",)


def test_a_control_that_is_a_drug_is_told():
    adata = cohort([("a", "x", 1.0), ("a", "x", 10.0), ("a", "y", 1.0), ("a", "DMSO", 0.0)])
    with pytest.warns(ct.DataWarning, match=r"several doses \(\[1.0, 10.0\]\), as a drug has"):
        fitted(adata[adata.obs["drug"] != "DMSO"].copy(), control="x", dose_key="dose")
    fitted(adata, dose_key="dose")  # no warning: that is the label of untreated cells


def test_a_patient_of_one_cell_copied_is_told_and_predicted():
    adata = cohort([(p, drug) for p in "abc" for drug in ("DMSO", "x")])
    own = ((adata.obs["patient"] == "b") & (adata.obs["drug"] == "DMSO")).to_numpy()
    adata.X[own] = adata.X[own][0]
    with pytest.warns(ct.DataWarning, match=r"all cells of \['b \(control\)'\] are copies of one"):
        model = fitted(adata)
    new = adata[own].copy()
    with pytest.warns(ct.DataWarning):
        told = predicted(new, model, "x")
    assert np.isfinite(told.X).all()
    np.testing.assert_allclose(told.X, told.X[[0]].repeat(len(told), 0), rtol=1e-4)


def test_a_table_that_lacks_a_drug_is_refused_before_the_work():
    adata = cohort([(p, drug) for p in "ab" for drug in ("DMSO", "x", "y")])
    options = ct.models.ResponseOptions(condition_features={"x": [0.0, 1.0]})
    with pytest.raises(ValueError, match=r"no features for \['y'\]; give condition_features a row"):
        fitted(adata, options=options)
    assert "celltraj" not in adata.uns
