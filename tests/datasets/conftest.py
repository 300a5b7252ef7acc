"""BEELINE's two layouts, written small into a folder."""

import numpy as np
import pandas as pd
import pytest

GENES = {"SPI1": True, "GATA1": True, "KLF1": True, "CD14": False, "OTHERGENE1": False, "HN1": False, "OCT4": False}
EDGES = [("SPI1", "CD14"), ("SPI1", "GATA1"), ("GATA1", "SPI1"), ("GATA1", "OCT4")]


def _rows(kind, dataset="mDC", network="STRING", size=500):
    where = {"network": network, "dataset": dataset, "size": size}
    if kind == "genes":
        return pd.DataFrame([{**where, "index": i, "gene": g, "is_tf": tf} for i, (g, tf) in enumerate(GENES.items())])
    return pd.DataFrame([{**where, "tf": source, "target": target} for source, target in EDGES])


def _write_tables(folder, *, edges=None, genes=None, **where):
    folder.mkdir(exist_ok=True, parents=True)
    edges = _rows("edges", **where) if edges is None else edges
    genes = _rows("genes", **where) if genes is None else genes
    edges.astype({"network": "category", "dataset": "category"}).to_parquet(folder / "edges.parquet")
    genes.to_parquet(folder / "genes.parquet")
    return folder


def _matrix(genes, n_cells=4):
    values = np.random.default_rng(0).uniform(0, 5, size=(len(genes), n_cells)).round(3)
    return pd.DataFrame(values, index=genes, columns=[f"cell{i}" for i in range(n_cells)])


def _write_folder(folder, *, genes=("Spi1", "Gata1", "Klf1", "Cd14", "OtherGene1"), edges=EDGES, name="refNetwork.csv"):
    folder.mkdir(exist_ok=True, parents=True)
    _matrix(list(genes)).to_csv(folder / "ExpressionData.csv")
    pd.DataFrame(edges, columns=["Gene1", "Gene2", "Type"][: len(edges[0])]).to_csv(folder / name, index=False)
    return folder


@pytest.fixture
def rows():
    """Make the rows of one table: seven mouse genes in capitals, or four edges among them."""
    return _rows


@pytest.fixture
def write_tables():
    """Write the compact tables."""
    return _write_tables


@pytest.fixture
def matrix():
    """Make genes x cells."""
    return _matrix


@pytest.fixture
def write_folder():
    """Write a folder as BEELINE has it: genes in the letter case of mouse, the network in capitals."""
    return _write_folder
