"""The benchmark of responses runs on small data, and its peers are what they claim to be."""

import json
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch

import celltraj as ct
from benchmarks import peers_response as peers
from benchmarks import response, response_held_out, response_tasks
from benchmarks.response_held_out import SCREEN, Screen
from celltraj._anndata import ResponseKeys, read_samples
from celltraj.models import Condition, Group, Populations, Training, Treated
from celltraj.models.evaluation import OTHER_EMBEDDING, OTHER_NEIGHBOURHOOD

TINY = peers.PeerTraining(max_steps=2, n_populations=2, n_points=8, n_neighbours=3, width=8)
SHORT = Training(max_steps=2, batch_size=8, width=8)


def small_interacting(n_populations=5):
    return response_tasks.interacting_task(n_populations=n_populations, n_cells=20)


@pytest.fixture(scope="module")
def letters():
    return response_tasks.letters_task(n_cells=20, n_rotations=2, letters="AXY")


@pytest.fixture
def quick_default(monkeypatch):
    """The default without its kernels, which take most of the time of a prediction."""
    default = response_tasks.FLOWS["default"]
    simple = replace(default, n_kernels=0, n_populations=2, n_context=8)
    monkeypatch.setitem(response_tasks.FLOWS, "default", simple)
    fit = partial(response_tasks.fit_ours, simple)
    monkeypatch.setitem(response_tasks.METHODS, "default", fit)


def test_the_table_of_the_letters_has_every_row(letters, quick_default):
    told = ["peer_alternating", "pooled_graph", "default"]
    methods = ["peer_no_phi", *told]
    records = response.letters(letters, methods, TINY, 0, minutes=0.0)
    table = response.over_no_change(records)
    told, fitted = ([*names, "default, 0 minutes"] for names in (told, methods))
    assert set(table.index) == {"no_change", "floor", *fitted, *(n + OTHER_EMBEDDING for n in told)}
    assert (records.groupby("method")["population"].nunique() == 2).all()
    assert table.loc["no_change", "ratio"] == 1
    assert (table.loc[fitted, "ms_per_step"] > 0).all()
    assert table.loc[["no_change", "floor"], "cpu_s"].isna().all()
    intervals = table[["lost_embedding_low", "lost_embedding_high"]]
    assert intervals.loc[told].notna().all(None)
    assert intervals.drop(told).isna().all(None)
    assert table[["lost_neighbourhood_low", "lost_neighbourhood_high"]].isna().all(None)


def test_fresh_letters_are_another_draw_of_the_same_populations():
    sharp = response_tasks.letters_task(n_cells=10_000, n_rotations=3, letters="Y").after
    angles = {name: float(name.removeprefix("Y at ")) for name in sharp}
    for name, cells in response_tasks.fresh_letters(sharp, angles, 0).items():
        assert not set(map(tuple, cells)) & set(map(tuple, sharp[name]))
        # the centroid of a Y is not the centre that it turns about; five standard errors
        error = 5 * np.sqrt(2 * cells.var(0).sum() / len(cells))
        assert np.linalg.norm(cells.mean(0) - sharp[name].mean(0)) < error
        assert np.linalg.norm(cells.mean(0)) > 2 * error


def test_only_the_floor_of_the_letters_depends_on_the_seed(letters):
    first, second = letters.trivial(0), letters.trivial(1)
    assert first["no_change"] == second["no_change"]
    assert first["floor"] != second["floor"]


def test_the_table_of_interacting_populations_has_every_row():
    records = response.scores(
        small_interacting(), ["peer_joint", "no_phi", "kernels_alone"], TINY, 0
    )
    table = response.above_floor(records)
    fitted = {"peer_joint", "peer_joint" + OTHER_EMBEDDING, "no_phi", "kernels_alone"}
    fitted |= {"kernels_alone" + OTHER_NEIGHBOURHOOD}
    assert set(table.index) == {"no_change", "floor", "true_law", *fitted}
    assert table.loc["true_law", "above_true_law"] == 0
    assert table.loc["no_phi", ["ratio_floor", "ratio_true_law"]].tolist() == [1, 1]
    without = records[~records["method"].isin(["no_phi"])]
    assert response.above_floor(without)["ratio_floor"].isna().all()


def test_the_true_law_is_as_good_as_another_draw():
    task = response_tasks.interacting_task(n_populations=10, n_cells=200)
    rows = {name: np.mean(list(value.values())) for name, value in task.trivial(0).items()}
    # both are distances between samples of one law, and halves are half as large
    assert 0.5 * rows["floor"] < rows["true_law"] < 1.5 * rows["floor"] < rows["no_change"]


def test_the_wrong_population_is_one_of_the_training():
    task = small_interacting()
    told = []
    task.predict_told(lambda cells, embedded: told.append(embedded) or cells.numpy(), "embedded", 0)
    training = [group.x for group in task.populations.controls]
    assert all(any(torch.equal(one, x) for x in training) for one in told)


def test_what_diverges_in_the_wrong_population_has_no_distance():
    def diverging(message):
        def predict(cells, **told):
            raise ValueError(message)

        return predict

    task = small_interacting()
    lost = task.predict_told(diverging("became non-finite"), "neighbourhood", 0)
    assert np.isnan(list(lost.values())).all()
    with pytest.raises(ValueError, match="unknown drug"):
        task.predict_told(diverging("unknown drug"), "neighbourhood", 0)


def test_what_a_control_costs_is_an_interval_over_populations():
    names = [f"population {k}" for k in range(8)]
    parts = [
        pd.DataFrame({"method": method, "population": names, "W1": value, "seed": 0})
        for method, value in (("a", 1.0), ("a" + OTHER_EMBEDDING, 1.5), ("b", 1.0))
    ]
    records = pd.concat(parts)
    assert response_tasks.lost_by(records, "a", OTHER_EMBEDDING) == (0.5, 0.5)
    assert np.isnan(response_tasks.lost_by(records, "a", OTHER_NEIGHBOURHOOD)).all()
    assert np.isnan(response_tasks.lost_by(records, "b", OTHER_EMBEDDING)).all()


def test_the_table_of_encoders_has_every_row():
    table = response._by_row(response.encoder(torch.rand(150, 2), 5, 0, n_steps=2))
    assert len(table) == 8
    assert (table["mean"] > 0).all()
    assert (table["once_ms"] > 0).equals(~table.index.to_series().str.endswith("new graph"))


def labelled(**obs):
    adata = ct.datasets.interacting_populations(n_populations=3, n_cells=20, seed=0)
    labels = dict(zip(("before", "after"), obs.pop("labels"), strict=True))
    adata.obs["condition"] = adata.obs["condition"].astype(str).map(labels)
    adata.obs[obs.pop("population")] = adata.obs["population"]
    return adata


def test_the_table_of_donors_has_every_row(quick_default):
    adata = labelled(population="donor", labels=("CTRL", "STIM"))
    adata.obs["cell_type"] = np.where(np.arange(adata.n_obs) % 2, "odd", "even")
    table = response_held_out.summarise(response_held_out.kang(adata, ["moments"], SHORT, 0))
    trivial = {"floor", "no_change", "shift", "shift_by_type", "pooled", "oracle_shift"}
    trivial |= {"neighbours", "neighbours_drawn", "neighbours_centred"}
    fitted = ["moments", "default_labels"]
    assert set(table.index) == {*trivial, *fitted, *(name + OTHER_EMBEDDING for name in fitted)}
    assert (table.loc[fitted, "cpu_s"] > 0).all()
    assert table.loc[list(trivial), "cpu_s"].isna().all()


def test_the_table_of_patients_has_every_row(quick_default, monkeypatch):
    adata = labelled(population="patient_id", labels=("ctrl", "panobinostat"))
    adata.layers["logcounts"] = adata.X.copy()
    scores = response_held_out.glioblastoma(adata, ["no_phi"], SHORT, 0, n_comps=2)
    table = response_held_out.summarise(scores)
    assert set(table.index) >= {"no_change", "oracle_shift", "no_phi"}
    assert scores["held_out"].nunique() == 3


def test_the_table_of_pairs_has_every_row(quick_default):
    adata = ct.datasets.drug_screen(n_lines=1, n_drugs=3, n_cells=40, n_vars=2)
    table = response_held_out.compare(response_held_out.composition(adata, SHORT, 0))
    assert list(table.index[:-1]) == ["drug 0 + drug 1", "drug 0 + drug 2", "drug 1 + drug 2"]
    assert table["interacts"].sum() == 1
    plain = table[~table["interacts"]]
    for metric in ("W1", "shift"):
        for name in ("with", "without", "added", "no_change", "floor"):
            assert (table[f"{metric}_{name}"] > 0).all()
        last, others = plain.iloc[-1], plain.iloc[:-1]
        means = others[[f"{metric}_without", f"{metric}_with"]].mean()
        assert last[f"{metric}_ratio"] == pytest.approx(means.iloc[0] / means.iloc[1])


def test_a_screen_keeps_the_pair_and_the_judging_half_from_the_training():
    adata = ct.datasets.drug_screen(n_lines=2, n_drugs=3, n_cells=20, n_vars=2)
    adata.obs["row"] = np.arange(adata.n_obs)
    screen, keys = Screen(adata, 0), ResponseKeys.of(**SCREEN)
    pair = screen.pairs[0]
    seen = screen.training(pair)
    assert all(one.condition != pair for one in read_samples(seen, keys))
    assert any(one.condition == pair for one in read_samples(screen.training(None), keys))
    judged = np.concatenate(list(screen.halves[1].values()))
    assert not set(seen.obs["row"]) & set(judged)


def test_mean_shifts_add_but_for_the_interacting_pair():
    adata = ct.datasets.drug_screen(n_lines=1, n_drugs=4, n_cells=4000, n_vars=2)
    screen, truth = Screen(adata, 0), adata.uns["truth"]
    for pair in screen.pairs:
        if truth["killing_drug"] in pair.drugs:
            continue  # who is dead moves the mean as well
        after = screen.cells("line 0", pair)
        missed = after.mean(0) - screen.added("line 0", pair).mean(0)
        # five means of 2,000 cells are added and subtracted; five standard errors
        error = 5 * np.sqrt(5 * after.var(0).sum() / 2000)
        if not screen.interacts(pair):
            assert np.linalg.norm(missed) < error
            continue
        at = [list(truth["drugs"]).index(drug) for drug in pair.drugs]
        effects = 1 / (1 + truth["half_dose"][at] ** truth["hill"][at])
        assert np.linalg.norm(missed - effects.prod() * truth["synergy"]) < error


def test_results_are_written_after_each_seed(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(response, "interacting_task", small_interacting)
    arguments = ["interacting", "--steps", "1", "--methods", "no_phi", "--out", str(tmp_path)]
    response.main([*arguments, "--seeds", "0", "1"])
    content = json.loads((tmp_path / "response_interacting_1_steps.json").read_text())
    assert {row["seed"] for row in content["records"]} == {0, 1}
    assert capsys.readouterr().out.count("\nresponse_interacting_1_steps\n") == 2
    with pytest.raises(SystemExit):
        response.main(["encoder", "--minutes", "1"])


def two_populations():
    """Return a narrow population that moves up and a wide one that moves down."""
    g, drug = torch.Generator().manual_seed(0), Condition(("drug",))
    cells = [spread * torch.randn(100, 2, generator=g).double() for spread in (0.3, 1.0)]
    moves = (torch.tensor([0.0, 2.0]), torch.tensor([0.0, -2.0]))
    treated = [
        Treated(k, drug, Group(x + move))
        for k, (x, move) in enumerate(zip(cells, moves, strict=True))
    ]
    return Populations(("narrow", "wide"), tuple(map(Group, cells)), tuple(treated))


FITS = (peers.fit_without_phi, peers.fit_alternating, peers.fit_joint)


@pytest.mark.parametrize("fit", FITS)
def test_a_peer_is_reproducible_and_leaves_global_randomness_alone(fit):
    populations, state = two_populations(), torch.get_rng_state()
    x = populations.controls[0].x
    one, two, other = (
        fit(populations, TINY, seed=seed).respond(x, generator=torch.Generator())
        for seed in (0, 0, 1)
    )
    torch.testing.assert_close(one, two, rtol=0, atol=0)
    assert not torch.equal(one, other)
    torch.testing.assert_close(torch.get_rng_state(), state, rtol=0, atol=0)


@pytest.mark.parametrize("fit", FITS)
def test_a_peer_tells_populations_apart_if_it_sees_them(fit):
    populations = two_populations()
    training = peers.PeerTraining(max_steps=200, n_points=30, n_neighbours=5, width=32)
    response = fit(populations, training, seed=0)
    moved = [
        response.respond(group.x, generator=torch.Generator().manual_seed(0)) - group.x
        for group in populations.controls
    ]
    way = (moved[0] - moved[1].mean(0))[:, 1].mean().item()
    # four lie between them; half of it, or none but by where the cells are
    assert way > 2 if fit is not peers.fit_without_phi else way < 2


def test_messages_and_matrix_are_the_same_average():
    x = torch.rand(3, 12, 2, generator=torch.Generator().manual_seed(0))
    graph, h = peers.nearest(x, 4), torch.rand(3, 12, 5)
    by_matrix, by_messages = peers.by_matrix(graph)(h), peers.by_messages(graph)(h)
    torch.testing.assert_close(by_matrix, by_messages)
    assert (graph == torch.arange(12)[:, None]).any(2).all()  # a cell hears itself
    everyone = peers.by_matrix(peers.nearest(x, 50))(h)
    torch.testing.assert_close(everyone, h.mean(1, keepdim=True).expand_as(h))


def test_an_embedding_does_not_depend_on_the_order_of_cells():
    g = torch.Generator().manual_seed(0)
    network = peers.PeerNetwork(2, TINY, has_encoder=True, generator=g)
    x = torch.rand(1, 20, 2, generator=g)
    order = torch.randperm(20, generator=g)
    torch.testing.assert_close(network.embed(x), network.embed(x[:, order]))


def test_minibatches_are_coupled_by_exact_transport():
    g = torch.Generator().manual_seed(0)
    before = torch.rand(30, 2, generator=g)
    shifted = (before, before + torch.tensor([5.0, -3.0]))
    one, other = peers._coupled(shifted, 30, g)
    torch.testing.assert_close(other - one, torch.tensor([5.0, -3.0]).expand(30, 2))
