"""Classes of a user, as one would write them in a notebook: nothing but what is public."""

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.sparse import coo_array, csr_array

import celltraj as ct


@dataclass(frozen=True)
class Annealed:
    """Sinkhorn in a few lines, at falling epsilons."""

    n_sweeps: int = 300
    is_balanced: bool = True

    def __call__(self, cost, a, b, *, epsilon):
        matrix, g = cost.dense(), torch.zeros_like(b)
        for k in (9, 3, 1):
            scale = k * epsilon
            for _ in range(self.n_sweeps):
                f = scale * (a.log() - torch.logsumexp((g - matrix) / scale, 1))
                g = scale * (b.log() - torch.logsumexp((f[:, None] - matrix) / scale, 0))
        return ct.ot.Coupling.of(cost, (f, g), (a, b), epsilon=epsilon)


@dataclass(frozen=True)
class Monotone:
    """Couple cells in the order of their first variable: a plan without potentials."""

    is_balanced: bool = True

    def __call__(self, cost, a, b, *, epsilon):
        i, j = cost.x[:, 0].argsort().numpy(), cost.y[:, 0].argsort().numpy()
        ends = [np.cumsum(w.numpy()[order])[:-1] for w, order in ((a, i), (b, j))]
        cuts = np.sort(np.concatenate([[0.0], *ends, [float(a.sum())]]))
        middle, mass = (cuts[1:] + cuts[:-1]) / 2, np.diff(cuts)
        rows, columns = (
            order[np.searchsorted(e, middle)] for e, order in zip(ends, (i, j), strict=True)
        )
        plan = csr_array(coo_array((mass, (rows, columns)), shape=cost.shape))
        return ct.ot.PlanCoupling(plan, cost, a, b)


@dataclass(frozen=True)
class Forgiving:
    """Scaling for relaxed marginals (Chizat et al., 2018), with the entropy relative to weights."""

    tau: float = 0.9
    n_sweeps: int = 500
    is_balanced: bool = False

    def __call__(self, cost, a, b, *, epsilon, base=None):
        base = a if base is None else base
        kernel = base[:, None] * b * (-cost.dense() / epsilon).exp()
        r, c = torch.ones_like(a), torch.ones_like(b)
        for _ in range(self.n_sweeps):
            # nothing over nothing where a cell has no weight
            r = (a / (kernel @ c)).nan_to_num() ** self.tau
            c = (b / (kernel.T @ r)).nan_to_num() ** self.tau
        return ct.ot.SparseCoupling(csr_array((r[:, None] * kernel * c).numpy()))


@dataclass(frozen=True)
class Decay:
    """Return to one level: ``dx = rate (level - x) dt + sigma dW``."""

    rate: float | None = None
    level: float | None = None
    sigma: float | None = None

    @property
    def is_fitted(self):
        return self.rate is not None

    def drift(self, t, x):
        if self.rate is None:
            raise ValueError("Decay has no rate yet; fit it first")
        return self.rate * (self.level - x)

    def diffusion(self, t, x):
        return torch.full_like(x, self.sigma)

    def estimates(self):
        return {"rate": self.rate, "level": self.level}

    def fit(self, paths, *, generator):
        x = torch.cat([path.x[:-1].reshape(-1, 1) for path in paths])
        v = torch.cat([path.velocity.reshape(-1, 1) for path in paths])
        design = torch.cat([torch.ones_like(x), -x], 1)
        push, rate = torch.linalg.lstsq(design, v).solution[:, 0].tolist()
        return replace(self, rate=rate, level=push / rate)


@dataclass(frozen=True)
class Waves:
    """Embed a population by the mean of random waves, which the training tunes."""

    n_features: int = 5

    def features(self, x):
        return x.float()

    def build(self, dim, *, generator):
        return WavesNetwork(0.2 * torch.randn(dim, self.n_features, generator=generator))


class WavesNetwork(torch.nn.Module):
    def __init__(self, frequencies):
        super().__init__()
        self.frequencies = torch.nn.Parameter(frequencies)

    def forward(self, features, mask):
        cells = torch.where(mask[:, :, None], features, 0.0)
        waves = torch.sin(cells @ self.frequencies + 1)
        waves = torch.where(mask[:, :, None], waves, 0.0)
        return waves.sum(1) / mask.sum(1, keepdim=True)


@dataclass(frozen=True)
class Easing:
    """Leave slowly and arrive slowly, with the noise of a Brownian bridge."""

    sigma: float | None = None

    def fit(self, times, chain, gap, *, sigma):
        return replace(self, sigma=sigma)

    def curves(self, times, chain, gap):
        path = torch.arange(len(gap))
        return EasingCurves(times[gap], times[gap + 1], chain[gap, path], chain[gap + 1, path])

    def noise(self, times, t):
        k = (torch.searchsorted(times, t, right=True) - 1).clamp(0, len(times) - 2)
        length = times[k + 1] - times[k]
        s = (t - times[k]) / length
        return self.sigma * (length * s * (1 - s)).sqrt(), self.sigma**2 * (1 - 2 * s) / 2


@dataclass(frozen=True)
class EasingCurves:
    start: torch.Tensor
    stop: torch.Tensor
    x0: torch.Tensor
    x1: torch.Tensor

    def at(self, rows, t):
        length = (self.stop - self.start)[rows, None]
        s = (t - self.start[rows])[:, None] / length
        way = self.x1[rows] - self.x0[rows]
        x = self.x0[rows] + (1 - torch.cos(math.pi * s)) / 2 * way
        return x, math.pi / 2 * torch.sin(math.pi * s) * way / length
