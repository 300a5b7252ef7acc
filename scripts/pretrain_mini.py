"""Make ``mini``, the foundation model in the wheel, and write its card.

    python scripts/pretrain_mini.py --data DATA --out src/grn/models/weights

DATA is a folder with ``expression/*.h5ad`` (single cells) and ``profiles/*.h5ad`` (means over tissues, cell types and
cell lines). Everything is a decomposition, nothing is drawn but the starts of clusters, by name: a second run gives the
same weights within rounding. Two cores take about 10 minutes. ``--sets N`` keeps N data sets, for learning curves.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import torch

import grn
from grn._core.logging import progress
from grn._core.rng import child
from grn.genes import detect_organism, families, resolve
from grn.genes import regulators as regulators_of
from grn.genes.tables import ORGANISMS
from grn.models._masked_error import masked_error
from grn.models._memory_file import save_memory
from grn.models._memory_fit import CELLS, PROFILES, States, Table, equalised, factorise, states_of
from grn.models._training_cells import CellSet, cell_sets, hold_out
from grn.models.memory import SCALE, Memory, MemoryConfig, MemoryNetwork

# studies whose cells serve as tests: BEELINE's (hESC of Chu 2016, mES-retinoic of Semrau 2017), and known drivers
EXCLUDED = (
    "human_ctcl_eccite_mimitou2019_subset",
    "human_esc_chen",
    "human_esc_endothelial_chu2016_100",
    "human_pbmc_eccite_mimitou2019",
    "human_pbmc_ifnb_kang2018_harmony",
    "human_pbmc_ifnb_kang2018_muscat",
    "mouse_esc_ra_semrau2017",
    "mouse_pancreas_endocrinogenesis_bastidasponce2019_2000genes",
)
HELD_OUT_SETS = (
    "human_pbmc68k_reduced",
    "human_myoblast_hsmm_trapnell2014",
    "human_melanoma_tirosh2016_chetah150",
    "mouse_skin_joost2016",
)
HELD_OUT_CELLS = 0.05
MIN_DETECTION = 0.01
# a file of profiles counts like this many data sets of cells, in the vocabulary and in the table
PROFILE_WEIGHT = 4
MIN_SETS, MIN_SETS_REGULATOR = 30, 15
ROUNDS, TABLE_RANK = 6, 160
# chosen by degree-matched AUPRC on the hESC labels of BEELINE: rank, power of the singular values, and the weights of
# the two kinds of family beside a gene's own factors
RANK, POWER = 128, 0.5
STEM, PREFIX = 2.0, 1.0
# how sharply one gene tells states apart: responses bend more with it; chosen on hESC, where .3 costs .005 of AUPRC
PRECISION = 0.1
CROWDINGS = (10.0, 100.0, 1000.0)


def read(data: Path) -> dict[str, ad.AnnData]:
    """All files but the excluded ones, with human symbols in ``var["grn_symbol"]``."""
    adatas = {}
    for path in sorted([*data.glob("expression/*.h5ad"), *data.glob("profiles/*.h5ad")]):
        if path.stem in EXCLUDED:
            continue
        adata = ad.read_h5ad(path)
        organism = adata.uns.get("organism")
        organism = organism if organism in ORGANISMS else detect_organism(adata.var_names)
        symbols = resolve(adata.var_names, organism=organism, orthologs="syntenic")["symbol"].to_numpy(dtype=str)
        adata.var["grn_symbol"] = _once(symbols)
        adata.uns["is_profile"] = path.parent.name == "profiles"
        adatas[path.stem] = adata
    return adatas


def _once(symbols: np.ndarray) -> np.ndarray:
    """Symbols of which only the first column of each is kept."""
    _, first = np.unique(symbols, return_index=True)
    kept = np.full(len(symbols), "", dtype=object)
    kept[first] = symbols[first]
    return kept


def vocabulary(adatas: dict[str, ad.AnnData]) -> list[str]:
    """Genes detected in enough data sets; regulators need half as many."""
    seen: Counter[str] = Counter()
    for adata in adatas.values():
        cells = np.asarray((adata.X > 0).sum(axis=0)).ravel()
        least = 1 if adata.uns["is_profile"] else max(10, MIN_DETECTION * adata.n_obs)
        for gene in set(adata.var["grn_symbol"][cells >= least]) - {""}:
            seen[gene] += PROFILE_WEIGHT if adata.uns["is_profile"] else 1
    factors = regulators_of("human")
    return sorted(g for g, n in seen.items() if n >= (MIN_SETS_REGULATOR if g in factors else MIN_SETS))


def summarised(cells: CellSet, *, is_profile: bool) -> States:
    """States of a data set."""
    if is_profile:
        return states_of(cells, **PROFILES, weight=PROFILE_WEIGHT, means=True)
    return states_of(cells, **CELLS, weight=1.0)


def network_of(
    table: Table, genes: list[str], *, borrow: bool = True, rank: int = RANK, power: float = POWER
) -> MemoryNetwork:
    """The network of a table; genes borrow from their families."""
    kinds = [(families(genes), STEM), (families(genes, kind="prefix"), PREFIX)] if borrow else []
    embedding, states = equalised(table, kinds, rank=min(rank, table.genes.shape[1]), power=power)
    network = MemoryNetwork(MemoryConfig(len(genes), len(states), len(table.weight), embedding.shape[1]))
    with torch.no_grad():
        network.embedding.copy_(torch.as_tensor(embedding))
        network.states.copy_(torch.as_tensor(states))
        network.share.copy_(torch.as_tensor(table.share))
        network.weight.copy_(torch.as_tensor(table.weight / table.weight.sum()))
        network.set_of.copy_(torch.as_tensor(table.set_of))
    return network


def calibrated(network: MemoryNetwork, pairs: list[tuple[CellSet, CellSet]]) -> MemoryNetwork:
    """Crowding and gain that predict masked values of held-out cells of the known data sets best."""
    best, settled = np.inf, network.config
    for crowding in CROWDINGS:
        network.config = replace(settled, precision=PRECISION, crowding=crowding, gain=1.0)
        truth, guess = masked_values(network, pairs)
        gain = float((truth * guess).sum() / np.square(guess).sum())
        error = float(np.square(truth - gain * guess).mean() / np.square(truth).mean())
        print(f"crowding {crowding:g}: gain {gain:.2f}, R2 {1 - error:.4f}", flush=True)
        if error < best:
            best, settled = error, replace(network.config, gain=round(gain, 3))
    network.config = settled
    return network


def masked_values(network: MemoryNetwork, pairs: list[tuple[CellSet, CellSet]]) -> tuple[np.ndarray, np.ndarray]:
    """Masked values of held-out cells of all data sets and what the network says, each data set with one weight."""
    truth, guess = [], []
    for _, held in pairs:
        rng = child(0, "calibration", held.name)
        rows = rng.permutation(held.X.shape[0])[:10]
        columns = rng.permutation(len(held.tokens))[:400]
        if not len(rows):
            continue
        z = held.z(rows, columns, SCALE.lower, SCALE.upper)
        tokens, cut = torch.as_tensor(held.tokens[columns]), len(columns) // 2
        for n in (1, 10, 100, cut):  # how many genes are shown
            with torch.no_grad():
                said = network(tokens[:n], torch.as_tensor(z[:, :n]), tokens[cut:]).numpy()
            scale = 1 / np.sqrt(z[:, cut:].size)
            truth.append((z[:, cut:] * scale).ravel())
            guess.append((said * scale).ravel())
    return np.concatenate(truth), np.concatenate(guess)


def figures(network: MemoryNetwork, cells: Corpus) -> dict[str, object]:
    """Masked-value error on held-out cells and on held-out data sets."""
    out: dict[str, object] = {}
    for name, known, asked in (("held_out_cells", cells.train, cells.held), ("held_out_sets", cells.new, cells.new)):
        rows = masked_error(network, known, asked)
        keys = ("mse_mean", "mse_neighbors", "mse_model", "r2_neighbors", "r2_model")
        out[name] = {k: round(float(np.mean([float(r[k]) for r in rows])), 4) for k in keys} | {
            "n_sets": len(rows),
            "n_better_than_mean": sum(float(r["r2_model"]) > 0 for r in rows),
            "n_better_than_neighbors": sum(float(r["mse_model"]) < float(r["mse_neighbors"]) for r in rows),
            "sets": [{k: v if isinstance(v, str) else round(v, 4) for k, v in r.items()} for r in rows],
        }
    return out


def tell(step: int, error: float) -> None:
    """Print how the table stands."""
    print(f"round {step + 1}: {error:.4f} unexplained", flush=True)


@dataclass(frozen=True)
class Corpus:
    """What there is to learn from and to be measured on.

    Parameters
    ----------
    genes
        Vocabulary.
    fitted
        Data sets that states are made of: training cells, and profiles, by name.
    profiles
        Names of the files of profiles among them.
    train, held
        Training and held-out cells of the data sets of cells, in one order.
    new
        Data sets that are never shown.
    """

    genes: list[str]
    fitted: list[CellSet]
    profiles: set[str]
    train: list[CellSet]
    held: list[CellSet]
    new: list[CellSet]


def corpus(data: Path, *, only: str | None = None, most: int | None = None) -> Corpus:
    """Read all data sets, those of one kind, or as many as are drawn by name."""
    adatas = read(data)
    genes = vocabulary(adatas)  # of all data sets, so that those with fewer can be compared
    if only:
        adatas = {k: a for k, a in adatas.items() if a.uns["is_profile"] == (only == "profiles")}
    if most is not None:
        drawn = sorted(adatas, key=lambda name: child(0, "curve", name).random())[:most]
        adatas = {name: adatas[name] for name in sorted(drawn)}
    sets = cell_sets(adatas, {g: i for i, g in enumerate(genes)}, min_genes=50)
    profiles = {name for name, adata in adatas.items() if adata.uns["is_profile"]}
    pairs = [hold_out(s, HELD_OUT_CELLS) for s in sets if s.name not in {*HELD_OUT_SETS, *profiles}]
    train, held = [a for a, _ in pairs], [b for _, b in pairs]
    fitted = sorted([*train, *(s for s in sets if s.name in profiles)], key=lambda s: s.name)
    return Corpus(genes, fitted, profiles, train, held, [s for s in sets if s.name in HELD_OUT_SETS])


def bending(model: Memory, *, regulators: int = 100, targets: int = 2000) -> dict[str, object]:
    """How far responses to one visible gene bend, over pairs of genes drawn by name.

    ``r_vvp_gdt`` is the correlation over pairs of the mean signed response with the mean derivative, ``curved`` the
    share of the squared responses that no straight line through the origin explains, pair by pair, and
    ``r_first_last`` the correlation over pairs of the derivative at the first point of the grid with that at the last.
    """
    able = set(regulators_of("human"))
    order = sorted(model.genes, key=lambda gene: child(0, "bending", gene).random())
    sources = [gene for gene in order if gene in able][:regulators]
    names = [*sources, *(gene for gene in order if gene not in able)][:targets]
    adata = ad.AnnData(np.zeros((0, len(names)), dtype=np.float32), var=pd.DataFrame(index=names))
    adata.uns["organism"] = "human"
    grn.tl.probe(adata, model=model, sources=sources, background="unknown", progress=False)
    grid = np.asarray(model.value_scale.perturbation_grid)
    features = (adata.varm[key].astype(np.float64) for key in ("vvp", "gradient_trajectory"))
    response, slope = (cube.reshape(-1, len(grid)) for cube in features)
    known = np.isfinite(response).all(axis=1) & np.isfinite(slope).all(axis=1)
    response, slope = response[known], slope[known]  # (pairs, K)
    line = (response @ grid / (grid @ grid))[:, None] * grid
    means = (response * np.sign(grid)).mean(axis=1), slope.mean(axis=1)
    return {
        "regulators": len(sources),
        "genes": len(names),
        "r_vvp_gdt": round(float(np.corrcoef(*means)[0, 1]), 4),
        "curved": round(float(np.square(response - line).sum() / np.square(response).sum()), 4),
        "r_first_last": round(float(np.corrcoef(slope[:, 0], slope[:, -1])[0, 1]), 4),
    }


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("src/grn/models/weights"))
    parser.add_argument("--sets", type=int, default=None, help="keep that many data sets, drawn by name")
    parser.add_argument("--only", choices=("cells", "profiles"), default=None, help="leave the other kind out")
    parser.add_argument("--no-families", action="store_true", help="gene factors without those of families")
    return parser.parse_args()


def main() -> None:
    """Fit, measure, write."""
    args = arguments()
    cells = corpus(args.data, only=args.only, most=args.sets)
    rows = sum(s.X.shape[0] for s in cells.fitted)
    print(f"{len(cells.genes)} genes, {len(cells.fitted)} data sets, {rows} rows", flush=True)
    states = [summarised(s, is_profile=s.name in cells.profiles) for s in progress(cells.fitted, desc="states")]
    rank = min(TABLE_RANK, sum(len(s.share) for s in states) - 1)
    table = factorise(states, len(cells.genes), rank, rounds=ROUNDS, on_round=tell)
    pairs = list(zip(cells.train, cells.held, strict=True))
    network = calibrated(network_of(table, cells.genes, borrow=not args.no_families), pairs)
    write(args.out, network, cells, states, table)


def write(out: Path, network: MemoryNetwork, cells: Corpus, states: list[States], table: Table) -> None:
    """Weights and card."""
    out.mkdir(parents=True, exist_ok=True)
    model = Memory(network, cells.genes, sets=[s.name for s in states], name="mini", sha256="")
    save_memory(model, out / "mini.safetensors")
    card = {
        "name": "mini",
        "genes": len(cells.genes),
        "parameters": sum(p.numel() for p in network.parameters()),
        "config": asdict(network.config),
        "families": {"stem": STEM, "prefix": PREFIX},
        "power": POWER,
        "table_rank": table.genes.shape[1],
        "unexplained": [round(e, 4) for e in table.error],
        "training_sets": [
            {
                "name": s.name,
                "states": len(s.share),
                "genes": len(s.tokens),
                "weight": round(float(s.weight), 4),
                "profile": s.name in cells.profiles,
            }
            for s in states
        ],
        "training_cells": int(sum(s.X.shape[0] for s in cells.train)),
        "held_out_cells": int(sum(s.X.shape[0] for s in cells.held)),
        "excluded": list(EXCLUDED),
        "figures": figures(network, cells),
        "responses": bending(model),
    }
    (out / "mini.json").write_text(json.dumps(card, indent=1) + "\n")
    print(json.dumps({k: {m: v for m, v in f.items() if m != "sets"} for k, f in card["figures"].items()}, indent=1))


if __name__ == "__main__":
    main()
