"""Checkpoints in any layout: found, read strictly, matched key by key."""

import json
import logging

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from grn._core.errors import WeightsError, WeightsNotFoundError
from grn.models._bounds import number
from grn.models._checkpoint import Checkpoint, fill, open_checkpoint, published

STATE = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.ones(2), "steps": torch.tensor(3)}


def same(found, expected=STATE):
    return set(found) == set(expected) and all(torch.equal(found[key], expected[key]) for key in expected)


def write(path, state=STATE, **options):
    torch.save(state, path, **options)
    return path


class TestOpen:
    @pytest.mark.parametrize("name", ["m.pt", "m.pth", "m.bin", "m.ckpt", "m", "m.safetensors", "m.weights"])
    def test_a_file_is_told_by_its_content(self, tmp_path, name):
        path = tmp_path / name
        for put in (write, lambda p: write(p, _use_new_zipfile_serialization=False), lambda p: save_file(STATE, p)):
            path.unlink(missing_ok=True)
            put(path)
            found = open_checkpoint(path)
            assert same(found.tensors) and found.path == path and found.folder == tmp_path
            assert same(open_checkpoint(str(path)).tensors)

    def test_the_header_of_a_safetensors_file_is_kept(self, tmp_path):
        save_file(STATE, tmp_path / "m.safetensors", metadata={"format": "pt"})
        assert open_checkpoint(tmp_path).header == {"format": "pt"}

    @pytest.mark.parametrize("size", [128 + 512, 80, 4096])
    def test_a_header_whose_length_looks_like_another_format(self, tmp_path, size):
        """The length comes first; 0x80 0x02 starts a pickle as well."""
        state = {"a": torch.zeros(1)}
        save_file(state, tmp_path / "m", metadata={"n": ""})
        bare = int.from_bytes((tmp_path / "m").read_bytes()[:8], "little")
        save_file(state, tmp_path / "m", metadata={"n": "x" * max(0, size - bare)})
        assert same(open_checkpoint(tmp_path / "m").tensors, state)

    @pytest.mark.parametrize("name", ["best_model.pt", "model.safetensors", "pytorch_model.bin", "other.ckpt"])
    def test_the_file_of_a_folder(self, tmp_path, name):
        for other in ("training_args.bin", "optimizer.pt", "scheduler.pt"):
            write(tmp_path / other, {"x": torch.zeros(1)})
        (tmp_path / "config.json").write_text("{}")
        (tmp_path / "old.pt").mkdir()
        save_file(STATE, tmp_path / name) if name.endswith("safetensors") else write(tmp_path / name)
        found = open_checkpoint(tmp_path)
        assert found.path.name == name and same(found.tensors)

    def test_one_file_of_several_is_preferred_by_its_name_alone(self, tmp_path):
        for name in ("pytorch_model.bin", "model.safetensors", "other.pt"):
            save_file(STATE, tmp_path / name)
            expected = {"other.pt": "model.safetensors"}.get(name, name)
            assert open_checkpoint(tmp_path).path.name == expected

    def test_folders_without_one_file_say_what_they_hold(self, tmp_path):
        with pytest.raises(WeightsNotFoundError, match=r"holds no files of parameters \(nothing\)"):
            open_checkpoint(tmp_path)
        for i in range(12):
            (tmp_path / f"note{i:02d}.txt").write_text("x")
        (tmp_path / "inside").mkdir()
        with pytest.raises(WeightsNotFoundError, match=r"no files of parameters \(inside, note00\.txt, .*\.\.\.\)"):
            open_checkpoint(tmp_path)
        write(tmp_path / "a.pt"), write(tmp_path / "b.pt")
        with pytest.raises(WeightsNotFoundError, match=r"several files of parameters \(a\.pt, b\.pt.*pass the path of"):
            open_checkpoint(tmp_path)
        with pytest.raises(WeightsNotFoundError, match="no file or folder"):
            open_checkpoint(tmp_path / "none")

    @pytest.mark.parametrize("suffix", ["bin", "safetensors"])
    def test_a_checkpoint_in_parts_says_how_to_join_them(self, tmp_path, suffix):
        stem = "pytorch_model" if suffix == "bin" else "model"
        parts = [tmp_path / f"{stem}-0000{i}-of-00002.{suffix}" for i in (1, 2)]
        for part in parts:
            save_file(STATE, part) if suffix == "safetensors" else write(part)
        (tmp_path / f"{stem}.{suffix}.index.json").write_text('{"weight_map": {}}')
        for path in (tmp_path, *parts):
            with pytest.raises(WeightsError, match=r"part.*max_shard_size"):
                open_checkpoint(path)
        parts[1].unlink()
        with pytest.raises(WeightsError, match=r"part.*max_shard_size"):
            open_checkpoint(tmp_path)

    def test_one_part_of_one_is_whole(self, tmp_path):
        assert same(open_checkpoint(write(tmp_path / "m-00001-of-00001.bin")).tensors)

    @pytest.mark.parametrize("name", ["m.pt", "m.safetensors", "m"])
    @pytest.mark.parametrize(
        ("data", "told"),
        [
            (b"", "is empty"),
            (b"version https://git-lfs.github.com/spec/v1\noid", "Git LFS pointer"),
            (b"<!DOCTYPE html>", "web page"),
            (b"plain text", "not a readable"),
            (bytes(8), "not a readable"),
            (b"\x10" + bytes(7) + b'{"a":1}', "not a readable safetensors file"),
        ],
    )
    def test_other_files_are_refused(self, tmp_path, name, data, told):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(WeightsError, match=told):
            open_checkpoint(tmp_path / name)

    @pytest.mark.parametrize("keep", [5, 12, 60, -1])
    def test_a_truncated_file_is_refused(self, tmp_path, keep):
        for name, put in (("m.pt", write), ("m.safetensors", lambda p: save_file(STATE, p))):
            put(tmp_path / name)
            data = (tmp_path / name).read_bytes()
            (tmp_path / name).write_bytes(data[:keep])
            with pytest.raises(WeightsError, match=r"truncated|not a readable"):
                open_checkpoint(tmp_path / name)

    def test_layouts_of_training_loops(self, tmp_path):
        path = tmp_path / "m.ckpt"
        plain = open_checkpoint(write(path, {"state_dict": STATE, "hyper_parameters": {"d": 3}, "epoch": 2}))
        assert same(plain.tensors) and plain.hyper == {"d": 3} and plain.label == ""
        for hyper in (None, [1], 3, "x"):
            assert open_checkpoint(write(path, {"state_dict": STATE, "hyper_parameters": hyper})).hyper == {}
        triple = open_checkpoint(write(path, ("kind", {"d": 3}, {**STATE, "symbols": ["A"]})))
        assert (triple.label, triple.hyper, triple.other) == ("kind", {"d": 3}, {"symbols": ["A"]})
        assert same(triple.tensors)
        for hyper in (None, [1], 3, "ab"):
            assert open_checkpoint(write(path, ("kind", hyper, STATE))).hyper == {}

    def test_the_prefix_of_data_parallel_is_dropped_if_all_have_it(self, tmp_path):
        wrapped = {f"module.{key}": value for key, value in STATE.items()}
        assert same(open_checkpoint(write(tmp_path / "m.pt", wrapped)).tensors)
        mixed = {**wrapped, "other": torch.zeros(1)}
        assert same(open_checkpoint(write(tmp_path / "m.pt", mixed)).tensors, mixed)

    @pytest.mark.parametrize("content", [[torch.ones(1)], torch.ones(1), 3, "text", None, ("a", {}, [1]), ("a", 1)])
    def test_content_of_another_kind_is_named(self, tmp_path, content):
        with pytest.raises(WeightsError, match=r"holds a \w+; expected a state dict"):
            open_checkpoint(write(tmp_path / "m.pt", content))

    @pytest.mark.parametrize("content", [{}, {"model": STATE, "epoch": 3}, {"state_dict": {}}, ("a", {}, {})])
    def test_a_state_without_tensors_says_what_is_there(self, tmp_path, content):
        with pytest.raises(WeightsError, match=r"no tensors by key; (it is empty|it has model, epoch)\."):
            open_checkpoint(write(tmp_path / "m.pt", content))


class TestFilesBeside:
    @pytest.fixture
    def checkpoint(self, tmp_path):
        return Checkpoint(write(tmp_path / "m.pt"), STATE)

    def test_shapes_that_decide_sizes(self, checkpoint):
        assert checkpoint.shape("a.weight", 2) == (2, 3) and checkpoint.shape("steps", 0) == ()
        with pytest.raises(WeightsError, match=r"lacks the key 'b'; it has a\.weight, a\.bias, steps"):
            checkpoint.shape("b", 1)
        with pytest.raises(WeightsError, match=r"'a.bias' .* shape \(2,\); expected 2 axes"):
            checkpoint.shape("a.bias", 2)

    def test_layers_are_counted_from_zero_without_gaps(self, tmp_path):
        keys = {f"layers.{i}.w": torch.zeros(1) for i in (0, 1, 2, 10, 4)}
        found = Checkpoint(tmp_path / "m", keys)
        assert found.count("layers.{}.") == 3 and found.count("blocks.{}.") == 0
        assert found.has("layers.0.w", "layers.10.w") and not found.has("layers.0.w", "layers.3.w")

    @pytest.mark.parametrize("text", ["", "{", "[1]", "3", '"a"', "\x00", "[" * 100_000], ids=lambda text: text[:3])
    def test_broken_json_is_refused(self, checkpoint, text):
        (checkpoint.folder / "c.json").write_text(text)
        with pytest.raises(WeightsError, match=r"c\.json"):
            checkpoint.json("c.json")

    def test_json_of_other_encodings(self, checkpoint):
        (checkpoint.folder / "c.json").write_bytes('{"a": "ü"}'.encode())
        assert checkpoint.json("c.json") == {"a": "ü"}
        (checkpoint.folder / "c.json").write_bytes(b'{"a": "\xff"}')
        with pytest.raises(WeightsError, match="not readable JSON"):
            checkpoint.json("c.json")

    def test_a_missing_file_lists_what_is_there(self, checkpoint):
        with pytest.raises(WeightsNotFoundError, match=r"m\.pt needs c\.json beside it; .* holds: m\.pt"):
            checkpoint.json("c.json")
        with pytest.raises(WeightsNotFoundError, match=r"needs the tokens \(t\*\.pkl or t\*\.pickle\) beside it"):
            checkpoint.dictionary("t*.pkl", "t*.pickle", what="the tokens")

    def test_a_dictionary_is_found_beside_or_one_folder_up(self, tmp_path):
        import pickle

        (tmp_path / "sub").mkdir()
        checkpoint = Checkpoint(write(tmp_path / "sub" / "m.pt"), STATE)
        (tmp_path / "t1.pkl").write_bytes(pickle.dumps({"up": np.int16(1)}))
        assert checkpoint.dictionary("t*.pkl", what="the tokens") == {"up": 1}
        (tmp_path / "sub" / "t2.pkl").write_bytes(pickle.dumps({"beside": 2}))
        assert checkpoint.dictionary("t*.pkl", what="the tokens") == {"beside": 2}
        (tmp_path / "sub" / "t3.pkl").write_bytes(pickle.dumps({"third": 3}))
        with pytest.raises(WeightsError, match=r"several files .* could be the tokens: t2\.pkl, t3\.pkl"):
            checkpoint.dictionary("t*.pkl", what="the tokens")
        path = tmp_path / "sub" / "t3.pkl"
        assert checkpoint.dictionary("t*.pkl", what="the tokens", path=str(path)) == {"third": 3}
        with pytest.raises(WeightsNotFoundError, match=r"none\.pkl"):
            checkpoint.dictionary("t*.pkl", what="the tokens", path=tmp_path / "none.pkl")


class Small(nn.Module):
    """A fused parameter, a plain one, a buffer of whole numbers and two names of one parameter."""

    def __init__(self):
        super().__init__()
        self.qkv = nn.Linear(3, 6)
        self.table = nn.Embedding(4, 3)
        self.head = nn.Linear(3, 4, bias=False)
        self.head.weight = self.table.weight
        self.register_buffer("count", torch.tensor(0))


FUSED = {"qkv.weight": ("q.weight", "k.weight", "v.weight"), "qkv.bias": ("q.bias", "k.bias", "v.bias")}


def names(own):
    return FUSED.get(own, f"model.{own}")


@pytest.fixture
def state():
    g = torch.Generator().manual_seed(0)
    drawn = {f"{part}.weight": torch.randn(2, 3, generator=g) for part in "qkv"}
    drawn |= {f"{part}.bias": torch.randn(2, generator=g) for part in "qkv"}
    table = torch.randn(4, 3, generator=g)
    return drawn | {"model.table.weight": table, "model.head.weight": table.clone(), "model.count": torch.tensor(7)}


def filled(state, **options):
    module = Small()
    return module, fill(module, Checkpoint("x.pt", state), names, **options)


class TestFill:
    def test_every_parameter_is_copied(self, state):
        module, spare = filled(state)
        assert spare == () and module.count == 7
        assert torch.equal(module.qkv.weight, torch.cat([state[f"{p}.weight"] for p in "qkv"]))
        assert torch.equal(module.qkv.bias[2:4], state["k.bias"])
        assert module.head.weight is module.table.weight
        assert same(published(module, names), state)
        state["q.weight"].zero_()
        assert module.qkv.weight.abs().min() > 0, "a copy"

    @pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
    def test_other_precisions_are_converted(self, state, dtype):
        given = {k: v.to(dtype) if v.is_floating_point() else v.to(torch.int32) for k, v in state.items()}
        module, _ = filled(given)
        assert module.qkv.weight.dtype == torch.float32 and module.count.dtype == torch.int64
        torch.testing.assert_close(module.table.weight.data, state["model.table.weight"], rtol=1e-2, atol=1e-2)

    def test_missing_keys_are_named_as_published(self, state):
        for gone in (["k.weight"], ["model.count", "q.bias"], ["model.head.weight"], list(state)):
            kept = {key: value for key, value in state.items() if key not in gone}
            with pytest.raises(WeightsError, match=r"x\.pt does not fit: missing keys") as raised:
                filled(kept)
            told = str(raised.value)
            assert all(key in told for key in gone) or "and 4 more" in told
            assert "unexpected" not in told and "wrong" not in told

    def test_unexpected_keys_are_named(self, state):
        with pytest.raises(WeightsError, match=r"unexpected keys b\.weight, z$|unexpected keys b\.weight, z\."):
            filled({**state, "z": torch.zeros(1), "b.weight": torch.zeros(1)})

    def test_keys_that_are_not_needed_are_reported(self, state, caplog):
        given = {**state, "cls.a": torch.zeros(1), "cls.b": torch.zeros(1), "x.cls": torch.zeros(1)}
        with caplog.at_level(logging.INFO, logger="grn"):
            assert filled(given, unused=("cls.*", "x.*", "never.*", "model.*"))[1] == ("cls.a", "cls.b", "x.cls")
        assert "3 keys are not needed" in caplog.text
        with pytest.raises(WeightsError, match=r"unexpected keys x\.cls\."):
            filled(given, unused=("cls.*", "CLS.*"))

    @pytest.mark.parametrize(
        ("key", "value", "told"),
        [
            ("model.table.weight", torch.zeros(5, 3), r"model\.table\.weight is \(5, 3\), expected \(4, 3\)"),
            ("model.table.weight", torch.zeros(12), r"is \(12,\), expected \(4, 3\)"),
            ("model.count", torch.tensor([7]), r"model\.count is \(1,\), expected \(\)"),
            ("k.weight", torch.zeros(3, 3), r"k\.weight is \(3, 3\), expected \(2, 3\)"),
            ("v.bias", torch.zeros(()), r"v\.bias is \(\), expected \(2,\)"),
        ],
    )
    def test_a_wrong_shape_is_named(self, state, key, value, told):
        with pytest.raises(WeightsError, match=told) as raised:
            filled({**state, key: value})
        assert "missing" not in str(raised.value) and "unexpected" not in str(raised.value)

    def test_parts_of_other_heights_are_refused_though_they_add_up(self, state):
        with pytest.raises(WeightsError, match=r"q\.weight is \(1, 3\), .*k\.weight is \(3, 3\), expected \(2, 3\)"):
            filled({**state, "q.weight": torch.zeros(1, 3), "k.weight": torch.zeros(3, 3)})

    def test_another_kind_of_number_is_refused(self, state):
        with pytest.raises(WeightsError, match=r"v\.weight holds torch\.int64, expected torch\.float32"):
            filled({**state, "v.weight": torch.zeros(2, 3, dtype=torch.int64)})
        with pytest.raises(WeightsError, match=r"model\.count holds torch\.float32, expected torch\.int64"):
            filled({**state, "model.count": torch.tensor(7.0)})

    def test_one_parameter_with_two_values_is_refused(self, state):
        state["model.head.weight"][0, 0] += 1
        with pytest.raises(WeightsError, match=r"model\.head\.weight differs from model\.table\.weight"):
            filled(state)

    def test_all_misfits_are_told_at_once_and_nothing_is_copied(self, state):
        module = Small()
        before = {key: value.clone() for key, value in module.state_dict().items()}
        del state["q.bias"]
        given = {**state, "more": torch.zeros(1), "model.count": torch.zeros(2, dtype=torch.int64)}
        with pytest.raises(WeightsError) as raised:
            fill(module, Checkpoint("x.pt", given), names, strange="Ask elsewhere.")
        assert all(word in str(raised.value) for word in ("q.bias", "more", "model.count", "Ask elsewhere."))
        assert all(torch.equal(before[key], value) for key, value in module.state_dict().items())

    def test_gradients_of_saved_parameters_are_not_kept(self, state):
        module, _ = filled({k: nn.Parameter(v) if v.is_floating_point() else v for k, v in state.items()})
        assert module.qkv.weight.is_leaf and module.qkv.weight.grad_fn is None

    def test_published_is_a_copy(self, state):
        module, _ = filled(state)
        out = published(module, names)
        out["q.weight"].zero_()
        assert torch.equal(module.qkv.weight[:2], state["q.weight"])
        assert not any(value.requires_grad for value in out.values())


class TestNumber:
    @pytest.mark.parametrize("value", [1, 8, 8.0, np.float64(8)])
    def test_whole_numbers(self, value):
        found = number({"n": value}, "n", "c")
        assert found == value and type(found) is int

    def test_real_numbers_and_defaults(self):
        assert number({"n": 1e-5}, "n", "c", kind=float) == 1e-5
        assert type(number({"n": 2}, "n", "c", kind=float)) is float
        assert number({}, "n", "c", default=51) == 51
        assert number(json.loads('{"n": 12}'), "n", "c", default=51) == 12

    @pytest.mark.parametrize("kind", [int, float])
    @pytest.mark.parametrize("value", [0, -1, True, False, "8", None, [8], float("nan"), float("inf"), -0.0])
    def test_other_values_are_shown(self, value, kind):
        with pytest.raises(WeightsError, match=rf"'n' is .*config.json; expected a positive {kind.__name__}"):
            number({"n": value}, "n", "config.json", kind=kind, default=3)

    def test_fractions_are_no_counts(self):
        with pytest.raises(WeightsError, match=r"'n' is 8\.5"):
            number({"n": 8.5}, "n", "c")

    def test_a_missing_one_is_called_missing(self):
        with pytest.raises(WeightsError, match="'n' is missing in the configuration of c"):
            number({"m": 1}, "n", "c")
