"""Sphinx configuration; build with ``sphinx-build -W --keep-going -b html docs docs/_build``."""

import os
import shutil
from pathlib import Path
from urllib.parse import urlsplit

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

templates_path = ["_templates"]
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

# where a builder has no network, an inventory that cannot be fetched would be an error: Read the Docs has one
if os.environ.get("READTHEDOCS") == "True" or os.environ.get("GRN_DOCS_INTERSPHINX"):
    extensions.append("sphinx.ext.intersphinx")
    intersphinx_mapping = {
        "anndata": ("https://anndata.readthedocs.io/en/stable/", None),
        "decoupler": ("https://decoupler.readthedocs.io/en/latest/", None),
        "matplotlib": ("https://matplotlib.org/stable/", None),
        "mudata": ("https://mudata.readthedocs.io/stable/", None),
        "networkx": ("https://networkx.org/documentation/stable/", None),
        "numpy": ("https://numpy.org/doc/stable/", None),
        "pandas": ("https://pandas.pydata.org/docs/", None),
        "python": ("https://docs.python.org/3/", None),
        "scanpy": ("https://scanpy.readthedocs.io/en/stable/", None),
        "scipy": ("https://docs.scipy.org/doc/scipy/", None),
        "torch": ("https://docs.pytorch.org/docs/stable/", None),
    }

html_theme = "sphinx_book_theme"
html_title = f"grn {release}"
html_static_path = ["_static"]
html_css_files = ["grn.css"]
html_favicon = "_static/favicon.svg"
html_theme_options = {
    "logo": {"image_light": "_static/logo.svg", "image_dark": "_static/logo-dark.svg", "alt_text": "grn"},
    "home_page_in_toc": False,
    "navbar_persistent": [],  # the search stands on the left
    "show_navbar_depth": 1,
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "use_download_button": True,
}
# links to edit a page and to report what is wrong with it, once it is known where: https://host/owner/name
repository = os.environ.get("GRN_DOCS_REPOSITORY", "")
if repository:
    html_theme_options |= {
        "repository_url": repository,
        "repository_branch": os.environ.get("GRN_DOCS_BRANCH", "main"),
        "path_to_docs": "docs",
        "use_edit_page_button": True,
        "use_issues_button": True,
        "use_repository_button": True,
    }


def absolute(app, pagename, templatename, context, doctree):
    """The page for what is not found is shown at any address, so its links start from the root of the site."""
    if pagename == "404":
        root = urlsplit(os.environ.get("READTHEDOCS_CANONICAL_URL", "/")).path
        context["metatags"] = context.get("metatags", "") + f'<base href="{root}">'


def downloadable(app, pagename, templatename, context, doctree):
    """Put the executed notebook of a page beside its source, where the theme offers it."""
    notebook = Path(app.outdir).parent / "jupyter_execute" / f"{pagename}.ipynb"
    if notebook.exists():
        place = Path(app.outdir) / "_sources" / f"{pagename}.ipynb"
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(notebook, place)
        context["ipynb_source"] = f"{pagename}.ipynb"


def setup(app):
    """Connect what is done here, before the theme makes its buttons."""
    app.connect("html-page-context", absolute, priority=100)
    app.connect("html-page-context", downloadable, priority=100)
