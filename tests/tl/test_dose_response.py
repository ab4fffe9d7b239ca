"""Responses over doses: what is read at each, and the curves that populations have."""

import anndata as ad
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import celltraj as ct
from celltraj._stats.hill import HillCurve
from celltraj.models import MetaFlowMatching, Response, Training

SCREEN = {
    "population_key": "population",
    "condition_key": ["drug_1", "drug_2"],
    "dose_key": ["dose_1", "dose_2"],
    "control": "control",
}
DOSES = [0.1, 1.0, 10.0, 100.0]


class Known(MetaFlowMatching):
    """Move all cells along the first variable by a curve of the dose."""

    def respond(self, cells, condition, **_):
        moved = cells.clone()
        moved[:, 0] += float(HillCurve(0.0, 3.0, 2.0, 1.5).at(condition.doses[0]))
        return Response(moved, None)


@pytest.fixture(scope="module")
def screen():
    return ct.datasets.drug_screen(n_lines=3, n_drugs=3, n_cells=40, n_vars=3, seed=0)


@pytest.fixture(scope="module")
def known(screen):
    short = Training(max_steps=2, batch_size=16, width=16)
    fitted = ct.tl.fit_response(screen.copy(), **SCREEN, training=short, progress=False)
    return Known(**vars(fitted))


@pytest.fixture(scope="module")
def responses(screen, known):
    screen.obs["viability"] = 1.0
    for line, scale in zip(["line 0", "line 1", "line 2"], (0.5, 1.0, 2.0), strict=True):
        for dose in (0.1, 1.0, 10.0):
            own = (screen.obs["population"] == line) & (screen.obs["dose_1"] == dose)
            screen.obs.loc[own, "viability"] = 1 - HillCurve(0, 0.8, scale, 1.0).at(dose)
    keys = {"condition": "drug 2", "doses": [0.0, *DOSES], "survival_key": "viability"}
    return ct.tl.dose_response(screen, known, **keys, progress=False)


def test_predicted_curves_are_those_of_the_model(responses):
    curves = ct.get.dose_curves(responses, n_bootstrap=100)
    table = curves.set_index(["kind", "readout", "variable", "population"])
    for name in ("line 0", "line 1", "line 2", "all populations"):
        for where in (("predicted", "size", ""), ("predicted", "shift", "x0")):
            row = table.loc[(*where, name)]
            assert row["half_dose"] == pytest.approx(2.0, rel=1e-3)
            assert row["slope"] == pytest.approx(1.5, rel=1e-3)
            assert row["top"] == pytest.approx(3.0, rel=1e-3)
    still = table.loc[("predicted", "shift", "x1", "all populations")]
    assert np.isnan(still["half_dose"])
    assert still["n_curves"] == 0
    assert still["area"] == 0


def test_the_share_killed_keeps_its_scale(responses):
    killed = responses[responses["readout"] == "killed"]
    assert set(killed["kind"]) == {"observed"}
    assert (killed.loc[killed["dose"] == 0, "value"] == 0).all()
    curves = ct.get.dose_curves(killed, n_bootstrap=500).set_index("population")
    assert curves.loc["line 2", "half_dose"] == pytest.approx(2.0, rel=1e-2)
    row = curves.loc["all populations"]
    assert row["half_dose"] == pytest.approx(1.0, rel=1e-2)  # geometric mean of .5, 1 and 2
    assert row["top"] == pytest.approx(0.8, rel=1e-2)
    assert 0.49 < row["half_dose_low"] < 1 < row["half_dose_high"] < 2.01
    assert np.isnan(curves.loc["line 2", "half_dose_low"])
    assert not row["is_extrapolated"]


def test_the_control_is_the_dose_of_zero(screen, responses):
    zero = responses[responses["dose"] == 0]
    assert set(zero["kind"]) == {"predicted", "observed"}
    assert (zero.loc[zero["readout"].isin(["size", "shift"]), "value"] == 0).all()
    above = zero.loc[zero["readout"] == "above_gate", "value"]
    np.testing.assert_allclose(above, 0.1)
    assert set(responses.loc[responses["kind"] == "predicted", "dose"]) == {0, *DOSES}
    seen = responses[(responses["kind"] == "observed") & (responses["readout"] == "size")]
    own = screen[screen.obs["population"] == "line 1"]
    drug = (own.obs["drug_1"] == "drug 2") & own.obs["drug_2"].isna() & (own.obs["dose_1"] == 10)
    shift = own[drug].X.mean(0) - own[own.obs["drug_1"] == "control"].X.mean(0)
    row = seen[(seen["population"] == "line 1") & (seen["dose"] == 10)]["value"]
    assert row.item() == pytest.approx(np.linalg.norm(shift), rel=1e-5)


def test_doses_that_enclose_no_half_are_told():
    curve, doses = HillCurve(0.0, 1.0, 50.0, 1.0), [0.0, 0.5, 2.0, 10.0, 20.0]
    columns = ["population", "condition", "dose", "readout", "variable", "kind", "value"]
    rows = [("a", "drug", dose, "killed", "", "observed", curve.at(dose)) for dose in doses]
    found = ct.get.dose_curves(pd.DataFrame(rows, columns=columns))
    assert found["is_extrapolated"].all()
    assert found["half_dose"].iloc[0] == pytest.approx(50, rel=0.01)


def test_curves_survive_a_file_and_are_drawn(responses, tmp_path):
    adata = ad.AnnData(np.zeros((1, 1)), uns={"responses": responses})
    adata.write_h5ad(tmp_path / "responses.h5ad")
    found = ad.read_h5ad(tmp_path / "responses.h5ad").uns["responses"]
    expected = ct.get.dose_curves(responses, n_bootstrap=50)
    pd.testing.assert_frame_equal(ct.get.dose_curves(found, n_bootstrap=50), expected)
    ax = ct.pl.dose_response(found, show=False)
    thick = [line for line in ax.lines if line.get_linewidth() == 2.2]
    assert len(thick) == 2  # predicted and observed
    curve = HillCurve(0.0, 3.0, 2.0, 1.5)
    np.testing.assert_allclose(thick[0].get_ydata(), curve.at(thick[0].get_xdata()), rtol=1e-3)
    ct.pl.dose_response(found, readout="shift", variable="x0", show=False)
    few = found[(found["dose"] < 5) & (found["kind"] == "observed")]
    assert len(ct.pl.dose_response(few, show=False).lines) == 1  # beside the control alone
    plt.close("all")


def test_what_is_no_dose_is_refused(screen, known, responses):
    for doses, message in (([-1.0], "not negative"), ([1, 1], "each there once"), ([0], "no pos")):
        with pytest.raises(ValueError, match=message):
            ct.tl.dose_response(screen, known, condition="drug 2", doses=doses, progress=False)
    with pytest.raises(ValueError, match="lack the control"):
        ct.get.dose_curves(responses[responses["dose"] > 0])
    with pytest.raises(ValueError, match="no readout 'killed' of 'x0'"):
        ct.pl.dose_response(responses, readout="killed", variable="x0", show=False)
    bare = screen[screen.obs["drug_1"] == "control"].copy()
    bare.obs = bare.obs[["state"]]
    keys = {"condition": "drug 2", "doses": DOSES, "survival_key": "state"}
    with pytest.raises(ValueError, match="is of treated cells"):
        ct.tl.dose_response(bare, known, **keys, progress=False)
    screen.obs["uneven"] = np.linspace(0.1, 0.9, screen.n_obs)
    screen.obs.loc[screen.obs["drug_1"] == "control", "uneven"] = 1.0
    keys = {"condition": "drug 2", "doses": DOSES, "survival_key": "uneven"}
    with pytest.raises(ValueError, match="must share one survival"):
        ct.tl.dose_response(screen, known, **keys, progress=False)
