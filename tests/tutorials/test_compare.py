"""Numbers of executed tutorials are held against those they are shown with."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

from tutorials.compare import FLOOR, RELATIVE, agree, compare, main, numbers

TUTORIALS = Path(__file__).parents[2] / "tutorials"


def printed(text, **metadata):
    outputs = [{"output_type": "stream", "name": "stdout", "text": text.splitlines(keepends=True)}]
    return {"cell_type": "code", "source": ["f()"], "metadata": metadata, "outputs": outputs}


def returned(**data):
    cell = printed("")
    cell["outputs"] = [{"output_type": "execute_result", "data": data, "metadata": {}}]
    return cell


def notebook(*cells):
    return {"cells": list(cells)}


def faults(shown, executed):
    return compare(notebook(*shown), notebook(*executed), "it.ipynb").faults


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("W1 0.917; floor -.5", [0.917, -0.5]),
        ("13% of 2.05e-07, 3.", [13, 2.05e-07, 3]),
        ("(1, 2) 5-10", [1, 2, 5, 10]),
        ("ISG15 CXCL10 day_2 1.2.3 640x480 10x", []),
        ("-inf inf", [-math.inf, math.inf]),
        ("information, nan's", [math.nan]),
    ],
)
def test_numbers_of_a_text(text, expected):
    assert numbers(text) == pytest.approx(expected, nan_ok=True)


def test_agreement_is_relative_above_a_floor():
    assert agree(100, 100 * (1 - 0.99 * RELATIVE))
    assert not agree(100, 100 * (1 - 1.01 * RELATIVE))
    assert agree(0, 0.99 * FLOOR)
    assert not agree(0, 1.01 * FLOOR)
    assert agree(2e-7, 8e-6)
    assert not agree(-1, 1)
    assert agree(math.inf, math.inf)
    assert not agree(math.inf, 5)
    assert agree(math.nan, math.nan)
    assert not agree(math.nan, 0)


def test_a_fault_names_notebook_cell_and_both_numbers():
    found = faults([printed("a 1\n"), printed("b 1 2\n")], [printed("a 1\n"), printed("b 1 3\n")])
    assert found == ("it.ipynb, cell 1: shown with 2, and 3 now (number 2 of 2)",)


def test_another_amount_of_numbers_is_a_fault():
    assert faults([printed("1 2")], [printed("1 2 3")]) == (
        "it.ipynb, cell 0: shown with 2 numbers, and 3 now",
    )


def test_tagged_cells_are_left_out_and_counted():
    shown = notebook(printed("took 3 s", tags=["varies"]), printed("x 1"))
    found = compare(shown, notebook(printed("took 9 s"), printed("x 1")), "it.ipynb")
    assert found.varying == (0,)
    assert str(found) == "it.ipynb: 1 numbers, 0 differ; cells that may vary: 0"


def test_only_what_is_printed_or_plain_text_counts():
    table = {"text/plain": ["0  0.5"], "text/html": ["<td>0.5</td>"]}
    other = {"text/plain": ["0  0.5"], "text/html": ["<td>0.7</td>"]}
    assert not faults([returned(**table)], [returned(**other)])
    picture = {"text/plain": "<Figure with 2 Axes>", "image/png": "0"}
    assert not faults([returned(**picture)], [returned(**picture | {"text/plain": "3 Axes"})])
    warned = printed("a warning of line 7")
    warned["outputs"][0]["name"] = "stderr"
    assert not faults([warned], [printed("")])


def test_changed_cells_are_a_fault():
    assert faults([printed("1")], [printed("1"), printed("2")]) == ("it.ipynb: cells were changed",)


@pytest.mark.parametrize(("now", "code"), [("x 1.01", 0), ("x 7", 1)])
def test_the_command_ends_as_it_finds(tmp_path, now, code):
    for folder, text in (("shown", "x 1"), ("executed", now)):
        (tmp_path / folder).mkdir()
        file = tmp_path / folder / "it.ipynb"
        file.write_text(json.dumps(notebook(printed(text))), encoding="utf-8")
    command = [sys.executable, TUTORIALS / "compare.py", tmp_path / "shown", tmp_path / "executed"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == code, run.stderr
    assert "it.ipynb" in run.stdout


def test_an_empty_folder_is_no_success(tmp_path):
    assert main(tmp_path, tmp_path) == 1


def test_a_notebook_that_was_not_executed_is_no_success(tmp_path, capsys):
    (tmp_path / "it.ipynb").write_text(json.dumps(notebook(printed("x 1"))), encoding="utf-8")
    assert main(tmp_path, tmp_path / "build") == 1
    assert capsys.readouterr().out == "it.ipynb: was not executed\n"


def test_tutorials_agree_with_themselves(capsys):
    assert main(TUTORIALS, TUTORIALS) == 0
    told = capsys.readouterr().out
    assert all(path.name in told for path in TUTORIALS.glob("*.ipynb"))


@pytest.mark.parametrize("path", sorted(TUTORIALS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_tutorials_show_no_warning_and_no_path(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", ())]
    assert not [output for output in outputs if output.get("name") == "stderr"]
    texts = [{**o.get("data", {}), "image/png": "", "text": o.get("text", "")} for o in outputs]
    assert not [one for one in texts if any(f"/{top}/" in str(one) for top in ("home", "tmp"))]
