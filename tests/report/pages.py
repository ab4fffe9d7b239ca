"""Read a page that a report wrote."""

import json
import zlib
from base64 import b64decode
from html.parser import HTMLParser

import numpy as np


class Page(HTMLParser):
    """Read a page: its tags, and the texts of each section."""

    def __init__(self, file):
        super().__init__()
        self.html = file.read_text(encoding="utf-8")
        self.tags, self.texts, self.section, self.inside = [], {}, "header", []
        self.feed(self.html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.inside.append(tag)
        if tag == "section":
            self.section = dict(attrs)["id"]

    def handle_endtag(self, tag):
        while self.inside and self.inside.pop() != tag:  # void elements have no end
            pass

    def handle_data(self, data):
        self.texts[self.section] = self.texts.get(self.section, "") + data

    def text(self, section):
        return " ".join(self.texts[section].split())

    def of(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]

    @property
    def motion(self):
        """What moves, as the browser gets it."""
        before = '<script type="application/json" id="motion-data">'
        return json.loads(self.html.partition(before)[2].partition("</script>")[0])


def unpacked(block):
    return np.frombuffer(zlib.decompress(b64decode(block)), dtype=np.uint8)


def unpacked_positions(block, n_frames):
    """Return positions as shares of the box, as unpack.js finds them."""
    low, high = unpacked(block).reshape(2, -1).astype(np.uint16)
    change = (low + 256 * high).reshape(n_frames, -1, 2)
    return np.cumsum(change, axis=0, dtype=np.uint16) / 65520
