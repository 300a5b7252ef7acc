"""Simulated cells on a branching course, by a stochastic gene circuit with feedback."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from anndata import AnnData

from grn._core import checks
from grn._core.errors import ParameterError
from grn._core.rng import RNGLike, child, sample_names, seed_of
from grn.datasets._langevin import Circuit, simulate
from grn.datasets._toy import assemble, check_groups, check_share, check_sizes, counts_of, names_of, planted

_COLUMNS = ["source", "target", "weight", "sign"]
# of the first four regulators, by position: a factor of the start, one that it makes rise and that represses it, and
# two that repress each other, the switch
_CORE = ((1, 0, -0.9), (0, 1, 0.95), (1, 2, 0.95), (3, 2, -0.98), (1, 3, 0.95), (2, 3, -0.98))
_CORE_DECAY = (0.4, 0.4, 1.0, 1.0)
_SWITCH = (2, 3)
_CORE_THRESHOLD, _SWITCH_THRESHOLD = 0.35, 0.3
_LINEAGES = ("lineage_1", "lineage_2")
# a branch begins where one side of the switch is this much above the other
_APART = 0.35
_END = 12.0
_COMPONENTS = 10
# cells of every knock-out over which its response is averaged
_RESPONSE_CELLS = 200
_LEAST = 1e-3


def toy_dynamics(
    *,
    n_cells: int = 300,
    n_regulators: int = 8,
    n_targets: int = 22,
    n_groups: int = 3,
    n_knockout_cells: int = 0,
    molecules: float = 25.0,
    dropout: float = 0.1,
    prior_precision: float = 0.5,
    rng: RNGLike = 0,
) -> AnnData:
    r"""Simulate cells that leave a common start and end in one of two lineages, by a circuit with feedback.

    The level x of a gene g follows the chemical Langevin equation

    .. math:: dx_g = \delta_g \big(f_g(x) - x_g\big) dt + \sqrt{\delta_g \big(f_g(x) + x_g\big) / m}\; dB_g, \qquad
              f_g(x) = \prod_{r \to g} \begin{cases} 1 - w_{rg} + w_{rg}\, h_{rg}(x_r) & \text{activation} \\
              1 - |w_{rg}|\, h_{rg}(x_r) & \text{repression} \end{cases}

    with ``h(x) = x^n / (x^n + K^n)`` (n = 2, 4 within the switch; K from 0.25 to 0.5), decay :math:`\delta` and m
    molecules at level 1. The first regulator is high at the start; the second follows it and represses it (negative
    feedback), and switches on the third and the fourth, which repress each other (a toggle switch): noise decides who
    wins, which is the lineage. Later regulators follow one to three earlier ones, targets one to three of all. Cells
    are sampled at times from 0 to 12, each from a course of its own. Counts are Poisson around the level, times the
    size of the gene and the depth of the cell.

    Parameters
    ----------
    n_cells
        Number of cells without knock-out.
    n_regulators
        Number of regulators, real human transcription factors, at least 4; they are targets too.
    n_targets
        Number of targets that are no regulators.
    n_groups
        Number of stages, equal parts of time with equally many cells.
    n_knockout_cells
        Number of cells of every knock-out, sampled over the course as well; 0 for none.
    molecules
        Molecules at level 1, above 0: the fewer, the noisier.
    dropout
        Probability (0 to below 1) that a count is lost.
    prior_precision
        Share of true edges (above 0 to 1) in the prior, as far as there are false ones to add.
    rng
        Seed, generator or ``None``. Randomness is keyed by gene name, so adding targets leaves the others as they are
        (up to normalisation).

    Returns
    -------
    AnnData
        ``X`` log1p of counts per 10 000 (CSR float32), ``layers["counts"]``; ``obs["time"]`` (true time),
        ``obs["group"]`` (stage), ``obs["lineage"]`` (where the cell ends), ``obs["branch"]`` (``"trunk"`` as long as
        the switch is open, then the lineage), ``obs["perturbation"]`` (``"control"`` or the gene that is lost);
        ``obsm["X_pca"]`` (principal components of ``X``); ``var["is_regulator"]``, ``var["decay"]``. In ``uns``:
        ``truth`` (DataFrame ``source, target, weight, sign``), ``base_grn`` (DataFrame ``source, target``: every edge,
        and false ones) and ``knockouts`` (DataFrame, a row per lost regulator, a column per gene): the change of the
        mean of log1p of expression at the end of the course, over 200 other cells that lack the regulator from the
        start on, on the scale of ``X`` and without counting noise.

    Raises
    ------
    ParameterError
        If a number is out of range.

    See Also
    --------
    toy_perturbation : Knock-outs over time, linear.

    Examples
    --------
    >>> import grn.datasets
    >>> adata = grn.datasets.toy_dynamics(n_cells=50, n_regulators=4, n_targets=5)
    >>> adata.shape, sorted(adata.obs["lineage"].unique())
    ((50, 9), ['lineage_1', 'lineage_2'])
    >>> adata.uns["knockouts"].shape
    (4, 9)
    """
    sizes = {"n_cells": n_cells, "n_regulators": n_regulators, "n_targets": n_targets, "n_groups": n_groups}
    check_sizes(sizes)
    check_groups(n_groups, n_cells)
    if n_regulators < len(_CORE_DECAY):
        raise ParameterError(
            f"n_regulators={n_regulators}; pass at least {len(_CORE_DECAY)}, which make the branching."
        )
    if n_knockout_cells != 0:
        check_sizes({"n_knockout_cells": n_knockout_cells})
    checks.number("molecules", molecules, above=0)
    checks.number("prior_precision", prior_precision, above=0, most=1)
    check_share("dropout", dropout)
    seed = seed_of(rng)
    regulators, targets = names_of(n_regulators, n_targets)
    truth, circuit = _circuit(seed, regulators, targets)
    lost = {"control": n_cells, **(dict.fromkeys(regulators, n_knockout_cells) if n_knockout_cells else {})}
    parts = [_cells(seed, circuit, label, n, n_groups, molecules) for label, n in lost.items()]
    size = np.array([child(seed, "size", name).lognormal(2.5, 0.5) for name in circuit.genes])
    adata = _measured(seed, parts, size, circuit, dropout, n_regulators)
    adata.obs["perturbation"] = pd.Categorical(adata.obs["perturbation"], categories=list(lost))
    adata.uns["truth"] = truth
    adata.uns["knockouts"] = _responses(seed, circuit, regulators, size, molecules)
    adata.uns["base_grn"] = _prior(seed, truth, regulators, prior_precision)
    return adata


def _circuit(seed: int, regulators: list[str], targets: list[str]) -> tuple[pd.DataFrame, Circuit]:
    """Planted edges, and the circuit that they make."""
    n_core, genes = len(_CORE_DECAY), [*regulators, *targets]
    core = [(regulators[source], regulators[target], weight, np.sign(weight)) for source, target, weight in _CORE]
    parts = [pd.DataFrame(core, columns=_COLUMNS)]
    parts += [_edges(seed, genes[k], regulators[: min(k, len(regulators))]) for k in range(n_core, len(genes))]
    truth = pd.concat(parts, ignore_index=True)
    pairs = list(zip(truth["source"], truth["target"], strict=True))
    threshold = np.array([child(seed, "threshold", *pair).uniform(0.25, 0.5) for pair in pairs])
    switch = np.array([{source, target} == set(_SWITCH) for source, target, _ in _CORE])
    threshold[: len(_CORE)] = np.where(switch, _SWITCH_THRESHOLD, _CORE_THRESHOLD)
    spread = [(0.0, 0.3)] * len(regulators) + [(0.5, 0.4)] * len(targets)
    decay = np.array([child(seed, "decay", gene).lognormal(*of) for gene, of in zip(genes, spread, strict=True)])
    decay[:n_core] = _CORE_DECAY
    place = pd.Index(genes)
    circuit = Circuit(
        genes=tuple(genes),
        decay=decay,
        start=np.zeros(len(genes)),
        source=place.get_indexer(truth["source"]),
        target=place.get_indexer(truth["target"]),
        strength=truth["weight"].to_numpy(),
        threshold=threshold,
        steep=np.r_[switch, np.zeros(len(truth) - len(_CORE), dtype=bool)],
    )
    return truth, replace(circuit, start=_start(circuit, len(regulators)))


def _edges(seed: int, target: str, regulators: list[str]) -> pd.DataFrame:
    """Regulators of a gene, with shares of its production that they decide on."""
    table = planted(seed, target, regulators, signed=True)
    share = [child(seed, "strength", source, target).uniform(0.6, 0.95) for source in table["source"]]
    return table.assign(weight=table["sign"] * share)


def _start(circuit: Circuit, n_regulators: int) -> np.ndarray:
    """Levels at time 0: the first regulator alone, and what follows from it."""
    start = np.zeros(len(circuit.genes))
    start[0] = 1.0
    for _ in range(n_regulators):
        start[len(_CORE_DECAY) :] = circuit.activity(start)[len(_CORE_DECAY) :]
    return start


def _cells(
    seed: int, circuit: Circuit, label: str, n: int, n_groups: int, molecules: float
) -> tuple[np.ndarray, pd.DataFrame]:
    """Levels (n, G) of the cells of one knock-out, and their annotation."""
    times = _END * child(seed, "times", label).random(n)
    gene = None if label == "control" else circuit.genes.index(label)
    course = simulate(circuit, seed, label, times, end=_END, molecules=molecules, lost=[gene])
    ahead = course.sampled[0][:, _SWITCH[0]] - course.sampled[0][:, _SWITCH[1]]
    first = course.end[0][:, _SWITCH[0]] > course.end[0][:, _SWITCH[1]]
    lineage = np.where(first, *_LINEAGES)
    obs = pd.DataFrame(
        {
            "time": times,
            "stage": np.argsort(np.argsort(times, kind="stable"), kind="stable") * n_groups // n,
            "lineage": lineage,
            "branch": np.where((np.abs(ahead) > _APART) & ((ahead > 0) == first), lineage, "trunk"),
            "perturbation": label,
        },
        index=[f"cell_{k + 1}" if gene is None else f"{label}_{k + 1}" for k in range(n)],
    )
    return course.sampled[0], obs


def _measured(
    seed: int,
    parts: list[tuple[np.ndarray, pd.DataFrame]],
    size: np.ndarray,
    circuit: Circuit,
    dropout: float,
    n_regulators: int,
) -> AnnData:
    """Counts of the cells, with what is known of them."""
    level, obs = np.concatenate([levels for levels, _ in parts]), pd.concat([table for _, table in parts])
    rates = pd.DataFrame(np.log(np.maximum(level, _LEAST) * size), columns=pd.Index(circuit.genes))
    adata = assemble(counts_of(seed, rates, dropout), rates.columns, obs["stage"].to_numpy(), n_regulators)
    adata.obs_names = obs.index
    adata.obs["time"] = obs["time"]
    adata.obs["lineage"] = pd.Categorical(obs["lineage"], categories=_LINEAGES)
    adata.obs["branch"] = pd.Categorical(obs["branch"], categories=["trunk", *_LINEAGES])
    adata.obs["perturbation"] = obs["perturbation"]
    adata.obsm["X_pca"] = _components(adata.X.toarray())
    adata.var["decay"] = circuit.decay
    return adata


def _components(values: np.ndarray) -> np.ndarray:
    """Principal components of cells (N, 10 or less), the largest loading of each above 0."""
    centred = values.astype(np.float64) - values.mean(axis=0, dtype=np.float64)
    _, vectors = np.linalg.eigh(centred.T @ centred)
    vectors = vectors[:, ::-1][:, :_COMPONENTS]
    largest = np.abs(vectors).argmax(axis=0)
    components: np.ndarray = centred @ (vectors * np.sign(vectors[largest, np.arange(vectors.shape[1])]))
    return components


def _responses(seed: int, circuit: Circuit, regulators: list[str], size: np.ndarray, molecules: float) -> pd.DataFrame:
    """Change of mean expression at the end when a regulator is lost, a row per regulator."""
    worlds = [None, *range(len(regulators))]
    times = np.full(_RESPONSE_CELLS, _END)
    course = simulate(circuit, seed, "response", times, end=_END, molecules=molecules, lost=worlds)
    amount = course.end * size  # (W, n, G)
    # one scale for all worlds, as the share of a gene falls where another gene rises
    mean = np.log1p(amount * (1e4 / amount[0].sum(axis=1).mean())).mean(axis=1)  # (W, G)
    index = pd.Index(regulators, name="knockout")
    return pd.DataFrame(mean[1:] - mean[0], index=index, columns=pd.Index(circuit.genes))


def _prior(seed: int, truth: pd.DataFrame, regulators: list[str], precision: float) -> pd.DataFrame:
    """All edges, and false ones: each gene has as many of them as make the share of true ones what was asked."""
    parts = []
    for target, sources in truth.groupby("target", sort=False)["source"]:
        random = child(seed, "prior", str(target))
        others = [name for name in regulators if name != target and name not in set(sources)]
        n_false = min(int(len(sources) * (1 / precision - 1) + random.random()), len(others))
        chosen = sample_names(others, n_false, int(random.integers(2**32)))
        # in an order that does not tell which ones are true
        parts.append(pd.DataFrame({"source": sorted([*sources, *(others[k] for k in chosen)]), "target": target}))
    return pd.concat(parts, ignore_index=True)
