"""Classes of the user's are saved with their models by name, and handed over to load them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import pytest
import torch
from stored import annotated, cells

import celltraj as ct
from celltraj.models import (
    BrownianBridgeInterpolant,
    LinearInterpolant,
    Moments,
    ReferenceInterpolant,
    Training,
)

SHORT = Training(max_steps=2, batch_size=4, width=4)
X = cells(5, seed=9)


@dataclass(frozen=True)
class Pull:
    """A reference with all that a file can hold of a class."""

    strength: float = 0.5
    centre: torch.Tensor | None = None
    allowed: torch.Tensor | None = None
    powers: tuple[tuple[int, ...], ...] = ((1,),)
    names: Sequence[str] = ()
    mode: Literal["soft", "hard"] = "soft"
    factors: dict[str, float] | None = None
    sigma: float | None = None

    @property
    def is_fitted(self):
        return self.centre is not None

    def drift(self, t, x):
        return self.strength * (self.centre.to(x) - x) * self.allowed

    def diffusion(self, t, x):
        return torch.full_like(x, self.sigma)

    def estimates(self):
        return {"strength": self.strength}

    def fit(self, paths, *, generator):
        return replace(self, centre=torch.cat([one.x[-1] for one in paths]).mean(0))


KNOWN = Pull(
    centre=torch.tensor([1.0, -1.0]).double(),
    allowed=torch.tensor([True, True]),
    powers=((1, 2), (3,)),
    names=["a", "b"],
    mode="hard",
    factors={"a": 1.5},
    sigma=0.7,
)


@dataclass(frozen=True)
class Late(BrownianBridgeInterpolant):
    """An interpolant whose noise is another."""

    factor: float = 2.0

    def noise(self, times, t):
        gamma, slope = super().noise(times, t)
        return self.factor * gamma, self.factor**2 * slope


@dataclass(frozen=True)
class Means:
    """An encoder with a network of its own."""

    n_features: int = 3

    def features(self, x):
        return x.float()

    def build(self, dim, *, generator):
        network = MeanNetwork(dim, self.n_features)
        with torch.no_grad():
            network.layer.weight.normal_(generator=generator)
        return network


class MeanNetwork(torch.nn.Module):
    def __init__(self, dim, n_features):
        super().__init__()
        self.layer = torch.nn.utils.skip_init(torch.nn.Linear, dim, n_features, bias=False)

    def forward(self, features, mask):
        kept = torch.where(mask[:, :, None], features, 0.0)
        return self.layer(kept.sum(1) / mask.sum(1, keepdim=True))


def clouds():
    return annotated(tuple(cells(10, seed=k, shift=k) for k in range(3)))


def bridge(reference=KNOWN):
    refinement = ct.models.Refinement(max_rounds=0)
    options = ct.models.BridgeOptions(refinement=refinement)
    return ct.tl.fit_bridge(
        clouds(), reference=reference, options=options, training=None, progress=False
    )


def flow(interpolant):
    return ct.tl.fit_flow(clouds(), interpolant=interpolant, training=SHORT, progress=False)


def response(encoder):
    return ct.tl.fit_response(
        ct.datasets.interacting_populations(n_populations=3, n_cells=12, seed=0),
        population_key="population",
        condition_key="condition",
        control="before",
        options=ct.models.ResponseOptions(encoder=encoder, n_kernels=0),
        training=SHORT,
        progress=False,
    )


def reloaded(model, folder, *classes):
    model.save(folder)
    return ct.load(folder, classes=classes)


def test_a_reference_comes_back_with_all_its_fields(tmp_path):
    model = bridge()
    again = reloaded(model, tmp_path, Pull)
    assert type(again.reference) is Pull
    for name in ("strength", "powers", "names", "mode", "factors", "sigma"):
        assert getattr(again.reference, name) == getattr(KNOWN, name)
    for name in ("centre", "allowed"):
        assert torch.equal(getattr(again.reference, name), getattr(KNOWN, name))
    for law in ("drift", "score"):
        assert torch.equal(getattr(again, law)(0.5, X), getattr(model, law)(0.5, X))


def test_an_interpolant_comes_back(tmp_path):
    model = flow(Late(factor=1.5))
    again = reloaded(model, tmp_path, Late)
    assert again.interpolant == model.interpolant
    assert type(again.interpolant) is Late
    assert torch.equal(again.drift(0.5, X), model.drift(0.5, X))


def test_the_law_of_an_interpolant_comes_back(tmp_path):
    model = flow(ReferenceInterpolant(KNOWN, rounds=0))
    again = reloaded(model, tmp_path, Pull)
    assert torch.equal(again.interpolant.reference.drift(0, X), KNOWN.drift(0, X))
    assert torch.equal(again.drift(0.5, X), model.drift(0.5, X))


def test_an_encoder_comes_back_with_its_network(tmp_path):
    model = response(Means(n_features=2))
    again = reloaded(model, tmp_path, Means)
    assert again.encoder == Means(n_features=2)
    assert torch.equal(again.embed(X), model.embed(X))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (bridge, r"its reference is Pull, none of celltraj's.*classes=\[Pull\]"),
        (lambda: flow(Late()), r"its interpolant is Late, .*classes=\[Late\]"),
        (lambda: flow(ReferenceInterpolant(KNOWN, rounds=0)), r"its reference is Pull"),
        (lambda: response(Means()), r"its encoder is Means, .*classes=\[Means\]"),
    ],
    ids=["reference", "interpolant", "law", "encoder"],
)
def test_without_the_class_its_name_is_told(tmp_path, model, message):
    model().save(tmp_path)
    with pytest.raises(ValueError, match=message):
        ct.load(tmp_path)
    with pytest.raises(ValueError, match=message):
        ct.load(tmp_path, classes=[Moments])


@dataclass(frozen=True)
class Hook(Pull):
    hook: Callable | None = None


@dataclass(frozen=True)
class Waiting(LinearInterpolant):
    wait: Callable = max


@dataclass(frozen=True)
class Curious(Means):
    look: Callable = max


@dataclass(frozen=True)
class Nested(LinearInterpolant):
    law: Pull = KNOWN


class Plain(BrownianBridgeInterpolant):
    """No dataclass itself: what it adds is no field."""

    def __init__(self, sigma=None, extra=1.0):
        super().__init__(sigma)
        object.__setattr__(self, "extra", extra)

    def fit(self, times, chain, gap, *, sigma):
        return Plain(sigma, self.extra)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda: bridge(Hook(**vars(KNOWN), hook=max)), "the reference Hook .*: hook is a builtin"),
        (lambda: flow(Waiting()), "the interpolant Waiting .*: wait is a builtin"),
        (lambda: response(Curious()), "the encoder Curious .*: look is a builtin"),
        (lambda: flow(Nested()), "the interpolant Nested .*: law is a Pull"),
        (lambda: flow(Plain()), "the interpolant Plain .* extra is no field"),
        (lambda: bridge(replace(KNOWN, factors={"a": float("inf")})), "finite numbers"),
    ],
    ids=["reference", "interpolant", "encoder", "nested", "no field", "infinite"],
)
def test_what_no_file_can_hold_is_refused_by_name(tmp_path, model, message):
    fitted = model()
    with pytest.raises(TypeError, match=message):
        fitted.save(tmp_path)
    assert not list(tmp_path.iterdir())


def test_what_is_computed_once_is_no_loss(tmp_path):
    @dataclass(frozen=True)
    class Cached(Late):
        @cached_property
        def dear(self):
            return self.factor**2

    path = Cached()
    assert path.dear == 4
    model = flow(path)
    assert model.interpolant.dear == 4
    assert reloaded(model, tmp_path, Cached).interpolant.dear == 4


def test_a_name_of_ours_is_refused_as_it_would_be_taken_for_ours(tmp_path):
    @dataclass(frozen=True)
    class SplineInterpolant(LinearInterpolant):
        pass

    with pytest.raises(TypeError, match="its name one of celltraj's; give the class another"):
        flow(SplineInterpolant()).save(tmp_path)


def test_a_class_that_has_changed_since_is_told(tmp_path):
    flow(Late()).save(tmp_path)

    def another(body, **fields):
        body |= {"__annotations__": dict.fromkeys(fields, float)} | fields
        return dataclass(frozen=True)(type("Late", (LinearInterpolant,), body))

    with pytest.raises(ValueError, match="other fields than your class Late"):
        ct.load(tmp_path, classes=[another({})])

    def refuse(self):
        raise ValueError("no such factor")

    strict = another({"__post_init__": refuse}, sigma=0.0, factor=1.0)
    with pytest.raises(ValueError, match=r"your class Late does not take .*: no such factor"):
        ct.load(tmp_path, classes=[strict])


@pytest.mark.parametrize(
    ("classes", "error", "message"),
    [
        ([max], TypeError, "classes must"),
        ([MeanNetwork], TypeError, "must list dataclasses of yours; found"),
        ([KNOWN], TypeError, "classes must"),
        (["Pull"], TypeError, "classes must"),
        ([Pull, dataclass(type("Pull", (), {}))], ValueError, "two of the name Pull"),
    ],
    ids=["function", "module", "instance", "text", "twice"],
)
def test_classes_are_checked(tmp_path, classes, error, message):
    bridge().save(tmp_path)
    with pytest.raises(error, match=message):
        ct.load(tmp_path, classes=classes)


def test_the_parts_satisfy_what_they_stand_for():
    assert isinstance(KNOWN, ct.models.Reference)
    assert isinstance(Late(), ct.models.Interpolant)
    assert isinstance(Means(), ct.models.PopulationEncoder)
