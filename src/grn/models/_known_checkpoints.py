"""Published checkpoints by name: where their authors keep them and how large they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from grn._core.errors import WeightsError


@dataclass(frozen=True)
class Known:
    """A checkpoint its authors publish.

    Parameters
    ----------
    name, family
        Name for :func:`grn.models.load` and architecture.
    what
        One line for people.
    where
        Where the authors keep it.
    files
        What must lie in the folder.
    sizes
        Entries of ``model.sizes`` that identify it, as far as known.
    """

    name: str
    family: str
    what: str
    where: str
    files: str
    sizes: Mapping[str, int] = field(default_factory=dict)

    @property
    def description(self) -> str:
        """One line with the call that loads it."""
        return f"{self.what}; weights from {self.where}: load({self.name!r}, path=...)"

    def where_to_get(self) -> str:
        """What to do when no path was given."""
        return (
            f"the weights of {self.name!r} are not part of this package. Fetch {self.files} from {self.where}, then "
            f"call grn.models.load({self.name!r}, path='FOLDER')."
        )

    def check(self, model: Any, path: Path) -> None:
        """Refuse a checkpoint of other sizes."""
        wrong = [f"{k} {model.sizes.get(k)} (published: {v})" for k, v in self.sizes.items() if model.sizes.get(k) != v]
        if wrong:
            raise WeightsError(
                f"{path} is not {self.name!r}: it has {', '.join(wrong)}. grn.models.load(path) takes it as it is."
            )


_SCGPT = "the Google Drive folders linked in the README of github.com/bowang-lab/scGPT"
_SCGPT_FILES = "best_model.pt, args.json and vocab.json"
_GENEFORMER = "huggingface.co/ctheodoris/Geneformer"
_V1 = "config.json, the weights, token_dictionary*.pkl and gene_median_dictionary*.pkl (30M)"
_V2 = "config.json, model.safetensors, token_dictionary*.pkl and gene_median_dictionary*.pkl (104M)"
_SCPRINT = "huggingface.co/jkobject/scPRINT"
_GENECOMPASS = "scidb.cn, linked in the README of github.com/xCompass-AI/GeneCompass"
_SCGENEPT = "the public bucket czi-scgenept-public, see github.com/czi-ai/scGenePT"


def _geneformer(name: str, what: str, files: str, genes: int, layers: int, width: int) -> Known:
    sizes = {"genes": genes, "layers": layers, "width": width}
    return Known(name, "geneformer", f"Geneformer {what}; human Ensembl ids", _GENEFORMER, files, sizes)


def _scgenept(text: str, what: str) -> Known:
    what = f"scGenePT with {what}; human symbols"
    sizes = {"layers": 12, "width": 512}
    return Known(f"scgenept-{text}", "scgenept", what, _SCGENEPT, "best_model.pt and scGPT's vocab.json", sizes)


_ALL = (
    Known(
        "scgpt-human",
        "scgpt",
        "scGPT, whole human; human symbols",
        _SCGPT,
        _SCGPT_FILES,
        {"genes": 60694, "layers": 12, "width": 512, "heads": 8},
    ),
    *(
        Known(f"scgpt-{part}", "scgpt", f"scGPT, {text}; human symbols", _SCGPT, _SCGPT_FILES)
        for part, text in (
            ("continual", "continual pretrained"),
            ("brain", "brain"),
            ("blood", "blood"),
            ("heart", "heart"),
            ("lung", "lung"),
            ("kidney", "kidney"),
            ("pancancer", "pan-cancer"),
        )
    ),
    _geneformer("geneformer-v1-10m", "V1, 10 M", _V1, 25424, 6, 256),
    _geneformer("geneformer-v1-30m", "V1, 30 M", _V1, 25424, 12, 512),
    _geneformer("geneformer-v2-38m", "V2, 38 M", _V2, 20271, 12, 512),
    _geneformer("geneformer-v2-95m", "V2, 95 M", _V2, 20271, 20, 896),
    _geneformer("geneformer-v2-104m", "V2, 104 M", _V2, 20271, 12, 768),
    _geneformer("geneformer-v2-316m", "V2, 316 M", _V2, 20271, 18, 1152),
    *(
        Known(
            f"scprint-{size}",
            "scprint",
            f"scPRINT v1, {size}; human and mouse Ensembl ids",
            _SCPRINT,
            f"{size}-v1.ckpt",
            sizes,
        )
        for size, sizes in (
            ("small", {"width": 128, "layers": 4, "heads": 2}),
            ("medium", {"width": 256, "layers": 8, "heads": 4}),
            ("large", {"width": 512}),
        )
    ),
    *(
        Known(
            f"genecompass-{size}",
            "genecompass",
            f"GeneCompass, {size}; human and mouse Ensembl ids",
            _GENECOMPASS,
            "config.json, pytorch_model.bin, human_mouse_tokens.pickle and the median dictionaries",
            {"layers": layers},
        )
        for size, layers in (("small", 6), ("base", 12))
    ),
    _scgenept("ncbi", "NCBI summaries"),
    _scgenept("ncbi-uniprot", "NCBI and UniProt summaries"),
    _scgenept("go-c", "GO cellular components"),
    _scgenept("go-f", "GO molecular functions"),
    _scgenept("go-p", "GO biological processes"),
    _scgenept("go-all", "all GO terms"),
    _scgenept("no-text", "no texts (folder scgpt)"),
)
KNOWN: Mapping[str, Known] = {known.name: known for known in _ALL}
