"""Tell what kind of values a matrix holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from anndata import AnnData

from grn._core import checks
from grn._core.errors import ExpressionError
from grn._core.logging import one_voice
from grn._kernels.matrix_parts import only
from grn._kernels.scan import scan
from grn._object.container import check_named, check_type
from grn._object.expression import argument_of, label, select
from grn._object.genes import gene_mask
from grn._object.modalities import on_mudata
from grn._object.remedy import holding, remedy

if TYPE_CHECKING:
    from mudata import MuData

_EXPECTED = ("log", "counts")
_MEANING = {
    "counts": "raw counts (non-negative integers)",
    "log": "log-normalised values",
    "linear": "normalised values on a linear scale (not log-transformed)",
    "scaled": "scaled or centred values (negative ones occur)",
    "empty": "no values other than zero",
}


@dataclass(frozen=True)
class ExpressionReport:
    """What :func:`check_expression` found.

    Parameters
    ----------
    where
        The matrix looked at: ``"adata.X"``, ``"adata.layers['counts']"`` or ``"adata.raw"``.
    kind
        ``"counts"``, ``"log"``, ``"linear"``, ``"scaled"`` or ``"empty"``.
    why
        The evidence for the kind.
    sure
        Whether that evidence is strong.
    n_cells, n_genes
        Its shape.
    minimum, maximum
        Smallest and largest finite value; NaN when there is none.
    integer
        Whether all finite values are whole numbers.
    n_nan
        Number of NaN.
    n_infinite
        Number of infinite values.
    n_constant
        Number of genes with one value in all cells (with several cells).
    constant_genes
        Their names.
    n_zero_cells
        Number of cells with zeros only.
    counts_in, log_in
        Arguments that select another matrix holding counts or log-normalised values, judged from up to 512 cells
        (genes, where a matrix is stored by genes) in evenly spaced runs.
    """

    where: str
    kind: str
    why: str
    sure: bool
    n_cells: int
    n_genes: int
    minimum: float
    maximum: float
    integer: bool
    n_nan: int
    n_infinite: int
    n_constant: int
    constant_genes: tuple[str, ...]
    n_zero_cells: int
    counts_in: tuple[str, ...]
    log_in: tuple[str, ...]

    def __str__(self) -> str:
        lines = [
            f"{self.where}: {_MEANING[self.kind]}, {self.n_cells} cells x {self.n_genes} genes, "
            f"values {self.minimum:.4g} to {self.maximum:.4g}"
        ]
        if not self.sure:
            lines.append(f"  judged on weak evidence: {self.why}")
        if self.n_nan or self.n_infinite:
            lines.append(f"  {self.n_nan} NaN and {self.n_infinite} infinite values")
        if self.n_constant:
            some = ", ".join(self.constant_genes[:5]) + (", ..." if self.n_constant > 5 else "")
            lines.append(f"  {self.n_constant} genes have one value in all cells: {some}")
        if self.n_zero_cells:
            lines.append(f"  {self.n_zero_cells} cells have zeros only")
        for name, matrices in (("counts", self.counts_in), ("log-normalised values", self.log_in)):
            if matrices:
                lines.append(f"  {name} are also in {', '.join(matrices)}")
        return "\n".join(lines)


@one_voice
@on_mudata
def check_expression(
    adata: AnnData | MuData,
    *,
    rna: str = "rna",
    layer: str | None = None,
    use_raw: bool = False,
    expect: str | None = None,
) -> ExpressionReport:
    """Tell counts, log-normalised, linear and scaled values apart and list what is wrong with them.

    Negative values mean scaled; whole numbers mean counts; a maximum above 50 means linear. Otherwise some cells are
    looked at: totals that agree, as they are or after a logarithm to any base is undone, values of a cell that are
    multiples of one number, and whole numbers tell linear from log for any maximum; where none of these is there, the
    shape of the distribution decides, and ``sure`` is false. The matrix is read once, in pieces of bounded size (twice,
    if it is stored by genes), and never changed.

    Parameters
    ----------
    adata
        Object with expression in memory or on disk (backed, zarr, or opened lazily with dask), dense, CSR or CSC.
    rna
        Modality of the MuData that holds the cells and genes; read only where ``adata`` is one.
    layer
        Layer to look at; ``None`` looks at ``adata.X``.
    use_raw
        Look at ``adata.raw`` instead.
    expect
        ``"log"`` or ``"counts"`` to insist on that kind; ``None`` only reports.

    Returns
    -------
    ExpressionReport
        Kind, range, NaN, constant genes, empty cells, and which other matrices hold counts or log values.
        ``print`` shows it as text.

    Raises
    ------
    ExpressionError
        If the kind is not the expected one, or NaN or infinite values are there while one is expected; names the
        layer that fits.
    LayerError
        If the layer or ``.raw`` does not exist.
    ParameterError
        If ``adata`` is no AnnData, ``expect`` is unknown, or ``layer`` and ``use_raw`` are both given.

    Examples
    --------
    >>> import anndata as ad, numpy as np
    >>> import grn.pp
    >>> adata = ad.AnnData(np.array([[1.0, 0.0], [3.0, 0.0]]))
    >>> adata.layers["log"] = np.log1p(adata.X)
    >>> print(grn.pp.check_expression(adata))
    adata.X: raw counts (non-negative integers), 2 cells x 2 genes, values 0 to 3
      1 genes have one value in all cells: 1
      log-normalised values are also in layer='log'
    """
    check_type(adata)
    if expect is not None:
        checks.word("expect", expect, _EXPECTED, note=", or None")
    matrix = select(adata, layer, use_raw=use_raw)
    index = adata.raw.var_names if use_raw else adata.var_names
    check_named(index)
    names = np.asarray(index, dtype=str)
    genes = gene_mask(adata, raw=use_raw)
    if genes is not None:
        matrix = only(matrix, genes)
    seen = scan(matrix)
    argument = argument_of(layer, use_raw=use_raw)
    same = seen.constant if genes is None else seen.constant & genes
    constant = tuple(names[same].tolist()) if seen.n_cells > 1 else ()
    report = ExpressionReport(
        where=label(layer, use_raw=use_raw),
        kind=seen.kind,
        why=seen.decision.why,
        sure=seen.decision.sure,
        n_cells=int(matrix.shape[0]),
        n_genes=int(matrix.shape[1] if genes is None else genes.sum()),
        minimum=seen.low,
        maximum=seen.high,
        integer=seen.integer,
        n_nan=seen.n_nan,
        n_infinite=seen.n_infinite,
        n_constant=len(constant),
        constant_genes=constant,
        n_zero_cells=seen.n_zero_cells,
        counts_in=tuple(holding(adata, ("counts",), but=argument)),
        log_in=tuple(holding(adata, ("log",), but=argument)),
    )
    bad = report.n_nan + report.n_infinite
    if expect is not None and (report.kind != expect or bad):
        problem = f"{_MEANING[report.kind]}" + (
            f" with {report.n_nan} NaN and {report.n_infinite} infinite" if bad else ""
        )
        fix = remedy(adata, (expect,), layer, use_raw=use_raw, seen=seen)
        raise ExpressionError(f"{report.where} holds {problem}; expected {_MEANING[expect]}. {fix}")
    return report
