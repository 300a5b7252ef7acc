"""A paragraph for the methods section of a paper, with versions and the list of what to cite."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from grn import __version__
from grn._report.markup import Markup, joined, shown, tag
from grn._report.subject import Inferred, Subject, gene_facts

SOFTWARE = (
    "grn contributors. grn: gene regulatory networks from single cells and frozen foundation models, version "
    f"{__version__}."
)
ANNDATA = "Virshup et al. 2024, Journal of Open Source Software 9, 4371, doi 10.21105/joss.04371"
DECOUPLER = "Badia-i-Mompel et al. 2022, Bioinformatics Advances 2, vbac016, doi 10.1093/bioadv/vbac016"
REGULATORS = "Lambert et al. 2018, Cell 172, 650, doi 10.1016/j.cell.2018.01.029"
HOCHBERG = "Benjamini and Hochberg 1995, Journal of the Royal Statistical Society B 57, 289"
DISSOCIATION = "van den Brink et al. 2017, Nature Methods 14, 935, doi 10.1038/nmeth.4437"
PROBES = "Qi et al. 2026, International Conference on Machine Learning, arXiv 2605.08128"
# architecture of a model, by the beginning of its name
MODELS = {
    "scgpt": "Cui et al. 2024, Nature Methods 21, 1470, doi 10.1038/s41592-024-02201-0",
    "geneformer": "Theodoris et al. 2023, Nature 618, 616, doi 10.1038/s41586-023-06139-9",
    "scprint": "Kalfon et al. 2025, Nature Communications 16, 3607, doi 10.1038/s41467-025-58699-1",
    "genecompass": "Yang et al. 2024, Cell Research 34, 830, doi 10.1038/s41422-024-01034-y",
    "scgenept": "Istrate et al. 2024, bioRxiv, doi 10.1101/2024.10.23.619972",
    "lpm": "Miladinovic et al. 2025, Nature Computational Science, doi 10.1038/s43588-025-00870-1",
}
# references of records that name no paper of their own
_NO_PAPER = ("baseline", "this package")
PACKAGES = ("anndata", "decoupler", "matplotlib", "numpy", "pandas", "scipy", "torch")
# parameters that other sentences tell of
_TOLD = frozenset(
    "method grn_version model model_sha256 translator_sha256 seed groupby layer use_raw confidence sources targets "
    "unknown lost_sources n_genes n_unknown values values_from seen base_grn".split()
)


@dataclass
class Cited:
    """References in the order in which they are cited."""

    texts: list[str] = field(default_factory=list)

    def __call__(self, text: str) -> Markup:
        """The number of a reference, in brackets."""
        if text not in self.texts:
            self.texts.append(text)
        number = self.texts.index(text) + 1
        return tag("a", f"[{number}]", href=f"#reference-{number}")


def methods_text(subject: Subject, dissociated: bool) -> tuple[Markup, list[str]]:  # noqa: FBT001 - one caller
    """The paragraph and its references.

    Parameters
    ----------
    subject
        What the report is about.
    dissociated
        Whether a caution speaks of taking tissues apart.
    """
    cite = Cited()
    parts: list[Any] = ["Gene regulatory networks were analysed with grn ", cite(SOFTWARE), ". "]
    parts += _cells(subject, cite)
    for inferred in subject.networks:
        parts += _network(inferred, cite)
    parts += _activity(subject, cite)
    if dissociated:
        cite(DISSOCIATION)
    return tag("p", joined(parts)), cite.texts


def _cells(subject: Subject, cite: Cited) -> list[Any]:
    cells = subject.cells
    if cells is None:
        return []
    parts: list[Any] = [
        f"The object held {shown(cells.n_obs)} cells and {shown(cells.n_vars)} genes ",
        cite(ANNDATA),
        ". ",
    ]
    facts = gene_facts(cells)
    if facts:
        tables = facts.get("tables")
        told = f" (tables of {tables['version']})" if isinstance(tables, Mapping) and "version" in tables else ""
        parts.append(
            f"Names of genes were matched to {facts.get('organism', '')} genes{told}: {shown(facts['kept'])} were "
            f"kept, {shown(facts.get('ambiguous', 0))} were ambiguous and {shown(facts.get('lost', 0))} lost. "
        )
    marked = cells.uns.get("grn_regulators")
    source = str(marked.get("source", "")) if isinstance(marked, Mapping) else ""
    if source:
        parts += [f"Regulators were those of {source} ", cite(REGULATORS) if "Lambert" in source else None, ". "]
    return parts


def _network(inferred: Inferred, cite: Cited) -> list[Any]:
    params, record = inferred.params, inferred.record
    parts: list[Any] = [f"The network “{inferred.name}” "]
    if not inferred.method:
        return [*parts, "was given as a table of edges. "]
    parts.append(f"was inferred by the method {inferred.method}")
    if record is not None and record.reference and not record.reference.startswith(_NO_PAPER):
        parts += [" ", cite(record.reference)]
    parts += _model(params, cite)
    made = params.get("grn_version")
    parts.append(f" in grn {made}" if isinstance(made, str) else "")
    groupby = params.get("groupby")
    parts.append(f", one network for each group of {groupby}" if isinstance(groupby, str) else "")
    matrix = params.get("layer")
    parts.append(f", from the layer {matrix}" if isinstance(matrix, str) else "")
    rest = _parameters(params)
    parts.append(f", with {rest}" if rest else "")
    seed = params.get("seed")
    parts.append(f" (seed {seed})" if isinstance(seed, int | np.integer) else "")
    parts.append(". ")
    return [*parts, *_confidence(inferred, cite)]


def _model(params: Mapping[str, Any], cite: Cited) -> list[Any]:
    """The foundation model that was read, if any."""
    model, sha256 = params.get("model"), params.get("model_sha256")
    if not isinstance(model, str) or not isinstance(sha256, str):
        return []
    parts: list[Any] = [f" with the foundation model {model}"]
    parts += [joined([" ", cite(text)]) for head, text in MODELS.items() if model.lower().startswith(head)]
    parts += [f" (sha256 of the weights {sha256[:12]}), read by the probes of Qi et al. ", cite(PROBES)]
    return parts


def _parameters(params: Mapping[str, Any]) -> str:
    """Numbers, words and switches that were set, by name; what was off is left out."""
    plain = {name: value.item() if isinstance(value, np.generic) else value for name, value in params.items()}
    given = {
        name.replace("_", " "): value
        for name, value in sorted(plain.items())
        if name not in _TOLD and isinstance(value, str | int | float) and value is not False
    }
    told = (name if value is True else f"{name} {value}" for name, value in given.items())
    return ", ".join(text for text in told if len(text) <= 60)


def _confidence(inferred: Inferred, cite: Cited) -> list[Any]:
    record = inferred.params.get("confidence")
    if not isinstance(record, Mapping):
        return []
    parts: list[Any] = []
    if record.get("n_permutations"):
        parts += [
            f"Edges were compared with {record['n_permutations']} networks of permuted "
            f"{record.get('permute', 'cells')}; false discovery rates are those of Benjamini and Hochberg ",
            cite(HOCHBERG),
            ". ",
        ]
    if record.get("n_subsamples"):
        parts.append(
            f"Stability is the share of {record['n_subsamples']} subsamples of {record.get('fraction')} of the cells "
            "in which an edge is among the strongest. "
        )
    return parts


def _activity(subject: Subject, cite: Cited) -> list[Any]:
    if subject.activity is None or subject.cells is None:
        return []
    entry = subject.cells.uns.get(subject.activity, {})
    params = entry.get("params", {}) if isinstance(entry, Mapping) else {}
    method = params.get("method", subject.activity.removeprefix("score_"))
    number = params.get("decoupler_version")
    told = f" {number}" if isinstance(number, str) else ""
    return [f"Activities of regulators were scored with the method {method} of decoupler{told} ", cite(DECOUPLER), ". "]


def versions() -> str:
    """Versions of the packages that this report was written with."""
    found = []
    for name in PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return f"grn {__version__}, {', '.join(found)}"


def references(texts: list[str]) -> Markup:
    """The list of what to cite."""
    return tag(
        "ol", *(tag("li", text, id=f"reference-{number}") for number, text in enumerate(texts, 1)), class_="references"
    )
