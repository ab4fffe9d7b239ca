"""What each process of a training does: a script that trains, and says what it came to."""

import json
import os
import sys
from pathlib import Path

import torch
from pytorch_lightning.loggers import CSVLogger

import celltraj as ct
from celltraj import TrainingError
from celltraj.models import TrainerOptions, Training
from celltraj.models.networks import mlp
from celltraj.models.training.batches import Draws
from celltraj.models.training.checkpoint import digest
from celltraj.models.training.module import Job, train
from celltraj.models.training.options import Schedule

SIZE = 16  # points of a step


class Waves(Draws):
    """Draw points of a sine."""

    def __init__(self, n_steps, seed=0):
        super().__init__(n_steps, torch.Generator().manual_seed(seed))

    def draw(self, number, n_steps):
        x = 3 * torch.randn(n_steps, SIZE, 1, generator=self.generator)
        return [(one, one.sin()) for one in x]

    def aside(self, n_steps, generator):
        return Waves(n_steps, generator.initial_seed())


def squared_error(network, points):
    return (network(points[0]) - points[1]).square().mean()


def trained(n_steps, trainer, loss=squared_error, validation=None, **options):
    network = mlp(1, 1, width=8, generator=torch.Generator().manual_seed(0))
    return train(
        Job(network, Waves(n_steps), loss, validation=validation),
        Training(trainer=trainer, **options),
        Schedule(n_steps, SIZE, 1e-2, n_steps),
        progress=True,
    )


def told(network, losses=()):
    return {"digest": digest(list(network.state_dict().values())), "losses": list(losses)}


def results(folder, rank, n):
    """Return what this process comes to, the ``rank``-th of ``n``."""
    alike = {"accelerator": "cpu"} | ({"strategy": "ddp", "devices": n} if n > 1 else {})

    def trainer(**options):
        return TrainerOptions(**alike | options)

    def lost(network, points):
        # where the process that sees the worst of it is not the one that decides
        is_bad = len(calls) == 70 and rank == n - 1
        calls.append(points)
        return squared_error(network, points) * (float("nan") if is_bad else 1.0)

    # only the first process finds that nothing improves
    values = iter([3.0, 2.0, 2.5, 2.5] if rank == 0 else [4.0, 3.0, 2.0, 1.0, 0.0])
    calls = []
    log = CSVLogger(folder / str(rank))
    written = trainer(checkpoint=folder / "run", checkpoint_every=50, logger=log)
    found = {"whole": told(*trained(200, written))}
    resumed = trainer(checkpoint=folder / "run", resume=True)
    found["again"] = told(*trained(200, resumed))
    found["stopped"] = told(
        *trained(1000, trainer(), validation=lambda network: next(values), patience=1)
    )
    try:
        trained(200, trainer(), lost)
    except TrainingError as error:
        found["lost"] = told(error.result) | {"message": str(error).split(",", 1)[0]}
    return found


def flow_of(n):
    """Return what a flow of an AnnData comes to in each of ``n`` processes."""
    adata = ct.datasets.branching(n_cells=40, seed=0)
    adata = adata[adata.obs["time"] <= 1].copy()
    where = {"strategy": "ddp", "devices": n} if n > 1 else {}
    trainer = TrainerOptions(accelerator="cpu", **where)
    short = Training(max_steps=50, batch_size=SIZE, width=8, trainer=trainer)
    options = {"interpolant": ct.models.SplineInterpolant(), "growth": None, "progress": False}
    flow = ct.tl.fit_flow(adata, training=short, **options)
    return told(flow.heads, flow.losses)


def main():
    folder, rank, n = Path(sys.argv[1]), os.environ["RANK"], int(os.environ["WORLD_SIZE"])
    found = flow_of(n) if sys.argv[2:] == ["flow"] else results(folder, int(rank), n)
    (folder / f"{rank}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main()
