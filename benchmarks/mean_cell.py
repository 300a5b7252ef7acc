"""What it costs ``universal`` to be read at the mean cell of a group, on labels of hESC.

python benchmarks/mean_cell.py

Cells are four lines of SNARE-seq, ``multiome/human_snareseq_lines_rna.h5ad`` in ``grn.settings.data_dir``, H1 among
them, which are embryonic stem cells as those of the labels. Translators are fitted on pairs of one half of the genes of
hESC and read on pairs of the other half, degree-matched: fitted and read with all other genes unknown, as those in the
package are; fitted so and read at the mean cell of a line; fitted and read there. No test set is touched.
"""

from __future__ import annotations

from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd

import grn
from grn._core.markdown import markdown_table
from grn.bench.metrics import auprc
from grn.bench.negatives import Sample, sample
from grn.bench.splits import split
from grn.methods.inputs import inputs_of
from grn.methods.probes.universal import responses, side_columns, trajectory
from grn.models.pair_translator import PENALTY, PairTranslator, fitted

CELLS = Path("multiome", "human_snareseq_lines_rna.h5ad")
NETWORKS = {"STRING": "STRING", "Non-Specific": "non-specific ChIP-seq"}
VIRTUAL = "others unknown"
SPLITS = 5
Table = dict[str, np.ndarray]


def tables(reference: grn.bench.Reference, cells: ad.AnnData) -> dict[str, Table]:
    """What a translator reads of all pairs (genes, regulators), without cells and at the mean cell of every line."""
    adata = cells[:, [gene for gene in reference.genes if gene in set(cells.var_names)]].copy()
    adata.var["is_regulator"] = adata.var_names.isin(reference.regulators)
    inputs = inputs_of(adata, model="mini", groupby="label")
    virtual = trajectory(inputs_of(adata, model="mini"), context="virtual")
    mean = trajectory(inputs, context="mean")
    names = adata.var_names.to_numpy()
    rows = np.searchsorted(reference.genes, names)
    columns = np.searchsorted(reference.regulators, names[virtual.sources])
    side = side_columns(virtual.genes, virtual.sources)
    cubes = {VIRTUAL: virtual.of_group(0)} | {name: mean.of_group(i) for i, name in enumerate(mean.groups)}
    grids = {name: virtual.grid if name == VIRTUAL else mean.grid for name in cubes}
    found: dict[str, Table] = {}
    for name, cube in cubes.items():
        found[name] = {}
        for column, values in {**responses(cube, grids[name]), **side}.items():
            full = np.full((len(reference.genes), len(reference.regulators)), np.nan)
            full[np.ix_(rows, columns)] = np.where(np.isnan(cube[..., 0]), np.nan, values)
            found[name][column] = full
    return found


def taken(table: Table, drawn: Sample) -> tuple[Table, np.ndarray]:
    """Columns and labels of the pairs of a sample that are read."""
    values = {name: column[drawn.targets, drawn.sources] for name, column in table.items()}
    known = ~np.isnan(np.stack(list(values.values()))).any(axis=0)
    return {name: column[known] for name, column in values.items()}, drawn.labels[known]


def fit(table: Table, drawn: Sample) -> PairTranslator:
    """A translator like those in the package."""
    values, labels = taken(table, drawn)
    model = grn.models.load("mini")
    return fitted(
        "universal", values, labels, weights=np.ones(len(labels)), penalty=PENALTY, background="unknown", model=model,
        seen="half of the genes of hESC",
    )  # fmt: skip


def scores(reference: grn.bench.Reference, cells: ad.AnnData) -> pd.DataFrame:
    """AUPRC on held-out pairs, one row per half and reading."""
    read, rows = tables(reference, cells), []
    for seed in range(SPLITS):
        halves = split(reference, by="both_genes", rng=seed)
        masks = (halves.train_mask, halves.test_mask)
        for learn, ask in (masks, masks[::-1]):
            known, held = (sample(reference, negatives="degree_matched", mask=mask, rng=seed) for mask in (learn, ask))
            shipped = fit(read[VIRTUAL], known)
            for place, table in read.items():
                values, labels = taken(table, held)
                for how, translator in (("as in the package", shipped), ("fitted there", fit(table, known))):
                    rows.append((place, how, auprc(labels, translator.probability(values))))
    return pd.DataFrame(rows, columns=["read", "translator", "auprc"])


def main() -> None:
    """Print the table."""
    cells = ad.read_h5ad(Path(grn.settings.data_dir) / CELLS)
    parts = {}
    for network, title in NETWORKS.items():
        found = scores(grn.datasets.beeline("hESC", network=network), cells)
        parts[title] = found.groupby(["read", "translator"], sort=False)["auprc"].mean().unstack("translator")
    table = pd.concat(parts, axis=1)
    rows = [[place, *map("{:.3f}".format, row)] for place, row in zip(table.index, table.to_numpy(), strict=True)]
    print(markdown_table(["read", *(f"{title}, {how}" for title, how in table.columns)], rows))


if __name__ == "__main__":
    main()
