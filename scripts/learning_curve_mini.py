"""Learning curves and designs of ``mini`` on its training labels, hESC, for docs/models/mini_notebook.md.

    python scripts/learning_curve_mini.py --data DATA           # everything
    python scripts/learning_curve_mini.py --data DATA --only curve

DATA is a folder with ``expression/``, ``profiles/`` and ``beeline/``. States are made once, and every finished refit is
kept in the folder ``--cache``, so that a stopped run goes on. The figures are AUPRC on the edges of BEELINE's hESC
against degree-matched non-edges (chance is .5): choices were made on them, so they are no test.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import matplotlib as mpl
import numpy as np
import platformdirs
import pretrain_mini as training
import torch
from mini_designs import COLUMNS, NETWORKS, Design, Question, StoredStates, network_of, pooled, read, scored, table_of
from torch import Tensor

import grn
from grn._core.markdown import markdown_table
from grn._core.rng import child
from grn.models._memory_fit import Table
from grn.models.memory import MemoryNetwork

CELLS, BOTH, PROFILES = "cells", "cells and all profiles", "profiles"
SIZES = {CELLS: (2, 5, 10, 20, 40), BOTH: (0, 5, 20), PROFILES: (2, 5)}
DRAWS = 2
RIDGES = (3.0, 10.0, 30.0, 100.0)
NO_TABLE = "states themselves: co-variation pooled, no table"
# how a design differs from that of the weights in the package, and how it is read
DESIGNS: dict[str, tuple[dict[str, object], dict[str, object]]] = {
    "the weights in the package": ({}, {}),
    "no families": ({"families": False}, {}),
    "singular values as they are": ({"power": 1.0}, {}),
    "all singular values equal": ({"power": 0.0}, {}),
    "genes keep their variance": ({"equal": False}, {}),
    "the table as it is: families, power and equal variance left out": (
        {"power": 1.0, "equal": False, "families": False},
        {},
    ),
    "rank 32": ({"rank": 32}, {}),
    "rank 64": ({"rank": 64}, {}),
    "rank 160": ({"rank": 160}, {}),
    "rank 192, of a table of rank 192": ({"rank": 192, "table_rank": 192}, {}),
    "genes that a data set lacks are at their mean: one round": ({"rounds": 1}, {}),
    "a file of profiles counts like one data set": ({"profile_weight": 1.0}, {}),
    "a file of profiles counts like 16 data sets": ({"profile_weight": 16.0}, {}),
    "one Gaussian, straight answers: $b$ to 0": ({}, {"read": "factors"}),
    "$b$ = .03": ({"precision": 0.03}, {}),
    "$b$ = .3": ({"precision": 0.3}, {}),
    "$b$ = 1": ({"precision": 1.0}, {}),
    "derivative, not centred": ({}, {"centred": False}),
    "response (VVP)": ({}, {"read": "response"}),
    "response (VVP), not centred": ({}, {"read": "response", "centred": False}),
    "derivative at -2 alone": ({}, {"read": "-2"}),
    "derivative at .5 alone": ({}, {"read": "0.5"}),
    "derivative at 4 alone": ({}, {"read": "4"}),
}


@dataclass
class Finished:
    """Finished rows in a file of JSON, one line each.

    Parameters
    ----------
    path
        The file.
    """

    path: Path
    rows: dict[str, dict[str, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.path.is_file():
            self.rows = dict(json.loads(line) for line in self.path.read_text().splitlines())

    def row(self, key: Sequence[object], make: Callable[[], dict[str, float]]) -> dict[str, float]:
        """A row by what it depends on, made if it is not there."""
        name = json.dumps(key)
        if name not in self.rows:
            start = time.perf_counter()
            self.rows[name] = make()
            with self.path.open("a") as file:
                file.write(json.dumps([name, self.rows[name]]) + "\n")
            print(f"{time.perf_counter() - start:6.1f} s  {name[:150]}", flush=True)
        return self.rows[name]


@dataclass
class Study:
    """Everything a row is made from.

    Parameters
    ----------
    corpus
        States of all data sets.
    question
        Pairs of hESC.
    finished
        Rows that need not be made again.
    """

    corpus: StoredStates
    question: Question
    finished: Finished
    _tables: dict[str, tuple[Table, list[str]]] = field(default_factory=dict)

    def areas(self, names: Sequence[str], design: Design, **reading: object) -> dict[str, float]:
        """AUPRC of a design on some data sets, and how many genes of hESC they have."""

        def make() -> dict[str, float]:
            table, genes = self.table(names, design)
            network = network_of(table, genes, design)
            return {**self.question.areas(scored(network, genes, **reading)), "known": self.question.known(genes)}

        return self.finished.row([sorted(names), asdict(design), reading], make)

    def table(self, names: Sequence[str], design: Design) -> tuple[Table, list[str]]:
        """Table and genes of a design; the last is kept, as several designs share it."""
        key = json.dumps([sorted(names), design.table_rank, design.rounds, design.profile_weight])
        if key not in self._tables:
            self._tables.clear()
            self._tables[key] = table_of(self.corpus, names, design)
        return self._tables[key]


def drawn(study: Study) -> Iterator[tuple[str, int, list[str]]]:
    """Kind, number and names of data sets of every point of the curve; larger draws contain smaller ones."""
    profiles, cells = sorted(study.corpus.profiles), study.corpus.cells
    for draw in range(DRAWS):
        for kind, sizes in SIZES.items():
            pool, beside = (profiles, []) if kind == PROFILES else (cells, profiles if kind == BOTH else [])
            order = sorted(pool, key=lambda name, draw=draw: child(draw, "curve", name).random())
            for size in (len(pool), *sizes):
                if draw == 0 or 0 < size < len(pool):
                    yield kind, size, [*order[:size], *beside]


def curve(study: Study) -> dict[tuple[str, bool, int], list[dict[str, float]]]:
    """Rows of all draws by kind, families and number of data sets."""
    points: dict[tuple[str, bool, int], list[dict[str, float]]] = {}
    for kind, size, names in drawn(study):
        for families in (True, False):
            points.setdefault((kind, families, size), []).append(study.areas(names, Design(families=families)))
    return points


def curve_table(points: dict[tuple[str, bool, int], list[dict[str, float]]]) -> str:
    """Means over draws, with their range where there are several."""
    rows = []
    for (kind, families, size), made in sorted(
        points.items(), key=lambda point: (list(SIZES).index(point[0][0]), point[0][2])
    ):
        cells = [
            f"{np.mean(values):.3f}" + (f" ({min(values):.3f}-{max(values):.3f})" if len(values) > 1 else "")
            for values in ([row[column] for row in made] for column in COLUMNS)
        ]
        rows.append([kind, size, "yes" if families else "no", f"{np.mean([row['known'] for row in made]):.0f}", *cells])
    return markdown_table(["data sets", "number", "families", "genes of hESC known", *COLUMNS], rows)


def draw_curve(points: dict[tuple[str, bool, int], list[dict[str, float]]], path: Path) -> None:
    """A panel per network: AUPRC against the number of data sets of cells, with and without profiles and families."""
    mpl.use("Agg")
    import matplotlib.pyplot as plt

    sizes = sorted({size for kind, _, size in points if kind != PROFILES})
    figure, axes = plt.subplots(1, len(NETWORKS), figsize=(7.4, 3.1), layout="constrained", sharex=True)
    for ax, network in zip(axes, NETWORKS, strict=True):
        for kind, color in ((BOTH, "#1B6CA8"), (CELLS, "#C4622D")):
            for families in (True, False):
                known = [size for size in sizes if (kind, families, size) in points]
                values = [[row[f"{network}, all"] for row in points[kind, families, size]] for size in known]
                at = [sizes.index(size) for size in known]
                words = kind.replace("all profiles", "13 profiles") + ("" if families else ", no families")
                look = {"color": color, "linestyle": "-" if families else (0, (3, 1.5)), "linewidth": 1.4}
                ax.plot(at, [np.mean(v) for v in values], marker="o", markersize=3.5, label=words, **look)
                ax.vlines(at, [min(v) for v in values], [max(v) for v in values], color=color, linewidth=0.8, alpha=0.6)
        ax.axhline(0.5, color="#8A8A8A", linewidth=0.8, linestyle=":")
        ax.set_xticks(range(len(sizes)), sizes)
        ax.set_xlabel("data sets of cells")
        ax.set_title({"Non-Specific": "non-specific ChIP-seq"}.get(network, network), fontsize=10, loc="left")
        ax.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("AUPRC on hESC (chance .5)")
    axes[0].legend(frameon=False, fontsize=7.5, loc="lower right")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def choices(study: Study) -> str:
    """Designs with all data sets, and the shipped design read in other ways."""
    names = list(study.corpus.states)
    # those that share a table follow each other
    order = sorted(DESIGNS, key=lambda name: sorted({"rounds", "profile_weight", "table_rank"} & set(DESIGNS[name][0])))
    rows = {}
    for name in order:
        design, reading = DESIGNS[name]
        rows[name] = study.areas(names, replace(Design(), **design), **reading)
    rows[NO_TABLE] = study.finished.row(
        [sorted(names), "pooled"], lambda: study.question.areas(pooled(study.corpus, names))
    )
    shown = [[name, *rounded(rows[name], COLUMNS)] for name in (NO_TABLE, *DESIGNS)]
    return markdown_table(["design", *COLUMNS], shown)


class Ridge:
    """Masked values by factor scores: ridge regression of the values shown on the factors of their genes.

    Parameters
    ----------
    factors
        Gene factors (G, d).
    ridge
        Penalty.
    """

    def __init__(self, factors: np.ndarray, ridge: float) -> None:
        self.factors, self.ridge = torch.as_tensor(factors), ridge

    def __call__(self, genes: Tensor, values: Tensor, queries: Tensor) -> Tensor:
        """Predicted values (B, R)."""
        e = self.factors[genes]
        gram = e.T @ e + self.ridge * torch.eye(e.shape[1])
        return torch.linalg.solve(gram, values @ e, left=False) @ self.factors[queries].T


def masked(study: Study, data: Path) -> str:
    """Share of the variance of masked values that each design explains, beside the nearest cells."""
    cells = training.corpus(data)
    table, genes = study.table(list(study.corpus.states), Design())
    plain = table.genes / np.sqrt(np.square(table.genes).sum(axis=1).mean())
    pairs = list(zip(cells.train, cells.held, strict=True))
    bare = network_of(table, genes, Design(power=1.0, equal=False, families=False))
    factors = grn.models.load("mini").network.embedding.detach().numpy()
    networks: dict[str, MemoryNetwork | Ridge] = {
        "`mini`": grn.models.load("mini").network,
        "memory of the table as it is": training.calibrated(bare, pairs),
        "ridge on the gene factors of `mini`": best(factors, pairs),
        "ridge on the table as it is": best(plain, pairs),
    }
    kinds = {"held_out_cells": "held-out cells", "held_out_sets": "data sets never seen"}
    rows = []
    for name, network in networks.items():
        made = study.finished.row(["masked", name], lambda network=network: training.figures(network, cells))
        if not rows:
            rows.append(["nearest cells", *(f"{made[kind]['r2_neighbors']:.3f}" for kind in kinds)])
        rows.append([name, *(f"{made[kind]['r2_model']:.3f}" for kind in kinds)])
    return markdown_table(["prediction", *(f"R², {words}" for words in kinds.values())], rows)


def best(factors: np.ndarray, pairs: list[tuple[object, object]]) -> Ridge:
    """The ridge that predicts masked values of held-out cells best, as crowding and gain of a memory are chosen."""

    def error(ridge: float) -> float:
        truth, guess = training.masked_values(Ridge(factors, ridge), pairs)
        return float(np.square(truth - guess).sum())

    return Ridge(factors, min(RIDGES, key=error))


def rounded(row: dict[str, float], columns: Iterable[str]) -> list[str]:
    """Figures of a row as tables show them."""
    return [f"{row[column]:.3f}" for column in columns]


def main() -> None:
    """Refit, score, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("docs/models/notebook"))
    parser.add_argument("--cache", type=Path, default=platformdirs.user_cache_path("grn") / "mini")
    parser.add_argument("--only", choices=("curve", "designs", "masked"), default=None)
    args = parser.parse_args()
    corpus = read(args.data, args.cache / "states.npz")
    study = Study(corpus, Question(corpus.genes, args.data), Finished(args.cache / "rows.jsonl"))
    args.out.mkdir(parents=True, exist_ok=True)
    if args.only in (None, "designs"):
        (args.out / "designs.md").write_text(choices(study) + "\n", encoding="utf-8")
    if args.only in (None, "masked"):
        (args.out / "masked.md").write_text(masked(study, args.data) + "\n", encoding="utf-8")
    if args.only in (None, "curve"):
        points = curve(study)
        (args.out / "curve.md").write_text(curve_table(points) + "\n", encoding="utf-8")
        draw_curve(points, args.out / "curve.png")


if __name__ == "__main__":
    main()
