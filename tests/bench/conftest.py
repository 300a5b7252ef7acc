"""Small references with known properties, shared by the tests of the benchmark."""

from __future__ import annotations

from functools import cache

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from grn.bench import READINGS, Reference, run
from grn.genes import regulators as known_regulators
from grn.genes import tables
from grn.models import load
from grn.models.memory import Memory
from random_memories import random_memory


def table(pairs):
    """An edge table out of pairs of names."""
    return pd.DataFrame(list(pairs), columns=["source", "target"])


def from_grid(labels, regulators, genes, **facts) -> Reference:
    """A reference out of a table of labels (regulators, genes)."""
    rows, columns = np.nonzero(labels)
    edges = pd.DataFrame({"source": np.asarray(regulators)[rows], "target": np.asarray(genes)[columns]})
    return Reference(edges, genes=genes, regulators=regulators, **facts)


def _names(n: int) -> np.ndarray:
    return np.array([f"gene{i:04d}" for i in range(n)])


def small(seed: int, *, regulators=8, genes=40, density=0.2, bare=2, **facts) -> Reference:
    """Edges at random; the first regulators are genes too, and the last ``bare`` of them have no edge."""
    random = np.random.default_rng(seed)
    names = _names(genes)
    labels = random.random((regulators, genes)) < density
    np.fill_diagonal(labels, False)
    labels[regulators - bare :] = False
    labels[0, -1] = True
    return from_grid(labels, names[:regulators], names, **facts)


def hubs(seed: int, *, regulators=60, genes=300, edges=2400, **facts) -> Reference:
    """Hubs with random targets: heavy-tailed degrees, and edges random given the degrees.

    Pairs are independent with probability w / (1 + w), w = x(source) y(target): given the degrees every network is as
    likely as any other, so nothing but degrees can be learned.
    """
    random = np.random.default_rng(seed)
    names = _names(genes)
    weight = np.outer(random.pareto(1.5, regulators) + 0.2, random.pareto(1.5, genes) + 0.2)
    np.fill_diagonal(weight, 0)
    return from_grid(_thinned(weight, edges, random), names[:regulators], names, **{"dataset": f"hubs{seed}", **facts})


def communities(seed: int, *, regulators=60, genes=300, edges=2400, groups=4, fold=6.0) -> tuple[Reference, np.ndarray]:
    """Hubs again, but pairs of one community are likelier; also whether a pair is of one (regulators, genes)."""
    random = np.random.default_rng(seed)
    names = _names(genes)
    group = np.arange(genes) % groups
    same = group[:regulators, None] == group[None, :]
    weight = np.outer(random.pareto(2.5, regulators) + 0.5, random.pareto(2.5, genes) + 0.5) * np.where(same, fold, 1)
    np.fill_diagonal(weight, 0)
    return from_grid(_thinned(weight, edges, random), names[:regulators], names, dataset=f"planted{seed}"), same


def _thinned(weight, edges, random):
    """Independent pairs with odds proportional to the weight and ``edges`` expected."""
    low, high = 1e-9, 1e9
    for _ in range(80):
        middle = np.sqrt(low * high)
        low, high = (low, middle) if (middle * weight / (1 + middle * weight)).sum() > edges else (middle, high)
    return random.random(weight.shape) < low * weight / (1 + low * weight)


@cache
def links() -> dict[tuple[str, str], set[tuple[str, str]]]:
    """Genes (organism, symbol) that the ortholog table or equal letters tie to a gene."""
    found: dict[tuple[str, str], set[tuple[str, str]]] = {}
    letters: dict[str, list[tuple[str, str]]] = {}
    for organism in tables.ORGANISMS:
        for symbol in tables.symbols(organism):
            letters.setdefault(symbol.upper(), []).append((organism, symbol))
    pairs = [(("mouse", m), ("human", o.symbol)) for m, listed in tables.orthologs().items() for o in listed]
    pairs += [(same[0], other) for same in letters.values() for other in same[1:]]
    for one, other in pairs:
        found.setdefault(one, set()).add(other)
        found.setdefault(other, set()).add(one)
    return found


@cache
def family(gene: tuple[str, str]) -> frozenset[tuple[str, str]]:
    """All genes that a chain of orthologs or equal letters ties to a gene, by breadth-first search."""
    seen, border = {gene}, [gene]
    while border:
        border = [other for one in border for other in links().get(one, ()) if other not in seen]
        seen.update(border)
    return frozenset(seen)


@cache
def pool() -> tuple[tuple[tuple[str, str], ...], ...]:
    """Families of 2 to 6 genes of every kind of orthology, the same on every run."""
    found: dict[str, list[tuple[tuple[str, str], ...]]] = {"one2one": [], "one2many": [], "many2many": [], "name": []}
    taken: set[tuple[str, str]] = set()
    for mouse, pairs in sorted(tables.orthologs().items())[::29]:
        members = family(("mouse", mouse))
        kind = pairs[0].kind
        if members & taken or not 2 <= len(members) <= 6 or len(found[kind]) == 8:
            continue
        taken |= members
        found[kind].append(tuple(sorted(members)))
    assert all(len(families) == 8 for families in found.values())
    return tuple(family_ for families in found.values() for family_ in families)


def named(seed: int, organism: str, n_families: int) -> tuple[Reference, dict[str, frozenset]]:
    """A reference of approved symbols out of random families, and the family of every name."""
    random = np.random.default_rng(seed)
    chosen = random.choice(len(pool()), n_families, replace=False)
    genes = sorted(name for i in chosen for org, name in pool()[i] if org == organism)
    regulators = [gene for gene in genes if random.random() < 0.5] or genes[:1]
    labels = (random.random((len(regulators), len(genes))) < 0.4) & (np.array(regulators)[:, None] != np.array(genes))
    labels[0, genes.index(next(gene for gene in genes if gene != regulators[0]))] = True
    families = {gene: family((organism, gene)) for gene in genes}
    return from_grid(labels, regulators, genes, organism=organism), families


class Builders:
    """What the tests of the benchmark build references with."""

    table, from_grid, small = staticmethod(table), staticmethod(from_grid), staticmethod(small)
    hubs, communities = staticmethod(hubs), staticmethod(communities)
    family, pool, named = staticmethod(family), staticmethod(pool), staticmethod(named)


@pytest.fixture(scope="session")
def build() -> type[Builders]:
    """Builders of small references."""
    return Builders


class Runs:
    """What whole runs are made of: random references of genes that ``mini`` knows, and small models."""

    FLOORS = ["random", "target is a regulator", "out-degree", "in-degree", "degree", "look-up", "labels"]  # noqa: RUF012
    FLOORS += ["same family"]
    ORACLES = ["own out-degree", "own degree"]  # noqa: RUF012
    IDENTITY = ["train", "test", "protocol", "pairs", "method", "metric"]  # noqa: RUF012

    def __init__(self):
        known, able = load("mini").genes, set(known_regulators("human"))
        self.TFS = [gene for gene in known if gene in able]
        self.OTHERS = [gene for gene in known if gene not in able]
        self.ONE = self.make("one", slice(0, 14), slice(0, 60))
        self.TWO = self.make("two", slice(14, 28), slice(60, 120), seed=1)
        self.THREE = self.make("three", slice(8, 24), slice(40, 100), seed=2)

    def make(self, name, tfs, others, *, seed=0, n_edges=120, **arguments) -> Reference:
        """Random edges of some regulators among some genes."""
        genes = sorted([*self.TFS[tfs], *self.OTHERS[others]])
        pairs = [(source, target) for source in self.TFS[tfs] for target in genes if source != target]
        rows = np.random.default_rng(seed).choice(len(pairs), n_edges, replace=False)
        given = {"genes": genes, "regulators": self.TFS[tfs], "dataset": name, "network": "N", **arguments}
        return Reference(table(pairs[i] for i in rows), **given)

    @staticmethod
    def with_cells(reference, **changes) -> Reference:
        """The same reference with 30 measured cells."""
        values = np.log1p(np.random.default_rng(3).poisson(2.0, (30, len(reference.genes)))).astype(np.float32)
        cells = ad.AnnData(values, var=pd.DataFrame(index=reference.genes))
        same = ("organism", "dataset", "network", "size", "unit", "directed")
        given = {**{name: getattr(reference, name) for name in same}, "expression": cells, **changes}
        return Reference(reference.edges, genes=reference.genes, regulators=reference.regulators, **given)

    def small(self, *references, seed=0) -> Memory:
        """A small random memory, the architecture of ``mini``, that knows the genes of some references."""
        references = references or (self.ONE, self.TWO, self.THREE)
        genes = tuple(sorted(set().union(*(reference.genes for reference in references))))
        return random_memory(genes, seed=seed)

    def same(self, a, b) -> bool:
        """Equal tables, whatever the order of their rows."""
        a, b = (t.sort_values(self.IDENTITY, ignore_index=True) for t in (a, b))
        pd.testing.assert_frame_equal(a, b, check_exact=True)
        return True


@pytest.fixture(scope="session")
def runs() -> Runs:
    return Runs()


@pytest.fixture(scope="module")
def model(runs):
    """A small random network that knows the genes of the three references."""
    return runs.small()


@pytest.fixture
def quick(model, runs):
    """A run that takes a second or two; keywords replace its arguments."""
    usual = {
        "methods": [READINGS["VVP (raw)"]],
        "model": model,
        "train": runs.ONE,
        "test": [runs.TWO],
        "protocols": ["paper"],
    }
    usual |= {"outside": False, "seeds": 1, "n_boot": 10, "progress": False}
    return lambda **arguments: run(**{**usual, **arguments})


class Screens:
    """Knock-out screens of a planted network, and what reads predictions and figures of them."""

    REGULATORS = [f"R{i}" for i in range(8)]  # noqa: RUF012
    TARGETS = [f"T{i:02d}" for i in range(30)]  # noqa: RUF012
    GENES = [*REGULATORS, *TARGETS]  # noqa: RUF012

    def planted(self, seed=0) -> pd.DataFrame:
        """Signed weights (8 regulators, 30 targets): five targets each, drawn at random."""
        rng = np.random.default_rng(seed)
        weights = pd.DataFrame(0.0, index=self.REGULATORS, columns=self.TARGETS)
        for name in self.REGULATORS:
            chosen = rng.choice(self.TARGETS, 5, replace=False)
            weights.loc[name, chosen] = rng.choice([-1, 1], 5) * rng.uniform(0.4, 0.8, 5)
        return weights

    def screen(self, weights, *, n=60, seed=0, measured=GENES) -> ad.AnnData:
        """Log values of a linear model, n cells per knock-out and 3 n controls: a lost regulator is at 0."""
        rng, lost = np.random.default_rng(seed), self.REGULATORS
        names = np.repeat(["control", *lost], [3 * n, *([n] * len(lost))])
        activity = pd.DataFrame(rng.normal(1.0, 0.3, (len(names), len(weights))), columns=weights.index)
        for name in lost:
            activity.loc[names == name, name] = 0.0
        targets = 4 + activity.to_numpy() @ weights.to_numpy() + rng.normal(0, 0.3, (len(names), weights.shape[1]))
        values = pd.concat([activity + 2, pd.DataFrame(targets, columns=weights.columns)], axis=1).clip(lower=0)
        obs = pd.DataFrame({"perturbation": names}, index=[f"c{i}" for i in range(len(names))])
        adata = ad.AnnData(values.to_numpy(dtype=np.float32), obs=obs, var=pd.DataFrame(index=values.columns))
        return adata[:, measured].copy()

    @staticmethod
    def edges_of(weights) -> pd.DataFrame:
        """The table of the weights that are not 0."""
        edges = weights.rename_axis("source").reset_index().melt("source", var_name="target", value_name="weight")
        return edges[edges["weight"] != 0].reset_index(drop=True)

    @staticmethod
    def value_of(figures, method, metric, **where) -> pd.Series:
        """The one row of a method and a metric."""
        rows = figures[(figures["method"] == method) & (figures["metric"] == metric)]
        for column, wanted in where.items():
            rows = rows[rows[column] == wanted]
        assert len(rows) == 1
        return rows.iloc[0]


@pytest.fixture(scope="session")
def screens() -> Screens:
    return Screens()
