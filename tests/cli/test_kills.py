"""A command killed at any moment leaves the results of before or its own, never a mixture."""

import json
import shutil
from itertools import count

import numpy as np
import pytest
from kills import KILLED, Shells

import celltraj as ct

QUICK = ["--quiet", "--max-steps", "60", "--checkpoint-every", "50"]
N_KILLS = 6  # of a command, evenly over its operations
WRITTEN = "a.txt,c.txt,model/m.txt"


@pytest.fixture(scope="module")
def shells():
    with Shells() as started:
        yield started


def contents(folder):
    """Return the bytes of every file and None for every folder, hidden ones too."""
    found = {str(p.relative_to(folder)): _bytes(p) for p in sorted(folder.rglob("*"))}
    assert found
    return found


def _bytes(path):
    if path.is_dir():
        return None
    if path.name == "summary.json":  # holds the seconds that the run took
        return json.dumps({k: v for k, v in json.loads(path.read_text()).items() if k != "seconds"})
    return path.read_bytes()


def results(folder):
    """Return what is no checkpoint."""
    return {k: v for k, v in contents(folder).items() if not k.startswith("checkpoint")}


def fresh(old, out):
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(old, out)
    return out


class TestSwap:
    """The swap itself, at every operation: files of text stand for the results."""

    @pytest.fixture
    def old(self, tmp_path):
        old = tmp_path / "old"
        for name in ("a.txt", "b.txt", "model/m.txt"):
            (old / name).parent.mkdir(parents=True, exist_ok=True)
            (old / name).write_text(f"old {name}")
        (old / "notes.txt").write_text("mine")
        (old / "model" / "notes.txt").write_text("mine")
        (old / ".part-abc").mkdir()  # of nobody known
        (old / ".part-abc" / "x").write_text("mine")
        return old

    @pytest.fixture
    def new(self, old):
        """Return what stands there after a run; b.txt is a result that this one does not have."""
        new = contents(old) | {k: f"new {k}".encode() for k in ("a.txt", "c.txt", "model/m.txt")}
        del new["b.txt"]
        return new

    def test_a_kill_at_every_operation(self, shells, old, new, tmp_path):
        before, out, was_new = contents(old), tmp_path / "out", []
        for k in count(1):
            run = shells.run(
                "swap", fresh(old, out), "a.txt,c.txt,model/m.txt", root=out, kill_at=k
            )
            if run["status"] == 0:
                break
            assert run["status"] == KILLED, run["err"]
            for name in ("a.txt", "model/m.txt"):
                assert (out / name).read_bytes() in (before[name], new[name])
            assert shells.run("recover", out, root=out)["status"] == 0
            found = contents(out)
            assert found in (before, new), k
            was_new.append(found == new)
        assert contents(out) == new
        # from the moment at which the journal is there all kills lead to the new results
        assert was_new == sorted(was_new)
        assert {False, True} == set(was_new)

    def test_a_kill_of_the_one_who_finishes(self, shells, old, new, tmp_path):
        out, half = tmp_path / "out", tmp_path / "half"
        for k in count(1):
            shells.run("swap", fresh(old, half), WRITTEN, root=half, kill_at=k)
            if list(half.glob(".part-*/moves.json")):
                break
        for k in count(1):
            status = shells.run("recover", fresh(half, out), root=out, kill_at=k)["status"]
            assert shells.run("recover", out, root=out)["status"] == 0
            assert contents(out) == new
            if status == 0:
                break
        assert k > 10


def bridge(data, out, seed):
    return ["fit", data, *QUICK, "--seed", seed, "--out", out]


def flow(data, out, seed):
    return [*bridge(data, out, seed), "--model", "flow"]


def response(data, out, seed):
    columns = ["--population", "population", "--condition", "condition", "--control", "before"]
    return ["fit-response", data, *columns, *QUICK, "--seed", seed, "--out", out]


def evaluation(data, out, seed):
    return ["evaluate", data, "--hold-out", "1", *QUICK[:3], "--seed", seed, "--out", out]


def prediction(data, out, seed):
    call = ["predict", data.parent / "response" / "model", data, "--condition", "after", "--quiet"]
    return [*call, "--noise", "0.1", "--seed", seed, "--out", out / "predicted.h5ad"]


def annotation(data, out, seed):
    call = ["fates", data.parent / "coupled.h5ad", "--groupby", "arm", "--quiet"]
    return [*call, "--key-added", f"fates_{seed}", "--out", out / "fates.h5ad"]


OF_FILES = (prediction, annotation)


class Case:
    """A command, its results of one seed in ``old``, and what another seed makes of them."""

    def __init__(self, shells, command, folder):
        self.shells, self.folder, self.out = shells, folder, folder / "out"
        self.old, self.can_resume = folder / "old", command in (bridge, flow, response)
        data = folder / "data.h5ad"
        if command in (response, prediction):
            ct.datasets.interacting_populations(n_populations=3, n_cells=20).write_h5ad(data)
        else:
            adata = ct.datasets.branching(n_cells=15, seed=0)
            adata[adata.obs["time"].isin([0, 1, 4])].copy().write_h5ad(data)
        if command is prediction:
            self.run(response(data, folder / "response", 0))
        if command is annotation:
            call = ["couplings", data, "--growth", "none", "--quiet"]
            self.run([*call, "--out", folder / "coupled.h5ad"])
        self.run(command(data, self.out, 1))
        shutil.copytree(self.out, self.old)
        self.call = command(data, self.out, 0)
        self.place = self.call[-1] if command in OF_FILES else self.out
        self.n = self.run(self.call)["n"]
        self.before, self.after = contents(self.old), contents(self.out)
        assert self.before != self.after

    def run(self, call, **kill):
        run = self.shells.run(*call, root=self.out, **kill)
        assert run["status"] == 0 or kill, run["err"]
        return run

    def check_full(self, limit):
        """Let no file grow beyond ``limit``, and see that nothing has changed."""
        fresh(self.old, self.out)
        run = self.run(self.call, limit=limit)
        assert run["status"] == 2, run["err"]
        *_, message = run["err"].splitlines()
        assert message == (
            f"celltraj: cannot write to {self.place} (File too large); raise the limit, or pass "
            "another --out"
        )
        assert "Traceback" not in run["err"]
        assert results(self.out) == self.before

    def check(self, **kill):
        """Kill a run, and see that all that follows is right."""
        fresh(self.old, self.out)
        status = self.run(self.call, **kill)["status"]
        assert status in ((KILLED,) if "kill_at" in kill else (0, -9))
        found = contents(self.out)
        for name in self.before.keys() & self.after.keys():
            assert found[name] in (self.before[name], self.after[name]), (kill, name)
        self.run(["recover", self.place])
        assert results(self.out) in (self.before, self.after), kill
        again = self.run([*self.call, "--resume"] if self.can_resume else self.call)
        assert contents(self.out) == self.after, (kill, again["err"])


@pytest.fixture(scope="module", params=[bridge, flow, response, evaluation, *OF_FILES])
def case(request, shells, tmp_path_factory):
    return Case(shells, request.param, tmp_path_factory.mktemp(request.param.__name__))


def test_a_command_killed_at_operations_throughout(case):
    assert case.n > N_KILLS
    for k in np.unique(np.linspace(1, case.n, N_KILLS).astype(int)):
        case.check(kill_at=int(k))


def test_a_full_disk_is_one_line_and_changes_nothing(case):
    largest = max(len(content or "") for content in case.after.values())
    for limit in (0, 300, largest // 2):
        if limit < largest:
            case.check_full(limit)


@pytest.mark.slow
def test_a_command_killed_at_every_operation(case):
    for k in range(1, case.n + 1):
        case.check(kill_at=k)


@pytest.mark.slow
def test_a_command_killed_at_random_moments(case):
    rng = np.random.default_rng(0)
    for after in rng.uniform(0, 1.5, size=20):
        case.check(after=float(after))
