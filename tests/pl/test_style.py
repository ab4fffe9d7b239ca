"""Every plot is styled in scanpy's words, through one mechanism."""

import inspect
import re
import warnings
from functools import partial
from itertools import pairwise

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
import torch
from cycler import cycler

import celltraj as ct
from celltraj.models import (
    BridgeOptions,
    Brownian,
    LeastAction,
    Midpoint,
    OrnsteinUhlenbeck,
    PotentialLandscape,
    Refinement,
    Training,
)
from celltraj.pl._legend import name_on_data
from celltraj.pl._palette import colors_by_name
from celltraj.pl._style import Style
from celltraj.pl._styled import TEXTS

PLOTS = [name for name in ct.pl.__all__ if name != "report"]  # a page of plots
RED, GREEN = "#ff0000", "#00ff00"
MANY = [RED, GREEN, "#0000ff", "#ffff00", "#00ffff", "#ff00ff"] + ["#123456"] * 20


@pytest.fixture(scope="module")
def world():
    """Return cells with every result, a path, predicted cells and models."""
    adata = ct.datasets.branching(n_cells=25, seed=0)
    adata.obs["sample"] = [f"m{i % 8}" for i in range(adata.n_obs)]
    adata.obs["clone"] = [f"clone {i % 20}" for i in range(adata.n_obs)]
    adata.obs["diet"] = [("fat", "lean")[i % 2] for i in range(adata.n_obs)]
    adata.obsm["X_umap"] = np.asarray(adata.X) + 5
    bridge = ct.tl.fit_bridge(adata, training=None, progress=False)
    path = ct.tl.simulate(
        adata,
        bridge,
        start=0.0,
        stop=4.0,
        n_cells=12,
        n_times=5,
        ode_solver=Midpoint(n_steps=5),
        progress=False,
    )
    ct.tl.couplings(adata, progress=False)
    ct.tl.transitions(adata, groupby="arm")
    ct.tl.fates(adata, groupby="arm")
    ct.tl.growth(adata)
    ct.tl.drivers(adata, progress=False)
    ct.tl.push(adata, source=0.0, target=4.0, cells={"arm": "progenitor"})
    ct.tl.pull(adata, source=0.0, target=4.0, cells={"arm": "upper"})
    ct.tl.gene_trends(adata, path, genes=["x", "y"], groupby="arm")
    ct.tl.velocity(adata, bridge, basis="umap", progress=False)
    ct.tl.compare_conditions(adata, sample_key="sample", condition_key="diet", of="fates", time=2.0)
    ct.tl.fit_arms(adata, condition_key="diet", growth=None, training=None, progress=False)
    adata.obsm["spatial"] = adata.X.astype(float)
    ct.tl.couple_space(adata, key_added="of_space", progress=False)
    ct.tl.jump_rates(adata, groupby="arm", edges=[("progenitor", "upper"), ("progenitor", "lower")])
    ct.tl.sample_report(adata, sample_key="diet", batch_key="diet", progress=False)
    ct.tl.slow_modes(adata, n_modes=2, progress=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ct.DataWarning)  # what clones became is drawn at random
        ct.tl.calibrate(adata, unit_key="clone", confidence=0.5)
    pull = OrnsteinUhlenbeck(matrix=-torch.eye(2), shift=torch.zeros(2), sigma=1.0)
    ct.tl.jacobian(adata, pull, groupby="arm", progress=False)
    ct.tl.martingale_test(adata, pull, clone_key="clone", n_draws=2, progress=False)
    ct.tl.entropy_production(adata, pull, progress=False)
    knocked = {"start": 1.0, "groupby": "arm", "n_null": 2, "progress": False}
    ct.tl.knockout(adata, bridge, genes=["y"], **knocked)
    adata.uns["celltraj"]["fit"] = {
        "kind": "bridge",
        "history": pd.DataFrame({"step": range(9), "loss": range(9), "other": range(9)}),
    }
    predicted = ct.tl.interpolate(adata, bridge, time=2.0, n_cells=20)
    return adata, path, predicted, bridge


@pytest.fixture(scope="module")
def refined():
    adata = ct.datasets.branching(n_cells=20, seed=0)
    options = BridgeOptions(refinement=Refinement(max_rounds=1))
    references = (PotentialLandscape(width=4), OrnsteinUhlenbeck())
    silent = {"options": options, "training": None, "progress": False}
    return [ct.tl.fit_bridge(adata, reference=one, **silent) for one in references]


@pytest.fixture(scope="module")
def dishes():
    """Return populations and the law that was fitted to them."""
    adata = ct.datasets.branching(n_cells=30, seed=0)
    adata = adata[adata.obs["time"] < 2].copy()
    adata.obs["dish"] = [f"dish {k % 3}" for k in range(adata.n_obs)]
    fit = partial(ct.tl.fit_mean_field, population_key="dish", growth=None, training=None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # few cells, and nothing around them that moves them
        return adata, fit(adata, progress=False)


@pytest.fixture(scope="module")
def answered():
    """Return cells before and after, a prediction and the embedded populations."""
    adata = ct.datasets.interacting_populations(n_populations=4, n_cells=20, seed=0)
    keys = {"population_key": "population", "condition_key": "condition", "control": "before"}
    short = Training(max_steps=5)
    model = ct.tl.fit_response(adata, **keys, training=short, progress=False)
    predicted = ct.tl.predict_response(adata, model, condition="after", progress=False)
    embedded = ct.tl.embed_populations(adata, model)
    embedded.obs["kind"] = pd.Categorical(list("abab"))
    return adata, predicted, embedded


def scores():
    rows = [
        (m, t, metric, v, 0)
        for m, v in {"floor": 0.1, "mine": 0.3, "yours": 0.4}.items()
        for t in (1.0, 2.0)
        for metric in ("W1", "energy")
    ]
    return pd.DataFrame(rows, columns=["method", "held_out", "metric", "value", "seed"])


def doses():
    """Return the effect of four doses on three populations."""
    rows = [
        (name, "drug", dose, "size", "", kind, k * dose / (1 + dose))
        for k, name in enumerate("abc", 1)
        for kind in ("predicted", "observed")
        for dose in (0.0, 0.5, 1.0, 2.0, 4.0)
    ]
    columns = ["population", "condition", "dose", "readout", "variable", "kind", "value"]
    return pd.DataFrame(rows, columns=columns)


@pytest.fixture
def draw(world, refined, answered, dishes):
    """Return a function that draws any plot, and returns its figure."""
    adata, path, predicted, bridge = world
    before, response, embedded = answered
    bent = ct.tl.least_action(
        adata,
        Brownian(0.3),
        source="progenitor",
        target=["upper", "lower"],
        groupby="arm",
        stop=1.0,
        options=LeastAction(n_points=8, n_starts=1),
        progress=False,
    )
    calls = {
        "animate": lambda **k: ct.pl.animate(adata, path, color="arm", basis="X", **k),
        "arms": lambda **k: ct.pl.arms(adata, kind="embedding", **k),
        "branches": lambda **k: ct.pl.branches(adata, **k),
        "calibration": lambda **k: ct.pl.calibration(adata, **k),
        "cell_numbers": lambda **k: ct.pl.cell_numbers(adata, **k),
        "conditions": lambda **k: ct.pl.conditions(adata, **k),
        "density": lambda **k: ct.pl.density(adata, of="y", groupby="arm", **k),
        "dose_response": lambda **k: ct.pl.dose_response(doses(), **k),
        "drivers": lambda **k: ct.pl.drivers(adata, **k),
        "entropy_production": lambda **k: ct.pl.entropy_production(adata, **k),
        "fates": lambda **k: ct.pl.fates(adata, **k),
        "gene_heatmap": lambda **k: ct.pl.gene_heatmap(adata, **k),
        "gene_trends": lambda **k: ct.pl.gene_trends(adata, **k),
        "growth": lambda **k: ct.pl.growth(adata, **k),
        "held_out": lambda **k: ct.pl.held_out(adata, predicted, color="arm", **k),
        "history": lambda **k: ct.pl.history(adata, key="fit", **k),
        "jacobian": lambda **k: ct.pl.jacobian(adata, **k),
        "jump_rates": lambda **k: ct.pl.jump_rates(adata, **k),
        "knockout": lambda **k: ct.pl.knockout(adata, **k),
        "landscape": lambda **k: ct.pl.landscape(adata, refined[0], **k),
        "least_action": lambda **k: ct.pl.least_action(bent, **k),
        "marginals": lambda **k: ct.pl.marginals(adata, path, **k),
        "martingale_test": lambda **k: ct.pl.martingale_test(adata, **k),
        "mean_field": lambda **k: ct.pl.mean_field(*dishes, **k),
        "populations": lambda **k: ct.pl.populations(embedded, color="kind", **k),
        "pull": lambda **k: ct.pl.pull(adata, **k),
        "push": lambda **k: ct.pl.push(adata, **k),
        "refinement": lambda **k: ct.pl.refinement(refined[1], **k),
        "response": lambda **k: ct.pl.response(before, response, **k),
        "sankey": lambda **k: ct.pl.sankey(adata, **k),
        "sample_report": lambda **k: ct.pl.sample_report(adata, **k),
        "scores": lambda **k: ct.pl.scores(scores(), **k),
        "slices": lambda **k: ct.pl.slices(adata, key="of_space", color="arm", **k),
        "slow_modes": lambda **k: ct.pl.slow_modes(adata, kind="embedding", **k),
        "snapshots": lambda **k: ct.pl.snapshots(adata, color="arm", **k),
        "stream": lambda **k: ct.pl.stream(adata, basis="umap", color="arm", **k),
        "trajectories": lambda **k: ct.pl.trajectories(adata, path, color="arm", **k),
        "transitions": lambda **k: ct.pl.transitions(adata, source=2.0, **k),
        "vector_field": lambda **k: ct.pl.vector_field(adata, bridge, time=1.5, **k),
    }
    assert set(calls) == set(PLOTS)

    def figure_of(name, **style):
        is_number = bool({"cmap", "vmin", "vmax"} & set(style))
        call = numbers.get(name, calls[name]) if is_number else calls[name]
        return call(return_fig=True, **style)

    adata.obs["number"] = np.asarray(adata.X)[:, 1]
    embedded.obs["number"] = np.arange(4.0)
    path.obs["number"] = np.asarray(path.X)[:, 1]
    numbers = {
        "animate": lambda **k: ct.pl.animate(adata, path, color="number", basis="X", **k),
        "held_out": lambda **k: ct.pl.held_out(adata, predicted, color="number", **k),
        "populations": lambda **k: ct.pl.populations(embedded, color="number", **k),
        "slices": lambda **k: ct.pl.slices(adata, key="of_space", color="number", **k),
        "snapshots": lambda **k: ct.pl.snapshots(adata, color="number", **k),
        "stream": lambda **k: ct.pl.stream(adata, basis="umap", color="number", **k),
        "trajectories": lambda **k: ct.pl.trajectories(adata, path, color="number", **k),
    }
    return figure_of


def takes(style):
    """Return the plots whose signature has a style."""
    return [name for name in PLOTS if style in inspect.signature(getattr(ct.pl, name)).parameters]


def bars(figure):
    return [ax._colorbar for ax in figure.axes if hasattr(ax, "_colorbar")]


def panels(figure):
    return [ax for ax in figure.axes if not hasattr(ax, "_colorbar")]


def artists(figure):
    return [one for ax in panels(figure) for one in ax.get_children()]


def colors(figure):
    """Return all colours that are drawn, as texts."""
    found = set()
    for one in artists(figure):
        for get in ("get_facecolor", "get_edgecolor", "get_color"):
            if hasattr(one, get):
                value = getattr(one, get)()
                rows = [value] if isinstance(value, str) else np.atleast_2d(value)
                found |= {mpl.colors.to_hex(row) for row in rows}
    return found


def legends(figure):
    return [*figure.legends, *(ax.get_legend() for ax in figure.axes if ax.get_legend())]


@pytest.mark.parametrize("name", PLOTS)
def test_size_title_and_frame_of_every_figure(draw, name):
    figure = draw(name, figsize=(5.0, 4.0), title="My title", frameon=False)
    assert tuple(figure.get_size_inches()) == (5.0, 4.0)
    titles = [ax.get_title() for ax in figure.axes]
    above = "" if figure._suptitle is None else figure._suptitle.get_text()
    assert any(title.startswith("My title") for title in [*titles, above])
    for ax in panels(figure):
        hidden = not any(spine.get_visible() for spine in ax.spines.values())
        assert hidden or not ax.axison


@pytest.mark.parametrize("name", takes("ncols"))
def test_panels_stand_below_each_other(draw, name):
    figure = draw(name, ncols=1)
    assert len(panels(figure)) > 1
    assert len({round(ax.get_position().x0, 2) for ax in panels(figure)}) == 1
    n = len(panels(figure))
    figure = draw(name, title=[f"panel {k}" for k in range(n)])
    assert [ax.get_title() for ax in panels(figure)] == [f"panel {k}" for k in range(n)]
    with pytest.raises(ValueError, match=f"title has 1 texts for {n} panels"):
        draw(name, title=["one"])


@pytest.mark.parametrize("name", takes("cmap"))
def test_maps_of_numbers(draw, name):
    figure = draw(name, cmap="cividis", vmin=0.2, vmax=0.7)
    assert bars(figure)
    for bar in bars(figure):
        assert bar.cmap.name == "cividis"
        assert (bar.norm.vmin, bar.norm.vmax) == (0.2, 0.7)
    bar = bars(draw(name, vmin="p10", vmax="p90"))[0]
    whole = bars(draw(name))
    assert bar.norm.vmin < bar.norm.vmax
    if whole and name not in ("fates", "gene_heatmap", "growth", "transitions"):
        assert bar.norm.vmax <= whole[0].norm.vmax
    with pytest.raises(ValueError, match=r"no map of colours.*did you mean 'viridis'"):
        draw(name, cmap="virids")
    with pytest.raises(ValueError, match="vmin must lie below vmax"):
        draw(name, vmin=2.0, vmax=1.0)


@pytest.mark.parametrize("name", sorted({*takes("size")} - {"scores"}))
def test_areas_of_dots(draw, name):
    areas = np.concatenate(
        [one.get_sizes() for one in artists(draw(name, size=33.0)) if hasattr(one, "get_sizes")]
    )
    if name == "branches":  # of a dot with all mass, as the first one has
        assert areas.max() == pytest.approx(33)
    else:
        assert np.isclose(areas, 33).any()


def test_areas_of_dots_on_lines(draw):
    lines = [line for ax in panels(draw("scores", size=36.0)) for line in ax.lines]
    assert 6.0 in {line.get_markersize() for line in lines}


@pytest.mark.parametrize("name", takes("alpha"))
def test_opacity(draw, name):
    found = {one.get_alpha() for one in artists(draw(name, alpha=0.37))}
    assert found & {0.37, 0.37 * 0.2}
    with pytest.raises(ValueError, match="alpha must lie between 0 and 1; found 2"):
        draw(name, alpha=2.0)


@pytest.mark.parametrize("name", takes("legend_loc"))
def test_places_of_legends(draw, name):
    if name == "fates":
        pytest.skip("a legend of fates is that of bars or simplex")
    assert not legends(draw(name, legend_loc="none"))
    inside = [one for one in legends(draw(name, legend_loc="upper left")) if one._loc == 2]
    assert inside
    beside = draw(name, legend_loc="right margin")
    beside.canvas.draw()
    left = max(one.get_window_extent().x0 for one in legends(beside))
    assert left >= max(ax.get_window_extent().x1 for ax in panels(beside)) - 1


@pytest.mark.parametrize("name", takes("palette"))
def test_palettes(draw, name):
    kind = {"kind": "bars"} if name == "fates" else {}
    found = colors(draw(name, palette=MANY, **kind))
    # the first frame of an animation holds one group, and shares go from grey to their colour
    assert found >= {"animate": {RED}, "push": set(), "pull": set()}.get(name, {RED, GREEN})
    draw(name, palette="tab20", **kind)
    draw(name, palette=cycler(color=MANY), **kind)
    with pytest.raises(ValueError, match=r"palette has 1 colours for \d+ .*; give one for each"):
        draw(name, palette=["red"], **kind)
    with pytest.raises(ValueError, match="palette has no colour for"):
        draw(name, palette={"nobody": "red"}, **kind)
    with pytest.raises(ValueError, match="palette holds 'reddish', which is no colour"):
        draw(name, palette=["reddish"] * 26, **kind)
    with pytest.raises(ValueError, match=r"palette='tab21' is no map.*did you mean 'tab2"):
        draw(name, palette="tab21", **kind)


GROUPS = {"arms": ["fat"], "mean_field": ["dish 1"], "populations": ["a"]}


@pytest.mark.parametrize("name", takes("groups"))
def test_groups(draw, name):
    wanted = GROUPS.get(name, ["upper"])
    kind = {"kind": "bars", "groupby": "arm"} if name == "fates" else {}
    figure = draw(name, groups=wanted, **kind)
    names = [text.get_text() for one in legends(figure) for text in one.get_texts()]
    shown = [ax.get_title().split("\n")[0] for ax in panels(figure)]
    rows = [label.get_text().split(" ")[0] for label in panels(figure)[0].get_yticklabels()]
    assert wanted[0] in [*names, *shown, *rows]
    assert not {"lower", "lean", "dish 0", "b"} & {*(names if name != "fates" else rows), *shown}
    with pytest.raises(ValueError, match=r"groups= names \['nobody'\], which .* does not have"):
        draw(name, groups="nobody", **kind)


@pytest.mark.parametrize("name", PLOTS)
def test_what_is_for_a_new_figure_is_refused_with_axes(draw, name):
    _, ax = plt.subplots()
    one = {
        "arms": {"groups": "fat"},
        "conditions": {"quantity": "upper"},
        "drivers": {"fate": "upper"},
        "fates": {"fate": "upper"},
        "gene_heatmap": {"groups": "upper"},
        "gene_trends": {"genes": "x"},
        "jacobian": {"groups": "upper"},
        "marginals": {"components": (0,)},
        "mean_field": {"groups": "dish 1"},
        "response": {"population": "p0"},
        "scores": {"metric": "W1"},
        "slow_modes": {"n_modes": 1},
    }.get(name, {})
    if name in ("marginals", "response"):
        return  # one panel takes other data
    with pytest.raises(ValueError, match="figsize= is for a new figure; leave it out"):
        draw(name, ax=ax, figsize=(3.0, 3.0), **one)
    assert not ax.has_data()


@pytest.mark.parametrize("name", takes("key"))
def test_a_key_that_is_not_there_is_said_in_one_clear_sentence(world, name):
    with pytest.raises(KeyError) as caught:
        getattr(ct.pl, name)(world[0], key="nothing")
    text = str(caught.value.args[0])
    assert "nothing" in text
    assert "found" in text
    assert re.search(r"ct\.tl\.\w+", text)
    assert "\n" not in text
    assert len(text) < 300


def test_names_on_data_stand_amid_their_cells(world):
    adata = world[0]
    for ax in (
        ct.pl.trajectories(adata, world[1], color="arm", legend_loc="on data", show=False),
        ct.pl.snapshots(adata, color="arm", legend_loc="on data", show=False)[-1],
    ):
        places = {text.get_text(): text.get_position() for text in ax.texts}
        here = adata.obs["arm"] == "upper"
        assert places["upper"][1] > places["lower"][1]
        assert places["upper"][1] == pytest.approx(np.median(np.asarray(adata.X)[here, 1]), abs=6)
        assert not legends(ax.figure)


def test_a_palette_leaves_uns_alone_and_goes_before_it(world):
    adata = world[0]
    adata.uns["arm_colors"] = ["black", "white", "grey"]
    before = dict(adata.uns)
    figure = ct.pl.snapshots(adata, color="arm", palette=MANY, return_fig=True)
    assert {RED, GREEN} <= colors(figure)
    assert list(adata.uns["arm_colors"]) == before["arm_colors"]
    del adata.uns["arm_colors"]


def test_colours_of_a_named_map_are_those_of_scanpy():
    names = list("abcde")
    found = colors_by_name("Set2", names, "things")
    expected = mpl.colormaps["Set2"](np.linspace(0, 1, 5))
    assert list(found.values()) == [mpl.colors.to_hex(one) for one in expected]
    assert len(set(found.values())) == 5
    with pytest.raises(ValueError, match="palette has 8 colours for 9 things"):
        colors_by_name("Set2", list("abcdefghi"), "things")
    named = pd.Series({"b": "red", "a": "blue"})
    assert colors_by_name(named, ["a", "b"], "things") == {"a": "blue", "b": "red"}


def test_groups_that_stand_back_are_drawn_first_and_grey(world):
    ax = ct.pl.trajectories(world[0], world[1], color="arm", groups="upper", show=False)
    shades = ax.collections[0].get_facecolors()[:, :3]
    is_grey = np.isclose(shades, mpl.colors.to_rgb("lightgrey")).all(1)
    n = int((world[0].obs["arm"] == "upper").sum())
    assert is_grey[:-n].all()
    assert not is_grey[-n:].any()


@pytest.mark.parametrize(
    ("style", "message"),
    [
        ({"size": 0.0}, "size must be above 0"),
        ({"ncols": 0}, "ncols must be at least 1"),
        ({"figsize": (0.0, 1.0)}, "figsize must be two lengths above 0"),
        ({"vmin": "low"}, "vmin must be a number, or a percentile such as 'p99'"),
        ({"vmax": "p101"}, "vmax must be a number, or a percentile"),
    ],
)
def test_what_is_no_style_is_refused(style, message):
    with pytest.raises(ValueError, match=message):
        Style(**style)


def test_what_a_plot_does_not_take_is_refused_by_name(world):
    with pytest.raises(TypeError, match=r"growth takes no argument 'pallete'"):
        ct.pl.growth(world[0], pallete="tab20")
    with pytest.raises(TypeError, match="legend_loc must be"):
        ct.pl.gene_trends(world[0], legend_loc=3)
    with pytest.raises(ValueError, match="legend_loc must be 'none' or"):
        ct.pl.gene_trends(world[0], legend_loc="on data")
    with pytest.raises(ValueError, match=r"kind='bars' has no cmap; it takes palette"):
        ct.pl.fates(world[0], kind="bars", cmap="magma")
    with pytest.raises(ValueError, match="groups= are those of color="):
        ct.pl.snapshots(world[0], groups="upper")


def test_one_text_for_every_style():
    for name in ct.pl.__all__:
        function = getattr(ct.pl, name)
        taken = [key for key in inspect.signature(function).parameters if key in TEXTS]
        text = inspect.getdoc(function)
        assert all(f"\n{key}\n" in text for key in taken), name


def test_axes_read_as_in_scanpy():
    adata = ct.datasets.branching(n_cells=20, seed=0)
    for key, read in {
        "X_umap": "UMAP1",
        "X_pca": "PC1",
        "X_tsne": "tSNE1",
        "X_draw_graph_fa": "FA1",
        "X_scVI": "scVI1",
        "latent2": "latent2 1",
        "X": "x",
    }.items():
        if key != "X":
            adata.obsm[key] = np.asarray(adata.X)
        panel = ct.pl.snapshots(adata, basis=key, show=False)[0]
        assert panel.get_xlabel() == read
        has_ticks = any(tick.label1.get_visible() for tick in panel.xaxis.get_major_ticks())
        assert has_ticks == (key == "X")  # those of an embedding mean nothing
        plt.close()
    swapped = ct.pl.snapshots(adata, basis="pca", components=(1, 0), show=False)[0]
    assert (swapped.get_xlabel(), swapped.get_ylabel()) == ("PC2", "PC1")


def test_names_of_groups_in_one_place_step_apart():
    _, ax = plt.subplots()
    ax.set(xlim=(-1, 1), ylim=(-1, 1))
    name_on_data(ax, {name: np.zeros((3, 2)) for name in ("one", "two", "three")})
    boxes = sorted((text.get_window_extent() for text in ax.texts), key=lambda box: box.y0)
    assert all(lower.y1 <= upper.y0 for lower, upper in pairwise(boxes))
    assert np.mean([text.get_position()[1] for text in ax.texts]) == pytest.approx(0, abs=0.05)


def test_autosave_saves_without_a_warning_as_in_scanpy(world, tmp_path):
    before = sc.settings.figdir, sc.settings.autosave  # properties without a deleter
    sc.settings.figdir, sc.settings.autosave = tmp_path, True
    try:
        ct.pl.growth(world[0], show=False)
    finally:
        sc.settings.figdir, sc.settings.autosave = before
    assert [file.stem for file in tmp_path.iterdir()] == ["growth"]
