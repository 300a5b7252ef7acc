"""Sphinx configuration; build with ``sphinx-build -W --keep-going -b html docs docs/_build``."""

import os

import grn

os.environ["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"  # kernels inherit it; else no figures

project = "grn"
author = "grn contributors"
copyright = author
version = release = grn.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinxcontrib.bibtex",
]
# the last ones are parts of other pages
exclude_patterns = [
    "_build",
    "jupyter_execute",
    "**.ipynb_checkpoints",
    "generated/**/README.md",
    "bench/drivers_table.md",
    "bench/drivers_verdict.md",
    "bench/labels.md",
    "bench/perturbation_table.md",
    "bench/verdict.md",
    "choose/*.md",
    "methods/universal/*.md",
    "models/notebook/*.md",
    "outgrowing/*.md",
    "peers/tables.md",
]

# every page with code runs in every build; a failure is a warning with its traceback, which -W turns into an error
nb_execution_mode = "force"
nb_execution_show_tb = True
nb_execution_in_temp = True
nb_execution_timeout = 300
nb_merge_streams = True
nb_output_stderr = "remove"  # progress bars
nb_render_markdown_format = "gfm"  # tables
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath", "substitution", "tasklist"]
myst_heading_anchors = 3
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

autosummary_generate = True
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
python_maximum_signature_line_length = 88
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_param = True

bibtex_bibfiles = ["references.bib"]
bibtex_default_style = "unsrt"
bibtex_reference_style = "author_year"

html_theme = "sphinx_book_theme"
html_title = f"grn {release}"
html_theme_options = {"show_toc_level": 2, "navigation_with_keys": False}
