"""LPM (Miladinovic et al. 2025): what an intervention does to a readout in a context, from three embeddings.

There is no expression in the input: a perceptron reads the embeddings of a context, of a perturbation and of a
readout. Between the embedding of the control and that of an intervention lies a straight path; the position on it
stands for the value of the perturbed gene.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from grn._core import checks
from grn._core.errors import ParameterError, WeightsError
from grn._core.files import output_file
from grn._core.logging import logger
from grn._core.rng import RNGLike
from grn.models._bounds import outline
from grn.models._checkpoint import Checkpoint, fill, published
from grn.models._formats import Format
from grn.models._lpm_data import ScreenDesign
from grn.models._lpm_fit import Run, TrainingRecipe, fit_network
from grn.models._lpm_network import AGGREGATIONS, CONTROL, LISTS, READOUT, LPMNetwork, Symbols, aggregate, read_symbols
from grn.models._lpm_path import PathModel, check_organism, rows_of
from grn.models._model_file import save_pickled, sha256_file
from grn.models._published_model import About
from grn.models._random import random_state
from grn.models.steady import undisturbed

MAX_GENES = 100_000
TABLES = ("context_embedding_layer.weight", "perturb_embedding_layer.weight", "readout_embedding_layer.weight")


class LPM(PathModel):
    """LPM behind the protocol; see :class:`grn.models.FoundationModel`.

    The value of a gene is the weight t of its intervention: 0 is the control, 1 the intervention as trained (for
    CRISPRi the knock-down), and below 0 the path is prolonged the other way. Genes that can be perturbed and genes
    that can be read are two lists. Where no context is asked for, predictions are means over ``contexts``.

    Parameters
    ----------
    network
        The network.
    symbols
        Names of contexts, perturbations and readouts.
    about
        Name, hash, largest panel, number type.
    perturbation_type
        Intervention that makes a gene a source, such as ``"CRISPRi"``; needed where there are several.
    args
        Arguments of the original model, kept for ``save``; ``embedding_aggregation_mode`` says how combinations of
        perturbations are read.
    organism
        ``"human"`` or ``"mouse"``: whose symbols they are.
    """

    def __init__(
        self,
        network: LPMNetwork,
        symbols: Symbols,
        about: About,
        *,
        perturbation_type: str | None = None,
        args: Mapping[str, Any] | None = None,
        organism: str = "human",
    ) -> None:
        super().__init__(network, symbols, about, perturbation_type=perturbation_type, args=args, organism=organism)
        self.report: dict[str, Any] = {}

    def predict(
        self, perturbations: Sequence[str], readouts: Sequence[str] | None = None, *, context: str | None = None
    ) -> np.ndarray:
        """Predicted readouts of perturbations, by their symbols.

        Parameters
        ----------
        perturbations
            Symbols such as ``"CRISPRi_GATA1"``, ``"Control"``, or combinations of them joined by ``+`` (P of them).
        readouts
            Symbols such as ``"Transcriptome_CD14"`` (R of them); all readouts by default.
        context
            Name from ``contexts``; the mean over ``contexts`` by default.

        Returns
        -------
        ndarray
            float32 (P, R), on the scale of the training data.

        Raises
        ------
        ParameterError
            If a symbol is unknown. The original takes an unknown perturbation for the control.
        """
        view = self if context is None else self.within([context])
        columns = rows_of(self.symbols.readouts if readouts is None else readouts, self.symbols.readouts, "readouts")
        perturbations = checks.names("perturbations", perturbations, what="symbols")
        table, device = self.network.perturb_embedding_layer.weight, self.device
        sets = [rows_of(name.split("+"), self.symbols.perturbations, "perturbations") for name in perturbations]
        embedded = [aggregate(table[torch.tensor(rows, device=device)], self.aggregation) for rows in sets]
        chosen = self.network.readout_embedding_layer.weight[torch.tensor(columns, dtype=torch.long, device=device)]
        size = max(1, 2**24 // max(1, len(columns) * self.sizes["feedforward"]))
        blocks = torch.stack(embedded).split(size) if embedded else ()
        parts = [view._mean_table(block, chosen).detach().cpu().numpy() for block in blocks]
        return np.concatenate(parts) if parts else np.zeros((0, len(columns)), dtype=np.float32)

    @classmethod
    @undisturbed
    def fit(
        cls,
        adata: Any,
        *,
        perturbation: str,
        control: str = "control",
        context: str | None = None,
        layer: str | None = None,
        use_raw: bool = False,
        values: str = "auto",
        perturbation_type: str = "CRISPRi",
        organism: str = "human",
        min_cells: int = 5,
        embedding_dim: int = 32,
        hidden_dim: int = 512,
        num_layers: int = 2,
        dropout: float = 0.0,
        epochs: int = 50,
        batch_size: int = 5000,
        lr: float = 0.002,
        lr_decay: float = 0.99,
        holdout: float = 0.0,
        path: str | Path | None = None,
        rng: RNGLike = 0,
        device: str = "auto",
        progress: bool | None = None,
    ) -> LPM:
        r"""Train a model on single cells with known perturbations.

        Values are log1p counts per 10 000, standardised per context and gene by the mean and the spread of the
        control cells. The model learns the mean :math:`\bar z_{prc}` over the cells of perturbation p in context c:

        .. math:: \min \sum_{p, r, c} (f(P_p, R_r, C_c) - \bar z_{prc})^2

        Parameters
        ----------
        adata
            Annotated matrix (cells, genes) of counts or log-normalised values. Genes are named by
            ``var["grn_symbol"]`` (see ``grn.pp.align_genes``) where it is there, else by ``var_names``.
        perturbation
            Column of ``obs``: the perturbed gene of every cell, several joined by ``+``, or the control label.
        control
            Label of unperturbed cells. In a combination it is left out: ``"GATA1+control"`` is ``"GATA1"``.
        context
            Column of ``obs`` with cell lines, donors or treatments; ``None`` is one context, named ``"all"``.
        layer
            Layer to read; ``None`` reads ``X``.
        use_raw
            Read ``.raw`` instead of ``X``, for the genes in ``var_names``.
        values
            What the values are: ``"counts"``, ``"linear"`` or ``"log"``; ``"auto"`` finds out, and warns if in doubt.
        perturbation_type
            Kind of intervention, the first part of the symbols: ``"CRISPRi"``, ``"CRISPR-KO"``, ``"CRISPRa"``, ...
        organism
            ``"human"``, or ``"mouse"`` for mouse symbols in ``var_names``.
        min_cells
            Least number of cells of a perturbation in a context; rarer ones are left out and counted in the log.
        embedding_dim, hidden_dim, num_layers
            Width of an embedding, width and number of hidden layers.
        dropout
            Dropped fraction of hidden units.
        epochs, batch_size
            Passes over all (perturbation, readout, context), and how many of these per step.
        lr, lr_decay
            Learning rate of AdamW and its factor per epoch.
        holdout
            Fraction of the (perturbation, context) pairs kept out of training, chosen by the hash of their names
            among those whose perturbation is seen elsewhere; ``report`` and the log tell how well they are predicted.
        path
            File the model is written to. The state of training is kept in ``path + ".state"`` after every epoch, and
            the same call goes on from there after an interruption. ``None`` keeps nothing.
        rng
            Seed of the start weights and of the order of batches.
        device
            ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.
        progress
            Show a progress bar; by default only on a terminal.

        Returns
        -------
        LPM
            The trained model on the CPU. ``report`` holds the loss of every epoch run and the held-out figures.

        Raises
        ------
        ParameterError
            If an argument is out of its range, or nothing can be held out.
        GroupError
            If a column is missing or has gaps, or a context has too few control cells.
        ExpressionError
            If values are negative, NaN, or do not vary among the control cells.
        GeneNameError
            If gene names are duplicated.
        LayerError
            If the layer or ``.raw`` does not exist.
        StorageError
            If nothing can be written at ``path``; told before training.
        WeightsError
            If the state file is unreadable or belongs to another call.

        Notes
        -----
        The order of cells and genes does not matter: everything is ordered by name. Cost: about 0.1 s per step of 5 000
        values on two cores; 2 000 perturbations of 5 000 genes are 2 000 steps per epoch.

        Examples
        --------
        >>> import grn
        >>> adata = grn.datasets.toy(n_cells=60, n_regulators=3, n_targets=5)
        >>> adata.obs["perturbed"] = ["control", "GATA1", "SPI1"] * 20
        >>> model = grn.models.LPM.fit(adata, perturbation="perturbed", context="group", epochs=2, device="cpu")
        >>> model.source_genes
        ('GATA1', 'SPI1')
        """
        check_organism(organism)
        design = ScreenDesign(
            perturbation, control, context, layer, use_raw, values, perturbation_type, organism == "human", min_cells
        )
        recipe = TrainingRecipe(
            embedding_dim, hidden_dim, num_layers, dropout, epochs, batch_size, lr, lr_decay, holdout
        )
        run = Run(path=None if path is None else output_file(path), rng=rng, device=device, show=progress)
        network, symbols, report = fit_network(adata, design, recipe, run)
        about = About("lpm-fitted" if run.path is None else run.path.stem, report.pop("sha256"), MAX_GENES)
        model = cls(network, symbols, about, perturbation_type=perturbation_type, args=recipe.args(), organism=organism)
        if run.path is not None:
            model.sha256 = sha256_file(save(model, run.path))
            run.state.unlink(missing_ok=True)
        model.report = report
        return model


def load(
    checkpoint: Checkpoint,
    *,
    name: str,
    dtype: str = "float32",
    perturbation_type: str | None = None,
    contexts: Sequence[str] | None = None,
    organism: str = "human",
) -> LPM:
    """Read a checkpoint: the tuple ``("LPM", arguments, state)`` of the authors' library, or a Lightning file."""
    symbols = read_symbols(checkpoint)
    args = dict(checkpoint.hyper)
    mode = args.get("embedding_aggregation_mode", "mean")
    if mode not in AGGREGATIONS:
        raise WeightsError(
            f"{checkpoint.path} has embedding_aggregation_mode={mode!r}; expected one of {', '.join(AGGREGATIONS)}."
        )
    layers = 0
    while checkpoint.has(f"predictor.{3 * layers + 3}.weight"):
        layers += 1
    hidden, inputs = checkpoint.shape("predictor.0.weight", 2)
    _, d = checkpoint.shape(TABLES[0], 2)
    if inputs != 3 * d:
        raise WeightsError(
            f"'predictor.0.weight' in {checkpoint.path} takes {inputs} numbers; three embeddings of width {d} are "
            f"{3 * d}."
        )
    with outline():
        network = LPMNetwork(symbols, d, hidden, layers)
    unused = fill(network, checkpoint, str)
    about = About(name, checkpoint.sha256(), MAX_GENES, dtype=dtype, unused=unused)
    model = LPM(network, symbols, about, perturbation_type=perturbation_type, args=args, organism=organism)
    if mode != "mean":
        logger.warning(
            "%s reads a combination of perturbations as the %s of their embeddings, as its arguments say; the authors' "
            "own loader takes the mean whatever was trained",
            name,
            mode,
        )
    if contexts is None:
        return model
    view = model.within(contexts)
    view.sha256 = model.sha256  # what is asked for is added to it by whoever asks
    return view


def save(model: LPM, path: Path) -> Path:
    """Write one file: the tuple ``("LPM", arguments, state)``, with the lists of symbols in the state."""
    if path.is_dir():
        raise ParameterError(f"{path} is a folder; this model is one file: pass a path such as {path / 'lpm.pt'}.")
    sizes, symbols = model.sizes, model.symbols
    args = dict(model.args) | {"embedding_dim": sizes["width"], "num_layers": sizes["layers"]}
    if sizes["layers"]:
        args["hidden_dim"] = sizes["feedforward"]
    lists = (symbols.contexts, symbols.perturbations, symbols.readouts)
    state = {**published(model.network, str), **{key: list(names) for key, names in zip(LISTS, lists, strict=True)}}
    save_pickled(path, ("LPM", args, state))
    return path


def untrained(
    genes: Sequence[str], *, layers: int, width: int, heads: int, feedforward: int | None = None, seed: int = 0
) -> LPM:
    """Random weights in the published architecture, two contexts; there are no heads."""
    symbols = Symbols(
        ("context_0", "context_1"),
        (CONTROL, *(f"CRISPRi_{gene}" for gene in genes)),
        tuple(f"{READOUT}{gene}" for gene in genes),
    )
    network = random_state(LPMNetwork(symbols, width, feedforward or 16 * width, layers), seed)
    return LPM(network, symbols, About("lpm-untrained", "untrained", MAX_GENES))


def recognises(checkpoint: Checkpoint) -> bool:
    """The label of the authors' library, or a table of perturbations or readouts."""
    return checkpoint.label == "LPM" or any(checkpoint.has(key) for key in TABLES[1:])


FORMAT = Format("lpm", recognises, load, save, untrained)
