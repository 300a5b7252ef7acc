"""Arguments that several functions document in the same words."""

from __future__ import annotations

SNIPPETS = {
    "adata": """
        adata
            Annotated matrix (cells, genes). Names of genes may be symbols, Ensembl ids or mouse symbols, see
            ``grn.pp.align_genes``. Or a MuData: the result goes to its modality, networks go to ``mdata.uns``.
        rna
            Modality of the MuData that holds the cells and genes; read only where ``adata`` is one.
        """,
    "atac": """
        atac
            Modality of the MuData that holds open chromatin, whose ``var_names`` are regions such as ``chr1:100-600``;
            for methods that need ``"regions"``.
        """,
    "pairs": """
        model
            Foundation model: a name from ``grn.models.available()``, a path, or a model.
        sources
            Regulators (list of ``var_names``, or of symbols in a column of ``var`` beside them); by default the genes
            marked in ``var["is_regulator"]``, or, without that column, those in the embedded list of transcription
            factors.
        targets
            Targets (as ``sources``); all genes by default. Rows of others, and of features that are no genes, are NaN.
        """,
    "order": """
        order
            Genes (list of ``var_names``) in the order in which the model is shown them, each source and target among
            them once; by default that of the model's vocabulary, whatever the order of the object. It matters to
            models with positions, GeneCompass and Geneformer, for which the place of a gene is its rank of expression.
        """,
    "background": """
        background
            ``"fixed"``: the other genes stay at the baseline. ``"unknown"``: the model is shown gene i alone, and its
            response is compared with what it says where gene i alone is at the baseline; for models that can be shown
            so little (capability ``"unknown"``), whose pages say what that means.
        """,
    "groups_of_net": """
        groupby
            Column of ``obs``: compare within every group, such as every type of cell. By default the column that the
            network was inferred with, where it has groups; each group is then scored with its own network.
        """,
    "strongest": """
        min_probability
            Smallest ``probability`` of an edge; needs that column.
        max_q
            Largest ``qval`` of an edge; needs that column.
        top_per_source
            Number of strongest edges per regulator and group.
        """,
    "cells": """
        layer
            Layer with counts or log-normalised values; ``None`` reads ``X``.
        use_raw
            Read ``.raw`` instead of ``X``.
        values
            What the values are: ``"counts"``, ``"linear"`` (normalised, or counts with fractions) or ``"log"``;
            ``"auto"`` finds out, see ``grn.pp.check_expression``, and warns where it is in doubt.
        """,
    "cache": """
        cache
            Folder where the parts of the fit are kept: a call that was interrupted goes on where it stopped, when it is
            made again, with the same numbers as without the interruption, and makes anew what is damaged. Other data
            or arguments make parts of their own. Not recorded; delete it when you are done. ``None`` keeps nothing.
        """,
    "far": """
        store
            Folder for features that are too large for memory: a zarr group, written regulator by regulator. A call
            that was interrupted goes on where it stopped, when it is made again, and makes anew what is damaged; other
            arguments, another model or other genes need another folder. Nothing goes into ``varm`` then;
            ``uns[key_added]`` names the folder (``store``) and the hash of its manifest (``store_sha256``), and
            ``grn.get.features`` reads from it.
            ``None`` keeps features in memory.
        client
            ``dask.distributed.Client``: its workers compute, with the same numbers. ``None`` computes here.
        """,
    "client": """
        client
            ``dask.distributed.Client``: its workers do the work of the method, with the same numbers. ``None`` computes
            here, as do methods that read embeddings only; they say so in the log.
        """,
    "run": """
        batch_size
            Virtual cells per pass; decided from ``grn.settings.memory_budget`` by default. Changes speed only.
        device
            ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.
        n_jobs
            Torch threads; -1 for all cores, ``None`` leaves torch's choice.
        progress
            Show a progress bar; by default only on a terminal or in a notebook.
        copy
            Return a new object instead of writing into ``adata``.
        """,
    "run_cells": """
        batch_size
            Cells per pass; decided from ``grn.settings.memory_budget`` by default. Changes speed only.
        device
            ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.
        n_jobs
            Torch threads; -1 for all cores, ``None`` leaves torch's choice.
        progress
            Show a progress bar; by default only on a terminal or in a notebook.
        copy
            Return a new object instead of writing into ``adata``.
        """,
    "raises": """
        GeneNameError
            If gene names are duplicated or empty, or ``sources``/``targets`` are not in ``var_names``.
        GeneOverlapError
            If the model knows none of the sources or targets.
        CapabilityError
            If the model does not offer the probe.
        ParameterError
            If an argument is out of its range.
        """,
    "raises_far": """
        StorageError
            If the folder of ``store`` cannot be written; told before anything is computed.
        """,
    "uns": """
        ``uns[key_added]``
            Dict: ``sources`` (names along axis 1), ``grid`` (values along axis 2), ``value_scale``, ``unknown``
            (genes the model does not know), ``params`` (every argument, the model's name and sha256, the package
            version), and ``groups`` when read per group.
        """,
}
