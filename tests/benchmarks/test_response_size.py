"""The screens that the size of responses is measured on, and what is killed in them."""

import numpy as np
import pandas as pd
import pytest

from benchmarks.response_killed import counted, truth
from benchmarks.response_killed import table as errors
from benchmarks.response_size import screen, table


@pytest.mark.parametrize(("every_dose", "n_doses"), [(False, 1), (True, 3)])
def test_a_screen_is_as_large_as_it_says(every_dose, n_doses):
    adata = screen(4, 5, every_dose=every_dose)
    treated = adata.obs[adata.obs["drug"] != "control"]
    sizes = treated.groupby(["patient", "drug", "dose"], observed=True).size()
    assert (len(sizes), set(sizes)) == (4 * 5 * n_doses, {30})
    assert adata.n_obs == 4 * 60 + 4 * 5 * n_doses * 30
    assert treated["dose"].nunique() == 3


def test_the_slope_is_the_power_of_the_treatments():
    columns = ["cells", "above_gb", "peak_gb", "predict_cpu_s"]
    records = pd.DataFrame({"treatments": [10, 40], "steps": 5, "cpu_s": [1.0, 8.0]})
    found = table(records.assign(**dict.fromkeys(columns, 0.0)))
    assert np.isnan(found["slope"].iloc[0])
    assert found["slope"].iloc[1] == pytest.approx(1.5)


def test_counts_of_a_screen_say_what_its_law_kills():
    adata = counted(0, 3)
    drug, missed = adata.uns["truth"]["killing_drug"], []
    for line in adata.obs["population"].unique():
        own = adata.obs[(adata.obs["population"] == line) & (adata.obs["drug_1"] == drug)]
        for dose, count in own.groupby("dose_1")["count"].first().items():
            missed.append(1 - count / 150 - truth(adata, line, dose))
    # the cells of a treatment are others than those without: a binomial of 150, nine times
    assert np.abs(missed).max() < 4 * np.sqrt(2 * 0.25 / 150)


def test_errors_are_over_lines():
    rows = pd.DataFrame(
        {"seed": 0, "line": ["a", "a", "b"], "method": "m", "killed": 0.5, "truth": [0.4, 0.8, 0.5]}
    )
    found = errors(rows).loc["m"]
    assert found["error"] == pytest.approx(0.1)
    assert found["bias"] == pytest.approx(-0.05)
