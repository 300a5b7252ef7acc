import numpy as np
import pandas as pd
import pytest

from grn._core.errors import GeneOverlapError, NetworkError, ParameterError
from grn.methods.celloracle.candidates import candidates

NAMES = np.array(list("abcde"))
SOURCES, TARGETS = np.array([0, 2]), np.array([0, 1, 3])


def test_without_a_table_every_source_may_regulate_every_target():
    found = candidates(None, NAMES, SOURCES, TARGETS)
    assert [own.tolist() for own in found] == [[2], [0, 2], [0, 2]]


@pytest.mark.parametrize("dtype", [object, "category"])
def test_a_table_restricts_and_its_row_order_does_not_matter(dtype, caplog):
    table = pd.DataFrame({"source": list("ccaacbz"), "target": list("bbabdda"), "region": list("1234567")})
    table = table.astype({"source": dtype, "target": dtype})
    for order in (table, table.iloc[::-1]):
        found = candidates(order, NAMES, SOURCES, TARGETS)
        assert [own.tolist() for own in found] == [[], [0, 2], [2]]


def test_errors():
    table = pd.DataFrame({"source": ["a"], "target": ["a"]})
    with pytest.raises(GeneOverlapError, match="none of the 1 rows"):
        candidates(table, NAMES, SOURCES, TARGETS)
    with pytest.raises(NetworkError, match="lacks target"):
        candidates(table[["source"]], NAMES, SOURCES, TARGETS)
    with pytest.raises(ParameterError, match="list"):
        candidates([("a", "b")], NAMES, SOURCES, TARGETS)
