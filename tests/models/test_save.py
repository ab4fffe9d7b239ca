"""Models come back from disk as they went."""

import json
import math
import random
from dataclasses import replace

import pandas as pd
import pytest
import torch
from analytic import normal
from stored import content_of, small, write_as_it_is

import celltraj as ct
from celltraj.models import Brownian, Training, fit_bridge
from celltraj.models import _files as files_module
from celltraj.ot import Sinkhorn
from celltraj.snapshots import Snapshots

FILE = "model.safetensors"


@pytest.mark.parametrize("drift", [None, Training(max_steps=5, width=8)])
def test_reloaded_bridge_predicts_the_same(tmp_path, drift):
    clouds = tuple(normal(30, 2, seed=k) for k in range(3))
    bridge = fit_bridge(
        Snapshots((0, 1, 3), clouds),
        Brownian(0.8),
        coupling=Sinkhorn(),
        training=drift,
        generator=torch.Generator().manual_seed(0),
        progress=False,
    )
    bridge.save(tmp_path / "model")
    again = ct.load(tmp_path / "model")
    x = normal(10, 2, seed=9)
    for law in ("drift", "diffusion", "score"):
        assert torch.equal(getattr(again, law)(0.5, x), getattr(bridge, law)(0.5, x))
    one, two = (
        b.sample(2.0, 10, generator=torch.Generator().manual_seed(0)) for b in (again, bridge)
    )
    assert torch.equal(one, two)
    assert not list((tmp_path / "model").glob("*.pt"))
    assert again.losses == bridge.losses


def test_missing_and_future_formats_are_refused(tmp_path):
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(FileNotFoundError, match=r"holds none of model\..*model\.save"):
            ct.load(folder)
    (tmp_path / "bridge.json").write_text(json.dumps({"format": 99}))
    with pytest.raises(ValueError, match="update celltraj"):
        ct.load(tmp_path)


def test_a_file_in_place_of_the_folder_is_refused(tmp_path):
    small("plug-in").save(tmp_path)
    with pytest.raises(ValueError, match=r"is a file; pass the folder that holds model\."):
        ct.load(tmp_path / FILE)
    (tmp_path / "folder" / FILE).mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match="holds none of"):
        ct.load(tmp_path / "folder")


def test_a_file_that_may_not_be_read_is_refused_by_name(tmp_path, monkeypatch):
    small("plug-in").save(tmp_path)

    def forbid(path, framework):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(files_module, "safe_open", forbid)
    with pytest.raises(ValueError, match=rf"{FILE} cannot be read \(.*Permission denied"):
        ct.load(tmp_path)


def changed(folder, kind, **facts):
    """Write the model of that kind with other facts, and a digest of them."""
    small(kind).save(folder)
    content = content_of(folder)
    write_as_it_is(folder / FILE, replace(content, facts=content.facts | facts))


@pytest.mark.parametrize(
    ("kind", "facts", "message"),
    [
        ("still", {"width": 20_000}, r"asks? for torch\.float32 \(20000, 5\)"),
        ("still", {"width": 10**9}, "width must be at most 1000000; found 1000000000"),
        ("still", {"width": None}, "nothing asks for the tensor 'field"),
        ("still", {"width": 0}, "width must be at least 1"),
        ("still", {"width": 2.5}, "the bridge: width must be a whole number; found 2.5"),
        ("still", {"width": True}, "width must be a whole number; found True"),
        ("still", {"times": [1.0, 0.0]}, "strictly increasing"),
        ("still", {"times": [0.0]}, "at least two time points"),
        ("still", {"times": [0.0, 10**400]}, "a number of very many digits"),
        ("still", {"times": 3}, "times must be a list; found 3"),
        ("still", {"history": ["low"]}, "history must be a finite number, .*; found 'low'"),
        ("still", {"history": [1e300]}, "history must be a finite number, not huge"),
        ("still", {"sizes": [1.0, -1.0]}, "sizes of the population must be a positive number"),
        ("still", {"couplings": []}, "1 gaps need as many couplings; found 0"),
        ("still", {"mass": 1}, "the bridge has the unknown entry 'mass'"),
        (
            "still",
            {"reference": {"name": "Wiener", "options": {}}},
            "reference is Wiener, none",
        ),
        ("still", {"reference": {"name": "Brownian"}}, "reference has no options"),
        (
            "still",
            {"reference": {"name": "Brownian", "options": {"sigma": -1.0}}},
            "sigma must be positive",
        ),
        (
            "still",
            {"reference": {"name": "OrnsteinUhlenbeck", "options": {"sigma": 1.0}}},
            "OrnsteinUhlenbeck is not fitted",
        ),
        ("plug-in", {"rounds": [{"number": 1}]}, "rounds has no change"),
        ("flow", {"noise": -1.0}, "noise must not be negative; found -1.0"),
        (
            "flow",
            {"interpolant": {"name": "Zigzag", "options": {}}},
            "is Zigzag, none of",
        ),
        (
            "flow",
            {"interpolant": {"name": "LinearInterpolant", "options": {}}},
            r"nothing asks for the tensor 'interpolant\.reference",
        ),
        ("response", {"encoder": {"name": "Mean", "options": {}}}, "its encoder is Mean, none"),
        (
            "response",
            {"encoder": {"name": "DeepSets", "options": {"n_features": 0}}},
            "n_features must be a whole number of at least 1; found 0",
        ),
        (
            "response",
            {"encoder": {"name": "SetAttention", "options": {"n_seeds": 10**8}}},
            "n_seeds must be at most 1000000",
        ),
        ("response", {"encoder": None}, "the field reads 2 of embedding, and there are 0"),
        ("response", {"populations": ["a"]}, r"tensor 'support\.embeddings' is .* \(1, 2\)"),
        ("response", {"populations": [1, 2, 3]}, "populations must be text; found 1"),
    ],
)
def test_facts_that_are_none_of_a_model_are_refused(tmp_path, kind, facts, message):
    changed(tmp_path, kind, **facts)
    with pytest.raises(ValueError, match=message) as refused:
        ct.load(tmp_path)
    assert str(tmp_path / FILE) in str(refused.value)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("x.0", torch.full((6, 2), math.nan).double(), "'x.0' holds numbers that are not finite"),
        ("x.0", torch.zeros(6, 2), r"'x.0' is torch.float32 \(6, 2\), the facts ask for torch.f"),
        ("x.1", torch.zeros(5, 3).double(), r"'x.1' is torch.float64 \(5, 3\), .*64 \(5, 2\)"),
        ("f.0", torch.full((6,), math.inf).double(), "'f.0' holds numbers that are not finite"),
        ("weights.0", torch.ones(6).double(), "do not sum to one"),
        ("x.2", torch.zeros(5, 2).double(), "nothing asks for the tensor 'x.2'"),
    ],
)
def test_tensors_that_are_none_of_a_model_are_refused(tmp_path, name, value, message):
    small("still").save(tmp_path)
    content = content_of(tmp_path)
    tensors = content.tensors | {name: value}
    write_as_it_is(tmp_path / FILE, replace(content, tensors=tensors))
    with pytest.raises(ValueError, match=message):
        ct.load(tmp_path)


def test_another_kind_and_another_writer_are_refused(tmp_path):
    small("still").save(tmp_path)
    content = content_of(tmp_path)
    write_as_it_is(tmp_path / FILE, replace(content, kind="training"))
    with pytest.raises(
        ValueError, match="it is a 'training', not one of arms, bridge, flow, mean field, response"
    ):
        ct.load(tmp_path)
    write_as_it_is(tmp_path / FILE, content, key="pt")
    with pytest.raises(ValueError, match="was not written by this version of celltraj"):
        ct.load(tmp_path)


def test_every_bit_of_a_model_counts(tmp_path):
    """Bits of values, names and facts alike; a flip beside them leaves the model as it is."""
    small("still").save(tmp_path / "model")
    path = tmp_path / "model" / FILE
    content = path.read_bytes()
    n_tensors = sum(v.nbytes for v in content_of(tmp_path / "model").tensors.values())
    draws = random.Random(0)
    for at in [*range(0, 100, 3), *draws.sample(range(len(content) - n_tensors, len(content)), 60)]:
        changed = bytearray(content)
        changed[at] ^= 1 << draws.randrange(8)
        path.write_bytes(changed)
        with pytest.raises(ValueError, match=FILE):
            ct.load(path.parent)


def test_couplings_of_a_growing_bridge_come_back_with_what_was_asked_of_them(tmp_path):
    bridge = small("neural")
    bridge.save(tmp_path)
    again = ct.load(tmp_path)
    for one, two in zip(again.couplings, bridge.couplings, strict=True):
        assert torch.equal(one.a, two.a)
        assert torch.equal(one.b, two.b)
        assert torch.equal(one.growth(), two.growth())
    assert not torch.equal(bridge.couplings[0].a, bridge.snapshots.weights[0])


def test_a_refined_bridge_comes_back_with_its_rounds(tmp_path):
    adata = ct.datasets.branching(n_cells=30, seed=0)
    for reference in (
        ct.models.OrnsteinUhlenbeck(),
        ct.models.PotentialLandscape(width=8, max_iter=5),
        ct.models.Vortex(),
    ):
        bridge = ct.tl.fit_bridge(
            adata,
            reference=reference,
            options=ct.models.BridgeOptions(refinement=ct.models.Refinement(max_rounds=1)),
            training=None,
            progress=False,
        )
        bridge.save(tmp_path)
        again = ct.load(tmp_path)
        pd.testing.assert_frame_equal(again.history, bridge.history)
        x = bridge.snapshots.x[0]
        for t in (0.5, 5.0):
            torch.testing.assert_close(again.drift(t, x), bridge.drift(t, x), rtol=0, atol=0)
