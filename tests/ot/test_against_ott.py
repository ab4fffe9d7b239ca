"""Transport against OTT, where it is installed: ``pip install ott-jax``."""

import numpy as np
import pytest
import torch
from analytic import normal

from celltraj.ot import SquaredEuclidean, Unbalanced

jax = pytest.importorskip("jax")
pytest.importorskip("ott")


@pytest.mark.filterwarnings("default")  # jax deprecates at its own pace
@pytest.mark.parametrize("taus", [(0.95, 0.99), (0.9, 1.0), (1.0, 1.0)])
def test_agrees_with_ott(taus):
    from ott.geometry import geometry
    from ott.problems.linear import linear_problem
    from ott.solvers.linear import sinkhorn

    rng = np.random.default_rng(0)
    cost = SquaredEuclidean(normal(60, 3, seed=0), normal(80, 3, seed=1) + 1)
    a, b = (torch.from_numpy(rng.dirichlet(np.ones(n))) for n in (60, 80))
    b = b / b.sum() * a.sum()
    epsilon = 0.05 * cost.mean()
    coupling = Unbalanced(*taus, tol=1e-12)(cost, a, b, epsilon=epsilon)
    with jax.enable_x64(True):  # noqa: FBT003
        matrix, *weights = (jax.numpy.asarray(v.numpy()) for v in (cost.dense(), a, b))
        shape = geometry.Geometry(cost_matrix=matrix, epsilon=epsilon)
        given = linear_problem.LinearProblem(shape, *weights, tau_a=taus[0], tau_b=taus[1])
        found = sinkhorn.Sinkhorn(threshold=1e-13, max_iterations=50_000)(given)
        expected = np.asarray(found.matrix)
    np.testing.assert_allclose(coupling.to_dense(), expected, atol=1e-8, rtol=0)
