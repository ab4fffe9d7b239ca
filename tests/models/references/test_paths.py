"""Paths of pinned references against closed forms."""

import pytest
import torch
from analytic import normal

from celltraj.models import Brownian, LotkaVolterra, OrnsteinUhlenbeck
from celltraj.models.references.gaussian_law import flow_of, uniform_grid
from celltraj.models.references.paths import (
    Pinning,
    _unconditioned,
    log_weights,
    sample_paths,
)

N = 4000
PULL = OrnsteinUhlenbeck(
    matrix=torch.tensor([[-0.3, -1.0], [0.8, -0.2]]), shift=torch.ones(2), sigma=0.7
)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def conditioned(flow, k, y):
    """Return mean and covariance at node ``k`` given both ends, by the rule for joint normals."""
    cross = flow.covariance[k, 0] @ flow.to_end[k, 0].T
    gain = cross @ torch.linalg.inv(flow.covariance[-1, 0])
    mean = flow.mean[k, 0] + gain @ (y - flow.mean[-1, 0])
    return mean, flow.covariance[k, 0] - gain @ cross.T


@pytest.mark.parametrize("law", [Brownian(0.7), PULL])
def test_moments_at_inner_nodes(law):
    x, y = torch.tensor([[1.0, -1.0]]).double(), torch.tensor([0.5, 2.0]).double()
    flow = flow_of(law, x, uniform_grid(0.0, 2.0, 4))
    rows, ends = torch.zeros(N, dtype=torch.long), y.expand(N, 2)
    paths = sample_paths(law, flow, rows, ends, generator=generator())
    assert (paths.x[0] == x).all()
    assert (paths.x[-1] == y).all()
    assert paths.effective == pytest.approx(1)
    for k in (1, 2, 3):
        mean, covariance = conditioned(flow, k, y)
        drawn = Pinning.of(flow, k, 0.7).points(rows, ends, generator=generator(k)).x
        spread = covariance.diagonal().sqrt()
        for sample in (paths.x[k], drawn):
            assert ((sample.mean(0) - mean).abs() < 4 * spread / N**0.5).all()
            assert ((sample.T.cov() - covariance).abs() < 6 * spread.max() ** 2 / N**0.5).all()


def test_a_brownian_path_heads_for_its_end():
    law, y = Brownian(0.7), torch.tensor([0.5, 2.0]).double()
    flow = flow_of(law, torch.zeros(1, 2).double(), uniform_grid(0.0, 2.0, 4))
    rows, ends = torch.zeros(50, dtype=torch.long), y.expand(50, 2)
    paths = sample_paths(law, flow, rows, ends, generator=generator())
    for k, t in enumerate((0.0, 0.5, 1.0, 1.5)):
        torch.testing.assert_close(paths.velocity[k], (y - paths.x[k]) / (2 - t))
    drawn = Pinning.of(flow, 3, 0.7).points(rows, ends, generator=generator())
    # the bounded part is the mean velocity of the pair
    torch.testing.assert_close(drawn.rate, ends / 2)


def test_rate_and_score_make_up_the_drift_of_the_pinned_process():
    y = torch.tensor([0.5, 2.0]).double()
    flow = flow_of(PULL, torch.ones(1, 2).double(), uniform_grid(0.0, 2.0, 4))
    rows = torch.zeros(50, dtype=torch.long)
    drawn = Pinning.of(flow, 3, 0.7).points(rows, y.expand(50, 2), generator=generator())
    found = drawn.rate + 0.75 * 0.49 * drawn.score
    rest = flow_of(PULL, drawn.x, (1.5, 2.0))
    pull = rest.to_end[0, 0].T @ torch.linalg.inv(rest.covariance[-1, 0])
    torch.testing.assert_close(found, 0.49 * (y - rest.mean[-1]) @ pull.T)


def test_importance_weights_have_mean_one():
    law = LotkaVolterra(1.0, 0.4, 0.4, 0.1, sigma=0.2)
    flow = flow_of(law, torch.tensor([[5.0, 4.0]]).double(), uniform_grid(0.0, 0.5, 5))
    rows = torch.zeros(N, dtype=torch.long)
    x = _unconditioned(flow, rows, generator())
    weights = log_weights(law, flow, rows, x).exp()
    assert abs(weights.mean() - 1) < 4 * weights.std() / N**0.5
    assert (log_weights(PULL, flow, rows, x) == 0).all()


def test_weights_of_a_nonlinear_reference_keep_the_pairs():
    law = LotkaVolterra(1.0, 0.4, 0.4, 0.1, sigma=0.2)
    x = 4 + 0.1 * normal(3, 2, seed=0)
    flow = flow_of(law, x, uniform_grid(0.0, 2.0, 12))
    rows = torch.tensor([0, 1, 2, 1])
    paths = sample_paths(law, flow, rows, flow.mean[-1, rows], generator=generator())
    n_draws = paths.x.shape[1] // 4
    per_pair = paths.weights.reshape(n_draws, 4).sum(0)
    torch.testing.assert_close(per_pair, torch.full((4,), 0.25).double())
    assert 1 / n_draws <= paths.effective < 1
