import inspect

import pytest

from grn import errors
from grn._core.docs import document
from grn._core.errors import MissingDependencyError
from grn._core.logging import progress
from grn._core.optional import require


def test_require_imports_a_module():
    assert require("json", extra="export", purpose="tests").dumps([1]) == "[1]"


@pytest.mark.parametrize("module", ["grn_has_no_such_module", "json.no_such_part"])
def test_require_names_the_extra(module):
    with pytest.raises(MissingDependencyError, match=rf"{module} is needed for graphs.*pip install 'grn\[export\]'"):
        require(module, extra="export", purpose="graphs")
    with pytest.raises(ImportError):
        require(module, extra="export", purpose="graphs")


def test_document_replaces_a_line_and_keeps_the_indentation():
    @document(device="device\n    Where it runs.\n\n    Second paragraph.", rng="rng\n    Seed.")
    def f():
        """Do it.

        Parameters
        ----------
        %(device)s
        %(rng)s

        Notes
        -----
            %(rng)s
        Not %(rng)s inside a line.
        """

    assert inspect.getdoc(f) == "\n".join(
        [
            "Do it.",
            "",
            "Parameters",
            "----------",
            "device",
            "    Where it runs.",
            "",
            "    Second paragraph.",
            "rng",
            "    Seed.",
            "",
            "Notes",
            "-----",
            "    rng",
            "        Seed.",
            "Not %(rng)s inside a line.",
        ]
    )


def test_document_takes_snippets_in_triple_quotes():
    inside = """
        device
            Where it runs.
        """

    @document(device=inside)
    def f():
        """Do it.

        %(device)s
        """

    assert f.__doc__ == "Do it.\n\ndevice\n    Where it runs."


def test_document_takes_backslashes_literally_and_functions_without_text():
    @document(math=r"a\nb \1 \g<x>")
    def f():
        r"""%(math)s"""

    @document(math="x")
    def g():
        pass

    assert f.__doc__ == r"a\nb \1 \g<x>"
    assert not g.__doc__


@pytest.mark.parametrize(("show", "visible"), [(True, True), (False, False), (None, False)])
def test_progress_yields_everything_and_draws_when_asked(capsys, show, visible):
    assert list(progress((i for i in range(5)), total=5, desc="walking", show=show)) == [0, 1, 2, 3, 4]
    assert ("walking" in capsys.readouterr().err) is visible


def test_progress_is_lazy():
    seen = []
    walk = progress((seen.append(i) or i for i in range(3)), show=False)
    assert seen == []
    assert next(walk) == 0
    assert seen == [0]


@pytest.mark.parametrize("name", ["LayerError", "ResultNotFoundError"])
def test_errors_that_are_key_errors_print_without_quotes(name):
    error = getattr(errors, name)
    assert str(error("no layer 'a'")) == "no layer 'a'"
    assert str(error()) == ""
    assert issubclass(error, KeyError)


def test_every_error_derives_from_one_base():
    found = [value for value in vars(errors).values() if isinstance(value, type)]
    assert len(found) > 10
    assert all(issubclass(value, errors.GrnError) for value in found)
