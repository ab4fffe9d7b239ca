"""The examples for workflow managers: their lines are commands that there are."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import celltraj as ct
from celltraj.cli.arguments import parser_of_commands

WORKFLOWS = Path(__file__).parents[2] / "docs" / "workflows"
COMMANDS = ["couplings", "drivers", "fates", "fit", "report", "simulate", "transitions"]


def named(rule):
    """Return a rule of Snakemake with its file in the place of ``{output}``."""
    found = re.search(r'output:\s+"([^"]+)"', rule)
    return rule.replace("{output}", found[1]) if found else rule


def commands_in(text):
    """Return the calls of celltraj, with a name or a number in the place of each parameter."""
    text = re.sub(r"\$\{params\.fit_options\}|\{FIT\}", "", text)
    text = re.sub(r"\$\{[a-z.]*(start|stop)\}|\{(START|STOP):q\}", "0", text)
    text = "".join(map(named, re.split(r"(?=^rule )", text, flags=re.MULTILINE)))
    text = text.replace('"\n        "', "").replace("\\\\\n", "")
    text = re.sub(r"\$?\{[A-Za-z_.:]+\}", "name", text)
    lines = re.findall(r"^[ \"]*(celltraj .*?)(?: > .*)?\"?$", text, re.MULTILINE)
    return [shlex.split(line)[1:] for line in lines]


@pytest.mark.parametrize("name", ["Snakefile", "main.nf"])
def test_every_line_is_one_that_the_shell_takes(name):
    calls = commands_in((WORKFLOWS / name).read_text())
    assert sorted(call[0] for call in calls) == COMMANDS
    for call in calls:
        assert callable(parser_of_commands().parse_args(call).run)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("snakemake") is None, reason="needs snakemake on the path")
def test_snakemake_runs_the_example(tmp_path):
    adata = ct.datasets.branching(n_cells=30, seed=0)
    adata[adata.obs["time"] < 3].copy().write_h5ad(tmp_path / "data.h5ad")
    shell = tmp_path / "bin" / "celltraj"
    shell.parent.mkdir()
    shell.write_text(
        f"#!{sys.executable}\nfrom celltraj.cli.main import main\nraise SystemExit(main())\n"
    )
    shell.chmod(0o755)
    call = ["snakemake", "--snakefile", WORKFLOWS / "Snakefile", "--cores", "2", "--config"]
    call += ["groupby=arm", "fit_options=--max-steps 5"]
    path = f"{shell.parent}{os.pathsep}{os.environ['PATH']}"
    ended = subprocess.run(
        list(map(str, call)),
        cwd=tmp_path,
        env=os.environ | {"PATH": path, "MPLBACKEND": "agg"},
        check=False,
    )
    assert ended.returncode == 0
    assert all((tmp_path / name).is_file() for name in ("run/report.html", "drivers.csv"))
