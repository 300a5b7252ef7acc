"""What tells the direction of the edges of a method: responses, a prior, motifs, or the list of regulators."""

import anndata
import numpy as np
import pandas as pd
import pytest
import torch
from anndata import AnnData

import grn
from grn.errors import ParameterError
from grn.methods import METHODS, Method
from grn.models import Panel, ValueScale

REGULATORS = sorted(grn.genes.regulators("human"))[:40]
TARGETS = ["LYZ", "CD14", "HBB", "CD79A", "CD3E", "MPO", "ALB", "INS", "GAPDH", "ACTB"]


class Linear:
    """A model whose response to a gene is a row of a matrix."""

    name, sha256, gene_id_kind, max_genes, gradient_kind = "linear", "none", "symbol", 1000, "exact"
    capabilities = frozenset({"value", "gradient"})
    value_scale = ValueScale("z-score", 0.0, (-1.0, 1.0), (-1.0, 1.0), -3.0, 3.0)

    def __init__(self, weights):
        self.weights = torch.as_tensor(weights, dtype=torch.float32)  # regulator, target
        self.source_genes = self.target_genes = (*REGULATORS, *TARGETS)

    def panel(self, sources, targets):
        known = [g for g in self.source_genes if g in {*sources, *targets}]
        sources, targets = ([g for g in asked if g in known] for asked in (sources, targets))
        rows = torch.tensor([self.source_genes.index(g) for g in known])
        src, tgt = (torch.tensor([known.index(g) for g in asked]) for asked in (sources, targets))
        return Panel(tuple(known), rows, src, tgt, tuple(sources), tuple(targets))

    def respond(self, panel, values, *, context=None):
        return (values @ self.weights[panel.tokens][:, panel.tokens])[:, panel.tgt_pos]

    def respond_dual(self, panel, values, tangents, *, context=None):
        return torch.func.jvp(lambda v: self.respond(panel, v), (values,), (tangents,))

    def attention(self, panel, values):
        raise grn.errors.CapabilityError("a linear model has no attention")

    def embed(self, panel, values=None):
        raise grn.errors.CapabilityError("a linear model has no embeddings")

    def encode_cells(self, X, genes, *, reference=None):
        return torch.zeros(X.shape, dtype=torch.float32)

    def to(self, device):
        return self


def model(*, asymmetric):
    """Symmetric couplings with gains of genes and a little noise, and maybe planted effects one way."""
    rng = np.random.default_rng(0)
    n, size = len(REGULATORS), len(REGULATORS) + len(TARGETS)
    coupled = rng.normal(size=(size, size))
    weights = (coupled + coupled.T) / 2 * np.exp(0.3 * rng.normal(size=size)) + 0.02 * rng.normal(size=(size, size))
    edges = np.zeros((size, size), dtype=bool)
    if asymmetric:
        edges[:n, :n] = np.triu(rng.random((n, n)) < 0.1, 1)
        weights = 0.1 * weights + 2 * edges * rng.choice([-1, 1], size=edges.shape)
    return Linear(weights), {(REGULATORS[i], REGULATORS[j]) for i, j in zip(*np.nonzero(edges[:n, :n]), strict=True)}


@pytest.fixture
def adata():
    made = AnnData(np.zeros((0, 50), dtype=np.float32), var=pd.DataFrame(index=[*REGULATORS, *TARGETS]))
    made.var["is_regulator"] = [name in REGULATORS for name in made.var_names]
    return made


def words(edges):
    return {(s, t): word for s, t, word in edges[["source", "target", "direction"]].astype(str).to_numpy()}


@pytest.mark.parametrize("method", ["vvp", "gradient_trajectory"])
def test_one_way_responses_have_a_direction(adata, method):
    loaded, planted = model(asymmetric=True)
    grn.tl.infer_network(adata, method=method, model=loaded, params={"translator": None})
    told = words(grn.get.edges(adata))
    response = {pair for pair, word in told.items() if word == "response"}
    assert len(response & planted) > 0.6 * len(planted) and len(response - planted) <= 0.1 * len(response)
    assert adata.uns["grn"]["schema"]["directed"]
    measured = adata.uns["grn"]["params"]["direction"]["all"]
    assert measured["pairs"] == 40 * 39 // 2 and measured["stronger_one_way"] == len(response)
    assert 0.1 < measured["antisymmetric_share"] < 0.6
    # both rows stay, and the one against the evidence is marked
    assert all(told[t, s] == "none" for s, t in response)


@pytest.mark.parametrize("method", ["vvp", "gradient_trajectory"])
def test_symmetric_responses_have_none(adata, method):
    grn.tl.infer_network(adata, method=method, model=model(asymmetric=False)[0], params={"translator": None})
    told = words(grn.get.edges(adata))
    assert not adata.uns["grn"]["schema"]["directed"]
    assert {told[r, t] for r in REGULATORS for t in TARGETS} == {"role"}
    assert {told[r, other] for r in REGULATORS for other in REGULATORS if r != other} == {"none"}
    assert adata.uns["grn"]["params"]["direction"]["all"]["correlation_of_both_ways"] > 0.5


def test_order_of_genes_does_not_matter(adata):
    loaded, _ = model(asymmetric=True)
    other = adata[:, adata.var_names[np.random.default_rng(1).permutation(50)]].copy()
    for made in (adata, other):
        grn.tl.infer_network(made, method="vvp", model=loaded, params={"translator": None})
    assert words(grn.get.edges(adata)) == words(grn.get.edges(other))


def test_a_regulator_that_is_no_source_is_no_mere_target(adata):
    """With few sources nothing can be compared, and a regulator among the targets may regulate the source."""
    grn.tl.infer_network(
        adata, method="vvp", model=model(asymmetric=True)[0], sources=REGULATORS[:1], params={"translator": None}
    )
    told = words(grn.get.edges(adata))
    assert told[REGULATORS[0], REGULATORS[1]] == "none" and told[REGULATORS[0], "LYZ"] == "role"
    adata.var["is_regulator"] = [name == REGULATORS[0] for name in adata.var_names]
    grn.tl.infer_network(
        adata, method="vvp", model=model(asymmetric=True)[0], sources=REGULATORS[:1], params={"translator": None}
    )
    assert set(words(grn.get.edges(adata)).values()) == {"role"}


@pytest.fixture
def cells():
    made = grn.datasets.toy(n_cells=80, n_regulators=4, n_targets=6)
    regulators = made.var_names[made.var["is_regulator"]].tolist()
    others = made.var_names[~made.var["is_regulator"].to_numpy()].tolist()
    a, b, c, _ = regulators
    table = pd.DataFrame({"source": [a, b, a, a, b], "target": [b, a, c, others[0], others[0]]})
    return made, table, (a, b, c, others[0])


@pytest.mark.parametrize("method", ["correlation", "ridge", "celloracle"])
def test_a_prior_tells_what_it_lists_one_way(cells, method):
    made, table, (a, b, c, x) = cells
    params = {"base_grn": table, **({"max_p": None} if method == "celloracle" else {})}
    grn.tl.infer_network(made, method=method, params=params)
    told = words(grn.get.edges(made))
    assert told == {(a, b): "none", (b, a): "none", (a, c): "prior", (a, x): "prior", (b, x): "prior"}
    assert made.uns["grn"]["schema"]["directed"]


def test_a_motif_tells_the_direction_where_the_target_has_none_at_the_source(cells, tmp_path):
    """Motifs both ways, as those of GATA1 and GATA2, say that each may regulate the other."""
    made, table, (a, b, c, _) = cells
    motifs = grn.pp.base_grn(table, evidence="motif")
    assert motifs.attrs["base_grn"]["evidence"] == "motif"
    wide = pd.DataFrame({"gene_short_name": [b, a, c], a: [1, 0, 1], b: [0, 1, 0]})
    for given in (motifs, table.assign(region="chr1:1-2"), wide):
        grn.tl.infer_network(made, method="correlation", params={"base_grn": given})
        told = words(grn.get.edges(made))
        assert told[a, c] == "motif" and told[a, b] == told[b, a] == "none"
    made.write_h5ad(tmp_path / "a.h5ad")
    assert grn.get.edges(anndata.read_h5ad(tmp_path / "a.h5ad")).equals(grn.get.edges(made))


def test_evidence_is_a_word():
    table = pd.DataFrame({"source": ["A"], "target": ["B"]})
    with pytest.raises(ParameterError, match="evidence"):
        grn.pp.base_grn(table, evidence="motifs")
    assert grn.pp.base_grn(grn.pp.base_grn(table, evidence="motif")).attrs["base_grn"]["evidence"] == "motif"
    assert grn.pp.base_grn(grn.pp.base_grn(table)).attrs["base_grn"]["evidence"] == "prior"


def test_groups_are_measured_each(adata):
    cells = AnnData(np.ones((40, 50), dtype=np.float32), var=adata.var)
    cells.obs["type"] = pd.Categorical(["a/b"] * 20 + ["c"] * 20)
    loaded, _ = model(asymmetric=True)
    grn.tl.infer_network(cells, method="vvp", model=loaded, groupby="type", params={"translator": None})
    measured = grn.get.network(cells).params["direction"]
    assert set(measured) == {"a/b", "c"} and measured["a/b"] == measured["c"]
    assert set(grn.get.edges(cells, direction="response")["group"]) == {"a/b", "c"}


def test_a_method_that_knows_writes_the_column(cells):
    made, _, (a, b, _, x) = cells

    def fit(group):
        table = pd.DataFrame({"source": [a, a, b], "target": [b, x, a], "weight": 1.0})
        return table.assign(direction=["response", "none", "none"])

    record = Method("told", fit, "knows", signed=False, probability=False, reference="test", needs=("cells",))
    METHODS.add("told", record, replace=True)
    try:
        grn.tl.infer_network(made, method="told")
    finally:
        del METHODS._records["told"]
    assert words(grn.get.edges(made)) == {(a, b): "response", (a, x): "role", (b, a): "none"}


def test_a_record_says_how(cells):
    with pytest.raises(ParameterError, match="direction"):
        Method("x", lambda group: None, "x", signed=False, probability=False, reference="x", direction="directed")


def test_penalties_from_a_prior_tell_too(cells):
    """Pairs outside the prior may be edges there, and have no direction by it."""
    made, table, (a, b, c, x) = cells
    for prior in (table, grn.Network(table.assign(weight=1.0))):
        grn.tl.infer_network(made, method="prior_ridge", params={"prior": prior})
        told = words(grn.get.edges(made))
        assert told[a, c] == told[a, x] == "prior" and told[a, b] == told[b, a] == told[c, a] == "none"
        assert told[c, x] == "role"


@pytest.mark.parametrize("background", ["fixed", "unknown"])
def test_mini_tells_no_direction(background):
    """A response of a memory is a covariance, nearly the same both ways."""
    blood = grn.datasets.pbmc68k()
    grn.pp.align_genes(blood)
    grn.pp.annotate_regulators(blood)
    params = {"translator": None, "background": background}
    grn.tl.infer_network(blood, method="gradient_trajectory", params=params, progress=False)
    told = blood.uns["grn"]["edges"]["direction"].unique()
    assert set(told) == {"none", "role"}
    assert not grn.Network.from_anndata(blood).directed


def test_groups_of_a_prior_tell_the_cells_of_their_name(cells, caplog):
    """What is listed one way in a group has a direction there, whatever other groups list."""
    made, table, (a, b, c, x) = cells
    made.obs["type"] = np.where(np.arange(made.n_obs) % 2, "one", "two")
    one, two = table.drop(index=1), table.drop(index=[0, 2])  # a -> b without its reverse; the reverse, and no a -> c
    prior = pd.concat([one.assign(group="one"), two.assign(group="two"), two.assign(group="three")], ignore_index=True)
    for given in (prior, grn.Network(prior.assign(weight=1.0))):
        caplog.clear()
        grn.tl.infer_network(made, method="prior_ridge", groupby="type", params={"prior": given})
        told = {group: words(part) for group, part in grn.get.edges(made).groupby("group", observed=True)}
        assert (told["one"][a, b], told["one"][b, a], told["one"][a, c]) == ("prior", "none", "prior")
        assert (told["two"][a, b], told["two"][b, a], told["two"][a, c]) == ("none", "prior", "none")
        assert told["one"][a, x] == told["two"][a, x] == "prior"
        assert "1 groups of prior= are no groups of the cells, and are not read: three" in caplog.text
    grn.tl.infer_network(made, method="prior_ridge", params={"prior": prior})
    told = words(grn.get.edges(made))
    assert told[a, b] == told[b, a] == "none" and told[a, c] == "prior"
    assert "prior= has 3 groups (one, three, two) and the cells are not grouped" in caplog.text


def test_groups_of_a_base_grn_are_merged_and_that_is_said(cells, caplog):
    made, table, (a, b, c, _) = cells
    made.obs["type"] = np.where(np.arange(made.n_obs) % 2, "one", "two")
    base = pd.concat([table.drop(index=1).assign(group="one"), table.drop(index=0).assign(group="two")])
    grn.tl.infer_network(made, method="correlation", groupby="type", params={"base_grn": base})
    assert "base_grn= has 2 groups, which are merged" in caplog.text
    for _, part in grn.get.edges(made).groupby("group", observed=True):
        told = words(part)
        assert told[a, b] == told[b, a] == "none" and told[a, c] == "prior"


def test_edges_of_a_prior_without_evidence_stay_without(cells):
    """What a network of roles lists is no more than that when it is used as a prior, in whichever form."""
    made, table, (a, b, c, x) = cells
    words_of = ["none", "none", "motif", "role", "prior"]
    marked = table.assign(weight=1.0, direction=words_of)
    expected = {(a, b): "none", (b, a): "none", (a, c): "prior", (a, x): "role", (b, x): "prior"}
    for prior in (marked, grn.Network(marked)):
        grn.tl.infer_network(made, method="prior_ridge", params={"prior": prior})
        told = words(grn.get.edges(made))
        assert {pair: told[pair] for pair in expected} == expected
    grn.tl.infer_network(made, method="correlation", params={"base_grn": marked})
    assert words(grn.get.edges(made)) == expected
    undirected = grn.Network(table.assign(weight=1.0), directed=False)
    grn.tl.infer_network(made, method="prior_ridge", params={"prior": undirected})
    assert set(words(grn.get.edges(made)).values()) == {"role", "none"}


def test_columns_of_a_prior_that_are_not_read_do_not_matter(cells):
    made, table, (a, _, c, _) = cells
    grn.tl.infer_network(made, method="prior_ridge", params={"prior": table.assign(probability=0.5, score=np.nan)})
    assert words(grn.get.edges(made))[a, c] == "prior"
