"""The experiments of the perturbation suite, and what competitors are given of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from grn.bench._effects import deviations, effects, signatures
from grn.bench._targets import METRICS
from grn.datasets import dream4, nkx2_1_knockout, papalexi2021, replogle2022
from grn.genes import regulators as known_regulators


@dataclass(frozen=True)
class Judged:
    """Effects that predictions are judged by.

    Parameters
    ----------
    data
        Name in the table.
    effects
        Measured effects.
    regulators
        Those to judge; all by default.
    again
        The same loss measured once more, as edge tables by name: what a score can be expected to reach at most.
    metrics
        Metrics that say something here.
    """

    data: str
    effects: pd.DataFrame
    regulators: list[str] | None = None
    again: dict[str, pd.DataFrame] = field(default_factory=dict)
    metrics: tuple[str, ...] = METRICS


@dataclass(frozen=True)
class Experiment:
    """One experiment.

    Parameters
    ----------
    name
        Name of the experiment, unique.
    given
        What a method sees: unperturbed cells or none, genes sorted, ``var["is_regulator"]`` for the lost ones.
    judged
        What its predictions are compared with.
    """

    name: str
    given: AnnData
    judged: list[Judged]


def _dream4(path: str | Path | None) -> Iterator[Experiment]:
    """Five networks whose regulators are pooled; true edges, and as many strongest effects."""
    for network in range(1, 6):
        adata = dream4(network=network, path=path)
        adata = adata[:, np.sort(adata.var_names)].copy()
        kind, truth = adata.obs["kind"], adata.uns.pop("reference")
        free = kind.isin(["multifactorial", "time-series"]).to_numpy()
        out = (kind != "knock-down").to_numpy()
        edges = deviations(adata[out], background=free[out], baseline="median", truth=truth)
        lost = deviations(adata[out], background=free[out], baseline="median", top=len(truth))
        half = kind.isin(["wild-type", "knock-down"]).to_numpy()
        half = deviations(adata[half], baseline="median", top=len(truth))
        given = adata[free | (kind == "wild-type").to_numpy()].copy()
        given.var["is_regulator"] = given.var["measured"] = True
        judged = [
            Judged("DREAM4, true edges", edges, None, {"the knock-out itself": _as_edges(lost)}, METRICS[:2]),
            Judged("DREAM4, strongest effects", lost, None, {"knock-down": _as_edges(half)}),
        ]
        yield Experiment(f"DREAM4 network {network}", given, judged)


def _thp1(path: str | Path | None) -> Iterator[Experiment]:
    """All cells; and two replicates alone, with the third as a second measurement of the same losses."""
    adata = papalexi2021(path=path)
    experiment = _cells("THP-1 ECCITE-seq", adata)
    if "bio_rep" in adata.obs and adata.obs["bio_rep"].nunique() > 1:
        first = (adata.obs["bio_rep"] == "rep_1").to_numpy()
        again, rest = effects(adata[first]), effects(adata[~first])
        again = {"replicate 1": again[["source", "target"]].assign(weight=-again["statistic"])}
        experiment.judged.append(Judged("THP-1 ECCITE-seq, replicates 2 and 3", rest, None, again))
    yield experiment


def _nkx2_1(path: str | Path | None) -> Iterator[Experiment]:
    yield _cells("Nkx2-1 knock-out", nkx2_1_knockout(path=path))


def _perturbseq(path: str | Path | None) -> Iterator[Experiment]:
    """Two cell lines; only transcription factors are judged, all knock-downs count for the floors."""
    measured = {line: signatures(replogle2022(cell_line=line, path=path)) for line in ("k562", "rpe1")}
    for line, other in (("k562", "rpe1"), ("rpe1", "k562")):
        table = measured[line]
        lost = set(table["source"].cat.categories)
        judged = sorted(lost & known_regulators("human"))
        genes = np.union1d(table["target"].cat.categories.to_numpy(dtype=str), judged)
        given = AnnData(np.zeros((0, len(genes)), dtype=np.float32), var=pd.DataFrame(index=genes))
        given.var["is_regulator"] = np.isin(genes, judged)
        given.var["measured"] = False
        given.uns["organism"] = "human"
        rising = measured[other]
        rising = rising[(rising["source"].isin(judged) & rising["effect"].notna()).to_numpy()]
        again = {f"{other.upper()} knock-down": rising[["source", "target"]].assign(weight=rising["effect"])}
        name = f"Perturb-seq {line.upper()}"
        yield Experiment(name, given, [Judged(f"{name}, increases", table, judged, again)])


EXPERIMENTS: dict[str, Callable[[str | Path | None], Iterator[Experiment]]] = {
    "dream4": _dream4,
    "thp1": _thp1,
    "perturbseq": _perturbseq,
    "nkx2-1": _nkx2_1,
}


def _cells(name: str, adata: AnnData) -> Experiment:
    table = effects(adata)
    lost = list(table["source"].cat.categories)
    return Experiment(name, unperturbed(adata, lost), [Judged(name, table)])


def unperturbed(adata: AnnData, lost: list[str]) -> AnnData:
    """The control cells; lost regulators that were not measured get a column of zeros.

    Parameters
    ----------
    adata
        Cells of a screen.
    lost
        Its regulators.
    """
    cells = adata[(adata.obs["perturbation"] == "control").to_numpy()]
    absent = np.setdiff1d(lost, np.asarray(cells.var_names, dtype=str))
    nothing = AnnData(
        sparse.csr_matrix((cells.n_obs, len(absent)), dtype=np.float32), obs=cells.obs, var=pd.DataFrame(index=absent)
    )
    whole = ad.concat([cells, nothing], axis="var", merge="same") if len(absent) else cells.copy()
    whole = whole[:, np.sort(whole.var_names)].copy()
    whole.var["is_regulator"] = whole.var_names.isin(lost)
    whole.var["measured"] = ~whole.var_names.isin(absent)
    whole.uns = {key: adata.uns[key] for key in ("organism", "matrix")}
    return whole


def _as_edges(table: pd.DataFrame) -> pd.DataFrame:
    """The loss of an activator lowers its targets: weight is minus the effect."""
    return table[["source", "target"]].assign(weight=-table["effect"])
