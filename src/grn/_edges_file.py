"""Networks in files that programs exchange: tables of edges, GraphML, gene sets, regulons in a loom file."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grn._core.errors import DataNotFoundError, NetworkError, ParameterError
from grn._core.files import UNREADABLE, check_access

if TYPE_CHECKING:
    import pandas as pd

    from grn.network import Network

_TABLES = {".csv": ",", ".tsv": "\t", ".txt": "\t"}
# columns of pySCENIC's adjacencies, which other programs write too
_ADJACENCY = {"TF": "source", "importance": "weight"}
_SIGN = re.compile(r"^(.*?)_?\(([+-])\)$")


def is_table(path: Path) -> bool:
    """Whether a file is a table by its name."""
    return path.suffix.lower() in _TABLES


def read_edges(path: Path) -> pd.DataFrame:
    """A table of edges, in which a gene may be called NA.

    Parameters
    ----------
    path
        ``.csv``, or ``.tsv`` and ``.txt`` with tabs; with the columns of pySCENIC (TF, target, importance) too.

    Raises
    ------
    DataNotFoundError
        If there is no such file.
    ParameterError
        If it cannot be read.
    """
    import pandas as pd

    _need(path)
    form = {"sep": _TABLES[path.suffix.lower()], "keep_default_na": False, "float_precision": "round_trip"}
    try:
        names = pd.read_csv(path, nrows=0, **form).columns
        ends = {name: str for name in ("source", "target", *_ADJACENCY) if name != "importance"}
        numbers = names.difference(list(ends))
        table = pd.read_csv(path, na_values={name: [""] for name in numbers}, dtype=ends, **form)
    except UNREADABLE as error:
        check_access(path, error)
        raise ParameterError(f"{path} cannot be read as a table of edges ({' '.join(str(error).split())}).") from error
    if "source" not in table and {"TF", "target", "importance"} <= set(table.columns):
        return table.rename(columns=_ADJACENCY)
    return table


def read_network(path: Path) -> Network:
    """A network from a table of edges, GraphML, gene sets (GMT) or the regulons of a loom file.

    Parameters
    ----------
    path
        ``.csv``, ``.tsv``, ``.txt``, ``.graphml``, ``.gmt`` or ``.loom``.

    Raises
    ------
    DataNotFoundError
        If there is no such file.
    ParameterError, NetworkError
        If it cannot be read, or holds no network.
    """
    from grn.network import Network

    if is_table(path):
        return Network(read_edges(path))
    _need(path)
    read = READERS[path.suffix.lower()]
    try:
        return read(path)
    except (NetworkError, ParameterError):
        raise
    except Exception as error:  # readers raise what they like on a damaged file
        raise ParameterError(f"{path} cannot be read as a network ({' '.join(str(error).split())[:200]}).") from error


def _need(path: Path) -> None:
    if not path.is_file():
        raise DataNotFoundError(f"no file {path}; pass an object with a network (.h5ad), or a table of edges (.csv).")


def _graphml(path: Path) -> Network:
    """Nodes are genes, by their attribute ``name`` where they have one; edge attributes become columns."""
    from xml.etree import ElementTree

    import pandas as pd

    from grn.network import Network

    root = ElementTree.parse(path).getroot()
    space = root.tag.partition("}")[0] + "}" if root.tag.startswith("{") else ""
    keys = {key.get("id"): (key.get("attr.name"), key.get("attr.type")) for key in root.iter(f"{space}key")}
    graph = root.find(f"{space}graph")
    if graph is None:
        raise ParameterError(f"{path} holds no graph.")

    def data(element: Any) -> dict[str, Any]:
        pairs = ((keys.get(item.get("key"), (None, None)), item.text or "") for item in element.iter(f"{space}data"))
        return {name: _typed_text(text, kind) for (name, kind), text in pairs if name is not None}

    named = {node.get("id"): str(data(node).get("name", node.get("id"))) for node in graph.iter(f"{space}node")}
    rows = [
        {"source": named[edge.get("source")], "target": named[edge.get("target")], **data(edge)}
        for edge in graph.iter(f"{space}edge")
    ]
    if not rows:
        raise ParameterError(f"{path} holds no edges.")
    table = pd.DataFrame(rows)
    if "weight" not in table:
        table["weight"] = 1.0
    if "direction" in table:
        table = table[~_turned(table)]
    directed = None if "direction" in table else graph.get("edgedefault") != "undirected"
    return Network(table, genes=list(dict.fromkeys(named.values())), directed=directed)


def _turned(table: pd.DataFrame) -> pd.Series:
    """Edges without direction that are there the other way round before: a graph with arrows has them both ways."""
    from grn.network.direction import NONE

    ends = table[["source", "target"]].min(axis=1) + "\t" + table[["source", "target"]].max(axis=1)
    group = table["group"].astype(str) if "group" in table else ""
    return (table["direction"] == NONE) & (ends + "\t" + group).duplicated()


def _typed_text(text: str, kind: str | None) -> Any:
    if kind == "boolean":
        return text.strip().lower() in {"true", "1"}
    if kind in {"int", "long"}:
        return int(text)
    return float(text) if kind in {"float", "double"} else text


def _gmt(path: Path) -> Network:
    """Sets of genes: the name is the regulator, ``(+)`` and ``(-)`` at its end the sign."""
    lines = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    short = next((line[0] for line in lines if len(line) < 3), None)
    if short is not None or not lines:
        raise ParameterError(f"{path} is no GMT file: {short!r} has no genes; a line is name, description, genes.")
    return _of_sets({line[0]: [gene for gene in line[2:] if gene] for line in lines}, path)


def _loom(path: Path) -> Network:
    """The regulons that pySCENIC writes into a loom file for SCope: genes by regulons, 1 where a gene is a target."""
    import h5py
    import numpy as np

    with h5py.File(path) as file:
        rows = file.get("row_attrs", {})
        if "Regulons" not in rows or rows["Regulons"].dtype.names is None:
            raise ParameterError(
                f"{path} holds no regulons in row_attrs/Regulons, where pySCENIC writes them (export2loom); for cells "
                "without regulons infer a network: grn infer."
            )
        gene = next((name for name in ("Gene", "var_names", "GeneName") if name in rows), None)
        if gene is None:
            raise ParameterError(f"{path} does not name its genes in row_attrs/Gene.")
        genes = [name.decode() if isinstance(name, bytes) else str(name) for name in rows[gene][:]]
        regulons = rows["Regulons"][:]
    sets = {name: [genes[at] for at in np.flatnonzero(regulons[name])] for name in regulons.dtype.names}
    return _of_sets(sets, path)


def _of_sets(sets: dict[str, list[str]], path: Path) -> Network:
    import pandas as pd

    from grn.network import Network

    rows = []
    for name, genes in sets.items():
        told = _SIGN.match(name)
        source, sign = (told[1], 1.0 if told[2] == "+" else -1.0) if told else (name, float("nan"))
        rows += [(source, gene, sign) for gene in dict.fromkeys(genes)]
    if not rows:
        raise ParameterError(f"{path} holds sets without genes.")
    table = pd.DataFrame(rows, columns=["source", "target", "sign"])
    table["weight"] = table["sign"].fillna(1.0)
    known = table["sign"].notna().any()
    return Network(table if known else table.drop(columns="sign"), signed=bool(known))


READERS: dict[str, Callable[[Path], Any]] = {".graphml": _graphml, ".xml": _graphml, ".gmt": _gmt, ".loom": _loom}
