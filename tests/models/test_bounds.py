"""Small files that claim to be large, and weights that are no numbers: refused at once, by the error of the package."""

import dataclasses
import hashlib
import io
import json
import pickle
import shutil
import struct
import subprocess
import sys
import textwrap
import zipfile
import zlib
from functools import cache

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import grn
from grn.errors import ParameterError, WeightsError
from grn.models import load, untrained
from grn.models._bounds import check_finite
from grn.models._memory_file import save_memory
from grn.models._model_file import save_tensors
from grn.models.translator import Translator, TranslatorConfig, TranslatorNetwork

SECONDS, BYTES = 1.0, 200 * 2**20
FAMILIES = ("scgpt", "geneformer", "genecompass", "scprint", "scgenept", "lpm")
SYMBOLS = ["SPI1", "GATA1", "LYZ", "CD14"]
ENSEMBL = [f"ENSG{i:011d}" for i in range(1, 5)]

# reads every file in a process of its own: what it took beyond what was taken before
WORKER = textwrap.dedent(
    """
    import json, pathlib, resource, sys, time
    import grn, torch
    from grn.models import load
    from grn.models._unpickle import read_pickle, read_torch
    from grn.models.translator import Translator
    from grn.models._training_state import resume
    readers = {
        "pickle": read_pickle, "torch": read_torch, "model": load,
        "translator": lambda path: Translator.load(path.resolve()),
        "state": lambda path: resume(torch.nn.Linear(1, 1), None, "{}", path, torch.device("cpu")),
    }
    load("mini"), read_torch(pathlib.Path(sys.argv[2]))
    with open("/proc/self/status") as status:
        now = next(int(line.split()[1]) for line in status if line.startswith("VmSize")) * 1024
    resource.setrlimit(resource.RLIMIT_AS, (now + 3 * 2**30,) * 2)
    for name in sorted(pathlib.Path(sys.argv[1]).iterdir()):
        before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
        try:
            readers[name.name.split("-")[0]](name)
            told = "nothing"
        except grn.errors.GrnError as error:
            told = type(error).__name__ + ": " + str(error)[:300]
        except BaseException as error:
            told = "raw " + repr(error)[:300]
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        print(json.dumps([name.name, told, time.process_time() - start, grown * 1024]), flush=True)
    """
)


def header_of(model):
    """What is written beside the tables of a memory."""
    config = json.dumps(dataclasses.asdict(model.network.config))
    names = {"genes": "\n".join(model.genes), "sets": "\n".join(model.sets)}
    return {"format": "grn.memory/1", "config": config, "seen": model.seen, **names}


def mini_header(path, **changes):
    """A tiny mini model whose header says something else."""
    model = grn.models.load("mini")
    config = dataclasses.replace(model.network.config, **changes)
    header = header_of(model) | {"config": json.dumps(dataclasses.asdict(config)), "max_genes": "10"}
    save_tensors(path, {"embedding": torch.zeros(2, 2)}, header)


def shared_tuples(depth, hashed):
    """(((x, x), (x, x)), ...) by the memo; as a key it has to be hashed."""
    made = b"\x80\x04}" + (b"" if hashed else b"\x8c\x01k") + b"K\x01\x94"
    for i in range(depth):
        made += b"h" + bytes([i]) + b"\x86\x94"
    return made + (b"K\x01" if hashed else b"") + b"s."


def shared_lists(depth):
    made = b"\x80\x04}\x8c\x01k]\x94K\x01a"
    for i in range(depth):
        made += b"]\x94(h" + bytes([i]) + b"h" + bytes([i]) + b"e"
    return made + b"s."


def call(name, argument):
    return b"\x80\x04}\x8c\x01k" + f"cbuiltins\n{name}\n".encode() + argument + b"\x85Rs."


LARGE = b"\x8a\x05" + (8 * 2**30).to_bytes(5, "little")


def copies(name):
    """Ten thousand copies of one string of a megabyte."""
    made = b"\x80\x04}\x8c\x01k](" + f"cbuiltins\n{name}\n".encode() + b"\x94"
    made += b"B" + struct.pack("<I", 2**20) + bytes(2**20) + b"\x94"
    return made + b"h\x00h\x01\x85R" * 10_000 + b"es."


PICKLES = {
    "memo": b"\x80\x04}r\xff\xff\xff\x7f.",
    "bytearray": call("bytearray", LARGE),
    "bytes": call("bytes", LARGE),
    "bytearray8": b"\x80\x05}\x8c\x01k\x96" + struct.pack("<Q", 8 * 2**30) + b"s.",
    "bytes8": b"\x80\x04}\x8c\x01k\x8e" + struct.pack("<Q", 2**50) + b"s.",
    "text8": b"\x80\x04}\x8c\x01k\x8d" + struct.pack("<Q", 2**62) + b"s.",
    "frame": b"\x80\x04\x95" + struct.pack("<Q", 2**61) + b"}.",
    "paths": shared_lists(60),
    "tuples": shared_tuples(60, hashed=False),
    "keys": shared_tuples(60, hashed=True),
    "text": b"\x80\x04}\x8c\x01kcbuiltins\nstr\n" + shared_lists(60)[6:-2] + b"\x85Rs.",
    "deep": b"\x80\x04" + b"]" * 100_000 + b"a" * 99_999 + b".",
    "deep dict": b"\x80\x04" + b"}K\x01" * 40_000 + b"}" + b"s" * 40_000 + b".",
    "digits": b"\x80\x04}\x8c\x01k\x8b" + struct.pack("<i", 10**6) + b"\x7f" * 10**6 + b"s.",
    "copies": copies("bytearray"),
    "itself": b"\x80\x04}\x94\x8c\x01kh\x00s.",
}


def torch_archive(path, data, records=(), *, method=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression=method, compresslevel=1) as made:
        made.writestr("archive/data.pkl", data)
        made.writestr("archive/version", "3\n")
        for name, content in records:
            made.writestr(f"archive/{name}", content)


def tensor_pickle(n, size, stride="K\x01\x85", *, times=1):
    """A state with tensors on one storage that is said to have ``n`` numbers."""
    made = b"\x80\x02}("
    integer = lambda value: b"\x8a\x08" + value.to_bytes(8, "little")  # noqa: E731
    for i in range(times):
        key = f"w{i}".encode()
        made += b"X" + struct.pack("<I", len(key)) + key + b"ctorch._utils\n_rebuild_tensor_v2\n(("
        for word in (b"storage",):
            made += b"X" + struct.pack("<I", len(word)) + word
        made += b"ctorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpu" + integer(n) + b"tQ"
        made += b"K\x00" + integer(size) + b"\x85" + stride.encode("latin1") + b"\x89ccollections\nOrderedDict\n)RtR"
    return made + b"u."


@pytest.fixture(scope="module")
def attacks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("attacks")
    for name, data in PICKLES.items():
        (folder / f"pickle-{name}").write_bytes(data)
        torch_archive(folder / f"torch-{name}.pt", data)
    zeros = bytes(2**20)
    with zipfile.ZipFile(folder / "torch-packed.pt", "w", compression=zipfile.ZIP_DEFLATED, compresslevel=1) as made:
        made.writestr("archive/version", "3\n")
        made.writestr("archive/data.pkl", tensor_pickle(BYTES // 2, BYTES // 2))
        with made.open("archive/data/0", "w", force_zip64=True) as record:
            for _ in range(2 * BYTES >> 20):
                record.write(zeros)
    with zipfile.ZipFile(folder / "torch-packed-pickle.pt", "w", compression=zipfile.ZIP_DEFLATED) as made:
        made.writestr("archive/version", "3\n")
        with made.open("archive/data.pkl", "w", force_zip64=True) as record:
            for _ in range(2 * BYTES >> 20):
                record.write(zeros)
    few = [("data/0", bytes(64))]
    torch_archive(folder / "torch-more.pt", tensor_pickle(10**9, 16), few)
    torch_archive(folder / "torch-beyond.pt", tensor_pickle(17, 17), few)
    torch_archive(folder / "model-spread.pt", tensor_pickle(16, 10**9, "K\x00\x85"), few)
    torch_archive(folder / "model-again.pt", tensor_pickle(2**16, 2**16, times=4000), [("data/0", bytes(2**18))])
    stream = io.BytesIO()
    torch.save({"w": torch.zeros(4)}, stream, _use_new_zipfile_serialization=False)
    claimed = stream.getvalue().replace(b"K\x04Nt", b"J\xff\xff\xff\x7fNt")
    assert claimed != stream.getvalue()
    (folder / "torch-stream.pt").write_bytes(claimed)
    for name, changes in {
        "states": {"n_states": 10**9}, "sets": {"n_sets": 10**6}, "width": {"d": 20_000}, "wide": {"d": 10**30},
        "rows": {"n_genes": 10**12}, "nested": {"n_states": 10**12},
    }.items():  # fmt: skip
        mini_header(folder / f"model-{name}.safetensors", **changes)
    deep = "[" * 10**5 + "]" * 10**5
    save_tensors(folder / "model-deep.safetensors", {"a": torch.zeros(1)}, {"format": "grn.memory/1", "config": deep})
    (folder / "model-header.safetensors").write_bytes(struct.pack("<Q", 2**40) + b"{}")
    (folder / "model-offsets.safetensors").write_bytes(
        struct.pack("<Q", 64) + b'{"a":{"dtype":"F32","shape":[99999999999],"data_offsets":[0,4]}}'.ljust(64) + bytes(4)
    )
    network = TranslatorNetwork(TranslatorConfig("vvp", 2))
    for name, changes in {
        "points": {"points": 10**9}, "members": {"members": 10**9}, "hidden": {"hidden": [10**9]},
        "layers": {"hidden": [1] * 10**6},
    }.items():  # fmt: skip
        config = dataclasses.asdict(TranslatorConfig("vvp", 2)) | changes
        parts = tmp_path_factory.mktemp("parts") / "t.safetensors"
        save_tensors(parts, network.state_dict(), {"format": "grn.translator/1", "config": json.dumps(config)})
        told = {
            "format": "grn.translator/1",
            "config": config,
            "sha256": hashlib.sha256(parts.read_bytes()).hexdigest(),
        }
        parts.with_suffix(".json").write_text(json.dumps(told))
        (folder / f"translator-{name}").symlink_to(parts.with_suffix(".json"))
    (folder / "translator-deep.json").write_text(deep)
    torch_archive(folder / "state-bytes.state", PICKLES["bytearray"])
    for family in FAMILIES:
        hostile_folder(folder / f"model-{family}", family)
    return folder


def hostile_folder(path, family):
    """A checkpoint in which one table says that everything is a billion wide, in no bytes."""
    single = family in ("scprint", "lpm")
    made = grn.models.save(small(family), path.with_suffix(".pt") if single else path)
    weights = made if single else next(p for p in made.iterdir() if p.suffix in (".pt", ".bin", ".safetensors"))
    content = None if weights.suffix == ".safetensors" else torch.load(weights, weights_only=True)
    if content is None:
        from safetensors.torch import load_file

        content = load_file(weights)
    state = content[2] if isinstance(content, tuple) else content.get("state_dict", content)
    for key, value in list(state.items()):
        if isinstance(value, torch.Tensor) and value.dim() == 2:
            state[key] = torch.zeros(0, 10**9) if value.shape[0] > 4 else torch.zeros(1, value.shape[1])
    save_file(content, weights) if weights.suffix == ".safetensors" else torch.save(content, weights)


def small(family):
    genes = SYMBOLS if family in ("scgpt", "scgenept", "lpm") else ENSEMBL
    return untrained(family, genes=genes, layers=1, width=8, heads=2)


@pytest.fixture(scope="module")
def outcomes(attacks, tmp_path_factory):
    honest = tmp_path_factory.mktemp("honest") / "m.pt"
    torch.save({"w": torch.zeros(3)}, honest)
    command = [sys.executable, "-c", WORKER, str(attacks), str(honest)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    found = {name: rest for name, *rest in map(json.loads, run.stdout.splitlines())}
    assert run.returncode == 0, (run.stderr[-2000:], list(found)[-1:])
    return found


def test_refused_at_once_and_for_little(attacks, outcomes):
    assert len(outcomes) == len(list(attacks.iterdir())) > 50
    told = {name: (what, round(seconds, 2), size >> 20) for name, (what, seconds, size) in outcomes.items()}
    assert {n: t for n, t in told.items() if not t[0].startswith("WeightsError")} == {}
    assert {n: t for n, t in told.items() if t[1] > SECONDS or t[2] << 20 > BYTES} == {}


def damage(model, number):
    """One entry of the last weight becomes something else."""
    tensor = list(model.network.parameters())[-1].data
    tensor.view(-1)[-1] = number
    return model


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Small checkpoints by family, each written once."""

    @cache
    def path(family):
        folder = tmp_path_factory.mktemp(family)
        return grn.models.save(small(family), folder / ("m.ckpt" if family == "scprint" else "m"))

    return path


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("family", FAMILIES)
def test_weights_that_are_no_numbers(family, number, tmp_path):
    path = tmp_path / ("m.pt" if family in ("scprint", "lpm") else "m")
    grn.models.save(damage(small(family), number), path)
    with pytest.raises(WeightsError, match="holds NaN or infinite numbers in"):
        load(path)
    grn.models.save(small(family), path)
    assert load(path).name == "m"


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_memories_and_translators_are_no_exception(number, tmp_path, make_memory):
    save_memory(damage(make_memory(), number), tmp_path / "m.safetensors")
    with pytest.raises(WeightsError, match=r"m\.safetensors holds NaN or infinite numbers"):
        load(tmp_path / "m.safetensors")
    config = TranslatorConfig("vvp", 2)
    translator = Translator(config, TranslatorNetwork(config))
    translator.network.std[0] = number
    translator.save(tmp_path / "t")
    with pytest.raises(WeightsError, match=r"t\.safetensors holds NaN or infinite numbers in std"):
        Translator.load(tmp_path / "t")


def test_numbers_too_large_for_the_type(tmp_path):
    """Finite in the file, infinite in what computes."""
    path = grn.models.save(small("scgpt"), tmp_path / "m")
    state = torch.load(path / "best_model.pt", weights_only=True)
    state["decoder.fc.0.weight"] = state["decoder.fc.0.weight"].double() * 1e300
    torch.save(state, path / "best_model.pt")
    with pytest.raises(WeightsError, match=r"infinite numbers in decoder\.fc\.0\.weight"):
        load(path)


def test_large_numbers_are_numbers():
    check_finite({"w": torch.full((3,), 3e38), "n": torch.arange(3), "none": torch.zeros(0)}, "m")
    with pytest.raises(WeightsError, match="in b and 1 more"):
        check_finite({"a": torch.ones(2), "b": torch.tensor([3e38, np.inf]), "c": torch.tensor(np.nan)}, "m")


@pytest.mark.parametrize("family", ["scgpt", "geneformer", "genecompass", "scprint", "scgenept"])
@pytest.mark.parametrize("value", [0, -5, 1, 10**30, 2.5, True, "9", np.nan, np.inf])
def test_panels_of_no_size(family, value, saved):
    with pytest.raises(ParameterError, match="max_genes="):
        load(saved(family), params={"max_genes": value})


@pytest.mark.parametrize("value", ["0", "-5", "1", str(10**30), "1e9", "nan", "9" * 10_000])
def test_panels_of_no_size_in_a_header(value, tmp_path, make_memory):
    path = save_memory(make_memory(), tmp_path / "m.safetensors")
    model = make_memory()
    save_tensors(path, model.network.state_dict(), header_of(model) | {"max_genes": value})
    with pytest.raises(WeightsError, match=r"max_genes|cannot be read") as raised:
        load(path)
    assert len(str(raised.value)) < 600


@pytest.mark.parametrize("value", [0, -5, 10**30])
def test_panels_of_no_size_in_a_model(value, make_memory):
    with pytest.raises(ParameterError, match="max_genes="):
        make_memory(max_genes=value)


NUMBERS = [
    ("scgpt", "args.json", "nheads"),
    ("scgpt", "args.json", "n_bins"),
    ("geneformer", "config.json", "num_attention_heads"),
    ("geneformer", "config.json", "layer_norm_eps"),
    ("genecompass", "config.json", "num_attention_heads"),
    ("genecompass", "config.json", "layer_norm_eps"),
    ("scgenept", "config.json", "nhead"),
]


@pytest.mark.parametrize("value", [0, -1, 10**30, 1e400, float("nan"), None, "8", [8], True, {}])
@pytest.mark.parametrize(("family", "file", "key"), NUMBERS)
def test_numbers_of_a_configuration(family, file, key, value, saved, tmp_path):
    path = shutil.copytree(saved(family), tmp_path / "m")
    config = json.loads((path / file).read_text())
    (path / file).write_text(json.dumps({**config, key: value}))
    with pytest.raises(WeightsError, match=rf"{key}|heads"):
        load(path)


@pytest.mark.parametrize(
    "changes",
    [{"points": 0}, {"members": -1}, {"hidden": [0]}, {"grid": [1e40, 0.0]}, {"grid": ["a"]}, {"view": "none"}],
)
def test_numbers_of_a_translator(changes, tmp_path):
    config = TranslatorConfig("vvp", 2, grid=(0.0, 1.0))
    Translator(config, TranslatorNetwork(config)).save(tmp_path / "t")
    told = json.loads((tmp_path / "t.json").read_text())
    told["config"] |= changes
    parts = tmp_path / "t.safetensors"
    header = {"format": told["format"], "config": json.dumps(told["config"])}
    save_tensors(parts, TranslatorNetwork(config).state_dict(), header)
    told["sha256"] = hashlib.sha256(parts.read_bytes()).hexdigest()
    (tmp_path / "t.json").write_text(json.dumps(told))
    with pytest.raises(WeightsError, match=next(iter(changes))):
        Translator.load(tmp_path / "t")


def test_layers_are_counted_in_one_pass():
    """A million keys of no layers took a million looks at each."""
    from grn.models._checkpoint import Checkpoint

    tensors = {f"blocks.{i}.w": torch.zeros(1) for i in range(30_000)}
    assert Checkpoint(__file__, tensors).count("blocks.{}.") == 30_000
    assert Checkpoint(__file__, {"blocks.0.w": 0, "blocks.2.w": 0, "blocks.1x": 0}).count("blocks.{}.") == 1


def test_a_tied_number_is_no_attack(tmp_path):
    state = torch.zeros(300_000)
    torch.save({"a": state, "b": state}, tmp_path / "m.pt")
    from grn.models._checkpoint import open_checkpoint

    assert len(open_checkpoint(tmp_path / "m.pt").tensors) == 2
    torch.save({f"w{i}": state for i in range(9)}, tmp_path / "m.pt")
    with pytest.raises(WeightsError, match="the same numbers over and over"):
        open_checkpoint(tmp_path / "m.pt")


def test_zlib_is_not_asked_to_unpack(tmp_path):
    """A record may be packed in the directory of an archive and not in front of its bytes, and the other way round."""
    content = zlib.compress(bytes(2**24), 1)
    assert len(content) < 2**18
    torch_archive(tmp_path / "m.pt", pickle.dumps({}), [("data/0", content)], method=zipfile.ZIP_DEFLATED)
    with pytest.raises(WeightsError, match="is packed"):
        load(tmp_path / "m.pt")
