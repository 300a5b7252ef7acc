"""What train and test have in common, counted."""

from __future__ import annotations

import pandas as pd

from grn._core.errors import ParameterError
from grn.bench._overlap import Audit, ReferenceKeys, edge_keys, overlap
from grn.bench.splits import Split
from grn.datasets.reference import Reference

__all__ = ["Audit", "audit", "compare"]


def audit(split: Split) -> Audit:
    """Count what the two sides of a split share.

    Parameters
    ----------
    split
        A split from :func:`grn.bench.splits.split`.

    Returns
    -------
    Audit
        Printing it gives a table.

    Raises
    ------
    ParameterError
        If it is given something else.

    Examples
    --------
    >>> import pandas as pd
    >>> from grn.bench import Reference, audit, splits
    >>> edges = pd.DataFrame({"source": ["SPI1", "GATA1"], "target": ["CD14", "HBB"]})
    >>> one, other = Reference(edges, dataset="a"), Reference(edges, dataset="b")
    >>> audit.audit(splits.split(one, test=other)).label_agreement
    1.0
    """
    if not isinstance(split, Split):
        raise ParameterError(f"got a {type(split).__name__}; pass what grn.bench.splits.split returns.")
    return overlap(split.train, split.test, train_mask=split.train_mask, test_mask=split.test_mask, match=split.match)


def compare(references: dict[str, Reference], *, match: str = "ortholog") -> pd.DataFrame:
    """How far the edges of several references are the same edges.

    Parameters
    ----------
    references
        References by name.
    match
        How genes are compared: ``"ortholog"`` or ``"symbol"``.

    Returns
    -------
    DataFrame
        Square: share of the edges of the row's reference that are edges of the column's.

    Raises
    ------
    ParameterError
        If ``match`` is unknown.

    Examples
    --------
    >>> import pandas as pd
    >>> from grn.bench import Reference, audit
    >>> one = Reference(pd.DataFrame({"source": ["SPI1", "GATA1"], "target": ["CD14", "HBB"]}))
    >>> other = Reference(pd.DataFrame({"source": ["SPI1"], "target": ["CD14"]}))
    >>> audit.compare({"one": one, "other": other}).loc["one", "other"]
    np.float64(0.5)
    """
    pairs = {}
    for name, reference in references.items():
        if not isinstance(reference, Reference):
            raise ParameterError(f"{name!r} is a {type(reference).__name__}; pass grn.bench.Reference objects by name.")
        pairs[name] = edge_keys(ReferenceKeys(reference, match), reference.labels)
    rows = {a: {b: len(pairs[a] & pairs[b]) / len(pairs[a]) for b in pairs} for a in pairs}
    return pd.DataFrame(rows).T
