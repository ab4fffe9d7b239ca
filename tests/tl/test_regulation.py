"""Edges of a circuit are found in snapshots, with their signs and without those that are not."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from anndata import AnnData

import celltraj as ct
from celltraj.models import GeneRegulation, simulate

# a chain: the first gene decays, activates the second, which represses the third
LAW = GeneRegulation(
    half_level=torch.tensor([1.5, 1.0, 1.0]),
    production=torch.tensor([0.0, 3.0, 2.0]),
    degradation=torch.tensor([0.5, 1.0, 1.0]),
    bias=torch.tensor([0.0, -3.0, 2.0]),
    weights=torch.tensor([[0.0, 0.0, 0.0], [6.0, 0.0, 0.0], [0.0, -6.0, 0.0]]),
    sigma=0.05,
)
TRUE = {("a", "b"): 1, ("b", "c"): -1}


def refined(max_rounds):
    return ct.models.BridgeOptions(refinement=ct.models.Refinement(max_rounds=max_rounds))


fit = partial(
    ct.tl.fit_bridge,
    use_rep="X",
    sigma=0.05,
    options=refined(5),
    training=None,
    progress=False,
)


@pytest.fixture(scope="module")
def adata():
    generator = torch.Generator().manual_seed(0)
    times = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0]
    spread = 0.6 * torch.rand(len(times), 60, 3, dtype=torch.float64, generator=generator)
    start = torch.tensor([2.5, 0.1, 1.6]).double() + spread
    # other cells at every time
    clouds = [
        x if t == 0 else simulate(LAW, x, (0.0, t), generator=generator).x[-1]
        for t, x in zip(times, start, strict=True)
    ]
    cells = AnnData(torch.cat(clouds).clamp(min=0).numpy())
    cells.var_names = ["a", "b", "c"]
    cells.obs["time"] = np.repeat(times, 60)
    return cells


@pytest.fixture(scope="module")
def bridge(adata):
    return fit(adata, reference=GeneRegulation())


def test_the_edges_of_a_chain_are_the_strongest_and_sure(adata, bridge):
    before = adata.copy()
    net = ct.tl.regulation(adata, bridge, n_bootstrap=6, n_jobs=1, progress=False)
    assert list(net) == ["regulator", "target", "weight", "sign", "confidence"]
    found = {(row.regulator, row.target): row for row in net.itertuples()}
    for edge, sign in TRUE.items():
        assert found[edge].sign == sign
        assert found[edge].confidence == 1
    strongest = (
        net[~net["regulator"].eq(net["target"])]
        .groupby("target")["weight"]
        .apply(lambda w: net.loc[w.abs().idxmax(), "regulator"])
    )
    assert strongest["b"] == "a"
    assert strongest["c"] == "b"
    assert net["weight"].abs().is_monotonic_decreasing
    assert (np.sign(net["weight"]) == net["sign"]).all()
    np.testing.assert_array_equal(adata.X, before.X)
    assert set(adata.uns) == set(before.uns)


def test_edges_that_are_not_allowed_are_not_there(adata):
    edges = np.array([[0, 0, 0], [1, 0, 0], [0, 0, 0]], bool)
    only = fit(adata, reference=GeneRegulation(edges=torch.from_numpy(edges)), options=refined(2))
    net = ct.tl.regulation(adata, only, n_bootstrap=0)
    assert net[["regulator", "target"]].to_numpy().tolist() == [["a", "b"]]
    assert net["confidence"].isna().all()


def test_a_heavy_penalty_leaves_no_edge(adata):
    bare = fit(adata, reference=GeneRegulation(l1=10.0), options=refined(1))
    assert len(ct.tl.regulation(adata, bare, n_bootstrap=2, n_jobs=1, progress=False)) == 0


def test_hours_for_days_change_rates_but_not_edges(adata, bridge):
    hours = adata.copy()
    hours.obs["time"] *= 24
    # sigma is per root of time
    slow = fit(hours, reference=GeneRegulation(), sigma=0.05 / 24**0.5)
    torch.testing.assert_close(
        slow.reference.weights, bridge.reference.weights, rtol=0.05, atol=0.05
    )
    torch.testing.assert_close(
        slow.reference.degradation * 24, bridge.reference.degradation, rtol=0.05, atol=0.02
    )


def test_a_seed_repeats_and_leaves_the_global_state(adata, bridge):
    state = torch.get_rng_state()
    one, two, other = (
        ct.tl.regulation(adata, bridge, n_bootstrap=2, n_jobs=1, seed=s, progress=False)
        for s in (0, 0, 1)
    )
    assert one.equals(two)
    np.testing.assert_array_equal(one["weight"], other["weight"])
    assert torch.equal(torch.get_rng_state(), state)


def test_a_reloaded_bridge_has_the_same_edges(adata, bridge, tmp_path):
    bridge.save(tmp_path / "bridge")
    again = ct.load(tmp_path / "bridge")
    nets = [ct.tl.regulation(adata, b, n_bootstrap=0) for b in (bridge, again)]
    assert nets[0].equals(nets[1])


def test_other_families_and_other_data_are_refused(adata, bridge):
    plain = fit(adata, reference=ct.models.OrnsteinUhlenbeck(), options=refined(1))
    with pytest.raises(TypeError, match="OrnsteinUhlenbeck has no genes that regulate"):
        ct.tl.regulation(adata, plain)
    with pytest.raises(ValueError, match="the bridge has 3 variables, adata 2"):
        ct.tl.regulation(adata[:, :2], bridge)
    with pytest.raises(ValueError, match="must not be negative"):
        ct.tl.regulation(adata, bridge, n_bootstrap=-1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"edges": torch.ones(2, 3)}, r"found \(2, 3\)"),
        ({"l1": -1.0}, "must not be negative"),
        ({"hill": 0.0}, "hill positive"),
        ({"sigma": 0.0}, "sigma must be positive"),
    ],
)
def test_options_of_a_circuit_are_checked(options, message):
    with pytest.raises(ValueError, match=message):
        GeneRegulation(**options)


def test_genes_must_be_amounts_of_the_right_number(adata):
    with pytest.raises(ValueError, match="has 2 variables, the data have 3"):
        fit(adata, reference=GeneRegulation(edges=torch.ones(2, 2)))
    centred = adata.copy()
    centred.X -= centred.X.mean(0)
    with pytest.raises(ValueError, match="describes amounts"):
        fit(centred, reference=GeneRegulation())


def test_logic_is_boolean_where_weights_are_large():
    both_or_one = GeneRegulation(
        hill=8.0,
        half_level=torch.ones(4),
        production=torch.ones(4),
        degradation=torch.zeros(4),
        bias=torch.tensor([0.0, 0.0, -30.0, -10.0]),
        weights=torch.tensor([[0.0] * 4, [0.0] * 4, [20.0, 20.0, 0, 0], [20.0, 20.0, 0, 0]]),
        sigma=0.1,
    )
    on, off = 3.0, 0.0
    levels = torch.tensor([[off, off], [on, off], [off, on], [on, on]])
    x = torch.cat([levels, torch.zeros(4, 2)], 1)
    drift = both_or_one.drift(0.0, x)
    assert drift[:, 2].round().tolist() == [0, 0, 0, 1]  # AND
    assert drift[:, 3].round().tolist() == [0, 1, 1, 1]  # OR
    shifted = replace(both_or_one, weights=both_or_one.weights * 0)
    assert shifted.drift(0.0, x)[:, 2].unique().numel() == 1
