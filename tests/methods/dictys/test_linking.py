"""Binding, links and the strongest of them against the reference of Dictys."""

import numpy as np
import pandas as pd
import pytest

from grn._core.errors import NetworkError
from grn.methods.dictys.linking import binding, linked, strongest_links


@pytest.fixture
def reference(shared_dir):
    folder = shared_dir / "reference" / "dictys"

    def read(name, **how):
        return pd.read_csv(folder / f"{name}.tsv.gz", sep="\t", **how)

    return read


def test_links_are_those_of_the_original(reference):
    bound = binding(reference("link_wellington", index_col=0), reference("link_homer", index_col=0))
    wanted = reference("link_binding").rename(columns={"TF": "source", "loc": "region"})
    # the original takes motifs of two regulators apart one step later
    wanted = wanted.assign(source=wanted["source"].str.split(",")).explode("source")
    both = bound.merge(wanted, on=["source", "region"], how="outer")
    assert len(bound) == len(wanted)
    np.testing.assert_allclose(both["score_x"], both["score_y"], atol=1e-8)
    links = linked(bound, reference("link_tssdist").rename(columns={"dist": "distance"}))
    table = reference("link_linking", index_col=0).stack()
    table = table[np.isfinite(table)]
    got = links.set_index(["source", "target"])["score"]
    assert set(got.index) == set(table.index)
    np.testing.assert_allclose(got[table.index], table, atol=1e-8)
    kept = strongest_links(links, 3)
    listed = reference("link_binlinking", index_col=0).stack()
    theirs = table[listed[listed].index].rename("score").reset_index()
    # TF3 and TF4 have one motif and so one score, of which the original takes either
    for one, other in zip(*(part.groupby(part.columns[1])["score"] for part in (kept, theirs)), strict=True):
        np.testing.assert_allclose(sorted(one[1]), sorted(other[1]), atol=1e-8)


def test_columns_that_are_missing_are_named():
    with pytest.raises(NetworkError, match="distance"):
        linked(pd.DataFrame({"source": [], "region": [], "score": []}), pd.DataFrame({"region": [], "target": []}))
