"""What is asked of a stored network of LINGER: activity of regulators in cells, and knock-outs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from grn._core.errors import ResultNotFoundError
from grn._object.container import check_target, target, validate
from grn._object.genes import gene_rows, spelled
from grn._object.values import expression
from grn.methods.linger.regulator_activity import activities
from grn.methods.linger.stored_nets import knocked_out
from grn.network.schema import restored, storable


def write_activity(
    adata: AnnData, key: str, *, layer: str | None, use_raw: bool, values: str, key_added: str, copy: bool
) -> AnnData | None:
    """See :func:`grn.tl.linger_activity`."""
    validate(adata)
    check_target(adata, copy=copy, key=key_added)
    entry = _entry(adata, key)
    table = entry.get("population", entry["edges"])
    regulators, genes = (np.unique(table[side].astype(str)) for side in ("source", "target"))
    network = np.zeros((len(genes), len(regulators)))
    rows, columns = (
        pd.Index(names).get_indexer(table[side].astype(str))
        for names, side in ((genes, "target"), (regulators, "source"))
    )
    network[rows, columns] = table["weight"].abs().to_numpy()
    places = gene_rows(adata, genes.tolist(), "targets")
    view = expression(adata, layer=layer, use_raw=use_raw, values=values)
    scores = activities(view.rows, adata.n_obs, places, network)
    out = target(adata, copy=copy)
    out.obsm[key_added] = pd.DataFrame(scores, index=out.obs_names, columns=regulators)
    params = {"key": key, "layer": layer, "use_raw": use_raw, "values": values}
    out.uns[key_added] = {"params": storable(params)}
    return out if copy else None


def knockout(adata: AnnData, genes: Sequence[str] | None, key: str) -> pd.DataFrame:
    """See :func:`grn.tl.linger_knockout`."""
    validate(adata)
    nets = _entry(adata, key).get("nets")
    wanted = None if genes is None else spelled(adata, [genes] if isinstance(genes, str) else list(genes))
    return knocked_out(None if nets is None else restored(nets), wanted, key=key)


def _entry(adata: AnnData, key: str) -> Mapping[str, Any]:
    entry = adata.uns.get(key)
    params = entry.get("params") if isinstance(entry, Mapping) else None
    if not isinstance(params, Mapping) or params.get("method") != "linger" or "edges" not in entry:
        raise ResultNotFoundError(f"uns[{key!r}] holds no network of LINGER; call grn.tl.linger(mdata, ...) first.")
    return entry
