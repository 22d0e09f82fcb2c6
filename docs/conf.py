"""Sphinx's settings; ``docs/build.py`` copies this beside the pages that it makes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import tinygrad_edu

project = "tinygrad_edu"
author = "The tinygrad_edu authors"
version = release = tinygrad_edu.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
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


def setup(app: Any) -> None:
    """Connect the two to autodoc."""
    app.connect("autodoc-process-docstring", _bars)
    app.connect("autodoc-skip-member", _foreign)
