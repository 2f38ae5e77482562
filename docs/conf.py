# SPDX-License-Identifier: Apache-2.0
"""How Sphinx makes the site of these pages; the pages themselves are plain Markdown.

The source folder is the repository, so that README, CONTRIBUTING and the pages here keep the links
that lead from one to another: sphinx-build -c docs -b html . build/docs/html
"""

from __future__ import annotations

import re

import snapcore

project = "snapcore"
author = "The snapcore developers"
project_copyright = author
version = release = snapcore.__version__
language = "en"

extensions = ["myst_parser", "numpydoc", "sphinx.ext.autodoc", "sphinx_copybutton"]
root_doc = "docs/index"
include_patterns = ["*.md", "docs/**.md"]
exclude_patterns = [
    *("build", "dist", ".*", "benchmarks", "cmake", "cpp", "examples"),
    *("scripts", "src", "tests", "third_party", "**/__pycache__"),
]
nitpicky = True
highlight_language = "text"

html_theme = "furo"
html_title = f"snapcore {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
# The front page of the site leads to that of the pages.
html_extra_path = ["_static/front"]
html_show_sphinx = False
html_copy_source = False

myst_heading_anchors = 4
myst_links_external_new_tab = False
suppress_warnings: list[str] = []

autodoc_typehints = "none"
autodoc_preserve_defaults = True
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}
python_maximum_signature_line_length = 88
python_display_short_literal_types = True
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False

copybutton_prompt_text = r"\$ |>>> |\.\.\. "
copybutton_prompt_is_regexp = True
copybutton_only_copy_prompt_lines = True

linkcheck_timeout = 30
linkcheck_retries = 3
linkcheck_anchors_ignore_for_url = [r"https://github\.com/.*"]

# Pages that are tables of contents: what they link to becomes Sphinx's own.
_CONTENTS = {"docs/index", "docs/decisions/README", "docs/cookbook/README", "docs/api/README"}
_HEADING = re.compile(r"^## (.+)$")
_PAGE = re.compile(r"^(?:\| |- )\[[^]]+\]\((?!http)([^)#]+)\.md\)")


def _add_contents(app: object, name: str, source: list[str]) -> None:  # noqa: ARG001
    """Give a page of contents the toctrees that its lists and tables of links stand for."""
    if name not in _CONTENTS:
        return
    groups: list[tuple[str, list[str]]] = [("", [])]
    for line in source[0].splitlines():
        if heading := _HEADING.match(line):
            groups.append((heading[1], []))
        elif page := _PAGE.match(line):
            groups[-1][1].append(page[1])
    for caption, pages in groups:
        if pages:
            option = f":caption: {caption}\n" if caption and name == root_doc else ""
            listed = "\n".join(pages)
            source[0] += f"\n\n```{{toctree}}\n:hidden:\n{option}\n{listed}\n```\n"


def setup(app: object) -> dict[str, bool]:
    """Connect it.

    Parameters
    ----------
    app : sphinx.application.Sphinx
        Sphinx.

    Returns
    -------
    dict
        That it may read pages in parallel.
    """
    app.connect("source-read", _add_contents)  # type: ignore[attr-defined]
    return {"parallel_read_safe": True}
