"""Files of strangers: what is honest is read, and what is foreign, cut or damaged is refused and named."""

import collections
import functools
import io
import pickle
import struct
import sys
import types
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from grn._core.errors import WeightsError, WeightsNotFoundError
from grn.models._unpickle import read_pickle, read_torch


def old_numpy(data: bytes) -> bytes:
    """The same pickle as numpy 1 writes it."""
    old = data.replace(b"\x8c\x16numpy._core.multiarray", b"\x8c\x15numpy.core.multiarray")
    old = old.replace(b"cnumpy._core.multiarray", b"cnumpy.core.multiarray")
    if old[2:3] == b"\x95":
        old = old[:3] + struct.pack("<Q", struct.unpack("<Q", old[3:11])[0] - (len(data) - len(old))) + old[11:]
    assert b"numpy.core" in old and b"_core" not in old
    return old


@pytest.mark.parametrize("age", [lambda data: data, old_numpy], ids=["numpy 2", "numpy 1"])
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_numpy_scalars_become_plain_numbers(trap, protocol, age):
    given = {
        "ENSG1": np.int16(-7), "ENSG2": np.float64(0.1), "ENSG3": np.float32(0.5), "ENSG4": np.bool_(True),
        "ENSG5": np.uint64(2**63), "ENSG6": np.float16(2), "ENSG7": np.str_("näme"), "ENSG8": np.bytes_(b"\x00x"),
        np.str_("ENSG9"): 1, "big": np.dtype(">i4").type(5), np.int64(3): None, "plain": 2, "text": "t",
    }  # fmt: skip
    path = trap / "d.pkl"
    path.write_bytes(age(pickle.dumps(given, protocol=protocol)))
    found = read_pickle(path)
    assert found == {getattr(k, "item", lambda k=k: k)(): getattr(v, "item", lambda v=v: v)() for k, v in given.items()}
    assert {type(x) for pair in found.items() for x in pair} <= {int, float, bool, str, bytes, type(None)}


@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=np.int16).reshape(2, 3),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.array([1, 2], dtype=">f4"),
        np.array(["a", "ENSG00000000003"]),
        np.array(["a", "b"], dtype=object),
        np.zeros((0, 3)),
        np.array(4.0),
    ],
    ids=str,
)
def test_arrays_are_read(trap, array, protocol):
    path = trap / "d.pkl"
    path.write_bytes(pickle.dumps({"a": array, "b": [array, (array,)]}, protocol=protocol))
    found = read_pickle(path)
    for value in (found["a"], found["b"][0], found["b"][1][0]):
        assert type(value) is np.ndarray and value.shape == array.shape
        assert (value == array).all()


def test_plain_containers_are_read(trap):
    given = {"a": [1, (2.5, None)], "b": {1, 2}, "c": frozenset("x"), 3: b"\xff", ("t", 1): bytearray(b"z"), "d": True}
    path = trap / "d.pkl"
    for protocol in (0, 2, 4, 5):
        path.write_bytes(pickle.dumps(given, protocol=protocol))
        assert read_pickle(path) == given
        path.write_bytes(pickle.dumps(collections.OrderedDict(given), protocol=protocol))
        assert read_pickle(path) == given


@pytest.mark.parametrize("thing", [[1], "text", 3, None, ("a", 1), {1, 2}])
def test_another_object_than_a_dictionary_is_named(trap, thing):
    (trap / "d.pkl").write_bytes(pickle.dumps(thing))
    with pytest.raises(WeightsError, match=rf"holds a {type(thing).__name__}; expected a dictionary"):
        read_pickle(trap / "d.pkl")


FOREIGN = {
    "empty": (b"", "is empty"),
    "pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "Git LFS pointer"),
    "page": (b"\n<!DOCTYPE html><html>", "web page"),
    "text": (b"some text\n" * 9, "not a readable"),
    "json": (b'{"a": 1}', "not a readable"),
    "zeros": (bytes(600), "not a readable|tar archive"),
    "noise": (bytes(range(256)), "not a readable"),
}


@pytest.mark.parametrize("name", FOREIGN)
@pytest.mark.parametrize("read", [read_pickle, read_torch])
def test_foreign_files_are_told_apart(trap, read, name):
    data, told = FOREIGN[name]
    for suffix in (".pkl", ".pt", ".ckpt"):
        path = trap / f"x{suffix}"
        path.write_bytes(data)
        with pytest.raises(WeightsError, match=told) as raised:
            read(path)
        assert str(path) in str(raised.value) and "weights_only" not in str(raised.value)


@pytest.mark.parametrize("read", [read_pickle, read_torch])
def test_a_missing_file_is_its_own_error(trap, read):
    for path in (trap / "none.pt", trap):
        with pytest.raises(WeightsNotFoundError, match="no file"):
            read(path)


STATE = {"w": torch.arange(6.0).reshape(2, 3), "n": torch.tensor(3), "h": torch.ones(2, dtype=torch.bfloat16)}


@pytest.mark.parametrize("zipped", [True, False], ids=["archive", "stream"])
@pytest.mark.parametrize("suffix", [".pt", ".bin", ".ckpt", ""])
def test_tensors_of_every_file_layout_are_read(trap, zipped, suffix, same_state):
    path = trap / f"m{suffix}"
    torch.save(STATE, path, _use_new_zipfile_serialization=zipped)
    assert same_state(read_torch(path), STATE)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_newer_protocols_are_read_in_archives_and_refused_in_streams(trap, protocol, same_state):
    """torch's own guarded reader knows protocol 2 alone."""
    path = trap / "m.pt"
    content = ("label", {"d": np.int64(3), "genes": np.array(["A"])}, STATE)
    torch.save(content, path, pickle_protocol=protocol)
    label, hyper, state = read_torch(path)
    assert (label, hyper["d"], hyper["genes"].tolist()) == ("label", 3, ["A"]) and same_state(state, STATE)
    torch.save(content, path, pickle_protocol=protocol, _use_new_zipfile_serialization=False)
    with pytest.raises(WeightsError, match=r"asks for|not a readable torch file"):
        read_torch(path)


def test_an_archive_inside_which_torch_finds_none_is_refused(trap):
    path = trap / "m.ckpt"
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("readme.txt", "hello")
    with pytest.raises(WeightsError, match="not a readable torch file"):
        read_torch(path)


@pytest.fixture
def library(monkeypatch):
    """A package that exists while a file is written and not when it is read."""

    def make(name, **members):
        parts = name.split(".")
        for i in range(len(parts)):
            module = types.ModuleType(".".join(parts[: i + 1]))
            monkeypatch.setitem(sys.modules, module.__name__, module)
        for key, thing in members.items():
            thing.__module__, thing.__qualname__ = name, key
            setattr(sys.modules[name], key, thing)
        return members

    yield make
    monkeypatch.undo()


class Loop:
    def __init__(self):
        self.step = 3


class Listing(list):
    pass


class Settings(dict):
    pass


def writes_a_mark():
    Path("ran").touch()


def lightning(path, library, name="pytorch_lightning.loops", hyper=None):
    """A checkpoint of a training loop, written with a library that is gone afterwards."""
    made = library(name, Loop=Loop, Listing=Listing, Settings=Settings, writes_a_mark=writes_a_mark)
    content = {
        "epoch": np.int64(3),
        "state_dict": collections.OrderedDict(STATE, p=torch.nn.Parameter(torch.ones(2))),
        "callbacks": {"c": made["Loop"](), "f": made["writes_a_mark"], "l": made["Listing"]([1, 2])},
        "hyper_parameters": made["Settings"](
            d=np.int64(8), genes=np.array(["A", "B"]), odd=made["Loop"](), names=["x"], lr=np.float32(0.5)
        ),
        "loops": [functools.partial(dict), torch.optim.AdamW, made["Settings"](a=1)],
    }
    content.update(hyper or {})
    torch.save(content, path)
    for key in [key for key in sys.modules if key.split(".")[0] == name.split(".")[0]]:
        del sys.modules[key]
    return path


def test_training_state_becomes_inert(trap, library, same_state):
    lightning(trap / "m.ckpt", library)
    found = read_torch(trap / "m.ckpt")
    assert "pytorch_lightning" not in sys.modules
    assert set(found) == {"state_dict", "hyper_parameters"}
    assert same_state(found["state_dict"], {**STATE, "p": torch.ones(2)})
    hyper = found["hyper_parameters"]
    assert list(hyper) == ["d", "genes", "names", "lr"], "objects are left out"
    assert (hyper["d"], hyper["names"], hyper["lr"], list(hyper["genes"])) == (8, ["x"], 0.5, ["A", "B"])
    assert type(hyper["d"]) is int


def test_a_library_that_no_training_loop_is_written_with_is_refused(trap, library):
    lightning(trap / "m.ckpt", library, name="strange.loops")
    with pytest.raises(WeightsError, match=r"strange\.loops\.(Loop|writes_a_mark)"):
        read_torch(trap / "m.ckpt")


@pytest.mark.parametrize("hyper", [None, [1], 3, "text"])
def test_hyper_parameters_of_another_kind_are_none(trap, library, hyper):
    lightning(trap / "m.ckpt", library, hyper={"hyper_parameters": hyper})
    assert read_torch(trap / "m.ckpt")["hyper_parameters"] == {}


def test_a_stand_in_is_no_parameter(trap, library):
    lightning(trap / "m.ckpt", library, hyper={"state_dict": {"a.weight": torch.ones(1), "b.weight": Loop()}})
    with pytest.raises(WeightsError, match=r"'b\.weight' .* is pytorch_lightning\.loops\.Loop; expected a tensor"):
        read_torch(trap / "m.ckpt")
    lightning(trap / "m.ckpt", library, hyper={"state_dict": None})
    with pytest.raises(WeightsError, match=r"pytorch_lightning\.loops.*no 'state_dict'"):
        read_torch(trap / "m.ckpt")


@pytest.mark.parametrize("zipped", [True, False], ids=["archive", "stream"])
def test_a_truncated_torch_file_is_refused(trap, zipped):
    path = trap / "m.ckpt"
    torch.save({"state_dict": {**STATE, "long": torch.arange(500.0)}}, path, _use_new_zipfile_serialization=zipped)
    data = path.read_bytes()
    for keep in (1, 2, 4, 8, 30, 100, 300, len(data) // 2, len(data) - 100, len(data) - 1):
        path.write_bytes(data[:keep])
        with pytest.raises(WeightsError, match="not a readable torch file"):
            read_torch(path)


def test_a_truncated_pickle_is_refused(trap):
    data = pickle.dumps({f"g{i}": np.int16(i) for i in range(20)})
    for keep in range(1, len(data)):
        (trap / "d.pkl").write_bytes(data[:keep])
        with pytest.raises(WeightsError, match="not a readable pickle"):
            read_pickle(trap / "d.pkl")


def damaged(data, changes):
    data = bytearray(data)
    for at, byte in changes:
        data[at % len(data)] = byte
    return bytes(data)


CHANGES = st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=4)
QUICK = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@given(changes=CHANGES, protocol=st.sampled_from([0, 2, 4]))
@QUICK
def test_a_damaged_pickle_is_read_or_refused(trap, changes, protocol):
    given = {"a": np.int16(3), "b": [np.float64(2), {"c": np.arange(3)}], "d": (1, {2}), "e": b"x"}
    (trap / "d.pkl").write_bytes(damaged(pickle.dumps(given, protocol=protocol), changes))
    try:
        assert isinstance(read_pickle(trap / "d.pkl"), dict)
    except WeightsError as error:
        assert "d.pkl" in str(error)


@pytest.mark.filterwarnings("ignore")
def test_a_damaged_training_checkpoint_is_read_or_refused(trap, archive, same_state):
    buffer = io.BytesIO()
    torch.save({"state_dict": STATE, "epoch": np.int64(3), "o": torch.optim.AdamW}, buffer)
    with zipfile.ZipFile(buffer) as whole:
        name = next(name for name in whole.namelist() if name.endswith("data.pkl"))
        records = [(n.split("/", 1)[1], whole.read(n)) for n in whole.namelist() if n != name and "version" not in n]
        data = whole.read(name)
    assert same_state(read_torch(archive(trap / "m.ckpt", data, records))["state_dict"], STATE)

    @given(changes=CHANGES)
    @QUICK
    def check(changes):
        try:
            read_torch(archive(trap / "m.ckpt", damaged(data, changes), records))
        except WeightsError as error:
            assert "m.ckpt" in str(error)

    check()
