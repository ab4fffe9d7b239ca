"""Keep a colon in the first line of an attribute's docstring, which napoleon takes for a type."""


def _keep_colon(app, what, name, obj, options, lines):
    if what in {"attribute", "data", "property"} and lines:
        lines[0] = lines[0].replace(": ", " – ")


def setup(app):
    """Read the docstring before napoleon does."""
    app.connect("autodoc-process-docstring", _keep_colon, priority=400)
    return {"parallel_read_safe": True}
