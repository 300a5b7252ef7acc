"""From the genes of an object to panels of a model, with a report of what is lost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from grn._core.errors import GeneNameError, GeneOverlapError, ParameterError
from grn._core.logging import hint, logger, some
from grn._core.near import did_you_mean
from grn._object.genes import gene_rows, genes_of, regulator_mask
from grn._object.vocabulary import model_genes
from grn.models import FoundationModel, Panel
from grn.models.protocol import panel_of


@dataclass(frozen=True)
class PairGenes:
    """Rows of the object that act as sources and targets, and their names in the model.

    Parameters
    ----------
    ids
        Model name of every row (n_vars,), ``""`` when the model does not know the gene.
    sources, targets
        Rows (positions in ``var``) used as sources and as targets.
    unknown
        Names of the object the model does not know.
    lost_sources, lost_targets
        Names of sources and of targets that the model does not know.
    order
        Names in the model in the order in which genes are presented; ``None`` for that of the vocabulary.
    """

    ids: np.ndarray
    sources: np.ndarray
    targets: np.ndarray
    unknown: np.ndarray
    lost_sources: np.ndarray
    lost_targets: np.ndarray
    order: tuple[str, ...] | None = None


def pair_genes(
    adata,
    model: FoundationModel,
    sources: Sequence[str] | None,
    targets: Sequence[str] | None,
    order: Sequence[str] | None = None,
) -> PairGenes:
    """Match the genes of an object with the vocabulary of a model, and say which are lost.

    Parameters
    ----------
    adata
        Annotated matrix.
    model
        Model whose ``gene_id_kind`` and gene lists decide.
    sources
        Names from ``var_names``; the annotated regulators by default.
    targets
        Names from ``var_names``; all genes by default.
    order
        Names from ``var_names``, in the order in which the model is to be shown them; that of its vocabulary by
        default. Those that are no source and no target do not matter.

    Raises
    ------
    GeneNameError
        If a name is not in ``var_names``, or two rows stand for one gene of the model.
    GeneOverlapError
        If no source or no target is known to the model.
    """
    names = np.asarray(adata.var_names, dtype=str)
    can_source, can_target = set(model.source_genes), set(model.target_genes)
    organism = getattr(model, "organism", "human")
    ids = model_genes(adata, model.gene_id_kind, vocabulary=can_source | can_target, organism=organism)
    check_unique(names, ids)
    src = np.flatnonzero(regulator_mask(adata)) if sources is None else gene_rows(adata, sources, "sources")
    tgt = genes_of(adata) if targets is None else gene_rows(adata, targets, "targets")
    known_src = np.array([r for r in src if ids[r] in can_source], dtype=np.int64)
    known_tgt = np.array([r for r in tgt if ids[r] in can_target], dtype=np.int64)
    unknown = names[ids == ""]
    _check_some(known_src, names[src], model, "source", adata)
    _check_some(known_tgt, names[tgt], model, "target", adata)
    lost = [names[[r for r in rows if ids[r] not in can]] for rows, can in ((src, can_source), (tgt, can_target))]
    genes = PairGenes(ids, known_src, known_tgt, unknown, *lost, _ordered(names, ids, order))
    _tell(model, genes, named=(sources is not None, targets is not None))
    return genes


def _ordered(names: np.ndarray, ids: np.ndarray, order: Sequence[str] | None) -> tuple[str, ...] | None:
    if order is None:
        return None
    if not isinstance(order, str) and len(set(map(str, order))) < len(list(order)):
        raise ParameterError("order= names a gene twice; pass every gene once.")
    return tuple(str(gene) for gene in ids[rows_of(names, order, "order")] if gene)


def panels(model: FoundationModel, genes: PairGenes) -> list[tuple[Panel, np.ndarray, np.ndarray]]:
    """All panels of :func:`strides`: panel, rows of its sources, rows of its targets."""
    return [(panel, sources, targets) for sources, found in strides(model, genes) for panel, targets in found]


def strides(model: FoundationModel, genes: PairGenes) -> list[tuple[np.ndarray, list[tuple[Panel, np.ndarray]]]]:
    """Split sources and targets into panels the model can take.

    If all genes fit, there is one panel. Otherwise sources and targets are each divided, in the order of
    the model's vocabulary and in strides (so that neighbours in the vocabulary, often one gene family, are
    spread out), into the smallest number of blocks of at most half the limit, and every pair is read from the
    panel made of its source block and its target block. The rule depends on names only.

    Returns
    -------
    list
        Per set of sources their rows in the object, and its panels, each with the rows of its targets; rows are in
        the panel's order.
    """
    order = {gene: i for i, gene in enumerate(dict.fromkeys((*model.source_genes, *model.target_genes)))}
    src = np.array(sorted(genes.sources, key=lambda r: order[genes.ids[r]]), dtype=np.int64)
    tgt = np.array(sorted(genes.targets, key=lambda r: order[genes.ids[r]]), dtype=np.int64)
    half = max(1, model.max_genes // 2)
    one = len({*src, *tgt}) <= model.max_genes
    parts = [(s, [tgt] if one else _strides(tgt, half)) for s in ([src] if one else _strides(src, half))]
    show = lambda s, t: panel_of(model, list(genes.ids[s]), list(genes.ids[t]), genes.order)  # noqa: E731
    return [(s, [(show(s, t), t) for t in ts]) for s, ts in parts]


def _tell(model: FoundationModel, genes: PairGenes, *, named: tuple[bool, bool]) -> None:
    """A warning for genes that were asked for by name, one line for what is lost by default."""
    sides = (("sources", genes.sources, genes.lost_sources), ("targets", genes.targets, genes.lost_targets))
    for by_name, (what, known, lost) in zip(named, sides, strict=True):
        if by_name and len(lost):
            n = len(known) + len(lost)
            logger.warning("%s does not know %d of %d %s: %s", model.name, len(lost), n, what, some(lost))
    told = []
    if not named[0] and len(genes.lost_sources):
        n = len(genes.sources) + len(genes.lost_sources)
        told.append(f"{len(genes.lost_sources)} of {n} regulators ({some(genes.lost_sources)})")
    if not named[1] and len(genes.lost_targets):
        told.append(f"{len(genes.lost_targets)} of {len(genes.targets) + len(genes.lost_targets)} genes")
    if told:
        hint("%s does not know %s; they are left out", model.name, " and ".join(told))


def _strides(rows: np.ndarray, size: int) -> list[np.ndarray]:
    n = -(-len(rows) // size)
    return [rows[i::n] for i in range(n)]


def rows_of(names: np.ndarray, wanted: Sequence[str], what: str) -> np.ndarray:
    """Positions of names in ``names``; refuses unknown ones with a near miss."""
    if isinstance(wanted, str):
        raise ParameterError(f"{what}={wanted!r} is a single string; pass a list of names from adata.var_names.")
    known = [str(name) for name in names]
    index = {name: i for i, name in enumerate(known)}
    wanted = list(dict.fromkeys(map(str, wanted)))
    missing = [name for name in wanted if name not in index]
    if missing:
        hint = did_you_mean(missing[0], known, genes=True)
        raise GeneNameError(
            f"{len(missing)} of {len(wanted)} {what} are not in adata.var_names: {', '.join(missing[:5])}.{hint}"
        )
    if not wanted:
        raise ParameterError(f"{what} is empty; pass names from adata.var_names or None for the default.")
    return np.array([index[name] for name in wanted], dtype=np.int64)


def check_unique(names: np.ndarray, ids: np.ndarray) -> None:
    """Refuse two genes of an object (n,) that stand for one of the model (n,), ``""`` for none."""
    first: dict[str, str] = {}
    for name, gene in zip(names.tolist(), ids.tolist(), strict=True):
        if gene and gene in first:
            raise GeneNameError(
                f"{first[gene]!r} and {name!r} both stand for {gene!r}; keep one of them, or call "
                "grn.pp.align_genes(adata), which marks such rows as ambiguous."
            )
        first[gene] = name


def _check_some(rows: np.ndarray, asked: np.ndarray, model: FoundationModel, what: str, adata) -> None:
    if len(rows):
        return
    if what == "source" and len(asked) == 0:
        raise GeneOverlapError(
            "no regulator is among the genes of this object; call grn.pp.annotate_regulators(adata, "
            "organism=...) or pass sources=[...]."
        )
    raise GeneOverlapError(
        f"{model.name!r} knows none of the {len(asked)} {what} genes (for example {', '.join(map(str, asked[:3]))}); "
        f"it takes {model.gene_id_kind}s such as {', '.join(list(model.source_genes)[:3])}. "
        "Call grn.pp.align_genes(adata) to map the names."
    )
