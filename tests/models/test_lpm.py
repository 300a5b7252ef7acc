"""LPM: the numbers of its authors' code, every layout of its files, and what is refused."""

import functools
import logging
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.autograd import forward_ad

import grn
from grn.errors import CapabilityError, ParameterError, WeightsError
from grn.models._lpm_network import LPMNetwork, Symbols
from grn.models._published_model import About
from grn.models._random import random_state
from grn.models.lpm import LPM

GENES = [f"G{i}" for i in range(7)]
TABLE = "perturb_embedding_layer.weight"


@pytest.fixture(scope="module")
def reference(shared_dir):
    folder = shared_dir / "reference" / "lpm"
    with np.load(folder / "reference.npz") as found:
        tensors = dict(found)
    model = grn.models.load(folder / "lpm.pt")
    genes = [f"GENE{i}" for i in range(12)]
    return SimpleNamespace(model=model, panel=model.panel(genes, genes), **tensors)


def close(found, wanted, atol=1e-5):
    np.testing.assert_allclose(np.asarray(found), wanted, atol=atol, rtol=0)


def test_predictions(reference):
    model, n = reference.model, len(reference.panel)
    for i, context in enumerate(model.contexts):
        close(model.predict(model.symbols.perturbations, context=context), reference.predictions[i])
        here, contrast = torch.tensor([i]), reference.predictions[i][:, :12]
        close(model.respond(reference.panel, torch.zeros(1, n), context=here), contrast[:1])
        close(model.respond(reference.panel, torch.eye(n), context=here), contrast[1:])
    mean = reference.predictions.mean(axis=0)
    close(model.predict(model.symbols.perturbations), mean)
    close(model.respond(reference.panel, torch.eye(n)), mean[1:, :12])


def test_combinations(reference):
    model, names = reference.model, np.array(reference.model.symbols.perturbations)
    sets = ["+".join(names[part]) for part in np.split(reference.combo_flat, reference.combo_offsets[1:])]
    found = model.predict(sets, [model.symbols.readouts[3]], context=model.contexts[0])
    close(found[:, 0], reference.combo_predictions)


def test_gradient_along_the_path(reference):
    n = len(reference.panel)
    for t, wanted in zip(reference.interp_t, reference.interp_grad, strict=True):
        values = torch.eye(n) * float(t)
        _, slope = reference.model.respond_dual(reference.panel, values, torch.eye(n), context=torch.tensor([0]))
        close(slope, wanted)


def test_embeddings(reference):
    close(reference.model.network.perturb_embedding_layer.weight, reference.perturb_embedding)
    close(reference.model.embed(reference.panel)[:, :16], reference.perturb_embedding[1:])
    assert reference.model.sizes["perturbations"] == 13 and reference.model.sizes["readouts"] == 14
    assert "GENE90" in reference.model.target_genes and "GENE90" not in reference.model.source_genes


def make(symbols=None, *, d=6, hidden=10, layers=2, seed=1, spread=0.5, **given) -> LPM:
    """A random model; by default some genes can only be perturbed and some only be read."""
    symbols = symbols or Symbols(
        ("line_a", "line_b", "line_c"),
        ("CRISPRi_G3", "Control", "CRISPRi_G1", "CRISPRi_G0", "aspirin"),
        ("Transcriptome_G5", "Transcriptome_G1", "Viability", "Transcriptome_G3"),
    )
    network = random_state(LPMNetwork(symbols, d, hidden, layers), seed, spread=spread)
    return LPM(network, symbols, About("tiny", "0" * 64, 1000), **given)


def written(model, path, *, change=lambda parts: None, layout="tuple"):
    """Save a model, edit what is in the file, and write it in a layout."""
    label, args, state = torch.load(grn.models.save(model, path), weights_only=True)
    parts = SimpleNamespace(label=label, args=args, state=state)
    change(parts)
    torch.save((parts.label, parts.args, parts.state), path)
    if layout != "tuple":
        path = path.with_suffix(".ckpt")
        extra = {"profiler": functools.partial(torch.optim.AdamW)} if layout == "objects" else {}
        torch.save({"epoch": 3, "state_dict": parts.state, "hyper_parameters": parts.args | extra}, path)
    return path


@pytest.mark.parametrize("layout", ["tuple", "lightning", "objects"])
@pytest.mark.parametrize("sizes", [{"layers": 0}, {"layers": 1, "hidden": 5}, {"layers": 3, "d": 4}], ids=str)
def test_every_layout_and_size_is_read_back(sizes, layout, tmp_path):
    model = make(**sizes)

    def without_arguments(parts):
        parts.args = {}

    path = written(model, tmp_path / "tiny.pt", layout=layout, change=without_arguments)
    again = grn.models.load(path)
    assert again.sizes == model.sizes and again.symbols == model.symbols and again.name == "tiny"
    np.testing.assert_array_equal(again.predict(["Control", "aspirin"]), model.predict(["Control", "aspirin"]))


def test_arguments_survive_a_round_trip(tmp_path):
    args = {"learning_rate": 0.005, "embedding_aggregation_mode": "mean", "embedding_dim": 6}
    path = grn.models.save(make(args=args), tmp_path / "tiny.pt")
    again = grn.models.load(path)
    assert again.args == args | {"num_layers": 2, "hidden_dim": 10}
    assert len(again.sha256) == 64
    with pytest.raises(ParameterError, match="is a folder"):
        grn.models.save(again, tmp_path)


def test_untrained_models_are_read_back(tmp_path):
    model = grn.models.untrained("lpm", genes=GENES, layers=3, width=8, heads=4, rng=2)
    again = grn.models.load(grn.models.save(model, tmp_path / "one"))
    assert again.sizes["layers"] == 3 and again.sizes["width"] == 8 and again.sizes["feedforward"] == 128
    panel = model.panel(GENES, GENES)
    np.testing.assert_array_equal(again.respond(panel, torch.eye(7)), model.respond(panel, torch.eye(7)))


def test_sources_and_targets_are_two_lists():
    model = make()
    assert model.source_genes == ("G3", "G1", "G0") and model.target_genes == ("G5", "G1", "G3")
    panel = model.panel(["G5", "G0", "G1", "nobody"], ["G0", "G3", "G5"])
    assert panel.genes == ("G3", "G1", "G0", "G5")
    assert panel.sources == ("G0", "G1") and panel.src_pos.tolist() == [2, 1]
    assert panel.targets == ("G3", "G5") and panel.tgt_pos.tolist() == [0, 3]
    assert panel.unknown == ("nobody",), "G5 and G0 have a role each"
    halves = torch.isnan(model.embed(panel)).reshape(4, 2, 6)
    assert halves.all(dim=-1).tolist() == halves.any(dim=-1).tolist()
    assert halves.any(dim=-1).tolist() == [[False, False], [False, False], [False, True], [True, False]]
    assert model.respond(panel, torch.zeros(2, 4)).shape == (2, 2)
    model.max_genes = 3
    with pytest.raises(ParameterError, match="takes 3 at a time"):
        model.panel(["G5", "G0", "G1"], ["G0", "G3", "G5"])


def test_a_gene_without_perturbation_cannot_be_set():
    model = make()
    panel = model.panel(["G1"], ["G1", "G5"])
    for values, tangents in ((torch.ones(1, 2), torch.zeros(1, 2)), (torch.zeros(1, 2), torch.ones(1, 2))):
        with pytest.raises(ParameterError, match=r"1 genes have no perturbation .*G5"):
            model.respond_dual(panel, values, tangents)
    with pytest.raises(ParameterError, match="G5"):
        model.respond(panel, torch.ones(1, 2))


def test_the_path_leads_from_control_to_intervention_and_adds_up():
    model = make()
    panel = model.panel(["G0", "G1", "G3"], ["G1", "G5"])
    names = [f"Transcriptome_{gene}" for gene in panel.targets]
    wanted = model.predict([f"CRISPRi_{gene}" for gene in panel.sources], names)
    columns = panel.src_pos
    close(model.respond(panel, torch.eye(4)[columns]), wanted, atol=1e-6)
    close(model.respond(panel, torch.zeros(1, 4)), model.predict(["Control"], names), atol=1e-6)
    table = model.network.perturb_embedding_layer.weight
    values = torch.zeros(1, 4)
    values[0, columns] = torch.tensor([0.5, -1.0, 0.25])
    z = table[1] + 0.5 * (table[3] - table[1]) - (table[2] - table[1]) + 0.25 * (table[0] - table[1])
    readouts = model.network.readout_embedding_layer.weight[[1, 0]]
    close(model.respond(panel, values), model._mean_table(z[None], readouts), atol=1e-6)


def test_neither_the_order_of_names_nor_the_batch_matters():
    model = make()
    values = torch.linspace(-1, 1, 12).reshape(4, 3)
    panel = model.panel(["G0", "G1", "G3"], ["G1", "G3"])
    mixed = model.panel(["G3", "G0", "G1"], ["G3", "G1"])
    assert panel.genes == mixed.genes
    found = model.respond(panel, values)
    close(model.respond(mixed, values), found.flip(1), atol=1e-6)
    close(torch.cat([model.respond(panel, row[None]) for row in values]), found, atol=1e-6)


def test_the_dual_is_the_derivative():
    model = make()
    model.network.double()
    panel = model.panel(["G0", "G1", "G3"], ["G1", "G5"])
    generator = torch.Generator().manual_seed(0)
    values = torch.rand(5, 4, generator=generator, dtype=torch.float64)
    tangents = torch.rand(5, 4, generator=generator, dtype=torch.float64)
    values[:, 3] = tangents[:, 3] = 0
    with forward_ad.dual_level():
        slope = forward_ad.unpack_dual(model.read(panel, forward_ad.make_dual(values, tangents))).tangent
    step = 1e-6
    wanted = (model.read(panel, values + step * tangents) - model.read(panel, values - step * tangents)) / (2 * step)
    close(slope, wanted, atol=1e-8)


def test_contexts():
    model = make()
    panel = model.panel(["G0", "G1"], ["G1", "G5"])
    values = torch.rand(3, 3) * torch.tensor([1.0, 1.0, 0.0])
    each = torch.stack([model.respond(panel, values, context=torch.tensor([i])) for i in range(3)])
    close(model.respond(panel, values), each.mean(0), atol=1e-6)
    close(model.respond(panel, values, context=torch.tensor([2, 0])), each[[0, 2]].mean(0), atol=1e-6)
    part = model.within(["line_c", "line_a"])
    assert part.contexts == ("line_c", "line_a") and model.contexts == ("line_a", "line_b", "line_c")
    close(part.respond(panel, values, context=torch.tensor(0)), each[2], atol=0)
    close(part.respond_dual(panel, values, values)[0], each[[0, 2]].mean(0), atol=1e-6)
    for wrong in (torch.tensor([3]), torch.tensor([-1]), torch.tensor([0.0]), torch.tensor([], dtype=torch.long)):
        with pytest.raises(ParameterError, match="positions from 0 to 2"):
            model.respond(panel, values, context=wrong)


def test_parameters_of_load(tmp_path):
    path = grn.models.save(make(), tmp_path / "tiny.pt")
    model = grn.models.load(path, params={"contexts": ["line_b"], "organism": "mouse"})
    assert model.contexts == ("line_b",) and model.organism == "mouse"
    close(model.predict(["aspirin"]), make().predict(["aspirin"], context="line_b"), atol=0)
    bad = ({"contexts": ["line_x"]}, {"contexts": []}, {"contexts": "line_b"}, {"organism": "yeast"}, {"layers": 1})
    for params in bad:
        with pytest.raises(ParameterError, match=r"line_a|use one of human|no parameter"):
            grn.models.load(path, params=params)
    with pytest.raises(ParameterError, match="float32"):
        grn.models.load(path, dtype="bfloat16")


def test_several_types_of_perturbation_need_a_choice(tmp_path):
    symbols = Symbols(
        ("one",), ("Control", "CRISPRi_G1", "CRISPRa_G1", "CRISPRi_G2", "valproic_acid"), ("Transcriptome_G1",)
    )
    path = grn.models.save(make(symbols, perturbation_type="CRISPRa"), tmp_path / "tiny.pt")
    with pytest.raises(ParameterError, match=r"'CRISPRi' \(2 genes\), 'CRISPRa' \(1 genes\)"):
        grn.models.load(path)
    model = grn.models.load(path, params={"perturbation_type": "CRISPRa"})
    assert model.source_genes == ("G1",) and model.direction == 1
    with pytest.raises(ParameterError, match="'CRISPRi'"):
        grn.models.load(path, params={"perturbation_type": "shRNA"})
    knocked = make(Symbols(("one",), ("Control", "CRISPRi_G1", "valproic_acid"), ("Transcriptome_G1",)))
    assert knocked.source_genes == ("G1",) and knocked.direction == -1, "a compound is no gene"
    other = make(Symbols(("one",), ("Control", "guide_G1", "valproic_acid"), ("Transcriptome_G1",)))
    assert other.source_genes == ("G1",) and other.direction == 0
    only = make(Symbols(("one",), ("Control", "aspirin", "valproic_acid", "zinc_oxide"), ("Transcriptome_G1",)))
    assert only.source_genes == () and only.direction == 0 and only.predict(["aspirin"]).shape == (1, 1)


@pytest.mark.parametrize(("mode", "joined"), [("mean", "mean"), ("sum", "sum"), ("max", "amax")])
def test_combinations_follow_the_arguments(mode, joined, tmp_path, caplog):
    model = make(args={"embedding_aggregation_mode": mode})
    with caplog.at_level(logging.WARNING, "grn"):
        again = grn.models.load(grn.models.save(model, tmp_path / "tiny.pt"))
    assert (mode in caplog.text) == (mode != "mean")
    z = getattr(model.network.perturb_embedding_layer.weight[[4, 0]], joined)(dim=0)
    wanted = model._mean_table(z[None], model.network.readout_embedding_layer.weight)
    close(again.predict(["aspirin+CRISPRi_G3"]), wanted, atol=1e-6)


def test_unknown_symbols_are_refused():
    model = make()
    with pytest.raises(ParameterError, match=r"CRISPRi_G9.*Did you mean 'CRISPRi_G"):
        model.predict(["Control", "aspirin+CRISPRi_G9"])
    with pytest.raises(ParameterError, match="readouts are unknown"):
        model.predict(["Control"], ["G1"])
    for single in ({"perturbations": "Control"}, {"perturbations": ["Control"], "readouts": "Viability"}):
        with pytest.raises(ParameterError, match="single string"):
            model.predict(**single)
    assert model.predict([]).shape == (0, 4)


def test_what_the_model_cannot_do_is_said():
    model = make()
    panel = model.panel(["G1"], ["G1"])
    with pytest.raises(CapabilityError, match="attention"):
        model.attention(panel, torch.zeros(1, 1))
    with pytest.raises(CapabilityError, match="perturbation_response"):
        model.encode_cells(np.zeros((1, 1)), ["G1"])


def pop(key):
    return lambda parts: parts.state.pop(key)


def put(key, value):
    return lambda parts: parts.state.update({key: value})


CORRUPT = {
    "missing table": (pop(TABLE), TABLE),
    "missing layer": (pop("predictor.3.bias"), r"predictor\.3\.bias"),
    "missing names": (pop("perturb_symbols"), "perturb_symbols"),
    "extra tensor": (put("decoder.weight", torch.zeros(2)), r"decoder\.weight"),
    "extra entry": (put("dose_symbols", ["low"]), "dose_symbols"),
    "gap in the layers": (put("predictor.9.weight", torch.zeros(1, 10)), r"predictor\.9\.bias"),
    "wrong shape": (put("predictor.3.weight", torch.zeros(10, 9)), r"predictor\.3\.weight"),
    "wrong width": (put("readout_embedding_layer.weight", torch.zeros(4, 5)), "readout_embedding_layer"),
    "wrong input": (put("predictor.0.weight", torch.zeros(10, 12)), "three embeddings of width 6"),
    "too few names": (put("readout_symbols", ["Transcriptome_G1"]), "1 names in 'readout_symbols' and 4 rows"),
    "no control": (put("perturb_symbols", ["a", "b", "c", "d", "e"]), "Control"),
    "repeated names": (put("context_symbols", ["line_a", "line_b", "line_a"]), "repeats 'line_a'"),
    "no names": (put("context_symbols", [1, 2, 3]), "context_symbols"),
    "unknown mode": (lambda parts: parts.args.update(embedding_aggregation_mode="median"), "median"),
}


@pytest.mark.parametrize("case", CORRUPT)
def test_what_does_not_fit_is_named(case, tmp_path):
    change, told = CORRUPT[case]
    path = written(make(), tmp_path / "tiny.pt", change=change)
    with pytest.raises(WeightsError, match=told):
        grn.models.load(path)


def test_a_truncated_file_is_refused(tmp_path):
    path = written(make(), tmp_path / "tiny.pt")
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(WeightsError, match=r"tiny\.pt"):
        grn.models.load(path)


class Code:
    def __reduce__(self):
        return print, ("this must not be run",)


@pytest.mark.parametrize("layout", ["tuple", "lightning"])
def test_code_in_a_file_is_not_run(layout, tmp_path, capsys):
    path = written(make(), tmp_path / "tiny.pt", change=put("context_symbols", Code()), layout=layout)
    with pytest.raises(WeightsError, match="not run"):
        grn.models.load(path)
    assert "must not" not in capsys.readouterr().out


def test_a_model_of_another_kind_from_the_same_library_is_unknown(tmp_path):
    torch.save(("NoPerturb", {}, {"weight": torch.zeros(2)}), tmp_path / "other.pt")
    with pytest.raises(WeightsError, match="no known architecture"):
        grn.models.load(tmp_path / "other.pt")
