"""Which regulators a target may have: all but itself, or those of a base GRN."""

import numpy as np
import pandas as pd
import pytest

from grn.errors import GeneOverlapError, NetworkError, ParameterError
from grn.methods import Inputs, Task

GENES = list("abcde")


@pytest.fixture
def inputs():
    """Sources a and c, targets a, b and d, of five genes."""
    values = np.random.default_rng(0).poisson(4.0, (20, 5)) + 1
    return Inputs.of_arrays(values, GENES, Task(sources=["a", "c"], targets=["a", "b", "d"], values="counts"))


def test_without_a_table_every_source_may_regulate_every_target_but_itself(inputs):
    assert inputs.allowed(None).tolist() == [[False, True], [True, True], [True, True]]


@pytest.mark.parametrize("dtype", [object, "category"])
def test_a_table_restricts_and_its_row_order_does_not_matter(inputs, dtype, caplog):
    table = pd.DataFrame({"source": list("ccaacbe"), "target": list("bbabdda"), "region": list("1234567")})
    table = table.astype({"source": dtype, "target": dtype})
    for order in (table, table.iloc[::-1]):
        assert inputs.allowed(order).tolist() == [[False, False], [True, True], [False, True]]
    assert "1 targets have no regulator in the base GRN: a" in caplog.text


def test_it_is_found_once_for_a_table_and_anew_for_other_cells(inputs):
    first = inputs.allowed(None)
    assert inputs.allowed(None) is first
    inputs.read_cells()
    assert inputs.allowed(None) is not first


def test_a_table_without_a_pair_of_the_question_is_refused(inputs):
    with pytest.raises(GeneOverlapError, match=r"none of the 1 edges of the base GRN.*pass sources="):
        inputs.allowed(pd.DataFrame({"source": ["b"], "target": ["d"]}))


def test_what_is_no_base_grn_is_refused(inputs):
    with pytest.raises(NetworkError, match="target"):
        inputs.allowed(pd.DataFrame({"source": ["a"]}))
    with pytest.raises(ParameterError, match="list"):
        inputs.allowed([("a", "b")])
