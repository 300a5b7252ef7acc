"""Questions whose answer is known: a contrast between cells, and the regulators that are known to drive it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Question:
    """A contrast in a file of cells, and the regulators that drive it.

    Parameters
    ----------
    name
        Name in the table.
    file
        File of cells below the folder of the data, an h5ad.
    condition, group, reference
        The contrast, as :func:`grn.tl.rank_drivers` takes it.
    drivers
        Regulators known to drive it, as symbols of the organism.
    study
        Questions of one study count as one in averages; the file by default.
    groupby
        Column of ``obs``: the question is asked within every group.
    organism
        ``"human"`` or ``"mouse"``.
    direction
        ``"up"`` where the drivers are more active in ``group``, ``"down"`` where they were lost.
    chosen
        Whether choices were made on it: it is reported, but does not count in averages.

    Examples
    --------
    >>> from grn.bench import drivers
    >>> drivers.Question("dose", "expression/mine.h5ad", "drug", "dexamethasone", "vehicle", ("NR3C1",)).study
    'expression/mine.h5ad'
    """

    name: str
    file: str
    condition: str
    group: str
    reference: str
    drivers: tuple[str, ...]
    study: str = ""
    groupby: str | None = None
    organism: str = "human"
    direction: str = "up"
    chosen: bool = False

    def __post_init__(self) -> None:
        if not self.study:
            object.__setattr__(self, "study", self.file)


_KANG = "expression/human_pbmc_ifnb_kang2018"
_LINES = "multiome/human_snareseq_lines_rna.h5ad"
_PANCREAS = "expression/mouse_pancreas_endocrinogenesis_bastidasponce2019_2000genes.h5ad"
_ISLETS = {"organism": "mouse", "study": "pancreas"}
_BLOOD = "expression/human_pbmc_facs_zheng2017.h5ad"
_HSPC = "expression/human_fetal_hspc_ranzoni2021_regulators.h5ad"
_THP1 = "perturbation/human_thp1_papalexi2021_sceptre299.h5ad"
# the transcription factors among the 25 genes that were knocked out
_LOST = ("ATF2", "ETV7", "IRF1", "IRF7", "MYC", "POU2F2", "SMAD4", "SPI1", "STAT1", "STAT2", "STAT3", "STAT5A")
_IFN = ("STAT1", "STAT2", "IRF9", "IRF7")


def _all() -> Iterator[Question]:
    ifn = {"study": "interferon", "chosen": True}
    yield Question(
        "interferon-beta, by type of cell", f"{_KANG}_muscat.h5ad", "group_id", "stim", "ctrl", _IFN,
        groupby="cluster_id", study="interferon", chosen=True,
    )  # fmt: skip
    yield Question("interferon-beta, all cells", f"{_KANG}_harmony.h5ad", "condition", "stim", "ctrl", _IFN, **ifn)  # type: ignore[arg-type]
    for hours in ("3", "1"):
        yield Question(
            f"dexamethasone, {hours} h", "multiome/human_a549_dex_scicar_rna.h5ad", "time_h", hours, "0", ("NR3C1",),
            study="dexamethasone",
        )  # fmt: skip
    for line, known in (
        ("K562", ("GATA1", "TAL1")),
        ("H1", ("POU5F1", "SOX2", "NANOG")),
        ("GM12878", ("PAX5", "EBF1")),
        ("BJ", ("TWIST1", "PRRX1")),
    ):
        yield Question(f"cell line {line}", _LINES, "label", line, "rest", known, study="cell lines")
    # clusters by size and markers: 0 ductal, 2 Neurog3-high progenitors, 4 beta, 5 alpha
    yield Question("endocrine progenitors", _PANCREAS, "clusters", "2", "0", ("Neurog3",), **_ISLETS)  # type: ignore[arg-type]
    yield Question("beta against alpha cells", _PANCREAS, "clusters", "4", "5", ("Pdx1", "Pax4"), **_ISLETS)  # type: ignore[arg-type]
    yield Question("alpha against beta cells", _PANCREAS, "clusters", "5", "4", ("Arx",), **_ISLETS)  # type: ignore[arg-type]
    yield Question("B cells in blood", _BLOOD, "celltype", "CD19+ B", "rest", ("PAX5", "SPIB"), study="blood")
    yield Question("monocytes in blood", _BLOOD, "celltype", "CD14+ Monocyte", "rest", ("SPI1", "CEBPB"), study="blood")
    yield Question("erythroid progenitors", _HSPC, "cell_type", "Comm-Prog", "MPP", ("GATA1",), study="HSPC")
    yield Question("granulocyte progenitors", _HSPC, "cell_type", "Granulocyte Prog", "MPP", ("SPI1",), study="HSPC")
    yield Question(
        "Nkx2-1 lost in lung", "perturbation/mouse_lung_nkx2-1_ko_vs_wt.h5ad", "perturbation", "Nkx2-1", "control",
        ("Nkx2-1",), organism="mouse", direction="down", study="Nkx2-1 knock-out",
    )  # fmt: skip
    for lost in _LOST:
        yield Question(
            f"{lost} lost in THP-1", _THP1, "perturbation", lost, "non-targeting", (lost,), direction="down",
            study="THP-1 knock-outs",
        )  # fmt: skip


QUESTIONS = {question.name: question for question in _all()}
