"""What each process of a training does: a script that fits a flow, and says what it came to."""

import json
import os
import sys
from pathlib import Path

import torch

import celltraj as ct
from celltraj import TrainingError
from celltraj.models.training.checkpoint import digest

OUT, N = Path(sys.argv[1]), int(os.environ.get("WORLD_SIZE", "1"))


def fit(name, lost=1.0, **options):
    where = {"accelerator": "cpu", "checkpoint": OUT / name, "checkpoint_every": 50}
    if N > 1:
        where |= {"strategy": "ddp", "devices": N}
    where["resume"] = options.pop("resume", False)
    training = ct.models.Training(
        batch_size=64, width=16, trainer=ct.models.TrainerOptions(**where), **options
    )
    adata = ct.datasets.branching(n_cells=60, seed=0)
    adata.X = lost * adata.X
    return ct.tl.fit_flow(adata, training=training, seed=0, growth=None, progress=N > 1)


def written(network):
    return {"digest": digest(list(network.state_dict().values()))}


def main():
    whole = fit("whole", max_steps=100)
    found = {"whole": written(whole.heads) | {"losses": whole.losses}}
    longer = fit("stopped", max_steps=1000, patience=1)
    found["stopped"] = written(longer.heads) | {"losses": longer.losses}
    again = fit("whole", max_steps=100, resume=True)
    found["again"] = written(again.heads) | {"losses": again.losses}
    try:
        fit("lost", max_steps=100, learning_rate=1e30)
    except TrainingError as error:
        found["lost"] = written(error.result) | {"message": str(error).split(",", 1)[0]}
    found["threads"] = torch.get_num_threads()
    rank = os.environ.get("RANK", "0")
    (OUT / f"{rank}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main()
