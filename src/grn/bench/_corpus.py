"""What the pretraining corpus itself says about pairs of genes: pooled co-expression, without labels or training."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

from grn._core import checks, sealed
from grn._core.errors import DataNotFoundError, GeneOverlapError
from grn._core.files import file_errors, output_folder
from grn._core.logging import progress
from grn._core.rng import RNGLike, child, sample_names, seed_of
from grn.bench._corpus_pool import VERSION, Pool
from grn.bench._corpus_sets import find, is_profile, listed, profiled, read, unique
from grn.datasets.local_files import sha256_of
from grn.genes import versions


@dataclass(frozen=True, eq=False, repr=False)
class Corpus:
    """Pooled co-expression and mean expression of genes over the data sets of a corpus.

    Parameters
    ----------
    genes
        Human symbols, sorted (G,).
    sets
        Names of the data sets, sorted.
    sha256
        Hash of the files, the genes, the gene tables and the version of the computation.
    coexpression
        float32 (G, G), symmetric; NaN on the diagonal and where no data set detects both genes.
    expression
        float32 (G,); NaN for genes that no data set lists.
    n_sets
        Number of data sets that detect a gene (G,).

    See Also
    --------
    build : Computes it.
    """

    genes: np.ndarray
    sets: tuple[str, ...]
    sha256: str
    coexpression: np.ndarray
    expression: np.ndarray
    n_sets: np.ndarray

    def __repr__(self) -> str:
        """Sizes only; the tables are large."""
        known = int((self.n_sets > 0).sum())
        return f"Corpus({len(self.sets)} sets, {known} of {len(self.genes)} genes detected, {self.sha256[:12]})"

    def pairs(self, sources: Iterable[str], targets: Iterable[str]) -> np.ndarray:
        """Co-expression of every source with every target.

        Parameters
        ----------
        sources, targets
            Human symbols; unknown ones are allowed.

        Returns
        -------
        ndarray
            float32 (S, T); NaN for unknown genes, for pairs that no data set detects together and for a gene with
            itself.

        Raises
        ------
        ParameterError
            If names come as a single string.

        Examples
        --------
        >>> import numpy as np
        >>> z = np.array([[np.nan, 2.0], [2.0, np.nan]], dtype=np.float32)
        >>> corpus = Corpus(np.array(["GATA1", "KLF1"]), ("a",), "", z, np.ones(2), np.ones(2, dtype=int))
        >>> corpus.pairs(["GATA1"], ["KLF1", "unknown"]).tolist()
        [[2.0, nan]]
        """
        rows, columns = self._positions(sources, "sources"), self._positions(targets, "targets")
        values: np.ndarray = self.coexpression[rows[:, None], columns]
        values[rows < 0] = np.nan
        values[:, columns < 0] = np.nan
        return values

    def mean(self, genes: Iterable[str]) -> np.ndarray:
        """Mean log-normalised expression: per data set over its cells, then over the data sets that list the gene.

        Parameters
        ----------
        genes
            Human symbols; unknown ones are allowed.

        Returns
        -------
        ndarray
            float32 (n,); NaN for genes that no data set lists.

        Raises
        ------
        ParameterError
            If names come as a single string.

        Examples
        --------
        >>> import numpy as np
        >>> z = np.full((2, 2), np.nan, dtype=np.float32)
        >>> corpus = Corpus(np.array(["GATA1", "KLF1"]), ("a",), "", z, np.array([0.5, 2.0]), np.ones(2, dtype=int))
        >>> corpus.mean(["KLF1", "unknown"]).tolist()
        [2.0, nan]
        """
        rows = self._positions(genes, "genes")
        values: np.ndarray = self.expression[rows]
        values[rows < 0] = np.nan
        return values

    def _positions(self, names: Iterable[str], what: str) -> np.ndarray:
        """Position of every name, -1 when unknown."""
        listed = checks.names(what, names, what="gene names")
        positions: np.ndarray = pd.Index(self.genes).get_indexer(pd.Index(listed, dtype=object))
        return positions


def build(
    genes: Iterable[str],
    *,
    names: Sequence[str] | None = None,
    path: str | Path | None = None,
    cache: str | Path | None = None,
    show: bool | None = None,
) -> Corpus:
    """Pool the co-expression of genes over the data sets of a corpus.

    In every data set the genes that are detected in at least 1 % of the cells, in at least 10 cells, and vary are
    correlated (Pearson, log1p of counts per 10 000 over all genes of the file; values on a log scale are taken as
    they are); in a file of profiles (means over tissues, cell types or cell lines) all genes that vary, on log2(1 +
    parts per million). ``|Fisher z|``, with ``|r|`` cut at 0.99, loses its row and column effects (fitted off the
    diagonal, so that every row sums to zero) and is divided by its spread. The result is averaged over the data sets in
    which both genes are used, each counting once and a file of profiles four times. Mouse genes enter under their human
    ortholog.

    Parameters
    ----------
    genes
        Human symbols wanted, in any order. Effects and spread are those among these genes. Time and memory grow with
        the square of their number (49 data sets, 5000 genes: half a minute on one core, 1 GB, of which 0.1 GB stay).
    names
        Data sets, files ``expression/<name>.h5ad`` of cells or ``profiles/<name>.h5ad``; by default those that ``mini``
        was trained on.
    path
        Folder of the data; by default ``grn.settings.data_dir``.
    cache
        Folder to keep the result in, keyed by the content of the files, the genes and the version of the code.
    show
        Progress bar: ``True``, ``False`` or ``None`` for "only on a terminal or in a notebook".

    Returns
    -------
    Corpus
        With all wanted genes, also those that no data set knows.

    Raises
    ------
    DataNotFoundError
        If a data set is not there; says where it should be.
    ExpressionError
        If a data set cannot be read, or has no cells, NaN or negative values.
    GeneNameError
        If a data set says no organism in ``uns["organism"]`` and its names do not tell.
    GeneOverlapError
        If no data set detects any of the genes.
    ParameterError
        If ``genes`` or ``names`` is empty or a single string.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import grn.datasets
    >>> folder = Path(tempfile.mkdtemp())
    >>> (folder / "expression").mkdir()
    >>> adata = grn.datasets.toy(n_cells=60)
    >>> adata.write_h5ad(folder / "expression" / "toy.h5ad")
    >>> corpus = build(adata.var_names, names=["toy"], path=folder)
    >>> corpus.pairs(["GATA1"], ["GATA1", "SPI1", "unknown"]).shape
    (1, 3)
    """
    wanted, paths = unique(genes, "genes"), find(names, path)
    key = _key(wanted, paths)
    stored = None if cache is None else output_folder(cache, name="cache") / f"corpus-{key[:16]}.sealed"
    corpus = None if stored is None else sealed.kept(stored, partial(_load, key=key, genes=wanted, sets=tuple(paths)))
    if corpus is None:
        pool = Pool(len(wanted))
        for name in progress(list(paths), desc="corpus", show=show):
            if is_profile(paths[name]):
                pool.add_profiles(*profiled(*read(name, paths[name]), wanted))
            else:
                pool.add(*listed(*read(name, paths[name]), wanted))
        corpus = Corpus(wanted, tuple(paths), key, *pool.result())
        if stored is not None:
            _store(stored, corpus)
    if not corpus.n_sets.any():
        raise GeneOverlapError(
            f"none of the {len(wanted)} genes ({', '.join(wanted[:3])}) is detected in the {len(paths)} data sets; "
            "pass human symbols, such as var['grn_symbol'] after grn.pp.align_genes(adata)."
        )
    for table in (corpus.genes, corpus.coexpression, corpus.expression, corpus.n_sets):
        table.setflags(write=False)
    return corpus


def _key(genes: np.ndarray, paths: dict[str, Path]) -> str:
    """Hash of all that the result depends on."""
    facts = [str(VERSION), *versions().values()]
    return hashlib.sha256("\x1f".join([*facts, content(paths), *genes]).encode()).hexdigest()


def content(paths: Mapping[str, Path]) -> str:
    """Hash of what is in some files, by name of data set."""
    facts = []
    for name, path in paths.items():
        with file_errors(path, "read"):
            status = path.stat()
            facts.append(f"{name} {_sha256(path, status.st_size, status.st_mtime_ns)}")
    return hashlib.sha256("\x1f".join([str(VERSION), *facts]).encode()).hexdigest()


@lru_cache(maxsize=256)
def _sha256(path: Path, size: int, changed: int) -> str:
    """Hash of a file, which is not read again until its size or time of change is another."""
    return sha256_of(path)


def _store(path: Path, corpus: Corpus) -> None:
    upper = corpus.coexpression[_upper(len(corpus.genes))]
    arrays = {"upper": upper, "expression": corpus.expression, "n_sets": corpus.n_sets}
    sealed.keep(path, sealed.packed({"key": np.array(corpus.sha256), **arrays}))


def _load(content: memoryview, *, key: str, genes: np.ndarray, sets: tuple[str, ...]) -> Corpus:
    """What was stored."""
    n, arrays = len(genes), sealed.unpacked(content)
    upper, expression, n_sets = (arrays[name] for name in ("upper", "expression", "n_sets"))
    if str(arrays["key"]) != key or (len(upper), len(expression), len(n_sets)) != (n * (n - 1) // 2, n, n):
        raise ValueError("its content belongs to another call")
    z = np.full((n, n), np.nan, dtype=np.float32)
    where = _upper(n)
    z[where] = z.T[where] = upper
    return Corpus(genes, sets, key, z, expression, n_sets)


def _upper(n: int) -> np.ndarray:
    mask: np.ndarray = np.triu(np.ones((n, n), dtype=bool), 1)
    return mask


def cells(
    genes: Iterable[str] | Corpus,
    *,
    names: Sequence[str] | None = None,
    path: str | Path | None = None,
    per_set: int = 20,
    rng: RNGLike = 0,
    show: bool | None = None,
) -> AnnData:
    """Draw cells of the corpus, to stand in where a data set comes without expression; profiles are no cells.

    Data sets list different genes. What a cell's data set does not list is filled with the values that the gene has
    in the drawn cells whose data set lists it, each used equally often up to one. Mean and spread of a gene are thus
    those of the cells that measured it; its correlation with other genes is diluted, never invented.

    Parameters
    ----------
    genes
        Human symbols wanted, or a :class:`Corpus`, whose genes and data sets are taken.
    names
        Data sets, as in :func:`build`.
    path
        Folder of the data; by default ``grn.settings.data_dir``.
    per_set
        Cells per data set, fewer where there are fewer, drawn by the hash of their names.
    rng
        Seed, generator or ``None``.
    show
        Progress bar, as in :func:`build`.

    Returns
    -------
    AnnData
        ``X`` log-normalised CSR float32 (cells, genes), genes sorted; ``obs["set"]`` and ``obs["scale"]`` (of the
        file: ``"counts"``, ``"linear"`` or ``"log"``, where values are taken as they are); ``var["measured"]``, the
        share of cells whose data set lists the gene (where it is 0 the column is 0); ``uns["corpus"]`` with ``sets``,
        ``per_set`` and ``seed``.

    Raises
    ------
    DataNotFoundError
        If a data set is not there; says where it should be.
    ExpressionError
        If a data set cannot be read, or has no cells, NaN or negative values.
    GeneNameError
        If a data set says no organism in ``uns["organism"]`` and its names do not tell.
    GeneOverlapError
        If no data set lists any of the genes.
    ParameterError
        If ``per_set`` is no positive integer, or names are empty or a single string.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import grn.datasets
    >>> folder = Path(tempfile.mkdtemp())
    >>> (folder / "expression").mkdir()
    >>> adata = grn.datasets.toy(n_cells=60)
    >>> adata.write_h5ad(folder / "expression" / "toy.h5ad")
    >>> cells(["GATA1", "SPI1", "unknown"], names=["toy"], path=folder, per_set=5).shape
    (5, 3)
    """
    per_set = checks.integer("per_set", per_set, least=1)
    if isinstance(genes, Corpus):
        genes, names = genes.genes, genes.sets if names is None else names
    wanted = unique(genes, "genes")
    paths = {name: place for name, place in find(names, path).items() if not is_profile(place)}
    if not paths:
        raise DataNotFoundError("all data sets of the corpus are profiles; name one of cells, expression/<name>.h5ad.")
    seed = seed_of(rng)
    values, known, labels = [], [], []
    for name in progress(list(paths), desc="cells", show=show):
        adata, kind = read(name, paths[name])
        full = [f"{name}:{cell}" for cell in adata.obs_names]
        drawn = np.array(sample_names(full, int(per_set), seed), dtype=np.int64)
        X, columns = listed(adata, kind, wanted, rows=drawn)
        values.append(np.zeros((len(drawn), len(wanted)), dtype=np.float32))
        values[-1][:, columns] = X.toarray()
        known.append(np.zeros(values[-1].shape, dtype=bool))
        known[-1][:, columns] = True
        labels += [(full[row], name, kind) for row in drawn]
    X, measured = _filled(np.concatenate(values), np.concatenate(known), wanted, seed)
    obs = pd.DataFrame(labels, columns=["cell", "set", "scale"])
    return AnnData(
        sparse.csr_matrix(X),
        obs=obs[["set", "scale"]].astype("category").set_axis(obs["cell"].to_numpy(dtype=object)),
        var=pd.DataFrame({"measured": measured}, index=wanted.astype(object)),
        uns={"corpus": {"sets": np.array(list(paths), dtype=object), "per_set": int(per_set), "seed": seed}},
    )


def _filled(X: np.ndarray, known: np.ndarray, genes: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Cells with values of the same gene where their data set does not list it, and the share that is measured."""
    measured = known.mean(axis=0)
    if not measured.any():
        raise GeneOverlapError(
            f"none of the {len(genes)} genes ({', '.join(genes[:3])}) is listed by a data set of the corpus; "
            "pass human symbols, such as var['grn_symbol'] after grn.pp.align_genes(adata)."
        )
    for column in np.flatnonzero((measured > 0) & (measured < 1)):
        seen, random = known[:, column], child(seed, "fill", str(genes[column]))
        copies = np.resize(random.permutation(X[seen, column]), int((~seen).sum()))
        X[~seen, column] = random.permutation(copies)
    return X, measured
