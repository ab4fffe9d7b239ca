"""Plots of responses draw the cells and scores that they are given, and change nothing."""

import anndata as ad
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import celltraj as ct
from celltraj.models import ResponseOptions, Training

TINY = Training(max_steps=20, batch_size=32, width=32)
ALONE = ResponseOptions(n_kernels=0, n_context=32)  # predictions take a moment
COLUMNS = {"population_key": "population", "condition_key": "condition", "control": "before"}


@pytest.fixture(scope="module")
def fitted():
    """Return cells of eight populations, a model of them, and what it predicts."""
    adata = ct.datasets.interacting_populations(n_populations=8, n_cells=20, seed=0)
    model = ct.tl.fit_response(adata, options=ALONE, training=TINY, progress=False, **COLUMNS)
    return adata, model, ct.tl.predict_response(adata, model, condition="after", progress=False)


@pytest.fixture
def adata(fitted):
    return fitted[0].copy()


@pytest.fixture
def predicted(fitted):
    return fitted[2].copy()


def offsets(ax):
    """Return the drawn untreated, observed, predicted and outside cells."""
    return [np.asarray(drawn.get_offsets()) for drawn in ax.collections[:4]]


def legend_of(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def cells_of(adata, population, condition):
    chosen = (adata.obs["population"] == population) & (adata.obs["condition"] == condition)
    return adata[chosen].X


class TestResponse:
    def test_each_population_has_its_cells_in_a_panel(self, adata, predicted):
        names = ["population 5", "population 2"]
        panels = ct.pl.response(adata, predicted, population=names, show=False)
        for panel, name in zip(panels, names, strict=True):
            untreated, observed, known, outside = offsets(panel)
            np.testing.assert_allclose(untreated, cells_of(adata, name, "before"))
            np.testing.assert_allclose(observed, cells_of(adata, name, "after"))
            its = predicted[predicted.obs["population"] == name]
            at = its.obs["outside"].to_numpy()
            np.testing.assert_allclose(known, its.X[~at])
            np.testing.assert_allclose(outside, its.X[at])
            assert panel.get_title() == f"{name}  (20 cells)"

    def test_components_and_basis(self, adata, predicted):
        panel = ct.pl.response(adata, predicted, components=(1, 0), show=False)[0]
        np.testing.assert_allclose(
            offsets(panel)[0], cells_of(adata, "population 0", "before")[:, ::-1]
        )
        adata.obsm["X_umap"], predicted.obsm["X_umap"] = adata.X + 9, predicted.X + 9
        panel = ct.pl.response(adata, predicted, basis="umap", show=False)[0]
        np.testing.assert_allclose(
            offsets(panel)[1], cells_of(adata, "population 0", "after") + 9, rtol=1e-6
        )
        assert panel.get_ylabel() == "UMAP2"
        with pytest.raises(ValueError, match="must lie between 0 and 1"):
            ct.pl.response(adata, predicted, components=(0, 2), show=False)
        with pytest.raises(KeyError, match="tsne"):
            ct.pl.response(adata, predicted, basis="tsne", show=False)

    def test_the_largest_six_are_drawn_and_said_to_be(self, adata, predicted):
        fewer = predicted[~predicted.obs["population"].isin(["population 1", "population 4"])]
        predicted = ad.concat([fewer, predicted[predicted.obs["population"] == "population 4"][:5]])
        predicted.uns = fewer.uns
        panels = ct.pl.response(adata, predicted, show=False)
        shown = [panel.get_title().split("  ")[0] for panel in panels]
        assert shown == [f"population {k}" for k in (0, 2, 3, 5, 6, 7)]
        assert panels[0].figure.get_suptitle() == "the 6 populations with most cells, of 7"
        six = predicted[predicted.obs["population"] != "population 4"].copy()
        assert ct.pl.response(adata, six, show=False)[0].figure.get_suptitle() == ""

    def test_untreated_cells_alone_need_no_columns(self, adata, predicted):
        alone = adata[adata.obs["condition"] == "before"].copy()
        alone.obs = alone.obs[["split"]]
        panels = ct.pl.response(alone, predicted, population="population 3", show=False)
        untreated, observed, *_ = offsets(panels[0])
        np.testing.assert_allclose(untreated, cells_of(adata, "population 3", "before"))
        assert len(observed) == 0
        assert "observed" not in legend_of(panels[0].figure)
        # a treated cell comes along, and nothing tells what it is
        with pytest.raises(KeyError, match=r"no obs\['population'\] to say what they are"):
            ct.pl.response(ad.concat([alone, adata[[-1]]]), predicted, show=False)

    def test_one_population_needs_no_column_of_populations(self, fitted):
        adata, model, _ = fitted
        one = adata[adata.obs["population"] == "population 3"].copy()
        del one.obs["population"]
        predicted = ct.tl.predict_response(one, model, condition="after", progress=False)
        panel = ct.pl.response(one, predicted, show=False)[0]
        np.testing.assert_allclose(offsets(panel)[1], cells_of(adata, "population 3", "after"))

    def test_treated_cells_take_their_colour_from_uns(self, adata, predicted):
        adata.obs["condition"] = adata.obs["condition"].astype("category")  # before, after
        adata.uns["condition_colors"] = ["#00ff00", "#ff00ff"]
        one = {"population": "population 0", "show": False}
        panel = ct.pl.response(adata, predicted, **one)[0]
        shade = panel.collections[1].get_facecolors()[0, :3]
        np.testing.assert_allclose(shade, mpl.colors.to_rgb("#ff00ff"))
        del adata.uns["condition_colors"]
        panel = ct.pl.response(adata, predicted, **one)[0]
        shade = panel.collections[1].get_facecolors()[0, :3]
        np.testing.assert_allclose(shade, mpl.colors.to_rgb("C0"))
        assert "condition_colors" not in adata.uns

    def test_cells_outside_are_crosses_and_mass_is_area(self, adata, predicted):
        here = np.flatnonzero(predicted.obs["population"] == "population 0")
        outside, mass = np.zeros(predicted.n_obs, bool), np.ones(predicted.n_obs)
        outside[here[:3]], mass[here[10]], mass[here[11]] = True, 3.0, 0.0
        predicted.obs["outside"], predicted.obs["survival"] = outside, mass
        panel = ct.pl.response(adata, predicted, population="population 0", show=False)[0]
        np.testing.assert_allclose(offsets(panel)[3], predicted.X[here[:3]])
        areas = panel.collections[2].get_sizes()
        np.testing.assert_allclose(areas[[7, 8]] / areas[0], [3.0, 0.0])
        assert legend_of(panel.figure)[-1] == "predicted, source\noutside the training"
        panel = ct.pl.response(adata, predicted, population="population 1", show=False)[0]
        assert legend_of(panel.figure) == ["untreated", "observed", "predicted"]

    def test_given_axes_hold_one_population(self, adata, predicted):
        _, ax = plt.subplots()
        assert ct.pl.response(adata, predicted, population="population 1", ax=ax, show=False) is ax
        np.testing.assert_allclose(offsets(ax)[0], cells_of(adata, "population 1", "before"))
        assert ax.get_legend().get_title().get_text() == "after"
        with pytest.raises(ValueError, match="ax= holds one population"):
            ct.pl.response(adata, predicted, ax=ax, show=False)

    def test_what_does_not_belong_together_is_refused(self, adata, predicted):
        with pytest.raises(KeyError, match=r"no prediction; make it with ct\.tl\.predict_response"):
            ct.pl.response(adata, adata, show=False)
        with pytest.raises(ValueError, match=r"no predicted cells of \['x'\]"):
            ct.pl.response(adata, predicted, population="x", show=False)
        with pytest.raises(ValueError, match=r"lacks 1 of the cells.*was given to"):
            ct.pl.response(adata[1:].copy(), predicted, show=False)
        adata.obs_names = ["same"] * adata.n_obs
        with pytest.raises(ValueError, match="obs_names_make_unique"):
            ct.pl.response(adata, predicted, show=False)

    def test_of_several_doses_the_predicted_one_is_shown(self):
        adata = ct.datasets.drug_screen(n_lines=2, n_drugs=3, n_cells=40, n_vars=3, seed=0)
        keys = {"condition_key": ["drug_1", "drug_2"], "dose_key": ["dose_1", "dose_2"]}
        model = ct.tl.fit_response(
            adata, population_key="population", control="control", training=TINY,
            options=ALONE, progress=False, **keys,
        )  # fmt: skip
        for drugs, doses in ((["drug 1"], [10.0]), (["drug 1", "drug 0"], [1.0, 1.0])):
            predicted = ct.tl.predict_response(
                adata, model, condition=drugs, dose=doses, progress=False
            )
            panel = ct.pl.response(adata, predicted, population="line 1", show=False)[0]
            obs = adata.obs
            second = "drug_2 == 'drug 1'" if len(drugs) == 2 else "drug_2.isna()"
            first = "drug 0" if len(drugs) == 2 else "drug 1"
            rows = obs.query(
                f"population == 'line 1' and drug_1 == '{first}' and {second} "
                f"and dose_1 == {doses[0]}"
            )
            np.testing.assert_allclose(offsets(panel)[1], adata[rows.index].X[:, :2])

    def test_cells_are_placed_by_the_projection_of_the_model(self, adata):
        ct.pp.pca_model(adata, n_comps=2)
        model = ct.tl.fit_response(adata, options=ALONE, training=TINY, progress=False, **COLUMNS)
        expected = adata.obsm["X_pca"][:20]
        new = adata[:, ::-1].copy()
        # components of a PCA of its own, and genes in another order
        new.obsm["X_pca"] = np.random.default_rng(0).normal(size=(new.n_obs, 2))
        predicted = ct.tl.predict_response(new, model, condition="after", progress=False)
        panel = ct.pl.response(new, predicted, show=False)[0]
        np.testing.assert_allclose(offsets(panel)[0], expected, atol=1e-5)


def embedded(phi, **obs):
    """Return embeddings as ct.tl.embed_populations does."""
    names = [f"p{k}" for k in range(len(phi))]
    table = pd.DataFrame({"in_training": True} | obs, index=names)
    record = {"embedding": {"kind": "embedding", "seed": 0}}
    return ad.AnnData(np.asarray(phi, dtype=np.float32), obs=table, uns={"celltraj": record})


def points(ax):
    """Return where populations of the training and new ones stand."""
    return [np.asarray(drawn.get_offsets()) for drawn in ax.collections[:2]]


class TestPopulations:
    def test_points_are_principal_components(self):
        # along two orthogonal directions of three, with variances 4 : 1
        axes = np.array([[0.6, 0.8, 0.0], [0.0, 0.0, 1.0]])
        z = np.array([[2.0, 0.0], [-2.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
        ax = ct.pl.populations(embedded(7 + z @ axes), show=False)
        np.testing.assert_allclose(points(ax)[0], z, atol=1e-5)
        assert ax.get_xlabel() == "embedding PC 1 (80%)"
        assert ax.get_ylabel() == "embedding PC 2 (20%)"

    def test_distances_survive_any_rotation(self):
        rng = np.random.default_rng(0)
        z = rng.normal(size=(9, 2))
        q = np.linalg.qr(rng.normal(size=(5, 5)))[0][:2]
        for phi in (z, z @ q):
            drawn = points(ct.pl.populations(embedded(phi), show=False))[0]
            found, expected = (np.linalg.norm(x[:, None] - x[None], axis=-1) for x in (drawn, z))
            np.testing.assert_allclose(found, expected, atol=1e-5)

    @pytest.mark.parametrize("n", [1, 2])
    def test_few_populations_lie_on_a_line(self, n):
        ax = ct.pl.populations(embedded(np.arange(3.0 * n).reshape(n, 3)), show=False)
        assert (points(ax)[0][:, 1] == 0).all()
        assert ax.get_ylabel() == "embedding PC 2 (0%)"

    def test_one_number_is_drawn_as_it_is(self):
        ax = ct.pl.populations(embedded([[3.0], [-1.0], [2.0]]), show=False)
        np.testing.assert_allclose(points(ax)[0], [[3, 2], [-1, 0], [2, 1]])
        ticks = dict(
            zip(ax.get_yticks(), [t.get_text() for t in ax.get_yticklabels()], strict=True)
        )
        assert ticks == {2: "p0", 0: "p1", 1: "p2"}
        assert ax.get_xlabel() == "embedding"

    @pytest.mark.parametrize("n_dims", [1, 2])
    def test_up_to_thirty_are_named(self, n_dims):
        phi = np.random.default_rng(0).normal(size=(31, n_dims))
        for n in (30, 31):
            ax = ct.pl.populations(embedded(phi[:n]), show=False)
            names = [t.get_text() for t in (*ax.texts, *ax.get_yticklabels())]
            assert {f"p{k}" for k in range(n)} <= set(names) or n == 31
            assert n == 30 or "p0" not in names

    def test_names_do_not_cover_each_other(self):
        phi = np.random.default_rng(1).normal(size=(20, 2))
        phi[10:15] = phi[5:10] + 0.15  # pairs of near neighbours
        ax = ct.pl.populations(embedded(phi), show=False)
        ax.figure.canvas.draw()
        boxes = [text.get_window_extent() for text in ax.texts]
        assert len(boxes) == 20
        for k, box in enumerate(boxes):
            assert box.count_overlaps(boxes[k + 1 :]) == 0
            assert ax.bbox.count_contains(box.corners()) == 4

    def test_new_populations_are_told_apart(self):
        phi = np.eye(4)
        ax = ct.pl.populations(embedded(phi, in_training=[True, True, False, True]), show=False)
        assert [len(part) for part in points(ax)] == [3, 1]
        assert [t.get_text() for t in ax.get_legend().get_texts()] == ["in the training", "new"]
        assert ct.pl.populations(embedded(phi), show=False).get_legend() is None

    def test_colours_are_those_of_uns_or_of_a_scale(self):
        data = embedded(
            np.eye(3),
            site=pd.Categorical(["b", "a", "b"]),
            ratio=[0.0, 1.0, 2.0],
            in_training=[True, True, False],
        )
        data.uns["site_colors"] = ["#ff0000", "#00ff00"]
        ax = ct.pl.populations(data, color="site", show=False)
        found = [tuple(c) for part in ax.collections for c in part.get_facecolors()]
        assert found == [mpl.colors.to_rgba(c) for c in ("#00ff00", "#ff0000", "#00ff00")]
        ax.figure.canvas.draw()
        legends = ax.findobj(mpl.legend.Legend)
        assert {one.get_title().get_text() for one in legends} == {"site", ""}
        # what explains colours stands beside the axes, where a tight picture would cut it off
        boxes = [one.get_window_extent() for one in legends]
        whole = ax.get_tightbbox()
        assert all(whole.x1 >= box.x1 - 1 and whole.y1 >= box.y1 - 1 for box in boxes)
        ax = ct.pl.populations(data, color="ratio", show=False)
        assert ax.figure.axes[1].get_ylabel() == "ratio"
        with pytest.raises(KeyError, match="to colour by"):
            ct.pl.populations(data, color="age", show=False)

    def test_something_else_is_refused(self):
        with pytest.raises(KeyError, match=r"make it with ct\.tl\.embed_populations"):
            ct.pl.populations(ad.AnnData(np.eye(3)), show=False)


def table(values, metric="W1"):
    """Return scores: ``values[method][k]`` of population ``k``, each in two seeds that differ."""
    rows = [
        (method, f"p{k}", metric, value + shift, seed, f"p{k}", "drug")
        for method, row in values.items()
        for k, value in enumerate(row)
        for seed, shift in ((0, -0.01), (1, 0.01))
    ]
    columns = ["method", "held_out", "metric", "value", "seed", "population", "condition"]
    return pd.DataFrame(rows, columns=columns)


VALUES = {
    "floor": [0.1, 0.1, 0.1],
    "no_change": [1.0, 1.1, 1.2],
    "shift": [0.5, 0.6, 0.7],
    "mine": [0.2, 0.3, 0.7],
    "mine (other embedding)": [0.5, 0.6, 0.9],
}


def rows_of(ax):
    """Return the mean, the interval, the dots and the large dot of each row by its name."""
    names = [tick.get_text() for tick in ax.get_yticklabels()]
    large = [line for line in ax.lines if line.get_marker() == "o"]
    spans = {
        line.get_ydata()[0]: line.get_xdata() for line in ax.lines if len(line.get_xdata()) == 2
    }
    dots = [np.sort(np.asarray(part.get_offsets())[:, 0]) for part in ax.collections]
    return {
        name: (mark.get_xdata()[0], spans.get(k), dots[k], mark)
        for k, (name, mark) in enumerate(zip(names, large, strict=True))
    }


class TestScores:
    def test_rows_are_means_over_populations_with_the_best_first(self):
        ax = ct.pl.scores(table(VALUES), show=False)
        rows = rows_of(ax)
        assert list(rows) == ["mine", "shift", "mine (other embedding)"]  # .4, .6, .67
        for name, (mean, interval, dots, _) in rows.items():
            np.testing.assert_allclose(dots, VALUES[name])
            assert mean == pytest.approx(np.mean(VALUES[name]))
            assert interval[0] < mean < interval[1]
        assert ax.get_ylim()[0] > ax.get_ylim()[1]  # the first row is on top
        lines = {line.get_linestyle(): line.get_xdata()[0] for line in ax.lines[:2]}
        assert lines == pytest.approx({"--": 0.1, "-.": 1.1})
        assert {"floor", "no_change"} < {t.get_text() for t in ax.get_legend().get_texts()}

    def test_models_are_in_colour_and_hollow_with_other_populations(self):
        rows = rows_of(ct.pl.scores(table(VALUES), show=False))
        edge = {name: row[3].get_markeredgecolor() for name, row in rows.items()}
        assert edge["mine"] == edge["mine (other embedding)"] == "C0"
        assert np.ptp(mpl.colors.to_rgb(edge["shift"])) == 0
        face = {name: row[3].get_markerfacecolor() for name, row in rows.items()}
        assert face["mine"] == "C0"
        assert face["mine (other embedding)"] == "white"

    def test_the_interval_is_that_of_a_mean(self):
        values = np.random.default_rng(0).normal(5.0, 1.0, size=100)
        ax = ct.pl.scores(table({"mine": values}), show=False)
        _, interval, *_ = rows_of(ax)["mine"]
        error = values.std() / 10
        # a 2.5 % quantile of 2,000 draws has a standard error of 0.06 of theirs
        np.testing.assert_allclose(
            interval, values.mean() + error * np.array([-1.96, 1.96]), atol=4 * 0.06 * error
        )

    def test_populations_weigh_alike_and_are_what_is_drawn_again(self):
        scores = table({"mine": [1.0, 2.0, 6.0]})
        again = scores[scores["population"] == "p2"].assign(condition="other")
        ax = ct.pl.scores(pd.concat([scores, again]), show=False)
        mean, _, dots, _ = rows_of(ax)["mine"]
        assert mean == pytest.approx(3.0)
        np.testing.assert_allclose(dots, [1, 2, 6, 6])
        two = scores[scores["population"] != "p2"]
        assert rows_of(ct.pl.scores(two, show=False))["mine"][1] is None

    def test_more_is_better_for_a_cosine(self):
        scores = table({"good": [0.9, 0.8], "bad": [-0.1, 0.2]}, "shift_cosine")
        ax = ct.pl.scores(scores, metric="shift_cosine", show=False)
        assert list(rows_of(ax)) == ["good", "bad"]
        assert ax.get_xlim()[0] < -0.1
        assert "1 is best" in ax.get_xlabel()

    def test_of_sizes_the_true_one_is_best(self):
        sizes = {"truth": [1.0, 1.0], "small": [0.1, 0.1], "large": [1.5, 1.5]}
        ax = ct.pl.scores(table(sizes, "size"), metric="size", show=False)
        assert list(rows_of(ax)) == ["large", "small"]
        assert ax.lines[0].get_xdata()[0] == pytest.approx(1.0)

    def test_a_method_that_was_judged_less_says_so(self):
        scores = table(VALUES)
        less = (scores["method"] == "shift") & (scores["population"] == "p2")
        ax = ct.pl.scores(scores[~less], show=False)
        assert [name for name in rows_of(ax) if "of" in name] == ["shift (2 of 3)"]
        scores.loc[less, "value"] = np.nan
        ax = ct.pl.scores(scores, show=False)
        assert [name for name in rows_of(ax) if "of" in name] == ["shift (2 of 3)"]

    def test_tables_from_files_draw_the_same(self, tmp_path):
        scores = table(VALUES)
        scores["population"] = scores["population"].str[1:]  # names that read as numbers
        scores.to_csv(tmp_path / "scores.csv", index=False)
        holder = ad.AnnData(np.zeros((1, 1), np.float32))
        holder.uns["scores"] = scores.rename(index=str).astype({"method": "category"})
        holder.write_h5ad(tmp_path / "scores.h5ad")
        tables = [
            scores,
            pd.read_csv(tmp_path / "scores.csv"),
            ad.read_h5ad(tmp_path / "scores.h5ad").uns["scores"],
        ]
        first, *others = [rows_of(ct.pl.scores(one, show=False)) for one in tables]
        for other in others:
            assert list(other) == list(first)
            for name, row in other.items():
                np.testing.assert_allclose(row[1], first[name][1])

    def test_wrong_tables_are_refused(self):
        with pytest.raises(ValueError, match=r"no metric 'W2'; found \['W1'\]"):
            ct.pl.scores(table(VALUES), metric="W2", show=False)
        with pytest.raises(ValueError, match=r"make them with ct\.tl\.cross_validate_response"):
            ct.pl.scores(table(VALUES).drop(columns="held_out"), show=False)
        with pytest.raises(ValueError, match="nothing to compare"):
            ct.pl.scores(table({"floor": [0.1]}), show=False)


def test_what_comes_back_from_files_is_drawn_and_not_changed(fitted, tmp_path):
    adata, model, predicted = fitted
    parts = {"adata": adata, "predicted": predicted}
    parts["embedded"] = ct.tl.embed_populations(adata, model)
    for name, part in parts.items():
        part.write_h5ad(tmp_path / f"{name}.h5ad")
    adata, predicted, embedded = (ad.read_h5ad(tmp_path / f"{name}.h5ad") for name in parts)
    before = [part.copy() for part in (adata, predicted, embedded)]
    ct.pl.response(adata, predicted, show=False, save=tmp_path / "response.png")
    ct.pl.populations(embedded, color="split", show=False, save=tmp_path / "populations.png")
    for part, copy in zip((adata, predicted, embedded), before, strict=True):
        np.testing.assert_array_equal(part.X, copy.X)
        pd.testing.assert_frame_equal(part.obs, copy.obs)
        assert sorted(part.uns) == sorted(copy.uns)
    assert (tmp_path / "response.png").stat().st_size > 0
    assert (tmp_path / "populations.png").stat().st_size > 0
