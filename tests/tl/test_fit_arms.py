"""Courses under several conditions: laws that are shared, bridges, files, and what is refused."""

import json
import warnings
from dataclasses import replace
from functools import partial

import anndata as ad
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch

import celltraj as ct
from celltraj._anndata.named_cells import NamedCells
from celltraj.models.arms.courses import ArmCourses
from celltraj.models.arms.fit import ArmSettings
from celltraj.models.arms.fit import fit_arms as core_fit
from celltraj.models.arms.unpack import unpack_arms
from celltraj.snapshots import Snapshots

SILENT = {"progress": False}
FIT = partial(ct.tl.fit_arms, condition_key="drug", growth=None, training=None, **SILENT)


def turning(speeds, *, times=(0.0, 1.0, 2.0), n=40, seed=0):
    """Return cells that turn around the origin, each condition at its speed."""
    rng = np.random.default_rng(seed)
    rows, states = [], []
    for name, speed in speeds.items():
        for t in times:
            x = [2.0, 0.0] + 0.3 * rng.normal(size=(n, 2))
            c, s = np.cos(speed * t), np.sin(speed * t)
            states.append(x @ np.array([[c, s], [-s, c]]))
            rows += [(name, f"day {t:g}", speed)] * n
    obs = pd.DataFrame(rows, columns=["drug", "time", "speed"])
    obs.index = [f"c{k}" for k in range(len(obs))]
    return ad.AnnData(np.concatenate(states).astype("float32"), obs=obs)


SPEEDS = {"none": 0.3, "low": 0.6, "high": 0.9, "late": 0.6}


@pytest.fixture(scope="module")
def fitted():
    """Return a study of which one condition was seen once and one has few cells at a time."""
    adata = turning(SPEEDS)
    is_late, at = adata.obs["drug"] == "late", adata.obs["time"]
    few = (adata.obs["drug"] == "low") & (at == "day 2") & (np.arange(len(at)) % 8 > 0)
    adata = adata[~(is_late & (at != "day 0")) & ~few].copy()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        arms = FIT(adata, covariate_keys="speed")
    return adata, arms, [str(one.message) for one in caught]


def test_each_condition_has_its_bridge_and_one_seen_once_its_law(fitted):
    _, arms, _ = fitted
    assert list(arms) == sorted(SPEEDS)
    assert set(arms.bridges) == {"none", "low", "high"}
    assert all(isinstance(arms[name], ct.models.Bridge) for name in arms.bridges)
    assert arms["late"] is arms.law("late")
    assert arms["high"].reference is arms.law("high")
    assert arms["low"].representation.name == "X"
    x = torch.tensor([[2.0, 0.0]]).double()
    speeds = [float(arms.law(name).drift(0.0, x)[0, 1]) / 2 for name in ("none", "late", "high")]
    assert speeds[0] < speeds[1] < speeds[2]
    # neighbours of the same dose tell it, by curves of gaps that are 34 degrees wide
    assert speeds[1] == pytest.approx(0.6, abs=0.15)
    with pytest.raises(KeyError, match="no condition 'other'"):
        arms["other"]


def test_what_is_odd_is_said(fitted):
    said = "\n".join(fitted[2])
    assert "fewer than 10 cells of a condition at a time: 5 of 'low' at 2" in said
    assert "conditions ['late'] were seen at one time" in said


def test_what_is_written_comes_back_from_a_file(fitted, tmp_path):
    adata, arms, _ = fitted
    assert adata.obsm["arms_velocity"].shape == adata.shape
    adata.write_h5ad(tmp_path / "a.h5ad")
    again = ad.read_h5ad(tmp_path / "a.h5ad")
    table = ct.get.arms(again)
    pd.testing.assert_frame_equal(table, ct.get.arms(adata))
    assert len(table) == 10
    assert table["miss"].isna().sum() == 4  # of the last time of each condition
    tried = ct.get.arms(again, candidates=True)
    pd.testing.assert_frame_equal(tried, ct.get.arms(adata, candidates=True))
    by_both = tried.set_index(["similarity", "own"])["miss"]
    assert by_both[arms.similarity, arms.own] == arms.miss
    assert dict(by_both[arms.similarity]) == dict(arms.candidates)
    assert again.uns["celltraj"]["arms"]["params"]["law"] == arms.in_words


def test_saved_arms_are_the_same(fitted, tmp_path):
    _, arms, _ = fitted
    arms.save(tmp_path)
    again = ct.load(tmp_path)
    x = torch.randn(5, 2, generator=torch.Generator().manual_seed(0)).double()
    for name in arms:
        for t in (0.5, 9.0):
            assert torch.equal(again[name].drift(t, x), arms[name].drift(t, x))
    assert (again.own, again.candidates, again.seen) == (arms.own, arms.candidates, arms.seen)
    between = {"speed": 0.75}
    found, told = (one.law(covariates=between).drift(0.0, x) for one in (again, arms))
    assert torch.equal(found, told)
    assert again.likeness.kind == arms.likeness.kind
    assert again.compared == arms.compared


def test_every_similarity_that_was_compared_is_told(fitted):
    _, arms, _ = fitted
    tried = arms.tried
    assert tried.groupby("similarity")["own"].apply(list).to_dict() == {
        kind: [own for own, _ in arms.candidates] for kind in ("linear", "smooth")
    }
    shared = tried[tried["own"] == 0]["miss"]
    assert shared.nunique() == 1  # one law for all, whatever they are like
    assert tried["miss"].min() <= arms.miss
    assert tried["miss"].notna().all()


def test_what_was_kept_before_all_were_compared_still_reads(fitted):
    adata, arms, _ = fitted
    content = arms.pack()
    facts = {name: fact for name, fact in content.facts.items() if name != "compared"}
    again = unpack_arms(replace(content, facts=json.loads(json.dumps(facts))), {})
    assert again.compared == ()
    assert again.tried["own"].tolist() == [own for own, _ in arms.candidates]
    assert set(again.tried["similarity"]) == {arms.similarity}
    adata = adata.copy()
    record = adata.uns["celltraj"]["arms"]
    is_its = record["candidates"]["similarity"] == arms.similarity
    record["candidates"] = record["candidates"][is_its][["own", "miss"]]
    del record["params"]["similarity"]
    tried = ct.get.arms(adata, candidates=True)
    assert tuple(map(tuple, tried.to_numpy())) == arms.candidates
    assert len(ct.pl.arms(adata, show=False).collections) == 2
    plt.close()


def test_lines_of_all_similarities_are_drawn(fitted):
    adata, arms, _ = fitted
    ax = ct.pl.arms(adata, show=False)
    by_both = arms.tried.set_index(["similarity", "own"])["miss"]
    other = {"linear": "smooth", "smooth": "linear"}[arms.similarity]
    _, own, beside = ax.lines[:3]
    assert (own.get_label(), beside.get_label()) == (arms.similarity, other)
    np.testing.assert_allclose(own.get_ydata(), by_both[arms.similarity])
    np.testing.assert_allclose(beside.get_ydata(), by_both[other])
    plt.close()


def test_a_condition_is_known_by_its_covariates_alone(fitted):
    adata, arms, _ = fitted
    new = arms.law(covariates={"speed": 0.75})
    start = adata[(adata.obs["drug"] == "high") & (adata.obs["time"] == "day 0")].copy()
    path = ct.tl.simulate(start, new, start="day 0", stop=1.0, n_times=2, **SILENT)
    end, begin = path.X[path.obs["time"] == 1.0].mean(0), start.X.mean(0)
    turned = np.arctan2(end[1], end[0]) - np.arctan2(begin[1], begin[0])
    assert turned == pytest.approx(0.75, abs=0.15)
    x = torch.tensor([[2.0, 0.0]]).double()
    same = arms.law(covariates={"speed": 0.6}).drift(0.0, x)
    torch.testing.assert_close(same, arms.law("low").drift(0.0, x), rtol=1e-6, atol=1e-8)
    with pytest.warns(ct.FitWarning, match="'speed' is 5, and conditions from 0.3 to 0.9 were"):
        arms.law(covariates={"speed": 5.0})


def test_what_tells_no_law_is_refused(fitted):
    _, arms, _ = fitted
    with pytest.raises(ValueError, match=r"a value of each of \['speed'\].*found \['dose'\]"):
        arms.law(covariates={"dose": 0.5})
    with pytest.raises(TypeError, match="the name of a condition, or covariates= of a new one"):
        arms.law("low", covariates={"speed": 0.5})
    with pytest.raises(TypeError, match="the name of a condition, or covariates= of a new one"):
        arms.law()
    with pytest.raises(ValueError, match=r"by their names alone.*covariate_keys="):
        replace(arms, likeness=None).law(covariates={"speed": 0.5})


def test_a_forecast_goes_on_by_the_law_of_the_condition(fitted):
    adata, arms, _ = fitted
    late = adata[adata.obs["drug"] == "late"].copy()
    path = ct.tl.simulate(late, arms["late"], start="day 0", stop=1.0, n_times=2, **SILENT)
    end = path.X[path.obs["time"] == 1.0].mean(0)
    start = late.X.mean(0)
    turned = np.arctan2(end[1], end[0]) - np.arctan2(start[1], start[0])
    assert turned == pytest.approx(0.6, abs=0.15)


def test_combinations_that_are_missing_are_foretold_better_than_without_a_model():
    """Prey and predator, whose prey grows faster by dose."""
    rng = np.random.default_rng(0)
    rows, states = [], []
    for name, growth in {"a": 0.7, "b": 0.9, "c": 1.1, "d": 1.3}.items():
        for t in (0.0, 1.0, 2.0, 3.0):
            x = [5.0, 4.0] + 0.3 * rng.normal(size=(40, 2))
            for _ in range(round(50 * t)):
                prey, predator = x.T
                meet = prey * predator
                drift = np.column_stack([growth * prey - 0.4 * meet, 0.1 * meet - 0.4 * predator])
                x = x + 0.02 * drift + 0.1 * 0.02**0.5 * rng.normal(size=x.shape)
            states.append(x)
            rows += [(name, t)] * len(x)
    obs = pd.DataFrame(rows, columns=["drug", "time"], index=[f"c{k}" for k in range(len(rows))])
    adata = ad.AnnData(np.concatenate(states).astype("float32"), obs=obs)
    held = ((1.0, "b"), (2.0, "c"), (3.0, "a"), (2.0, "d"))
    scores = ct.tl.cross_validate_arms(
        adata, condition_key="drug", hold_out=[held], fit=partial(FIT), **SILENT
    )
    w1 = scores[scores["metric"] == "W1"].pivot_table(
        index=["condition", "held_out"], columns="method", values="value"
    )
    assert len(w1) == 4
    excess = w1.mean() - w1["floor"].mean()
    for row in ("straight line", "shift of others", "pooled", "previous"):
        assert excess["arms"] < 0.5 * excess[row], row
    summary = ct.get.score_summary(scores)
    assert set(summary["method"]) == set(w1.columns)
    assert (summary["n_held_out"] == 4).all()  # conditions


def test_the_order_of_conditions_plays_no_part():
    g = torch.Generator().manual_seed(0)
    x = torch.randn(12, 1, generator=g)
    courses = {name: Snapshots((0.0, 1.0), (x, x + v)) for name, v in (("a", 1.0), ("b", 1.5))}
    settings = ArmSettings(growth=None)
    one, other = (
        core_fit(ArmCourses(given), settings)
        for given in (courses, dict(reversed(courses.items())))
    )
    at = torch.linspace(-2, 4, 5)[:, None].double()
    for name in courses:
        assert torch.equal(one[name].drift(0.5, at), other[name].drift(0.5, at))


class TestRefused:
    @pytest.fixture
    def adata(self):
        return turning({"none": 0.3, "low": 0.6}, n=6)

    def test_conditions(self, adata):
        once = adata[adata.obs["drug"] == "low"].copy()
        with pytest.raises(ValueError, match=r"two conditions or more.*ct.tl.fit_bridge"):
            FIT(once)
        first = adata[adata.obs["time"] == "day 0"].copy()
        with pytest.raises(ValueError, match=r"none of the conditions .* seen at two times"):
            FIT(first)
        adata.obs.loc["c3", "drug"] = None
        with pytest.raises(ValueError, match=r"1 cells have no condition .*'c3'"):
            FIT(adata)

    def test_covariates(self, adata):
        adata.obs["dose"] = np.arange(adata.n_obs, dtype=float)
        with pytest.raises(ValueError, match=r"varies within the conditions \['low', 'none'\]"):
            FIT(adata, covariate_keys=["dose"])
        adata.obs.loc["c0", "dose"] = np.nan
        with pytest.raises(ValueError, match="missing for 1 cells"):
            FIT(adata, covariate_keys=["dose"])
        with pytest.raises(KeyError, match="no covariates in"):
            FIT(adata, covariate_keys=["none"])

    @pytest.mark.filterwarnings("ignore:fewer than 10 cells")
    def test_one_checkpoint_for_all(self, adata, tmp_path):
        trainer = ct.models.TrainerOptions(checkpoint=tmp_path / "a.pt")
        training = ct.models.Training(max_steps=2, trainer=trainer)
        with pytest.raises(ValueError, match="each condition has its own"):
            FIT(adata, training=training)

    @pytest.mark.parametrize(
        ("hold_out", "message"),
        [
            ([], "hold_out is empty"),
            ([("day 1", "other")], r"no cell of 'other' at 1 .* conditions are \['low', 'none'\]"),
            ([(7.0, "low")], r"no cell of 'low' at 7 .* its times are \[0.0, 1.0, 2.0\]"),
            ([("day 0", "low")], "from an earlier snapshot of this condition"),
            ([(("day 0", "low"), ("day 1", "low"))], "from an earlier snapshot"),
        ],
    )
    def test_what_cannot_be_held_out(self, adata, hold_out, message):
        held = partial(ct.tl.cross_validate_arms, adata, condition_key="drug", fit={}, **SILENT)
        with pytest.raises(ValueError, match=message):
            held(hold_out=hold_out)
        with pytest.raises(TypeError):
            held(hold_out=["day 1"])


NUMBERS = {"up": {"day 0": 20, "day 1": 30, "day 2": 60}, "down": {"day 0": 40, "day 2": 10}}


def counted():
    """Return one condition that grows threefold, one of which a quarter is left, one seen once."""
    rng = np.random.default_rng(0)
    numbers = NUMBERS | {"once": {"day 1": 20}}
    rows = [(name, day) for name, of in numbers.items() for day, n in of.items() for _ in range(n)]
    obs = pd.DataFrame(rows, columns=["drug", "time"])
    obs.index = [f"c{k}" for k in range(len(obs))]
    days = obs["time"].str[-1].astype(float).to_numpy()
    x = 0.3 * rng.normal(size=(len(obs), 2)) + days[:, None]
    return ad.AnnData(x.astype("float32"), obs=obs)


@pytest.fixture(scope="module")
def grown():
    adata = counted()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        arms = FIT(adata, counts="population")
    return adata, arms


class TestCounts:
    def test_populations_grow_as_was_declared(self, grown):
        adata, arms = grown
        for name, of in NUMBERS.items():
            numbers = list(of.values())
            assert arms[name].snapshots.sizes == pytest.approx(np.divide(numbers, numbers[0]))
            first = adata[(adata.obs["drug"] == name) & (adata.obs["time"] == "day 0")].copy()
            coarse = {"n_times": 3, "ode_solver": ct.models.Midpoint(n_steps=5)}
            path = ct.tl.simulate(first, arms[name], start=0.0, stop=2.0, **coarse, **SILENT)
            mass = path.obs.groupby("time")["mass"].sum()
            assert mass[2.0] / mass[0.0] == pytest.approx(numbers[-1] / numbers[0], rel=1e-6)

    def test_each_condition_is_a_bridge_with_these_counts(self, grown):
        adata, arms = grown
        alone = adata[adata.obs["drug"] == "up"].copy()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            bridge = ct.tl.fit_bridge(
                alone,
                reference=arms.law("up"),
                options=ct.models.BridgeOptions(refinement=ct.models.Refinement(max_rounds=0)),
                growth=None,
                counts="population",
                training=None,
                **SILENT,
            )
        x = torch.tensor([[0.5, 0.5], [1.0, 1.5]]).double()
        for t in (0.5, 1.5):
            torch.testing.assert_close(bridge.growth(t, x), arms["up"].growth(t, x))

    def test_what_was_declared_comes_back_from_files(self, grown, tmp_path):
        adata, arms = grown
        adata.write_h5ad(tmp_path / "a.h5ad")
        params = ad.read_h5ad(tmp_path / "a.h5ad").uns["celltraj"]["arms"]["params"]
        assert params["counts"] == "population"
        arms.save(tmp_path)
        again = ct.load(tmp_path)
        x = torch.tensor([[0.5, 0.5]]).double()
        for name in NUMBERS:
            assert again[name].snapshots.sizes == arms[name].snapshots.sizes
            assert torch.equal(again[name].growth(0.5, x), arms[name].growth(0.5, x))

    @pytest.mark.parametrize("way", ["dict", "size", "value_counts", "column"])
    def test_every_way_to_say_it_says_the_same(self, way):
        adata = counted()
        by_both = adata.obs.groupby(["drug", "time"]).size()
        of_cell = [100 / by_both[drug, day] for drug, day in adata.obs[["drug", "time"]].to_numpy()]
        adata.obs["seen"] = np.multiply(of_cell, adata.obs["time"].map({"day 0": 1}).fillna(3))
        given = {
            "dict": NUMBERS,
            "size": 7 * by_both,
            "value_counts": adata.obs[["time", "drug"]].value_counts(),
            "column": "seen",
        }[way]
        cells = NamedCells.of(adata, "condition", "drug", time_key="time", use_rep=None)
        sizes = cells.counted(adata, given, time_key="time").sizes
        if way == "column":
            assert sizes["up"] == pytest.approx([1, 3, 3])
            assert sizes["down"] == pytest.approx([1, 3])
        else:
            assert sizes == {"up": (1, 1.5, 3), "down": (1, 0.25), "once": (1,)}

    def test_a_column_weighs_cells_within_a_condition_and_a_time(self):
        adata = counted()
        adata.obs["seen"] = np.arange(1.0, adata.n_obs + 1)
        cells = NamedCells.of(adata, "condition", "drug", time_key="time", use_rep=None)
        snapshots = cells.counted(adata, "seen", time_key="time").snapshots("down")
        rows = (adata.obs["drug"] == "down") & (adata.obs["time"] == "day 2")
        seen = adata.obs["seen"][rows].to_numpy()
        np.testing.assert_allclose(snapshots.weights[1], seen / seen.sum())
        first = adata.obs["seen"][(adata.obs["drug"] == "down") & (adata.obs["time"] == "day 0")]
        assert snapshots.sizes[1] == pytest.approx(seen.sum() / first.sum())

    @pytest.mark.parametrize(
        ("counts", "message"),
        [
            ("cells", r"^counts must be one of .*found 'cells'"),
            ({"up": NUMBERS["up"]}, r"nothing for \['down'\]; give sizes by condition and time"),
            (
                {"day 0": 1.0, "day 2": 2.0},
                r"nothing for \['down', 'up'\] and \['day 0', 'day 2'\]",
            ),
            (NUMBERS | {"other": {0: 1.0}}, r"\['other'\], of which there are no cells"),
            (
                NUMBERS | {"down": {0: 1.0, 1: 1.0, 2: 1.0}},
                r"'down': .*sizes for \[1.0\], at which",
            ),
            (NUMBERS | {"up": {0: 1.0, 2: 3.0}}, r"'up': .*no size for the times \[1.0\]"),
            (
                NUMBERS | {"up": [1.0, -2.0, 3.0]},
                "condition 'up': counts must hold a positive size",
            ),
            (NUMBERS | {"up": {0: 1.0, 1: 2.0, "day 9": 1.0}}, "condition 'up': .*'day 9'"),
            ("seen", r"condition 'down': adata.obs\['seen'\] is zero for all cells at time 2"),
        ],
    )
    def test_what_cannot_be_used_is_named(self, counts, message):
        adata = counted()
        is_last = (adata.obs["drug"] == "down") & (adata.obs["time"] == "day 2")
        adata.obs["seen"] = np.where(is_last, 0.0, 1.0)
        with pytest.raises(ValueError, match=message):
            FIT(adata, counts=counts)

    def test_what_is_no_numbers_is_refused(self):
        with pytest.raises(TypeError, match="counts must be"):
            FIT(counted(), counts=[1.0, 2.0, 3.0])
        with pytest.raises(TypeError, match="condition 'up': counts must be a text, a dict or"):
            FIT(counted(), counts=NUMBERS | {"up": 3.0})

    @pytest.mark.slow
    @pytest.mark.filterwarnings("ignore::celltraj.FitWarning")
    def test_combinations_are_left_out_with_their_numbers(self):
        adata = counted()
        adata.obs["seen"] = 2.0
        by_way = {name: partial(FIT, counts=name) for name in ("population", "seen")}
        scores = ct.tl.cross_validate_arms(
            adata, condition_key="drug", hold_out=[("day 1", "up")], fit=by_way, **SILENT
        )
        found = scores[scores["metric"] == "W1"].set_index("method")["value"]
        assert found["population"] == pytest.approx(found["seen"])
        assert found["seen"] < found["previous"]
