"""Knock-out and knock-down experiments, real and simulated, that measure who responds to whom."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from grn._core import checks
from grn._core.errors import ExpressionError, GroupError, ParameterError
from grn._core.files import UNREADABLE, as_path, check_access
from grn.datasets._unpack_limit import read_cells, read_text
from grn.datasets.local_files import locate, read_columns, sha256_of

_FOLDER = "perturbation"
_CELL_LINES = ("k562", "rpe1")
_KINDS = ("wild-type", "knock-out", "knock-down", "time-series", "multifactorial")
# the files these loaders were made for; what others hold is not claimed
_VERSIONS = {
    "1425c0b825853f51df6d3d9222982554d2fc679fdeee76b3413fd57b85850186": "sceptre@3ba046b, 299 genes",
    "812268ed130556cf5da8bede77631526bce87801141572ef2db87ebe0b721fc0": "SplineDV@b2fc42b, 2000 genes",
    "aab4b008e081d9af9e802bc50abe00c95a1f7551e5d4285d190f7ec30ccd7d18": "sigrecon@112228f",
}
_STIMULUS = re.compile(r"perturbation\.(\d+)(?:\.(applied|removed))?\.t(\d+)")


def dream4(*, network: int = 1, path: str | Path | None = None) -> AnnData:
    """Give a simulated network of DREAM4 (size 100): its true edges and what its knock-outs do.

    Every gene was knocked out and knocked down once; each is one noisy steady state. Genes have no real names.

    Parameters
    ----------
    network
        Number of the network, 1 to 5.
    path
        Folder with ``insilico_size100_{network}_expression.csv.gz`` (genes x conditions) and
        ``insilico_size100_{network}_goldstandard.csv`` (``tf, target``); by default ``perturbation/dream4`` below
        ``grn.settings.data_dir``.

    Returns
    -------
    AnnData
        ``X`` float32 (511 conditions, 100 genes), simulated expression in [0, 1]. ``obs``: ``kind`` (wild-type,
        knock-out, knock-down, time-series, multifactorial), ``perturbation`` (the gene, ``"control"`` for the wild
        type, else the kind and its number), and for time series ``series``, ``time`` and ``stimulus`` (1 while it is
        applied), NaN elsewhere. ``uns["reference"]``: the true edges ``source, target``. ``uns`` also holds
        ``organism`` (``"simulated"``), ``matrix``, ``licence``, ``version``, ``origin`` and ``sha256``.

    Raises
    ------
    ParameterError
        The number of the network is not 1 to 5, ``path`` is a single file, or a condition has an unknown name.
    NetworkError
        The file of true edges lacks a column.
    ExpressionError
        The file of expression cannot be read.
    DataNotFoundError
        The files are not there; the message says where they are published.

    Examples
    --------
    >>> import grn
    >>> adata = grn.datasets.dream4(network=2)  # doctest: +SKIP
    >>> adata.obs["kind"].value_counts()["knock-out"]  # doctest: +SKIP
    100
    """
    network = checks.integer("network", network, least=1, most=5, note=", the networks of DREAM4")
    if path is not None and as_path(path).is_file():
        raise ParameterError(f"path={str(path)!r} is one file; DREAM4 has two per network: pass their folder.")
    files = {
        part: _find("dream4", f"insilico_size100_{network}_{part}", path=path, what="DREAM4")
        for part in ("expression.csv.gz", "goldstandard.csv")
    }
    edges = read_columns(files["goldstandard.csv"], {"source": ("tf", "source"), "target": ("target",)})
    try:
        table = read_text(files["expression.csv.gz"], index_col=0).astype(np.float32)
    except UNREADABLE as error:
        check_access(files["expression.csv.gz"], error)
        raise ExpressionError(f"the expression of DREAM4 cannot be read ({error}); download it again.") from error
    obs = pd.DataFrame([_condition(str(name)) for name in table.columns], index=table.columns.astype(str))
    obs["kind"] = pd.Categorical(obs["kind"], categories=_KINDS)
    obs["perturbation"] = pd.Categorical(obs["perturbation"])
    adata = AnnData(table.T.to_numpy(), obs=obs, var=pd.DataFrame(index=table.index.astype(str)))
    adata.uns["reference"] = edges.sort_values(["source", "target"], ignore_index=True)
    return _described(
        adata,
        organism="simulated",
        matrix="simulated expression in [0, 1]",
        licence="GPL (expression), BSD (true edges)",
        version=f"DREAM4 in-silico size 100, network {network}",
        origin="Marbach et al. 2010 PNAS 107:6286; Bioconductor DREAM4 and dreamtools",
        sha256={part.partition(".")[0]: sha256_of(file) for part, file in files.items()},
    )


def papalexi2021(*, path: str | Path | None = None) -> AnnData:
    """Give 20 729 THP-1 cells in which one of 25 regulators was knocked out (ECCITE-seq).

    Only 299 genes, drawn at random by the package that distributes them, are there; 9 of the 25 regulators are among
    them. Cells were assigned to the target of the guide with most counts.

    Parameters
    ----------
    path
        The h5ad file, or the folder that holds it; by default ``perturbation`` below ``grn.settings.data_dir``.

    Returns
    -------
    AnnData
        ``X`` raw counts, CSR float32 (20 729, 299). ``obs``: ``perturbation`` (the regulator, ``"control"`` for
        non-targeting guides), ``grna``, ``grna_umi``, ``bio_rep``. ``uns``: ``organism``, ``matrix``, ``licence``,
        ``version``, ``origin``, ``sha256``.

    Raises
    ------
    DataNotFoundError
        The file is not there; the message says where it is published.
    GroupError
        The file has no ``obs["perturbation"]``.
    ExpressionError
        The file cannot be read.

    Examples
    --------
    >>> import grn
    >>> adata = grn.datasets.papalexi2021()  # doctest: +SKIP
    >>> adata.obs["perturbation"].nunique()  # doctest: +SKIP
    26
    """
    return _screen(
        "human_thp1_papalexi2021_sceptre299.h5ad",
        path,
        what="THP-1 ECCITE-seq (Papalexi et al. 2021)",
        organism="human",
        licence="GPL-3",
        origin="Papalexi et al. 2021 Nat Genet 53:322 (GSE153056), as distributed with the package sceptre",
    )


def nkx2_1_knockout(*, path: str | Path | None = None) -> AnnData:
    """Give 1 021 mouse lung cells, wild-type and Nkx2-1 knock-out: one regulator, 2 000 genes.

    Parameters
    ----------
    path
        The h5ad file, or the folder that holds it; by default ``perturbation`` below ``grn.settings.data_dir``.

    Returns
    -------
    AnnData
        ``X`` raw counts, CSR float32 (1 021, 2 000). ``obs``: ``perturbation`` (``"Nkx2-1"`` or ``"control"``) and
        ``condition``. ``uns``: ``organism``, ``matrix``, ``licence``, ``version``, ``origin``, ``sha256``.

    Raises
    ------
    DataNotFoundError
        The file is not there; the message says where it is published.
    GroupError
        The file has no ``obs["perturbation"]``.
    ExpressionError
        The file cannot be read.

    Examples
    --------
    >>> import grn
    >>> adata = grn.datasets.nkx2_1_knockout()  # doctest: +SKIP
    >>> sorted(adata.obs["perturbation"].unique())  # doctest: +SKIP
    ['Nkx2-1', 'control']
    """
    return _screen(
        "mouse_lung_nkx2-1_ko_vs_wt.h5ad",
        path,
        what="Nkx2-1 knock-out of mouse lung",
        organism="mouse",
        licence="GPL-2",
        origin="doi 10.1152/ajplung.00337.2015, as distributed with the package SplineDV",
    )


def replogle2022(*, cell_line: str = "k562", path: str | Path | None = None) -> pd.DataFrame:
    """Give, for 585 knocked-down genes, the 1 000 genes that rise most (Perturb-seq, CRISPRi).

    The list is partial: genes that fall are absent, and a gene that no list names is unknown. 17 of the 585 are
    transcription factors.

    Parameters
    ----------
    cell_line
        ``"k562"`` or ``"rpe1"``.
    path
        The parquet file, or the folder that holds it; by default ``perturbation`` below ``grn.settings.data_dir``.

    Returns
    -------
    DataFrame
        ``perturbation``, ``rank`` (1 to 1 000, by log fold change x -log10 of the adjusted p-value), ``gene``,
        ``top_up`` (whether the source counts it in the signature), sorted by perturbation and rank. ``attrs``:
        ``organism``, ``matrix``, ``licence``, ``version``, ``origin``, ``sha256``.

    Raises
    ------
    ParameterError
        The cell line is unknown.
    NetworkError
        The file cannot be read or has other columns.
    DataNotFoundError
        The file is not there; the message says where it is published.

    Examples
    --------
    >>> import grn
    >>> table = grn.datasets.replogle2022(cell_line="rpe1")  # doctest: +SKIP
    >>> table["perturbation"].nunique()  # doctest: +SKIP
    585
    """
    if not isinstance(cell_line, str) or cell_line.lower() not in _CELL_LINES:
        raise ParameterError(f"cell_line={cell_line!r} is unknown; use one of {', '.join(_CELL_LINES)}.")
    line, name = cell_line.lower(), "human_k562_rpe1_perturbseq_replogle2022_ranked_up.parquet"
    file = _find(name, path=path, what="Perturb-seq of K562 and RPE1 (Replogle et al. 2022)")
    columns = ("cell_line", "perturbation", "rank", "gene", "top_up")
    table = read_columns(file, {name: (name,) for name in columns})
    table = table[(table["cell_line"] == line).to_numpy()].drop(columns="cell_line")
    table = table.astype({"perturbation": str, "gene": str, "rank": np.int64, "top_up": bool})
    table = table.sort_values(["perturbation", "rank"], ignore_index=True)
    digest = sha256_of(file)
    table.attrs = {
        "organism": "human",
        "matrix": "ranks of increased genes; decreases are not included",
        "licence": "MIT",
        "version": _version(file, digest),
        "origin": "Replogle et al. 2022 Cell 185:2559, as distributed with the package sigrecon",
        "sha256": digest,
    }
    return table


_PUBLISHED = {
    "DREAM4": "Synapse syn3049712; Bioconductor package DREAM4 (expression) and dreamtools (true edges)",
    "THP-1 ECCITE-seq (Papalexi et al. 2021)": "GEO GSE153056; 299 of its genes in the R package sceptre",
    "Nkx2-1 knock-out of mouse lung": "the R package SplineDV",
    "Perturb-seq of K562 and RPE1 (Replogle et al. 2022)": "gwps.wi.mit.edu; ranked lists in the R package sigrecon",
}


def _find(*parts: str, path: str | Path | None, what: str) -> Path:
    return locate(_FOLDER, *parts, path=path, what=what, where_published=_PUBLISHED[what])


def _screen(name: str, path: str | Path | None, *, what: str, **facts: str) -> AnnData:
    file = _find(name, path=path, what=what)
    try:
        adata = read_cells(file)
    except UNREADABLE as error:
        check_access(file, error)
        raise ExpressionError(f"{file.name} cannot be read ({error}); download it again.") from error
    if "perturbation" not in adata.obs:
        columns = ", ".join(map(str, adata.obs.columns)) or "none"
        raise GroupError(f"{file.name} has no obs column 'perturbation' (columns: {columns}); pass path= to {what}.")
    named = adata.obs["perturbation"].astype(str).replace("non-targeting", "control")
    adata.obs["perturbation"] = pd.Categorical(named)
    adata.X = adata.X.astype(np.float32)
    digest = sha256_of(file)
    return _described(adata, matrix="raw counts", version=_version(file, digest), sha256=digest, **facts)


def _version(file: Path, digest: str) -> str:
    return _VERSIONS.get(digest, f"{file.name} with sha256 {digest[:12]}")


def _described(adata: AnnData, **facts: Any) -> AnnData:
    adata.uns.update(facts)
    return adata


def _condition(name: str) -> dict[str, Any]:
    """What the name of a DREAM4 condition says."""
    condition = {"series": np.nan, "time": np.nan, "stimulus": np.nan}
    gene, _, kind = name.rpartition(".")
    stimulus = _STIMULUS.fullmatch(name)
    if name == "wt":
        return {"kind": "wild-type", "perturbation": "control", **condition}
    if kind in ("ko", "kd"):
        return {"kind": "knock-out" if kind == "ko" else "knock-down", "perturbation": gene, **condition}
    if gene == "MF":
        return {"kind": "multifactorial", "perturbation": f"multifactorial {kind}", **condition}
    if stimulus:
        series, phase, time = stimulus.groups()
        condition = {"series": float(series), "time": float(time), "stimulus": float(phase == "applied")}
        return {"kind": "time-series", "perturbation": f"time-series {series}", **condition}
    raise ParameterError(
        f"the DREAM4 condition {name!r} is unknown; expected wt, G1.ko, G1.kd, MF.1 or perturbation.1.applied.t50."
    )
