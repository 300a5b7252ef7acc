"""Scores that need no model: what any method has to beat."""

from __future__ import annotations

import numpy as np

from grn._core.errors import ParameterError
from grn._core.rng import RNGLike, child, seed_of
from grn.bench import _gene_families
from grn.bench._identity import keys
from grn.bench.splits import Split, own_pairs
from grn.datasets.reference import Reference

__all__ = ["expression", "own_degree", "prior", "same_family", "transfer"]

# what each floor has read; no method may be called like one
SEEN = {
    "random": "nothing",
    "target is a regulator": "list of regulators",
    **dict.fromkeys(("out-degree", "in-degree", "degree", "look-up"), "training labels"),
    "labels": "training labels, list of regulators",
    "same family": "gene families",
    **dict.fromkeys(("|correlation|", "mean expression"), "test cells"),
    **dict.fromkeys(("corpus co-expression", "corpus SVD", "corpus mean expression"), "pretraining cells"),
    "family co-expression": "pretraining cells, gene families",
    "external co-expression": "bulk co-expression (ARCHS4, GTEx)",
    "motif prior": "motifs in promoters (mouse)",
    "prior (CollecTRI)": "published edges",
    **dict.fromkeys(("own out-degree", "own degree"), "test labels"),
}
NAMES = tuple(SEEN)


class TrainingLabels:
    """What the training labels of a split say about the genes of the test reference.

    Parameters
    ----------
    split
        The split.
    """

    def __init__(self, split: Split) -> None:
        train, test = split.train, split.test
        self.split = split
        labels = train.labels & split.train_mask
        from_genes = keys(train.genes, organism=train.organism, match=split.match)
        from_regulators = from_genes[np.searchsorted(train.genes, train.regulators)]
        self.genes = keys(test.genes, organism=test.organism, match=split.match)
        self.regulators = self.genes[np.searchsorted(test.genes, test.regulators)]
        self.out_degree = _carry(from_regulators, labels.sum(axis=1), self.regulators)
        self.in_degree = _carry(from_genes, labels.sum(axis=0), self.genes)
        rows, columns = np.nonzero(labels)
        self._edges = from_regulators[rows], from_genes[columns]

    def look_up(self) -> np.ndarray:
        """1 where the pair is a known edge of training, else 0: (regulators, genes)."""
        known = np.zeros((len(self.regulators), len(self.genes)))
        rows, columns = _positions(self.regulators), _positions(self.genes)
        for source, target in zip(*self._edges, strict=True):
            if source in rows and target in columns:
                known[np.ix_(rows[source], columns[target])] = 1.0
        return known


def transfer(split: Split) -> dict[str, np.ndarray]:
    """Floors that know the labels of training, the list of regulators and nothing else.

    Parameters
    ----------
    split
        The split; genes are carried from train to test as it compares them.

    Returns
    -------
    dict
        Name -> scores (regulators, genes) of the test reference: ``random`` (all pairs tied: metrics are exact under
        ties, so this gives what a random score reaches on average), ``target is a regulator``,
        ``out-degree``, ``in-degree``, ``degree`` (sum of their log1p), ``look-up`` and ``labels`` (degree + look-up +
        target is a regulator).

    Raises
    ------
    ParameterError
        If ``split`` is none.

    Examples
    --------
    >>> import pandas as pd
    >>> from grn.bench import Reference, floors, splits
    >>> edges = pd.DataFrame({"source": ["SPI1", "GATA1"], "target": ["CD14", "HBB"]})
    >>> found = floors.transfer(splits.split(Reference(edges, dataset="a"), test=Reference(edges, dataset="b")))
    >>> found["look-up"].tolist()
    [[0.0, 0.0, 1.0, 0.0], [1.0, 0.0, 0.0, 0.0]]
    """
    if not isinstance(split, Split):
        raise ParameterError(f"got a {type(split).__name__}; pass what grn.bench.splits.split returns.")
    known, test = TrainingLabels(split), split.test
    shape = test.labels.shape
    out = np.broadcast_to(np.log1p(known.out_degree)[:, None], shape)
    into = np.broadcast_to(np.log1p(known.in_degree)[None, :], shape)
    listed = np.broadcast_to(np.isin(test.genes, test.regulators).astype(float)[None, :], shape)
    seen = known.look_up()
    return {
        "random": np.zeros(shape),
        "target is a regulator": listed,
        "out-degree": out,
        "in-degree": into,
        "degree": out + into,
        "look-up": seen,
        "labels": out + into + seen + listed,
    }


def same_family(reference: Reference) -> np.ndarray:
    """Whether a regulator and a target are of one gene family, as far as names and DNA-binding domains tell.

    Paralogues are linked in references of every kind, by shared texts, shared experiments and shared domains, so this
    alone scores above chance; it says nothing about regulation.

    Parameters
    ----------
    reference
        The test reference.

    Returns
    -------
    ndarray
        1 or 0 (regulators, genes).

    Raises
    ------
    ParameterError
        Never for a valid reference.

    See Also
    --------
    grn.genes.families : The families.

    Examples
    --------
    >>> import pandas as pd
    >>> from grn.bench import Reference, floors
    >>> one = Reference(pd.DataFrame({"source": ["GATA1", "GATA1"], "target": ["GATA2", "HBB"]}))
    >>> floors.same_family(one).tolist()
    [[1.0, 1.0, 0.0]]
    """
    return _gene_families.same_family(reference).astype(np.float64)


def own_degree(reference: Reference, *, mask: np.ndarray | None = None, rng: RNGLike = 0) -> dict[str, np.ndarray]:
    """Degrees of the test network itself: what knowing half of its edges, but no pair asked about, is worth.

    The pairs are divided into two halves at random; a pair is scored by the degrees that its regulator and its target
    have among the edges of the other half. This is no floor for a method that never saw the data set, but says how
    much of the task is node degree. Under degree-matched negatives it falls below chance: an edge is missing from the
    count of its own other half, a non-edge is not.

    Parameters
    ----------
    reference
        The test reference.
    mask
        Pairs that may be used (regulators, genes); all but self-pairs by default.
    rng
        Seed of the division.

    Returns
    -------
    dict
        ``own out-degree`` and ``own degree`` (sum of log1p of out- and in-degree): scores (regulators, genes).

    Raises
    ------
    ParameterError
        If ``rng`` is negative or the mask has another shape.

    Examples
    --------
    >>> import pandas as pd
    >>> from grn.bench import Reference, floors
    >>> one = Reference(pd.DataFrame({"source": ["A", "A"], "target": ["B", "C"]}))
    >>> sorted(floors.own_degree(one))
    ['own degree', 'own out-degree']
    """
    mask = own_pairs(reference) if mask is None else mask
    if np.shape(mask) != reference.labels.shape:
        raise ParameterError(f"mask has shape {np.shape(mask)}; pass (regulators, genes) = {reference.labels.shape}.")
    half = child(seed_of(rng), "own degree").random(mask.shape) < 0.5
    edges = reference.labels & mask
    out, into = np.empty(mask.shape), np.empty(mask.shape)
    for side in (True, False):
        others = edges & (half != side)
        here = half == side
        out[here] = np.broadcast_to(np.log1p(others.sum(axis=1))[:, None], mask.shape)[here]
        into[here] = np.broadcast_to(np.log1p(others.sum(axis=0))[None, :], mask.shape)[here]
    return {"own out-degree": out, "own degree": out + into}


def expression(reference: Reference) -> dict[str, np.ndarray]:
    """Floors from the cells of a reference, where it has some that cover its genes.

    Parameters
    ----------
    reference
        The test reference.

    Returns
    -------
    dict
        ``|correlation|`` (Pearson) and ``mean expression`` (mean of source + mean of target), scores
        (regulators, genes) with NaN for genes without cells; empty without expression.

    Raises
    ------
    ParameterError
        Never for a valid reference.

    Examples
    --------
    >>> import pandas as pd
    >>> from grn.bench import Reference, floors
    >>> floors.expression(Reference(pd.DataFrame({"source": ["A"], "target": ["B"]})))
    {}
    """
    cells = reference.expression
    if cells is None or cells.n_obs < 3:
        return {}
    measured = np.isin(reference.genes, np.asarray(cells.var_names, dtype=str))
    values = cells[:, reference.genes[measured]].X
    dense = np.asarray(values.toarray() if hasattr(values, "toarray") else values, dtype=np.float64)
    mean = np.full(len(reference.genes), np.nan)
    mean[measured] = dense.mean(axis=0)
    rows = np.searchsorted(reference.genes, reference.regulators)
    z = np.full((len(dense), len(reference.genes)), np.nan)
    z[:, measured] = _unit(dense)
    correlation = np.abs(z[:, rows].T @ z)
    return {"|correlation|": correlation, "mean expression": mean[rows][:, None] + mean[None, :]}


def _unit(dense: np.ndarray) -> np.ndarray:
    """Centred columns of length 1; those of genes that never vary are 0, whatever rounding leaves of them."""
    z = np.where((dense != dense[0]).any(axis=0), dense - dense.mean(axis=0), 0.0)
    norm = np.sqrt((z**2).sum(axis=0))
    scaled: np.ndarray = np.divide(z, norm, out=np.zeros_like(z), where=norm > 0)
    return scaled


def prior(reference: Reference, edges: tuple[np.ndarray, np.ndarray], organism: str) -> np.ndarray:
    """Whether a pair is an edge of a published network: 1 or 0 (regulators, genes).

    Parameters
    ----------
    reference
        The test reference.
    edges
        Names of sources and of targets.
    organism
        Whose names they are; other organisms are reached through orthologs.

    Returns
    -------
    ndarray
        Scores (regulators, genes).

    Raises
    ------
    ParameterError
        If the organism is unknown or sources and targets differ in number.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from grn.bench import Reference, floors
    >>> one = Reference(pd.DataFrame({"source": ["GATA1"], "target": ["HBB"]}))
    >>> floors.prior(one, (np.array(["GATA1"]), np.array(["HBB"])), "human").tolist()
    [[0.0, 1.0]]
    """
    genes = keys(reference.genes, organism=reference.organism)
    regulators = genes[np.searchsorted(reference.genes, reference.regulators)]
    if len(edges[0]) != len(edges[1]):
        raise ParameterError(f"{len(edges[0])} sources but {len(edges[1])} targets; pass one of each per edge.")
    sources, targets = (keys(names, organism=organism) for names in edges)
    rows, columns = _positions(regulators), _positions(genes)
    known = np.zeros((len(regulators), len(genes)))
    for source, target in zip(sources, targets, strict=True):
        if source in rows and target in columns:
            known[np.ix_(rows[source], columns[target])] = 1.0
    return known


def _carry(from_keys: np.ndarray, values: np.ndarray, to_keys: np.ndarray) -> np.ndarray:
    """Sums of values by key, read at other keys; 0 where the key is new."""
    names, codes = np.unique(from_keys, return_inverse=True)
    sums = np.bincount(codes, weights=values, minlength=len(names))
    places = np.searchsorted(names, to_keys)
    places[places == len(names)] = 0
    return np.where(names[places] == to_keys, sums[places], 0.0) if len(names) else np.zeros(len(to_keys))


def _positions(names: np.ndarray) -> dict[str, list[int]]:
    places: dict[str, list[int]] = {}
    for i, name in enumerate(names.tolist()):
        places.setdefault(name, []).append(i)
    return places
