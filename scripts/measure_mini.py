"""Measure ``mini`` as it is in the package: print the figures, and write those of these weights into its card.

    python scripts/measure_mini.py                               # how responses bend; no data needed
    python scripts/measure_mini.py --data DATA                   # and how well masked values are predicted
    python scripts/measure_mini.py --again OUT/mini.safetensors  # and how far a second run of training is from it

DATA is that of ``scripts/pretrain_mini.py``, which writes the same figures with new weights.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pretrain_mini as training
from mini_designs import readings

import grn
from grn.models import Memory
from grn.models._memory_file import load_memory
from grn.models._model_file import sha256_file

CARD = Path(__file__).parents[1] / "src" / "grn" / "models" / "weights" / "mini.json"


def second_run(first: Memory, path: Path) -> dict[str, object]:
    """How far other weights are from these: the file, and derivatives of every fifth gene to every 20th."""
    other = load_memory(path)
    if other.genes != first.genes:
        return {"same_file": False, "same_genes": False}
    sources, targets = np.arange(0, len(first.genes), 20), np.arange(0, len(first.genes), 5)
    one, two = (readings(m.network, sources, targets)[1].mean(axis=-1) for m in (first, other))
    return {
        "same_file": sha256_file(path) == first.sha256,
        "same_genes": True,
        "r_derivatives": round(float(np.corrcoef(one.ravel(), two.ravel())[0, 1]), 6),
        "largest_difference": round(float(np.abs(one - two).max() / one.std()), 6),
    }


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=None)
    parser.add_argument("--again", type=Path, default=None, help="weights of a second run")
    args = parser.parse_args()
    model, card = grn.models.load("mini"), json.loads(CARD.read_text())
    card["responses"] = training.bending(model)
    if args.data is not None:
        card["figures"] = training.figures(model.network, training.corpus(args.data))
    CARD.write_text(json.dumps(card, indent=1) + "\n")
    shown = {"responses": card["responses"]}
    if args.again is not None:
        shown["second_run"] = second_run(model, args.again)
    shown |= {k: {m: v for m, v in f.items() if m != "sets"} for k, f in card["figures"].items()}
    print(json.dumps(shown, indent=1))


if __name__ == "__main__":
    main()
