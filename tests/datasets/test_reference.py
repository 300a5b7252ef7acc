"""The object that holds labels, whatever they were read from."""

import numpy as np
import pandas as pd
import pytest

from grn._core.errors import NetworkError, ParameterError
from grn.datasets.reference import Reference
from grn.network import Network

ROWS = [("SPI1", "CD14"), ("SPI1", "CD4"), ("GATA1", "KLF1"), ("GATA1", "SPI1")]


def table(rows=ROWS, **columns):
    return pd.DataFrame(rows, columns=["source", "target"]).assign(**columns)


def test_genes_and_regulators_default_to_the_names_in_the_edges():
    reference = Reference(table())
    assert reference.genes.tolist() == ["CD14", "CD4", "GATA1", "KLF1", "SPI1"]
    assert reference.regulators.tolist() == reference.evidence.tolist() == ["GATA1", "SPI1"]
    assert len(reference) == 4 and reference.edges.equals(table(sorted(ROWS)))


def test_labels_have_true_exactly_at_the_edges():
    reference = Reference(table(), genes=["CD8A", "CD14", "CD4", "KLF1"], regulators=["SPI1", "GATA1", "MYC"])
    assert reference.genes.tolist() == ["CD14", "CD4", "CD8A", "GATA1", "KLF1", "MYC", "SPI1"]
    assert reference.labels.shape == (3, 7) and reference.labels.dtype == bool
    where = {
        (str(reference.regulators[row]), str(reference.genes[column]))
        for row, column in zip(*np.nonzero(reference.labels), strict=True)
    }
    assert where == set(ROWS)
    assert not reference.labels[reference.regulators.tolist().index("MYC")].any()
    with pytest.raises(ValueError, match="read-only"):
        reference.labels[0, 0] = True


def test_regulators_without_an_edge_are_listed_but_have_no_evidence():
    reference = Reference(table(), regulators=["SPI1", "GATA1", "MYC"])
    assert reference.regulators.tolist() == ["GATA1", "MYC", "SPI1"]
    assert reference.evidence.tolist() == ["GATA1", "SPI1"]


def test_duplicates_are_merged_and_loops_left_out_and_both_are_counted(caplog):
    rows = [*ROWS, ROWS[0], ROWS[0], ("SPI1", "SPI1")]
    with caplog.at_level("INFO", logger="grn"):
        reference = Reference(table(rows), dataset="blood")
    assert (len(reference), reference.n_duplicates, reference.n_self_loops) == (4, 2, 1)
    assert "blood: 1 self-loops and 2 duplicated edges" in caplog.text
    assert reference.sha256 == Reference(table()).sha256


def test_both_directions_are_two_edges():
    reference = Reference(table([("SPI1", "GATA1"), ("GATA1", "SPI1")]), directed=False)
    assert len(reference) == 2 and reference.n_duplicates == 0 and not reference.directed


@pytest.mark.parametrize(
    ("listed", "match"),
    [
        ({"genes": ["SPI1", "CD14", "CD4", "GATA1"]}, r"1 targets .* not among its 4 genes \(KLF1\).*genes="),
        ({"regulators": ["SPI1"]}, r"1 sources .* not among its 1 regulators \(GATA1\).*regulators="),
        ({"genes": "SPI1"}, "single string"),
        ({"regulators": "SPI1"}, "single string"),
    ],
)
def test_edges_outside_the_universe_are_refused(listed, match):
    with pytest.raises(NetworkError, match=match):
        Reference(table(), **listed)


@pytest.mark.parametrize(
    ("edges", "match"),
    [
        (table().rename(columns={"target": "gene"}), "lacks the column.*target"),
        ([("SPI1", "CD14")], "lacks the column.*source, target"),
        (table([("SPI1", None)]), "empty names"),
        (table([("SPI1", "")]), "empty names"),
        (table([]), "no edge is left of 0 rows"),
        (table([("SPI1", "SPI1")]), r"no edge is left of 1 rows \(1 self-loops\)"),
        (table(sign=2.0), "other values than 1, -1 and NaN"),
        (table(sign=0.0), "other values than 1, -1 and NaN"),
    ],
)
def test_malformed_edges_are_refused(edges, match):
    with pytest.raises(NetworkError, match=match):
        Reference(edges)


def test_an_unknown_organism_is_refused():
    with pytest.raises(ParameterError, match="fly"):
        Reference(table(), organism="fly")


def test_conflicting_signs_are_unknown_and_a_missing_one_does_not_count():
    rows = [("A", "x"), ("A", "x"), ("A", "y"), ("A", "y"), ("A", "z"), ("A", "w"), ("A", "w")]
    reference = Reference(table(rows, sign=[1.0, -1.0, np.nan, -1.0, 1.0, np.nan, np.nan]))
    signs = reference.edges.set_index("target")["sign"]
    assert np.isnan(signs["x"]) and np.isnan(signs["w"])
    assert signs["y"] == -1 and signs["z"] == 1
    assert reference.n_duplicates == 3


def test_the_hash_ignores_the_order_and_sees_the_content():
    edges = table(sign=[1.0, -1.0, 1.0, np.nan])
    first = Reference(edges, genes=["CD8A", "CD14", "CD4", "KLF1"], regulators=["SPI1", "GATA1"])
    shuffled = edges.sample(frac=1, random_state=1)
    again = Reference(shuffled, genes=["KLF1", "CD4", "CD14", "CD8A"], regulators=["GATA1", "SPI1"])
    assert first.sha256 == again.sha256 and len(first.sha256) == 64
    pd.testing.assert_frame_equal(first.edges, again.edges)
    others = [
        Reference(edges.iloc[1:], genes=first.genes, regulators=first.regulators),
        Reference(edges, genes=[*first.genes, "CD19"], regulators=first.regulators),
        Reference(edges, genes=first.genes, regulators=[*first.regulators, "KLF1"]),
        Reference(edges.rename(columns={"source": "target", "target": "source"})),
    ]
    assert len({first.sha256, *(other.sha256 for other in others)}) == 5


def test_the_hash_keeps_names_apart():
    assert Reference(table([("A", "x"), ("BC", "x")])).sha256 != Reference(table([("AB", "x"), ("C", "x")])).sha256


def test_names_may_be_categorical_and_the_input_is_left_alone():
    edges = table([*ROWS, ROWS[0]]).astype("category")
    before = edges.copy()
    assert Reference(edges).sha256 == Reference(table()).sha256
    pd.testing.assert_frame_equal(edges, before)


def test_tables_and_names_are_copies():
    reference = Reference(table())
    edges = reference.edges
    edges.loc[0, "target"] = "changed"
    reference.genes[0] = "changed"
    reference.regulators[0] = "changed"
    assert "changed" not in {*reference.edges["target"], *reference.genes, *reference.regulators}


def test_name_and_unit():
    reference = Reference(table(), dataset="mHSC-E", network="STRING", size="500", unit="mHSC")
    assert (reference.name, reference.unit) == ("mHSC-E/STRING/500", "mHSC")
    assert Reference(table(), dataset="hESC").unit == "hESC"
    assert Reference(table()).name == "reference"
    assert repr(Reference(table(), dataset="hESC", directed=False)) == (
        "Reference hESC: 4 edges among 2 regulators with evidence (of 2) x 5 genes; human, undirected"
    )


def test_the_network_keeps_genes_direction_and_provenance():
    facts = {"dataset": "hESC", "network": "STRING", "size": "500", "licence": "CC0", "version": "1", "origin": "here"}
    reference = Reference(table(), genes=["CD8A", "CD14", "CD4", "KLF1"], directed=False, **facts)
    net = reference.to_network()
    assert isinstance(net, Network) and not net.directed and not net.signed
    assert net.params == {**facts, "sha256": reference.sha256}
    assert net.genes.tolist() == reference.genes.tolist()
    assert set(zip(net.edges["source"], net.edges["target"], strict=True)) == set(ROWS)
    assert (net.edges["weight"] == 1).all()


def test_the_network_takes_known_signs_as_weights():
    net = Reference(table(sign=[1.0, -1.0, np.nan, -1.0])).to_network()
    assert net.signed
    edges = net.edges.set_index(["source", "target"])
    assert edges.loc[("SPI1", "CD4"), "weight"] == -1 and edges.loc[("GATA1", "KLF1"), "weight"] == 1
    assert np.isnan(edges.loc[("GATA1", "KLF1"), "sign"])


@pytest.mark.parametrize("sign", ["+", "activation", np.inf])
def test_signs_that_are_no_numbers_are_refused(sign):
    with pytest.raises(NetworkError, match="other values than 1, -1 and NaN"):
        Reference(table(sign=sign))


@pytest.mark.parametrize("bad", [None, np.nan, "", 7])
@pytest.mark.parametrize("listed", ["genes", "regulators"])
def test_names_must_be_strings(listed, bad):
    names = ["SPI1", "GATA1", "CD14", "CD4", "KLF1", bad]
    with pytest.raises(NetworkError, match="empty names, or names that are not strings"):
        Reference(table(), **{listed: names})


def test_the_hash_sees_signs():
    hashes = [Reference(table(sign=sign)).sha256 for sign in (1.0, -1.0, np.nan)]
    assert len({*hashes, Reference(table()).sha256}) == 4


def test_evidence_cannot_be_changed():
    reference = Reference(table())
    with pytest.raises(ValueError, match="read-only"):
        reference.evidence[0] = "x"
