"""Where a task runs changes nothing: in this process, in others, on a cluster."""

import os
import subprocess
import sys
from functools import partial

import anndata as ad
import joblib
import numpy as np
import pytest
import torch

import celltraj as ct
from celltraj import _parallel
from celltraj._parallel import mapped
from celltraj.cli import processes
from celltraj.cli.main import main
from celltraj.ot import _importance

EQUAL = {"rtol": 1e-9, "atol": 1e-12, "equal_nan": True}
HALVES = {"what": ("halving", "number"), "progress": False}
LINES = partial(ct.tl.fit_bridge, reference=ct.models.Brownian(), training=None, growth=None)

# a process of the cluster dies once, in the middle of a task on arrays that it was sent
A_WORKER_DIES = """
import os
import sys
from pathlib import Path

import joblib
import numpy as np

from celltraj._parallel import mapped


def summed(cells, more, k, flag):
    if k == 1 and not Path(flag).exists():
        Path(flag).touch()
        os._exit(1)
    return float(cells.sum() + more.sum()) + k


def results():
    cells, more = (np.full((500, 9), value, dtype=np.float32) for value in (1.0, 2.0))
    tasks = ((more.copy(), k, sys.argv[2]) for k in range(4))
    what = ("summing", "part")
    return mapped(summed, tasks, n_tasks=4, what=what, shared=(cells,), progress=False)


if __name__ == "__main__":
    from dask.distributed import Client, LocalCluster

    options = dict(n_workers=2, threads_per_worker=1, dashboard_address=None, host="127.0.0.1")
    with LocalCluster(**options) as cluster, Client(cluster):
        with joblib.parallel_config(backend="dask"):
            np.save(sys.argv[1], list(results()))
"""

# scheduler and worker are threads of this process, so that little is started
A_SCHEDULER_GOES = """
import sys
import threading
import time
from pathlib import Path

import joblib
from dask.distributed import Client, LocalCluster

from celltraj._parallel import mapped

started = Path("started")


def slow(k):
    started.touch()
    time.sleep(3)


def closed(cluster):
    while not started.exists():
        time.sleep(0.05)
    cluster.close()


options = dict(n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None)
cluster = LocalCluster(**options)
try:
    with Client(cluster), joblib.parallel_config(backend="dask"):
        threading.Thread(target=closed, args=(cluster,), daemon=True).start()
        list(mapped(slow, [(0,), (1,)], n_tasks=2, what=("waiting", "part"), progress=False))
except OSError as error:
    Path(sys.argv[1]).write_text(f"{type(error).__name__}: {error}")
"""

# a script as users write it: processes of a cluster import its main module anew
ON_A_CLUSTER = """
import sys

import joblib

import celltraj as ct


def coupled():
    adata = ct.datasets.branching(n_cells=40, seed=0)
    ct.tl.couplings(adata, growth=None, progress=False)
    return adata


if __name__ == "__main__":
    from dask.distributed import Client, LocalCluster

    options = dict(n_workers=2, threads_per_worker=1, dashboard_address=None, host="127.0.0.1")
    with LocalCluster(**options) as cluster, Client(cluster):
        with joblib.parallel_config(backend="dask"):
            coupled().write_h5ad(sys.argv[1])
"""


# workers are threads of this process, so that little is started
WHAT_TASKS_MAY_USE = """
import sys
from pathlib import Path

import joblib
from dask.distributed import Client, LocalCluster

from celltraj._parallel import mapped, n_processes


def within(k):
    return n_processes()


def found(n_tasks):
    tasks = ((k,) for k in range(n_tasks))
    return list(mapped(within, tasks, n_tasks=n_tasks, what=("asking", "task"), progress=False))


options = dict(n_workers=4, threads_per_worker=1, processes=False, dashboard_address=None)
with LocalCluster(**options) as cluster, Client(cluster), joblib.parallel_config(backend="dask"):
    Path(sys.argv[1]).write_text(str([found(n) for n in (1, 2, 4)]))
"""


def run_script(text, tmp_path, *arguments):
    """Run a script in a process of its own, which a cluster's processes can start from."""
    (tmp_path / "run.py").write_text(text)
    command = [sys.executable, "-W", "ignore", "run.py", *arguments]
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    run = subprocess.run(
        command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=240
    )
    assert run.returncode == 0, run.stderr[-2000:]


def half(x, calls):
    return x / 2, torch.get_num_threads()


@pytest.fixture
def one_thread():
    """Run this process as workers run: sums over several threads add in another order."""
    with _parallel.one_thread():
        yield


@pytest.fixture
def couplings():
    def found():
        adata = ct.datasets.branching(n_cells=40, seed=0)
        ct.tl.couplings(adata, growth=None, progress=False)
        return adata

    return found


def same(one, other):
    """Return whether two AnnData hold the same numbers to the last bit."""
    assert set(one.obsm) == set(other.obsm)
    return all(np.array_equal(one.obsm[k], other.obsm[k], equal_nan=True) for k in one.obsm)


@pytest.mark.parametrize("n_jobs", [None, 1, 2])
def test_results_come_in_the_order_of_the_tasks(n_jobs):
    tasks = ((x, 1) for x in range(5))
    done = list(mapped(half, tasks, n_tasks=5, n_jobs=n_jobs, **HALVES))
    assert [value for value, _ in done] == [0, 0.5, 1, 1.5, 2]


def test_processes_run_on_one_thread_and_this_one_keeps_its_own():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        done = list(mapped(half, [(1.0, 1), (2.0, 1)], n_tasks=2, n_jobs=2, **HALVES))
        assert [n_threads for _, n_threads in done] == [1, 1]
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_an_error_of_a_task_is_its_own():
    with pytest.raises(ZeroDivisionError):
        list(mapped(divmod, [(1, 0), (1, 1)], n_tasks=2, n_jobs=2, **HALVES))


@pytest.mark.usefixtures("one_thread")
def test_couplings_in_two_processes_are_those_in_one(couplings):
    alone = couplings()
    with joblib.parallel_config(n_jobs=2):
        assert same(alone, couplings())


def test_threads_of_this_process_change_no_more_than_rounding(couplings):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        alone = couplings().obsm["couplings"]
        with joblib.parallel_config(n_jobs=2):
            np.testing.assert_allclose(alone, couplings().obsm["couplings"], **EQUAL)
    finally:
        torch.set_num_threads(before)


@pytest.mark.usefixtures("one_thread")
def test_strata_in_two_processes_give_the_same_gap(monkeypatch):
    monkeypatch.setattr(_importance, "_WORTH", 0)  # otherwise only hundreds of thousands of cells
    x, y = np.random.default_rng(0).normal(size=(2, 1_500, 3)).astype(np.float32)
    a = np.full(len(x), 1 / len(x))
    solved = partial(ct.ot.Stratified(), ct.ot.SquaredEuclidean(x, y), a, a, epsilon=0.2)
    alone = solved()
    seen = alone.pull(y), alone.push(x), alone.entropy()
    with joblib.parallel_config(n_jobs=2):
        spread = solved()
        again = spread.pull(y), spread.push(x), spread.entropy()
    assert torch.equal(alone.f, spread.f)
    assert torch.equal(alone.g, spread.g)
    assert all(torch.equal(one, other) for one, other in zip(seen, again, strict=True))


def processes_within(calls):
    return _parallel.n_processes()


@pytest.mark.parametrize(("n_jobs", "n_tasks"), [(2, 1), (2, 2), (1, 3)])
def test_only_a_single_task_may_use_processes_of_this_machine(n_jobs, n_tasks):
    with joblib.parallel_config(n_jobs=n_jobs):
        tasks = ((k,) for k in range(n_tasks))
        found = list(mapped(processes_within, tasks, n_tasks=n_tasks, **HALVES))
    assert found == [n_jobs if n_tasks == 1 else 1] * n_tasks


@pytest.mark.usefixtures("one_thread")
def test_scores_in_two_processes_are_those_in_one():
    adata = ct.datasets.branching(n_cells=40, seed=0)
    score = partial(ct.tl.cross_validate, adata, fit=LINES, hold_out=[1.0, 2.0], progress=False)
    alone = score()
    with joblib.parallel_config(n_jobs=2):
        assert alone.equals(score())


@pytest.mark.usefixtures("one_thread")
def test_responses_without_each_population_are_those_of_one_process():
    adata = ct.datasets.interacting_populations(n_populations=4, n_cells=20, seed=0)
    keys = {"population_key": "population", "condition_key": "condition", "control": "before"}
    fit = partial(ct.tl.fit_response, training=ct.models.Training(max_steps=5))
    call = partial(ct.tl.fit_response_folds, adata, **keys, n_folds=2, fit=fit, progress=False)
    alone = call()
    with joblib.parallel_config(n_jobs=2):
        spread = call()
    assert list(spread) == list(alone)
    for name, model in alone.items():
        assert spread[name].support.names == model.support.names
        state = spread[name].network.state_dict()
        assert all(torch.equal(state[key], one) for key, one in model.network.state_dict().items())


@pytest.mark.usefixtures("one_thread")
def test_couplings_on_a_cluster_are_those_in_one_process(couplings, tmp_path):
    run_script(ON_A_CLUSTER, tmp_path, "cells.h5ad")
    assert same(couplings(), ad.read_h5ad(tmp_path / "cells.h5ad"))


def test_a_worker_that_dies_changes_nothing(tmp_path):
    run_script(A_WORKER_DIES, tmp_path, "found.npy", "died")
    assert (tmp_path / "died").exists()
    expected = 500 * 9 * 3.0 + np.arange(4)
    np.testing.assert_array_equal(np.load(tmp_path / "found.npy"), expected)


def test_tasks_on_a_cluster_share_its_workers(tmp_path):
    run_script(WHAT_TASKS_MAY_USE, tmp_path, "found.txt")
    assert (tmp_path / "found.txt").read_text() == "[[4], [2, 2], [1, 1, 1, 1]]"


def test_a_scheduler_that_goes_away_is_told(tmp_path):
    run_script(A_SCHEDULER_GOES, tmp_path, "said.txt")
    said = (tmp_path / "said.txt").read_text()
    assert said.startswith("ConnectionError: the scheduler of the cluster has gone")
    assert "repeat the call" in said


def test_shared_arguments_come_first_in_every_process():
    for n_jobs in (1, 2):
        tasks = [(2.0,), (3.0,)]
        found = mapped(divmod, tasks, n_tasks=2, shared=(7.0,), n_jobs=n_jobs, **HALVES)
        assert list(found) == [(3.0, 1.0), (2.0, 1.0)]


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("where", [["--jobs", "2"], ["--jobs", "1"]])
def test_the_shell_takes_processes(where, couplings, tmp_path):
    adata = couplings()
    plain = adata.copy()
    del plain.obsm["couplings"], plain.uns["celltraj"]
    plain.write_h5ad(tmp_path / "data.h5ad")
    command = ["couplings", str(tmp_path / "data.h5ad"), "--growth", "none", "--quiet", *where]
    assert main([*command, "--out", str(tmp_path / "out.h5ad")]) == 0
    assert same(adata, ad.read_h5ad(tmp_path / "out.h5ad"))


def test_a_scheduler_that_is_not_there_is_told(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(processes, "_PATIENCE", 1)
    ct.datasets.branching(n_cells=20).write_h5ad(tmp_path / "data.h5ad")
    command = ["couplings", str(tmp_path / "data.h5ad"), "--cluster", "tcp://127.0.0.1:1"]
    with pytest.raises(SystemExit):
        main([*command, "--out", str(tmp_path / "out.h5ad")])
    assert "tcp://127.0.0.1:1" in capsys.readouterr().err
    assert not (tmp_path / "out.h5ad").exists()
