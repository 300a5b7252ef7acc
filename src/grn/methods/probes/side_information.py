"""What names and promoters tell about a pair of genes: families and motifs, as columns for a translator."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from grn.genes.families import families
from grn.models import promoter_motifs

COLUMNS = ("same stem", "same prefix", "motif", "family motif")


def side_information(sources: np.ndarray, targets: np.ndarray) -> Mapping[str, np.ndarray]:
    """Columns of all pairs.

    Parameters
    ----------
    sources, targets
        Human symbols (S,) and (T,); empty for genes without one.

    Returns
    -------
    dict
        float32 (T, S) by name: ``same stem`` and ``same prefix`` are 1 where both genes belong to one family of that
        kind; ``motif`` says how much the motif of the source goes with the promoter of the target, ``family motif``
        the same of the mean of the regulators with its stem.
    """
    columns = {}
    for kind in ("stem", "prefix"):
        left, right = families(sources, kind=kind), families(targets, kind=kind)
        columns[f"same {kind}"] = ((right[:, None] == left) & (right != "")[:, None]).astype(np.float32)
    motifs = promoter_motifs.embedded()
    columns["motif"] = motifs.scores(sources, targets).T
    columns["family motif"] = motifs.scores(sources, targets, families=families).T
    return columns
