import importlib
import sys
import types

import pytest

from grn._core.errors import ParameterError
from grn._core.registry import Registry


@pytest.fixture
def methods():
    registry = Registry("method")
    for name in ("genie3", "celloracle", "renge"):
        registry.add(name, name.upper())
    return registry


def test_records_come_in_order_of_registration(methods):
    assert list(methods) == ["genie3", "celloracle", "renge"]
    assert len(methods) == 3
    assert methods["renge"] == "RENGE"
    assert "renge" in methods
    assert "scenic" not in methods


def test_an_unknown_name_lists_what_exists_and_the_closest(methods):
    with pytest.raises(ParameterError, match=r"no method is called 'celoracle'.*genie3, celloracle, renge") as raised:
        methods["celoracle"]
    assert "Did you mean 'celloracle'?" in str(raised.value)
    assert raised.value.__cause__ is None


@pytest.mark.parametrize("name", ["zzzz", 3, None, ["genie3"]])
def test_nothing_close_gives_no_hint(methods, name):
    with pytest.raises(ParameterError) as raised:
        methods[name]
    assert repr(name) in str(raised.value)
    if name != ["genie3"]:
        assert "Did you mean" not in str(raised.value)


def test_a_name_is_taken_once(methods):
    with pytest.raises(ParameterError, match=r"'renge' exists already.*replace=True"):
        methods.add("renge", "other")
    assert methods["renge"] == "RENGE"
    assert methods.add("renge", "other", replace=True) == "other"
    assert methods["renge"] == "other"
    assert list(methods) == ["genie3", "celloracle", "renge"]


@pytest.fixture
def announced(tmp_path, monkeypatch):
    """A registry with a record that a module makes when it is imported, and the list of such imports."""
    registry = Registry("method")
    code = "import registry_of_the_test as t\nt.imports.append(__name__)\nt.registry.add('late', 'LATE')\n"
    (tmp_path / "late_record.py").write_text(code)
    (tmp_path / "no_record.py").write_text("")
    home = types.ModuleType("registry_of_the_test")
    home.registry, home.imports = registry, []
    monkeypatch.setitem(sys.modules, "registry_of_the_test", home)
    monkeypatch.syspath_prepend(tmp_path)
    registry.announce("late_record", "late")
    registry.add("early", "EARLY")
    yield registry, home.imports
    sys.modules.pop("late_record", None)


def test_an_announced_record_is_made_on_first_use(announced):
    registry, imports = announced
    assert list(registry) == ["late", "early"] and "late" in registry and len(registry) == 2
    assert imports == []
    assert registry["late"] == "LATE" and registry["late"] == "LATE"
    assert imports == ["late_record"]
    assert list(registry) == ["late", "early"]


def test_an_announced_name_is_taken(announced):
    registry, imports = announced
    with pytest.raises(ParameterError, match="'late' exists already"):
        registry.add("late", "other")
    assert imports == ["late_record"] and registry["late"] == "LATE"
    registry.add("late", "other", replace=True)
    assert registry["late"] == "other"


def test_an_announced_record_that_is_replaced_before_first_use_stays_replaced(announced):
    registry, _ = announced
    registry.add("late", "other", replace=True)
    importlib.import_module("late_record")
    assert registry["late"] == "other"


def test_a_record_that_is_made_on_a_copy_of_the_names_stays(announced, monkeypatch):
    registry, imports = announced
    with monkeypatch.context() as patch:
        patch.setattr(registry, "_records", dict(registry._records))
        assert registry["late"] == "LATE"
    assert registry["late"] == "LATE"
    assert imports == ["late_record"]


def test_an_announcement_must_hold(announced):
    registry, _ = announced
    registry.announce("no_record", "never")
    with pytest.raises(RuntimeError, match="no_record was said to add the method 'never'"):
        registry["never"]
