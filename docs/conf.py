"""Sphinx's settings; ``docs/build.py`` copies this beside the pages that it makes."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import tinygrad_edu

project = "tinygrad_edu"
author = "The tinygrad_edu authors"
version = release = tinygrad_edu.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
# other libraries' inventories are on the network: asked for with `python -m docs.build --online`
if os.environ.get("TINYGRAD_EDU_DOCS_ONLINE"):
    extensions.append("sphinx.ext.intersphinx")
    intersphinx_mapping = {
        "python": ("https://docs.python.org/3", None),
        "numpy": ("https://numpy.org/doc/stable", None),
        "scipy": ("https://docs.scipy.org/doc/scipy", None),
        "torch": ("https://docs.pytorch.org/docs/stable", None),
        "sklearn": ("https://scikit-learn.org/stable", None),
        "matplotlib": ("https://matplotlib.org/stable", None),
    }
html_theme = "furo"
html_title = f"{project} {version}"
html_extra_path = [name for name in ("extra",) if (Path(__file__).parent / name).is_dir()]
html_copy_source = False
html_show_copyright = False
html_static_path = ["static"]
html_css_files = ["figures.css"]

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_format = "short"
autodoc_typehints_description_target = "documented"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True  # an attribute of a docstring may also be a property of the class

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
suppress_warnings = ["misc.highlighting_failure"]  # an interpreter session is not a program


def _bars(*arguments: Any) -> None:
    """Docstrings write |a| for an absolute value, which reStructuredText has another use for."""
    lines = arguments[-1]
    lines[:] = [re.sub(r"(?<![`\w\\])\|(\w+)\|", r"\\|\1\\|", line) for line in lines]


def _foreign(*arguments: Any) -> bool | None:
    """Leave out the methods that scikit-learn adds to every estimator."""
    name = arguments[2]
    return True if re.fullmatch(r"set_\w+_request", name) else None


def _elsewhere(*arguments: Any) -> None:
    """Lead from the source of a thing to its description, not to another path to it."""
    from sphinx.addnodes import desc

    for entry in arguments[1].findall(desc):
        if entry.get("no-index-entry"):
            for line in entry.children[:1]:
                line.attributes.pop("module", None)


def setup(app: Any) -> None:
    """Connect these to autodoc and to viewcode."""
    app.connect("doctree-read", _elsewhere, priority=400)  # viewcode comes at 500
    app.connect("autodoc-process-docstring", _bars)
    app.connect("autodoc-skip-member", _foreign)
