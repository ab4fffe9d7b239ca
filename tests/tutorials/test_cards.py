"""Every tutorial has a card with a picture and a sentence."""

import importlib.util
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "tutorials").glob("*.ipynb"))


@pytest.fixture(scope="module")
def card():
    path = ROOT / "docs" / "_ext" / "tutorial_cards.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module._card


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_card_has_a_picture_and_a_whole_sentence(card, notebook, tmp_path):
    lines = card(notebook, tmp_path).splitlines()
    assert lines[3] == f":img-top: /{tmp_path.name}/{notebook.stem}.png"
    assert lines[4].endswith(".")
    assert not lines[4].endswith(" al.")
    with Image.open(tmp_path / f"{notebook.stem}.png") as picture:
        assert picture.width > 300
