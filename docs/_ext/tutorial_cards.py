"""Make the cards of the tutorials from the notebooks: title, first sentence, a picture.

The picture is that of a cell with the tag ``thumbnail``, else the richest one.
"""

import base64
import io
import json
import re
from pathlib import Path

from PIL import Image

_WIDTH = 480


def _pictures(cells):
    """Yield the pictures of a notebook with their sizes in bytes: cells weigh more than curves."""
    for cell in cells:
        for output in cell.get("outputs", ()):
            if png := output.get("data", {}).get("image/png"):
                content = base64.b64decode("".join(png))
                yield len(content), Image.open(io.BytesIO(content)).convert("RGB")


def _picture(cells, file):
    """Write the richest picture of a notebook that is no strip; return whether there is one."""
    chosen = [cell for cell in cells if "thumbnail" in cell["metadata"].get("tags", ())]
    found = list(_pictures(chosen or cells))
    found = [one for one in found if one[1].width <= 2 * one[1].height] or found
    if not found:
        return False
    _, image = max(found, key=lambda one: one[0])
    image.thumbnail((_WIDTH, _WIDTH))
    image.save(file, optimize=True)
    return True


def _card(notebook, folder):
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    title, _, text = "".join(cells[0]["source"]).partition("\n")
    sentence = re.split(r"(?<=[a-z)]\.)(?<! al\.)\s", " ".join(text.split()))[0]
    file = folder / f"{notebook.stem}.png"
    picture = [f":img-top: /{folder.name}/{file.name}"] if _picture(cells, file) else []
    link = [f":link: /tutorials/{notebook.stem}", ":link-type: doc"]
    lines = [f":::{{grid-item-card}} {title.lstrip('# ')}", *link, *picture, sentence, ":::", ""]
    return "\n".join(lines)


def _write(app):
    folder = Path(app.srcdir) / "_generated"
    folder.mkdir(exist_ok=True)
    cards = [_card(one, folder) for one in sorted(Path(app.srcdir, "tutorials").glob("*.ipynb"))]
    grid = ["::::{grid} 1 2 2 3", ":gutter: 3", "", *cards, "::::", ""]
    (folder / "tutorials.md").write_text("\n".join(grid), encoding="utf-8")


def setup(app):
    """Write the cards before pages are read."""
    app.connect("builder-inited", _write)
    return {"parallel_read_safe": True}
