import hashlib
import json

import pytest
import torch
from safetensors.torch import save_file

from grn._core.errors import CapabilityError, StorageError, WeightsError, WeightsNotFoundError
from grn.models import load, save
from grn.models._model_file import load_mini, read_tensors, save_tensors, sha256_file


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


def test_round_trip_is_bit_exact(tiny, saved):
    back = load_mini(saved)
    assert back.genes == tiny.genes
    assert back.network.config == tiny.network.config
    expected, found = tiny.network.state_dict(), back.network.state_dict()
    assert list(found) == list(expected)
    assert all(torch.equal(expected[k], found[k]) and expected[k].dtype == found[k].dtype for k in expected)
    panel = tiny.panel(["G01", "G09"], ["G05"])
    values = torch.tensor([[1.0, -2.0, 0.5]])
    assert torch.equal(tiny.respond(panel, values), back.respond(back.panel(["G01", "G09"], ["G05"]), values))


def test_the_largest_panel_is_kept(make_mini, tmp_path):
    assert load_mini(save(make_mini(max_genes=17), tmp_path / "m.safetensors")).max_genes == 17


def test_name_hash_and_state_of_a_loaded_model(saved):
    model = load_mini(saved)
    assert model.name == "mine"
    assert load_mini(saved, name="other").name == "other"
    assert model.sha256 == hashlib.sha256(saved.read_bytes()).hexdigest() == sha256_file(saved)
    assert not model.network.training
    assert not any(p.requires_grad for p in model.network.parameters())


def test_two_saves_give_the_same_bytes(tiny, saved, tmp_path):
    assert save(tiny, str(tmp_path / "again.safetensors")).read_bytes() == saved.read_bytes()


def test_saving_replaces_a_file_and_leaves_no_other(make_mini, saved):
    save(make_mini(seed=5), saved)
    assert load_mini(saved).network.embedding.weight.equal(make_mini(seed=5).network.embedding.weight)
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


def test_a_missing_key_is_named(saved):
    with pytest.raises(WeightsError, match=r"missing keys \['norm.weight'\]"):
        load_mini(rewrite(saved, tensors={"norm.weight": None}))


def test_an_extra_key_is_named(saved):
    with pytest.raises(WeightsError, match=r"unexpected keys \['more.weight'\]"):
        load_mini(rewrite(saved, tensors={"more.weight": torch.zeros(2)}))


def test_a_wrong_shape_is_named(saved):
    with pytest.raises(WeightsError, match=r"wrong shapes .*norm.bias: found \(3,\), expected \(16,\)"):
        load_mini(rewrite(saved, tensors={"norm.bias": torch.zeros(3)}))


def test_all_misfits_are_told_at_once(saved):
    with pytest.raises(WeightsError) as raised:
        load_mini(rewrite(saved, tensors={"norm.bias": torch.zeros(3), "norm.weight": None, "b": torch.zeros(1)}))
    message = str(raised.value)
    assert all(word in message for word in ("norm.weight", "norm.bias", "'b'", str(saved), "MiniNetwork"))


def test_another_type_of_number_is_refused(saved):
    with pytest.raises(WeightsError, match=r"norm.bias"):
        load_mini(rewrite(saved, tensors={"norm.bias": torch.zeros(16, dtype=torch.int64)}))


@pytest.mark.parametrize("changes", [{"d": 32}, {"n_genes": 61}, {"encoder_blocks": 2}, {"d_value": 9}])
def test_a_header_of_other_sizes_does_not_fit(saved, changes):
    with pytest.raises(WeightsError):
        load_mini(rewrite(saved, config=config_with(saved, **changes)))


@pytest.mark.parametrize(
    "changes", [{"heads": 3}, {"heads": 0}, {"heads": "2"}, {"d": -16}, {"d": 16.0}, {"d_value": True}]
)
def test_impossible_sizes_are_named(saved, changes):
    with pytest.raises(WeightsError, match=next(iter(changes))):
        load_mini(rewrite(saved, config=config_with(saved, **changes)))


@pytest.mark.parametrize("keep", [0, 4, 100, 0.5, -1])
def test_a_truncated_file_is_refused(saved, keep):
    data = saved.read_bytes()
    saved.write_bytes(data[: int(len(data) * keep) if isinstance(keep, float) else keep])
    with pytest.raises(WeightsError, match="truncated"):
        load_mini(saved)


@pytest.mark.parametrize("data", [b"not safetensors at all", b"\x80\x04K\x01.", bytes(64), b"\xff" * 64])
def test_other_bytes_are_refused(tmp_path, data):
    path = tmp_path / "x.safetensors"
    path.write_bytes(data)
    with pytest.raises(WeightsError, match="not a readable safetensors file"):
        load_mini(path)


def test_a_foreign_file_is_refused(tmp_path):
    path = tmp_path / "foreign.safetensors"
    save_file({"w": torch.zeros(2)}, path)
    with pytest.raises(WeightsError, match=r"format 'none'; expected 'grn.mini/1'"):
        load_mini(path)
    save_tensors(path, {"w": torch.zeros(2)}, {"format": "grn.translator/1"})
    with pytest.raises(WeightsError, match=r"'grn.translator/1'; expected 'grn.mini/1'"):
        load_mini(path)


@pytest.mark.parametrize("header", [{"genes": "G00\nG01"}, {"genes": "\n".join(f"G{i}" for i in range(61))}])
def test_a_vocabulary_of_another_length_is_refused(saved, header):
    with pytest.raises(WeightsError, match=r"names (2|61) genes but its embedding has 60"):
        load_mini(rewrite(saved, **header))


def test_a_vocabulary_with_a_name_twice_is_refused(saved):
    with pytest.raises(WeightsError, match=r"twice|distinct"):
        load_mini(rewrite(saved, genes="\n".join(["G00", *(f"G{i:02d}" for i in range(59))])))


@pytest.mark.parametrize(
    "header",
    [
        {"config": None},
        {"genes": None},
        {"config": "{"},
        {"config": "[1]"},
        {"config": "3"},
        {"config": '{"width": 3}'},
    ],
)
def test_a_broken_header_is_refused(saved, header):
    with pytest.raises(WeightsError, match="header"):
        load_mini(rewrite(saved, **header))


@pytest.mark.parametrize("name", ["none.safetensors", "."])
def test_a_missing_file_is_its_own_error(tmp_path, name):
    with pytest.raises(WeightsNotFoundError, match="no file"):
        load_mini(tmp_path / name)
