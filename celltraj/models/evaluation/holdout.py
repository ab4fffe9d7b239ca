"""What is known about a held-out snapshot without a model.

The trivial predictions share one set of chains: each cell before the held-out time is followed
through all training snapshots, from cell to cell by the exact transport plan of each gap. A
straight line, a cubic spline and a monotone cubic through each chain are three predictions.

In many dimensions cells are further from each other than from the mean of all, and W1 is less of a
prediction that is narrower than the truth; the energy distance is not. A fourth prediction shows
how much there is in that: the straight lines, drawn together as far as two halves of a training
snapshot cannot be told from noise.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.interpolate import CubicSpline, PchipInterpolator
from scipy.sparse import csr_array

from celltraj.metrics import wasserstein
from celltraj.ot import exact_matching
from celltraj.ot.sampling import draw_partners
from celltraj.snapshots import Snapshots

PREVIOUS = "previous"
DISPLACEMENT, SHRUNK = "displacement", "displacement_shrunk"
TRIVIAL = (PREVIOUS, "next", "mixture", DISPLACEMENT, "chain_cubic", "chain_pchip", SHRUNK)
MANY_DIMENSIONS = 10  # above them SHRUNK stands beside the others


def exact_plans(train: Snapshots) -> tuple[csr_array, ...]:
    """Return the plan of least mean squared displacement of each gap.

    Parameters
    ----------
    train
        ``T`` observed clouds.

    Returns
    -------
    ``T - 1`` sparse plans ``(n_k, n_{k+1})`` with rows = earlier time.

    Examples
    --------
    >>> import torch
    >>> from celltraj.snapshots import Snapshots
    >>> from celltraj.models.evaluation.holdout import exact_plans
    >>> x = torch.tensor([[0.0], [1.0]])
    >>> exact_plans(Snapshots((0.0, 1.0), (x, x + 5)))[0].toarray()
    array([[0.5, 0. ],
           [0. , 0.5]])
    """
    x, w = [cloud.numpy() for cloud in train.x], [weight.numpy() for weight in train.weights]
    # a vertex of the transport polytope has at most n + m - 1 entries
    return tuple(csr_array(exact_matching(x[k], x[m], w[k], w[m])) for k, m in train.pairs())


def trivial_predictions(
    train: Snapshots, plans: Sequence[csr_array], time: float, *, seed: int
) -> dict[str, np.ndarray]:
    """Predict the cells at ``time`` from the training snapshots without fitting a model.

    With ``t0 < time < t1`` the neighbouring snapshots and ``s = (time - t0) / (t1 - t0)``:

    - ``previous``, ``next``: the cells at ``t0``, at ``t1``;
    - ``mixture``: cells of both, shares ``1 - s`` and ``s``;
    - ``displacement``: ``(1 - s) x0 + s x1`` along the exact plan;
    - ``chain_cubic``, ``chain_pchip``: a natural cubic spline, a monotone cubic through the chain
      of each cell over *all* training snapshots at their true times;
    - ``displacement_shrunk``, above 10 dimensions: ``m + c (x - m)`` with the cells ``x`` of
      ``displacement``, their mean ``m``, and ``c^2`` the share of the variance of the neighbouring
      snapshots that is no noise, where ``W2^2 / 2`` between their random halves is.

    Every cell at ``t0`` starts one chain, as it starts one simulated path of a model.

    Parameters
    ----------
    train
        Observed clouds, without the one at ``time``.
    plans
        Result of :func:`exact_plans` for ``train``.
    time
        Held-out time, in the unit of ``train.times``.
    seed
        Seed of the mixture and of the chains.

    Returns
    -------
    The predicted cells ``(n, d)`` by name.

    Raises
    ------
    ValueError
        ``time`` does not lie strictly inside the training times.

    References
    ----------
    Schiebinger et al. (2019) for displacement along transport; Fritsch & Butland (1984) for the
    monotone cubic.

    Examples
    --------
    >>> import torch
    >>> from celltraj.snapshots import Snapshots
    >>> from celltraj.models.evaluation.holdout import exact_plans, trivial_predictions
    >>> train = Snapshots((0.0, 2.0), (torch.zeros(3, 2), torch.ones(3, 2)))
    >>> trivial_predictions(train, exact_plans(train), 0.5, seed=0)["displacement"][0]
    array([0.25, 0.25])
    """
    if not train.times[0] < time < train.times[-1] or time in train.times:
        raise ValueError(f"time {time:g} must lie strictly between training times {train.times}")
    rng = np.random.default_rng(seed)
    k = train.gap_of(time)
    s = (time - train.times[k]) / train.gaps[k]
    before, after = train.x[k].numpy(), train.x[k + 1].numpy()
    chains = sample_chains(train, plans, start=k, rng=rng)
    found = {
        PREVIOUS: before,
        "next": after,
        "mixture": _mixture(before, after, s, rng),
        DISPLACEMENT: (1 - s) * chains[k] + s * chains[k + 1],
        "chain_cubic": CubicSpline(train.times, chains, bc_type="natural")(time),
        "chain_pchip": PchipInterpolator(train.times, chains)(time),
    }
    if train.dim > MANY_DIMENSIONS:
        known = float(np.mean([_known_share(x, rng) for x in (before, after)]))
        mean = found[DISPLACEMENT].mean(0)
        found[SHRUNK] = mean + known**0.5 * (found[DISPLACEMENT] - mean)
    return found


def sample_chains(
    train: Snapshots, plans: Sequence[csr_array], *, start: int, rng: np.random.Generator
) -> np.ndarray:
    """Follow every cell of snapshot ``start`` forwards and backwards along the plans.

    Given the current cell ``i``, the next one is ``j`` with probability ``P_ij / sum_j P_ij``:
    a chain is Markov in both directions, so it may be entered at any snapshot.

    Parameters
    ----------
    train
        ``T`` observed clouds.
    plans
        Result of :func:`exact_plans`.
    start
        Index of the snapshot whose ``n`` cells each start a chain.
    rng
        Source of randomness.

    Returns
    -------
    ``(T, n, d)`` states.
    """
    cells = {start: np.arange(len(train.x[start]))}
    for k in range(start, len(plans)):
        cells[k + 1] = draw_partners(plans[k], cells[k], rng.random(len(cells[k])))
    for k in range(start, 0, -1):
        cells[k - 1] = draw_partners(csr_array(plans[k - 1].T), cells[k], rng.random(len(cells[k])))
    return np.stack([x.numpy()[cells[k]] for k, x in enumerate(train.x)])


def _known_share(x: np.ndarray, rng: np.random.Generator) -> float:
    """Return the share of the variance of ``x (n, d)`` by which halves agree; 1 of one cell."""
    total, half = float(x.var(0).sum()), len(x) // 2
    if half == 0 or total == 0:
        return 1.0
    order = rng.permutation(len(x))
    noise = wasserstein(x[order[:half]], x[order[half:]], order=2) ** 2 / 2
    return max(0.0, 1 - noise / total)


def _mixture(
    before: np.ndarray, after: np.ndarray, s: float, rng: np.random.Generator
) -> np.ndarray:
    """Draw without replacement, as many as the smaller snapshot has, in shares 1 - s and s."""
    n = min(len(before), len(after))
    n_after = int(np.clip(round(s * n), 1, max(n - 1, 1)))
    parts = (before, n - n_after), (after, n_after)
    return np.concatenate([cells[rng.permutation(len(cells))[:size]] for cells, size in parts])
