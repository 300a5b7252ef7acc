"""Gene programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from anndata import AnnData

from grn._core.docs import document
from grn._core.logging import one_voice
from grn._core.names import check_key
from grn._core.rng import RNGLike, seed_of
from grn._object.modalities import on_mudata
from grn.methods.foundation.gene_programs import write_programs
from grn.methods.inputs import inputs_of
from grn.models import FoundationModel
from grn.tl._snippets import SNIPPETS

if TYPE_CHECKING:
    from mudata import MuData


@one_voice
@document(**SNIPPETS)
@on_mudata
def gene_programs(
    adata: AnnData | MuData,
    *,
    rna: str = "rna",
    model: str | FoundationModel = "mini",
    genes: Sequence[str] | None = None,
    n_neighbors: int = 15,
    resolution: float = 20.0,
    min_genes: int = 5,
    key_added: str = "gene_programs",
    rng: RNGLike = 0,
    progress: bool | None = None,
    copy: bool = False,
) -> AnnData | MuData | None:
    """Gene programs: clusters of the neighbour graph of a model's gene embeddings, as the authors of scGPT find them.

    The graph is the one that scanpy makes of the embeddings, the clusters are those of the Leiden algorithm. No cell is
    read; only the names of genes are.

    Parameters
    ----------
    %(adata)s
    model
        Foundation model with gene embeddings: a name from ``grn.models.available()``, a path, or a model.
    genes
        Genes to cluster (list of ``var_names``); all by default. The authors take highly variable ones.
    n_neighbors
        Neighbours of every gene in the graph, itself among them.
    resolution
        Larger values make smaller programs. 20 is the default of the authors, whose tutorial on some thousand genes
        takes 40.
    min_genes
        Fewest genes of a program; smaller clusters are no programs.
    key_added
        Slot of the result.
    rng
        Seed of the search for clusters: an integer, a numpy Generator or None.
    progress
        Show a progress bar; by default only on a terminal or in a notebook.
    copy
        Return a new object instead of writing into ``adata``.

    Returns
    -------
    AnnData or None
        ``None``, or the copy. Writes

        ``uns[key_added]``
            Dict: ``programs``, a table with ``program`` (``"0"`` is the largest), ``gene`` and ``similarity`` (cosine
            of the gene's embedding with the mean of its program), sorted by program and similarity; ``unknown`` (genes
            the model does not know); ``params`` (every argument, the model's name and sha256, the package version).
        ``var[key_added]``
            Program of the gene, categorical; missing for genes in no program.

    Raises
    ------
    GeneNameError
        If gene names are duplicated or empty, or ``genes`` are not in ``var_names``.
    GeneOverlapError
        If the model knows fewer genes than a graph needs.
    CapabilityError
        If the model has no gene embeddings; says what it offers.
    MissingDependencyError
        If igraph is not installed: ``pip install 'grn[export]'``.
    ParameterError
        If an argument is out of its range, or no cluster is large enough.

    Notes
    -----
    Cui et al. 2024, doi 10.1038/s41592-024-02201-0; Leiden: Traag et al. 2019, doi 10.1038/s41598-019-41695-z.
    Neighbours are exact, and neither graph nor clusters depend on the order of the genes. The table with ``program``
    renamed to ``source`` and ``gene`` to ``target`` is a network for decoupler. Cost: g² d operations for g genes of d
    dimensions.

    Examples
    --------
    >>> import grn
    >>> adata = grn.datasets.pbmc68k()
    >>> grn.tl.gene_programs(adata, resolution=5)
    >>> programs = adata.uns["gene_programs"]["programs"]
    >>> bool({"CD3D", "CD3E"} <= set(programs["gene"][programs["program"] == adata.var["gene_programs"]["CD3D"]]))
    True
    """
    check_key(key_added)
    return write_programs(
        inputs_of(adata, model=model, progress=progress),
        genes=genes,
        n_neighbors=n_neighbors,
        resolution=resolution,
        min_genes=min_genes,
        seed=seed_of(rng),
        key=key_added,
        copy=copy,
    )
