"""GeneCompass's own way to a network: delete a gene in real cells and see which others turn."""

from __future__ import annotations

from grn.methods.foundation.deletion import deletion
from grn.methods.inputs import Inputs
from grn.methods.record import METHODS, Method
from grn.network import Network

NAME = "genecompass_deletion"


def fit(inputs: Inputs, *, max_cells: int = 64, mode: str = "delete") -> Network:
    """Infer a network by in-silico deletion with a GeneCompass model.

    For every cell that expresses source i, the token of i is taken out and the cell is read again; the weight of the
    pair is ``mean over cells of 1 - cos(h_j, h_j without i)``, of the last layer, over the cells that express both.

    Parameters
    ----------
    inputs
        Genes, cells and the model, which must be a GeneCompass model of the organism of the object; one network per
        group of ``groupby``.
    max_cells
        Cells read per group, drawn by the hash of their names.
    mode
        ``"delete"``, or ``"overexpress"``: the gene is put first, with the largest value of the cell.

    Returns
    -------
    Network
        Unsigned; pairs that no cell expresses together are left out.

    Notes
    -----
    Three deviations from the authors' script. Cells carry no padding, which the script lets the genes attend to. The
    species is that of the model, not always human. To overexpress, the script multiplies the value by 10 000, far
    beyond anything the model was trained on; here the gene gets the largest value of the cell, and is also inserted
    into cells that do not express it.
    """
    return deletion(inputs, max_cells=max_cells, mode=mode, name=NAME)


METHODS.add(
    NAME,
    Method(
        NAME,
        fit,
        "in-silico deletion in real cells: how far the embeddings of the other genes turn",
        signed=False,
        probability=False,
        direction="response",
        needs=("model", "cells"),
        reference="Yang et al. 2024, doi 10.1038/s41422-024-01034-y",
        family="genecompass",
        uses_client=True,
        system="GeneCompass",
        year=2024,
        inputs="foundation model, RNA",
        cost="a pass per cell and source",
        licence="none stated",
        page="models/genecompass",
    ),
)
