"""Results survive h5ad and zarr, and every plot draws from what comes back."""

import inspect
import re
import sys
import warnings
from functools import partial
from itertools import pairwise
from types import SimpleNamespace

import anndata as ad
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from declared import check_places, check_record

import celltraj as ct
from celltraj._anndata.results import RESULTS
from celltraj.models import Midpoint, Training

DRIFTS = {"plug-in": None, "neural": Training(max_steps=20, width=16)}
STORES = {
    "h5ad": (ad.AnnData.write_h5ad, ad.read_h5ad),
    "zarr": (ad.AnnData.write_zarr, ad.read_zarr),
}
PLOTS = {
    "snapshots": lambda adata, path, scores: ct.pl.snapshots(adata, show=False),
    "trajectories": lambda adata, path, scores: ct.pl.trajectories(adata, path, show=False),
    "marginals": lambda adata, path, scores: ct.pl.marginals(adata, path, show=False),
    "history": lambda adata, path, scores: ct.pl.history(adata, show=False),
    "scores": lambda adata, path, scores: ct.pl.scores(scores, show=False),
}


@pytest.fixture(scope="module", params=DRIFTS)
def results(request):
    """Return the fitted data, a simulated path and interpolated cells."""
    adata = ct.datasets.branching(n_cells=20, seed=0)
    bridge = ct.tl.fit_bridge(adata, training=DRIFTS[request.param], seed=2, progress=False)
    path = ct.tl.simulate(
        adata,
        bridge,
        start=0.0,
        stop=4.0,
        n_cells=10,
        n_times=5,
        ode_solver=Midpoint(n_steps=5),
        progress=False,
    )
    return adata, path, ct.tl.interpolate(adata, bridge, time=1.5, n_cells=10)


@pytest.fixture(params=STORES)
def reload(request, tmp_path):
    """Return a function that writes an AnnData and returns what is read back."""
    write, read = STORES[request.param]

    def through_file(adata):
        file = tmp_path / f"{id(adata)}.{request.param}"
        write(adata, file)
        return read(file)

    return through_file


def assert_same(found, expected):
    """Compare what may stand in ``uns``, in depth."""
    if isinstance(expected, dict):
        assert set(found) == set(expected)
        for key in expected:
            assert_same(found[key], expected[key])
    elif isinstance(expected, pd.DataFrame):
        # text columns may come back as another kind of text; numbers must keep their kind
        texts = {key: kind for key, kind in expected.dtypes.items() if kind.kind == "O"}
        found = found.astype({key: texts[key] for key in texts if key in found})
        pd.testing.assert_frame_equal(found, expected, check_index_type=False)
    elif isinstance(expected, np.ndarray):
        np.testing.assert_array_equal(found, expected)
    else:
        assert found == expected
        assert isinstance(found, np.generic) or type(found) is type(expected)


@pytest.mark.filterwarnings("ignore:Writing zarr v2 data:UserWarning")
def test_every_value_comes_back(results, reload):
    for adata in results:
        again = reload(adata)
        assert_same(again.uns["celltraj"], adata.uns["celltraj"])
        np.testing.assert_array_equal(again.X, adata.X)
        assert list(again.obsm) == list(adata.obsm)
        for key, value in adata.obsm.items():
            np.testing.assert_array_equal(again.obsm[key], value)
        assert_same(
            {name: again.obs[name].to_numpy() for name in again.obs},
            {name: adata.obs[name].to_numpy() for name in adata.obs},
        )


@pytest.mark.filterwarnings("ignore:Writing zarr v2 data:UserWarning")
def test_every_plot_draws_from_what_comes_back(results, reload, tmp_path):
    adata, path = (reload(a) for a in results[:2])
    fit = partial(ct.tl.fit_bridge, training=None, progress=False)
    ct.tl.cross_validate(adata, fit=fit, hold_out=[2.0], progress=False).to_csv(
        tmp_path / "scores.csv", index=False
    )
    scores = pd.read_csv(tmp_path / "scores.csv")
    is_trained = len(adata.uns["celltraj"]["bridge"]["history"]) > 0
    for name, draw in PLOTS.items():
        if name == "history" and not is_trained:
            with pytest.raises(ValueError, match="not trained"):
                draw(adata, path, scores)
            continue
        ax = np.ravel(draw(adata, path, scores))[0]
        ax.figure.canvas.draw()
        assert ax.has_data()
    plt.close("all")


KINDS = {one.kind: one for one in RESULTS}
NAMES = ("CD4/CD8", "NK")
GROUPS = [*NAMES, "a category nobody has"]
SIMULATED = {"n_cells": 20, "n_times": 4, "progress": False}
READERS = {
    "calibration": lambda adata: ct.get.calibration(adata),
    "calibration, curve": lambda adata: ct.get.calibration(adata, curve=True),
    "arms": lambda adata: ct.get.arms(adata),
    "arms, candidates": lambda adata: ct.get.arms(adata, candidates=True),
    "mean_field": lambda adata: ct.get.mean_field(adata),
    "mean_field, candidates": lambda adata: ct.get.mean_field(adata, candidates=True),
    "conditions": lambda adata: ct.get.conditions(adata),
    "conditions, samples": lambda adata: ct.get.conditions(adata, samples=True),
    "clone_memory": lambda adata: ct.get.clone_memory(adata),
    "clone_memory, pairs": lambda adata: ct.get.clone_memory(adata, pairs=True),
    "clone_growth": lambda adata: ct.get.clone_growth(adata),
    "clone_strength": lambda adata: ct.get.clone_strength(adata, key="of_clones"),
    "convergence": lambda adata: ct.get.convergence(adata),
    "convergence within samples": lambda adata: ct.get.convergence(adata, key="within"),
    "convergence of a bridge": lambda adata: ct.get.convergence(adata, key="bridge"),
    "convergence from elsewhere": lambda adata: ct.get.convergence(adata, key="wot"),
    "drivers": lambda adata: ct.get.drivers(adata),
    "entropy_production": lambda adata: ct.get.entropy_production(adata),
    "entropy_production, groups": lambda adata: ct.get.entropy_production(adata, by="group"),
    "fates": lambda adata: ct.get.fates(adata),
    "fates, calibrated": lambda adata: ct.get.fates(adata, key="ct_fates_calibrated", end="lower"),
    "gene_trends": lambda adata: ct.get.gene_trends(adata),
    "growth": lambda adata: ct.get.growth(adata),
    "growth of cells": lambda adata: ct.get.growth(adata, cells=True),
    "jacobian": lambda adata: ct.get.jacobian(adata, group=NAMES[0], time=1.25),
    "jacobian of genes": lambda adata: ct.get.jacobian(adata, genes=["y", "x"]),
    "jump_rates": lambda adata: ct.get.jump_rates(adata),
    "jump_rates, forecast": lambda adata: ct.get.jump_rates(adata, forecast=True),
    "knockout": lambda adata: ct.get.knockout(adata),
    "sample_report": lambda adata: ct.get.sample_report(adata),
    "sample_report, shifts": lambda adata: ct.get.sample_report(adata, part="shifts"),
    "sample_report, batches": lambda adata: ct.get.sample_report(adata, part="batches"),
    "slow_modes": lambda adata: ct.get.slow_modes(adata),
    "slow_modes, sets": lambda adata: ct.get.slow_modes(adata, kind="sets"),
    "losses": lambda adata: ct.get.losses(adata, key="flow"),
    "martingale_test": lambda adata: ct.get.martingale_test(adata),
    "martingale_test, moments": lambda adata: ct.get.martingale_test(adata, moments=True),
    "registration": lambda adata: ct.get.registration(adata, key="of_space"),
    "results": lambda adata: ct.get.results(adata).sort_values("key", ignore_index=True),
    "transitions": lambda adata: ct.get.transitions(adata, source=0.5, target=1.25),
}
PICTURES = {
    "arms": lambda adata, path: ct.pl.arms(adata, return_fig=True),
    "arms embedding": lambda adata, path: ct.pl.arms(adata, kind="embedding", return_fig=True),
    "animate": lambda adata, path: ct.pl.animate(adata, path, return_fig=True),
    "branches": lambda adata, path: ct.pl.branches(adata, return_fig=True),
    "calibration": lambda adata, path: ct.pl.calibration(adata, return_fig=True),
    "cell_numbers": lambda adata, path: ct.pl.cell_numbers(adata, return_fig=True),
    "conditions": lambda adata, path: ct.pl.conditions(adata, return_fig=True),
    "density": lambda adata, path: ct.pl.density(adata, of="ct_entropy", return_fig=True),
    "drivers": lambda adata, path: ct.pl.drivers(adata, return_fig=True),
    "entropy_production": lambda adata, path: ct.pl.entropy_production(adata, return_fig=True),
    "fates": lambda adata, path: ct.pl.fates(adata, basis="umap", return_fig=True),
    "fates as bars": lambda adata, path: ct.pl.fates(
        adata, kind="bars", groupby="arm", return_fig=True
    ),
    "fates as simplex": lambda adata, path: ct.pl.fates(adata, kind="simplex", return_fig=True),
    "gene_heatmap": lambda adata, path: ct.pl.gene_heatmap(adata, return_fig=True),
    "gene_trends": lambda adata, path: ct.pl.gene_trends(adata, return_fig=True),
    "growth": lambda adata, path: ct.pl.growth(adata, basis="umap", return_fig=True),
    "jacobian": lambda adata, path: ct.pl.jacobian(adata, return_fig=True),
    "jump_rates": lambda adata, path: ct.pl.jump_rates(adata, return_fig=True),
    "knockout": lambda adata, path: ct.pl.knockout(adata, return_fig=True),
    "sample_report": lambda adata, path: ct.pl.sample_report(adata, return_fig=True),
    "slices": lambda adata, path: ct.pl.slices(adata, key="of_space", return_fig=True),
    "slow_modes": lambda adata, path: ct.pl.slow_modes(adata, kind="embedding", return_fig=True),
    "martingale_test": lambda adata, path: ct.pl.martingale_test(adata, return_fig=True),
    "mean_field": lambda adata, path: ct.pl.mean_field(adata, return_fig=True),
    "pull": lambda adata, path: ct.pl.pull(adata, return_fig=True),
    "push": lambda adata, path: ct.pl.push(adata, return_fig=True),
    "sankey": lambda adata, path: ct.pl.sankey(adata, return_fig=True),
    "stream": lambda adata, path: ct.pl.stream(adata, return_fig=True),
    "transitions": lambda adata, path: ct.pl.transitions(
        adata, source=0.5, target=1.25, return_fig=True
    ),
}


def grown():
    """Return cells of unequal groups at times that are not whole, some without a group."""
    adata = ct.datasets.branching(n_cells=30, seed=0)
    adata = adata[adata.obs["time"] > 0].copy()
    adata.obs["time"] = adata.obs["time"].map({1.0: 0.5, 2.0: 1.25, 3.0: 2.0, 4.0: 3.5})
    adata.obs["arm"] = pd.Categorical(np.where(adata.X[:, 1] > 0.2, *NAMES), categories=GROUPS)
    adata.obs.loc[adata.obs_names[::17], "arm"] = np.nan
    adata.uns["arm_colors"] = ["#1b9e77", "#d95f02", "#7570b3"]
    adata.uns["time_unit"] = "day"
    adata.obs["sample"] = [f"mouse/{i % 12}" for i in range(adata.n_obs)]
    adata.obs["clone"] = [f"clone {i % 20}" for i in range(adata.n_obs)]
    adata.obs["dish"] = [f"dish/{i % 3}" for i in range(adata.n_obs)]
    adata.obs["diet"] = [("HFD 45/60", "chow")[i % 2] for i in range(adata.n_obs)]
    adata.obsm["X_umap"] = adata.X.copy()
    return adata


def gaps_of(adata):
    """Return each pair of neighbouring times with its numbers of cells."""
    counts = adata.obs["time"].value_counts().sort_index()
    for (t0, n), (t1, m) in pairwise(counts.items()):
        yield (t0, t1), n, m


class Solved:
    """What is asked of a solved problem of moscot."""

    def __init__(self, adata, plans):
        self.adata = adata
        self.solutions = {
            pair: SimpleNamespace(shape=plan.shape, push=plan.T.__matmul__)
            for pair, plan in plans.items()
        }


@pytest.fixture(scope="module")
def analysed():
    """Return data to which every tool that writes has written, and a path."""
    adata = grown()
    first, last = 0.5, 3.5
    ct.pp.score_growth(adata, proliferation=["x"], apoptosis=["y"])
    bridge = ct.tl.fit_bridge(
        adata,
        growth=ct.models.LearnedGrowth(),
        growth_key="growth_prior",
        training=None,
        progress=False,
    )
    path = ct.tl.simulate(
        adata, bridge, start=first, stop=last, ode_solver=Midpoint(n_steps=5), **SIMULATED
    )
    ct.tl.couplings(adata, growth_key="growth_prior", counts="population", progress=False)
    ct.tl.push(adata, source=first, target=last, cells={"arm": NAMES[0]})
    ct.tl.pull(adata, source=first, target=last, cells={"arm": NAMES[0]})
    ct.tl.transitions(adata, groupby="arm")
    ct.tl.couplings(adata, bridge, key_added="of_bridge", progress=False)
    ct.tl.couplings(adata, ct.models.Brownian(0.3), key_added="of_process", progress=False)
    ct.tl.fates(adata, groupby="arm", key=["of_bridge", "of_process"], progress=False)
    adata.obsm["spatial"] = adata.X.astype(float)
    ct.tl.couple_space(adata, key_added="of_space", progress=False)
    ct.tl.entropy(adata)
    ct.tl.growth(adata, key="of_bridge")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ct.DataWarning)  # what clones became is drawn at random
        ct.tl.calibrate(adata, unit_key="clone", confidence=0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ct.DataWarning)  # clones are drawn at random
        ct.tl.couple_clones(
            adata, clone_key="clone", growth=None, key_added="of_clones", progress=False
        )
        ct.tl.clone_growth(adata, clone_key="clone", progress=False)
    ct.tl.clone_memory(adata, clone_key="clone", is_ancestor=True)
    adata.uns["tree"] = f"({','.join(adata.obs_names)});"
    ct.tl.couple_lineages(adata, lineage_key="tree", key_added="of_kin", progress=False)
    ct.tl.martingale_test(adata, bridge, clone_key="clone", n_draws=2, progress=False)
    pull = ct.models.OrnsteinUhlenbeck(matrix=-torch.eye(2), shift=torch.zeros(2), sigma=1.0)
    ct.tl.entropy_production(adata, pull, groupby="arm", basis="umap", progress=False)
    ct.tl.drivers(adata, progress=False)
    ct.tl.gene_trends(adata, path, genes=["x", "y"], groupby="arm")
    ct.tl.velocity(adata, bridge, basis="umap", progress=False)
    ct.tl.compare_conditions(adata, sample_key="sample", condition_key="diet", time=first)
    pairs = [("x", "y"), ("y", "y")]
    ct.tl.jacobian(adata, bridge.reference, groupby="arm", pairs=pairs, progress=False)
    ct.tl.jump_rates(adata, groupby="arm", edges=[NAMES[::-1]], forecast=5.0)
    adata.obs["plate"] = [f"plate/{i % 2}" for i in range(adata.n_obs)]
    ct.tl.sample_report(adata, sample_key="diet", batch_key="plate", progress=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ct.DataWarning)  # a mouse has few cells at a time
        ct.tl.couple_samples(adata, sample_key="sample", key_added="within", progress=False)
    ct.tl.slow_modes(adata, n_modes=2, n_sets=2, progress=False)
    ct.tl.fit_arms(adata, condition_key="diet", growth=None, training=None, progress=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # few cells, and nothing around them that moves them
        ct.tl.fit_mean_field(
            adata, population_key="dish", growth=None, training=None, progress=False
        )
    silent = {"start": first, "groupby": "arm", "progress": False}
    ct.tl.knockout(adata, bridge, genes=["y"], n_null=1, **silent)
    ct.tl.knockout_screen(adata, bridge, genes=["x", "y"], n_null=2, **silent)
    ct.ex.to_cellrank(adata)
    maps = {pair: np.ones((n, m)) for pair, n, m in gaps_of(adata)}
    ct.io.from_wot(adata, maps, key_added="wot")
    ct.io.from_moscot(adata, Solved(adata, maps), key_added="moscot")
    short = Training(max_steps=20, width=16)
    ct.tl.log_density(adata, ct.tl.fit_flow(adata, training=short, progress=False), progress=False)
    return adata, path


@pytest.mark.filterwarnings("ignore:Writing zarr v2 data:UserWarning")
def test_everything_written_comes_back_and_is_read_and_drawn(analysed, reload):
    adata, path = analysed[0], reload(analysed[1])
    again = reload(adata)
    assert_same(again.uns["celltraj"], adata.uns["celltraj"])
    for key in adata.obsp:
        assert (again.obsp[key] != adata.obsp[key]).nnz == 0
    for key in adata.obsm:
        np.testing.assert_array_equal(again.obsm[key], adata.obsm[key])
    for key in adata.obs:
        pd.testing.assert_series_equal(
            again.obs[key], adata.obs[key], check_index_type=False, check_dtype=False
        )
    for key, record in again.uns["celltraj"].items():
        result = KINDS[record["kind"]]
        check_record(record, result)
        check_places(again, key, record, result)
    for name, read in READERS.items():
        pd.testing.assert_frame_equal(read(again), read(adata), check_dtype=False, obj=name)
    for name, draw in PICTURES.items():
        figure = getattr(draw(again, path), "_fig", None) or draw(again, path)
        figure.canvas.draw()
        assert any(ax.has_data() for ax in figure.axes), name
        plt.close("all")


def test_all_results_of_cells_are_among_them(analysed):
    """What is written to cells at hand; the others are AnnData of their own, or models'."""
    elsewhere = {"projection", "decoding", "interpolation", "response", "prediction", "embedding"}
    elsewhere |= {"interpolated slice"}
    elsewhere |= {"conditioned paths", "least action"}
    kinds = {record["kind"] for adata in analysed for record in adata.uns["celltraj"].values()}
    assert kinds == set(KINDS) - elsewhere


def test_no_user_label_is_a_key_or_a_column(analysed):
    labels = {*NAMES, "HFD 45/60", "chow", *analysed[0].obs["sample"]}

    def names(value):
        if isinstance(value, dict):
            for key, inner in value.items():
                yield key
                yield from names(inner)
        elif isinstance(value, pd.DataFrame):
            yield from value.columns

    for adata in analysed:
        found = {*names(adata.uns["celltraj"]), *adata.obs, *adata.obsm, *adata.obsp}
        assert not labels & found


def test_no_function_is_left_out():
    """What stands here or is read from files in a test of its own, named beside it."""
    elsewhere = {
        # bridges are saved by themselves: tests/models/test_save.py
        "pl": {"landscape", "refinement", "vector_field"}
        # tests/pl/test_response_plots.py, tests/pl/test_new_plots.py
        | {"populations", "response", "held_out"}
        # tests/tl/test_dose_response.py, tests/tl/test_least_action.py
        | {"dose_response", "least_action"}
        # tests/report/test_report.py
        | {"report"},
        # tests/get/test_score_summary.py, tests/tl: test_dose_response.py, test_killed.py,
        # test_condition.py, test_least_action.py
        "get": {"score_summary", "dose_curves", "killed", "condition", "least_action"},
        # return models or tables and write nothing else: tests of each
        "tl": {"bootstrap", "cross_validate", "cross_validate_arms", "cross_validate_response"}
        | {"fit_response", "predict_response", "embed_populations", "decode", "regulation"}
        | {"which_model", "resample", "dose_response", "fit_response_folds", "gene_scores"}
        | {"response_intervals", "forecast_intervals", "condition", "least_action"}
        | {"interpolate_slice", "update"},  # tests/tl: test_couple_space.py, test_update.py
        "ex": {"to_cell_eval"},
        "io": {"from_files", "from_mudata"},
    }
    drawn = {name.split(" ")[0] for name in PICTURES} | set(PLOTS)
    assert drawn == set(ct.pl.__all__) - elsewhere["pl"]
    read = {re.split(r"\W", name)[0] for name in READERS}
    assert read == set(ct.get.__all__) - elsewhere["get"]
    source = inspect.getsource(sys.modules[__name__])
    for module in (ct.tl, ct.ex, ct.io):
        name = module.__name__.rpartition(".")[2]
        called = set(re.findall(rf"ct\.{name}\.(\w+)", source))
        assert set(module.__all__) - elsewhere.get(name, set()) <= called
