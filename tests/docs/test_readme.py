"""The README is short, and its lines run as pasted."""

import re
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_it_has_at_most_700_words():
    assert len(README.split()) <= 700


def test_it_says_first_that_the_public_name_is_another_package():
    first = README.split("\n\n")[1]
    assert "another" in first
    assert "celltraj-dynamics" in first


def test_its_eight_lines_run_as_pasted(tmp_path, monkeypatch):
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(code.splitlines()) == 8
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(compile(code, "README", "exec", dont_inherit=True), names)
    plt.close("all")
    assert names["adata"].obsm["ct_fates"].shape == (names["adata"].n_obs, 2)


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)#]+)", README))))
def test_its_links_lead_somewhere(link):
    assert (ROOT / link).exists()


def test_its_numbers_are_those_of_the_evidence():
    table = README.split("## Evidence")[1].split("## ")[0]
    evidence = (ROOT / "docs/evidence.md").read_text(encoding="utf-8")
    numbers = re.findall(r"(?<![\w.])[\d,]*\.?\d+\b", re.sub(r"\(docs[^)]*\)", "", table))
    assert len(numbers) > 12
    assert [one for one in numbers if one not in evidence and one != "1"] == []
