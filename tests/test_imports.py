"""What is loaded when, and by whom: read from the source and from fresh processes."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import celltraj as ct

ROOT = Path(ct.__file__).parent
SOURCES = sorted(ROOT.rglob("*.py"))
HEAVY = ["torch", "pytorch_lightning", "torchsde", "ot", "pooch", "matplotlib.pyplot", "scanpy"]


def loaded(code):
    """Return the heavy libraries that a fresh process holds, and its seconds of CPU."""
    program = (
        "import time, sys, json; start = time.process_time()\n"
        f"{code}\n"
        f"found = [name for name in {HEAVY} if name in sys.modules]\n"
        "print(json.dumps([found, time.process_time() - start]))"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120
    )
    return json.loads(run.stdout.splitlines()[-1])


def test_the_package_itself_loads_nothing_heavy():
    libraries, seconds = loaded("import celltraj as ct; ct.tl, ct.pl, ct.models, dir(ct.tl)")
    assert libraries == []
    assert seconds < 1


def test_couplings_load_neither_lightning_nor_pyplot():
    libraries, _ = loaded("import celltraj as ct; ct.tl.couplings; ct.tl.fates; ct.get.fates")
    assert not {"pytorch_lightning", "pooch", "matplotlib.pyplot", "scanpy"} & set(libraries)


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_the_shell_answers_at_once(option):
    code = (
        "from celltraj.cli.main import main\n"
        f"try: main(['{option}'])\nexcept SystemExit as end: assert end.code == 0"
    )
    libraries, seconds = loaded(code)
    assert libraries == []
    assert seconds < 1  # 0.06 on an idle machine


def test_names_of_old_notebooks_say_what_stands_in_their_place():
    with pytest.raises(AttributeError, match=r"ct\.models\.Training"):
        ct.models.NeuralDrift  # noqa: B018
    with pytest.raises(AttributeError, match="NoSuchThing"):
        ct.models.NoSuchThing  # noqa: B018


@pytest.mark.parametrize("package", ["", "models", "ot", "metrics", "tl", "pp", "pl", "get", "io"])
def test_all_that_a_stub_lists_is_there(package):
    module = getattr(ct, package) if package else ct
    assert [name for name in module.__all__ if not hasattr(module, name)] == []
    assert set(module.__all__) <= set(dir(module))


def imports(path):
    """Return the imports of a file, and those within its functions."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    kinds = (ast.Import, ast.ImportFrom)
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    inner = [n for f in functions for n in ast.walk(f) if isinstance(n, kinds)]
    return [n for n in ast.walk(tree) if isinstance(n, kinds)], inner


def modules(node):
    return [node.module] if isinstance(node, ast.ImportFrom) else [n.name for n in node.names]


def test_no_function_imports_our_own_code():
    within = {path.name: imports(path)[1] for path in SOURCES}
    ours = {
        name: node.lineno
        for name, nodes in within.items()
        for node in nodes
        if any((module or "").startswith("celltraj") for module in modules(node))
    }
    assert ours == {}


def test_no_module_asks_its_own_package_for_a_sibling():
    """What is loaded on first use hides from import-linter: a circle would not be seen."""
    lazy = {"celltraj." + name for name in ("models", "ot", "metrics", "tl", "pp", "pl", "get")}
    asked = {}
    for path in SOURCES:
        package = ".".join(("celltraj", *path.relative_to(ROOT).parent.parts)) + "."
        names = {module for node in imports(path)[0] for module in modules(node)}
        if own := {name for name in names & lazy if package.startswith(name + ".")}:
            asked[str(path)] = own
    assert asked == {}
