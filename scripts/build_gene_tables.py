"""Compile the small fact tables of ``grn.genes`` from public annotation files.

Run ``python scripts/build_gene_tables.py --data FOLDER`` where ``FOLDER/priors`` holds the source files and
``FOLDER/expression`` matrices whose gene names tell which aliases are in use (default: the folder named by the
environment variable ``GRN_DATA_DIR``). The result is deterministic: the same sources give the same bytes.

Sources: GENCODE v44 gene names; the gene dictionary of Geneformer and Ensembl 93 (ids and names that were
current earlier); NCBI gene aliases as distributed with NicheNet; human-mouse orthologs of Ensembl BioMart;
the regulator lists of Lambert et al. 2018, HGNC (curated) and MGI; the families of DNA-binding domains that JASPAR
2020 and CIS-BP give for their motifs, as distributed with Pando.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import json
import os
import re
from collections import defaultdict
from pathlib import Path

import h5py
import pandas as pd

TARGET = Path(__file__).parents[1] / "src" / "grn" / "genes" / "data"
VERSION = "2026.3"
CLONE = re.compile(r"^(ENSG\d|[A-Z]{2}[A-Z0-9]*-\d+[A-Z]+\d+\.\d+$|[A-Z]{1,2}\d{5,6}\.\d+$|LOC\d+$|PP\d{5}$)")
MOUSE_PLACEHOLDER = re.compile(r"^(LOC\d+|Gm\d+|ENSMUSG\d+|[A-Z]{2}\d{6}(\.\d+)?)$")
ACCESSION = re.compile(  # clones and sequences, which name no gene in an expression matrix
    r"^([A-Z]{1,2}\d{5,6}|[A-Z]{3}\d{5,}|[0-9A-Z]\d{5,6}[A-Z]\d{2}|mKIAA\d+"
    r"|(CGI|HSPC|PRO|MGC|DKFZ[pP]?)-?\d+.*|.*_\d+_\d+|[a-z]{1,2}[A-Z]*\d+[A-Z]\d+(\.\d+)?|.*[ /].*)$"
)
GENERIC_COPIES = 5  # names carried by this many ids (Y_RNA, U6, ...) name a family, not a gene
MIN_GENE_ORDER = 50.0  # of 100: the share of neighbouring genes that are in the same order in both genomes
MAX_CANDIDATES = 8  # an alias of more genes names a family
TABLES = {
    "human_genes": "GENCODE v44",
    "human_aliases": "NCBI gene aliases (NicheNet), Ensembl 93, Geneformer dictionary, BioMart",
    "mouse_genes": "Ensembl BioMart orthologs, MGI regulators, mm10 transcription starts",
    "mouse_aliases": "NCBI gene aliases (NicheNet), former human names",
    "orthologs": "Ensembl BioMart human-mouse orthologs; genes of one name by the tables above",
    "regulators": "Lambert et al. 2018, HGNC curated, MGI",
    "domains": "families of motifs in JASPAR 2020 and CIS-BP (Pando)",
}
# one domain under two spellings
SAME_DOMAIN = {
    **{name: f"{name} factors" for name in ("C/EBP-related", "SMAD", "STAT")},
    **{name: f"{name}-related factors" for name in ("E2F", "Ets", "Grainyhead", "RFX", "Runt")},
    "DM": "DMRT factors",
    "Forkhead": "Forkhead box (FOX) factors",
    "GATA": "GATA-type zinc fingers",
    "Myb/SANT": "Myb/SANT domain factors",
    "Sox": "SOX-related factors",
    "Three-zinc finger Kr\u00fcppel-related factors": "Three-zinc finger Kruppel-related factors",
}
# JASPAR names the domain of the protein itself, the last one takes it from the most similar protein
DOMAIN_SOURCES = ("JASPAR2020", "CIS-BP", "SEQ_SIMILARITY")


def read(folder: Path, name: str) -> pd.DataFrame:
    """Read a source table as text; the string "NA" is a name, not a gap."""
    return pd.read_csv(folder / name, dtype=str, keep_default_na=False)


def lines(folder: Path, name: str) -> list[str]:
    """Read the non-empty lines of a text file."""
    return [text.strip() for text in (folder / name).read_text().splitlines() if text.strip()]


def human_genes(folder: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Give symbol -> current id, and further current ids -> symbol."""
    table = read(folder, "human_gencode44_ensembl_symbol.csv.gz")
    table = table[~table["symbol"].str.match(CLONE)]
    copies = table["symbol"].map(table["symbol"].value_counts())
    table = table[copies < GENERIC_COPIES]
    known = [
        set(read(folder, "human_geneformer_symbol_ensembl.csv.gz")["ensembl"]),
        set(read(folder, "ensdb93_hg38_protein_coding_tss.csv.gz")["gene_id"]),
    ]
    main: dict[str, str] = {}
    further: dict[str, str] = {}
    for symbol, ids in table.groupby("symbol")["ensembl"]:
        ranked = sorted(ids, key=lambda name: ([name not in group for group in known], name))
        main[str(symbol)] = ranked[0]
        further.update(dict.fromkeys(ranked[1:], str(symbol)))
    return main, further


def numbered_series(pairs: dict[str, tuple[str, float]], used: set[str]) -> tuple[dict[str, set[str]], set[str]]:
    """Undo the numbering that the alias table gives to aliases of several genes.

    An alias ``X`` of the genes a and b is distributed as ``X1`` -> a and ``X2`` -> b, in the order of their
    Entrez ids. A series is taken for genuine when its stem ends with a separator, the order does not fit, or
    the numbers recur in the symbols; a member also when the gene has it in a second spelling (Oct4, Oct-4) or
    when published tables use the name (TCEB1).
    Returns the stems with their genes, and the numbered names that are no aliases.
    """
    spelling: dict[tuple[str, str], set[str]] = defaultdict(set)
    for alias, (symbol, _) in pairs.items():
        spelling[symbol, plain(alias)].add(alias)
    stems: dict[str, set[str]] = {}
    artefacts: set[str] = set()
    for stem in sorted({alias[:-1] for alias in pairs if alias.endswith("1")}):
        members = []
        while f"{stem}{len(members) + 1}" in pairs:
            members.append(f"{stem}{len(members) + 1}")
        if len(members) < 2 or stem in pairs or not stem or stem[-1] in "-./_ ":
            continue
        entrez = [pairs[name][1] for name in members]
        tail = [re.search(rf"(?<!\d){k}$", pairs[name][0]) is not None for k, name in enumerate(members, 1)]
        if sum(tail) > 0.9 * len(tail) or entrez != sorted(entrez):
            continue
        stems[stem] = {pairs[name][0] for name in members}
        artefacts.update(m for m in members if m not in used and len(spelling[pairs[m][0], plain(m)]) == 1)
    return stems, artefacts


def plain(alias: str) -> str:
    """Spell a name without case and separators."""
    return re.sub(r"[-_. ]", "", alias).upper()


def used_names(folder: Path, organism: str) -> set[str]:
    """Gene names that published matrices and tables of an organism use, whatever their age."""
    tables = {
        "human": [("tss_hg19.bed", "3"), ("tss_hg38.bed", "3"), ("dorothea_human.csv", "target"),
                  ("dorothea_human.csv", "tf"), ("../models/scgpt_gene_vocab.csv", "token")],
        "mouse": [("tss_mm10.bed", "3"), ("trrust_mouse.csv", "target"), ("trrust_mouse.csv", "tf")],
    }  # fmt: skip
    names: set[str] = set()
    for file, column in tables[organism]:
        names.update(read(folder, f"{file}.gz")[column])
    for path in sorted((folder.parent / "expression").glob(f"{organism}_*.h5ad")):
        with h5py.File(path) as handle:
            var = handle["var"]
            names.update(var[var.attrs["_index"]].asstr()[:])
    return names


def ncbi_aliases(folder: Path, organism: str, genes: set[str]) -> tuple[dict[str, set[str]], set[str]]:
    """Give alias -> approved symbols from an NCBI table, numbering undone, and NCBI's symbols without a newer name."""
    listed = read(folder, f"nichenet_geneinfo_alias_{organism}.csv.gz")
    table = listed[(listed["alias"] != listed["symbol"]) & (listed["alias"] != "") & (listed["symbol"] != "")]
    own = set(listed["symbol"])
    entrez = pd.to_numeric(table["entrez"], errors="coerce").fillna(0)
    pairs = dict(zip(table["alias"], zip(table["symbol"], entrez, strict=True), strict=True))
    used = used_names(folder, organism)
    stems, artefacts = numbered_series(pairs, used)
    found: dict[str, set[str]] = defaultdict(set)
    older: dict[str, set[str]] = defaultdict(set)
    for alias, (symbol, _) in pairs.items():
        if alias not in artefacts:
            found[alias].add(symbol)
            if symbol not in genes and alias in genes and alias not in own:
                older[symbol].add(alias)
    for stem, symbols in stems.items():
        found[stem] |= symbols
    renamed = {symbol: next(iter(names)) for symbol, names in older.items() if len(names) == 1}
    result = {
        alias: {renamed.get(symbol, symbol) for symbol in symbols} & genes
        for alias, symbols in [*found.items(), *((symbol, {symbol}) for symbol in renamed)]
    }
    kept = {
        alias: symbols
        for alias, symbols in result.items()
        if 0 < len(symbols) <= MAX_CANDIDATES and not ACCESSION.match(alias) and (len(alias) > 1 or alias in used)
    }
    return kept, own - set(renamed)


def previous_names(folder: Path, main: dict[str, str], further: dict[str, str]) -> dict[str, set[str]]:
    """Names and ids that other releases give to genes of today, matched by Ensembl id or by name."""
    by_id = {ensembl: symbol for symbol, ensembl in main.items()} | further
    found: dict[str, set[str]] = defaultdict(set)
    for file, id_column, name_column in (
        ("ensdb93_hg38_protein_coding_tss.csv.gz", "gene_id", "gene_name"),
        ("human_geneformer_symbol_ensembl.csv.gz", "ensembl", "symbol"),
        ("human_mouse_orthologs_biomart.csv.gz", "human_ensembl", "human_symbol"),
    ):
        table = read(folder, file)[[id_column, name_column]].drop_duplicates()
        for ensembl, name in table.itertuples(index=False):
            if ensembl in by_id and name not in main and not CLONE.match(name):
                found[name].add(by_id[ensembl])
            elif ensembl not in by_id and name in main:
                found[ensembl].add(name)
    for ensembl, symbol in further.items():
        found[ensembl].add(symbol)
    return found


def human_aliases(folder: Path, main: dict[str, str], further: dict[str, str]) -> dict[str, set[str]]:
    """Merge alias sources: an earlier official name outranks an alias, a coding gene outranks a pseudogene."""
    coding_ids = set(read(folder, "ensdb93_hg38_protein_coding_tss.csv.gz")["gene_id"])
    coding = {symbol for symbol, ensembl in main.items() if ensembl in coding_ids}
    result: dict[str, set[str]] = {}
    for alias, symbols in ncbi_aliases(folder, "human", set(main))[0].items():
        translated = symbols & coding
        result[alias] = translated if len(translated) == 1 else symbols
    result.update(previous_names(folder, main, further))
    for symbol in main:
        if symbol != symbol.upper():
            result.setdefault(symbol.upper(), {symbol})
    return {alias: symbols for alias, symbols in result.items() if alias not in main}


def orthologs(folder: Path, main: dict[str, str], further: dict[str, str]) -> tuple[pd.DataFrame, dict[str, str]]:
    """Pairs of mouse and human symbols with type and synteny, and mouse symbol -> Ensembl id."""
    by_id = {ensembl: symbol for symbol, ensembl in main.items()} | further
    table = read(folder, "human_mouse_orthologs_biomart.csv.gz")
    human = [
        by_id.get(ensembl, symbol if symbol in main else "")
        for ensembl, symbol in zip(table["human_ensembl"], table["human_symbol"], strict=True)
    ]
    pairs = pd.DataFrame(
        {
            "mouse": table["mouse_symbol"],
            "human": human,
            "type": table["homology_type"].str.removeprefix("ortholog_"),
            "score": pd.to_numeric(table["gene_order_score"], errors="coerce").fillna(0),
        }
    )
    pairs = pairs[pairs["human"] != ""].sort_values("score", kind="stable")
    pairs = pairs.drop_duplicates(["mouse", "human"], keep="last")
    best = pairs["score"] >= MIN_GENE_ORDER
    for column in ("mouse", "human"):
        others = pairs.groupby(column)["score"]
        best &= (pairs["score"] == others.transform("max")) & ~pairs.duplicated([column, "score"], keep=False)
    pairs["syntenic"] = best.astype(int)
    ids: dict[str, str] = {}
    for symbol, ensembl in sorted(zip(table["mouse_symbol"], table["mouse_ensembl"], strict=True), reverse=True):
        ids[symbol] = ensembl
    return pairs.drop(columns="score"), ids


def mouse_tables(
    folder: Path, ids: dict[str, str], human: dict[str, str]
) -> tuple[dict[str, str], dict[str, set[str]]]:
    """Mouse symbols with an Ensembl id where the ortholog table has one, and mouse aliases.

    Genes without ortholog are listed when they are current and named, regulators, or named as a human gene.
    """
    starts = read(folder, "tss_mm10.bed.gz")
    named = {name for name in starts.iloc[:, 3] if name and not MOUSE_PLACEHOLDER.match(name)}
    aliases, current = ncbi_aliases(folder, "mouse", set(ids))
    upper = {symbol.upper() for symbol in human}
    named |= {name for name in current if name.upper() in upper and name != name.upper()}
    listed = {name for name in lines(folder, "mouse_tfs_mgi.txt") if name in current or name not in aliases}
    genes = {name: ids.get(name, "") for name in (named & current) | listed | set(ids)}
    return genes, {alias: symbols for alias, symbols in aliases.items() if alias not in genes}


def former_names(folder: Path, main: dict[str, str], aliases: dict[str, set[str]]) -> dict[str, set[str]]:
    """Aliases that stand for one gene, and that gene codes for a protein."""
    coding_ids = set(read(folder, "ensdb93_hg38_protein_coding_tss.csv.gz")["gene_id"])
    return {
        alias: symbols
        for alias, symbols in aliases.items()
        if len(symbols) == 1 and main.get(next(iter(symbols))) in coding_ids
    }


def same_names(
    pairs: pd.DataFrame,
    mouse: dict[str, str],
    human: dict[str, str],
    aliases: dict[str, set[str]],
    official: dict[str, set[str]],
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Pairs that the ortholog table lacks though both genes bear one name, today or until lately.

    HGNC and MGI give one symbol to the genes of one ancestor. A pair is added where the table has neither gene, or has
    the human one with mouse genes of other names only, and where no second mouse gene bears the name; ``aliases`` of
    human genes count where the table has neither. Where the human gene was renamed together with its mouse ortholog,
    the former name, which must have been ``official``, is an alias of the latter.
    Returns the pairs, of type "name", and former mouse name -> mouse symbol.
    """
    upper = {symbol.upper(): symbol for symbol in human}
    partner = pairs[pairs["type"] == "one2one"].set_index("human")["mouse"].to_dict()
    paired, mates = set(pairs["mouse"]), set(pairs["human"])
    named = set(pairs.loc[pairs["mouse"].str.upper() == pairs["human"].str.upper(), "human"])
    claims: dict[str, list[tuple[int, str]]] = defaultdict(list)
    renamed: dict[str, str] = {}
    for name in sorted(set(mouse) - paired):
        own = upper.get(name.upper())
        before = official.get(name.upper(), aliases.get(name.upper(), set()))
        gene = own or (next(iter(before)) if len(before) == 1 else None)
        if gene is None:
            continue
        if gene not in mates or (own and gene not in named):
            claims[gene].append((own is None, name))
        elif own is None and name.upper() in official and partner.get(gene, "").upper() == gene.upper():
            renamed[name] = partner[gene]
    rows = []
    for gene, names in claims.items():
        best = [name for former, name in names if former == min(names)[0]]
        if len(best) == 1:
            rows.append((best[0], gene, "name", 0))
            renamed.update({name: best[0] for former, name in names if former > min(names)[0]})
    return pd.DataFrame(rows, columns=list(pairs.columns)), renamed


def approved(name: str, genes: dict[str, str], aliases: dict[str, set[str]]) -> str:
    """Today's symbol of a name; empty where there is none, or more than one."""
    symbols = {name} if name in genes else aliases.get(name, set())
    return next(iter(symbols)) if len(symbols) == 1 else ""


def regulators(folder: Path, known: dict[str, tuple[dict[str, str], dict[str, set[str]]]]) -> pd.DataFrame:
    """Regulator lists under today's symbols; a name that no longer resolves is kept as listed."""
    sources: dict[tuple[str, str], set[str]] = defaultdict(set)
    for file, organism, source in (
        ("human_tfs_lambert2018.txt", "human", "lambert2018"),
        ("human_tfs_hgnc_curated.txt", "human", "hgnc"),
        ("mouse_tfs_mgi.txt", "mouse", "mgi"),
    ):
        genes, aliases = known[organism]
        for name in lines(folder, file):
            symbol = approved(name, genes, aliases)
            if not symbol:
                print(f"regulator {name} ({source}) has no approved symbol; kept as listed")
            sources[organism, symbol or name].add(source)
    return pd.DataFrame([(*key, "|".join(sorted(value))) for key, value in sources.items()],
                        columns=["organism", "symbol", "sources"])  # fmt: skip


def domains(folder: Path, genes: dict[str, str], aliases: dict[str, set[str]]) -> pd.DataFrame:
    """Family of the DNA-binding domain of human regulators, from the best source that names one."""
    table = pd.read_csv(folder / "motif2tf_pando_human.tsv.gz", sep="\t", dtype=str, keep_default_na=False)
    named: dict[str, tuple[int, str]] = {}
    for name, origin, family in zip(table["tf"], table["origin"], table["family"], strict=True):
        symbol, domain = approved(name, genes, aliases), re.split("::|,", family)[0]
        if symbol and domain not in ("", "-", "Unknown"):
            claim = DOMAIN_SOURCES.index(origin), SAME_DOMAIN.get(domain, domain)
            named[symbol] = min(named.get(symbol, claim), claim)
    return pd.DataFrame([(symbol, domain) for symbol, (_, domain) in named.items()], columns=["symbol", "domain"])


def alias_table(aliases: dict[str, set[str]]) -> pd.DataFrame:
    """One row per alias; several candidates are joined by "|"."""
    rows = [(alias, "|".join(sorted(symbols))) for alias, symbols in aliases.items()]
    return pd.DataFrame(rows, columns=["alias", "symbol"])


def gene_table(genes: dict[str, str]) -> pd.DataFrame:
    """One row per gene."""
    return pd.DataFrame(sorted(genes.items()), columns=["symbol", "ensembl"])


def write(table: pd.DataFrame, path: Path) -> dict[str, object]:
    """Write a sorted table as deterministic gzip and describe it."""
    table = table.sort_values(list(table.columns), kind="stable")
    text = io.StringIO()
    table.to_csv(text, sep="\t", index=False, lineterminator="\n")
    raw = text.getvalue().encode()
    with path.open("wb") as handle, gzip.GzipFile("", "wb", 9, handle, mtime=0) as packed:
        packed.write(raw)
    print(f"{path.name}: {len(table)} rows, {path.stat().st_size / 1e3:.0f} kB")
    return {"rows": len(table), "sha256": hashlib.sha256(raw).hexdigest()}


def main() -> None:
    """Build all tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("GRN_DATA_DIR"), help="folder with priors/")
    parser.add_argument("--out", type=Path, default=TARGET, help="where to write the tables")
    args = parser.parse_args()
    if args.data is None or not (Path(args.data) / "priors").is_dir():
        parser.error("pass --data FOLDER (or set GRN_DATA_DIR) with a subfolder priors/")
    folder, out = Path(args.data) / "priors", args.out
    out.mkdir(parents=True, exist_ok=True)

    human, further = human_genes(folder)
    aliases = human_aliases(folder, human, further)
    pairs, ids = orthologs(folder, human, further)
    mouse, mouse_names = mouse_tables(folder, ids, human)
    former = former_names(folder, human, aliases), previous_names(folder, human, further)
    added, renamed = same_names(pairs, mouse, human, *former)
    pairs = pd.concat([pairs, added], ignore_index=True)
    mouse = {symbol: ensembl for symbol, ensembl in mouse.items() if symbol not in renamed}
    mouse_names.update({former: {symbol} for former, symbol in renamed.items()})
    tables = {
        "human_genes": gene_table(human),
        "human_aliases": alias_table(aliases),
        "mouse_genes": gene_table(mouse),
        "mouse_aliases": alias_table(mouse_names),
        "orthologs": pairs,
        "regulators": regulators(folder, {"human": (human, aliases), "mouse": (mouse, mouse_names)}),
        "domains": domains(folder, human, aliases),
    }
    facts = {name: {"source": TABLES[name], **write(table, out / f"{name}.tsv.gz")} for name, table in tables.items()}
    (out / "tables.json").write_text(json.dumps({"version": VERSION, "tables": facts}, indent=1) + "\n")


if __name__ == "__main__":
    main()
