"""What messages tell users to call exists, and takes the arguments that they name."""

import ast
import inspect
import re
from pathlib import Path

import pytest

import celltraj as ct

SOURCE = Path(ct.__file__).parent
NAME = re.compile(r"\bct((?:\.[A-Za-z_]\w*)+)(\()?")


def texts():
    """Yield every text of the package: docstrings and messages, which no compiler reads."""
    for path in sorted(SOURCE.rglob("*.py")):
        tree = ast.parse(path.read_text())
        joined = [node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)]
        parts = {id(part) for node in joined for part in node.values}
        for node in ast.walk(tree):
            place = f"{path.relative_to(SOURCE)}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.JoinedStr):
                pieces = (p.value if isinstance(p, ast.Constant) else "0" for p in node.values)
                yield place, "".join(map(str, pieces))
            elif isinstance(node, ast.Constant) and id(node) not in parts:
                yield place, node.value if isinstance(node.value, str) else ""


def keywords(text):
    """Return the keywords at the first level of a call whose text goes on after its bracket."""
    depth, level = 1, []
    for character in text:
        depth += (character in "([{") - (character in ")]}")
        if depth == 0:
            break
        level.append(character if depth == 1 and character not in ")]}" else " ")
    return re.findall(r"(?:^|,)\s*(\w+)=(?!=)", "".join(level))


def mentions():
    for place, text in texts():
        for found in NAME.finditer(text):
            after = text[found.end() :]
            yield place, found[1].strip(".").split("."), keywords(after) if found[2] else []


def problem_of(path, names):
    value = ct
    for part in path:
        if not hasattr(value, part):
            return f"ct.{'.'.join(path)} does not exist"
        value = getattr(value, part)
    if names and callable(value):
        parameters = inspect.signature(value).parameters.values()
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            wrong = set(names) - {p.name for p in parameters}
            return f"ct.{'.'.join(path)} takes no {sorted(wrong)}" if wrong else ""
    return ""


def test_every_call_that_a_text_names_can_be_made():
    found = list(mentions())
    assert len(found) > 200
    wrong = [(place, text) for place, *call in found if (text := problem_of(*call))]
    assert not wrong


def test_a_wrong_call_would_be_found():
    assert keywords('share=(0.1, b=2), other="x") and c=3') == ["share", "other"]
    assert problem_of(["models", "LearnedGrowth"], ["share"])
    assert problem_of(["models", "Nothing"], [])
    assert not problem_of(["models", "LearnedGrowth"], ["shares"])


def test_the_advice_on_learned_growth_runs_as_written():
    adata = ct.datasets.branching(n_cells=60, seed=0)
    with pytest.raises(ValueError, match="such as") as caught:
        ct.tl.fit_bridge(adata, growth="fast")
    advice = re.search(r"ct\.models\.LearnedGrowth\(\)", str(caught.value))[0]
    learned = eval(advice, {"ct": ct})
    assert ct.tl.fit_bridge(adata, growth=learned, training=None, progress=False).has_growth
