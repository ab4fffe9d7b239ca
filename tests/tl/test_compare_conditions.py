"""Conditions are compared over samples: exact p values, errors of the first kind, and files."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from heard import ours
from scipy.stats import binom, false_discovery_control, permutation_test, ttest_ind, ttest_rel

import celltraj as ct
from celltraj._errors import DataWarning
from celltraj._stats import mean_difference as difference_module
from celltraj._stats.mean_difference import mean_difference, paired_difference

KEYS = {"sample_key": "mouse", "condition_key": "diet"}
NAMES = ["CD4/CD8", "Mono."]
OPTIONS = {"confidence": 0.95, "n_permutations": 999}


def cells(diets, n_cells=5, seed=0):
    """Return cells of one mouse for each diet; cells of a mouse are nearly alike."""
    rng = np.random.default_rng(seed)
    mouse = np.repeat(np.arange(len(diets)), n_cells)
    share = 1 / (
        1 + np.exp(-rng.normal(size=len(diets))[mouse] - 0.1 * rng.normal(size=len(mouse)))
    )
    obs = pd.DataFrame(
        {
            "mouse": [f"m{k}" for k in mouse],
            "diet": np.array(diets, dtype=object)[mouse],
            "value": share,
            "ct_growth": 2 * share,
            "kind": np.where(rng.uniform(size=len(mouse)) < share, "T/NK", "B"),
            "time": np.tile(np.arange(n_cells) % 2, len(diets)).astype(float),
        },
        index=[f"c{k}" for k in range(len(mouse))],
    )
    adata = ad.AnnData(obs=obs)
    adata.obsm["ct_fates"] = np.column_stack([share, 1 - share]).astype("float32")
    names = np.array(NAMES, dtype=object)
    params = {"groupby": "kind", "time_key": "time"}
    adata.uns["celltraj"] = {"ct_fates": {"kind": "fates", "params": params, "names": names}}
    return adata


FOUR = ["fat"] * 4 + ["lean"] * 4


def found(adata, **options):
    ct.tl.compare_conditions(adata, **KEYS | options)
    return ct.get.conditions(adata)


class TestMeanDifference:
    def test_p_by_hand(self):
        # 1 2 | 4 7: of six ways to pick two, {1, 2} and {4, 7} part the means by 4, others by less
        rng = np.random.default_rng(0)
        x, y = np.array([[4.0], [7]]), np.array([[1.0], [2]])
        one = mean_difference(x, y, rng=rng, **OPTIONS)
        assert (one.effect[0], one.p[0], one.p_min) == (4.0, pytest.approx(2 / 6), 2 / 6)
        # 9 8 | 1 2 0 with unequal numbers: no other two of ten are as far from the rest
        one = mean_difference(
            np.array([[9.0, 2], [8, 8]]), np.array([[1.0, 1], [2, 5], [0, 9]]), rng=rng, **OPTIONS
        )
        # second quantity: 2 8 | 1 5 9, means 5 and 5: every way is as far
        assert one.p.tolist() == [0.1, 1.0]
        assert one.p_min == 0.1

    def test_paired_p_by_hand(self):
        # 1 2 -4: of eight signs, sums are 7 (2), 5 (2), 3 (2) and 1 (2)
        values = np.array([[1.0], [2], [-4]])
        one = paired_difference(values, 0 * values, rng=np.random.default_rng(0), **OPTIONS)
        assert one.p.tolist() == [1.0]
        one = paired_difference(abs(values), 0 * values, rng=np.random.default_rng(0), **OPTIONS)
        assert one.p.tolist() == [0.25]

    @pytest.mark.parametrize("confidence", [0.95, 0.5])
    def test_scipy_finds_the_same(self, confidence):
        rng = np.random.default_rng(0)
        x, y = rng.normal(size=(5, 4)), 3 * rng.normal(size=(6, 4))
        options = {"confidence": confidence, "n_permutations": 9, "rng": rng}
        one = mean_difference(x, y, **options)
        interval = ttest_ind(x, y, equal_var=False).confidence_interval(confidence)
        np.testing.assert_allclose([one.lower, one.upper], interval)
        exact = permutation_test(
            (x, y),
            lambda a, b, axis: np.abs(ttest_ind(a, b, axis=axis, equal_var=False).statistic),
            vectorized=True,
            alternative="greater",
        )
        np.testing.assert_allclose(one.p, exact.pvalue)
        one = paired_difference(x, y[:5], **options)
        interval = ttest_rel(x, y[:5]).confidence_interval(confidence)
        np.testing.assert_allclose([one.lower, one.upper], interval)

    @pytest.mark.parametrize("compare", [mean_difference, paired_difference])
    def test_drawn_ways_are_close_to_all_of_them(self, compare, monkeypatch):
        rng = np.random.default_rng(0)
        x, y = rng.normal(0.5, 1, size=(6, 5)), rng.normal(size=(6, 5))
        options = {"confidence": 0.95, "n_permutations": 20_000, "rng": rng}
        exact = compare(x, y, **options)
        monkeypatch.setattr(difference_module, "_MOST_EXACT", 0)
        monkeypatch.setattr(difference_module, "_BLOCK", 30_000)
        drawn = compare(x, y, **options)
        error = np.sqrt(exact.p * (1 - exact.p) / 20_000)
        assert (np.abs(drawn.p - exact.p) < 4 * error + 1e-4).all()
        assert drawn.p_min == 1 / 20_001

    def test_samples_that_do_not_differ_have_no_interval(self):
        rng = np.random.default_rng(0)
        for compare in (mean_difference, paired_difference):
            one = compare(np.zeros((3, 1)), np.zeros((3, 1)), rng=rng, **OPTIONS)
            assert (one.effect[0], one.p[0]) == (0, 1)
            assert np.isnan([one.lower, one.upper]).all()


def attained(p, p_min):
    """Return the largest distance between the law of p values that take steps and a uniform one."""
    steps = np.arange(1, round(1 / p_min) + 1) * p_min
    share = (p <= steps[:, None] + 1e-9).mean(1)
    return np.abs(share - steps).max()


@pytest.mark.parametrize(
    ("compare", "sizes"),
    [(mean_difference, (3, 3)), (mean_difference, (2, 6)), (paired_difference, (6, 6))],
)
def test_p_values_of_samples_of_one_law_are_uniform(compare, sizes):
    rng, k = np.random.default_rng(11), 2000
    law = rng.standard_t(3, size=(sum(sizes), k))  # of heavy tails: no p trusts the normal one
    found = compare(law[: sizes[0]], law[sizes[0] :], rng=rng, **OPTIONS)
    # Dvoretzky, Kiefer and Wolfowitz: 1 in 10,000
    assert attained(found.p, found.p_min) < np.sqrt(np.log(2e4) / 2 / k)


def test_samples_of_unlike_spread_are_told_by_their_own_error():
    rng, k = np.random.default_rng(12), 2000
    wide, narrow = 3 * rng.normal(size=(3, k)), rng.normal(size=(9, k))
    found = mean_difference(wide, narrow, rng=rng, **OPTIONS)
    # by the means alone .22 of them are; exact are none where few samples spread more than many
    assert 0.05 < np.mean(found.p <= 0.05) < 0.15


@pytest.mark.parametrize("is_paired", [False, True])
def test_errors_of_the_first_kind_are_as_rare_as_asked(is_paired):
    # cells of a sample are nearly alike: over cells nearly every cohort would be significant
    rng, repeats, level = np.random.default_rng(7), 200, 0.1
    rejected, covered = 0, 0
    for _ in range(repeats):
        adata = cells(FOUR, seed=int(rng.integers(2**31)))
        if is_paired:
            # seven pairs, with something of each mouse in both values
            adata = cells(["fat"] * 7 + ["lean"] * 7, seed=int(rng.integers(2**31)))
            who = np.array([int(name[1:]) % 7 for name in adata.obs["mouse"]])
            adata.obs["mouse"] = [f"m{k}" for k in who]
            adata.obs["value"] += rng.normal(size=7)[who]
        row = found(adata, of="value", confidence=1 - level).iloc[0]
        rejected += row["p"] <= level
        covered += row["lower"] < 0 < row["upper"]
    # p takes steps: of 70 ways 7 are at most 0.1, of 128 signs 12
    size = 12 / 128 if is_paired else 6 / 70
    low, high = binom.ppf([1e-3, 1 - 1e-3], repeats, size)
    assert low <= rejected <= high
    assert covered >= binom.ppf(1e-3, repeats, 1 - level)


def test_an_effect_is_found_and_signed():
    adata = cells(FOUR)
    adata.obs["value"] += 2.0 * (adata.obs["diet"] == "lean")
    row = found(adata, of="value").iloc[0]
    means = adata.obs.groupby(["mouse", "diet"])["value"].mean().groupby("diet").mean()
    assert row["effect"] == pytest.approx(means["lean"] - means["fat"])
    assert (row["condition"], row["baseline"], row["n"], row["n_baseline"]) == (
        "lean",
        "fat",
        4,
        4,
    )
    assert row["p"] == row["p_min"] == pytest.approx(2 / 70)
    assert row["lower"] > 0
    swapped = found(adata, of="value", baseline="lean").iloc[0]
    assert (swapped["effect"], swapped["lower"]) == pytest.approx((-row["effect"], -row["upper"]))


def test_a_sample_counts_once_however_many_cells_it_has():
    adata = cells(FOUR)
    many = np.repeat(np.arange(adata.n_obs), np.where(adata.obs["mouse"] == "m0", 9, 1))
    more = ad.AnnData(obs=adata.obs.iloc[many].reset_index(drop=True).rename(index=str))
    for key in ("value", "kind"):
        pd.testing.assert_frame_equal(found(more, of=key), found(adata, of=key))


def test_what_is_compared():
    adata = cells(FOUR)
    means = adata.obs.groupby("mouse").mean(numeric_only=True)
    fates = found(adata)
    assert fates["quantity"].tolist() == NAMES
    np.testing.assert_allclose(fates["effect"][0], -fates["effect"][1], rtol=1e-5)
    samples = ct.get.conditions(adata, samples=True)
    assert list(samples) == ["sample", "condition", "quantity", "value"]
    its = samples[samples["quantity"] == NAMES[0]].set_index("sample")["value"]
    np.testing.assert_allclose(its, means["value"][its.index], rtol=1e-6)
    growth = found(adata, of="growth")
    assert growth["quantity"].tolist() == ["growth"]
    np.testing.assert_allclose(growth["effect"], 2 * found(adata, of="value")["effect"])
    adata.obs["mine"] = adata.obs["ct_growth"]
    np.testing.assert_array_equal(found(adata, of="growth", key="mine"), growth)
    kinds = found(adata, of="kind")
    assert kinds["quantity"].tolist() == ["B", "T/NK"]
    shares = ct.get.conditions(adata, samples=True).pivot(
        index="sample", columns="quantity", values="value"
    )
    expected = pd.crosstab(adata.obs["mouse"], adata.obs["kind"], normalize="index")
    np.testing.assert_allclose(shares, expected)
    # of labels that are missing nothing is known
    adata.obs["kind"] = adata.obs["kind"].where(adata.obs["time"] == 0)
    few = found(adata, of="kind")
    at_zero = found(adata[adata.obs["time"] == 0].copy(), of="kind")
    pd.testing.assert_frame_equal(few, at_zero)


def test_the_key_of_a_result_is_taken_for_the_result():
    adata = cells(FOUR)
    expected = found(adata)
    pd.testing.assert_frame_equal(found(adata, of="ct_fates"), expected)
    assert adata.uns["celltraj"]["conditions"]["params"]["key"] == "ct_fates"
    # also where it is called as the kind is
    adata.obsm["fates"] = adata.obsm.pop("ct_fates")
    adata.uns["celltraj"]["fates"] = adata.uns["celltraj"].pop("ct_fates")
    pd.testing.assert_frame_equal(found(adata), expected)
    adata.obsm["ct_fates"] = 1 - adata.obsm["fates"]
    adata.uns["celltraj"]["ct_fates"] = adata.uns["celltraj"]["fates"]
    with pytest.raises(ValueError, match="of='fates' means 'ct_fates' or 'fates'; name one"):
        found(adata)
    pd.testing.assert_frame_equal(found(adata, key="fates"), expected)
    adata.obsm["X_pca"] = np.zeros((adata.n_obs, 2))
    with pytest.raises(KeyError, match=r"no fates .X_pca. in adata.uns.*ct.tl.fates"):
        found(adata, of="X_pca")


def test_cells_of_the_time_of_the_fates_are_left_out_and_this_is_said(caplog):
    adata = cells(FOUR)
    expected = found(adata, time=0)
    adata.uns["celltraj"]["ct_fates"]["params"]["at"] = 1.0
    with caplog.at_level("INFO", "celltraj"):
        pd.testing.assert_frame_equal(found(adata), expected)
    n = int((adata.obs["time"] == 1).sum())
    assert f"{n} cells of time 1, at which 'ct_fates' were read, are left out" in caplog.text
    caplog.clear()
    both = found(adata, time=[0, 1])
    assert not both.equals(expected)
    assert "left out" not in caplog.text
    # of other quantities nothing is left out
    alone = found(adata, of="value")
    pd.testing.assert_frame_equal(alone, found(adata, of="value", time=[0, 1]))


def test_only_the_asked_times():
    adata = cells(FOUR)
    expected = found(adata[adata.obs["time"] == 1].copy(), of="value")
    pd.testing.assert_frame_equal(found(adata, of="value", time=1), expected)
    adata.obs = adata.obs.rename(columns={"time": "day"})
    adata.uns["celltraj"]["ct_fates"]["params"]["time_key"] = "day"
    # nothing is recorded of a column of obs: what all results share
    pd.testing.assert_frame_equal(found(adata, of="value", time=1), expected)
    found(adata, time=[1])
    assert adata.uns["celltraj"]["conditions"]["params"]["time_key"] == "day"
    # fates end somewhere
    adata.obsm["ct_fates"][adata.obs["day"] == 1] = np.nan
    early = found(adata)
    pd.testing.assert_frame_equal(early, found(adata, time=0))


def test_three_conditions_and_q():
    adata = cells([*FOUR, "sham", "sham", "sham", "sham"])
    table = found(adata, baseline="sham")
    assert table["quantity"].tolist() == [NAMES[0]] * 2 + [NAMES[1]] * 2
    assert table["condition"].tolist() == ["fat", "lean"] * 2
    np.testing.assert_allclose(table["q"], false_discovery_control(table["p"]))
    # each is compared as if it stood with the baseline alone
    two = adata[adata.obs["diet"] != "fat"].copy()
    columns = ["effect", "lower", "upper", "p"]
    alone = found(two, baseline="sham")[columns]
    np.testing.assert_allclose(table.loc[table["condition"] == "lean", columns], alone)


def test_pairs_of_patients():
    adata = cells(["fat"] * 6 + ["lean"] * 6)
    adata.obs["mouse"] = [f"m{int(name[1:]) % 6}" for name in adata.obs["mouse"]]
    row = found(adata, of="value").iloc[0]
    assert adata.uns["celltraj"]["conditions"]["params"]["paired"]
    means = adata.obs.groupby(["diet", "mouse"])["value"].mean()
    test = ttest_rel(means["lean"], means["fat"])
    assert (row["lower"], row["upper"]) == pytest.approx(tuple(test.confidence_interval()))
    assert row["p_min"] == 2 / 64
    assert (row["n"], row["n_baseline"]) == (6, 6)
    # a patient without one of the two
    gone = adata[~((adata.obs["mouse"] == "m3") & (adata.obs["diet"] == "lean"))].copy()
    with pytest.raises(ValueError, match=r"in several \['m0', .*in one alone \['m3'\]"):
        found(gone, of="value")


@pytest.mark.parametrize("store", ["h5ad", "zarr"])
@pytest.mark.filterwarnings("ignore:Writing zarr v2 data:UserWarning")
def test_round_trip(tmp_path, store):
    adata = cells(["HFD 45/60", "chow"] * 4)
    table = found(adata, time=0)
    samples = ct.get.conditions(adata, samples=True)
    file = tmp_path / f"cells.{store}"
    getattr(adata, f"write_{store}")(file)
    again = getattr(ad, f"read_{store}")(file)
    pd.testing.assert_frame_equal(ct.get.conditions(again), table)
    pd.testing.assert_frame_equal(ct.get.conditions(again, samples=True), samples)
    params = again.uns["celltraj"]["conditions"]["params"]
    assert not params["paired"]
    assert params["baseline"] == "HFD 45/60"


def test_seed_and_state():
    adata = cells(["fat", "lean"] * 9)  # 48,620 ways
    state = np.random.get_state()[1].copy()
    a, b, c = (found(adata, of="value", n_permutations=500, seed=seed)["p"] for seed in (0, 0, 1))
    assert a.equals(b)
    assert not a.equals(c)
    np.testing.assert_array_equal(np.random.get_state()[1], state)


def test_few_samples_are_pointed_to():
    adata = cells(["fat"] * 3 + ["lean"] * 3)
    with pytest.warns(DataWarning, match=r"no p can be below 0.1 \(see p_min\)") as said:
        ct.tl.compare_conditions(adata, of="value", **KEYS)
    assert ours(said)[0].filename == __file__
    assert ct.get.conditions(adata)["p_min"].tolist() == [0.1]


def test_infinite_growth_is_left_out():
    adata = cells(FOUR)
    adata.obs.loc["c0", "ct_growth"] = -np.inf
    with pytest.warns(DataWarning, match="1 cells have infinite values") as said:
        ct.tl.compare_conditions(adata, of="growth", **KEYS)
    assert ours(said)[0].filename == __file__
    pd.testing.assert_frame_equal(ct.get.conditions(adata), found(adata[1:].copy(), of="growth"))


def test_errors():
    adata = cells(FOUR)
    with pytest.raises(KeyError, match=r"no adata.uns|Run ct.tl.compare_conditions"):
        ct.get.conditions(adata)
    for options, error, match in [
        ({"of": "age"}, KeyError, "of='age' is neither 'fates' nor 'growth', nor fates"),
        ({"of": "value", "key": "x"}, ValueError, "leave key= out"),
        ({"key": "x"}, KeyError, r"no fates in adata.obsm\['x'\].*ct.tl.fates"),
        ({"of": "growth", "key": "x"}, KeyError, r"no growth in adata.obs\['x'\].*ct.tl.growth"),
        ({"baseline": "chow"}, ValueError, r"no baseline='chow'.*\['fat', 'lean'\]"),
        ({"time": 9}, ValueError, r"no cells at time \[9.0\]"),
        ({"sample_key": "rat"}, KeyError, r"adata.obs\['rat'\]"),
        ({"confidence": 95}, ValueError, "confidence must be in"),
        ({"n_permutations": 0}, ValueError, "n_permutations be at least 1"),
        ({"key_added": "a/b"}, ValueError, "holds '/'"),
    ]:
        with pytest.raises(error, match=match):
            found(adata, **options)
    assert set(adata.uns["celltraj"]) == {"ct_fates"}
    with pytest.raises(ValueError, match=r"at least two samples per condition.*'lean': 1"):
        found(cells(["fat", "fat", "fat", "lean"]))
    with pytest.raises(ValueError, match=r"two conditions or more are needed; found \['fat'\]"):
        found(cells(["fat"] * 4))
    adata.obs["diet"] = adata.obs["diet"].where(adata.obs["time"] > 0)
    with pytest.raises(ValueError, match="no cell there has a value, a sample"):
        found(adata, time=0)
