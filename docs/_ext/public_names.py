"""Resolve the names by which things are defined as those by which users know them."""

import importlib
import inspect

import celltraj as ct

NAMESPACES = ("tl", "pp", "pl", "get", "io", "ex", "datasets", "metrics", "ot", "models")


def _public():
    """Return the public name of every public class and function, by the one it is defined as."""
    found = {}
    for space in ("", *NAMESPACES):
        module = getattr(ct, space) if space else ct
        for name in module.__all__:
            value = getattr(module, name)
            if inspect.isclass(value) or inspect.isfunction(value):
                place = ".".join(part for part in ("celltraj", space, name) if part)
                found.setdefault(f"{value.__module__}.{value.__qualname__}", place)
    return found


def _exists(name):
    """Return whether there is such a name in the package, public or not."""
    path, _, last = name.rpartition(".")
    try:
        return hasattr(importlib.import_module(path), last)
    except ImportError:
        return False


def _resolve(app, env, node, contnode):
    target = node["reftarget"]
    if node.get("refdomain") != "py" or not target.startswith("celltraj."):
        return None
    for defined, public in app.public_names.items():
        if target == defined or target.startswith(defined + "."):
            named = public + target.removeprefix(defined)
            domain = env.get_domain("py")
            return domain.resolve_xref(
                env, node["refdoc"], app.builder, node["reftype"], named, node, contnode
            )
    # what is there and not public is named without a link; what is not there is told
    return contnode if _exists(target) else None


def setup(app):
    """Resolve what Sphinx has not found."""
    app.public_names = _public()
    app.connect("missing-reference", _resolve)
    return {"parallel_read_safe": True}
