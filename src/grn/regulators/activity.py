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
from grn._core.logging import hint, logger
from grn._core.logging import progress as progress_bar
from grn._core.near import did_you_mean
from grn._object.container import check_target, target, validate
from grn._object.groups import label_codes
from grn._object.values import expression
from grn.network import Network
from grn.network.groups import column_of, edges_by_group
from grn.network.schema import storable

if TYPE_CHECKING:
    from anndata import AnnData

# values that decoupler makes dense at a time
_VALUES = 2**26


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


def write_activity(
    adata: AnnData,
    *,
    key: str,
    method: str,
    groupby: str | None,
    min_targets: int,
    min_probability: float | None,
    max_q: float | None,
    top_per_source: int | None,
    layer: str | None,
    use_raw: bool,
    values: str,
    key_added: str | None,
    copy: bool,
) -> AnnData | None:
    """Score the regulators and write the scores; see :func:`grn.tl.activity`."""
    arguments = {name: value for name, value in locals().items() if name not in {"adata", "copy"}}
    validate(adata)
    check_target(adata, copy=copy, key=key_added)
    min_targets = checks.integer("min_targets", min_targets, least=1)
    scorer = scorer_of(method)
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
    scores = {part.name: _scored(part, cells, scorer, min_targets) for part in progress_bar(parts, desc="activity")}
    scored = {name: tables for name, tables in scores.items() if tables is not None}
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
    params = {"function": "activity", **arguments, "groupby": column, "key_added": name, **versions()}
    counts = {part or "all": tables[0].shape[1] for part, tables in scored.items()}
    out.uns[name] = {"params": storable({**params, "n_regulators": counts})}
    logger.info("%s: scores of %d regulators in obsm[%r]", method, out.obsm[name].shape[1], name)
    return out if copy else None


def _steps(rows: np.ndarray, step: int) -> Iterator[np.ndarray]:
    for start in range(0, len(rows), step):
        yield rows[start : start + step]


def scorer_of(method: object) -> Any:
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
    return scores_of(cells.part(part.rows), net, scorer, min_targets, where)


def scores_of(
    data: AnnData, net: pd.DataFrame, scorer: Any, min_targets: int, where: str
) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """Scores of decoupler for the rows of an object, and adjusted p-values where the method tests.

    ``net`` has ``source``, ``target`` and ``weight``; ``where`` names the rows in errors.
    """
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
    scores = np.full((adata.n_obs, len(regulators)), np.nan, dtype=np.float32)
    for table in tables:
        rows = table.index.astype(np.int64)
        scores[np.ix_(rows, [place[str(name)] for name in table.columns])] = table.to_numpy(dtype=np.float32)
    return pd.DataFrame(scores, index=adata.obs_names, columns=regulators)


def versions() -> dict[str, str]:
    """Versions of decoupler and of this package."""
    import decoupler

    from grn import __version__

    return {"decoupler_version": str(decoupler.__version__), "grn_version": __version__}
