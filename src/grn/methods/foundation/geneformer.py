"""In-silico deletion with Geneformer (Theodoris et al. 2023): the network its authors read from the model.

For every cell that expresses source i::

    effect(i -> j) = 1 - cos(h_j(cell), h_j(cell without i))

with ``h_j`` the contextual embedding of gene j at the layer of the model (the last but one unless it was loaded with
another ``layer``); the weight is the mean over the cells that express both, unsigned. Differences from the authors:
cells are drawn by the hash of their names and genes of equal rank go by token, so a result can be repeated; sources
are those asked for; nothing is padded; and the mean is returned as it is, without a test against random genes.
"""

from __future__ import annotations

from grn.methods.foundation.deletion import deletion
from grn.methods.inputs import Inputs
from grn.methods.record import METHODS, Method
from grn.network import Network

NAME = "geneformer_deletion"


def fit(inputs: Inputs, *, max_cells: int = 32, mode: str = "delete") -> Network:
    """Infer a network.

    Parameters
    ----------
    inputs
        Model, genes and cells.
    max_cells
        Cells read per group, drawn by the hash of their names.
    mode
        ``"delete"``, or ``"overexpress"``: the gene is put in front of the cell instead.
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
        reference="Theodoris et al. 2023, doi 10.1038/s41586-023-06139-9",
        family="geneformer",
        uses_client=True,
        system="Geneformer",
        year=2023,
        inputs="foundation model, RNA",
        cost="a pass per cell and source",
        licence="Apache-2.0",
        page="models/geneformer",
    ),
)
