"""Where the place of a gene counts, a caller can say where genes stand; the default is the model's vocabulary."""

import pickle

import anndata as ad
import numpy as np
import pytest
import torch

import grn
from grn.errors import CapabilityError, GeneNameError, ParameterError
from grn.models import load, untrained

SYMBOLS = ["SPI1", "GATA1", "LYZ", "CD14", "CD79A", "CST3"]
ENSEMBL = [f"ENSG{i:011d}" for i in range(1, 7)]
PLACED = ("genecompass", "geneformer")
OTHERS = ("mini", "scgpt", "scprint", "scgenept", "lpm")


def family_of(name, **more):
    if name == "mini":
        return load("mini")
    genes = SYMBOLS if name in ("scgpt", "scgenept", "lpm") else ENSEMBL
    return untrained(name, genes=genes, layers=2, width=16, heads=2, rng=1, **more)


def names_of(model):
    return SYMBOLS if model.gene_id_kind == "symbol" else ENSEMBL


def empty(names):
    adata = ad.AnnData(np.zeros((0, len(names)), dtype=np.float32))
    adata.var_names = names
    return adata


@pytest.mark.parametrize("family", [*PLACED, *OTHERS])
def test_a_panel_stands_in_the_order_asked_for(family):
    model = family_of(family)
    names = names_of(model)
    plain = model.panel(names[1:3], names[2:5])
    order = ["elsewhere", *names[::-1]]
    panel = model.panel(names[1:3], names[2:5], order=order)
    assert panel.genes == tuple(sorted(plain.genes, key=order.index)) and set(panel.genes) == set(plain.genes)
    assert (panel.sources, panel.targets, panel.unknown) == (plain.sources, plain.targets, plain.unknown)
    for one in (panel, plain):
        assert [one.genes[i] for i in one.src_pos.tolist()] == list(one.sources)
        assert [one.genes[i] for i in one.tgt_pos.tolist()] == list(one.targets)
    tokens = [dict(zip(one.genes, one.tokens.tolist(), strict=True)) for one in (panel, plain)]
    assert tokens[0] == tokens[1]
    again = model.panel(names[1:3], names[2:5], order=plain.genes)
    assert again.genes == plain.genes and torch.equal(again.tokens, plain.tokens)


@pytest.mark.parametrize("family", [*PLACED, *OTHERS])
def test_orders_that_name_no_place(family):
    model = family_of(family)
    names = names_of(model)
    with pytest.raises(ParameterError, match=rf"order= lacks {names[4]}; it must name each of the \d genes"):
        model.panel(names[1:3], names[2:5], order=names[:4])
    with pytest.raises(ParameterError, match=rf"order= names '{names[0]}' twice"):
        model.panel(names[1:3], names[2:5], order=[*names, names[0]])
    with pytest.raises(ParameterError, match="single string"):
        model.panel(names[1:3], names[2:5], order=names[0])


def cube(model, order, *, names=None, probe=grn.tl.vvp, **given):
    adata = empty(names or names_of(model))
    probe(adata, model=model, sources=names_of(model)[:2], order=order, **given)
    assert adata.uns["f"]["params"].get("order") is None if order is None else True
    return adata[:, names_of(model)].varm["f"]


@pytest.mark.parametrize("probe", [grn.tl.vvp, grn.tl.gradient_trajectory], ids=["vvp", "gradient"])
@pytest.mark.parametrize("family", [*PLACED, *OTHERS])
def test_only_models_with_positions_hear_of_it(family, probe):
    model = family_of(family)
    names = names_of(model)
    given = {"probe": probe, "key_added": "f"}
    plain, turned = cube(model, None, **given), cube(model, names[::-1], **given)
    mixed = [names[i] for i in (3, 0, 5, 1, 4, 2)]
    same = cube(model, names[::-1], names=mixed, **given)
    scale = np.nanmax(np.abs(plain))
    np.testing.assert_allclose(same, turned, atol=1e-5 * scale, err_msg="the order of the object decides nothing")
    if family in PLACED:
        assert np.nanmax(np.abs(plain - turned)) > 0.01 * scale
        np.testing.assert_allclose(cube(model, names, **given), plain, atol=1e-6 * scale)
    else:
        np.testing.assert_allclose(turned, plain, atol=2e-4 * scale)


def test_the_order_is_recorded_and_kept_apart(tmp_path):
    model = family_of("genecompass")
    adata = empty(ENSEMBL)
    given = {"model": model, "sources": ENSEMBL[:2], "store": tmp_path / "store"}
    grn.tl.vvp(adata, order=ENSEMBL[::-1], **given)
    assert list(adata.uns["vvp"]["params"]["order"]) == ENSEMBL[::-1]
    with pytest.raises(ParameterError, match=r"panels \(targets=, order="):
        grn.tl.vvp(adata, **given)


def test_features_in_an_order_are_not_taken_for_others():
    names = SYMBOLS
    adata = empty(names)
    grn.tl.probe(adata, sources=names[:2], order=names[::-1])
    for key in ("vvp", "gradient_trajectory"):
        adata.varm[key] = adata.varm[key] * 3
    grn.tl.infer_network(adata, sources=names[:2])
    fresh = empty(names)
    grn.tl.infer_network(fresh, sources=names[:2])
    assert grn.get.edges(adata).equals(grn.get.edges(fresh))


def test_networks_of_one_feature_take_an_order():
    model = family_of("genecompass")
    found = []
    for order in (None, ENSEMBL[::-1]):
        adata = empty(ENSEMBL)
        params = {"translator": None, "order": order}
        grn.tl.infer_network(adata, model=model, method="vvp", sources=ENSEMBL[:2], params=params)
        found.append(grn.get.edges(adata).set_index(["source", "target"])["weight"].sort_index())
    wanted = cube(model, ENSEMBL[::-1], key_added="f")
    assert not np.allclose(*found, rtol=1e-3) and np.isfinite(wanted).any()


def test_panels_in_blocks_keep_the_order():
    model = family_of("genecompass")
    model.max_genes = 4
    names = names_of(model)
    found = cube(model, names[::-1], key_added="f")
    base = torch.ones(1, 4)
    panel = model.panel(names[:2], [names[0], names[2], names[4]], order=names[::-1])
    assert panel.genes == (names[4], names[2], names[1], names[0])
    assert np.isfinite(found[2:]).all() and model.respond(panel, base).shape == (1, 3)


@pytest.mark.parametrize(("order", "error"), [(["nobody"], GeneNameError), ("x", ParameterError), ([], ParameterError)])
def test_orders_that_fit_no_object(order, error):
    adata = empty(SYMBOLS)
    with pytest.raises(error, match="order"):
        grn.tl.vvp(adata, sources=SYMBOLS[:2], order=order)
    assert not adata.uns


class Own:
    """A user's model, whose panel takes no order."""

    def __init__(self):
        self._model = load("mini")
        self.name = "own"

    def __getattr__(self, name):
        return getattr(self._model, name)

    def to(self, device):
        return self

    def panel(self, sources, targets):
        return self._model.panel(sources, targets)


def test_a_users_model_needs_no_order():
    adata = empty(SYMBOLS)
    grn.tl.vvp(adata, model=Own(), sources=SYMBOLS[:2])
    with pytest.raises(CapabilityError, match="'own' presents genes in an order of its own"):
        grn.tl.vvp(adata, model=Own(), sources=SYMBOLS[:2], order=SYMBOLS)


@pytest.mark.parametrize("cell", range(2))
def test_ranks_of_the_authors_of_genecompass(shared_dir, cell):
    """Their cells are in rank order; the panel in that order is read as they read it, at fixed positions."""
    folder = shared_dir / "reference" / "genecompass"
    names = {t: n for n, t in pickle.loads((folder / "human_mouse_tokens.pickle").read_bytes()).items()}
    with np.load(folder / "reference.npz") as found:
        n = int(found["attention_mask"][cell].sum())
        genes = [names[token] for token in found["input_ids"][cell, :n].tolist()]
        values, wanted = torch.tensor(found["values"][cell : cell + 1, :n]), found["pred_values"][cell, :n]
    model = load(folder)
    np.testing.assert_allclose(model.respond(model.panel(genes[:2], genes, order=genes), values)[0], wanted, atol=1e-5)
    plain = model.panel(genes[:2], genes)
    assert plain.genes != tuple(genes)
    mine = torch.zeros(1, n)
    mine[0, plain.tgt_pos] = values[0]
    assert np.abs(model.respond(plain, mine)[0].numpy() - wanted).max() > 1e-3


def test_virtual_values_of_the_authors_of_genecompass(shared_dir):
    """Their panel, through the public function, from an object whose genes lie in another order."""
    folder = shared_dir / "reference" / "genecompass"
    names = {t: n for n, t in pickle.loads((folder / "human_mouse_tokens.pickle").read_bytes()).items()}
    with np.load(folder / "reference.npz") as found:
        genes = [names[token] for token in found["panel_ids"][0].tolist()]
        wanted, grid = found["vvp_features"], found["vvp_values"].tolist()
    mixed = [genes[i] for i in np.random.default_rng(0).permutation(len(genes))]
    adata = empty(mixed)
    grn.tl.vvp(adata, model=load(folder), sources=genes, order=genes, grid=grid)
    found = adata[:, genes].varm["vvp"].transpose(1, 0, 2)
    off = ~np.eye(len(genes), dtype=bool)
    np.testing.assert_allclose(found[off], wanted[off], atol=1e-5)


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_ranks_of_the_authors_of_geneformer(shared_dir, version):
    folder = shared_dir / "reference" / "geneformer" / version
    names = {t: n for n, t in pickle.loads((folder / "token_dictionary.pkl").read_bytes()).items()}
    with np.load(folder / "reference.npz") as found:
        ids, logits = found["input_ids"][0][found["attention_mask"][0] > 0], found["logits"][0]
    inner = [i for i, token in enumerate(ids.tolist()) if not names[token].startswith("<")]
    genes = [names[ids[i]] for i in inner]
    model = load(folder)
    panel = model.panel(genes[:1], genes, order=genes)
    found = model.respond(panel, model.virtual_cell(panel)[None])[0]
    np.testing.assert_allclose(found, [logits[i, ids[i]] for i in inner], atol=1e-5)
