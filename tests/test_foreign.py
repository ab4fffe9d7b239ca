"""Another package of the same name is told by name."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import celltraj as ct
from celltraj._foreign import FOREIGN_DISTRIBUTION, refuse_foreign

ROOT = Path(__file__).parents[1]


@pytest.fixture
def mixed(tmp_path):
    """Return a folder as pip leaves it that has written the other package over this one."""
    folder = tmp_path / "celltraj"
    folder.mkdir()
    for name in ("__init__.py", "__init__.pyi", "_lazy.py", "_foreign.py", "_renamed.py"):
        (folder / name).write_text((ROOT / "celltraj" / name).read_text())
    (folder / "imageprep.py").touch()
    return folder


def message_of(statement, place):
    program = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(place)!r}); {statement}"]
    return subprocess.run(program, capture_output=True, text=True, cwd=place).stderr


def test_the_package_refuses_at_once(mixed):
    message = message_of("import celltraj", mixed.parent)
    assert "ImportError" in message
    assert f"pip uninstall {FOREIGN_DISTRIBUTION}" in message


def test_a_namespace_refuses_where_the_entry_was_replaced(mixed):
    (mixed / "__init__.py").write_text("__version__ = '0.1.87'\n")
    (mixed / "tl").mkdir()
    (mixed / "tl" / "__init__.py").write_text((ROOT / "celltraj/tl/__init__.py").read_text())
    assert "ImportError" in message_of("import celltraj.tl", mixed.parent)


def test_this_package_alone_is_not_refused():
    refuse_foreign(ct.__path__[0])


def test_name_and_version_stand_in_one_place():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["name"] != FOREIGN_DISTRIBUTION
    assert project["dynamic"] == ["version"]
    assert f"\nversion: {ct.__version__}\n" in (ROOT / "CITATION.cff").read_text()
    lines = (ROOT / "celltraj/__init__.py").read_text().splitlines()
    assert f'__version__ = "{ct.__version__}"' in lines
