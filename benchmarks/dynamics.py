"""Dictys, FLeCS and RiTINI on planted dynamics, beside floors and other methods with the same prior.

    python benchmarks/dynamics.py [--repeats 5] [--first-seed 10] [--cells 600] [--molecules 25] [--only dictys ritini]

Every simulation is one of `toy_dynamics`, without knock-outs; all methods are given the same prior, half of which is
false, and those that need a course the true time and lineage. Printed are, as means over simulations and with their
range: the area under the precision-recall curve of all pairs of a regulator and a gene (pairs that a method does not
list come last); the same with the pairs of the prior as candidates; the same of direct edges among direct and indirect
pairs of the prior; the correlation, over all genes but the one knocked out, of predicted responses with those of the
simulator; and the median of processor seconds.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from anndata import AnnData

import grn
from grn._core.markdown import markdown_table
from grn.bench import Reference, floors, metrics

COLUMNS = ("all pairs", "pairs of the prior", "direct against indirect", "knock-out r", "seconds")
# share of the course in which cells of both lineages are on the trunk
TRUNK = 0.25
# chosen on simulations from seed 100 on
PARAMS: dict[str, dict[str, object]] = {
    "grnboost2": {"mode": "fast"},
    "celloracle": {"smooth": False, "max_p": None},
    "dictys": {"covariates": ["time"]},
    "flecs": {"smooth": False},
    "ritini": {"prior": "base_grn", "n_times": 40, "n_epochs": 40, "scale": "gene"},
}
FLOORS = ("chance", "prior alone", "own degree of the planted network", "mean of the other knock-outs")
OTHERS = ("correlation", "grnboost2", "celloracle")
SYSTEMS = ("dictys", "flecs", "ritini")


@dataclass(frozen=True)
class World:
    """A simulation and what is asked about it."""

    adata: AnnData
    sources: list[str]
    genes: list[str]
    direct: np.ndarray  # (S, G)
    indirect: np.ndarray  # (S, G), reached by paths only
    listed: np.ndarray  # (S, G), in the prior
    pairs: np.ndarray  # (S, G), of two genes

    @property
    def response(self) -> pd.DataFrame:
        """What knock-outs do."""
        return self.adata.uns["knockouts"]


def world(seed: int, n_cells: int, molecules: float = 25.0) -> World:
    """Simulate cells, and put them on their trajectory."""
    adata = grn.datasets.toy_dynamics(n_cells=n_cells, molecules=molecules, rng=seed)
    both = adata.obs["time"] < TRUNK * adata.obs["time"].max()
    labels = adata.obs["lineage"].cat.categories
    lineages = pd.DataFrame({label: both | (adata.obs["lineage"] == label) for label in labels})
    grn.pp.trajectory(adata, pseudotime="time", lineages=lineages)
    sources, genes = list(adata.var_names[adata.var["is_regulator"]]), list(adata.var_names)
    direct, listed = (incidence(adata.uns[name], sources, genes) for name in ("truth", "base_grn"))
    step = direct[:, : len(sources)].astype(float)
    onward = np.linalg.matrix_power(np.eye(len(sources)) + step, len(sources)) @ direct > 0
    pairs = np.array([[source != gene for gene in genes] for source in sources])
    return World(adata, sources, genes, direct, onward & ~direct & pairs, listed, pairs)


def incidence(table: pd.DataFrame, sources: list[str], genes: list[str]) -> np.ndarray:
    """Whether a pair is in a table (S, G)."""
    both = set(zip(table["source"], table["target"], strict=True))
    return np.array([[(source, gene) in both for gene in genes] for source in sources])


def areas(strength: np.ndarray, place: World) -> list[float]:
    """The three areas of the strength (S, G) of pairs."""
    among = (place.pairs, place.pairs & place.listed, place.listed & (place.direct | place.indirect))
    return [metrics.auprc(place.direct[where], strength[where]) for where in among]


def of_responses(predicted: pd.DataFrame, place: World) -> float:
    """Mean correlation of predicted with true responses, 0 where nothing is predicted."""
    found = []
    for source in place.sources:
        others = [gene for gene in place.genes if gene != source]
        one, two = predicted.loc[source, others].to_numpy(float), place.response.loc[source, others].to_numpy(float)
        found.append(np.corrcoef(one, two)[0, 1] if one.std() > 0 and two.std() > 0 else 0.0)
    return float(np.mean(found))


def floor(name: str, place: World) -> list[float]:
    """Figures of what has seen no cell, or the answers to other questions."""
    if name == "mean of the other knock-outs":
        total = place.response.sum()
        mean = (total - place.response) / (len(place.sources) - 1)
        return [np.nan] * 3 + [of_responses(mean, place), np.nan]
    if name == "own degree of the planted network":
        truth = place.adata.uns["truth"][["source", "target"]]
        reference = Reference(truth, regulators=place.sources, genes=place.genes)
        rows = [list(reference.regulators).index(source) for source in place.sources]
        columns = [list(reference.genes).index(gene) for gene in place.genes]
        candidates = np.zeros(reference.labels.shape, dtype=bool)
        candidates[np.ix_(rows, columns)] = place.listed
        of_all = floors.own_degree(reference)["own degree"][np.ix_(rows, columns)]
        of_listed = floors.own_degree(reference, mask=candidates)["own degree"][np.ix_(rows, columns)]
        return [areas(of_all, place)[0], *areas(of_listed, place)[1:], np.nan, np.nan]
    strength = place.listed.astype(float) if name == "prior alone" else np.zeros(place.listed.shape)
    return [*areas(strength, place), np.nan, np.nan]


def strength_of(place: World, key: str, column: str) -> np.ndarray:
    """Largest absolute value of a column of edges for every pair (S, G)."""
    edges = place.adata.uns[key]["edges"].astype({"source": str, "target": str})
    size = edges.assign(size=edges[column].abs()).groupby(["source", "target"])["size"].max()
    return size.unstack().reindex(index=place.sources, columns=place.genes).fillna(0.0).to_numpy()


def signed_by_correlation(place: World, strength: np.ndarray) -> pd.DataFrame:
    """Responses if every gene followed the lost one as it correlates with it."""
    r = np.nan_to_num(np.corrcoef(place.adata.X.toarray().T))[: len(place.sources)]
    return pd.DataFrame(-np.sign(r) * strength, place.sources, place.genes)


def predicted(place: World, key: str) -> pd.DataFrame:
    """Responses at the end, the mean over groups or lineages; 0 for genes without a prediction."""
    genes = set(map(str, place.adata.uns[key]["fit"]["genes"]))
    asked = [source for source in place.sources if source in genes]
    table = grn.tl.predict_knockout(place.adata, genes=asked, key=key, difference=True)
    last = table.groupby([name for name in table.index.names if name != "time"], sort=False).last()
    mean = last.groupby("knockout").mean()
    return mean.reindex(index=place.sources, columns=place.genes).fillna(0.0)


def simulated(place: World, key: str) -> pd.DataFrame:
    """Mean effects of knock-outs by :func:`grn.tl.simulate`."""
    rows = {}
    for source in place.sources:
        out = grn.tl.simulate(place.adata, perturbation={source: 0}, net=key, n_controls=1, copy=True)
        effects = out.uns["simulation"]["effects"]
        rows[source] = effects.set_index("gene")["effect"].groupby(level=0).mean()
    return pd.DataFrame(rows).T.reindex(index=place.sources, columns=place.genes).fillna(0.0)


def method(name: str, place: World) -> dict[str, list[float]]:
    """Figures of a method, with the prior if it takes one, by the column that is read."""
    prior = {} if name in ("correlation", "grnboost2") else {"base_grn": place.adata.uns["base_grn"]}
    counts = {"layer": "counts"} if name == "dictys" else {}
    start = time.process_time()
    grn.tl.infer_network(
        place.adata,
        method=name,
        sources=place.sources,
        key_added=name,
        progress=False,
        params={**prior, **PARAMS.get(name, {})},
        **counts,
    )
    seconds = time.process_time() - start
    strength = strength_of(place, name, "weight")
    if name in ("correlation", "grnboost2"):
        r = of_responses(signed_by_correlation(place, strength), place)
        return {
            name: [*areas(strength, place), r, seconds],
            f"{name}, pairs of the prior": [
                areas(strength * place.listed, place)[0],
                *areas(strength, place)[1:],
                of_responses(signed_by_correlation(place, strength * place.listed), place),
                seconds,
            ],
        }
    answer: Callable[[World, str], pd.DataFrame] = simulated if name == "celloracle" else predicted
    rows = {name: [*areas(strength, place), of_responses(answer(place, name), place), seconds]}
    for column in ("raw", "indirect", "raw_indirect", "importance", "effect"):
        if column in place.adata.uns[name]["edges"]:
            rows[f"{name}, column {column}"] = [*areas(strength_of(place, name, column), place), np.nan, np.nan]
    return rows


def figures(place: World, names: list[str]) -> pd.DataFrame:
    """All rows of one simulation."""
    rows = {name: floor(name, place) for name in FLOORS}
    for name in names:
        rows.update(method(name, place))
    return pd.DataFrame(rows, index=list(COLUMNS)).T


def table(runs: list[pd.DataFrame]) -> str:
    """Means over simulations, and their range."""
    values = np.stack([run.to_numpy() for run in runs])  # (repeats, rows, columns)
    rows = []
    for place, name in enumerate(runs[0].index):
        cells = []
        for column in range(len(COLUMNS)):
            here = values[:, place, column]
            if np.isnan(here).any():
                cells.append("")
            elif COLUMNS[column] == "seconds":
                cells.append(f"{np.median(here):.1f}")
            else:
                cells.append(f"{here.mean():.2f} ({here.min():.2f} to {here.max():.2f})")
        rows.append([name, *cells])
    return markdown_table(["", *COLUMNS], rows)


def main() -> None:
    """Read the arguments, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5, help="number of simulations")
    parser.add_argument("--first-seed", type=int, default=10)
    parser.add_argument("--cells", type=int, default=600)
    parser.add_argument("--molecules", type=float, default=25.0, help="of a gene: the fewer, the noisier its course")
    parser.add_argument("--only", nargs="*", choices=[*OTHERS, *SYSTEMS], default=[*OTHERS, *SYSTEMS])
    asked = parser.parse_args()
    grn.settings.verbosity = "error"
    warnings.simplefilter("ignore")
    known = set(grn.tl.methods().index)
    names = [name for name in asked.only if name in known]
    seeds = range(asked.first_seed, asked.first_seed + asked.repeats)
    print(table([figures(world(seed, asked.cells, asked.molecules), names) for seed in seeds]))


if __name__ == "__main__":
    main()
