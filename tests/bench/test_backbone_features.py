"""Features on disk are those the probes give, whatever was kept, lost or damaged before."""

from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import grn
from grn._core import sealed
from grn.bench import _backbone_features
from grn.bench._backbone_features import READERS, BackboneFeatures
from grn.errors import CapabilityError, GeneOverlapError
from grn.models import ValueScale
from grn.models.memory import Memory
from random_memories import random_memory

HUMAN = ("BEX1", "BEX2", "CD14", "CSF1R", "GATA1", "HBB", "IRF8", "KLF1", "LYZ", "MPO", "MX1", "MX2", "SPI1", "TAL1")
SOURCES = ["GATA1", "IRF8", "KLF1", "SPI1", "TAL1"]
# crossed and shifted orthologs: upper-casing would give each of the first three to another gene
MOUSE = {"Bex1": "BEX2", "Bex2": "BEX1", "Mx2": "MX1", "Cd14": "CD14", "Gata1": "GATA1", "Hbb-bt": "", "Spi1": "SPI1"}


def small(seed=0, genes=HUMAN, sha256=None):
    """A small random memory, the architecture of ``mini``."""
    return random_memory(genes, seed=seed, sha256=sha256)


class TwoGrids(Memory):
    """The probes read it on different grids."""

    value_scale = ValueScale("z-score", 0.0, (-2.0, 2.0), (-1.0, 0.0, 1.0), -3.0, 6.0)


class NoGradient(Memory):
    """It can be perturbed and nothing else."""

    capabilities = frozenset({"value"})


def changed(cls, model):
    return cls(model.network, model.genes, name=model.name, sha256=model.sha256)


def cells(genes, seed=0):
    values = np.log1p(np.random.default_rng(seed).poisson(2.0, (25, len(genes)))).astype(np.float32)
    return ad.AnnData(values, var=pd.DataFrame(index=list(genes)))


def bare(genes, organism="human"):
    """An object with gene names only, as a user would prepare it."""
    adata = ad.AnnData(np.zeros((0, len(genes)), dtype=np.float32), var=pd.DataFrame(index=list(genes)))
    grn.pp.align_genes(adata, organism=organism, orthologs="syntenic", min_overlap=0.0)
    return adata


@pytest.fixture(scope="module")
def model():
    return small()


@pytest.fixture
def make(model, tmp_path):
    """Features over the human genes, kept in a folder of the test."""

    def call(**arguments):
        given = {"model": model, "genes": HUMAN, "organism": "human", "cache": tmp_path, "show": False, **arguments}
        return BackboneFeatures(given.pop("model"), given.pop("genes"), given.pop("organism"), **given)

    return call


@pytest.fixture
def reads(monkeypatch):
    """The sources that were read from the model, call by call."""
    seen = []

    def counted(reader):
        def read(adata, model, sources):
            seen.append(list(sources))
            reader(adata, model, sources)

        return read

    wrapped = {}
    for name, reader in READERS.items():
        wrapped.setdefault(reader.read, counted(reader.read))
        monkeypatch.setitem(READERS, name, reader._replace(read=wrapped[reader.read]))
    return seen


def files(folder, feature):
    return sorted(Path(folder).rglob(f"{feature}-*/*.sealed"))


@pytest.mark.parametrize("kept", [True, False])
def test_features_of_virtual_cells_are_those_of_the_probes(make, model, tmp_path, kept):
    features = make(cache=tmp_path if kept else None)
    adata = bare(HUMAN)
    grn.tl.probe(adata, model=model, sources=SOURCES)
    grn.tl.gradient_trajectory(adata, model=model, sources=SOURCES, background="moving", key_added="gradient_moving")
    grn.tl.probe(adata, model=model, sources=SOURCES, background="unknown", key_added="unknown_")
    unknown = ["unknown_vvp", "unknown_gradient_trajectory"]
    for name in ("vvp", "gradient_trajectory", "gradient_moving", *unknown):
        cube = features.cube(name, SOURCES)
        assert cube.shape == (len(HUMAN), len(SOURCES), 8) and cube.dtype == np.float32
        np.testing.assert_allclose(cube, adata.varm[name], atol=1e-6)
        own = np.isnan(cube).any(axis=-1)
        assert np.array_equal(np.argwhere(own), [(HUMAN.index(s), i) for i, s in enumerate(SOURCES)])
    assert bool(files(tmp_path, "vvp")) is kept
    assert np.nanmax(np.abs(features.cube("vvp", SOURCES) - features.cube("unknown_vvp", SOURCES))) > 1e-3
    assert "'unknown'" in make(model=changed(NoGradient, model)).can("unknown_vvp")
    alone = changed(NoGradient, model)
    alone.capabilities = frozenset({"value", "unknown"})
    assert make(model=alone).can("unknown_vvp") == ""
    assert "'gradient'" in make(model=alone).can("unknown_gradient_trajectory")


def test_features_of_real_cells_are_those_of_the_probes(make, model):
    measured = cells(HUMAN)
    adata, attentive = measured.copy(), grn.models.untrained("scgpt", genes=HUMAN, width=8, heads=2)
    grn.tl.pert(adata, model=model, sources=SOURCES)
    grn.tl.attention(adata, model=attentive, sources=SOURCES)
    grn.tl.probe(adata, model=model, sources=SOURCES, context="mean", key_added="mean_cell_")
    for name in ("pert", "attention", "mean_cell_vvp", "mean_cell_gradient_trajectory"):
        features = make(cells=measured, model=attentive if name == "attention" else model)
        found, expected = features.cube(name, SOURCES), np.asarray(adata.varm[name])
        np.testing.assert_allclose(found, expected.reshape(found.shape), atol=1e-6)
        assert np.nanstd(found) > 0
    assert list(adata.varm) and not measured.varm and "grn_genes" not in measured.uns, "the cells are only read"


def test_a_model_with_two_grids_is_read_twice(make, model):
    two = changed(TwoGrids, model)
    features, adata = make(model=two, cache=None), bare(HUMAN)
    grn.tl.vvp(adata, model=two, sources=SOURCES)
    grn.tl.gradient_trajectory(adata, model=two, sources=SOURCES)
    for name, points in (("vvp", 2), ("gradient_trajectory", 3)):
        assert features.cube(name, SOURCES).shape[-1] == points
        np.testing.assert_allclose(features.cube(name, SOURCES), adata.varm[name], atol=1e-6)


def test_a_source_is_read_once(make, reads, tmp_path):
    features = make()
    first = features.cube("vvp", SOURCES[:3])
    assert reads == [SOURCES[:3]]
    assert [path.stem for path in files(tmp_path, "vvp")] == SOURCES[:3]
    assert np.array_equal(features.cube("gradient_trajectory", SOURCES[:3]).shape, first.shape) and len(reads) == 1
    again = make().cube("vvp", SOURCES[1:])
    assert reads == [SOURCES[:3], SOURCES[3:]], "only what was missing"
    assert np.array_equal(first[:, 1:], again[:, :2], equal_nan=True)
    make().cube("vvp", SOURCES)
    assert len(reads) == 2


def test_the_order_of_sources_is_the_order_of_the_answer(make):
    features = make()
    forward, backward = features.cube("vvp", SOURCES), features.cube("vvp", SOURCES[::-1])
    assert np.array_equal(forward, backward[:, ::-1], equal_nan=True)


def test_many_sources_are_read_in_blocks(make, reads, monkeypatch):
    whole = make(cache=None).cube("vvp", SOURCES)
    monkeypatch.setattr(_backbone_features, "_BLOCK", 2)
    del reads[:]
    np.testing.assert_allclose(make().cube("vvp", SOURCES), whole, atol=1e-6)
    assert reads == [SOURCES[:2], SOURCES[2:4], SOURCES[4:]]


def flipped(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


DAMAGE = {
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("nothing"),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:150]),
    "flipped": flipped,
    "pickled": lambda path: sealed.keep(path, sealed.packed({"values": np.array([{"a": 1}], dtype=object)})),
    "other": lambda path: sealed.keep(path, sealed.packed({"others": np.zeros(3)})),
    "type": lambda path: sealed.keep(path, sealed.packed({"values": np.zeros((len(HUMAN), 8))})),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_file_is_read_anew(make, reads, tmp_path, caplog, kind):
    whole = make().cube("vvp", SOURCES)
    DAMAGE[kind](files(tmp_path, "vvp")[1])
    del reads[:]
    with caplog.at_level("WARNING", logger="grn"):
        found = make().cube("vvp", SOURCES)
    assert reads == [[SOURCES[1]]] and "damaged" in caplog.text and SOURCES[1] in caplog.text
    np.testing.assert_allclose(found, whole, atol=1e-6)
    make().cube("vvp", SOURCES)
    assert len(reads) == 1, "the file is whole again"


def test_a_file_of_another_shape_is_read_anew(make, reads, tmp_path):
    whole = make().cube("vvp", SOURCES)
    sealed.keep(files(tmp_path, "vvp")[0], sealed.packed({"values": whole[:3, 0]}))
    sealed.keep(files(tmp_path, "vvp")[1], sealed.packed({"values": whole[:, 1, 0]}))
    del reads[:]
    np.testing.assert_allclose(make().cube("vvp", SOURCES), whole, atol=1e-6)
    assert reads == [SOURCES[:2]]


def test_an_interrupted_reading_goes_on(make, reads, tmp_path, monkeypatch):
    monkeypatch.setattr(_backbone_features, "_BLOCK", 1)
    keep, saved = sealed.keep, []

    def failing(path, content, **how):
        if len(saved) == 5:
            raise KeyboardInterrupt
        saved.append(path)
        keep(path, content, **how)

    monkeypatch.setattr(sealed, "keep", failing)
    with pytest.raises(KeyboardInterrupt):
        make().cube("vvp", SOURCES)
    monkeypatch.setattr(sealed, "keep", keep)
    assert len(files(tmp_path, "vvp")) == 3, "two blocks of both probes, and one file of the third"
    del reads[:]
    found = make().cube("vvp", SOURCES)
    assert [name for block in reads for name in block] == SOURCES[3:]
    np.testing.assert_allclose(found, make(cache=None).cube("vvp", SOURCES), atol=1e-6)


def test_other_inputs_are_other_files(make, tmp_path):
    kinds = {
        "usual": make(),
        "weights": make(model=small(seed=1)),
        "genes": make(genes=HUMAN[1:]),
        "mouse": make(genes=sorted(MOUSE), organism="mouse"),
        "cells": make(cells=cells(HUMAN)),
        "other cells": make(cells=cells(HUMAN, seed=1)),
    }
    folder = lambda features, name: features._path(name, "SPI1").parent  # noqa: E731
    virtual = {kind: folder(features, "vvp") for kind, features in kinds.items()}
    assert virtual["usual"] == virtual["cells"] == virtual["other cells"], "virtual cells know nothing of real ones"
    assert len(set(virtual.values())) == 4
    assert folder(kinds["cells"], "pert") != folder(kinds["other cells"], "pert")
    assert all(path.is_relative_to(tmp_path) for path in virtual.values())


def test_names_cannot_leave_the_folder(make, tmp_path):
    path = make()._path("vvp", "../../up")
    assert path.parent.parent.parent == tmp_path and path.name == "..%2F..%2Fup.sealed"


@pytest.mark.parametrize("with_cells", [False, True])
def test_mouse_genes_go_through_orthologs(make, model, with_cells):
    """Never by letter case, in virtual cells and in real ones."""
    genes = sorted(MOUSE)
    measured = cells(genes) if with_cells else None
    attentive = grn.models.untrained("scgpt", genes=HUMAN, width=8, heads=2)
    features = make(genes=genes, organism="mouse", cells=measured)
    assert features.ids.tolist() == [MOUSE[gene] for gene in genes]
    assert features.targets.tolist() == features.sources.tolist() == [bool(MOUSE[gene]) for gene in genes]
    known = sorted(gene for gene in genes if MOUSE[gene])
    human = ad.AnnData(cells(genes)[:, known].X.copy(), var=pd.DataFrame(index=[MOUSE[gene] for gene in known]))
    kept = np.isin(genes, known)
    for name in ("pert", "attention") if with_cells else ("vvp", "gradient_trajectory"):
        adata = human if with_cells else bare(human.var_names)
        model = attentive if name == "attention" else model
        features = make(model=model, genes=genes, organism="mouse", cells=measured)
        getattr(grn.tl, name)(adata, model=model, sources=[MOUSE[g] for g in known], key_added="human")
        cube, expected = features.cube(name, known), np.asarray(adata.varm["human"])
        assert np.isnan(cube[~kept]).all()
        np.testing.assert_allclose(cube[kept], expected.reshape(cube[kept].shape), atol=1e-5)


def test_embeddings(make, model):
    found = make(genes=sorted(MOUSE), organism="mouse").embeddings
    table = pd.DataFrame(model.network.embedding.numpy(), index=HUMAN)
    for row, gene in zip(found, sorted(MOUSE), strict=True):
        assert np.isnan(row).all() if not MOUSE[gene] else np.array_equal(row, table.loc[MOUSE[gene]])


def test_what_cannot_be_read(make, model):
    features = make(model=changed(NoGradient, model), cells=cells(HUMAN))
    assert features.can("vvp") == features.can("pert") == ""
    assert features.cube("vvp", SOURCES).shape == (len(HUMAN), len(SOURCES), 8)
    for name, lacks in (("gradient_trajectory", "gradient"), ("attention", "attention"), ("mean_cell_vvp", "gradient")):
        assert lacks in features.can(name)
        with pytest.raises(CapabilityError, match=lacks):
            features.cube(name, SOURCES)
    assert "no cells" in make().can("pert")
    with pytest.raises(CapabilityError, match="no cells"):
        make().cube("mean_cell_vvp", SOURCES)
    mouse = make(genes=sorted(MOUSE), organism="mouse")
    with pytest.raises(GeneOverlapError, match="Hbb-bt"):
        mouse.cube("vvp", ["Gata1", "Hbb-bt"])
