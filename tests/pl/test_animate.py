"""Simulated cells move, one frame for each time."""

import anndata as ad
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from matplotlib.animation import FFMpegWriter, FuncAnimation, PillowWriter
from PIL import Image

import celltraj as ct


@pytest.fixture
def adata():
    return ct.datasets.branching(n_cells=20, seed=0)


@pytest.fixture
def path(adata):
    """Four trajectories at three times, ``x = trajectory + time`` and ``y = -time``."""
    labels, times = np.tile(np.arange(4), 3), np.repeat([0.0, 0.5, 1.0], 4)
    obs = pd.DataFrame({"trajectory": labels, "time": times}).rename(index=str)
    obs["source"] = adata.obs_names[labels].to_numpy()
    obs["extrapolated"] = times == 1
    return ad.AnnData(np.column_stack([labels + times, -times]).astype(np.float32), obs=obs)


@pytest.fixture
def figdir(tmp_path):
    before, sc.settings.figdir = sc.settings.figdir, tmp_path / "figures"
    yield tmp_path / "figures"
    sc.settings.figdir = before


def frames(adata, path, **options):
    """Return the dots, and what each frame shows of them."""
    animation = ct.pl.animate(adata, path, show=False, **options)
    assert isinstance(animation, FuncAnimation)
    dots = plt.gcf().axes[0].collections[1]
    found = []
    for k in animation.new_frame_seq():
        animation._func(k)
        state = dots.get_offsets().data, dots.get_sizes(), dots.get_facecolors()
        found.append((*state, dots.axes.get_title()))
    return found


def test_every_frame_shows_the_cells_of_its_time(adata, path):
    adata.uns["time_unit"] = "days"
    found = frames(adata, path)
    assert len(found) == 3
    for k, (offsets, sizes, _, title) in enumerate(found):
        np.testing.assert_allclose(offsets, path.X[4 * k : 4 * k + 4])
        assert len(set(sizes)) == 1
        assert title.startswith(f"time (days) {k / 2:.1f}")
    assert ["beyond the data" in frame[-1] for frame in found] == [False, False, True]


def test_nothing_leaves_the_axes(adata, path):
    path.X[:4] += 30
    frames(adata, path)
    ax = plt.gcf().axes[0]
    for points in (path.X, adata.X):
        assert (points >= [ax.get_xlim()[0], ax.get_ylim()[0]]).all()
        assert (points <= [ax.get_xlim()[1], ax.get_ylim()[1]]).all()


def test_dots_are_as_large_as_their_share_of_the_mass(adata, path):
    path.obs["mass"] = np.repeat([1.0, 2.0, 4.0], 4) * np.tile([1.0, 1.0, 1.0, 3.0], 3)
    for _, sizes, _, _ in frames(adata, path):
        np.testing.assert_allclose(sizes / sizes[0], [1, 1, 1, 3])


def test_colours_of_the_cell_that_it_starts_from_or_of_its_own(adata, path):
    adata.obs["kind"] = pd.Categorical(["a", "b"] * (adata.n_obs // 2) + ["a"] * (adata.n_obs % 2))
    adata.uns["kind_colors"] = ["#ff0000", "#0000ff"]
    shades = frames(adata, path, color="kind")[1][2]
    np.testing.assert_allclose(shades[:, [0, 2]], [[1, 0], [0, 1]] * 2)
    path.obs["leads_to"] = np.tile(list("uuvv"), 3)
    shades = frames(adata, path, color="leads_to")[2][2]
    assert len(np.unique(shades, axis=0)) == 2
    legend = plt.gcf().axes[0].get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["u", "v"]


def test_a_colour_bar_explains_numbers(adata, path, tmp_path):
    path.obs["score"] = np.arange(12.0)
    ct.pl.animate(adata, path, color="score", show=False, save=tmp_path / "cells.gif")
    cells, bar = plt.gcf().axes
    assert bar.get_ylabel() == "score"
    assert bar.get_position().x0 > cells.get_position().x1


def test_a_gif_has_as_many_frames_as_times(adata, path, tmp_path):
    file = tmp_path / "new" / "cells.gif"
    animation = ct.pl.animate(adata, path, fps=5, show=False, save=file)
    assert isinstance(animation, FuncAnimation)
    with Image.open(file) as gif:
        assert gif.n_frames == 3
        assert gif.info["duration"] == 200
    assert list(file.parent.iterdir()) == [file]


def test_backwards_frames_keep_their_order(adata, path):
    titles = [frame[-1] for frame in frames(adata, path[::-1].copy())]
    assert [title.split()[1].strip(",") for title in titles] == ["1.0", "0.5", "0.0"]


def test_a_failure_leaves_the_older_file_and_nothing_else(adata, path, tmp_path, monkeypatch):
    file = tmp_path / "cells.gif"
    file.write_text("older")

    def fail(self):
        (self.outfile).write_text("half")
        raise OSError("no space left")

    monkeypatch.setattr(PillowWriter, "finish", fail)
    with pytest.raises(OSError, match="no space"):
        ct.pl.animate(adata, path, show=False, save=file)
    assert file.read_text() == "older"
    assert list(tmp_path.iterdir()) == [file]


def test_without_ffmpeg_a_gif_is_advised(adata, path, tmp_path, monkeypatch):
    monkeypatch.setattr(FFMpegWriter, "isAvailable", classmethod(lambda cls: False))
    with pytest.raises(RuntimeError, match=r"write a .gif instead, with save=Path\('cells.gif'\)"):
        ct.pl.animate(adata, path, show=False, save=tmp_path / "cells.mp4")
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not FFMpegWriter.isAvailable(), reason="ffmpeg is not installed")
def test_an_mp4_is_written_where_there_is_ffmpeg(adata, path, tmp_path):
    ct.pl.animate(adata, path, show=False, save=tmp_path / "cells.mp4")
    assert (tmp_path / "cells.mp4").read_bytes()[4:8] == b"ftyp"


@pytest.mark.parametrize(
    ("save", "name"), [(True, "animate.gif"), ("_a", "animate_a.gif"), ("_b.gif", "animate_b.gif")]
)
def test_names_of_files_follow_scanpy(adata, path, figdir, save, name):
    with pytest.warns(FutureWarning, match=r"scanpy 1\.12 deprecates"):
        ct.pl.animate(adata, path, show=False, save=save)
    assert [f.name for f in figdir.iterdir()] == [name]


def test_grammar_of_scanpy(adata, path, monkeypatch):
    _, ax = plt.subplots()
    assert ct.pl.animate(adata, path, ax=ax, return_fig=True) is ax.figure
    shown = []
    monkeypatch.setattr(plt, "show", lambda: shown.append(True))
    assert ct.pl.animate(adata, path, show=True) is None
    assert shown


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e5])
def test_titles_tell_times_apart_in_any_unit(adata, path, scale):
    path.obs["time"] *= scale
    titles = [frame[-1].split(",")[0] for frame in frames(adata, path)]
    assert len(set(titles)) == 3


def test_what_is_refused(adata, path, tmp_path):
    for options, error, message in [
        ({"save": tmp_path / "cells.png"}, ValueError, "written as .gif or .mp4"),
        ({"save": "a/b.gif"}, ValueError, r"pass save=Path\('a/b.gif'\)"),
        ({"fps": 0}, ValueError, "fps must be above 0"),
        ({"color": "no"}, KeyError, "to colour by"),
        ({"components": (0, 5)}, ValueError, "components"),
    ]:
        with pytest.raises(error, match=message):
            ct.pl.animate(adata, path, show=False, **options)
    with pytest.raises(ValueError, match="basis="):
        ct.pl.animate(adata, path[:, :1].copy(), show=False)
    with pytest.raises(KeyError, match=r"ct\.tl\.simulate"):
        ct.pl.animate(adata, adata, show=False)
    with pytest.raises(KeyError, match="12 rows of path start from cells"):
        ct.pl.animate(adata[5:].copy(), path, color="arm", show=False)
