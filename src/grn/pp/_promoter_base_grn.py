"""A base GRN from a genome: motifs in the promoters of all genes, scanned once and kept."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from grn import genes
from grn._core import checks, sealed
from grn._core.errors import GeneNameError, NetworkError, RegionError, StorageError
from grn._core.files import as_path
from grn._core.logging import logger, one_voice, some
from grn._core.settings import settings
from grn._object.container import validate
from grn.genome import Motifs, Sequences
from grn.genome import starts as starts_of
from grn.genome.hits import factor_hits
from grn.genome.neighbourhood import windows
from grn.genome.regions import region_names
from grn.genome.scan import Prepared, hit_matrices, no_hits, prepare
from grn.genome.sequences import Source, check_genome, opened
from grn.genome.starts import checked_starts
from grn.pp._motif_edges import motif_edges
from grn.pp._motifs import motifs as motifs_of
from grn.pp._settled import settled

# promoters that are read at a time to tell whether they were scanned before
_BLOCK = 2000
_LAYOUT = b"grn promoters 1"
_ORGANISM = {"hg38": "human", "hg19": "human", "mm10": "mouse"}


@one_voice
def promoter_base_grn(
    sequences: Source | Sequences,
    *,
    build: str = "hg38",
    starts: pd.DataFrame | None = None,
    motifs: Motifs | str | os.PathLike[str] = "jaspar",
    upstream: int = 1000,
    downstream: int = 100,
    pvalue: float = 5e-5,
    adata: AnnData | None = None,
    organism: str = "auto",
    min_overlap: float = 0.1,
    cache: str | os.PathLike[str] | None = None,
    progress: bool | None = None,
) -> pd.DataFrame:
    """Make a base GRN from the promoters of all genes: regulators whose motif is there.

    For users without open chromatin of their own. The genome is scanned once; hits are kept in a file, and the same
    promoters and motifs are not scanned again.

    Parameters
    ----------
    sequences
        The genome: path of a FASTA or .2bit file, a dict from chromosomes to bases, or :class:`grn.genome.Sequences`.
        hg38.2bit, hg19.2bit and mm10.2bit (0.8 GB each) are published at ``hgdownload.soe.ucsc.edu``.
    build
        ``"hg38"``, ``"hg19"`` or ``"mm10"``: whose transcription starts and genes are meant. A genome that is known to
        be another one by the length of a chromosome is refused.
    starts
        Transcription starts of another genome, from :func:`grn.genome.starts`; ``build`` is not read then.
    motifs
        ``"jaspar"``, the path of a file of motifs, or :class:`grn.genome.Motifs`. Factors of the first two become genes
        of the organism, as :func:`grn.pp.motifs` does it.
    upstream, downstream
        Promoter, in bases before and behind a transcription start.
    pvalue
        Chance at which a random word reaches the threshold of a motif on one strand. The default is the rate of
        CellOracle's tables: 2 % of random sequences of 200 bases.
    adata
        Object whose genes the table shall speak of, as in :func:`grn.pp.base_grn`.
    organism, min_overlap
        As in :func:`grn.pp.base_grn`. By default the organism of ``build``.
    cache
        Folder for the hits; by default ``grn.settings.cache_dir``. Their file is named by a hash of the bases of all
        promoters, the motifs and the threshold, so that what has changed is never read.
    progress
        Show a progress bar; ``None`` asks ``grn.settings.progress``.

    Returns
    -------
    DataFrame
        As :func:`grn.pp.base_grn` gives it, with evidence ``"motif"``: ``source, target, region`` (the promoter),
        ``score`` (bits, of the best motif of the source there) and ``motif`` (its name).

    Raises
    ------
    RegionError
        If the genome is of another build, no promoter is in it, or no motif is found.
    MotifError
        If motifs are malformed, or none of a gene of the organism.
    DataNotFoundError
        If there is no such file.
    MissingDependencyError
        If the file needs a package of ``grn[motif]`` that is not installed.
    GeneOverlapError, NetworkError
        If object and table share too few genes, or no edge is left.
    ParameterError, StorageError
        If an argument has a wrong type or value, or the folder cannot have that name.

    Notes
    -----
    Cost: ``python benchmarks/base_grn.py --part promoters`` scans as many random promoters as hg38 has. With the
    default threshold a tenth of all promoters have a given motif by chance alone: this table says which regulators a
    method may use, and expression has to choose. Promoters say nothing of a cell type; peaks do.

    Examples
    --------
    >>> import grn
    >>> mdata = grn.datasets.toy_multiome(n_cells=20)
    >>> motifs = grn.pp.motifs().select(factors=mdata.uns["regulators"])
    >>> genome = {"sequences": mdata.uns["genome"], "starts": mdata.uns["starts"]}
    >>> with grn.settings.override(cache_dir=None):
    ...     base = grn.pp.promoter_base_grn(**genome, motifs=motifs)
    >>> base.columns.tolist()
    ['source', 'target', 'region', 'score', 'motif']
    """
    for name, value in (("upstream", upstream), ("downstream", downstream)):
        checks.integer(name, value, least=0)
    checks.number("min_overlap", min_overlap, least=0, most=1)
    if adata is not None:
        validate(adata)
    folder = settings.cache_dir if cache is None else as_path(cache, name="cache")
    organism = _organism(build, starts) if organism == "auto" else organism
    table = starts_of(build) if starts is None else checked_starts(starts)
    collection = motifs if isinstance(motifs, Motifs) else motifs_of(motifs, organism=_known(organism))
    prepared = prepare(collection, pvalue=pvalue)
    with opened(sequences) as source:
        if starts is None:
            check_genome(source, build)
        promoters, links = _promoters(table, source, upstream, downstream)
        best = _hits(promoters, source, prepared, None if folder is None else Path(folder), show=progress)
    if not best.nnz:
        raise no_hits(promoters, collection, pvalue)
    hits = factor_hits(best, collection.names, collection.to_frame())
    edges = motif_edges(hits, links, regions=promoters.index, motifs=np.array(collection.names, dtype=object))
    if edges.empty:
        raise NetworkError("no motif that was found names a factor; say whose they are: motifs.with_factors({...}).")
    facts: dict[str, object] = {"evidence": "motif", "self_loops": 0, "merged": 0, "below": 0}
    facts["regions"] = len(promoters)
    return settled(edges, facts, adata=adata, organism=organism, min_overlap=min_overlap)


def _organism(build: str, starts: pd.DataFrame | None) -> str:
    """Organism of a build, or of the genes of a table; ``"auto"`` where it cannot be told."""
    if starts is None:
        return _ORGANISM[checks.word("build", build, _ORGANISM)]
    try:
        return genes.detect_organism(checked_starts(starts)["gene"].astype(str).unique())
    except GeneNameError:
        return "auto"


def _known(organism: str) -> str:
    """How factors of motifs are to be named."""
    return "any" if organism == "auto" else organism


def _promoters(
    starts: pd.DataFrame, source: Sequences, upstream: int, downstream: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Promoters that the genome has, each once, and their genes as ``row, gene``."""
    length = starts["chrom"].map({chrom: source.length(chrom) for chrom in starts["chrom"].unique()})
    there = length.notna().to_numpy()
    if not there.any():
        raise RegionError(
            f"the genome has none of the chromosomes {some(starts['chrom'].unique(), 3)}; it has "
            f"{some(source.lengths, 3)}. Pass the genome that the starts are of."
        )
    if not there.all():
        lost = starts.loc[~there, "chrom"].unique()
        logger.warning(
            "%d of %d starts are left out: the genome lacks the chromosomes %s", (~there).sum(), len(there), some(lost)
        )
    starts, length = starts[there], length[there].to_numpy(dtype=np.int64)
    beyond = starts["position"].to_numpy() >= length
    if beyond.any():
        raise RegionError(
            f"{beyond.sum()} of {len(starts)} transcription starts lie behind their chromosome: the genome is not the "
            "one that the starts are of; pass build= of the genome, or starts= of its annotation."
        )
    start, end = windows(starts, upstream, downstream)
    table = pd.DataFrame({"chrom": starts["chrom"], "start": np.maximum(start, 0), "end": np.minimum(end, length)})
    names = region_names(table)
    promoters = table.set_axis(names)[~names.duplicated()]
    links = pd.DataFrame({"row": promoters.index.get_indexer(names), "gene": starts["gene"].to_numpy(dtype=object)})
    return promoters, links.drop_duplicates(ignore_index=True)


def _hits(
    promoters: pd.DataFrame, source: Sequences, prepared: Prepared, folder: Path | None, *, show: bool | None
) -> sparse.csr_matrix:
    """Best score in bits of every promoter and motif: as it was kept, or now."""
    if folder is None:
        return hit_matrices(promoters, source, prepared, show=show)[0]
    place = folder / "promoters" / f"{_fingerprint(promoters, source, prepared)}.npz"
    shape = len(promoters), len(prepared.motifs)
    best = sealed.kept(place, lambda content: _matrix(sealed.unpacked(content), shape))
    if best is not None:
        logger.info("promoters and motifs were scanned before: %s", place)
        return best
    best = hit_matrices(promoters, source, prepared, show=show)[0]
    try:
        sealed.keep(place, sealed.packed({"data": best.data, "indices": best.indices, "indptr": best.indptr}))
        logger.info("hits are kept in %s", place)
    except StorageError as error:
        logger.warning("hits cannot be kept and will be looked for again next time: %s", error)
    return best


def _matrix(arrays: dict[str, np.ndarray], shape: tuple[int, int]) -> sparse.csr_matrix:
    return sparse.csr_matrix((arrays["data"], arrays["indices"], arrays["indptr"]), shape=shape)


def _fingerprint(promoters: pd.DataFrame, source: Sequences, prepared: Prepared) -> str:
    """Hash of everything that hits depend on."""
    made = hashlib.sha256(_LAYOUT)
    for matrix, threshold in zip(prepared.matrices, prepared.thresholds.tolist(), strict=True):
        made.update(f"{matrix.shape} {threshold};".encode())
        made.update(np.ascontiguousarray(matrix, dtype="<i8").tobytes())
    for first in range(0, len(promoters), _BLOCK):
        for bases in source.coded(promoters.iloc[first : first + _BLOCK]):
            made.update(f"{len(bases)};".encode())
            made.update(bases.tobytes())
    return made.hexdigest()
