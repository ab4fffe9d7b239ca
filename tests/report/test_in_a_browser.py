"""The page in a real browser: Chromium, where there is one, driven by playwright."""

import shutil
from base64 import b64decode
from io import BytesIO

import anndata as ad
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import celltraj as ct

playwright = pytest.importorskip("playwright.sync_api")
NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason=f"none of {NAMES} is installed")
HOSTILE = "</script><b>"


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def opened(browser):
    """Return what opens a page; at the end, none has complained or asked for anything."""
    pages, told = [], []

    def open_page(file):
        page = browser.new_page(viewport={"width": 1200, "height": 800})
        pages.append(page)
        page.on("console", lambda message: told.append(message.text))
        page.on("pageerror", lambda error: told.append(str(error)))
        page.on("request", lambda request: told.append(request.url))
        page.goto(file.as_uri())
        page.wait_for_selector("#motion[data-ready=yes]", timeout=60_000)
        page.locator("#moving").scroll_into_view_if_needed()
        settle(page)
        return page

    yield open_page
    asked = [one for one in told if not one.startswith(("file:", "data:"))]
    for page in pages:
        page.close()
    assert asked == []


@pytest.fixture(scope="module")
def written(run, tmp_path_factory):
    adata, path, scores = run
    file = tmp_path_factory.mktemp("page") / "run.html"
    return ct.pl.report(adata, file, trajectories=path, scores=scores, progress=False)


def settle(page):
    """Wait until what was asked for is drawn."""
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => setTimeout(done, 50)))")


def scrub(page, time):
    page.locator("#time").evaluate(
        "(slider, time) => { slider.value = time; slider.dispatchEvent(new Event('input')); }", time
    )
    settle(page)


def seen(page):
    """Return the pixels of the canvas ``(height, width, 3)``, 0 to 255."""
    url = page.evaluate("document.getElementById('cells').toDataURL()")
    image = plt.imread(BytesIO(b64decode(url.partition(",")[2])))
    return np.rint(255 * image[..., :3]).astype(int)


def colored(page):
    """Return which pixels are neither white nor grey."""
    return np.ptp(seen(page), axis=2) > 40


def spot(page, point):
    """Return where ``point`` is on the screen, from the limits that the page was given."""
    box = page.locator("#cells").bounding_box()
    low, high = np.array(page.evaluate("motion.data.box")).reshape(2, 2)
    x, y = (np.asarray(point) - low) / (high - low)
    return box["x"] + x * box["width"], box["y"] + (1 - y) * box["height"]


def lonely(points):
    """Return the number of the point whose nearest other is farthest, and that distance."""
    away = np.linalg.norm(points[:, None] - points, axis=2) + np.diag(np.full(len(points), np.inf))
    return int(away.min(1).argmax())


def test_the_slider_moves_points(opened, written):
    page = opened(written)
    images = []
    for time in (0, 2, 2.1, 4):
        scrub(page, time)
        images.append(colored(page))
        assert page.locator("#now").text_content() == f"time (day) {time:.2f}"
    centres = [np.argwhere(image)[:, 1].mean() for image in images]
    assert centres[0] + 30 < centres[1] < centres[2] < centres[3] - 30  # to the right, as they grow
    assert (images[1] != images[2]).any()  # also between the times of the simulation


def test_the_pointer_names_the_cell_under_it(opened, written, run):
    adata, path, _ = run
    page = opened(written)
    states = np.asarray(path.X).reshape(9, 25, 2)
    for k, part in ((0, 0.0), (3, 0.0), (5, 0.5)):
        scrub(page, 0.5 * (k + part))
        points = states[k] if part == 0 else (1 - part) * states[k] + part * states[k + 1]
        i = lonely(points)
        page.mouse.move(*spot(page, points[i]))
        source = path.obs["source"].iloc[i]
        arm = adata.obs["arm"][source]
        assert page.locator("#hint").text_content() == f"{source}, trajectory {i}\narm: {arm}"
    page.mouse.move(2, 2)
    assert page.locator("#hint").is_hidden()


def test_a_click_tells_the_fates_of_a_cell(opened, written, run):
    adata, path, _ = run
    page = opened(written)
    points = np.asarray(path.X).reshape(9, 25, 2)[0]
    i = lonely(points)
    page.mouse.click(*spot(page, points[i]))
    settle(page)
    source = path.obs["source"].iloc[i]
    assert page.locator("#picked h3").text_content() == f"{source}, trajectory {i}"
    told = page.locator(".fates > span").all_text_contents()
    expected = ct.get.fates(adata).loc[source]
    for name, share in zip(told[::2], told[1::2], strict=True):
        assert abs(float(share.removesuffix(" %")) - 100 * expected[name]) <= 1
    assert len(page.locator("#way").get_attribute("points").split()) == 9
    page.mouse.click(*np.add(spot(page, np.array(page.evaluate("motion.data.box"))[[0, 3]]), 20))
    assert page.locator("#picked h3").count() == 0


def test_play_runs_through_the_course_and_stops(opened, written):
    page = opened(written)
    page.select_option("#speed", "2")
    page.click("#play")
    assert page.locator("#play").text_content() == "Pause"
    page.locator("#play", has_text="Play").wait_for(timeout=30_000)
    assert page.locator("#now").text_content() == "time (day) 4.00"
    assert page.evaluate("motion.nDrawn") > 10


def test_cells_are_coloured_by_an_annotation(opened, written, run):
    page = opened(written)
    names = page.locator("#color option").all_text_contents()
    assert names[0] == "arm"
    assert page.locator("#legend li").all_text_contents() == ["down", "up"]
    by_arm = seen(page)
    page.select_option("#color", label="depth")
    settle(page)
    assert page.locator("#legend li").count() == 0
    depth = run[0].obs["depth"]
    ends = page.locator("#legend .ends span").all_text_contents()
    assert ends == [f"{depth.min():.3g}", f"{depth.max():.3g}"]
    assert (seen(page) != by_arm).any()


def test_observed_cells_can_be_hidden(opened, written):
    page = opened(written)
    page.uncheck("#background")
    settle(page)
    image = seen(page)
    grey = (np.ptp(image, axis=2) == 0) & (image[..., 0] < 255)
    assert not grey.any()
    page.check("#background")
    settle(page)
    assert (seen(page) != image).any()


def test_the_wheel_enlarges_what_is_under_the_pointer(opened, written, run):
    page = opened(written)
    points = np.asarray(run[1].X).reshape(9, 25, 2)[0]
    i = lonely(points)
    page.mouse.move(*spot(page, points[i]))
    before = page.locator("#hint").text_content()
    whole = seen(page)
    page.mouse.wheel(0, -600)
    settle(page)
    assert (seen(page) != whole).any()
    page.mouse.move(*np.add(spot(page, points[i]), 1))
    assert page.locator("#hint").text_content() == before
    page.locator("#cells").dblclick()
    settle(page)
    assert (seen(page) == whole).all()


def test_snapshots_in_turn_show_the_cells_of_each_time(opened, run, tmp_path):
    adata = run[0]
    page = opened(ct.pl.report(adata, tmp_path / "a.html", key="couplings", progress=False))
    cells, times = np.asarray(adata.X), adata.obs["time"].to_numpy()
    for time in (0, 4):
        scrub(page, time)
        here = np.flatnonzero(times == time)
        i = here[lonely(cells[here])]
        page.mouse.move(*spot(page, cells[i]))
        assert page.locator("#hint").text_content().startswith(f"{adata.obs_names[i]}\n")
        columns = np.flatnonzero(colored(page).any(0))
        box = page.locator("#cells").bounding_box()
        left = [spot(page, cells[one])[0] - box["x"] for one in here]
        assert abs(columns.min() - min(left)) < 8
        assert abs(columns.max() - max(left)) < 8


def test_tables_sort_by_the_column_that_is_clicked(opened, written):
    page = opened(written)
    table = page.locator("table", has_text="Scores of every row")
    column = "tbody td:nth-child(3)"  # the mean
    table.locator("thead button", has_text="mean").click()
    values = [float(one) for one in table.locator(column).all_text_contents()]
    assert values == sorted(values)
    assert len(set(values)) == 6
    table.locator("thead button", has_text="mean").click()
    assert table.locator("th[aria-sort]").get_attribute("aria-sort") == "descending"
    values = [float(one) for one in table.locator(column).all_text_contents()]
    assert values == sorted(values, reverse=True)
    table.locator("thead button", has_text="method").click()
    names = table.locator("tbody td:nth-child(1)").all_text_contents()
    assert names == sorted(names)


def test_a_hostile_name_is_shown_as_it_is(opened, run, tmp_path):
    adata = run[0].copy()
    del adata.uns["celltraj"]
    adata.obs_names = [f"{HOSTILE}{name}" for name in adata.obs_names]
    adata.obs[HOSTILE] = pd.Categorical([f"{HOSTILE}{arm}" for arm in adata.obs["arm"]])
    ct.tl.couplings(adata, key_added="new", growth=None, progress=False)
    ct.tl.fates(adata, groupby=HOSTILE, key="new", key_added="new fates", progress=False)
    page = opened(ct.pl.report(adata, tmp_path / "a.html", title=HOSTILE, progress=False))
    assert page.title() == HOSTILE
    assert page.locator("b").count() == 0
    assert page.locator("#legend li").all_text_contents() == [f"{HOSTILE}down", f"{HOSTILE}up"]
    first = np.asarray(adata.X)[adata.obs["time"] == 0]
    page.mouse.click(*spot(page, first[lonely(first)]))
    assert page.locator("#picked h3").text_content().startswith(HOSTILE)
    assert page.locator(".fates > span").first.text_content() == f"{HOSTILE}down"


def many(n=50_000, n_times=21):
    """Return cells with every kind of annotation, and as many trajectories, at random."""
    rng = np.random.default_rng(0)
    obs = pd.DataFrame(index=["".join(one) for one in rng.choice([*"ACGT"], (n, 16))])
    obs["time"] = rng.integers(0, 5, n).astype(float)
    for k in range(4):
        obs[f"groups {k}"] = pd.Categorical(rng.integers(0, 20, n).astype(str))
        obs[f"score {k}"] = rng.normal(size=n)
    adata = ad.AnnData(rng.normal(size=(n, 2)).astype(np.float32), obs=obs)
    adata.obs_names_make_unique()
    steps = rng.normal(0, 0.1, (n_times, n, 2)).astype(np.float32)
    path = ad.AnnData(np.cumsum(steps, 0).reshape(-1, 2))
    path.obs["trajectory"] = np.tile(np.arange(n), n_times)
    path.obs["time"] = np.repeat(np.linspace(0, 4, n_times), n)
    path.obs["source"] = np.tile(adata.obs_names.to_numpy(), n_times)
    path.obs["mass"] = np.exp(np.cumsum(rng.normal(0, 0.1, (n_times, n)), 0)).ravel()
    return adata, path


@pytest.mark.slow
def test_fifty_thousand_cells_move_smoothly_and_take_8_mb(opened, run, tmp_path):
    adata, path = many()
    adata.uns["celltraj"] = {"couplings": dict(run[0].uns["celltraj"]["couplings"])}
    del adata.uns["celltraj"]["couplings"]["source"]  # of other cells
    file = tmp_path / "a.html"
    ct.pl.report(adata, file, trajectories=path, progress=False)
    assert file.stat().st_size < 8e6
    page = opened(file)
    assert page.evaluate("motion.data.n") == 50_000
    drawn = page.evaluate(
        """async () => {
          motion.play();
          await new Promise((done) => setTimeout(done, 1000)); // compiled by now
          const [n, began] = [motion.nDrawn, performance.now()];
          await new Promise((done) => setTimeout(done, 5000));
          return (1000 * (motion.nDrawn - n)) / (performance.now() - began);
        }"""
    )
    assert drawn >= 30
