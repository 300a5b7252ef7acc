"""Simulated cells with expression and open chromatin, and the genome that explains them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from grn._core import checks
from grn._core.errors import ParameterError
from grn._core.logging import root_left_alone
from grn._core.rng import RNGLike, child, sample_names, seed_of
from grn.datasets._toy import assemble, check_groups, check_share, check_sizes, counts_of, names_of
from grn.genome import Motifs, jaspar

if TYPE_CHECKING:
    from mudata import MuData

# regulators whose motifs are unlike each other, taken first
_FIRST = ("SPI1", "CEBPA", "EBF1", "RUNX1", "IRF1", "NFE2", "KLF1", "HNF4A", "TP53", "STAT3", "MEF2C", "PAX5")
_GENIC = np.array([0.29, 0.21, 0.21, 0.29])
_SPACING, _WIDTH, _REACH = 20_000, 400, 30_000
_CHROMOSOMES = 2
# regions around a gene, which have to find room
_MOST = 12
# spread of the mean activity of a regulator over groups: what makes regulators of one group alike
_LEVEL = 1.2
_SIGNAL, _NOISE = 0.8, 0.4
# log of accessibility where a region is closed
_CLOSED = -1.5
_NEGATIVE = 0.3
# share of regions that bear a motif and do nothing
_IDLE = 0.5


@dataclass(frozen=True)
class _Region:
    """A region, what is planted in it, and what it does."""

    name: str
    chrom: str
    start: int
    sources: tuple[str, ...]
    signs: tuple[float, ...]  # of the sources on the region
    target: str  # "" for none
    sign: float  # of the region on its target
    groups: tuple[int, ...]  # in which it is open


def toy_multiome(
    *,
    n_cells: int = 600,
    n_regulators: int = 8,
    n_targets: int = 40,
    n_groups: int = 2,
    regions_per_gene: int = 5,
    signed: bool = True,
    specific: float = 0.3,
    dropout: float = 0.0,
    rng: RNGLike = 0,
) -> MuData:
    r"""Simulate paired expression and open chromatin in which regulators act on genes through regions.

    Genes lie 20 000 bases apart on two chromosomes of random sequence. Around each lie ``regions_per_gene`` regions of
    400 bases, the first on its start unless one of a neighbour lies there, the others up to 30 000 bases away. In every
    region motifs of one or two regulators are planted, words drawn from their matrices in JASPAR. Half of the regions
    are idle: no regulator changes them, and they change no gene. The others act on one gene: that whose start is
    nearest, or the second nearest, with equal chances, so that neither a motif nor a distance is enough. With z the
    activity of a regulator in a cell, as in :func:`toy` (with a deviation of 1.2 between groups, which makes the
    regulators of a group alike), and h the state of a region,

    .. math:: h_{pc} = o_{pc}\Big(\sum_r s_{rp} w_{rp} z_{rc} + 0.4\, e_{pc}\Big), \qquad
              \log a_{pc} = \mu_p + h_{pc} - 1.5\,(1 - o_{pc}), \qquad
              \log x_{gc} = \mu_g + \sum_p s_{pg} w_{pg} h_{pc} + 0.4\, e_{gc},

    where o is 1 in the groups in which a region is open and 0 in others, s are signs, and squared weights w sum to
    0.64. Counts are Poisson with a depth per cell and modality.

    Parameters
    ----------
    n_cells
        Number of cells, measured in both modalities.
    n_regulators
        Number of regulators, human transcription factors with a motif in JASPAR.
    n_targets
        Number of targets, human genes that are no regulators.
    n_groups
        Number of groups of cells, in which regulators differ in mean activity.
    regions_per_gene
        Number of regions around each target, up to 12.
    signed
        Whether about 30 % of the regulators close a region, and 30 % of the regions repress; else all activate.
    specific
        Probability (0 to 1) that a region is open in one group only.
    dropout
        Probability (0 to below 1) that a count is lost, in both modalities.
    rng
        Seed, generator or ``None``. Randomness is keyed by the names of genes and regions.

    Returns
    -------
    MuData
        ``"rna"``: as :func:`toy` gives it. ``"atac"``: ``X`` counts (CSR float32, regions named ``chr1:1000-1400``),
        ``var`` with ``chrom, start, end``. Both have ``obs["group"]``. In ``uns``: ``genome`` (dict from chromosomes to
        bases), ``starts`` (as :func:`grn.genome.starts` gives them), ``regulators`` (names) and ``truth``, a DataFrame
        ``source, region, target, source_sign`` (of the regulator on the region), ``region_sign`` (of the region on the
        target), ``sign`` (their product) and ``group``, one row per triplet and group in which it acts; ``planted``, a
        DataFrame ``source, region`` of all planted motifs, idle ones too.

    Raises
    ------
    ParameterError
        If a number is out of range.

    Examples
    --------
    >>> import grn.datasets
    >>> mdata = grn.datasets.toy_multiome(n_cells=50, n_regulators=3, n_targets=6)
    >>> mdata["rna"].shape, mdata["atac"].shape
    ((50, 9), (50, 30))
    >>> mdata.uns["truth"].columns.tolist()
    ['source', 'region', 'target', 'source_sign', 'region_sign', 'sign', 'group']
    """
    sizes = {"n_cells": n_cells, "n_regulators": n_regulators, "n_targets": n_targets, "n_groups": n_groups}
    check_sizes(sizes)
    checks.integer("regions_per_gene", regions_per_gene, least=1, most=_MOST)
    check_groups(n_groups, n_cells)
    check_share("dropout", dropout)
    check_share("specific", specific, below=False)
    seed = seed_of(rng)
    motifs = _motifs(n_regulators)
    regulators = [listed[0] for listed in motifs.factors]
    starts = _starts(seed, names_of(1, n_targets)[1])
    regions = _regions(seed, starts, regulators, regions_per_gene, n_groups, signed=signed, specific=specific)
    group = np.arange(n_cells) % n_groups
    activity = _activity(seed, regulators, group)
    state = {region.name: _state(seed, region, activity, group) for region in regions}
    rna = _expression(seed, starts["gene"].tolist(), regions, activity, state, group, dropout)
    atac = _accessibility(seed, regions, state, group, dropout, rna.obs)
    return _together(rna, atac, _genome(seed, regions, motifs, starts), starts, regions, regulators)


def _motifs(n: int) -> Motifs:
    """One motif per regulator, the most telling of those that are its alone."""
    listed = jaspar()
    row_of: dict[str, int] = {}
    information = np.array([_information(counts) for counts in listed.counts])
    for row in np.argsort(-information, kind="stable").tolist():
        if len(listed.factors[row]) == 1:
            row_of.setdefault(listed.factors[row][0], row)
    more = sorted(set(row_of) - set(_FIRST))
    if n > len(row_of):
        raise ParameterError(f"n_regulators={n}; there are {len(row_of)} regulators with a motif of their own.")
    chosen = [*_FIRST[:n], *(more[i] for i in sample_names(more, max(0, n - len(_FIRST)), 0))]
    rows = [row_of[name] for name in chosen]
    return Motifs(*(tuple(part[row] for row in rows) for part in (listed.names, listed.counts, listed.factors)))


def _information(counts: np.ndarray) -> float:
    """How much a motif tells, in bits."""
    share = counts / counts.sum(axis=1, keepdims=True)
    return float((share * np.log2(np.maximum(share, 1e-9) / _GENIC)).sum())


def _starts(seed: int, targets: list[str]) -> pd.DataFrame:
    """Genes along the chromosomes."""
    rows = []
    for number, gene in enumerate(sorted(targets)):
        random = child(seed, "start", gene)
        place = 2 * _REACH + (number // _CHROMOSOMES) * _SPACING + int(random.integers(_SPACING // 4))
        rows.append((f"chr{number % _CHROMOSOMES + 1}", place, "+-"[int(random.integers(2))], gene))
    table = pd.DataFrame(rows, columns=["chrom", "position", "strand", "gene"])
    return table.sort_values(["chrom", "position"], ignore_index=True)


def _regions(
    seed: int,
    starts: pd.DataFrame,
    regulators: list[str],
    per_gene: int,
    n_groups: int,
    *,
    signed: bool,
    specific: float,
) -> list[_Region]:
    taken: dict[str, list[int]] = {}
    regions = []
    for chrom, position, gene in starts[["chrom", "position", "gene"]].itertuples(index=False):
        for number in range(per_gene):
            random = child(seed, "region", gene, str(number))
            start = _free(position, number, taken.setdefault(chrom, []), random)
            taken[chrom].append(start)
            sources = [regulators[i] for i in sample_names(regulators, 1 + int(random.random() < 0.3), _seed(random))]
            near = _nearest(starts, chrom, start + _WIDTH // 2)
            idle, second = random.random() < _IDLE, random.random() < 0.5
            target = "" if idle else near[-1 if second else 0]
            signs = np.where((random.random(3) < _NEGATIVE) & signed, -1.0, 1.0)
            alone = random.random() < specific
            groups = (int(random.integers(n_groups)),) if alone else tuple(range(n_groups))
            of_sources = tuple(signs[: len(sources)].tolist())
            name = f"{chrom}:{start}-{start + _WIDTH}"
            regions.append(_Region(name, chrom, start, tuple(sources), of_sources, target, float(signs[2]), groups))
    return sorted(regions, key=lambda region: (region.chrom, region.start))


def _free(position: int, number: int, taken: list[int], random: np.random.Generator) -> int:
    """Where a region begins: on the start for the first one, and clear of the others."""
    start = position - _WIDTH // 2 if number == 0 else position + int(random.integers(-_REACH, _REACH))
    while any(abs(start - other) < 2 * _WIDTH for other in taken):
        start = position + int(random.integers(-_REACH, _REACH))
    return start


def _nearest(starts: pd.DataFrame, chrom: str, place: int) -> list[str]:
    """The two genes that start nearest to a place."""
    there = starts[starts["chrom"] == chrom]
    return (
        there["gene"].to_numpy()[np.argsort(np.abs(there["position"].to_numpy() - place), kind="stable")[:2]].tolist()
    )


def _activity(seed: int, regulators: list[str], group: np.ndarray) -> dict[str, np.ndarray]:
    made = {}
    for name in regulators:
        level = np.array([child(seed, "level", name, str(k)).normal(0.0, _LEVEL) for k in range(group.max() + 1)])
        made[name] = level[group] + child(seed, "cells", name).normal(size=len(group))
    return made


def _state(seed: int, region: _Region, activity: dict[str, np.ndarray], group: np.ndarray) -> np.ndarray:
    """H of a region in every cell: 0 where it is closed, noise alone where it is idle."""
    weights = _weights(child(seed, "weight", region.name), len(region.sources))
    driven = sum(
        sign * weight * activity[source]
        for source, sign, weight in zip(region.sources, region.signs, weights, strict=True)
    )
    noise = _NOISE * child(seed, "cells", region.name).normal(size=len(group))
    state: np.ndarray = np.isin(group, region.groups) * (driven * bool(region.target) + noise)
    return state


def _weights(random: np.random.Generator, n: int) -> np.ndarray:
    strength = random.uniform(0.5, 1.5, size=n)
    weights: np.ndarray = _SIGNAL * strength / np.sqrt((strength**2).sum())
    return weights


def _expression(
    seed: int,
    targets: list[str],
    regions: list[_Region],
    activity: dict[str, np.ndarray],
    state: dict[str, np.ndarray],
    group: np.ndarray,
    dropout: float,
) -> AnnData:
    rates = {name: _SIGNAL * values for name, values in activity.items()}
    for gene in targets:
        mine = [region for region in regions if region.target == gene]
        weights = _weights(child(seed, "weight", gene), len(mine))
        rates[gene] = _NOISE * child(seed, "cells", gene).normal(size=len(group))
        for region, weight in zip(mine, weights, strict=True):
            rates[gene] = rates[gene] + region.sign * weight * state[region.name]
    table = pd.DataFrame({name: values + child(seed, "base", name).normal(2.0, 0.5) for name, values in rates.items()})
    return assemble(counts_of(seed, table, dropout), table.columns, group, len(activity))


def _accessibility(
    seed: int,
    regions: list[_Region],
    state: dict[str, np.ndarray],
    group: np.ndarray,
    dropout: float,
    obs: pd.DataFrame,
) -> AnnData:
    rates = {}
    for region in regions:
        closed = ~np.isin(group, region.groups)
        base = child(seed, "base", region.name).normal(0.0, 0.5)
        rates[region.name] = base + state[region.name] + _CLOSED * closed
    counts = counts_of(int(child(seed, "atac").integers(2**32)), pd.DataFrame(rates), dropout)
    var = pd.DataFrame(
        {
            "chrom": [region.chrom for region in regions],
            "start": [region.start for region in regions],
            "end": [region.start + _WIDTH for region in regions],
        },
        index=[region.name for region in regions],
    )
    return AnnData(X=sparse.csr_matrix(counts), obs=obs.copy(), var=var)


def _genome(seed: int, regions: list[_Region], motifs: Motifs, starts: pd.DataFrame) -> dict[str, str]:
    """Random bases, with words of the motifs in the regions, on either strand."""
    of_source = {listed[0]: counts for listed, counts in zip(motifs.factors, motifs.counts, strict=True)}
    genome = {}
    for chrom, table in starts.groupby("chrom"):
        length = int(table["position"].max()) + 2 * _REACH
        bases = child(seed, "bases", str(chrom)).choice(4, size=length, p=_GENIC)
        for region in regions:
            if region.chrom == chrom:
                for number, source in enumerate(region.sources):
                    random = child(seed, "word", region.name, source)
                    word = _word(of_source[source], random)
                    # each source has a part of the region to itself
                    room = _WIDTH // len(region.sources)
                    at = region.start + number * room + int(random.integers(room - len(word)))
                    bases[at : at + len(word)] = word
        genome[str(chrom)] = "".join(np.array(list("ACGT"))[bases])
    return genome


def _word(counts: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Bases drawn from the columns of a motif, on a random strand."""
    shares = np.cumsum(counts / counts.sum(axis=1, keepdims=True), axis=1)
    word = np.minimum((random.random((len(shares), 1)) > shares).sum(axis=1), 3)
    return 3 - word[::-1] if random.random() < 0.5 else word


def _together(
    rna: AnnData,
    atac: AnnData,
    genome: dict[str, str],
    starts: pd.DataFrame,
    regions: list[_Region],
    regulators: list[str],
) -> MuData:
    from mudata import MuData, set_options

    labels = rna.obs["group"].cat.categories
    rows = [
        (source, region.name, region.target, sign, region.sign, sign * region.sign, labels[k])
        for region in regions
        if region.target
        for source, sign in zip(region.sources, region.signs, strict=True)
        for k in region.groups
    ]
    columns = ["source", "region", "target", "source_sign", "region_sign", "sign", "group"]
    with root_left_alone(), set_options(pull_on_update=False):
        mdata = MuData({"rna": rna, "atac": atac})
    mdata.obs["group"] = rna.obs["group"]
    mdata.uns["genome"] = genome
    mdata.uns["starts"] = starts
    mdata.uns["regulators"] = np.array(regulators, dtype=object)
    mdata.uns["truth"] = pd.DataFrame(rows, columns=columns)
    planted = [(source, region.name) for region in regions for source in region.sources]
    mdata.uns["planted"] = pd.DataFrame(planted, columns=["source", "region"])
    return mdata


def _seed(random: np.random.Generator) -> int:
    return int(random.integers(2**32))
