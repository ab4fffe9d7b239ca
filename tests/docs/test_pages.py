"""Pages of the site run, name what exists, and leave out nothing that is public."""

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from test_advice import NAME, keywords, problem_of

import celltraj as ct

DOCS = Path(__file__).parents[2] / "docs"
sys.path.insert(0, str(DOCS / "_ext"))
from see_also import FAMILIES, related  # noqa: E402

PAGES = sorted(
    page
    for page in DOCS.rglob("*.md")
    if not {"_build", "_generated", "generated"} & set(page.relative_to(DOCS).parts)
)
NAMESPACES = {
    page.stem: page for page in PAGES if page.parent.name == "api" and page.stem != "index"
}


RUN_PAGES = """
import json, os, tempfile
import matplotlib.pyplot as plt

home = os.getcwd()
for page, blocks in json.load(open("pages.json")).items():
    os.chdir(tempfile.mkdtemp(dir=home))
    names = {"__name__": "page"}
    for code in blocks:
        exec(compile(code, page, "exec", dont_inherit=True), names)
        plt.close("all")
"""


def identity(page):
    return str(page.relative_to(DOCS))


def blocks(page):
    return re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.M)


def test_their_code_runs_from_top_to_bottom(tmp_path):
    # in a process of its own, as a user runs it: without the checks of types that tests add
    pages = {identity(page): found for page in PAGES if (found := blocks(page))}
    assert len(pages) > 10
    (tmp_path / "pages.json").write_text(json.dumps(pages))
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", RUN_PAGES],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"MPLBACKEND": "Agg"},
    )
    assert run.returncode == 0, run.stderr[-2000:]


def calls(text):
    """Yield the path and the keywords of every call of the package that a text names."""
    for found in NAME.finditer(text):
        yield found[1].strip(".").split("."), keywords(text[found.end() :]) if found[2] else []


def test_every_call_that_a_page_names_can_be_made():
    found = [(identity(page), call) for page in PAGES for call in calls(page.read_text())]
    assert len(found) > 200
    wrong = [(page, text) for page, call in found if (text := problem_of(*call))]
    assert not wrong


@pytest.mark.parametrize("name", NAMESPACES)
def test_the_api_page_lists_all_that_is_public(name):
    (listed,) = [set(re.findall(r"^   (\w+)$", NAMESPACES[name].read_text(), re.MULTILINE))]
    public = set(getattr(ct, name).__all__)
    assert listed == public, f"docs/api/{name}.md: {sorted(listed ^ public)}"


def test_every_namespace_has_a_page():
    spaces = {name for name in ct.__all__ if type(getattr(ct, name)).__name__ == "module"}
    assert set(NAMESPACES) == spaces
    index = (DOCS / "api/index.md").read_text()
    assert set(re.findall(r"^   (\w+)$", index, re.MULTILINE)) == set(ct.__all__) - spaces


def test_tools_readers_and_plots_point_to_each_other():
    for family in FAMILIES:
        assert [one for one in family if problem_of(one.split("."), [])] == []
    for space in ("tl", "get", "pl"):
        alone = [name for name in getattr(ct, space).__all__ if not related(f"{space}.{name}")]
        assert set(alone) <= {"results"}, space


def raised():
    """Return every text of the package, with dots for what is filled in."""
    for path in Path(ct.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                values = (v.value if isinstance(v, ast.Constant) else "…" for v in node.values)
                yield "".join(map(str, values))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def test_every_message_that_is_explained_is_one():
    text = (DOCS / "errors.md").read_text().split("## What messages mean")[1]
    messages = re.findall(r"^\| `(.*?)` \|", text, re.MULTILINE)
    assert len(messages) > 25
    known = "\n".join(raised())
    parts = [part.strip() for one in messages for part in one.split("...")]
    assert [part for part in parts if part not in known] == []
