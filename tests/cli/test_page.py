"""The page about the shell: its examples run, and it names every command."""

import json
import re
import shlex
from pathlib import Path

import matplotlib as mpl
import pytest

import celltraj as ct
from celltraj.cli.main import main

PAGE = (Path(__file__).parents[2] / "docs" / "shell.md").read_text()
COMMANDS = re.findall(r"^### (.+)$", PAGE, re.MULTILINE)
EXAMPLES = [
    line for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()
]
TRAINED = {"demo", "fit", "evaluate", "fit-response", "cross-validate-response"}


def small(n_cells, seed):
    adata = branching(n_cells=20, seed=seed)
    return adata[adata.obs["time"] < 3].copy()


branching = ct.datasets.branching


@pytest.fixture
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    """Work where the page's first lines have made the two files."""
    import matplotlib.pyplot as plt

    mpl.use("Agg")
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(code, "page", "exec", dont_inherit=True), {})
    monkeypatch.setattr(ct.datasets, "branching", lambda n_cells=20, seed=0: small(n_cells, seed))
    yield
    plt.close("all")


@pytest.mark.usefixtures("_in_a_folder_of_its_own")
def test_the_examples_run_one_after_the_other(capsys):
    for line in EXAMPLES:
        program, command, *options = shlex.split(line)
        assert program == "celltraj"
        short = ["--max-steps", "3"] if command in TRAINED else []
        given = options if "--json" in options else [*options, "--json"]
        assert main([command, *given, "--quiet", *short]) == 0, line
        found = json.loads(capsys.readouterr().out)
        assert all(Path(file).is_file() for file in found["files"]), line
        assert str(options[options.index("--out") + 1]) in found["files"][0]


def test_every_command_has_one_example():
    assert [shlex.split(line)[1] for line in EXAMPLES] == COMMANDS
    listed = re.findall(r"^\| `([a-z-]+)` \|", PAGE, re.MULTILINE)
    assert listed == COMMANDS


def test_every_command_is_on_the_page(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    (known,) = re.findall(r"\{([a-z,-]+)\}", capsys.readouterr().out.split("positional")[0])
    assert set(known.split(",")) == set(COMMANDS)
