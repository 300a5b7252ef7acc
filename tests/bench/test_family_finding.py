"""Links within families: counted, and told apart from references without any."""

import numpy as np
import pandas as pd
import pytest

import grn
from grn.bench import Reference, _family_finding
from grn.datasets import literature
from grn.errors import DataNotFoundError, ParameterError

FAMILIES = ("GATA", "STAT", "FOXP", "IRF", "KLF", "SMAD", "HOXA", "SOX")


def reference(dataset, *, network, size=500, path=None):
    """Random edges, and in STRING all pairs of paralogues."""
    genes = [f"{name}{i}" for name in FAMILIES for i in range(1, 5)]
    random = np.random.default_rng(len(dataset))
    labels = random.random((len(genes), len(genes))) < 0.15
    if network == "STRING":
        labels |= np.kron(np.eye(len(FAMILIES), dtype=bool), np.ones((4, 4), dtype=bool))
    np.fill_diagonal(labels, False)
    rows, columns = np.nonzero(labels)
    edges = pd.DataFrame({"source": np.array(genes)[rows], "target": np.array(genes)[columns]})
    return Reference(edges, genes=genes, regulators=genes, dataset=dataset, network=network)


@pytest.fixture
def links(monkeypatch):
    def train_or_test(dataset, **given):
        if dataset != "hESC":
            return reference(dataset, **given)
        edges = pd.DataFrame({"source": ["MYC", "MYC"], "target": ["HBB", "CD14"]})
        return Reference(edges, dataset="hESC", network=given["network"])

    def absent(*_, **__):
        raise DataNotFoundError("no collection here")

    monkeypatch.setattr(_family_finding, "beeline", train_or_test)
    monkeypatch.setattr(_family_finding, "literature", absent)
    monkeypatch.setattr(_family_finding, "BEELINE", ("hESC", "hHEP", "mDC"))
    return grn.bench.family_links(seeds=2, progress=False)


def test_planted_paralogues_are_counted(links):
    assert not links.duplicated(["network", "test", "family"]).any()
    assert set(links["family"]) == {"stem", "prefix", "domain", "any"} and set(links["test"]) == {"hHEP", "mDC"}
    means = links.groupby(["network", "family"])[["edges", "non_edges", "value"]].mean()
    assert means.loc[("STRING", "stem"), "edges"] > 0.3 > 0.2 > means.loc[("STRING", "stem"), "non_edges"]
    assert means.loc[("STRING", "stem"), "value"] > 0.6
    assert abs(means.loc[("Specific", "stem"), "value"] - 0.5) < 0.08
    assert (means.xs("any", level="family")["edges"] >= means.xs("stem", level="family")["edges"]).all()


def test_seeds_are_checked():
    with pytest.raises(ParameterError, match="seeds"):
        grn.bench.family_links(seeds=0, path="nowhere")


class TestLiterature:
    def test_it_speaks_of_the_genes_of_the_data_sets(self, shared_dir):
        found = literature("TRRUST", path=shared_dir / "data")
        assert found.dataset == found.network == "TRRUST" and found.directed and found.organism == "human"
        known = grn.datasets.trrust(path=shared_dir / "data")
        pairs = set(zip(known.edges["source"].astype(str), known.edges["target"].astype(str), strict=True))
        mine = set(zip(found.edges["source"], found.edges["target"], strict=True))
        assert 1000 < len(mine) < len(pairs) and mine <= pairs
        learned = grn.datasets.beeline("hESC", network="Non-Specific", path=shared_dir / "data")
        mask = grn.bench.splits.split(learned, test=found, by="both_genes").test_mask
        assert (mask & found.labels).sum() > 300
        assert not mask[np.isin(found.regulators, learned.genes)].any()
        assert not mask[:, np.isin(found.genes, learned.genes)].any()

    def test_other_collections_are_refused(self):
        with pytest.raises(ParameterError, match="TRRUST"):
            literature("DoRothEA", path="nowhere")
        with pytest.raises(DataNotFoundError):
            literature("CollecTRI", path="nowhere")


def test_no_floor_holds_the_labels_of_a_collection(tmp_path, shared_dir):
    from grn.bench import _evidence

    published = _evidence.outside_floors(tmp_path, shared_dir / "data", show=False)["prior (CollecTRI)"]
    edges = grn.datasets.collectri(path=shared_dir / "data").edges[["source", "target"]].astype(str).head(1)
    assert np.isnan(published(Reference(edges, network="TRRUST"))).all()
    assert published(Reference(edges, network="mine")).sum() == 1
