"""A user's type checker sees the types of celltraj."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# only the sources of celltraj are read, others count as untyped: 2 s where torch's own take 35
MYPY = ("-m", "mypy", "--no-site-packages", "--ignore-missing-imports", "--follow-imports=silent")
SCRIPT = """
import anndata as ad
import celltraj as ct

reveal_type(ct.tl.fit_bridge(ad.AnnData()))
reveal_type(ct.load("bridge"))
reveal_type(ct.ot.Sinkhorn(tol=1e-4).tol)
reveal_type(ct.metrics.wasserstein([0.0], [1.0]))
reveal_type(ct.models.references.Brownian(sigma=1.0))
ct.ot.Sinkhorn(tolerance=1e-4)
ct.metrics.wasserstein([0.0], [1.0], order="two")
"""


def test_the_marker_of_types_lies_in_the_package():
    assert files("celltraj").joinpath("py.typed").is_file()


def test_a_users_script_gets_types_and_not_any(tmp_path):
    pytest.importorskip("mypy")
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    told = subprocess.run(
        [sys.executable, *MYPY, f"--cache-dir={os.devnull}", script.name],
        cwd=tmp_path,
        env=os.environ | {"MYPYPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    found = re.findall(r'Revealed type is "(.*)"', told.stdout)
    short = [re.sub(r"[\w.]+\.(\w+)", r"\1", kind) for kind in found]
    bridge, loaded, tol, distance, reference = short
    assert bridge.startswith("Bridge")
    assert loaded.startswith("Bridge | Flow")
    assert (tol, distance, reference) == ("float", "float", "Brownian")
    errors = [line for line in told.stdout.splitlines() if " error: " in line]
    assert [re.search(r"\[([\w-]+)\]$", line)[1] for line in errors] == ["call-arg", "arg-type"]
