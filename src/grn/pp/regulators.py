"""Mark the regulators among the genes of an object."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from anndata import AnnData

from grn import genes
from grn._core.errors import DataNotFoundError, GeneNameError, GeneOverlapError, ParameterError
from grn._core.files import as_path, file_errors, is_file
from grn._core.logging import logger, one_voice
from grn._core.names import check_key
from grn._object.container import target, validate
from grn._object.genes import genes_of, known_regulators, organism_of
from grn._object.modalities import on_mudata

if TYPE_CHECKING:
    from mudata import MuData


@dataclass(frozen=True)
class _Marked:
    mask: np.ndarray
    organism: str
    source: str
    unknown: list[str]


@one_voice
@on_mudata
def annotate_regulators(
    adata: AnnData | MuData,
    *,
    rna: str = "rna",
    organism: str = "auto",
    regulators: Iterable[str] | str | Path | None = None,
    key_added: str = "is_regulator",
    copy: bool = False,
) -> AnnData | MuData | None:
    """Mark which genes are regulators (transcription factors and the like).

    The list is matched by gene, not by spelling: a list of symbols marks Ensembl ids and aliases too.

    Parameters
    ----------
    adata
        Object whose ``var_names`` are gene symbols, Ensembl ids or aliases.
    rna
        Modality of the MuData that holds the cells and genes; read only where ``adata`` is one.
    organism
        ``"human"``, ``"mouse"`` or ``"auto"`` (what :func:`align_genes` found, else told from the names).
    regulators
        Own list of names, or path of a text file with one name per line (``#`` starts a comment). ``None`` takes
        the list of the package: Lambert et al. 2018 with HGNC for human, MGI for mouse. An own list also works for
        organisms without tables if its names are spelled as in ``var_names``.
    key_added
        Column of ``var`` to write.
    copy
        Return a changed copy instead of changing ``adata``.

    Returns
    -------
    AnnData or None
        Writes ``var[key_added]`` (bool, shape n_vars) and ``uns["grn_regulators"]`` (dict: ``n``, ``organism``,
        ``source``, ``unknown``: names of an own list that match no gene of the object, ``key_added``).

    Raises
    ------
    GeneOverlapError
        If no gene is a regulator.
    GeneNameError
        If gene names are duplicated or empty, or of no known organism.
    DataNotFoundError
        If the text file does not exist.
    ParameterError
        If the object, the list or ``key_added`` has a wrong type.

    Examples
    --------
    >>> import anndata as ad, numpy as np
    >>> import grn.pp
    >>> adata = ad.AnnData(np.ones((2, 3)))
    >>> adata.var_names = ["GATA1", "HBB", "SPI1"]
    >>> grn.pp.annotate_regulators(adata)
    >>> adata.var["is_regulator"].tolist()
    [True, False, True]
    """
    validate(adata)
    check_key(key_added)
    organism = organism_of(adata, organism)
    here = genes_of(adata)
    names = adata.var_names[here]
    marked = _built_in(names, organism) if regulators is None else _own(names, organism, regulators)
    if not marked.mask.any():
        raise GeneOverlapError(
            f"none of the {len(names)} genes ({', '.join(names[:5])}, ...) is in {marked.source}; "
            "pass regulators= with names as in adata.var_names."
        )
    result = target(adata, copy=copy)
    result.var[key_added] = np.isin(np.arange(adata.n_vars), here[marked.mask])
    result.uns["grn_regulators"] = {
        "n": int(marked.mask.sum()),
        "organism": marked.organism,
        "source": marked.source,
        "unknown": np.array(marked.unknown, dtype=object),
        "key_added": key_added,
    }
    logger.info("annotate_regulators: %d of %d genes are in %s", marked.mask.sum(), len(names), marked.source)
    if marked.unknown:
        some = ", ".join(marked.unknown[:10]) + (", ..." if len(marked.unknown) > 10 else "")
        logger.warning("%d regulators match no gene of the object: %s", len(marked.unknown), some)
    return result if copy else None


def _built_in(names: Iterable[str], organism: str) -> _Marked:
    species = genes.detect_organism(names) if organism == "auto" else organism
    sources = {"human": "Lambert et al. 2018 and HGNC", "mouse": "MGI"}
    mask = known_regulators(names, species)
    return _Marked(mask, species, f"the list of {species} regulators ({sources[species]})", [])


def _own(names: Iterable[str], organism: str, regulators: Iterable[str] | str | Path) -> _Marked:
    wanted = _read(regulators)
    names = list(names)
    mask = np.isin(np.array(names, dtype=object).astype(str), wanted)
    open_names = sorted(set(wanted) - set(names))
    unknown, species = open_names, "" if organism == "auto" else organism
    if open_names:
        try:
            species = genes.detect_organism(names) if organism == "auto" else organism
            native = genes.resolve(names, organism=species)["native"].to_numpy()
            asked = genes.resolve(open_names, organism=species)
        except GeneNameError:
            logger.info("gene names are of no known organism; regulators are matched by spelling only")
        else:
            # an old and a new spelling in one list are the same wish, so ties do not matter here
            gene = asked["native"].where(asked["native"] != "", asked["candidates"]).to_numpy()
            mask |= np.isin(native.astype(str), gene[gene != ""].astype(str))
            here = set(native) - {""}
            unknown = [name for name, symbol in zip(open_names, gene, strict=True) if symbol not in here]
    source = f"the file {Path(regulators).name}" if isinstance(regulators, str | Path) else "the list passed"
    return _Marked(mask, species, source, unknown)


def _read(regulators: Iterable[str] | str | Path) -> list[str]:
    if isinstance(regulators, str | Path):
        path = as_path(regulators, name="regulators")
        if not is_file(path):
            raise DataNotFoundError(
                f"there is no file {str(regulators)!r}; pass the path of a text file with one name per line, "
                f"or a list such as [{str(regulators)!r}]."
            )
        with file_errors(path, "read"):
            lines = path.read_text(encoding="utf-8").splitlines()
        wanted = [name for line in lines if (name := line.partition("#")[0].strip())]
    else:
        try:
            wanted = [str(name) for name in regulators]
        except TypeError:
            raise ParameterError(
                f"regulators has type {type(regulators).__name__}; pass a list of names or a path."
            ) from None
    if not wanted:
        raise ParameterError("the list of regulators is empty; pass names, or regulators=None for the built-in list.")
    return wanted
