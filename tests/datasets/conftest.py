"""A server on the loopback, and caches that no other test sees."""

import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from celltraj.datasets import _load


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        """Keep the test's output clean."""


@pytest.fixture
def server(tmp_path):
    """Serve a folder on the loopback and return (folder, address)."""
    folder = tmp_path / "served"
    folder.mkdir()
    handler = partial(QuietHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{http.server_port}/"
        http.shutdown()


@pytest.fixture
def cache(monkeypatch, tmp_path):
    """Return an empty cache, where no variable names another place."""
    monkeypatch.delenv("CELLTRAJ_DATA_DIR", raising=False)
    monkeypatch.delenv("CELLTRAJ_DATA_URL", raising=False)
    monkeypatch.setattr(_load, "_cache_dir", lambda: tmp_path / "cache")
    return tmp_path / "cache"
