"""A reader without any file can run every tutorial."""

import json
import re
from pathlib import Path

import pytest

from celltraj.datasets._files import FILES
from celltraj.datasets._sources.recipes import CONVERTERS

NOTEBOOKS = sorted((Path(__file__).parents[2] / "tutorials").glob("*.ipynb"))


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_data_are_simulated_or_downloaded(notebook):
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    names = set(re.findall(r"ct\.datasets\.(\w+)\(", code))
    assert names or "default_rng(" in code  # simulated in the notebook itself
    assert not [name for name in names if name in FILES and name not in CONVERTERS]
    assert "read_h5ad" not in code or "tempfile" in code
