"""Are the probabilities of ``cells`` and ``universal`` what they say? Figure and tables of docs/methods/universal.md.

    python scripts/reliability_translators.py --data DATA

DATA is a folder with ``beeline/``. On hESC translators are fitted anew on half of the genes and read on pairs of the
other half, so that no tested pair shares a gene with a trained one. On the test sets those in the package are read,
by the protocol ``strict`` of the benchmark: no gene of hESC, nor an ortholog. Non-edges are degree-matched, one per
edge; one table asks about all pairs of hESC instead.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import platformdirs
from train_pair_translators import NETWORKS, PENALTY, columns, taken

import grn
from grn._core.markdown import markdown_table
from grn.bench.negatives import Sample, sample
from grn.bench.splits import split
from grn.methods.probes.side_information import COLUMNS
from grn.models.pair_translator import NAMES, PairTranslator, fitted

SPLITS = 5
TESTS = ("hHEP", "mDC", "mESC", "mHSC-E", "mHSC-GM", "mHSC-L")
BANDS = (0.0, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 1.0)
TITLES = {"STRING": "STRING", "Non-Specific": "non-specific ChIP-seq"}
Table = dict[str, np.ndarray]


def halves(references: dict[str, grn.bench.Reference], seed: int) -> Iterator[tuple[dict[str, np.ndarray], ...]]:
    """Masks to learn from and to ask about, by network: pairs within one half of the genes, then the other way."""
    made = {name: split(reference, by="both_genes", rng=seed) for name, reference in references.items()}
    train, test = ({name: getattr(s, f"{side}_mask") for name, s in made.items()} for side in ("train", "test"))
    yield train, test
    yield test, train


def fit(
    name: str, tables: dict[str, Table], samples: dict[str, Sample], background: str, model: grn.models.FoundationModel
) -> PairTranslator:
    """A translator on pairs of both networks, each with one weight, as those in the package."""
    parts, labels = zip(*(taken(tables[network], drawn) for network, drawn in samples.items()), strict=True)
    read = [column for column in parts[0] if name == "universal" or column not in COLUMNS]
    return fitted(
        name,
        {column: np.concatenate([part[column] for part in parts]) for column in read},
        np.concatenate(labels),
        weights=np.concatenate([np.full(len(truth), 1 / len(truth)) for truth in labels]),
        penalty=PENALTY,
        background=background,
        model=model,
        seen="half of the genes of hESC",
    )


def asked(translator: PairTranslator, table: Table, drawn: Sample) -> pd.DataFrame:
    """Pairs of a sample that the model knows with their probability."""
    values, _ = taken(table, drawn)
    known = ~np.isnan(np.stack([column[drawn.targets, drawn.sources] for column in table.values()])).any(axis=0)
    return drawn.pairs[known].assign(probability=translator.probability(values))


def held_out(references: dict[str, grn.bench.Reference]) -> dict[tuple[str, str, str], pd.DataFrame]:
    """Pairs of held-out genes of hESC by translator, network and kind of non-edges."""
    read = {name: columns(reference) for name, reference in references.items()}
    tables, background = {name: table for name, (table, _) in read.items()}, read[NETWORKS[0]][1]
    model = grn.models.load("mini")
    parts: dict[tuple[str, str, str], list[pd.DataFrame]] = {}
    for seed in range(SPLITS):
        for train, test in halves(references, seed):
            samples = {
                name: sample(reference, negatives="degree_matched", mask=train[name], rng=seed)
                for name, reference in references.items()
            }
            for name in NAMES:
                translator = fit(name, tables, samples, background, model)
                for network, reference in references.items():
                    for negatives in ("degree_matched", "all"):
                        drawn = sample(reference, negatives=negatives, mask=test[network], rng=seed)
                        pairs = asked(translator, tables[network], drawn)
                        parts.setdefault((name, network, negatives), []).append(pairs)
    return {key: pd.concat(part, ignore_index=True) for key, part in parts.items()}


def unseen(data: Path, cache: Path) -> dict[tuple[str, str, str], pd.DataFrame]:
    """Pairs of the test sets by translator, network and what relatives count, read once by those in the package."""
    parts: dict[tuple[str, str, str], list[pd.DataFrame]] = {}
    for network in NETWORKS:
        for test in TESTS:
            told = {"train": ("hESC", network), "test": (test, network), "protocol": "strict", "path": data}
            for name, relatives in (("universal", "counted"), ("universal", "neutral"), ("cells", "counted")):
                entry = grn.bench.Entry("universal", {"translator": name, "relatives": relatives})
                pairs = grn.bench.scored_pairs(method=entry, cache=cache, **told)
                parts.setdefault((name, network, relatives), []).append(pairs.assign(test=test))
            print(network, test, len(pairs), flush=True)
    return {key: pd.concat(part, ignore_index=True) for key, part in parts.items()}


def slope(pairs: pd.DataFrame) -> float:
    """Slope of the labels on the logits of the probabilities: below 1 they are too sure."""
    p = np.clip(pairs["probability"].to_numpy(), 1e-9, 1 - 1e-9)
    weights = np.ones(len(p))
    plain = {"background": "", "model": grn.models.load("mini"), "seen": "", "penalty": 0.0, "weights": weights}
    made = fitted("slope", {"logit": np.log(p / (1 - p))}, pairs["label"].to_numpy(), **plain)
    return made.coefficients[0] / made.spread[0]


def summary(kinds: dict[str, dict[tuple[str, str], pd.DataFrame]]) -> str:
    """How far probabilities are off, by translator, network and where they were read."""
    rows = []
    for name in NAMES:
        for network in NETWORKS:
            for words, pairs in kinds.items():
                if (name, network) not in pairs:
                    continue
                table = pairs[name, network]
                bins = grn.bench.reliability(table, n_boot=200)
                off = np.average((bins["share"] - bins["probability"]).abs(), weights=bins["n"])
                top, low = bins.iloc[-1], bins.iloc[0]
                shown = [
                    f"{b['probability']:.2f}: {b['share']:.2f} [{b['low']:.2f}, {b['high']:.2f}]" for b in (low, top)
                ]
                rows.append(
                    [name, TITLES[network], words, f"{len(table):,}", f"{off:.3f}", f"{slope(table):.2f}", *shown]
                )
    columns = ["translator", "labels", "pairs of", "pairs", "off on average", "slope", "lowest tenth", "highest tenth"]
    return markdown_table(columns, rows)


def natural(pairs: dict[tuple[str, str, str], pd.DataFrame]) -> str:
    """All pairs of held-out genes of hESC: what becomes of a probability where few pairs are edges."""
    rows = []
    for network in NETWORKS:
        table = pairs["universal", network, "all"]
        rate = float(table["label"].mean())
        odds = table["probability"] / (1 - table["probability"]) * rate / (1 - rate)
        table = table.assign(expected=odds / (1 + odds), band=pd.cut(table["probability"], BANDS, include_lowest=True))
        for band, part in table.groupby("band", observed=True):
            words = f"{max(band.left, 0):g} to {band.right:g}"
            shown = [f"{len(part):,}", f"{part['label'].mean():.1%}", f"{part['expected'].mean():.1%}"]
            rows.append([f"{TITLES[network]}, {rate:.1%} of all pairs", words, *shown])
    return markdown_table(["edges", "probability of `universal`", "pairs", "edges among them", "expected"], rows)


def draw(kinds: dict[str, dict[tuple[str, str], pd.DataFrame]], path: Path) -> None:
    """A panel per translator and network, a line per place where pairs were read."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, 2, figsize=(7.0, 6.6), layout="constrained", sharex=True, sharey=True)
    for row, name in zip(axes, NAMES[::-1], strict=True):
        for ax, network in zip(row, NETWORKS, strict=True):
            grn.pl.reliability({words: pairs[name, network] for words, pairs in kinds.items()}, ax=ax)
            ax.set_title(f"{name}, {TITLES[network]}", loc="left", fontsize=8)
            ax.label_outer()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def main() -> None:
    """Read and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("docs/methods/universal"))
    parser.add_argument("--cache", type=Path, default=platformdirs.user_cache_path("grn") / "reliability")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    references = {network: grn.datasets.beeline("hESC", network=network, path=args.data) for network in NETWORKS}
    hesc = held_out(references)
    tests = unseen(args.data, args.cache)
    kinds = {
        "held-out genes of hESC": {key[:2]: pairs for key, pairs in hesc.items() if key[2] == "degree_matched"},
        "test sets": {key[:2]: pairs for key, pairs in tests.items() if key[2] == "counted"},
    }
    default = {key[:2]: pairs for key, pairs in tests.items() if key[2] == "neutral"}
    base_rate = natural(hesc)
    table = summary({**kinds, "test sets, relatives neutral (the default)": default})
    (args.out / "reliability.md").write_text(table + "\n", encoding="utf-8")
    (args.out / "base_rate.md").write_text(base_rate + "\n", encoding="utf-8")
    draw(kinds, args.out / "reliability.png")
    print(table, base_rate, sep="\n\n")


if __name__ == "__main__":
    main()
