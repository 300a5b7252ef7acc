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
