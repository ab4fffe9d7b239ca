"""A GPU against the CPU: first whether both say the same, then what each of them takes.

Models are fitted on the CPU, small, and asked there and on the device. What is deterministic must
agree to rounding of float32, in which networks compute; an SDE draws other noise on another device
and is compared by the means and standard deviations of its end, in standard errors. Losses are of
two trainings on the same points; couplings and their sums are float64 on both. Then an ODE of a
million cells is followed and a network of width 1,024 trained, on the device and, in part, on the
CPU. Last 20,000 cells a side are coupled, on the device by sweeps over every pair, on the CPU by
the solver that is made for so many; and on the device ten times as many.

``--device cpu`` compares the CPU with itself, in small: it checks this script.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import pandas as pd
import torch
from anndata import AnnData
from torch import Tensor

import celltraj as ct
from benchmarks._report import parser, report
from celltraj.models.flow.likelihood import log_density

TIMES = (0.0, 1.5, 3.0)
SILENT = {"progress": False}


@dataclass(frozen=True)
class Sizes:
    """Say how much is checked and timed: cells, steps, what is followed, trained and coupled."""

    n_cells: int
    n_steps: int
    n_followed: int
    n_wide: int
    width: int
    n_coupled: int


SMALL = Sizes(n_cells=40, n_steps=100, n_followed=2_000, n_wide=50, width=64, n_coupled=300)
WHOLE = Sizes(
    n_cells=400, n_steps=500, n_followed=1_000_000, n_wide=1_000, width=1_024, n_coupled=20_000
)
DTYPES = {"float32": torch.float32, "float64": torch.float64}


def moved(model: object, part: str, device: str) -> object:
    """Return a model whose network, the attribute ``part``, is on the device."""
    return replace(model, **{part: copy.deepcopy(getattr(model, part)).to(device)})


def fit(adata: AnnData, device: str, **options: int) -> ct.models.FlowMatching:
    """Return a flow that is trained on the device."""
    accelerator = "cpu" if device == "cpu" else "gpu"
    trainer = ct.models.TrainerOptions(accelerator=accelerator)
    training = ct.models.Training(trainer=trainer, **options)
    return ct.tl.fit_flow(adata, training=training, growth=None, seed=0, **SILENT)


def distance(a: Tensor, b: Tensor) -> float:
    """Return the greatest difference, in standard deviations of the values."""
    a, b = a.double().cpu(), b.double().cpu()
    return float((a - b).abs().max() / b.std())


def moments_apart(a: Tensor, b: Tensor) -> float:
    """Return how far means and deviations of samples ``(n, d)`` differ, in standard errors."""
    a, b = a.double().cpu(), b.double().cpu()
    error = b.std(0) * (2 / len(b)) ** 0.5
    return float(torch.stack([a.mean(0) - b.mean(0), a.std(0) - b.std(0)]).abs().div(error).max())


def checks(adata: AnnData, sizes: Sizes) -> Iterator[tuple[str, Callable[[str], Tensor], float]]:
    """Yield what is asked on either device, and how far answers may be apart."""
    flow = fit(adata, "cpu", max_steps=sizes.n_steps)
    x, later = (torch.from_numpy(adata[adata.obs["time"] == t].X) for t in (0, 2))

    def losses(device: str) -> Tensor:
        return torch.tensor(fit(adata, device, max_steps=sizes.n_steps).losses).log()

    yield "training, log of the losses", losses, 0.1
    for name, dtype in DTYPES.items():
        for ode in (True, False):
            kind = "ODE" if ode else "SDE"
            bound = 1e-2 if ode else 5.0
            yield f"simulate, {kind}, {name}", _ends(flow, x.to(dtype), ode=ode), bound

    def densities(device: str) -> Tensor:
        points = later[:20].double().to(device)
        there = moved(flow, "heads", device)
        seed = torch.Generator().manual_seed(0)
        return log_density(there, 2.0, points, _normal_log_density, generator=seed)

    yield "log_density", densities, 1e-2
    yield "bridge, drift and score", _bridge(adata, x, sizes.n_steps), 1e-2
    yield "response", _response(sizes), 1e-2
    yield from _couplings(clouds(2 * sizes.n_cells, 5))


def clouds(n: int, d: int) -> ct.ot.SquaredEuclidean:
    """Return the cost between ``n`` cells and as many that have moved, ``d`` variables each."""
    seed = torch.Generator().manual_seed(0)
    x, y = (torch.randn(n, d, dtype=torch.float64, generator=seed) for _ in range(2))
    return ct.ot.SquaredEuclidean(x, y + 0.5)


def _couplings(
    cost: ct.ot.SquaredEuclidean,
) -> Iterator[tuple[str, Callable[[str], Tensor], float]]:
    n = cost.shape[0]
    weights = torch.full((n,), 1 / n, dtype=torch.float64)
    epsilon = 0.05 * cost.mean()
    found = ct.ot.solve(cost, weights, weights, epsilon=epsilon)
    ones = torch.ones(n, dtype=torch.float64)

    def sinkhorn(device: str) -> Tensor:
        solver = ct.ot.Sinkhorn(tol=1e-9, device=device)
        return n * solver(cost, weights, weights, epsilon=epsilon).pull(cost.y).to(device)

    yield "push", lambda device: found.push(ones.cumsum(0).to(device)), 1e-6
    yield "pull", lambda device: found.pull(cost.y.to(device)), 1e-6
    yield "unseen cells, c-transform", lambda d: found.extend(cost, device=d).to(d), 1e-9
    yield "Sinkhorn", sinkhorn, 1e-6


def _normal_log_density(x: Tensor) -> Tensor:
    return -0.5 * x.square().sum(1)


def _ends(flow: ct.models.FlowMatching, x: Tensor, *, ode: bool) -> Callable[[str], Tensor]:
    def ends(device: str) -> Tensor:
        there = moved(flow, "heads", device)
        generator = torch.Generator().manual_seed(0)
        many = x.repeat(-(-400 // len(x)), 1).to(device)
        law = there if ode else there.with_noise(flow.interpolant.sigma)
        return ct.models.simulate(law, many, TIMES, ode=ode, generator=generator).x[-1]

    return ends


def _bridge(adata: AnnData, x: Tensor, n_steps: int) -> Callable[[str], Tensor]:
    training = ct.models.Training(
        max_steps=n_steps, trainer=ct.models.TrainerOptions(accelerator="cpu")
    )
    bridge = ct.tl.fit_bridge(adata, training=training, growth=None, seed=0, **SILENT)

    def found(device: str) -> Tensor:
        there = replace(bridge, field=moved(bridge.field, "heads", device))
        points = x.to(device)
        return torch.cat([there.drift(0.5, points), there.score(0.5, points)])

    return found


def _response(sizes: Sizes) -> Callable[[str], Tensor]:
    adata = ct.datasets.interacting_populations(n_populations=5, n_cells=sizes.n_cells, seed=0)
    keys = {"population_key": "population", "condition_key": "condition", "control": "before"}
    training = ct.models.Training(
        max_steps=sizes.n_steps, trainer=ct.models.TrainerOptions(accelerator="cpu")
    )
    model = ct.tl.fit_response(adata, **keys, training=training, seed=0, **SILENT)
    rows = (adata.obs["condition"] == "before") & (adata.obs["population"] == "population 0")
    cells = torch.from_numpy(adata[rows].X)

    def found(device: str) -> Tensor:
        there = moved(model, "network", device)
        condition = ct.models.Condition(("after",))
        seed = torch.Generator().manual_seed(0)
        return there.respond(cells.to(device), condition, generator=seed).x

    return found


def checked(adata: AnnData, device: str, sizes: Sizes) -> Iterator[dict[str, object]]:
    """Yield how far each answer of the device is from that of the CPU."""
    for name, ask, bound in checks(adata, sizes):
        here, there = ask("cpu"), ask(device)
        measure = moments_apart if ", SDE," in name else distance
        apart = measure(there, here)
        is_there = there.device.type == torch.device(device).type or "training" in name
        yield {"what": name, "apart": apart, "bound": bound, "passed": apart <= bound and is_there}


def timed(adata: AnnData, device: str, sizes: Sizes) -> Iterator[dict[str, object]]:
    """Yield seconds of the device and, for a hundredth of the work, of the CPU."""
    flow = fit(adata, "cpu", max_steps=sizes.n_steps)
    x = torch.from_numpy(adata[adata.obs["time"] == 0].X).float()
    for where, share in (("cpu", 100), (device, 1)):  # of cells; a tenth of the steps
        there = moved(flow, "heads", where)
        n = max(sizes.n_followed // share, 1)
        many = x.repeat(-(-n // len(x)), 1)[:n].to(where)

        def follow(there: object = there, many: Tensor = many) -> None:
            ct.models.simulate(there, many, TIMES, ode=True, generator=torch.Generator())

        yield {"what": "simulate, ODE", "on": where, "n": n, "seconds": _seconds(follow)}
        wide = sizes.n_wide // min(share, 10)
        seconds = [
            _seconds(lambda n=n, where=where: fit(adata, where, max_steps=n, width=sizes.width))
            for n in (1, wide + 1)  # the difference is without couplings and checks
        ]
        what = f"training, width {sizes.width}, steps"
        yield {"what": what, "on": where, "n": wide, "seconds": seconds[1] - seconds[0]}
    yield from _timed_couplings(device, sizes.n_coupled)


def _timed_couplings(device: str, n: int) -> Iterator[dict[str, object]]:
    there = ct.ot.Sinkhorn(tol=1e-3, device=device)
    plans = (("cpu", n, ct.ot.Multiscale()), (device, n, there), (device, 10 * n, there))
    for where, n_cells, solver in plans:
        cost = clouds(n_cells, 50)
        weights = torch.full((n_cells,), 1 / n_cells, dtype=torch.float64)
        epsilon = 0.05 * cost.mean()
        begun = time.perf_counter()
        found = solver(cost, weights, weights, epsilon=epsilon)
        seconds = time.perf_counter() - begun
        what = f"{type(solver).__name__}, cells a side"
        yield {"what": what, "on": where, "n": n_cells, "seconds": seconds}
        ones = torch.ones(n_cells, dtype=torch.float64, device=where)
        again = _seconds(lambda found=found, ones=ones: found.push(ones))
        yield {"what": "push, cells a side", "on": where, "n": n_cells, "seconds": again}


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def main(argv: list[str] | None = None) -> None:
    """Run the benchmark."""
    options = parser(__doc__)
    options.add_argument("--device", help="by default cuda", default="cuda")
    chosen = options.parse_args(argv)
    if chosen.device != "cpu" and not torch.cuda.is_available():
        print("torch finds no GPU here: nothing is checked. --device cpu checks this script.")
        return
    sizes = SMALL if chosen.device == "cpu" else WHOLE
    adata = ct.datasets.branching(n_cells=sizes.n_cells, seed=0)
    found = pd.DataFrame(list(checked(adata, chosen.device, sizes)))
    report("gpu", found, found.set_index("what"), chosen.out)
    if not found["passed"].all():
        raise SystemExit(f"{chosen.device} and CPU differ: {list(found['what'][~found['passed']])}")
    seconds = pd.DataFrame(list(timed(adata, chosen.device, sizes)))
    seconds["per_second"] = seconds["n"] / seconds["seconds"]
    report("gpu_times", seconds, seconds.set_index(["what", "on"]), chosen.out)


if __name__ == "__main__":
    main()
