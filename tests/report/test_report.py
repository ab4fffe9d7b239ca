"""One page of HTML about a run."""

import re
from itertools import pairwise
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from report.pages import Page, unpacked, unpacked_positions

import celltraj as ct
from celltraj.models import Moments, ResponseOptions, Training

SILENT = {"progress": False}
HOSTILE = "</script><b>"


@pytest.fixture(scope="module")
def page(run, tmp_path_factory):
    adata, path, scores = run
    file = tmp_path_factory.mktemp("page") / "new folder" / "run.html"
    before = sorted(adata.uns["celltraj"]), sorted(adata.obs), sorted(adata.obsm)
    written = ct.pl.report(adata, file, trajectories=path, scores=scores, **SILENT)
    assert written == file
    assert (sorted(adata.uns["celltraj"]), sorted(adata.obs), sorted(adata.obsm)) == before
    assert list(file.parent.iterdir()) == [file]
    return Page(file)


@pytest.fixture
def undrawn(monkeypatch):
    """Leave the pictures out, which take most of the time."""
    monkeypatch.setattr("celltraj.pl._report.write.drawn", lambda drawings, progress: ([], []))


class TestThePage:
    def test_nothing_is_read_from_elsewhere(self, page):
        given = [one for _, attrs in page.tags for one in attrs.items()]
        read = {value for name, value in given if name in ("src", "href", "action", "data")}
        assert {one.partition(":")[0] for one in read if one[0] != "#"} == {"data"}
        assert re.findall(r"https?://[^\s\"'<>]+", page.html) == []
        policy = next(one for one in page.of("meta") if "http-equiv" in one)
        assert policy["content"].startswith("default-src 'none'; img-src data:;")

    def test_every_link_leads_to_a_section(self, page):
        sections = [one["id"] for one in page.of("section")]
        assert [one["href"] for one in page.of("a")] == [f"#{one}" for one in sections]
        assert sections == [
            *("fitted", "warnings", "moving", "scores", "convergence", "pictures", "tables"),
            "parameters",
        ]

    def test_what_was_fitted_on_what(self, page, run):
        adata = run[0]
        text = page.text("fitted")
        assert f"Flow “flow”: {adata.n_obs} cells at 5 times, time (day) 0 to 4, in X of 2" in text
        assert "a network trained for 20 steps" in text
        sigma = adata.uns["celltraj"]["flow"]["params"]["sigma"]
        assert f"sigma {sigma:.4g} (estimated)" in text
        assert "Couplings “couplings”" in text

    def test_scores_are_told_against_the_floor_and_what_needs_no_model(self, page):
        text = page.text("scores")
        assert "The floor is 0.101: random halves" in text
        assert "The best answer without a model is displacement (straight lines" in text
        mine = re.search(r"mine has 0.303 .*?\.(?= )[^.]*", text)[0]
        assert "is better than displacement, with a difference of -0.202" in mine
        assert "3 of 3 held-out times" in text
        assert "bad has 2.02 [2, 2.04]: it is worse than displacement" in text
        assert "previous: the cells of the time before, unchanged" in text

    def test_what_missed_its_own_snapshots_is_a_warning(self, page):
        # 20 steps of a network of width 8 have learned nothing
        assert "“flow” does not pass through its own snapshot at 4" in page.text("warnings")
        assert "meet 0 of the 4 later ones" in page.text("convergence")
        assert "the solver converged in 4 of 4 gaps" in page.text("convergence")
        assert "“flow”: the training loss went from" in page.text("convergence")

    def test_pictures_and_tables_of_the_results(self, page):
        titles = {one["alt"] for one in page.of("img")}
        assert {one.partition(" (“")[0] for one in titles} == {
            "Share of the descendants in each fate",
            "Mean fates of each time",
            "Groups and what becomes of them",
            "Training loss of “flow”",
            "Observed snapshots",
            "Simulated trajectories over the observed cells",
            "Simulated (line) over observed (filled) distributions",
            "Held-out scores",
        }
        assert "Transitions “transitions”" in page.text("tables")
        assert "training.max_steps" in page.text("parameters")
        assert f"celltraj{ct.__version__}" in page.text("parameters")


class TestMovingCells:
    def test_trajectories_are_where_they_were_simulated(self, page, run):
        adata, path, _ = run
        motion = page.motion
        n, times = motion["n"], motion["times"]
        assert (n, times) == (25, np.linspace(0, 4, 9).tolist())
        low, high = np.array(motion["box"]).reshape(2, 2)
        shares = unpacked_positions(motion["positions"], len(times))
        found = low + shares * (high - low)
        np.testing.assert_allclose(
            found, np.asarray(path.X).reshape(9, 25, 2), atol=(high - low).max() / 4000
        )
        behind = unpacked_positions(motion["background"]["positions"], 1)[0]
        np.testing.assert_allclose(low + behind * (high - low), adata.X, atol=0.01)

    def test_mass_is_the_area_of_a_dot(self, page, run):
        path = run[1]
        found = unpacked(page.motion["weights"]).reshape(9, 25).astype(float)
        mass = path.obs["mass"].to_numpy().reshape(9, 25)
        expected = 64 * np.sqrt(mass / mass.mean(1, keepdims=True))
        np.testing.assert_allclose(found, np.clip(expected, 0.3 * 64, 252), atol=2.1)

    def test_annotations_are_those_of_the_cell_at_the_start(self, page, run):
        adata, path, _ = run
        first, *others = page.motion["annotations"]
        source = path.obs["source"].to_numpy()[:25]
        assert first["name"] == "arm"  # what fates are of
        labels = np.array(first["labels"])[unpacked(first["codes"])]
        assert labels.tolist() == adata.obs["arm"][source].tolist()
        depth = next(one for one in others if one["name"] == "depth")
        codes = unpacked(depth["codes"])
        expected = adata.obs["depth"][source].to_numpy()
        assert ((codes == 255) == np.isnan(expected)).all()
        span = depth["to"] - depth["from"]
        found = np.where(codes == 255, np.nan, depth["from"] + codes / 254 * span)
        np.testing.assert_allclose(found, expected, atol=span / 500)

    def test_fates_are_those_of_the_cell_at_the_start(self, page, run):
        adata, path, _ = run
        fates = page.motion["fates"]
        shares = unpacked(fates["shares"]).reshape(25, -1) / 200
        expected = ct.get.fates(adata).loc[path.obs["source"].iloc[:25], fates["names"]]
        np.testing.assert_allclose(shares, expected, atol=0.003)

    @pytest.mark.usefixtures("undrawn")
    def test_snapshots_are_shown_in_turn_where_nothing_was_simulated(self, run, tmp_path):
        adata = run[0]
        page = Page(ct.pl.report(adata, tmp_path / "a.html", key="couplings", **SILENT))
        motion = page.motion
        assert not motion["moves"]
        assert motion["times"] == [0, 1, 2, 3, 4]
        weights = unpacked(motion["weights"]).reshape(5, -1)
        is_there = adata.obs["time"].to_numpy() == np.arange(5)[:, None]
        np.testing.assert_array_equal(weights, np.where(is_there, 64, 0))
        assert "Flow" not in page.text("fitted")

    @pytest.mark.usefixtures("undrawn")
    def test_a_backward_simulation_runs_in_the_order_of_time(self, run, tmp_path):
        adata, path, _ = run
        back = path[::-1].copy()
        motion = Page(ct.pl.report(adata, tmp_path / "a.html", trajectories=back, **SILENT)).motion
        assert motion["times"] == np.linspace(0, 4, 9).tolist()
        low, high = np.array(motion["box"]).reshape(2, 2)
        found = low + unpacked_positions(motion["positions"], 9) * (high - low)
        last = np.asarray(path.X).reshape(9, 25, 2)[-1, ::-1]
        np.testing.assert_allclose(found[-1], last, atol=0.01)

    @pytest.mark.usefixtures("undrawn")
    def test_simulated_cells_may_be_drawn_in_what_their_obsm_holds(self, run, tmp_path):
        adata, path = (one.copy() for one in run[:2])
        adata.obsm["X_umap"] = 2 * np.asarray(adata.X)
        path.obsm["X_umap"] = 2 * np.asarray(path.X)
        file = tmp_path / "a.html"
        motion = Page(
            ct.pl.report(adata, file, key="flow", trajectories=path, basis="umap", **SILENT)
        ).motion
        low, high = np.array(motion["box"]).reshape(2, 2)
        assert low[0] < 2 * path.X[:, 0].min()
        assert high[0] > 2 * path.X[:, 0].max()


class TestAnAnnotationWithAnyName:
    def test_no_name_becomes_a_tag(self, run, tmp_path):
        adata, path = (one.copy() for one in run[:2])
        names = [f"{HOSTILE}{name}" for name in adata.obs_names]
        path.obs["source"] = [f"{HOSTILE}{name}" for name in path.obs["source"]]
        adata.obs_names = names
        adata.obs[HOSTILE] = pd.Categorical([f"{HOSTILE}{arm}" for arm in adata.obs["arm"]])
        adata.uns["time_unit"] = HOSTILE
        del adata.uns["celltraj"]
        ct.tl.couplings(adata, key_added="<b>couplings", growth=None, **SILENT)
        ct.tl.fates(adata, groupby=HOSTILE, key="<b>couplings", key_added="<b>fates", **SILENT)
        scores = run[2].replace("mine", HOSTILE)
        file = tmp_path / "a.html"
        page = Page(
            ct.pl.report(adata, file, trajectories=path, scores=scores, title=HOSTILE, **SILENT)
        )
        assert page.of("b") == []
        assert len(page.of("script")) == page.html.count("</script>") == 2
        annotation = page.motion["annotations"][0]
        assert annotation["name"] == HOSTILE
        assert annotation["labels"] == [f"{HOSTILE}down", f"{HOSTILE}up"]
        # in the tab, above the page, and in the unit of time
        assert page.texts["header"].count(HOSTILE) == 3
        assert f"{HOSTILE} has" in page.text("scores")
        titles = [one["alt"] for one in page.of("img")]
        assert "Share of the descendants in each fate (“<b>fates”)" in titles


class TestWhatCannotBeReported:
    @pytest.mark.parametrize("left", [None, "X_pca"])
    def test_a_run_that_was_interrupted(self, left, tmp_path):
        adata = ct.datasets.branching(n_cells=30, seed=0)
        if left is not None:
            ct.pp.pca_model(adata, n_comps=2)
        with pytest.raises(KeyError, match=r"holds no fit and no couplings .* interrupted") as told:
            ct.pl.report(adata, tmp_path / "a.html")
        assert "\n" not in told.value.args[0]
        assert "ct.tl.fit_bridge" in told.value.args[0]
        assert list(tmp_path.iterdir()) == []

    def test_a_record_that_is_not_whole(self, run, tmp_path):
        adata = run[0].copy()
        del adata.uns["celltraj"]["flow"]["history"]
        with pytest.raises(ValueError, match=r"flow 'flow' is not whole, it lacks \['history'\]"):
            ct.pl.report(adata, tmp_path / "a.html")

    def test_a_name_that_is_none(self, run, tmp_path):
        with pytest.raises(KeyError, match=r"'bridge' to report on; found \['couplings', 'flow'\]"):
            ct.pl.report(run[0], tmp_path / "a.html", key="bridge")

    @pytest.mark.parametrize("name", ["run", "run.h5ad", "folder.html"])
    def test_what_is_no_page(self, name, run, tmp_path):
        (tmp_path / "folder.html").mkdir()
        with pytest.raises(ValueError, match=r"one file that ends in \.html"):
            ct.pl.report(run[0], tmp_path / name)

    def test_trajectories_of_another_space(self, run, tmp_path):
        adata, path, _ = run
        adata = adata.copy()
        adata.obsm["X_umap"] = np.asarray(adata.X)
        with pytest.raises(ValueError, match="simulated in X and are to be drawn in X_umap"):
            ct.pl.report(adata, tmp_path / "a.html", trajectories=path, basis="umap", **SILENT)

    def test_trajectories_that_are_not_whole(self, run, tmp_path):
        adata, path, _ = run
        with pytest.raises(ValueError, match="once at every time; found 224 rows of 25"):
            ct.pl.report(adata, tmp_path / "a.html", trajectories=path[:-1].copy(), **SILENT)
        bare = path.copy()
        del bare.obs["source"]
        with pytest.raises(KeyError, match=r"has no \['source'\]"):
            ct.pl.report(adata, tmp_path / "a.html", trajectories=bare, **SILENT)

    def test_trajectories_of_other_cells(self, run, tmp_path):
        adata, path, _ = run
        other = path.copy()
        other.obs["source"] = "another"
        with pytest.raises(KeyError, match="25 trajectories start from cells that adata does not"):
            ct.pl.report(adata, tmp_path / "a.html", trajectories=other, **SILENT)

    @pytest.mark.usefixtures("undrawn")
    def test_an_older_page_stays(self, run, tmp_path, monkeypatch):
        file = tmp_path / "a.html"
        file.write_text("old")

        def fails(self, *args, **kwargs):
            raise OSError("no space left")

        monkeypatch.setattr(Path, "write_text", fails)
        with pytest.raises(OSError, match="no space"):
            ct.pl.report(run[0], file, key="couplings", **SILENT)
        assert file.read_text() == "old"
        assert list(tmp_path.iterdir()) == [file]


@pytest.mark.usefixtures("undrawn")
class TestOtherRuns:
    def test_plans_of_another_package(self, run, tmp_path):
        adata = run[0].copy()
        counts = adata.obs["time"].value_counts().sort_index()
        gaps = pairwise(counts.items())
        maps = {(t0, t1): np.ones((n, m)) for (t0, n), (t1, m) in gaps}
        ct.io.from_wot(adata, maps, key_added="wot")
        page = Page(ct.pl.report(adata, tmp_path / "a.html", key="wot", **SILENT))
        assert "“wot”: how it was computed is not known here" in page.text("convergence")

    def test_a_response_has_no_times(self, tmp_path):
        adata = ct.datasets.letters(n_cells=12, letters="ABC", n_rotations=1, seed=0)
        ct.tl.fit_response(
            adata,
            population_key="population",
            condition_key="condition",
            control="blurred",
            training=Training(max_steps=2, width=8),
            options=ResponseOptions(encoder=Moments(n_features=2), n_populations=2, n_context=4),
            **SILENT,
        )
        held = [f"letter {k}" for k in range(3)]
        rows = [
            (method, name, metric, value, 0, name, "sharp")
            for method, value in {"floor": 0.1, "no_change": 1.0, "mine": 0.3, "truth": 1.0}.items()
            for name in held
            for metric in (("size",) if method == "truth" else ("W1", "size", "shift_cosine"))
        ]
        columns = ["method", "held_out", "metric", "value", "seed", "population", "condition"]
        scores = pd.DataFrame(rows, columns=columns)
        page = Page(ct.pl.report(adata, tmp_path / "a.html", scores=scores, **SILENT))
        assert "Response “response”" in page.text("fitted")
        assert "3 populations with treated cells" in page.text("fitted")
        assert "so that nothing moves" in page.text("moving")
        assert "“response”: the training loss went from" in page.text("convergence")
        text = page.text("scores")
        assert "size is the length of the mean shift: better the nearer to that of truth" in text
        assert "shift_cosine: more is better." in text
        # of a cosine, less is worse
        assert "mine has 0.3 [0.3, 0.3]: it is worse than no_change, with a difference" in text


class TestWhatDeservesALook:
    def told(self, adata, tmp_path, **options):
        page = Page(ct.pl.report(adata, tmp_path / "a.html", **SILENT, **options))
        return page.text("warnings"), page

    def test_a_result_that_is_stale_is_named_and_left_out(self, run, tmp_path):
        adata = run[0].copy()
        adata.X[:20] += 1.0
        warnings, page = self.told(adata, tmp_path)
        assert "“ct_fates” of ct.tl.fates(adata, groupby=...) is stale" in warnings
        assert page.motion["fates"] is None
        assert not any("fate" in one["alt"] for one in page.of("img"))

    @pytest.mark.usefixtures("undrawn")
    def test_a_solver_that_did_not_converge(self, run, tmp_path):
        adata = run[0].copy()
        adata.uns["celltraj"]["couplings"]["gaps"].loc["2", "converged"] = False
        warnings, page = self.told(adata, tmp_path, key="couplings")
        assert "the solver did not converge between 2 and 3" in warnings
        assert "converged in 3 of 4 gaps" in page.text("convergence")

    @pytest.mark.usefixtures("undrawn")
    def test_few_cells(self, run, tmp_path):
        assert "fewer than 50 cells at times" in self.told(run[0], tmp_path)[0]

    @pytest.mark.usefixtures("undrawn")
    def test_another_version(self, run, tmp_path):
        adata = run[0].copy()
        adata.uns["celltraj"]["couplings"]["version"] = "0.0.1"
        assert "“couplings” was computed by celltraj 0.0.1" in self.told(adata, tmp_path)[0]

    @pytest.mark.usefixtures("undrawn")
    def test_times_beyond_the_fit(self, run, tmp_path):
        adata, path, _ = run
        path = path.copy()
        path.obs["extrapolated"] = path.obs["time"] > 3
        warnings, page = self.told(adata, tmp_path, trajectories=path)
        assert "Some simulated times lie beyond those of the fit" in warnings
        assert page.motion["beyond"] == [False] * 7 + [True] * 2


def test_a_page_from_files_is_the_same(run, tmp_path, page):
    adata, path, scores = run
    adata.write_h5ad(tmp_path / "run.h5ad")
    path.write_h5ad(tmp_path / "path.h5ad")
    scores.to_csv(tmp_path / "scores.csv", index=False)
    again = Page(
        ct.pl.report(
            ad.read_h5ad(tmp_path / "run.h5ad"),
            str(tmp_path / "run.html"),
            trajectories=ad.read_h5ad(tmp_path / "path.h5ad"),
            scores=pd.read_csv(tmp_path / "scores.csv"),
            **SILENT,
        )
    )
    assert again.motion == page.motion
    for section in ("fitted", "warnings", "scores", "convergence"):
        assert again.text(section) == page.text(section)


@pytest.mark.usefixtures("undrawn")
def test_more_cells_than_are_shown_are_told(run, tmp_path, monkeypatch):
    course = "celltraj.pl._report.course"
    monkeypatch.setattr(f"{course}._MOST_CELLS", 10)
    monkeypatch.setattr(f"{course}._MOST_STATES", 50)
    page = Page(ct.pl.report(run[0], tmp_path / "a.html", trajectories=run[1], **SILENT))
    assert (page.motion["n"], len(page.motion["times"])) == (10, 5)
    assert page.motion["times"][::4] == [0, 4]
    text = page.text("moving")
    assert "10 of 25 trajectories are shown" in text
    assert "5 of 9 times of the simulation are shown" in text
    assert f"10 of {run[0].n_obs} observed cells are shown" in text
