"""Activity of regulators in cells, each group of cells scored with its own network, by decoupler."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import sparse

from grn._core import checks
from grn._core.errors import GroupError, MissingDependencyError, NetworkError, ParameterError
from grn._core.logging import hint, logger, one_voice
from grn._core.logging import progress as progress_bar
from grn._core.near import did_you_mean
from grn._object.container import check_target, target, validate
from grn._object.groups import label_codes
from grn._object.values import expression
from grn.network import Network
from grn.network.schema import storable
from grn.tl._network_groups import column_of, edges_by_group

if TYPE_CHECKING:
    from anndata import AnnData

# values that decoupler makes dense at a time
_VALUES = 2**26


@one_voice
def activity(
    adata: AnnData,
    *,
    key: str = "grn",
    method: str = "ulm",
    groupby: str | None = None,
    min_targets: int = 5,
    min_probability: float | None = None,
    max_q: float | None = None,
    top_per_source: int | None = None,
    layer: str | None = None,
    use_raw: bool = False,
    values: str = "auto",
    key_added: str | None = None,
    progress: bool | None = None,
    copy: bool = False,
) -> AnnData | None:
    """Score the activity of every regulator in every cell with a method of decoupler.

    Of a network with groups every cell is scored with the network of its own group, so the same regulator may have
    other targets in another group; of a network without groups all cells are scored in one call.

    Parameters
    ----------
    adata
        AnnData with a network in ``uns[key]``, and log-normalised values or counts.
    key
        Entry of ``uns`` with the network.
    method
        Method of decoupler: ``"ulm"``, ``"mlm"``, ``"waggr"``, ``"viper"``, ``"zscore"``, ``"aucell"``, ``"ora"``, ...
    groupby
        Column of ``obs`` with the groups of the network; by default the column it was inferred with.
    min_targets
        Fewest targets of a regulator among the genes of the object, per group; regulators with fewer have no score.
    min_probability
        Smallest ``probability`` of an edge; needs that column.
    max_q
        Largest ``qval`` of an edge; needs that column.
    top_per_source
        Number of strongest edges per regulator and group. A network that lists every pair needs it: with all genes as
        targets of all regulators scores say little.
    layer
        Layer with counts or log-normalised values; ``None`` reads ``X``.
    use_raw
        Read ``.raw`` instead of ``X``.
    values
        What the values are: ``"counts"``, ``"linear"``, ``"log"``, or ``"auto"`` to find out.
    key_added
        Entry of ``obsm`` and ``uns``; by default ``"score_METHOD"``, as decoupler has it.
    progress
        Show a progress bar; by default only on a terminal or in a notebook.
    copy
        Return a changed copy instead of changing ``adata``.

    Returns
    -------
    AnnData or None
        ``None``, or the copy. Writes

        ``obsm[key_added]``
            DataFrame (cells, regulators), float32. NaN where the network of the cell's group has too few targets of
            the regulator, and for cells without a network.
        ``obsm["padj_METHOD"]``
            Adjusted p-values of methods that test; ``obsm[key_added + "_padj"]`` with a ``key_added`` of your own.
        ``uns[key_added]``
            ``params``: every argument, the version of decoupler, and the number of regulators scored per group.

    Raises
    ------
    ResultNotFoundError
        There is no network under ``key``.
    GroupError
        The network has groups and ``groupby`` is not known or holds none of them, or it has none and ``groupby`` was
        passed.
    NetworkError
        No regulator has enough targets, a column is missing, or decoupler cannot use the network.
    ExpressionError, LayerError
        The values or the layer cannot be used.
    ParameterError
        decoupler has no such method, or a number is out of range.
    MissingDependencyError
        The method needs a package that is not installed.

    Notes
    -----
    Weights go to decoupler as they are: the strength of an edge times its sign where the network knows signs (an edge
    of unknown sign counts as activation), a positive strength where it does not. Probabilities are not used as weights;
    ``min_probability`` leaves edges out. ``"aucell"``, ``"gsea"``, ``"gsva"`` and ``"ora"`` take sets without weights,
    in which repressed targets count like activated ones: score the regulons of :func:`grn.tl.regulons` with them.
    Scores of different groups come from different networks: compare groups by one regulator only if its targets are
    comparable. Values are log-normalised as everywhere in the package, and genes are passed in the order of their
    names. Cost: that of decoupler, group by group.

    Examples
    --------
    >>> import grn
    >>> adata = grn.datasets.toy(n_cells=60, n_regulators=3, n_targets=20)
    >>> grn.tl.infer_network(adata, method="correlation", groupby="group")
    >>> grn.tl.activity(adata, top_per_source=10)
    >>> adata.obsm["score_ulm"].shape
    (60, 3)
    >>> ax = grn.pl.activity(adata, groupby="group")
    """
    params = {name: value for name, value in locals().items() if name not in {"adata", "copy", "progress"}}
    validate(adata)
    check_target(adata, copy=copy, key=key_added)
    min_targets = checks.integer("min_targets", min_targets, least=1)
    scorer = _scorer(method)
    net = Network.from_anndata(adata, key).within(adata.var_names)
    net = net.filter(min_probability=min_probability, max_q=max_q, top_per_source=top_per_source)
    if net.signed and not scorer.weight:
        hint(
            "method %r takes sets without weights: repressed targets count like activated ones; grn.tl.regulons makes "
            "sets split by sign", method,
        )  # fmt: skip
    parts, column = _parts(adata, net, groupby, key)
    read = expression(adata, layer=layer, use_raw=use_raw, values=values)
    cells = _Cells(read, np.asarray(adata.var_names, dtype=str))
    found = {part.name: _scored(part, cells, scorer, min_targets) for part in progress_bar(parts, desc="activity")}
    scored = {name: tables for name, tables in found.items() if tables is not None}
    if not scored:
        raise NetworkError(
            f"no regulator of uns[{key!r}] has {min_targets} targets among the genes of this object; lower "
            "min_targets=, or relax the filters."
        )
    name = f"score_{method}" if key_added is None else key_added
    other = f"padj_{method}" if key_added is None else f"{key_added}_padj"
    out = target(adata, copy=copy)
    out.obsm[name] = _joined([tables[0] for tables in scored.values()], adata)
    tests = [tables[1] for tables in scored.values() if tables[1] is not None]
    if tests:
        out.obsm[other] = _joined(tests, adata)
    elif other in out.obsm:
        del out.obsm[other]
    told = {"function": "activity", **params, "groupby": column, "key_added": name, **_versions()}
    counts = {part or "all": tables[0].shape[1] for part, tables in scored.items()}
    out.uns[name] = {"params": storable({**told, "n_regulators": counts})}
    logger.info("%s: scores of %d regulators in obsm[%r]", method, out.obsm[name].shape[1], name)
    return out if copy else None


@dataclass(frozen=True)
class _Part:
    """A group: its name, its cells by position, and its edges."""

    name: str
    rows: np.ndarray
    edges: pd.DataFrame


@dataclass(frozen=True)
class _Cells:
    """Values of all cells, and their genes."""

    values: Any
    genes: np.ndarray

    def part(self, rows: np.ndarray) -> AnnData:
        """Some cells, named by their positions, with genes in the order of their names."""
        from anndata import AnnData

        order = np.argsort(self.genes, kind="stable")
        step = max(1, _VALUES // max(1, len(order)))
        blocks = [sparse.csr_matrix(self.values.rows(part)[:, order]) for part in _steps(rows, step)]
        return AnnData(
            sparse.vstack(blocks, format="csr"),
            obs=pd.DataFrame(index=rows.astype(str)),
            var=pd.DataFrame(index=self.genes[order]),
        )


def _steps(rows: np.ndarray, step: int) -> Iterator[np.ndarray]:
    for start in range(0, len(rows), step):
        yield rows[start : start + step]


def _scorer(method: object) -> Any:
    """The method of decoupler of a name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # decoupler's and numba's own
        import decoupler as dc
    known = [str(name) for name in dc.mt.show()["name"]]
    if not isinstance(method, str) or method not in known:
        raise ParameterError(
            f"decoupler has no method {method!r}; it has {', '.join(known)}.{did_you_mean(method, known)}"
        )
    return getattr(dc.mt, method)


def _parts(adata: AnnData, net: Network, groupby: str | None, key: str) -> tuple[list[_Part], str | None]:
    """The groups to score, and the column they are in."""
    if not net.groups:
        if groupby is not None:
            raise GroupError(
                f"groupby={groupby!r} was passed, but the network in uns[{key!r}] has no groups: all cells are scored "
                "with it; leave groupby=None."
            )
        return [_Part("", np.arange(adata.n_obs), net.edges)], None
    column = column_of(net, groupby, f"the network in uns[{key!r}]")
    names, codes = label_codes(adata.obs, column, gaps=True)
    edges = edges_by_group(net, column, names, f"the network in uns[{key!r}]")
    parts = [
        _Part(name, np.flatnonzero(codes == code), edges[name])
        for code, name in enumerate(names)
        if name in edges and (codes == code).any()
    ]
    lost = adata.n_obs - sum(len(part.rows) for part in parts)
    if lost:
        left = [name for name in names if name not in net.groups]
        logger.warning(
            "%d of %d cells have no network and no scores%s", lost, adata.n_obs, f": {', '.join(left[:5])}" * bool(left)
        )
    return parts, column


def _scored(
    part: _Part, cells: _Cells, scorer: Any, min_targets: int
) -> tuple[pd.DataFrame, pd.DataFrame | None] | None:
    """Scores of the cells of a group and their adjusted p-values; None where no regulator has enough targets."""
    edges = part.edges[part.edges["weight"] != 0]
    net = edges[["source", "target", "weight"]].astype({"source": str, "target": str})
    size = net["source"].value_counts()
    where = f" in {part.name!r}" if part.name else ""
    if not (size >= min_targets).any():
        if part.name:
            logger.warning(
                "no regulator has %d targets%s: its %d cells have no scores", min_targets, where, len(part.rows)
            )
        return None
    few = int((size < min_targets).sum())
    if few:
        logger.info("%d of %d regulators have fewer than %d targets%s", few, len(size), min_targets, where)
    data = cells.part(part.rows)
    batch = max(1, _VALUES // data.n_vars)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # decoupler's and numba's own
            scorer(data, net.sort_values(["source", "target"]), tmin=min_targets, empty=False, bsize=batch)
    except ImportError as error:
        raise MissingDependencyError(f"decoupler's method {scorer.name!r} needs a package: {error}.") from error
    except (AssertionError, ValueError, np.linalg.LinAlgError) as error:
        raise NetworkError(f"decoupler's method {scorer.name!r} cannot use the network{where}: {error}") from error
    return data.obsm[f"score_{scorer.name}"], data.obsm.get(f"padj_{scorer.name}")


def _joined(tables: list[pd.DataFrame], adata: AnnData) -> pd.DataFrame:
    """Tables of groups in the order of the cells, regulators by name; NaN where there is no score."""
    regulators = sorted({str(name) for table in tables for name in table.columns})
    place = {name: i for i, name in enumerate(regulators)}
    found = np.full((adata.n_obs, len(regulators)), np.nan, dtype=np.float32)
    for table in tables:
        rows = table.index.astype(np.int64)
        found[np.ix_(rows, [place[str(name)] for name in table.columns])] = table.to_numpy(dtype=np.float32)
    return pd.DataFrame(found, index=adata.obs_names, columns=regulators)


def _versions() -> dict[str, str]:
    import decoupler

    from grn import __version__

    return {"decoupler_version": str(decoupler.__version__), "grn_version": __version__}
