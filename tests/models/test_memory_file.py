import hashlib
import json

import pytest
import torch
from safetensors.torch import save_file

from grn._core.errors import CapabilityError, StorageError, WeightsError, WeightsNotFoundError
from grn.models import load, save
from grn.models._memory_file import load_memory
from grn.models._model_file import read_tensors, save_tensors, sha256_file


@pytest.fixture
def saved(tiny, tmp_path):
    return save(tiny, tmp_path / "mine.safetensors")


def rewrite(path, *, tensors=None, **header):
    """Replace tensors and header entries of a checkpoint; ``None`` drops one."""
    old, old_header = read_tensors(path)
    kept = {k: v for k, v in {**old, **(tensors or {})}.items() if v is not None}
    save_file(kept, path, metadata={k: v for k, v in {**old_header, **header}.items() if v is not None})
    return path


def config_with(path, **changes):
    return json.dumps(json.loads(read_tensors(path)[1]["config"]) | changes)


def test_tables_come_back_in_half_precision_and_the_rest_whole(tiny, saved):
    back = load_memory(saved)
    assert (back.genes, back.sets, back.seen) == (tiny.genes, tiny.sets, tiny.seen)
    assert back.network.config == tiny.network.config
    expected, found = tiny.network.state_dict(), back.network.state_dict()
    assert list(found) == list(expected)
    for key, value in expected.items():
        rounded = value.half().float() if key in ("embedding", "states") else value
        assert torch.equal(rounded, found[key]) and found[key].dtype == value.dtype, key
    panel = tiny.panel(["G01", "G09"], ["G05"])
    values = torch.tensor([[1.0, float("nan"), 0.5]])
    torch.testing.assert_close(tiny.respond(panel, values), back.respond(panel, values), rtol=5e-3, atol=1e-3)


def test_what_was_read_is_written_as_it_was(saved, tmp_path):
    assert save(load(saved), tmp_path / "again.safetensors").read_bytes() == saved.read_bytes()


def test_the_largest_panel_is_kept(make_memory, tmp_path):
    assert load_memory(save(make_memory(max_genes=17), tmp_path / "m.safetensors")).max_genes == 17


def test_name_hash_and_state_of_a_loaded_model(saved):
    model = load_memory(saved)
    assert model.name == "mine"
    assert load_memory(saved, name="other").name == "other"
    assert model.sha256 == hashlib.sha256(saved.read_bytes()).hexdigest() == sha256_file(saved)
    assert not model.network.training
    assert not any(p.requires_grad for p in model.network.parameters())


def test_two_saves_give_the_same_bytes(tiny, saved, tmp_path):
    assert save(tiny, str(tmp_path / "again.safetensors")).read_bytes() == saved.read_bytes()


def test_saving_replaces_a_file_and_leaves_no_other(make_memory, saved):
    save(make_memory(seed=5), saved)
    assert torch.equal(load_memory(saved).network.states, make_memory(seed=5).network.states.half().float())
    assert list(saved.parent.iterdir()) == [saved]


def test_a_checkpoint_without_suffix_is_found(tiny, tmp_path):
    path = save(tiny, tmp_path / "bare")
    assert path == tmp_path / "bare"
    assert load(path).name == "bare"


def test_saving_into_a_missing_folder_says_so(tiny, tmp_path):
    with pytest.raises(StorageError, match="missing"):
        save(tiny, tmp_path / "missing" / "m.safetensors")


@pytest.mark.parametrize("bad", [None, "mini", torch.nn.Linear(1, 1)])
def test_only_models_with_a_file_format_are_saved(bad, tmp_path):
    with pytest.raises(CapabilityError, match=f"type {type(bad).__name__} has no file format"):
        save(bad, tmp_path / "x.safetensors")
    assert not list(tmp_path.iterdir())


def test_a_subclass_is_refused_as_a_file_does_not_keep_it(tiny, tmp_path):
    class Louder(type(tiny)):
        """It answers otherwise than its weights say."""

    louder = Louder(tiny.network, tiny.genes, name="louder", sha256="")
    with pytest.raises(CapabilityError, match=r"Louder would be read again as a Memory.*grn\.models\.Memory\("):
        save(louder, tmp_path / "louder.safetensors")
    assert not list(tmp_path.iterdir())


def test_a_missing_key_is_named(saved):
    with pytest.raises(WeightsError, match=r"missing keys \['share'\]"):
        load_memory(rewrite(saved, tensors={"share": None}))


def test_an_extra_key_is_named(saved):
    with pytest.raises(WeightsError, match=r"unexpected keys \['more'\]"):
        load_memory(rewrite(saved, tensors={"more": torch.zeros(2)}))


def test_a_wrong_shape_is_named(saved):
    with pytest.raises(WeightsError, match=r"wrong shapes .*weight: found \(4,\), expected \(3,\)"):
        load_memory(rewrite(saved, tensors={"weight": torch.zeros(4)}))


def test_all_misfits_are_told_at_once(saved):
    with pytest.raises(WeightsError) as raised:
        load_memory(rewrite(saved, tensors={"weight": torch.zeros(4), "share": None, "b": torch.zeros(1)}))
    message = str(raised.value)
    assert all(word in message for word in ("share", "weight", "'b'", str(saved), "MemoryNetwork"))


def test_another_type_of_number_is_refused(saved):
    with pytest.raises(WeightsError, match=r"weight"):
        load_memory(rewrite(saved, tensors={"weight": torch.zeros(3, dtype=torch.int64)}))


@pytest.mark.parametrize("changes", [{"d": 32}, {"n_genes": 61}, {"n_states": 11}, {"n_sets": 4}])
def test_a_header_of_other_sizes_does_not_fit(saved, changes):
    with pytest.raises(WeightsError):
        load_memory(rewrite(saved, config=config_with(saved, **changes)))


@pytest.mark.parametrize(
    "changes",
    [{"d": -16}, {"d": "8"}, {"n_states": True}, {"precision": -1}, {"gain": "x"}, {"ridge": None}, {"crowding": 0}],
)
def test_impossible_sizes_are_named(saved, changes):
    with pytest.raises(WeightsError, match=next(iter(changes))):
        load_memory(rewrite(saved, config=config_with(saved, **changes)))


@pytest.mark.parametrize("keep", [0, 4, 100, 0.5, -1])
def test_a_truncated_file_is_refused(saved, keep):
    data = saved.read_bytes()
    saved.write_bytes(data[: int(len(data) * keep) if isinstance(keep, float) else keep])
    with pytest.raises(WeightsError, match="truncated"):
        load_memory(saved)


@pytest.mark.parametrize("data", [b"not safetensors at all", b"\x80\x04K\x01.", bytes(64), b"\xff" * 64])
def test_other_bytes_are_refused(tmp_path, data):
    path = tmp_path / "x.safetensors"
    path.write_bytes(data)
    with pytest.raises(WeightsError, match="not a readable safetensors file"):
        load_memory(path)


def test_a_foreign_file_is_refused(tmp_path):
    path = tmp_path / "foreign.safetensors"
    save_file({"w": torch.zeros(2)}, path)
    with pytest.raises(WeightsError, match=r"format 'none'; expected 'grn.memory/1'"):
        load_memory(path)
    save_tensors(path, {"w": torch.zeros(2)}, {"format": "grn.translator/1"})
    with pytest.raises(WeightsError, match=r"'grn.translator/1'; expected 'grn.memory/1'"):
        load_memory(path)


@pytest.mark.parametrize(
    ("header", "told"),
    [
        ({"genes": "G00\nG01"}, "names 2 genes, 2 distinct; its tables have 60"),
        ({"genes": "\n".join(f"G{i}" for i in range(61))}, "names 61 genes"),
        ({"genes": "\n".join(["G00", *(f"G{i:02d}" for i in range(59))])}, "59 distinct"),
        ({"sets": "a"}, "names 1 data sets"),
        ({"sets": "a\nb\nb"}, "names 3 data sets, 2 distinct; its tables have 3"),
    ],
)
def test_names_that_do_not_fit_the_tables_are_refused(saved, header, told):
    with pytest.raises(WeightsError, match=told):
        load_memory(rewrite(saved, **header))


@pytest.mark.parametrize("set_of", [[0] * 11 + [3], [-1] + [0] * 11])
def test_states_of_no_data_set_are_refused(saved, set_of):
    with pytest.raises(WeightsError, match="data set"):
        load_memory(rewrite(saved, tensors={"set_of": torch.tensor(set_of)}))


@pytest.mark.parametrize("key", ["share", "weight"])
@pytest.mark.parametrize("number", [0.0, -1.0])
def test_shares_and_weights_are_positive(saved, key, number):
    values = read_tensors(saved)[0][key].clone()
    values[0] = number
    with pytest.raises(WeightsError, match=f"a {key} that is not positive"):
        load_memory(rewrite(saved, tensors={key: values}))


@pytest.mark.parametrize(
    "header",
    [
        {"config": None},
        {"genes": None},
        {"sets": None},
        {"seen": None},
        {"config": "{"},
        {"config": "[1]"},
        {"config": "3"},
        {"config": '{"width": 3}'},
    ],
)
def test_a_broken_header_is_refused(saved, header):
    with pytest.raises(WeightsError, match="header"):
        load_memory(rewrite(saved, **header))


@pytest.mark.parametrize("name", ["none.safetensors", "."])
def test_a_missing_file_is_its_own_error(tmp_path, name):
    with pytest.raises(WeightsNotFoundError, match="no file"):
        load_memory(tmp_path / name)
