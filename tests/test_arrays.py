"""What the public border takes for numbers, and what it refuses."""

from functools import partial

import numpy as np
import pytest
import torch
from analytic import normal, uniform
from scipy.sparse import csr_array

import celltraj as ct
from celltraj import metrics, ot
from celltraj._arrays import as_floats
from celltraj.models import Brownian, Lineage, simulate
from celltraj.models.lineage.lineage import joint_masses
from celltraj.ot import SparseCoupling, SquaredEuclidean
from celltraj.snapshots import Snapshots

X, Y = normal(20, 2, seed=0), normal(30, 2, seed=1) + 1
A, B = uniform(20), uniform(30)

FORMS = {
    "array": lambda v: v.numpy(),
    "lists": lambda v: v.tolist(),
    "float32": lambda v: v.float(),
    "float32 array": lambda v: v.float().numpy(),
}
SOLVERS = {
    "solve": ot.solve,
    "Sinkhorn": ot.Sinkhorn(),
    "SparseNewton": ot.SparseNewtonSinkhorn(),
    "Multiscale": ot.Multiscale(n_coarse=20, n_groups=10, progress=False),
    "Unbalanced": ot.Unbalanced(),
    "Minibatch": ot.Minibatch(size=10, rounds=3),
    "Exact": ot.Exact(),
    "batch": lambda cost, a, b, *, epsilon: ot.solve_batch([cost], [a], [b], epsilon=epsilon)[0],
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("solver", SOLVERS)
def test_solvers_take_what_can_be_read_as_numbers(solver, form):
    convert = FORMS[form]
    # so far from ties that rounding to float32 moves no assignment
    expected = SOLVERS[solver](SquaredEuclidean(X, Y), A, B, epsilon=0.5)
    cost = SquaredEuclidean(convert(X), convert(Y))
    found = SOLVERS[solver](cost, convert(A), convert(B), epsilon=0.5)
    assert found.row_mass.dtype == torch.float64
    # float32 keeps seven digits of coordinates; the plan answers with that times |C| / epsilon
    torch.testing.assert_close(found.to_dense(), expected.to_dense(), atol=1e-6, rtol=0)
    v = convert(normal(20, 3, seed=2))
    torch.testing.assert_close(
        found.push(v), expected.push(normal(20, 3, seed=2)), atol=1e-4, rtol=0
    )
    assert found.pull(convert(B)).dtype == torch.float64
    shares = convert(torch.arange(20.0) + 1)
    i, _ = found.sample(50, generator=torch.Generator().manual_seed(0), rows=shares)
    assert len(i) == 50


def test_integers_are_numbers():
    x = np.array([[0, 200], [3, 4]], dtype=np.uint8)
    assert SquaredEuclidean(x, x[::-1]).dense()[0, 0] == (9 + 196**2) / 2
    assert ot.DenseCost([[0, 2]]).mean() == 1
    assert metrics.shift_r2(np.array([100], np.int8), np.array([100], np.int8)) == 1
    assert ot.Exact()(SquaredEuclidean(x, x), [1, 2], [1, 2]).value() == 0


@pytest.mark.parametrize("form", FORMS)
def test_other_costs_take_what_can_be_read_as_numbers(form):
    convert = FORMS[form]
    by_law = ot.ReferenceCost(Jump(), 0.0, convert(X), 1.0, convert(Y)).dense()
    torch.testing.assert_close(
        by_law,
        ot.ReferenceCost(Jump(), 0.0, X, 1.0, Y).dense(),
        atol=1e-5,
        rtol=0,
        check_dtype=False,
    )
    one = torch.eye(2).double().expand(20, 2, 2)
    parts = [convert(v.contiguous()) for v in (X, one, A, Y)]
    expected = SquaredEuclidean(X, Y).dense() + A[:, None]
    torch.testing.assert_close(
        ot.GaussianCost(*parts).dense(), expected, atol=1e-5, rtol=0, check_dtype=False
    )


class Jump:
    def log_transition(self, t0, x0, t1, x1):
        return -(x1 - x0).square().sum(-1) / (t1 - t0)


BAD = [
    (X.numpy() * np.nan, ValueError, "40 NaN or infinite values of 40"),
    (X.numpy().astype(complex), TypeError, "real numbers; found ndarray of complex128"),
    (X.numpy() > 0, TypeError, "real numbers; found ndarray of bool"),
    (X > 0, TypeError, "real numbers; found torch.bool"),
    (X.numpy().astype(object), TypeError, "of object"),
    (X.numpy().astype(str), TypeError, "of <U"),
    (X[:, 0].numpy(), ValueError, r"shape \(n, d\).*found \(20,\); x\[:, None\]"),
    (X[:0].numpy(), ValueError, "none of it empty"),
    (X[:, :0].numpy(), ValueError, "none of it empty"),
    ([[1.0], [1.0, 2.0]], ValueError, "rows of equal length"),
]


@pytest.mark.parametrize(("x", "error", "message"), BAD)
def test_what_is_no_cloud_is_refused(x, error, message):
    calls = (metrics.wasserstein, metrics.energy_distance, metrics.mmd, SquaredEuclidean)
    for call in calls:
        with pytest.raises(error, match=message):
            call(x, Y)
    for call in calls[:3]:
        with pytest.raises(error):
            call(Y, x)
    with pytest.raises(error):
        metrics.split_half_floor(x, seed=0)


@pytest.mark.parametrize(
    ("weights", "error", "message"),
    [
        ([1.0] * 19, ValueError, "weights"),
        ([-1.0] + [1.0] * 19, ValueError, "negative"),
        ([0.0] * 20, ValueError, "zero"),
        ([np.nan] + [1.0] * 19, ValueError, "must be finite"),
        ([True] * 20, TypeError, "real numbers"),
        (["1"] * 20, TypeError, "real numbers"),
        ([[1.0] * 20], ValueError, "shape"),
        ([], ValueError, "weights"),
    ],
)
def test_what_are_no_weights_is_refused(weights, error, message):
    for call in (metrics.wasserstein, metrics.energy_distance, metrics.mmd):
        with pytest.raises(error, match="weights"):
            call(X, Y, weights=weights)
    labels = ["a"] * 20
    with pytest.raises(error, match="weights"):
        metrics.composition_error(labels, labels, weights=weights)
    for solver in SOLVERS.values():
        with pytest.raises(error, match=message):
            solver(SquaredEuclidean(X, Y), weights, B, epsilon=0.5)
    with pytest.raises(error, match="weights"):
        Snapshots((0.0, 1.0), (X, Y), (weights, B))


def test_what_is_no_cost_is_refused():
    for solver in SOLVERS.values():
        with pytest.raises((TypeError, AttributeError), match=r"cost|dense"):
            solver(np.ones((20, 30)), A, B, epsilon=0.5)
    with pytest.raises(ValueError, match="x has 2 dimensions, y has 3"):
        SquaredEuclidean(X, normal(3, 3, seed=0).numpy())
    with pytest.raises(ValueError, match="precision of shape"):
        ot.GaussianCost(X, torch.ones(20, 3, 3), A, Y)


@pytest.mark.parametrize(
    "device",
    [
        "meta",
        pytest.param(
            "cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
        ),
    ],
)
def test_tensors_on_another_device_are_told_before_anything_is_solved(device):
    away, a = X.to(device), A.to(device)
    message = rf"on the CPU, .* on {device}.*, which \.cpu\(\) moves"
    coupling = ot.Unbalanced()(SquaredEuclidean(X, Y), A, B, epsilon=0.5)
    calls = [
        lambda: SquaredEuclidean(away, Y),
        lambda: ot.DenseCost(away),
        lambda: Snapshots((0.0, 1.0), (X, away)),
        lambda: Snapshots((0.0, 1.0), (X, Y), (a, B)),
        *(partial(solver, coupling.cost, a, B, epsilon=0.5) for solver in SOLVERS.values()),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=message):
            call()


def test_vectors_of_another_length_are_refused():
    coupling = ot.Unbalanced()(SquaredEuclidean(X, Y), A, B, epsilon=0.5)
    for one in (coupling, SparseCoupling(csr_array(coupling.to_dense().numpy()))):
        for call, wrong in ((one.push, B), (one.pull, A.numpy())):
            with pytest.raises(ValueError, match="a row for each of the"):
                call(wrong)


@pytest.mark.parametrize("form", FORMS)
def test_snapshots_lineages_and_simulations_take_arrays(form):
    convert = FORMS[form]
    snapshots = Snapshots((0.0, 1.0), [convert(X), convert(Y)], [convert(A), convert(B)])
    assert {v.dtype for v in (*snapshots.x, *snapshots.weights)} == {torch.float64}
    plan = ot.Unbalanced()(SquaredEuclidean(X, Y), A, B, epsilon=0.5)
    lineage = Lineage((0.0, 1.0), (plan,), (convert(A), convert(B)))
    labels = torch.eye(2).double()[torch.arange(30) % 2]
    exact = Lineage((0.0, 1.0), (plan,), (A, B))
    close = {"atol": 1e-6, "rtol": 0}
    torch.testing.assert_close(
        lineage.fates(convert(labels), 1.0)[0], exact.fates(labels, 1.0)[0], **close
    )
    for move, mass, at in (("descendants", A, 0), ("ancestors", B, 1)):
        found = getattr(lineage, move)(convert(mass), 0.0, 1.0)[1 - at]
        torch.testing.assert_close(found, getattr(exact, move)(mass, 0.0, 1.0)[1 - at], **close)
    member = torch.ones(20, 1).double()
    if form != "float32":
        found = joint_masses(lineage, convert(member), convert(labels), 0.0, 1.0)
        torch.testing.assert_close(found, joint_masses(exact, member, labels, 0.0, 1.0), **close)
    path = simulate(Brownian(0.1), convert(X), (0.0, 1.0), generator=torch.Generator())
    assert isinstance(path.x, torch.Tensor)
    assert path.x.shape == (2, 20, 2)


def test_a_lineage_whose_parts_do_not_fit_is_refused():
    plan = ot.Unbalanced()(SquaredEuclidean(X, Y), A, B, epsilon=0.5)
    with pytest.raises(ValueError, match="do not tie"):
        Lineage((0.0, 1.0), (plan,), (B, A))
    with pytest.raises(ValueError, match="labels must hold a row"):
        Lineage((0.0, 1.0), (plan,), (A, B)).fates(torch.eye(20).double(), 1.0)


def test_metrics_of_labels_and_shifts():
    error = metrics.composition_error
    assert error([1, 1], ["1", "1"]) == 1  # a number is not its text
    assert error(np.array([1, 2]), [2, 1]) == 0
    for call, text in (
        (lambda: error([], ["a"]), "label for each cell"),
        (lambda: error(["a", None], ["a"]), "1 cells without a label"),
        (lambda: metrics.shift_r2([1.0, 2.0], [1.0]), "2 variables, observed has 1"),
        (lambda: metrics.shift_cosine([], []), "none of it empty"),
        (lambda: metrics.shift_cosine([np.nan], [1.0]), "NaN"),
        (lambda: metrics.split_half_floor(X, seed=0, n_splits=0), "n_splits"),
        (lambda: metrics.split_half_floor(X[:1], seed=0), "two cells"),
        (lambda: metrics.mmd(X[:1], Y[:1]), "bandwidth"),
    ):
        with pytest.raises(ValueError, match=text):
            call()
    assert metrics.wasserstein(X[:1], X[:1] + 3) == pytest.approx(18**0.5)
    assert metrics.energy_distance(X[:1].tolist(), X[:1].numpy()) == 0
    assert metrics.wasserstein(X.float(), X.float()) == 0


def test_a_view_of_the_user_array_is_not_kept():
    x = X.numpy().copy()
    cost = SquaredEuclidean(x, Y)
    before = cost.dense()
    x[:] = 0
    torch.testing.assert_close(cost.dense(), before)
    with pytest.raises(ct.ConvergenceError):
        ot.Unbalanced()(SquaredEuclidean(X, Y + 9), A, B, epsilon=1e-5)
    with pytest.raises(TypeError, match="toarray"):
        as_floats(csr_array(x), "x")
    assert as_floats([torch.tensor(1.0), torch.tensor(2.0)], "x").tolist() == [1, 2]
