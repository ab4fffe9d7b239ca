"""Conditioned paths and composed laws, against laws whose answer is known.

``far``: an Ornstein-Uhlenbeck process conditioned on a state four standard deviations out: mean of
the conditioned end and log of its probability beside the closed form, for our estimate of what a
path is worth, the reward at the end of the ODE as published, and none at all. ``wells``: the
probability of the other of two wells, beside a backward equation. ``pair``: two drugs together from
each alone where all laws are known: one kills a state or moves both apart, one moves both.
``screen``: the same from flows fitted to single drugs of ``ct.datasets.drug_screen``. W1 of samples
of one size, beside the floor between two samples of the truth. Errors are root mean squares over
seeds. One thread; ``benchmarks/README.md`` explains rows and columns.
"""

from __future__ import annotations

import math
import time
from argparse import Namespace
from collections.abc import Callable, Iterator

import anndata as ad
import numpy as np
import pandas as pd
import torch
from scipy.sparse import diags_array, eye_array
from scipy.sparse.linalg import splu
from torch import Tensor

import celltraj as ct
from benchmarks._report import add_seeds, parser, report
from celltraj.metrics import wasserstein
from celltraj.models import (
    Composed,
    OrnsteinUhlenbeck,
    QuadraticReward,
    Worth,
    add_moves,
    condition,
    simulate,
)
from celltraj.models.conditioning.group_reward import GroupReward
from celltraj.models.conditioning.look_ahead import Blind

STOP = 1.0
SD = math.sqrt((1 - math.exp(-2 * STOP)) / 2)
DISTANCE, WIDTH = 4 * SD, 0.1 * SD
WELLS = ((0.5, 5.0), (0.5, 3.0), (0.3, 3.0))  # noise and duration
SPREAD = 0.3  # of a state of the known pair
MEANS = torch.tensor([[-1.0, 0.0], [1.0, 0.0]], dtype=torch.float64)
STILL = torch.zeros(2, 2, dtype=torch.float64)
ACROSS = torch.tensor([[0.0, 1.0], [0.0, 1.0]], dtype=torch.float64)
APART = torch.tensor([[0.0, 1.0], [0.0, -1.0]], dtype=torch.float64)
INWARDS = torch.tensor([[1.0, 0.0], [1.0, 0.0]], dtype=torch.float64)
# what the first drug does to the first state, and at which speeds each moves both
CASES = {
    "kills, shifts by 1": (2.0, STILL, ACROSS),
    "kills, shifts by 2": (2.0, STILL, 2 * ACROSS),
    "both shift, states apart": (0.0, APART, INWARDS),
}


def main(argv: list[str] | None = None) -> None:
    """Run the benchmark."""
    torch.set_num_threads(1)
    options = parser(__doc__)
    options.add_argument("--tasks", nargs="+", choices=list(TASKS), default=list(TASKS))
    options.add_argument("--particles", type=int, default=2000)
    options.add_argument("--variables", type=int, default=2, help="of the drug screen")
    options.add_argument("--steps", type=int, default=2000, help="of the training of a flow")
    add_seeds(options)
    chosen = options.parse_args(argv)
    for task in chosen.tasks:
        rows_of, by = TASKS[task]
        rows = [{"seed": seed} | row for seed in chosen.seeds for row in rows_of(chosen, seed)]
        records = pd.DataFrame(rows)
        table = records.groupby(by, sort=False).agg(_root_mean_square).drop(columns="seed")
        report(f"conditioning_{task}", records, table, chosen.out)
        records.to_csv(chosen.out / f"conditioning_{task}.csv", index=False)


def _root_mean_square(values: pd.Series) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def _seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class _Unnamed:
    """The Ornstein-Uhlenbeck process, as a law of which nothing is known."""

    def drift(self, t: float, x: Tensor) -> Tensor:
        return -x

    def diffusion(self, t: float, x: Tensor) -> Tensor:
        return torch.ones_like(x)


class _EndOfOde:
    """The reward at the end of the ODE, steered along its slope or not."""

    def __init__(self, reward: QuadraticReward, *, is_steered: bool) -> None:
        self.reward, self.is_steered = reward, is_steered

    def __call__(self, t: float, x: Tensor) -> Worth:
        left = math.exp(t - STOP)
        value = self.reward(left * x)
        slope = -left * (left * x - self.reward.target) / self.reward.width**2
        d = x.shape[1]
        return Worth(value, self.is_steered * slope, torch.zeros(1, d, d, dtype=x.dtype))


def _far(chosen: Namespace, seed: int) -> Iterator[dict]:
    """Yield a row for each way to condition a far state."""
    target = torch.tensor([DISTANCE, 0.0], dtype=torch.float64)
    reward, total = QuadraticReward(target, WIDTH), SD**2 + WIDTH**2
    log_mean = -math.log(total / WIDTH**2) - DISTANCE**2 / (2 * total)
    pull = OrnsteinUhlenbeck(matrix=-torch.eye(2), shift=torch.zeros(2), sigma=1.0)
    ways = {
        "celltraj, affine": (pull, None),
        "celltraj, any law": (_Unnamed(), None),
        "end of the ODE, resampled": (pull, _EndOfOde(reward, is_steered=False)),
        "end of the ODE, steered": (pull, _EndOfOde(reward, is_steered=True)),
        "importance weights": (pull, Blind()),
    }
    x0 = torch.zeros(chosen.particles, 2, dtype=torch.float64)
    for name, (law, look) in ways.items():
        begun = time.process_time()
        found = condition(
            law, x0, (0.0, STOP), reward=reward, look_ahead=look, generator=_seeded(seed)
        )
        mean = found.paths.weights @ found.paths.x[-1]
        yield {
            "way": name,
            "mean_off_sd": float((mean - target * SD**2 / total).norm()) / SD,
            "log_off": found.log_probability - log_mean,
            "told": found.paths.error,
            "effective": found.paths.effective,
            "ancestors": found.paths.n_ancestors,
            "cpu_s": time.process_time() - begun,
        }


class _DoubleWell:
    """Two wells, at -1 and 1."""

    def __init__(self, sigma: float) -> None:
        self.sigma = sigma

    def drift(self, t: float, x: Tensor) -> Tensor:
        return x - x**3

    def diffusion(self, t: float, x: Tensor) -> Tensor:
        return torch.full_like(x, self.sigma)


def other_well(sigma: float, stop: float, *, n: int = 1201, n_steps: int = 1000) -> float:
    """Return P(X_stop > 0) from -1: the backward equation, by Crank and Nicolson's steps."""
    x = np.linspace(-3, 3, n)
    h, dt = x[1] - x[0], stop / n_steps
    up = sigma**2 / (2 * h**2) + (x - x**3) / (2 * h)
    down = sigma**2 / (2 * h**2) - (x - x**3) / (2 * h)
    main_row = -(up + down)
    main_row[0], main_row[-1] = -up[0], -down[-1]
    law = diags_array([down[1:], main_row, up[:-1]], offsets=[-1, 0, 1])
    left = splu((eye_array(n) - dt / 2 * law).tocsc())
    u = (np.sign(x) + 1) / 2
    for _ in range(4):  # implicit half steps, which damp the jump of the end
        u = left.solve(u)
    for _ in range(n_steps - 2):
        u = left.solve(u + dt / 2 * (law @ u))
    return float(np.interp(-1.0, x, u))


def _wells(chosen: Namespace, seed: int) -> Iterator[dict]:
    """Yield a row for each noise and duration."""
    cells = torch.arange(-2.505, 2.51, 0.01, dtype=torch.float64)[:, None]
    reward = GroupReward(cells, cells[:, 0] > 0, 1)
    x0 = torch.full((chosen.particles, 1), -1.0, dtype=torch.float64)
    for sigma, stop in WELLS:
        true, begun = other_well(sigma, stop), time.process_time()
        found = condition(
            _DoubleWell(sigma),
            x0,
            (0.0, stop),
            reward=reward,
            n_steps=100,
            generator=_seeded(seed),
        )
        yield {
            "sigma": sigma,
            "stop": stop,
            "true": true,
            "relative_error": math.exp(found.log_probability) / true - 1,
            "told": found.paths.error,
            "unsteered": found.n_reached / found.n_pilot / true - 1,
            "effective": found.paths.effective,
            "ancestors": found.paths.n_ancestors,
            "cpu_s": time.process_time() - begun,
        }


class _States:
    """Two normal states of cells that each shift at a speed, the first of which may die."""

    def __init__(self, speed: Tensor = STILL, death: float = 0.0) -> None:
        self.speed = speed
        self.death = torch.tensor([death, 0.0], dtype=torch.float64)

    def _shares(self, t: float, x: Tensor) -> tuple[Tensor, Tensor]:
        away = x[:, None] - MEANS - self.speed * t
        return torch.softmax(-away.square().sum(2) / (2 * SPREAD**2) - self.death * t, 1), away

    def drift(self, t: float, x: Tensor) -> Tensor:
        return self._shares(t, x)[0] @ self.speed

    def diffusion(self, t: float, x: Tensor) -> Tensor:
        return torch.zeros_like(x)

    def score(self, t: float, x: Tensor) -> Tensor:
        shares, away = self._shares(t, x)
        return -(shares[..., None] * away).sum(1) / SPREAD**2

    def growth(self, t: float, x: Tensor) -> Tensor:
        return -self._shares(t, x)[0] @ self.death

    def draw(self, n: int, generator: torch.Generator, t: float = 1.0) -> Tensor:
        mass = torch.exp(-self.death * t)
        state = torch.multinomial(mass, n, replacement=True, generator=generator)
        noise = torch.randn(n, 2, dtype=torch.float64, generator=generator)
        return (MEANS + self.speed * t)[state] + SPREAD * noise


def _pair(chosen: Namespace, seed: int) -> Iterator[dict]:
    """Yield a row for each way to foretell two drugs whose laws are known."""
    n, g = min(chosen.particles, 1000), _seeded(seed)
    for name, (death, one, other) in CASES.items():
        first, second, control = _States(one, death), _States(other), _States()
        both = _States(one + other, death)
        x0, true, again = control.draw(n, g, 0.0), both.draw(n, g), both.draw(n, g)
        singles = [first.draw(n, g), second.draw(n, g)]
        law = Composed({first: 1, second: 1, control: -1}, noise=SPREAD)
        for row in _ways(law, x0, singles, true, again, g):
            yield {"case": name} | row


def _ways(
    law: Composed,
    x0: Tensor,
    singles: list[Tensor],
    true: Tensor,
    again: Tensor,
    g: torch.Generator,
) -> Iterator[dict]:
    """Yield W1 of each way to foretell a pair: floor, shifts added, flows added, composed."""
    shift = sum(((one.mean(0) - x0.mean(0)) for one in singles), torch.zeros_like(x0[0]))
    yield {"way": "floor", "W1": wasserstein(again, true)}
    yield {"way": "shifts added", "W1": wasserstein(x0 + shift, true)}
    yield {"way": "nothing happens", "W1": wasserstein(x0, true)}
    yield {"way": "moves of cells added", "W1": wasserstein(_moved(law, x0, g), true)}
    path = simulate(law, x0, (0.0, 1.0), generator=g)
    yield {"way": "scores added, no weights", "W1": wasserstein(path.x[-1], true)}
    begun = time.process_time()
    found = condition(law, x0, (0.0, 1.0), reward=None, generator=g)
    paths = found.paths
    # the distance is of equal cells: as many are drawn by their weights
    rows = torch.multinomial(paths.weights, len(x0), replacement=True, generator=g)
    yield {
        "way": "composed",
        "W1": wasserstein(paths.x[-1][rows], true),
        "effective": paths.effective,
        "outside": found.outside,
        "cpu_s": time.process_time() - begun,
    }


def _moved(law: Composed, x0: Tensor, g: torch.Generator) -> Tensor:
    """Return cells that make the moves of both drugs, and survive both."""
    path = add_moves(law.pairs[:2], x0, (0.0, 1.0), generator=g)
    if path.log_mass is None:
        return path.x[-1]
    shares = torch.softmax(path.log_mass[-1], 0)
    return path.x[-1][torch.multinomial(shares, len(x0), replacement=True, generator=g)]


def _screen(chosen: Namespace, seed: int) -> Iterator[dict]:
    """Yield a row for each way to foretell a killing and another drug of the screen."""
    data = ct.datasets.drug_screen(
        n_lines=1, n_drugs=3, n_cells=800, n_vars=chosen.variables, seed=seed
    )
    killing = str(data.uns["truth"]["killing_drug"])
    for other in [str(one) for one in data.uns["truth"]["drugs"] if str(one) != killing]:
        control, kills, shifts, pair = (
            _cells(data, *names) for names in (("control",), (killing,), (other,), (other, killing))
        )
        half = len(control) // 2
        begun = time.process_time()
        law = Composed(
            {
                _flow(control, kills, chosen.steps, seed, is_killing=True): 1,
                _flow(control, shifts, chosen.steps, seed): 1,
                _flow(control[:half], control[half:], chosen.steps, seed): -1,
            },
            noise=SPREAD,
        )
        fitted, n, g = time.process_time() - begun, len(pair) // 2, _seeded(seed)
        as_tensor = [torch.from_numpy(one).double() for one in (control[:n], kills, shifts, pair)]
        x0, singles, both = as_tensor[0], as_tensor[1:3], as_tensor[3]
        for row in _ways(law, x0, singles, both[:n], both[n : 2 * n], g):
            yield {"pair": f"{other} + {killing}", "fit_cpu_s": fitted} | row


def _cells(data: ad.AnnData, *drugs: str) -> np.ndarray:
    """Return the cells of a drug at dose 1, of a pair, or untreated ones, in random order."""
    obs = data.obs
    first, second = (obs[key].astype(object).fillna("") for key in ("drug_1", "drug_2"))
    given = {*drugs} | ({""} if len(drugs) == 1 else set())
    chosen = [{a, b} == given for a, b in zip(first, second, strict=True)]
    if drugs != ("control",):
        chosen &= obs["dose_1"].to_numpy(float) == 1.0
    return np.asarray(data.X)[np.asarray(chosen)]


def _flow(
    start: np.ndarray, stop: np.ndarray, steps: int, seed: int, *, is_killing: bool = False
) -> ct.models.FlowMatching:
    """Return a flow from untreated to treated cells."""
    cells = ad.AnnData(np.concatenate([start, stop]).astype("float32"))
    cells.obs["time"] = np.repeat([0.0, 1.0], [len(start), len(stop)])
    return ct.tl.fit_flow(
        cells,
        interpolant=ct.models.BrownianBridgeInterpolant(),
        sigma=SPREAD,
        growth=ct.models.LearnedGrowth() if is_killing else None,
        counts={0.0: len(start), 1.0: len(stop)} if is_killing else "proportions",
        training=ct.models.Training(max_steps=steps),
        seed=seed,
        progress=False,
    )


TASKS: dict[str, tuple[Callable[[Namespace, int], Iterator[dict]], list[str]]] = {
    "far": (_far, ["way"]),
    "wells": (_wells, ["sigma", "stop"]),
    "pair": (_pair, ["case", "way"]),
    "screen": (_screen, ["pair", "way"]),
}


if __name__ == "__main__":
    main()
