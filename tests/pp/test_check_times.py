"""The count of cells at each time."""

import anndata as ad
import numpy as np
import pandas as pd

import celltraj as ct


def test_text_is_counted_in_order_of_time():
    obs = pd.DataFrame({"day": ["day 10"] * 3 + ["day 2"] * 2}, index=list("abcde"))
    table = ct.pp.check_times(ad.AnnData(np.zeros((5, 1)), obs=obs), time_key="day")
    assert table.to_dict("list") == {
        "time": [2.0, 10.0],
        "n_cells": [2, 3],
        "label": ["day 2", "day 10"],
    }
