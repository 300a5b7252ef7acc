"""Files that ask for code, pickles and torch files: nothing in them runs, and what they ask for is named."""

import collections
import functools
import io
import os
import pickle
import tarfile
import zipfile

import numpy as np
import pytest
import torch

from grn._core.errors import WeightsError
from grn.models._unpickle import read_pickle, read_torch


class Asks:
    """Pickles as a call that its reader would make."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


EVIL = {
    "os.system": Asks(os.system, "touch ran"),
    "eval": Asks(eval, "open('ran', 'w')"),
    "exec": Asks(exec, "open('ran', 'w')"),
    "open": Asks(open, "ran", "w"),
    "getattr": Asks(getattr, {}, "keys"),
    "import": Asks(__import__, "os"),
    "breakpoint": Asks(breakpoint),
    "partial": Asks(functools.partial, os.system, "touch ran"),
    "codec": Asks(__import__("_codecs").encode, "abc", "rot13"),
    "decode": Asks(__import__("_codecs").decode, b"abc", "utf8"),
    "load": Asks(torch.load, "ran"),
    "map": Asks(map, os.system, ["touch ran"]),
}
WRAPS = {
    "alone": lambda evil: evil,
    "value": lambda evil: {"a": 1, "b": evil},
    "key": lambda evil: {(evil,): 1},
    "nested": lambda evil: {"a": [{"b": ({"c": evil},)}]},
    "default": lambda evil: collections.defaultdict(list, a=evil),
}


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@pytest.mark.parametrize("evil", EVIL)
def test_a_dictionary_that_calls_something_is_refused_by_name(trap, evil, protocol):
    path = trap / "d.pkl"
    for wrap in WRAPS.values():
        path.write_bytes(pickle.dumps(wrap(EVIL[evil]), protocol=protocol))
        with pytest.raises(WeightsError, match=r"asks for .*it was not run"):
            read_pickle(path)


@pytest.mark.parametrize("name", ["dict.fromkeys", "object", "type", "print", "__import__", "str.format", "memoryview"])
def test_names_outside_the_list_are_not_looked_up(trap, name):
    path = trap / "d.pkl"
    path.write_bytes(b"\x80\x04\x8c\x08builtins\x8c" + bytes([len(name)]) + name.encode() + b"\x93.")
    with pytest.raises(WeightsError, match=rf"builtins\.{name}"):
        read_pickle(path)


@pytest.mark.parametrize(
    "state", [None, {"k": 1}, (3, "?", None), (3, "<", None, ("a",), {"a": 1}, 8, 1, 0)], ids=["none", "dict", "?", "f"]
)
def test_a_number_type_takes_no_state_but_its_byte_order(trap, state):
    class Type:
        def __reduce__(self):
            return np.dtype, ("i8", False, True), state

    path = trap / "d.pkl"
    path.write_bytes(pickle.dumps({"a": Type()}))
    if isinstance(state, tuple) and state[1] == "<":
        assert read_pickle(path)["a"] == np.dtype("i8"), "the fields are not taken over"
    elif state is None:
        assert read_pickle(path)["a"] == np.dtype("i8")
    else:
        with pytest.raises(WeightsError, match="byte order"):
            read_pickle(path)


@pytest.mark.parametrize("code", ["V8", "O", "O8", "i8,i8", "M8[ns]", "c16", 3, ["i8"]])
def test_only_plain_numbers_are_numbers(trap, code):
    class Number:
        def __reduce__(self):
            return np._core.multiarray.scalar, (Asks(np.dtype, code, False, True), b"12345678")

    path = trap / "d.pkl"
    path.write_bytes(pickle.dumps({"a": Number()}))
    with pytest.raises(WeightsError, match=r"numpy\.dtype|array of objects"):
        read_pickle(path)


def test_a_pickle_cannot_change_what_its_names_lead_to(trap, archive):
    """BUILD sets attributes of whatever lies on the stack; that may be a function of torch or of this package."""
    for module, name in (("numpy", "dtype"), ("_codecs", "encode"), ("collections", "OrderedDict")):
        head = f"c{module}\n{name}\n".encode()
        (trap / "d.pkl").write_bytes(b"\x80\x02" + head + b"N}X\x0c\x00\x00\x00__defaults__)s\x86b.")
        with pytest.raises(WeightsError):
            read_pickle(trap / "d.pkl")
    before = torch._utils._rebuild_tensor_v2.__defaults__
    for module, name in (("torch._utils", "_rebuild_tensor_v2"), ("torch.nn.modules.linear", "Linear")):
        content = b"\x80\x02" + f"c{module}\n{name}\n".encode() + b"N}X\x0c\x00\x00\x00__defaults__)s\x86b."
        with pytest.raises(WeightsError):
            read_torch(archive(trap / "m.ckpt", content))
    assert torch._utils._rebuild_tensor_v2.__defaults__ == before
    assert not hasattr(torch.nn.Linear, "__defaults__")


STATE = {"w": torch.arange(6.0).reshape(2, 3), "n": torch.tensor(3), "h": torch.ones(2, dtype=torch.bfloat16)}


@pytest.mark.parametrize("zipped", [True, False], ids=["archive", "stream"])
@pytest.mark.parametrize("suffix", [".pt", ".ckpt"])
@pytest.mark.parametrize("evil", sorted(set(EVIL) - {"codec"}))  # torch itself allows that one
def test_code_in_a_torch_file_is_refused(trap, evil, zipped, suffix, same_state):
    path = trap / f"m{suffix}"
    contents = (EVIL[evil], {**STATE, "b": EVIL[evil]}, {"state_dict": STATE, "callbacks": {"c": [EVIL[evil]]}})
    for content in contents:
        torch.save(content, path, _use_new_zipfile_serialization=zipped)
        with pytest.raises(WeightsError) as raised:
            found = read_torch(path)
            # a training library's name is a stand-in, which is read over outside the parameters
            assert evil in ("partial", "load") and content is contents[2] and same_state(found["state_dict"], STATE)
            raise WeightsError(f"{path} holds stand-ins")
        assert str(path) in str(raised.value) and "two options" not in str(raised.value)


@pytest.mark.parametrize("suffix", [".pt", ".ckpt"])
def test_a_pickle_that_poses_as_an_archive_is_not_run(trap, suffix):
    """Python finds an archive by its end, torch by its start: between the two lay an unguarded reader once."""
    end = io.BytesIO()
    with zipfile.ZipFile(end, "w") as made:
        made.writestr("a", "b")
    path = trap / f"m{suffix}"
    for protocol in (0, 2):
        path.write_bytes(pickle.dumps(EVIL["os.system"], protocol=protocol) + end.getvalue())
        assert zipfile.is_zipfile(path)
        with pytest.raises(WeightsError, match=r"system|not a readable"):
            read_torch(path)


def test_a_tar_file_is_refused_before_torch_unpacks_it(trap):
    path = trap / "m.pt"
    with tarfile.open(path, "w") as made:
        for name in ("storages", "tensors", "pickle"):
            data = pickle.dumps(EVIL["os.system"], protocol=2)
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            made.addfile(entry, io.BytesIO(data))
    with pytest.raises(WeightsError, match="tar archive"):
        read_torch(path)


@pytest.mark.filterwarnings("ignore")
def test_a_compiled_model_is_refused(trap):
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), trap / "m.pt")
    with pytest.raises(WeightsError, match="TorchScript"):
        read_torch(trap / "m.pt")


def test_a_whole_model_is_refused_and_named(trap):
    torch.save(torch.nn.Linear(2, 2), trap / "m.pt")
    with pytest.raises(WeightsError, match=r"torch\.nn\.modules\.linear\.Linear"):
        read_torch(trap / "m.pt")
