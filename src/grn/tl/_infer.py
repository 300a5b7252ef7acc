"""Networks from an object, by any registered method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from anndata import AnnData

from grn._core.docs import document
from grn._core.logging import one_voice
from grn._core.rng import RNGLike, seed_of
from grn._object.modalities import on_mudata
from grn.methods import METHODS
from grn.methods.inference import infer
from grn.models import FoundationModel
from grn.tl._snippets import SNIPPETS

if TYPE_CHECKING:
    from mudata import MuData

    from grn.models.translator import Translator

_SNIPPETS = {
    **SNIPPETS,
    "network": """
        ``uns[key_added]["edges"]``
            DataFrame ``source, target, weight`` and, where the method gives them, ``sign`` (+1, -1, NaN when
            unknown), ``probability``, ``score`` (the raw effect behind them; for ``universal`` and ``ugrn`` the mean
            gradient: change of the target per unit of the source on the model's value scale), ``direction`` (what
            tells that the source regulates the target and not the other way: ``"motif"``, ``"prior"``,
            ``"response"``; ``"role"`` if only that the target is no regulator, ``"none"`` if nothing does),
            ``group``; sorted by group, then by falling absolute weight. Every pair of a source and another gene known
            to the model is listed.
        ``uns[key_added]["params"]``, ``["schema"]``
            Every argument, the model's name and sha256, the package version, the genes lost; the layout.
        """,
}


@one_voice
@document(**_SNIPPETS)
@on_mudata
def infer_network(
    adata: AnnData | MuData,
    *,
    rna: str = "rna",
    atac: str = "atac",
    method: str = "universal",
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
    cache: str | Path | None = None,
    progress: bool | None = None,
    copy: bool = False,
) -> AnnData | MuData | None:
    """Infer a gene regulatory network with any method of :func:`grn.tl.methods`.

    Parameters
    ----------
    %(adata)s
    %(atac)s
    method
        Name of the method: ``"universal"`` (responses of the model with gene families and promoter motifs, a
        probability), ``"ugrn"`` (both probes as in the paper, translated and averaged), ``"vvp"``,
        ``"gradient_trajectory"``, ``"pert"``, ``"attention"``, ``"embedding"``, a recipe of one family of published
        models such as ``"scgpt_attention"``, one that reads cells and no model such as ``"ridge"``, or one registered
        later.
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
    batch_size
        Virtual cells per pass; decided from ``grn.settings.memory_budget`` by default. Changes speed only.
    device
        ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``, for the methods that :func:`grn.tl.methods` lists with it:
        ``"auto"`` takes a GPU where there is one that the method can use. Those that have no use for a device say so
        in the log, and those that need 64-bit numbers refuse ``"mps"``, which has none.
    n_jobs
        Torch threads, and threads or processes of methods without torch; -1 for all cores, ``None`` leaves torch's
        choice and takes one else.
    %(cache)s
    progress
        Show a progress bar; by default only on a terminal or in a notebook.
    copy
        Return a new object instead of writing into ``adata``.

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
    StorageError
        If the folder of ``cache`` cannot be written; told before anything is computed.

    Notes
    -----
    ``probability`` was learned where half of the pairs are edges and says nothing of the density of real networks:
    read it as a rank. Without ``groupby``, ``ugrn``, ``vvp``,
    ``gradient_trajectory`` and ``universal`` use virtual cells and describe what the model knows, not what is special
    about your cells. With ``groupby`` they are read at the mean cell of each group, which a model that is linear cannot
    tell from another. ``pert`` weighs every regulator by its expression in the group. Cost: that of the method, which
    :func:`grn.tl.methods` tells.

    Examples
    --------
    >>> import grn
    >>> adata = grn.datasets.pbmc68k()[:, ["SPI1", "LYZ", "CD79A", "CST3", "S100A8"]].copy()
    >>> grn.tl.infer_network(adata, sources=["SPI1"])
    >>> list(grn.get.edges(adata).columns[:3])
    ['source', 'target', 'weight']
    """
    return infer(
        adata,
        method,
        model=model,
        params=params,
        key=key_added,
        sources=sources,
        targets=targets,
        groupby=groupby,
        layer=layer,
        use_raw=use_raw,
        values=values,
        seed=seed_of(rng),
        client=client,
        batch_size=batch_size,
        device=device,
        n_jobs=n_jobs,
        cache=cache,
        progress=progress,
        copy=copy,
    )


@one_voice
@document(**_SNIPPETS)
@on_mudata
def ugrn(
    adata: AnnData | MuData,
    *,
    rna: str = "rna",
    model: str | FoundationModel = "mini",
    sources: Sequence[str] | None = None,
    targets: Sequence[str] | None = None,
    translator: str | Translator | dict[str, Translator] = "string",
    context: str | None = None,
    background: str | None = None,
    protocol: str = "paper",
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
) -> AnnData | MuData | None:
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
    background
        ``"fixed"``: the other genes are at the baseline. ``"unknown"``: the model is shown one gene alone, for
        translators that were fitted so. ``None`` as the protocol says.
    protocol
        ``"paper"``: the fixed background, as published. ``"recommended"``: what the model recommends
        (``model.pair_reading``), where it recommends anything.
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
    Features that :func:`grn.tl.probe` left in ``varm`` or in a store for the same model, genes, background and context
    are used instead of computing them again. Cost: that of :func:`grn.tl.probe`. Source: arXiv 2605.08128.

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
        params={"translator": translator, "context": context, "background": background, "protocol": protocol},
        key_added=key_added,
        client=client,
        batch_size=batch_size,
        device=device,
        n_jobs=n_jobs,
        progress=progress,
        copy=copy,
    )


def methods() -> pd.DataFrame:
    """Methods that :func:`grn.tl.infer_network` knows: published systems, probes and baselines.

    Returns
    -------
    DataFrame
        One row per method, indexed by its name: ``system`` and ``year`` of the original, ``input`` (what it reads),
        ``output`` (``"edges"``, and the tables it writes beside them), ``sign`` (whether weights carry one),
        ``direction`` (what may tell that of an edge, strongest first: with a base GRN ``"motif"`` and ``"prior"``;
        ``"response"``; ``"role"``, only that the source is a regulator and the target none), ``confidence`` (columns
        that say how sure an edge is; ``""`` for none: see :func:`grn.tl.confidence`), ``devices`` (kinds that it can
        compute on, for ``device=``), ``cost`` (what it computes), ``licence`` (of the original program; here it is
        written anew), ``page`` (of the documentation), ``description``, ``needs`` (as records say it), ``model`` (the
        family of models it reads, ``""`` for any), ``parameters``, ``reference``. Methods registered later are listed
        too.

    Examples
    --------
    >>> import grn
    >>> table = grn.tl.methods()
    >>> table.loc["celloracle", ["system", "output", "confidence"]].tolist()
    ['CellOracle', 'edges, scores, entropy, simulation, triplets', 'pval']
    """
    rows = {name: METHODS[name].summary() for name in METHODS}
    return pd.DataFrame.from_dict(rows, orient="index").astype({"year": "Int64"}).rename_axis("method")
