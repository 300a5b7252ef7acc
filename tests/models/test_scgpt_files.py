"""Files of scGPT that lack something, hold more, contradict each other or hold something else: told by name."""

import pickle

import pytest
import torch

import grn
from grn.errors import ParameterError, WeightsError, WeightsNotFoundError

GENES = [f"G{i:02d}" for i in range(12)]


def test_without_its_head_a_readout_is_refused(saved_scgpt):
    def headless(state):
        for key in [key for key in state if key.startswith(("mvc_decoder.", "flag_encoder."))]:
            del state[key]

    path = saved_scgpt(headless)
    assert grn.models.load(path).readouts == ("expression",)
    for readout in ("mvc", "generative", "best"):
        with pytest.raises(ParameterError, match=f"readout='{readout}'.*use one of expression"):
            grn.models.load(path, params={"readout": readout})


def put(key, *shape):
    return lambda state: state.update({key: torch.zeros(*shape)})


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("dsbn.bns.0.weight", "batch label"),
        ("batch_encoder.embedding.weight", "batch label"),
        ("pert_encoder.weight", "perturbation fine-tune"),
        ("value_encoder.embedding.weight", "categories"),
    ],
)
def test_variants_that_compute_something_else_are_refused(saved_scgpt, key, why):
    with pytest.raises(WeightsError, match=rf"{key.split('.')[0]}.*{why}"):
        grn.models.load(saved_scgpt(put(key, 3, 16)))


@pytest.mark.parametrize(
    ("args", "told"),
    [
        ({"input_emb_style": "category"}, "input_emb_style='category'; only 'continuous'"),
        ({"input_emb_style": "scaling"}, "input_emb_style='scaling'; only 'continuous'"),
        ({"input_style": "log1p"}, "input_style='log1p'; only 'binned'"),
        ({"embsize": 512}, "embsize=512, the parameters in .* 16"),
        ({"nlayers": 12}, "nlayers=12, .* 2;"),
        ({"d_hid": 17}, "d_hid=17"),
        ({"nheads": 3}, "16 wide, which 3 heads do not divide"),
        ({"nheads": None}, "'nheads' is None in the configuration"),
        ({"n_bins": 0}, "'n_bins' is 0"),
    ],
)
def test_an_args_file_that_does_not_fit_is_refused(saved_scgpt, args, told):
    with pytest.raises(WeightsError, match=told):
        grn.models.load(saved_scgpt(args=lambda found: found.update(args)))


def test_keys_that_are_known_and_not_needed_are_reported(saved_scgpt):
    def add(state):
        for key in ("cls_decoder.out_layer.weight", "decoder.zero_logit.0.weight", "mvc_decoder.W_zero_logit.weight"):
            state[key] = torch.zeros(2, 16)

    model = grn.models.load(saved_scgpt(add))
    assert model.unused == (
        "cls_decoder.out_layer.weight",
        "decoder.zero_logit.0.weight",
        "mvc_decoder.W_zero_logit.weight",
    )


N_KEYS = len(grn.models.untrained("scgpt", genes=GENES).network.state_dict())


@pytest.mark.parametrize("number", range(N_KEYS))
def test_any_missing_or_misshapen_key_is_named(saved_scgpt, number):
    """Sizes are read off some shapes; one that is wrong there shows as a contradiction with the files beside it."""
    found = []

    def remove(state):
        found.append(sorted(state)[number])
        del state[found[0]]

    def reshape(state):
        state[found[0]] = state[found[0]][..., :-1]

    path = saved_scgpt(remove)
    if found[0] == "flag_encoder.weight":
        assert "generative" not in grn.models.load(path).readouts, "a head of one key, which may be absent"
    else:
        with pytest.raises(WeightsError) as caught:
            grn.models.load(path)
        assert found[0] in str(caught.value)
    with pytest.raises(WeightsError) as caught:
        grn.models.load(saved_scgpt(reshape))
    assert found[0] in str(caught.value)


def test_an_unexpected_key_is_named(saved_scgpt):
    with pytest.raises(WeightsError, match=r"unexpected keys.*decoder\.fc\.6\.weight"):
        grn.models.load(saved_scgpt(put("decoder.fc.6.weight", 1, 16)))


def test_a_vocabulary_that_does_not_fit_is_refused(saved_scgpt):
    for edit, told in (
        (lambda vocab: vocab.update(EXTRA=15), "16 entries, the embedding 15 rows"),
        (lambda vocab: vocab.pop("<cls>"), "14 entries, the embedding 15 rows.*there is no <cls>"),
        (lambda vocab: vocab.update(G01=2), "exactly one name"),
        (lambda vocab: vocab.update(G01="1"), "exactly one name"),
        (lambda vocab: vocab.update({"CELL": vocab.pop("<cls>")}), "has no '<cls>'"),
    ):
        with pytest.raises(WeightsError, match=told):
            grn.models.load(saved_scgpt(vocab=edit))
    model = grn.models.load(saved_scgpt(vocab=lambda vocab: vocab.update(G99=vocab.pop("<pad>"))))
    assert model.source_genes[-1] == "G99", "only the cell token is needed"


class Harmful:
    def __reduce__(self):
        return (print, ("this ran",))


def test_files_that_are_no_checkpoint(saved_scgpt, capsys):
    path = saved_scgpt()
    weights = path / "best_model.pt"
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(WeightsError, match="truncated"):
        grn.models.load(path)
    for write in (lambda: torch.save({"a": Harmful()}, weights), lambda: weights.write_bytes(pickle.dumps(Harmful()))):
        write()
        with pytest.raises(WeightsError, match=r"not run|no readable|not a readable"):
            grn.models.load(path)
    assert "this ran" not in capsys.readouterr().out
    weights.write_bytes(whole)
    (path / "args.json").unlink()
    with pytest.raises(WeightsNotFoundError, match=r"needs args\.json beside it"):
        grn.models.load(path)
