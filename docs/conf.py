"""How the site is built: ``make docs``, with every warning an error."""

import os
import re
import sys
from pathlib import Path

import celltraj

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))

project = "celltraj"
author = "the authors of celltraj"
project_copyright = "the authors of celltraj"
version = release = celltraj.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_design",
    "attributes",
    "public_names",
    "see_also",
    "tutorial_cards",
]
exclude_patterns = ["_build", "_generated", "**.ipynb_checkpoints"]
templates_path = ["_templates"]

# tutorials are executed by make tutorials, and shown as they were executed
nb_execution_mode = "off"
nb_merge_streams = True
myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

autosummary_generate = True
autosummary_ignore_module_all = False
autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_typehints = "none"  # docstrings say types with shapes and units
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_preprocess_types = False
napoleon_custom_sections = ["Returns"]  # free text: it says which fields are written

nitpicky = True
# names of other packages, which are links only where their lists of names can be fetched
nitpick_ignore_regex = [("py:.*", r"(?!celltraj\b).*")]
if os.environ.get("READTHEDOCS"):
    extensions.append("sphinx.ext.intersphinx")
    intersphinx_mapping = {
        "python": ("https://docs.python.org/3", None),
        "anndata": ("https://anndata.readthedocs.io/en/stable", None),
        "scanpy": ("https://scanpy.readthedocs.io/en/stable", None),
        "torch": ("https://pytorch.org/docs/stable", None),
    }
html_theme = "scanpydoc"
html_title = "celltraj"
html_theme_options = {"use_repository_button": False, "show_toc_level": 2}
html_static_path = ["_static"]
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True


def _link_within_the_site(app, name, source):
    """Let links that are right in the repository be right in the site, where docs/ is the root."""
    # from a page of a folder, and from one notebook, a file of JSON, to another
    is_notebook = name.startswith("tutorials/")
    text, before = (r"[^][\n]*", "") if is_notebook else (r"[^]]*", r"\.\./\.\./tutorials/")
    notebook = rf"\[({text})\]\({before}(\w+)\.ipynb\)"
    if is_notebook:
        source[0] = source[0].replace("](../docs/", "](/")
    source[0] = re.sub(notebook, r"{doc}`\1 </tutorials/\2>`", source[0])
    if name == "howto/index":  # pages of the shell and of workflows, once they are there
        lines = source[0].splitlines()
        source[0] = "\n".join(x for x in lines if "*" not in x or any(HERE.glob(x[3:] + ".md")))


def setup(app):
    """Connect the above."""
    app.connect("source-read", _link_within_the_site)
