"""Base GRNs by name: collections of known edges, and what to call for those that the package cannot hold."""

from __future__ import annotations

import pandas as pd

from grn._core.errors import DataNotFoundError, ParameterError
from grn._core.near import did_you_mean
from grn.datasets import collectri, dorothea, omnipath, trrust

_HUMAN = {"collectri": collectri, "dorothea": dorothea, "omnipath": omnipath}
NAMES = (*sorted(_HUMAN), "trrust")
# words for base GRNs of motifs, which need a genome -> the build
_GENOMES = {
    "human": "hg38",
    "hg38": "hg38",
    "grch38": "hg38",
    "hg19": "hg19",
    "grch37": "hg19",
    "mouse": "mm10",
    "mm10": "mm10",
    "grcm38": "mm10",
    "promoter": "hg38",
    "promoters": "hg38",
    "celloracle": "mm10",
}


def named_base_grn(name: str, organism: str) -> tuple[pd.DataFrame, str]:
    """Edges ``source, target`` of a collection, and its organism.

    Raises
    ------
    ParameterError
        If there is no such name, or the collection is of another organism.
    DataNotFoundError
        If its file is not on disk, or the name asks for motifs in a genome, which nobody may pack for all.
    """
    asked = name.strip().casefold()
    if asked in _GENOMES:
        raise _needs_genome(name, _GENOMES[asked])
    if asked not in NAMES:
        raise ParameterError(
            f"table={name!r} is neither a file nor a name; names are {', '.join(NAMES)}, files end in .csv, .tsv, .txt "
            f"(gzipped too) or .parquet.{did_you_mean(name, [*NAMES, *_GENOMES])}"
        )
    if asked == "trrust":
        organism = "human" if organism == "auto" else organism
        return trrust(organism=organism).edges[["source", "target"]], organism
    if organism == "mouse":
        raise ParameterError(
            f"base_grn({name!r}) is of human genes; leave organism= out, and pass adata= to carry it over to the mouse "
            "genes of an object by orthologs."
        )
    return _HUMAN[asked]().edges[["source", "target"]], "human"


def _needs_genome(name: str, build: str) -> DataNotFoundError:
    return DataNotFoundError(
        f"the package holds no base GRN {name!r}: motifs are looked for in a genome, which is too large for it. What "
        f"works: grn.pp.promoter_base_grn('{build}.fa', build={build!r}) scans all promoters of a FASTA or .2bit file, "
        "once; grn.pp.base_grn_from_regions(mdata) takes your own peaks, after grn.pp.scan_motifs; "
        "grn.pp.base_grn('collectri', adata=adata) takes known edges, of human genes or carried over to mouse genes; "
        "or pass the path of a table that CellOracle wrote."
    )
