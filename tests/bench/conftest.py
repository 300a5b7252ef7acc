"""Small references with known properties, shared by the tests of the benchmark."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest

from grn.bench import Reference
from grn.genes import tables


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
    found: dict[str, list[tuple[tuple[str, str], ...]]] = {"one2one": [], "one2many": [], "many2many": []}
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
