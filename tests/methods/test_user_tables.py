"""Names of tables that networks use themselves are none for a method."""

import pytest

from grn._core.errors import ParameterError
from grn.methods import METHODS, Method, Table
from grn.methods.record import TAKEN


def test_a_table_that_networks_use_themselves_is_refused():
    arguments = {"signed": False, "probability": False, "reference": "none", "needs": ("cells",)}
    for name in TAKEN:
        with pytest.raises(ParameterError, match=f"has a table '{name}', which networks use themselves"):
            Method("mine", lambda group: None, "none", tables={name: Table("of mine")}, **arguments)
    assert not any(set(METHODS[name].tables) & TAKEN for name in METHODS)
