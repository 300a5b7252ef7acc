"""Text formats that other tools read, written with the standard library."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import pandas as pd

from grn._core.files import PathLike, as_path, written
from grn._core.logging import logger
from grn.network.convert import attributes

_FORMULA = ("=", "+", "-", "@")


def regulon_table(edges: pd.DataFrame, sign: Any, *, signed: bool) -> pd.DataFrame:
    """Edges as gene sets; with ``signed`` the sign moves from the weight into the name of the set."""
    table = edges[["source", "target", "weight"]].copy()
    table["source"] = table["source"].astype(object)
    table["target"] = table["target"].astype(object)
    if signed:
        table["source"] += pd.Series(sign, index=table.index).map({1.0: "(+)", -1.0: "(-)"}).fillna("").astype(object)
        table["weight"] = table["weight"].abs()
    return table[table["weight"] != 0].reset_index(drop=True)


def write_graphml(path: PathLike, edges: pd.DataFrame, nodes: list[str], *, directed: bool) -> None:
    """Write GraphML with the attributes ``name`` and ``regulator`` on nodes and all columns on edges."""
    with written(path) as place, place.open("w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in _graphml(edges, nodes, directed=directed))


def _graphml(edges: pd.DataFrame, nodes: list[str], *, directed: bool) -> Iterator[str]:
    columns = list(edges.columns.drop(["source", "target"]))
    keys = {name: f"e{i}" for i, name in enumerate(columns)}
    regulators = set(edges["source"].unique())
    yield '<?xml version="1.0" encoding="UTF-8"?>'
    yield '<graphml xmlns="http://graphml.graphdrawing.org/xmlns">'
    yield '<key id="n0" for="node" attr.name="name" attr.type="string"/>'
    yield '<key id="n1" for="node" attr.name="regulator" attr.type="boolean"/>'
    for name in columns:
        kind = _graphml_type(edges[name])
        yield f'<key id="{keys[name]}" for="edge" attr.name={quoteattr(name)} attr.type="{kind}"/>'
    yield f'<graph id="grn" edgedefault="{"directed" if directed else "undirected"}">'
    for node in nodes:
        flag = "true" if node in regulators else "false"
        data = f'<data key="n0">{escape(node)}</data><data key="n1">{flag}</data>'
        yield f"<node id={quoteattr(node)}>{data}</node>"
    for source, target, values in zip(
        edges["source"].tolist(), edges["target"].tolist(), attributes(edges), strict=True
    ):
        data = "".join(f'<data key="{keys[name]}">{_graphml_value(value)}</data>' for name, value in values.items())
        yield f"<edge source={quoteattr(source)} target={quoteattr(target)}>{data}</edge>"
    yield "</graph>"
    yield "</graphml>"


def _graphml_type(column: pd.Series) -> str:
    if pd.api.types.is_bool_dtype(column.dtype):
        return "boolean"
    if pd.api.types.is_integer_dtype(column.dtype):
        return "long"
    return "double" if pd.api.types.is_numeric_dtype(column.dtype) else "string"


def _graphml_value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return escape(value) if isinstance(value, str) else repr(value)


def write_cytoscape(path: PathLike, edges: pd.DataFrame, nodes: list[str], *, directed: bool, multi: bool) -> None:
    """Write Cytoscape.js JSON, which Cytoscape and ``networkx.cytoscape_graph`` open too."""
    regulators = set(edges["source"].unique())
    ends = zip(edges["source"].tolist(), edges["target"].tolist(), attributes(edges), strict=True)
    document = {
        "format_version": "1.0",
        "generated_by": "grn",
        "target_cytoscapejs_version": "~2.1",
        "data": {"name": "grn"},
        "directed": directed,
        "multigraph": multi,
        "elements": {
            "nodes": [{"data": {"id": n, "name": n, "value": n, "regulator": n in regulators}} for n in nodes],
            "edges": [
                {"data": {**values, **_key(values), "id": f"edge{i}", "source": source, "target": target}}
                for i, (source, target, values) in enumerate(ends)
            ],
        },
    }
    with written(path) as place:
        place.write_text(json.dumps(document, allow_nan=False, ensure_ascii=False), encoding="utf-8")


def _key(values: dict[str, Any]) -> dict[str, Any]:
    """Parallel edges are told apart by their group (networkx reads this attribute)."""
    return {"key": values["group"]} if "group" in values else {}


def write_gmt(path: PathLike, regulons: dict[str, dict[str, float]]) -> None:
    """One line per set: name, description, genes; tab separated."""
    escaped = _escapes({*regulons, *(gene for targets in regulons.values() for gene in targets)})
    sets = ([name, "grn", *targets] for name, targets in regulons.items())
    lines = ("\t".join(escaped.get(word, word) for word in words) for words in sets)
    with written(path) as place:
        place.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def write_adjacency(path: PathLike, edges: pd.DataFrame) -> None:
    """Write the table of pySCENIC (TF, target, importance), tab separated for ``.tsv`` and ``.txt``."""
    table = edges[["source", "target"]].set_axis(["TF", "target"], axis=1)
    table["importance"] = edges["weight"].abs()
    write_table(path, table)


def write_table(path: PathLike, table: pd.DataFrame) -> None:
    """Write a table, tab separated for ``.tsv`` and ``.txt``; names that a spreadsheet would compute are escaped."""
    separator = "\t" if as_path(path).suffix.lower() in {".tsv", ".txt"} else ","
    with written(path) as place:
        _harmless(table).to_csv(place, sep=separator, index=False)


def _harmless(table: pd.DataFrame) -> pd.DataFrame:
    """Escape what a spreadsheet would compute in the columns of names."""
    texts = {name: table[name].astype(object) for name in table if not pd.api.types.is_numeric_dtype(table[name])}
    escaped = _escapes({value for text in texts.values() for value in text if isinstance(value, str)})
    return table.assign(**{name: text.map(lambda value: escaped.get(value, value)) for name, text in texts.items()})


def _escapes(names: set[str]) -> dict[str, str]:
    """Put an apostrophe before names that begin like a formula, as spreadsheets expect of text, and say so."""
    escaped = {name: f"'{name}" for name in sorted(names) if name.startswith(_FORMULA)}
    if escaped:
        logger.warning(
            "%d names begin with one of %s and were written with an apostrophe in front, as spreadsheets would compute "
            "them (%s)", len(escaped), " ".join(_FORMULA), ", ".join([*escaped][:3]),
        )  # fmt: skip
    return escaped
