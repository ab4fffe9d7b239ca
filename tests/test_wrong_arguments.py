"""Every public function refuses what its signature does not allow, before any work.

The calls are made from the signatures: a new function is in the test by itself, and fails it until
its parameters are known here or mean what those of the same name mean.
"""

import copy
import inspect
import tempfile
import traceback
import warnings
from functools import cache, partial
from pathlib import Path
from types import SimpleNamespace

import anndata as ad
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch

import celltraj as ct
from celltraj._checks import fits
from celltraj.models import (
    Midpoint,
    Moments,
    ResponseOptions,
    Training,
)

MODULES = (ct.pp, ct.tl, ct.pl, ct.get, ct.ex, ct.io, ct.datasets)
FUNCTIONS = {
    f"{module.__name__.rpartition('.')[2]}.{name}": getattr(module, name)
    for module in MODULES
    for name in module.__all__
    if inspect.isfunction(getattr(module, name))
}
SILENT = {"progress": False}
FEW = Midpoint(n_steps=4)
BETWEEN = {
    "model": ct.models.Brownian(0.5),
    "source": "up",
    "target": "down",
    "groupby": "arm",
    "stop": 1.0,
    "options": ct.models.LeastAction(n_points=8, n_starts=1),
}
PULL = ct.models.OrnsteinUhlenbeck(matrix=-torch.eye(2), shift=torch.zeros(2), sigma=1.0)


class Odd:
    """Something that no function takes."""


WRONG = {
    "None": None,
    "true": True,
    "seven": 7,
    "minus one": -1,
    "half": 0.5,
    "nan": float("nan"),
    "infinity": float("inf"),
    "endless": 10**30,
    "no text": "",
    "unknown": "no such",
    "bytes": b"time",
    "empty list": [],
    "list": [Odd()],
    "dict": {"a": Odd()},
    "set": {1.5},
    "object": Odd(),
    "class": ct.models.Heun,
    "array": np.array([[np.nan]]),
    "table": pd.DataFrame({"a": [1]}),
    "cells": ad.AnnData(np.ones((2, 2), dtype="float32")),
}
# what ends in an error raised by Python, NumPy, pandas, ... and not by celltraj
RAW = (
    *("object is not", "has no attribute", "not supported between", "unexpected keyword"),
    *("could not convert", "has no len", "truth value", "subscriptable", "unhashable"),
)


@cache
def file_of_course():
    """Return a file of the cells of the course, outside of the directory that calls must leave."""
    path = Path(tempfile.mkdtemp()) / "cells.h5ad"
    adata = ct.datasets.branching(n_cells=20, seed=0)
    adata.obsm["X_both"] = adata.X
    adata.write_h5ad(path)
    return path


@cache
def course():
    """Return a time course with a result of every kind, its models and its trajectories."""
    rng = np.random.default_rng(0)
    n, times = 12, np.repeat([0.0, 1.0, 2.0], 12)
    arm = np.tile(["up", "down"], 18)
    x = rng.normal(0, 0.3, (3 * n, 4))
    x[:, 0] += times
    x[:, 1] += np.where(arm == "up", 1, -1) * times
    obs = pd.DataFrame({"time": times, "arm": arm}, index=[f"c{i}" for i in range(3 * n)])
    obs["sample"] = np.tile(np.repeat(["a", "b", "c", "d"], 3), 3)
    obs["state"] = np.where(np.isin(obs["sample"], ["a", "b"]), "ill", "well")
    obs["is_in"] = True
    obs["clone"] = [f"clone {i % n}" for i in range(3 * n)]
    genes = ["MKI67", "TOP2A", "CASP3", "BAX"]
    adata = ad.AnnData(x.astype("float32"), obs=obs, var=pd.DataFrame(index=genes))
    ct.pp.pca_model(adata, n_comps=2)
    adata.obsm["X_umap"] = adata.obsm["X_pca"].copy()
    bridge = ct.tl.fit_bridge(adata, training=None, **SILENT)
    flow = ct.tl.fit_flow(adata, training=Training(max_steps=3, width=8), **SILENT)
    landscape = ct.tl.fit_bridge(
        adata,
        reference=ct.models.PotentialLandscape(width=4, max_iter=2),
        options=ct.models.BridgeOptions(refinement=ct.models.Refinement(max_rounds=1)),
        training=None,
        key_added="landscape",
        **SILENT,
    )
    path = ct.tl.simulate(
        adata, bridge, start=0.0, stop=2.0, n_cells=6, n_times=3, ode_solver=FEW, **SILENT
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ct.DataWarning)  # few particles
        steered = ct.tl.condition(
            *(adata, bridge),
            start=0.0,
            stop=1.0,
            toward={"arm": "up"},
            n_particles=20,
            n_times=2,
            **SILENT,
        )
    ct.tl.couplings(adata, **SILENT)
    adata.uns["tree"] = f"({','.join(adata.obs_names)});"
    adata.obsm["spatial"] = x[:, :2].copy()
    ct.tl.couple_space(adata, key_added="of_space", **SILENT)
    both = {"source": 0.0, "target": 2.0, "cells": {"arm": "up"}} | SILENT
    ct.tl.push(adata, **both)
    ct.tl.pull(adata, **both)
    ct.tl.transitions(adata, groupby="arm", **SILENT)
    ct.tl.fates(adata, groupby="arm", **SILENT)
    ct.tl.growth(adata)
    ct.tl.entropy(adata, **SILENT)
    ct.tl.drivers(adata, **SILENT)
    ct.tl.velocity(adata, bridge, basis="umap", n_neighbors=5, **SILENT)
    ct.tl.gene_trends(adata, path, genes=genes[:2], groupby="arm")
    ct.tl.compare_conditions(adata, sample_key="sample", condition_key="state", of="fates")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ct.DataWarning)  # few cells tell no rates
        ct.tl.jump_rates(adata, groupby="arm", forecast=3.0)
        ct.tl.fit_arms(adata, condition_key="arm", growth=None, training=None, **SILENT)
    ct.tl.sample_report(adata, sample_key="arm", **SILENT)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # few cells, and nothing around them that moves them
        ct.tl.fit_mean_field(adata, population_key="sample", growth=None, training=None, **SILENT)
    ct.tl.slow_modes(adata, n_modes=2, n_sets=2, **SILENT)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ct.DataWarning)  # few clones tell little
        ct.tl.calibrate(adata, unit_key="clone", confidence=0.5)
        ct.tl.couple_clones(adata, clone_key="clone", key_added="of_clones", **SILENT)
        ct.tl.clone_growth(adata, clone_key="clone", is_ancestor=True, **SILENT)
    ct.tl.clone_memory(adata, clone_key="clone", is_ancestor=True)
    ct.tl.martingale_test(adata, bridge, clone_key="clone", n_draws=2, **SILENT)
    ct.tl.entropy_production(adata, PULL, **SILENT)
    ct.tl.knockout(adata, bridge, genes=genes[:1], start=1.0, groupby="arm", n_null=0, **SILENT)
    ct.tl.jacobian(adata, landscape.reference, groupby="arm", **SILENT)
    bent = ct.tl.least_action(adata, **BETWEEN, **SILENT)
    fit = partial(ct.tl.fit_bridge, training=None)
    scores = ct.tl.cross_validate(adata, fit=fit, hold_out=[1.0], **SILENT)
    return {
        "adata": adata,
        "model": bridge,
        "flow": flow,
        "landscape": landscape,
        "path": path,
        "bent": bent,
        "steered": steered,
        "predicted": ct.tl.interpolate(adata, time=1.0, n_cells=6),
        "scores": scores,
        "fit": fit,
        "loadings": adata,
    }


@cache
def screen():
    """Return treated and untreated populations, a response fitted to them, and predictions."""
    adata = ct.datasets.letters(n_cells=12, letters="ABCD", n_rotations=1, seed=0)
    keys = {"population_key": "population", "condition_key": "condition", "control": "blurred"}
    encoder = Moments(n_features=2)
    fit = partial(
        ct.tl.fit_response,
        training=Training(max_steps=2, width=8),
        options=ResponseOptions(encoder=encoder, n_populations=2, n_context=4),
        **SILENT,
    )
    model = fit(adata, **keys)
    condition = model.coder.drugs[0]
    predicted = ct.tl.predict_response(adata, model, condition=condition, **SILENT)
    scores = ct.tl.cross_validate_response(adata, **keys, fit=fit, hold_out="population", **SILENT)
    embedded = ct.tl.embed_populations(adata, model)
    observed = adata.copy()
    observed.X -= observed.X.min()  # as logarithms of counts are
    return keys | {
        "adata": adata,
        "model": model,
        "predicted": predicted,
        "observed": observed,
        "embedded": embedded,
        "scores": scores,
        "condition": condition,
        "fit": fit,
    }


# of the parameters that have no default, by name; those of one function before those of all
REQUIRED = {
    "start": 0.0,
    "stop": 1.0,
    "source": 0.0,
    "target": 2.0,
    "time": 1.0,
    "cells": {"arm": "up"},
    "groupby": "arm",
    "genes": ["MKI67"],
    "gene": "MKI67",
    "hold_out": [1.0],
    "sample_key": "sample",
    "statistic": len,
    "population_key": "sample",
    "condition_key": "state",
    "unit_key": "clone",
    "clone_key": "clone",
    "lineage_key": "tree",
    "of": "fates",
    "basis": "umap",
    "x": np.zeros((5, 2)),
    "doses": [1.0, 10.0],
    "responses": pd.DataFrame(
        {
            **dict.fromkeys(("population", "condition"), "a"),
            **{"readout": "size", "variable": "", "kind": "predicted"},
            **{"dose": [0.0, 1.0, 2.0, 4.0], "value": [0.0, 1.0, 1.5, 1.7]},
        }
    ),
    "problem": Odd(),  # moscot's own may not be there
    "maps": {(0.0, 1.0): np.ones((12, 12)), (1.0, 2.0): np.ones((12, 12))},
}
# also what makes a call that is allowed a short one
OWN = {
    "io.from_files": lambda: {"paths": [file_of_course()], "representation": "X_both"},
    "io.from_mudata": lambda: {
        "mdata": SimpleNamespace(mod={"rna": course()["adata"]}, obs=course()["adata"].obs),
        "representations": "rna:X",
    },
    "pp.match_variables": lambda: {"like": course()["adata"]},
    "tl.interpolate_slice": lambda: {"at": 1.0, "key": "of_space"},
    "get.registration": lambda: {"key": "of_space"},
    "pl.slices": lambda: {"key": "of_space"},
    "tl.calibrate": lambda: {"confidence": 0.5},
    "tl.forecast_intervals": lambda: {"confidence": 0.5},
    "tl.entropy_production": lambda: {"model": PULL},
    "tl.fit_bridge": lambda: {"training": None},
    "tl.cross_validate_arms": lambda: {"condition_key": "arm", "hold_out": [(1.0, "up")]},
    "tl.knockout": lambda: {"n_null": 3},
    "tl.simulate": lambda: {"n_times": 3, "n_cells": 6},
    "tl.condition": lambda: {"n_times": 2, "n_particles": 20, "toward": {"arm": "up"}},
    "get.condition": lambda: {"adata": course()["steered"]},
    "tl.log_density": lambda: {"model": course()["flow"]},
    "tl.least_action": lambda: BETWEEN,
    "get.least_action": lambda: {"adata": course()["bent"]},
    "pl.least_action": lambda: {"adata": course()["bent"]},
    "tl.clone_memory": lambda: {"is_ancestor": True},
    "tl.clone_growth": lambda: {"is_ancestor": True},
    "tl.couple_clones": lambda: {"strength": 0.5},
    "get.clone_strength": lambda: {"key": "of_clones"},
    "tl.martingale_test": lambda: {"n_draws": 2},
    "pl.landscape": lambda: {"model": course()["landscape"]},
    "pl.refinement": lambda: {"model": course()["landscape"]},
    "pl.report": lambda: {"path": "report.html"},
    "pl.stream": lambda: {"basis": "umap"},
}
# only what a signature forbids is tried on these: they are dear, read files, or draw for long
DEAR = {
    "pl.animate",
    "pl.report",
    "tl.bootstrap",
    "tl.cross_validate",
    "tl.cross_validate_arms",
    "tl.cross_validate_response",
    "tl.fit_arms",
    "tl.fit_flow",
    "tl.fit_mean_field",
    "tl.fit_response",
    "tl.fit_response_folds",
    "tl.regulation",
    "tl.resample",
    "tl.knockout_screen",
    "tl.which_model",
}


def is_response(name):
    words = ("response", "population", "gene_scores", "cell_eval")
    return not name.startswith("datasets.") and any(word in name for word in words)


def base_call(name):
    """Return valid arguments of a function, as far as they are needed."""
    state = screen() if is_response(name) else course()
    own = OWN.get(name, dict)()
    found = {}
    for key, one in inspect.signature(FUNCTIONS[name]).parameters.items():
        if key in own:
            found[key] = own[key]
        elif key == "progress" or key == "show":
            found[key] = False
        elif one.default is inspect.Parameter.empty:
            values = state if key in state else REQUIRED
            assert key in values, f"give the test a value of {key}= for {name}"
            found[key] = values[key]
    return found


def looks(adata):
    if not isinstance(adata, ad.AnnData):
        return None
    slots = (adata.obs, adata.obsm, adata.obsp, adata.uns, adata.uns.get("celltraj", {}))
    return [sorted(map(str, slot)) for slot in slots], float(np.abs(np.nan_to_num(adata.X)).sum())


def is_clean(error):
    """Return whether an error is one of celltraj's own, in words."""
    last = traceback.extract_tb(error.__traceback__)[-1].filename
    own = isinstance(error, KeyError | TypeError | ValueError | FileNotFoundError | OSError)
    own = own or isinstance(error, ct.ConvergenceError | ct.RefinementError)
    text = str(error)
    return own and "celltraj" in last and len(text) > 20 and not any(raw in text for raw in RAW)


def hints_of(name):
    return inspect.get_annotations(inspect.unwrap(FUNCTIONS[name]), eval_str=True)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_wrong_arguments_are_refused_in_words(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    function, hints, base = FUNCTIONS[name], hints_of(name), base_call(name)
    before = {key: looks(value) for key, value in base.items()}
    wrong, n_calls = [], 0
    for key in inspect.signature(function).parameters:
        for label, value in WRONG.items():
            is_allowed = fits(value, hints[key])
            if is_allowed and (name in DEAR or name.startswith("datasets.")):
                continue
            given = dict(base)
            if is_allowed:  # it may work, and write: not to what the others are given
                given = {k: v.copy() if isinstance(v, ad.AnnData) else v for k, v in base.items()}
            n_calls += 1
            given[key] = copy.copy(value)
            try:
                function(**given)
            except Exception as error:  # noqa: BLE001
                if not is_clean(error):
                    wrong.append(f"{key}={label}: {type(error).__name__}: {error}")
            else:
                if not is_allowed:
                    wrong.append(f"{key}={label}: no error")
            finally:
                plt.close("all")
    assert not wrong, "\n".join(wrong)
    assert {key: looks(value) for key, value in base.items()} == before
    assert n_calls >= 5 * len(hints) - 5
    assert not list(Path(tmp_path).iterdir()) or name in {"pl.animate"} or name.startswith("pl.")


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_a_name_that_is_misspelt_is_told(name):
    with pytest.raises(TypeError, match="takes no argument"):
        FUNCTIONS[name](no_such_argument=1)
