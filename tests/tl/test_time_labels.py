"""Wherever a time is asked for, the label that the user's column holds says the same."""

import inspect
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch

import celltraj as ct
from celltraj._anndata import time_of, times_of

SILENT = {"progress": False}
UP = {"arm": "up"}
SHEAR = ct.models.OrnsteinUhlenbeck(
    matrix=torch.tensor([[-1.0, 0.5], [0.0, -1.0]]), shift=torch.zeros(2), sigma=0.5
)
plug_in = partial(ct.tl.fit_bridge, training=None, **SILENT)


@pytest.fixture(scope="module")
def cells():
    adata = ct.datasets.branching(n_cells=20, seed=0)
    adata.obs["time"] = [f"D{t:g}" for t in adata.obs["time"]]
    adata.obs["arm"] = np.where(adata.X[:, 1] > 0, "up", "down")
    adata.obs["sample"] = [f"m{k % 4}" for k in range(adata.n_obs)]
    adata.obs["diet"] = np.where(adata.obs["sample"].isin(["m0", "m1"]), "lean", "fat")
    adata.obs["clone"] = [f"clone {k % 20}" for k in range(adata.n_obs)]
    ct.tl.couplings(adata, **SILENT)
    adata.obsm["spatial"] = adata.X.astype(float)
    ct.tl.couple_space(adata, key_added="of_space", **SILENT)
    ct.tl.fates(adata, groupby="arm", **SILENT)
    ct.tl.transitions(adata, groupby="arm", **SILENT)
    ct.tl.jacobian(adata, SHEAR, **SILENT)
    for tool in (ct.tl.push, ct.tl.pull):
        tool(adata, source=1, target=4, cells=UP, **SILENT)
    return adata


@pytest.fixture(scope="module")
def bridge(cells):
    return plug_in(cells.copy())


def record(adata, key):
    found = adata.uns["celltraj"][key]
    tables = {name: part for name, part in found.items() if isinstance(part, pd.DataFrame)}
    return str(found["params"]), {name: part.to_string() for name, part in tables.items()}


def written(tool, key, *arguments, **options):
    """Return what a tool writes to its record, on a copy."""
    quiet = SILENT if "progress" in inspect.signature(tool).parameters else {}
    return record(tool(*arguments, **options, copy=True, **quiet), key)


def trends(cells, bridge, at):
    path = ct.tl.simulate(cells, bridge, start=0, stop=3, n_cells=10, n_times=4, **SILENT)
    return written(ct.tl.gene_trends, "gene_trends", cells, path, genes="y", groupby="arm", at=at)


def drawn(plot, *arguments, **options):
    ax = plot(*arguments, show=False, **options)
    said = ax.get_title(), [one.get_offsets().data.tolist() for one in ax.collections[:2]]
    plt.close("all")
    return said


def jacobian_drawn(adata, time):
    panels = ct.pl.jacobian(adata, time=time, show=False)
    said = [panel.images[0].get_array().tolist() for panel in panels]
    plt.close("all")
    return said


CALLS = {
    "tl.simulate": lambda a, b, t: ct.tl.simulate(
        a, b, start=t(1), stop=[t(2), t(4)], n_cells=5, **SILENT
    ).X.tolist(),
    "tl.condition": lambda a, b, t: ct.tl.condition(
        a, b, start=t(2), stop=t(3), toward=UP, n_particles=100, n_times=2, **SILENT
    ).X.tolist(),
    "tl.velocity": lambda a, b, t: (
        ct.tl.velocity(a, b, time=t(2), copy=True, **SILENT).obsm["velocity"].tolist()
    ),
    "tl.drivers": lambda a, _, t: written(ct.tl.drivers, "drivers", a, time=[t(2), t(3)]),
    "tl.calibrate": lambda a, _, t: written(
        ct.tl.calibrate,
        "ct_fates_calibrated",
        a,
        unit_key="clone",
        time=t(2),
        confidence=0.5,
    ),
    "tl.forecast_intervals": lambda a, _, t: ct.tl.forecast_intervals(
        a, unit_key="clone", time=t(2), confidence=0.5
    ).to_dict("list"),
    "tl.compare_conditions": lambda a, _, t: written(
        ct.tl.compare_conditions,
        "conditions",
        a,
        sample_key="sample",
        condition_key="diet",
        time=t(2),
        key_added="conditions",
    ),
    "tl.jump_rates": lambda a, _, t: written(
        ct.tl.jump_rates,
        "jump_rates",
        a,
        groupby="arm",
        edges=[("down", "up")],
        forecast=t(4),
        key_added="jump_rates",
    ),
    "tl.least_action": lambda a, _, t: ct.tl.least_action(
        a,
        ct.models.Brownian(0.5),
        source="up",
        target="down",
        groupby="arm",
        start=t(1),
        stop=t(3),
        options=ct.models.LeastAction(n_points=8, n_starts=1),
        **SILENT,
    ).X.tolist(),
    "get.jacobian": lambda a, _, t: ct.get.jacobian(a, time=t(2)).to_string(),
    "pl.jacobian": lambda a, _, t: jacobian_drawn(a, t(2)),
    "tl.slow_modes": lambda a, _, t: written(
        ct.tl.slow_modes, "ct_modes", a, source=t(1), target=t(4), n_modes=2, n_sets=2
    ),
    "tl.push": lambda a, _, t: written(ct.tl.push, "push", a, source=t(1), target=t(4), cells=UP),
    "tl.pull": lambda a, _, t: written(ct.tl.pull, "pull", a, source=t(1), target=t(4), cells=UP),
    "tl.transitions": lambda a, _, t: written(
        ct.tl.transitions, "transitions", a, groupby="arm", source=t(2), target=t(4)
    ),
    "tl.fates": lambda a, _, t: written(ct.tl.fates, "ct_fates", a, groupby="arm", at=t(3)),
    "tl.interpolate": lambda a, b, t: (
        ct.tl.interpolate(a, b, time=t(2), n_cells=5).X.tolist()
        + ct.tl.interpolate(a, time=t(2), n_cells=5).X.tolist()
    ),
    "tl.interpolate_slice": lambda a, _, t: ct.tl.interpolate_slice(
        a, at=t(2), n_cells=5, key="of_space"
    ).X.tolist(),
    "tl.gene_trends": lambda a, b, t: trends(a, b, t(3)),
    "tl.knockout": lambda a, b, t: written(
        ct.tl.knockout,
        "knockout",
        a,
        b,
        genes=["y"],
        start=t(1),
        stop=t(3),
        groupby="arm",
        n_null=0,
    ),
    "tl.knockout_screen": lambda a, b, t: written(
        ct.tl.knockout_screen,
        "knockout_screen",
        a,
        b,
        genes=["y"],
        start=t(2),
        stop=t(3),
        groupby="arm",
        n_null=2,
    ),
    "tl.fit_bridge": lambda a, _, t: refined_with(a, t(2)),
    "tl.cross_validate": lambda a, _, t: ct.tl.cross_validate(
        a, fit={}, hold_out=[t(1), (t(2), t(3))], **SILENT
    ).to_string(),
    "tl.cross_validate_arms": lambda a, _, t: ct.tl.cross_validate_arms(
        a,
        condition_key="diet",
        fit={},
        hold_out=[(t(1), "fat"), ((t(2), "fat"), (t(3), "lean"))],
        **SILENT,
    ).to_string(),
    "get.transitions": lambda a, _, t: ct.get.transitions(a, source=t(2), target=t(3)).to_string(),
    "pl.transitions": lambda a, _, t: drawn(ct.pl.transitions, a, source=t(2), target=t(3))[0],
    "pl.push": lambda a, _, t: drawn(ct.pl.push, a, times=[t(1), t(3)], basis="X"),
    "pl.pull": lambda a, _, t: drawn(ct.pl.pull, a, times=[t(1), t(3)], basis="X"),
    "pl.vector_field": lambda a, b, t: drawn(ct.pl.vector_field, a, b, time=t(2), n_grid=5),
    "io.from_wot": lambda a, _, t: record(
        ct.io.from_wot(
            a[a.obs["time"].isin(["D0", "D1"])].copy(),
            {(t(0), t(1)): np.eye(20)},
            key_added="maps",
            copy=True,
        ),
        "maps",
    ),
}


def refined_with(adata, time):
    """Return the record of a bridge whose refinement holds out a time."""
    cells = adata.copy()
    refinement = ct.models.Refinement(max_rounds=1, hold_out=time)
    plug_in(
        cells,
        reference=ct.models.OrnsteinUhlenbeck(),
        options=ct.models.BridgeOptions(refinement=refinement),
    )
    return record(cells, "bridge")


def public():
    modules = (ct.pp, ct.tl, ct.pl, ct.get, ct.ex, ct.io)
    return {
        f"{module.__name__.rpartition('.')[2]}.{name}": getattr(module, name)
        for module in modules
        for name in module.__all__
    }


def test_every_function_that_asks_for_a_time_is_here():
    asking = {
        name
        for name, function in public().items()
        for one in inspect.signature(function).parameters.values()
        if any(word in str(one.annotation) for word in ("Time", "Entry"))
    }
    # a bridge asks through ct.models.Refinement(hold_out=)
    assert asking | {"tl.fit_bridge"} == set(CALLS)


def test_no_function_asks_for_a_time_as_a_number_alone():
    names = {"at", "time", "times", "source", "target", "start", "stop", "hold_out"}
    found = {
        f"{name} {one.name}"
        for name, function in public().items()
        for one in inspect.signature(function).parameters.values()
        if one.name in names and not any(w in str(one.annotation) for w in ("Time", "Entry"))
    }
    # what a response holds out is populations, cell types, conditions or doses
    # and a path of least action leads between states
    assert found == {
        "tl.cross_validate_response hold_out",
        "tl.least_action source",
        "tl.least_action target",
    }


@pytest.mark.filterwarnings("ignore:with so few samples", "ignore:a constant does as well")
@pytest.mark.parametrize("name", CALLS)
def test_labels_say_what_numbers_say(cells, bridge, name):
    call = partial(CALLS[name], cells, bridge)
    assert call(lambda t: f"D{t}") == call(float)


@pytest.mark.parametrize("name", CALLS)
def test_an_unknown_label_is_told_with_those_that_there_are(cells, bridge, name):
    before = cells.copy()
    with pytest.raises(ValueError, match=r"no time 'day \d' in adata.obs.*\['D0', 'D1'"):
        CALLS[name](cells, bridge, lambda t: f"day {t}")
    assert set(cells.uns["celltraj"]) == set(before.uns["celltraj"])
    assert list(cells.obs) == list(before.obs)


class TestTimeOf:
    @pytest.mark.parametrize(
        "value", [2, 2.0, np.int64(2), np.float32(2), np.array(2), "D2", "2", b"D2", np.str_("D2")]
    )
    def test_numbers_and_labels(self, cells, value):
        assert time_of(cells, "time", value) == 2.0

    def test_a_number_need_not_be_observed_nor_have_a_column(self, cells):
        assert time_of(cells, "nothing", 7) == 7.0
        assert time_of(cells, None, np.float32(0.1)) == 0.1

    def test_a_label_needs_a_column(self, cells):
        with pytest.raises(ValueError, match="'D2' is a label, and with time_key=None"):
            time_of(cells, None, "D2")
        with pytest.raises(KeyError, match=r"no times in adata.obs\['nothing'\]"):
            time_of(cells, "nothing", "D2")

    @pytest.mark.parametrize("value", [None, True, {}, 1j, ct])
    def test_what_is_no_time(self, cells, value):
        with pytest.raises(TypeError, match="a time must be a number or a label"):
            time_of(cells, "time", value)

    @pytest.mark.parametrize("value", [np.nan, np.inf, "nan", "-inf"])
    def test_what_is_not_finite(self, cells, value):
        with pytest.raises(ValueError, match="must be finite"):
            time_of(cells, "time", value)

    @pytest.mark.parametrize(
        "values", [["D1", 2], ("D1", "D2"), np.array([1, 2]), pd.Series([1, 2])]
    )
    def test_several_keep_their_order(self, cells, values):
        assert times_of(cells, "time", values) == (1.0, 2.0)
        assert times_of(cells, "time", "D1") == times_of(cells, "time", 1) == (1.0,)

    @pytest.mark.parametrize("values", [{1, 2}, None, {1: 2}, iter([1])])
    def test_what_has_no_order_is_refused(self, cells, values):
        with pytest.raises(TypeError, match="one or a list of them"):
            times_of(cells, "time", values)


class TestCounts:
    """Sizes are matched by time, whatever their order."""

    def sizes(self, cells, counts):
        adata = ct.tl.couplings(cells, counts=counts, copy=True, **SILENT)
        return adata.uns["celltraj"]["couplings"]["numbers"].tolist()

    def test_of_labels_of_numbers_and_of_value_counts(self, cells):
        few = cells[
            20:
        ].copy()  # fewer cells at D0 than later, so that the frequent ones come first
        few = few[~((few.obs["time"] == "D1") & (np.arange(few.n_obs) % 2 == 0))].copy()
        expected = self.sizes(few, "population")
        table = few.obs["time"].value_counts()
        shuffled = table.sample(frac=1, random_state=1)
        by_number = {float(label[1:]): n for label, n in table.items()}
        given = [table, shuffled, dict(table), by_number, dict(reversed(by_number.items()))]
        assert [self.sizes(few, one) for one in given] == [expected] * len(given)
        in_order = [by_number[t] for t in sorted(by_number)]
        assert self.sizes(few, in_order) == self.sizes(few, np.array(in_order)) == expected
        assert len(set(in_order)) > 1

    @pytest.mark.parametrize(
        ("counts", "message"),
        [
            ({0: 1, 1: 1, 2: 1, 3: 1}, r"no size for the times \[4.0\]"),
            (dict.fromkeys(range(6), 1), r"sizes for \[5.0\], at which there are no cells"),
            ({0: 1, "D0": 1, 1: 1, 2: 1, 3: 1, 4: 1}, r"several sizes for the time 0"),
            (pd.Series([1, 1, 1, 1, 1], index=[2, 4, 6, 8, 10]), r"no size .* sizes for \[6.0"),
            ({f"day {t}": 1 for t in range(5)}, "no time 'day 0' in adata.obs"),
            ({}, "no size for the times"),
            ([1, 2], "a positive size for each of the 5 times"),
            ({0: 1, 1: 1, 2: 1, 3: 1, 4: 0}, "positive"),
        ],
    )
    @pytest.mark.parametrize("tool", [ct.tl.couplings, plug_in, ct.tl.fit_flow])
    def test_what_does_not_match_is_refused(self, cells, tool, counts, message):
        with pytest.raises(ValueError, match=message):
            tool(cells, counts=counts, progress=False)

    @pytest.mark.parametrize("counts", [{1, 2, 3, 4, 5}, 3, [1, 2, 3, 4, "many"]])
    def test_what_has_no_order_or_no_number_is_refused(self, cells, counts):
        with pytest.raises(
            TypeError, match=r"counts must be a text|must be a number; found 'many'"
        ):
            ct.tl.couplings(cells, counts=counts, **SILENT)
