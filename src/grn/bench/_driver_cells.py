"""Cells of a question, prepared as a user would: a subset by name, genes aligned, regulators marked."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
from anndata import AnnData

from grn import pp
from grn._core.errors import GroupError
from grn._core.files import file_errors
from grn._object.genes import regulator_mask
from grn._object.groups import draw_cells, label_codes
from grn._object.values import expression
from grn.bench._driver_questions import Question
from grn.datasets.local_files import locate

# cells of a label (within a group) that are read, by the hash of their names
CELLS = 300
# fewest cells that express a gene of the panel
SEEN = 10
_ADDRESS = "the addresses in docs/datasets.md, or pass questions of your own"


def cell_file(question: Question, path: str | Path | None) -> Path:
    """The file of a question.

    Raises
    ------
    DataNotFoundError
        It is not on disk.
    """
    return locate(*question.file.split("/"), path=path, what=question.name, where_published=_ADDRESS)


def sample_key(question: Question) -> tuple[str, str, str | None, str]:
    """What the cells of a question depend on."""
    return question.file, question.condition, question.groupby, question.organism


def cells_of(question: Question, file: Path) -> AnnData:
    """Cells of every label, with human symbols beside the names and regulators marked.

    Questions that share :func:`sample_key` share them.
    """
    with file_errors(file, "read"):
        adata = anndata.read_h5ad(file)
    labels, code = label_codes(adata.obs, question.condition, gaps=True)
    if question.group not in labels:
        raise GroupError(f"{file.name}: obs[{question.condition!r}] has no value {question.group!r}.")
    wanted = code >= 0
    if question.groupby is not None:
        wanted &= adata.obs[question.groupby].notna().to_numpy()
    adata = adata[wanted].copy()
    label = adata.obs[question.condition].astype(str)
    adata.obs[question.condition] = pd.Categorical(label)
    part = label if question.groupby is None else label + " / " + adata.obs[question.groupby].astype(str)
    adata.obs["_part"] = pd.Categorical(part)
    rows = np.sort(np.concatenate(list(draw_cells(adata, "_part", CELLS, 0).values())))
    adata = adata[rows].copy()
    del adata.obs["_part"]
    pp.align_genes(adata, organism=question.organism, orthologs="syntenic")
    pp.annotate_regulators(adata, organism=question.organism)
    return adata


def panel(adata: AnnData, n_sources: int | None, n_targets: int) -> tuple[list[str], list[str]]:
    """Regulators seen in most cells, and the targets that vary most, of the genes that are seen at all.

    Neither looks at the contrast.
    """
    cells = expression(adata)
    seen = cells.seen(np.zeros(adata.n_obs, dtype=np.int64))[0]
    spread = cells.moments()[1]
    names = adata.var_names.astype(str).to_numpy()
    enough = seen >= SEEN
    sources = np.flatnonzero(enough & regulator_mask(adata))
    sources = sources[np.lexsort((names[sources], -seen[sources]))][:n_sources]
    targets = np.flatnonzero(enough)
    targets = targets[np.lexsort((names[targets], -spread[targets]))][:n_targets]
    return sorted(names[sources].tolist()), sorted(names[np.union1d(sources, targets)].tolist())
