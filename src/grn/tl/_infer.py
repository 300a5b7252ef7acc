"""Networks from an object, by any registered method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from grn._core.cluster import check_client
from grn._core.device import torch_threads
from grn._core.docs import document
from grn._core.errors import GeneNameError, GeneOverlapError, ParameterError
from grn._core.logging import logger, one_voice
from grn._core.rng import RNGLike, seed_of
from grn._object.container import check_target, target, validate
from grn._object.groups import label_codes
from grn.methods import METHODS, Method, Task
from grn.methods.environment import environment, jobs, provenance
from grn.methods.family import need_family
from grn.methods.genes import pair_genes
from grn.methods.probes.stored_features import stored_features
from grn.methods.runner import named, run
from grn.models import FoundationModel
from grn.models.translator import Translator
from grn.network import Network
from grn.network.provenance import with_params
from grn.tl._snippets import SNIPPETS

_SNIPPETS = {
    **SNIPPETS,
    "network": """
        ``uns[key_added]["edges"]``
            DataFrame ``source, target, weight`` and, where the method gives them, ``sign`` (+1, -1, NaN when
            unknown), ``probability``, ``score`` (the raw effect behind them; for ``ugrn`` the mean gradient: change
            of the target per unit of the source on the model's value scale), ``group``; sorted by group, then by
            falling absolute weight. Every pair of a source and another gene known to the model is listed.
        ``uns[key_added]["params"]``, ``["schema"]``
            Every argument, the model's name and sha256, the package version, the genes lost; the layout.
        """,
}


@one_voice
@document(**_SNIPPETS)
def infer_network(
    adata: AnnData,
    *,
    method: str = "ugrn",
    model: str | FoundationModel = "mini",
    sources: Sequence[str] | None = None,
    targets: Sequence[str] | None = None,
    groupby: str | None = None,
    layer: str | None = None,
    use_raw: bool = False,
    values: str = "auto",
    params: Mapping[str, Any] | None = None,
    key_added: str = "grn",
    rng: RNGLike = 0,
    client: Any = None,
    batch_size: int | None = None,
    device: str = "auto",
    n_jobs: int | None = None,
    progress: bool | None = None,
    copy: bool = False,
) -> AnnData | None:
    """Infer a gene regulatory network with any method of :func:`grn.tl.methods`.

    Parameters
    ----------
    %(adata)s
    method
        Name of the method: ``"ugrn"`` (both probes, translated and averaged), ``"vvp"``,
        ``"gradient_trajectory"``, ``"pert"``, ``"attention"``, ``"embedding"``, a recipe of one family of published
        models such as ``"scgpt_attention"``, or one registered later.
    %(pairs)s
        Methods that regress on the cells alone read no model; they may have any gene as source or target.
    groupby
        Column of ``obs``: one network per group in one table with a ``group`` column.
    %(cells)s
    params
        Parameters of the method itself, such as ``{"translator": "chip"}``; :func:`grn.tl.methods` lists them. An
        unknown one is an error.
    key_added
        Slot of the result.
    rng
        Seed of everything random in the method.
    %(client)s
    %(run)s

    Returns
    -------
    AnnData or None
        ``None``, or the copy. Writes

        %(network)s

    Raises
    ------
    %(raises)s
    ExpressionError, LayerError, GroupError
        If the method reads cells and the values, the layer or the groups cannot be used.

    Notes
    -----
    ``probability`` was learned on a balanced sample of pairs and is overconfident on panels unlike it; it says
    nothing of the density of real networks: read it as a rank. Without ``groupby``, ``ugrn``, ``vvp`` and
    ``gradient_trajectory`` use virtual cells and describe what the model knows, not what is special about your cells.
    With ``groupby`` they are read at the mean cell of each group; a model that is nearly linear, as ``mini`` is, gives
    groups nearly the same network. ``pert`` weighs every regulator by its expression in the group. Cost: that of the
    probes.

    Examples
    --------
    >>> import grn
    >>> adata = grn.datasets.pbmc68k()[:, ["SPI1", "LYZ", "CD79A", "CST3", "S100A8"]].copy()
    >>> grn.tl.infer_network(adata, sources=["SPI1"])
    >>> list(grn.get.edges(adata).columns[:3])
    ['source', 'target', 'weight']
    """
    validate(adata)
    check_target(adata, copy=copy, key=key_added)
    record = METHODS[method]
    check_client(client)
    if params is not None and not isinstance(params, Mapping):
        raise ParameterError(f"params={params!r}; pass a dict by name, such as {{'translator': 'chip'}}.")
    own = dict(params or {})
    record.check(own)
    if groupby is not None:
        label_codes(adata.obs, groupby)
    task = Task(
        **environment(model if record.reads_model else None, device, progress),
        sources=sources,
        targets=targets,
        groupby=groupby,
        layer=layer,
        use_raw=use_raw,
        values=values,
        seed=seed_of(rng),
        batch_size=batch_size,
        client=client,
        n_jobs=jobs(n_jobs),
    )
    task = named(adata, task)
    if record.family:
        need_family(task.model, record.family, method)
    if not record.reads_model and model != "mini":
        logger.warning("method %r reads the cells alone: it has no use for model=", method)
    if client is not None and not record.uses_client:
        logger.warning("method %r computes here: it has no use for client=", method)
    with torch_threads(jobs(n_jobs)):
        network = _fit(adata, record, task, own)
    out = target(adata, copy=copy)
    _described(network, out, record, task).write(out, key_added)
    logger.info("%s: %d edges in uns[%r]", method, len(network), key_added)
    return out if copy else None


@one_voice
@document(**_SNIPPETS)
def ugrn(
    adata: AnnData,
    *,
    model: str | FoundationModel = "mini",
    sources: Sequence[str] | None = None,
    targets: Sequence[str] | None = None,
    translator: str | Translator | dict[str, Translator] = "string",
    context: str | None = None,
    groupby: str | None = None,
    layer: str | None = None,
    use_raw: bool = False,
    values: str = "auto",
    key_added: str = "grn",
    client: Any = None,
    batch_size: int | None = None,
    device: str = "auto",
    n_jobs: int | None = None,
    progress: bool | None = None,
    copy: bool = False,
) -> AnnData | None:
    r"""Universal network inference: VVP and gradient trajectory, translated, their logits averaged.

    .. math:: p_{ij} = \sigma\left(\tfrac12 (f_{VVP}(e_{ij}) + f_{GDT}(e'_{ij}))\right)

    The sign of an edge is that of the mean gradient; the weight is sign times probability.

    Parameters
    ----------
    %(adata)s
    %(pairs)s
    translator
        ``"string"`` or ``"chip"``: the shipped translators, trained on BEELINE's hESC labels of STRING or of
        non-specific ChIP-seq; or a dict of your own for ``"vvp"`` and ``"gradient_trajectory"``.
    context
        ``"virtual"``, ``"mean"``, or ``None``: the mean cell of each group with ``groupby``, else virtual cells.
    groupby
        Column of ``obs``: one network per group.
    %(cells)s
    key_added
        Slot of the result.
    %(client)s
    %(run)s

    Returns
    -------
    AnnData or None
        ``None``, or the copy. Writes

        %(network)s

    Raises
    ------
    %(raises)s
    ExpressionError, LayerError, GroupError
        With groups or ``context="mean"``, if the values, the layer or the groups cannot be used.

    Notes
    -----
    Features that :func:`grn.tl.probe` left in ``varm`` or in a store for the same model, genes and context are used
    instead of computing them again. Cost: that of :func:`grn.tl.probe`. Source: arXiv 2605.08128.

    Examples
    --------
    >>> import grn
    >>> adata = grn.datasets.pbmc68k()[:, ["SPI1", "LYZ", "CD79A", "CST3", "S100A8"]].copy()
    >>> grn.tl.ugrn(adata, sources=["SPI1"], translator="chip")
    >>> grn.get.edges(adata)["source"].unique().tolist()
    ['SPI1']
    """
    return infer_network(
        adata,
        method="ugrn",
        model=model,
        sources=sources,
        targets=targets,
        groupby=groupby,
        layer=layer,
        use_raw=use_raw,
        values=values,
        params={"translator": translator, "context": context},
        key_added=key_added,
        client=client,
        batch_size=batch_size,
        device=device,
        n_jobs=n_jobs,
        progress=progress,
        copy=copy,
    )


def methods() -> pd.DataFrame:
    """Methods that :func:`grn.tl.infer_network` knows.

    Returns
    -------
    DataFrame
        One row per method: ``description``, ``signed``, ``probability``, ``needs``, ``model`` (the family of models
        it reads, ``""`` for any), ``parameters``, ``reference``.

    Examples
    --------
    >>> import grn
    >>> "ugrn" in grn.tl.methods().index
    True
    """
    rows = {
        name: {
            "description": METHODS[name].description,
            "signed": METHODS[name].signed,
            "probability": METHODS[name].probability,
            "needs": ", ".join(METHODS[name].needs),
            "model": METHODS[name].family,
            "parameters": ", ".join(f"{k}={v!r}" for k, v in METHODS[name].parameters().items()),
            "reference": METHODS[name].reference,
        }
        for name in METHODS
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("method")


def _fit(adata: AnnData, record: Method, task: Task, own: dict[str, Any]) -> Network:
    if record.reuses:
        found = stored_features(adata, task, own.get("context"))
        if found is not None:
            logger.info("%s: using the features stored before", record.name)
            return run(adata, record, task, own, extra={"stored": found})
    return run(adata, record, task, own)


def _matched(adata: AnnData, task: Task) -> dict[str, Any]:
    """The genes asked for, and what the model knows of them where the method reads one."""
    if task.model is None:
        return {"sources": task.sources, "targets": task.targets}
    try:
        genes = pair_genes(adata, task.model, task.sources, task.targets)
    except (GeneNameError, GeneOverlapError):
        return {"sources": task.sources, "targets": task.targets}
    return {
        "targets": task.targets,
        "sources": np.asarray(adata.var_names, dtype=str)[genes.sources],
        "n_unknown": len(genes.unknown),
        "unknown": genes.unknown,
        "lost_sources": genes.lost_sources,
    }


def _described(network: Network, adata: AnnData, record: Method, task: Task) -> Network:
    names = np.asarray(adata.var_names, dtype=str)
    params = {
        **network.params,
        "method": record.name,
        **provenance(task.model),
        "groupby": task.groupby,
        "layer": network.params.get("layer", task.layer),
        "use_raw": network.params.get("use_raw", task.use_raw),
        "values": network.params.get("values", task.values),
        "seed": task.seed,
        "n_genes": len(names),
        **_matched(adata, task),
    }
    if task.groupby is not None:
        groups, codes = label_codes(adata.obs, task.groupby)
        params["n_cells"] = dict(zip(groups, np.bincount(codes).tolist(), strict=True))
    return with_params(network, params)
