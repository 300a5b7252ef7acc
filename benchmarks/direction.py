"""Which way does an edge point? One-way edges of CollecTRI between two regulators, no gene of which is in hESC.

    python benchmarks/direction.py --regulators 300 --seeds 1

Prints, for every method and floor, the share of one-way edges i -> j (listed, while j -> i is not, both genes being
regulators in CollecTRI) whose score is higher than that of j -> i, with a 95 % interval over regulators. Chance is .5.
Methods are trained on hESC; the protocol is strict: no tested gene, nor an ortholog, is in the training set.
"""

from __future__ import annotations

import argparse

import grn


def reference(learned: grn.bench.Reference) -> grn.bench.Reference:
    """All edges of CollecTRI between two of its regulators that the training set does not have."""
    edges = grn.datasets.collectri().edges[["source", "target"]].astype(str)
    left = set(edges["source"]) - set(learned.genes)
    pairs = edges[edges["source"].isin(left) & edges["target"].isin(left) & (edges["source"] != edges["target"])]
    return grn.bench.Reference(pairs, dataset="CollecTRI", network="CollecTRI", organism="human")


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--regulators", type=int, default=None, help="most regulators, drawn by name (default: all)")
    parser.add_argument("--methods", nargs="*", default=None, help="names of grn.tl.methods() (default: the readings)")
    parser.add_argument("--labels", default="STRING", help="network of hESC that translators learn (default: STRING)")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--cache", default=None, help="folder for features and finished trials")
    args = parser.parse_args()
    learned = grn.datasets.beeline("hESC", network=args.labels)
    table = grn.bench.run(
        methods=args.methods,
        train=learned,
        test=[reference(learned)],
        protocols=["strict"],
        seeds=args.seeds,
        max_regulators=args.regulators,
        cache=args.cache,
    )
    rows = table[(table["metric"] == "direction") & (table["pairs"] == "all")]
    rows = rows.sort_values("value", ascending=False)
    print(rows[["method", "kind", "value", "low", "high"]].to_string(index=False, float_format="%.3f"))


if __name__ == "__main__":
    main()
