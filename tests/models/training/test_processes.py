"""Several processes come to what one comes to."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import each_process
import pytest
import torch
from pytorch_lightning.plugins.environments import SLURMEnvironment

from celltraj.models import TrainerOptions
from celltraj.models.networks import Points
from celltraj.models.training.processes import Processes

SCRIPT = Path(each_process.__file__)
TORCHRUN = {"TORCHELASTIC_RUN_ID": "test", "GROUP_RANK": "0", "MASTER_ADDR": "127.0.0.1"}


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return str(one.getsockname()[1])


def run(folder, environments):
    """Run the script once in each environment, at the same time; return what each says."""
    folder.mkdir()
    plain = {k: v for k, v in os.environ.items() if not k.startswith(("SLURM_", "PYTEST_"))}
    plain |= {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    children = [
        subprocess.Popen(
            [sys.executable, SCRIPT, folder], env=plain | one, stderr=subprocess.PIPE, text=True
        )
        for one in environments
    ]
    try:
        said = [child.communicate(timeout=120)[1] for child in children]
    finally:
        for child in children:
            child.kill()
    assert [child.returncode for child in children] == [0] * len(children), "\n".join(said)
    return [json.loads((folder / f"{k}.json").read_text()) for k in range(len(children))], said


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Return what one process comes to, what each of two do and print, and their folder."""
    folder = tmp_path_factory.mktemp("processes")
    both = TORCHRUN | {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_PORT": free_port()}
    two, said = run(folder / "two", [both | {"RANK": k, "LOCAL_RANK": k} for k in "01"])
    return each_process.results(folder / "one", 0, 1), two, said, folder / "two"


def test_two_processes_have_the_losses_of_one(runs):
    alone, (first, second), *_ = runs
    assert first == second  # every loss and weight, to the last bit
    # the same points, in another order of sums
    assert first["whole"]["losses"] == pytest.approx(alone["whole"]["losses"], rel=1e-3)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::celltraj.FitWarning")
def test_a_script_under_torchrun_fits_a_flow(tmp_path):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    subprocess.run([*command, SCRIPT, tmp_path, "flow"], env=env, check=True, timeout=300)
    first, second = (json.loads((tmp_path / f"{k}.json").read_text()) for k in range(2))
    assert first == second
    assert first["losses"] == pytest.approx(each_process.flow_of(1)["losses"], rel=1e-3)


def test_the_first_of_two_processes_decides_when_to_stop(runs):
    _, both, *_ = runs
    assert [len(one["stopped"]["losses"]) for one in both] == [750, 750]


def test_what_one_of_two_processes_loses_both_lose_at_that_step(runs):
    alone, (first, second), *_ = runs
    assert first["lost"] == second["lost"]
    assert first["lost"]["message"] == "the loss became nan at step 71 of 200"
    assert first["lost"]["message"] == alone["lost"]["message"]


def test_the_first_of_two_processes_writes_and_both_go_on_from_it(runs):
    _, (first, _), said, folder = runs
    assert first["again"] == first["whole"]
    assert {path.name for path in (folder / "run").iterdir()} == {"training.safetensors"}
    assert {path.name for path in folder.iterdir()} == {"0", "0.json", "1.json", "run"}
    assert "training: 100%" in said[0]
    assert "training:" not in said[1]


def test_parts_of_a_step_are_the_step():
    step = Points(*(torch.arange(12.0).reshape(6, 2) + k for k in range(8)))
    parts = [Processes(k, 3).share(step) for k in range(3)]
    assert all(isinstance(part, Points) for part in parts)
    for whole, *shared in zip(step, *parts, strict=True):
        assert torch.equal(torch.cat(shared), whole)
    with pytest.raises(ValueError, match="4 processes cannot share 6 points"):
        Processes(0, 4).share(step)


def test_processes_that_nobody_started_are_refused(monkeypatch):
    for name in [k for k in os.environ if k.startswith(("SLURM_", "TORCHELASTIC_"))]:
        monkeypatch.delenv(name)
    with pytest.raises(ValueError, match=r"2 processes .*, and 1 is there; .* --nproc-per-node 2"):
        TrainerOptions(strategy="ddp", devices=2)
    with pytest.raises(ValueError, match=r"strategy must be one of .*'ddp_spawn'"):
        TrainerOptions(strategy="ddp_spawn", devices=2)
    with pytest.raises(ValueError, match=r"devices and num_nodes must be at least 1"):
        TrainerOptions(devices=0)
    with pytest.raises(ValueError, match=r'found devices=1 and num_nodes=2.*strategy="ddp"'):
        TrainerOptions(num_nodes=2)


@pytest.mark.filterwarnings("ignore:The `srun` command is available")
def test_processes_of_slurm_and_torchrun_are_counted(monkeypatch):
    for name, value in {
        "SLURM_NTASKS": "6",
        "SLURM_NTASKS_PER_NODE": "3",
        "SLURM_JOB_NAME": "fit",
    }.items():
        monkeypatch.setenv(name, value)
    assert SLURMEnvironment.detect()
    assert TrainerOptions(strategy="ddp", devices=3, num_nodes=2).num_nodes == 2
    for name, value in (TORCHRUN | {"WORLD_SIZE": "4"}).items():
        monkeypatch.setenv(name, value)
    # torchrun within a job of SLURM is what has started the processes
    assert TrainerOptions(strategy="ddp", devices=[0, 1], num_nodes=2).num_nodes == 2
    with pytest.raises(ValueError, match=r"6 processes .*, and 4 are there"):
        TrainerOptions(strategy="ddp", devices=3, num_nodes=2)
    TrainerOptions()  # as many trainings of one process each
