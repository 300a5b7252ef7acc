"""Train the translators in the wheel on labels of BEELINE's hESC.

    python scripts/train_translators.py --data DATA --out src/grn/models/weights

DATA is a folder with ``beeline/``. One translator per network and feature is written. Virtual cells need no
expression, so only names and labels are read. Negatives are degree-matched, or the translators would learn which genes
are hubs. How they do on data sets they never saw is measured by ``python -m grn bench``.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import grn
from grn.bench._board import Board, BoardSetting
from grn.bench.negatives import sample

NETWORKS = {"string": "STRING", "chip": "Non-Specific"}
FEATURES = ("vvp", "gradient_trajectory", "embedding")


def main() -> None:
    """Fit and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("src/grn/models/weights"))
    parser.add_argument("--cache", type=Path, default=None, help="folder that keeps features between runs")
    args = parser.parse_args()

    args.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        setting = BoardSetting(grn.models.load("mini"), args.cache or Path(folder))
        for short, network in NETWORKS.items():
            reference = grn.datasets.beeline("hESC", network=network, path=args.data)
            board = Board(reference, setting)
            drawn = sample(reference, negatives="degree_matched", mask=board.mask)
            print(drawn, flush=True)
            for feature in FEATURES:
                translator = board.fit(feature, "", drawn, seed=0, members=5)
                print(translator.save(args.out / f"mini-{short}-{feature}"), translator.history, flush=True)


if __name__ == "__main__":
    main()
