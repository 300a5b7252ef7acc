"""A store whose files are damaged: whichever bit it is, nothing is served, and the next run gives the same bytes."""

import json
import random
import shutil

import numpy as np
import pytest
import zarr

from grn._core import store, stored
from grn.errors import GrnError, ParameterError, ResultNotFoundError, StorageError

N_FLIPS = 170
GENES = [f"g{i}" for i in range(12)]
FEATURES, GROUPS = ["vvp", "gradient_trajectory"], ["a", "b"]
# first and last source of every unit; a short one ends it
BOUNDS = [(0, 4), (4, 8), (8, 9)]
CHUNK, GRID = 2, [-1.0, 1.0]
MANIFEST = {
    "layout": store.LAYOUT,
    "genes": GENES,
    "sources": GENES[:9],
    "groups": GROUPS,
    "grid": GRID,
    "features": FEATURES,
    "units": len(BOUNDS) * len(GROUPS),
    "chunk": CHUNK,
}
UNITS = [(number, *bounds, group) for group in (0, 1) for number, bounds in enumerate(BOUNDS, start=group * 3)]


def truth(feature):
    cube = np.random.default_rng(FEATURES.index(feature)).normal(size=(12, 9, 4)).astype(np.float32)
    cube[np.arange(9), np.arange(9)] = np.nan
    return cube


TRUTH = {feature: truth(feature) for feature in FEATURES}


def fill(folder, manifest=MANIFEST):
    """What a run does: prepare, make what is not there, finish; the units that were made."""
    sha256, made = store.create(folder, manifest), []
    for number, start, stop, group in UNITS:
        if store.damage(folder, number, manifest, place=(start, stop, group)) is None:
            continue
        cubes = {f: cube[:, start:stop, 2 * group : 2 * group + 2] for f, cube in TRUTH.items()}
        store.write(folder, number, cubes, start=start, group=group, chunk=CHUNK)
        made.append(number)
    store.finish(folder, sha256)
    return made


def record(folder, feature):
    return {"store": str(folder), "store_sha256": store.digest(MANIFEST), "params": {"function": feature}}


def read(folder, feature, **chosen):
    return stored.read(record(folder, feature), feature, **{"targets": GENES, "sources": GENES[:9], **chosen})


def content(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def _whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "store"
    assert fill(folder) == [0, 1, 2, 3, 4, 5]
    return folder


@pytest.fixture
def folder(_whole, tmp_path):
    shutil.copytree(_whole, tmp_path / "store")
    return tmp_path / "store"


def test_reading_by_zarr_and_by_name(folder):
    for feature in FEATURES:
        np.testing.assert_array_equal(read(folder, feature), TRUTH[feature])
        np.testing.assert_array_equal(zarr.open_group(str(folder), mode="r")[feature][:], TRUTH[feature])
        part = read(folder, feature, targets=["g3", "g0"], sources=["g8", "g1", "g2"], points=slice(1, 3))
        np.testing.assert_array_equal(part, TRUTH[feature][np.ix_([3, 0], [8, 1, 2], [1, 2])])
        cube = stored.StoredCube(folder, MANIFEST, feature)
        for rows, columns, points in (([5, 1], [8, 0, 3, 1], [3, 0, 2]), ([2, 3], [0, 2, 1], [2, 0]), ([], [1], [0])):
            found = cube.take(*(np.array(part, dtype=int) for part in (rows, columns, points)))
            np.testing.assert_array_equal(found, TRUTH[feature][np.ix_(rows, columns, points)])
        for key in (np.s_[:], np.s_[2], np.s_[:, 3, 1:], np.s_[1:5, [0, 7], -1], np.s_[2, 4, 3]):
            np.testing.assert_array_equal(cube[key], TRUTH[feature][key])
        assert cube.shape == TRUTH[feature].shape and cube.dtype == np.float32
        np.testing.assert_array_equal(np.asarray(cube), TRUTH[feature])
    assert fill(folder) == []


def served(folder, feature):
    """Whether reading gives the right numbers; an error of the package is the only other way."""
    try:
        found = read(folder, feature)
    except GrnError as error:
        assert str(folder) in str(error)
        return False
    np.testing.assert_array_equal(found, TRUTH[feature])
    return True


def flip(path, chance):
    text = bytearray(path.read_bytes())
    at = chance.randrange(8 * len(text))
    text[at // 8] ^= 1 << at % 8
    path.write_bytes(bytes(text))


def test_no_flipped_bit_is_served_and_the_next_run_gives_the_same_bytes(folder):
    whole, chance = content(folder), random.Random(0)
    names = sorted(whole)
    refused = 0
    for round_ in range(N_FLIPS):
        name = names[round_ % len(names)]
        flip(folder / name, chance)
        assert content(folder) != whole
        found = [served(folder, feature) for feature in FEATURES]
        refused += not all(found)
        numbers = name.split("/")[-1][0].isdigit()
        made = fill(folder)
        assert len(made) == numbers, name  # what describes follows from the call; only numbers cost anything
        assert content(folder) == whole, name
    # all but the marks of units are needed to read
    flipped = [names[i % len(names)] for i in range(N_FLIPS)]
    assert refused == sum("finished/" not in name or "/." in name for name in flipped)


def test_several_files_damaged_at_once(folder):
    whole, chance = content(folder), random.Random(1)
    for _ in range(40):
        for name in chance.sample(sorted(whole), 5):
            path, how = folder / name, chance.choice(["flip", "cut", "empty", "gone", "zeros"])
            if how == "flip":
                flip(path, chance)
            elif how == "cut":
                path.write_bytes(whole[name][: chance.randrange(len(whole[name]))])
            elif how == "zeros":
                path.write_bytes(bytes(len(whole[name])))
            else:
                path.unlink()
            if how == "empty":
                path.write_bytes(b"")
        for feature in FEATURES:
            served(folder, feature)
        fill(folder)
        assert content(folder) == whole


@pytest.mark.parametrize("name", ["vvp/0.2.1", "vvp/0.4.0", "finished/4"])
@pytest.mark.parametrize("how", ["gone", "cut", "swapped", "empty"])
def test_what_is_damaged_is_named(folder, name, how):
    path = folder / name
    text = path.read_bytes()
    path.unlink()
    if how != "gone":
        other = (folder / "finished" / "0").read_bytes()
        path.write_bytes({"cut": text[:-2], "empty": b"", "swapped": other}[how])
    if name.startswith("finished"):
        assert all(served(folder, feature) for feature in FEATURES)  # every chunk is there
    else:
        with pytest.raises(StorageError) as caught:
            read(folder, "vvp")
        of = "'vvp' of g4, g5 in group 'b' (unit 4, " if "2.1" in name else "'vvp' of g8 in group 'a' (unit 2, "
        assert of in str(caught.value) and f"grn.tl.probe(adata, store={str(folder)!r}" in str(caught.value)
        assert served(folder, "gradient_trajectory")
        other = read(folder, "vvp", sources=["g0", "g6"])  # what is whole is read
        np.testing.assert_array_equal(other, TRUTH["vvp"][:, [0, 6]])
    assert fill(folder) == [2 if name == "vvp/0.4.0" else 4]
    assert all(served(folder, feature) for feature in FEATURES)


def test_zarr_itself_serves_no_flipped_bit(folder):
    chance, refused = random.Random(2), 0
    chunks = [folder / name for name in content(folder) if name.startswith("vvp/0")]
    for path in chunks * 4:
        text = path.read_bytes()
        flip(path, chance)
        try:
            found = zarr.open_group(str(folder), mode="r")["vvp"][:]
        except RuntimeError:
            refused += 1
        else:
            np.testing.assert_array_equal(found, TRUTH["vvp"])
        path.write_bytes(text)
    assert refused == len(chunks) * 4


@pytest.mark.parametrize("lost", [".zattrs", ".zgroup", "vvp/.zarray", "vvp/.zattrs", "finished/.zarray"])
def test_descriptions_that_are_gone_are_told_and_written_again(folder, lost, caplog):
    whole = content(folder)
    (folder / lost).unlink()
    with pytest.raises(StorageError, match=rf"damaged: {lost} is not as it was written"):
        read(folder, "vvp")
    assert fill(folder) == [] and content(folder) == whole
    (folder / lost).write_text("{")
    assert fill(folder) == [] and content(folder) == whole and f"{lost} is damaged" in caplog.text


def test_a_store_before_checksums_is_refused_with_advice(folder):
    old = {**MANIFEST, "layout": 1}
    (folder / ".zattrs").write_text(json.dumps({"grn": old}))
    before = content(folder)
    for name in FEATURES:
        (folder / name / ".zattrs").write_text(json.dumps({"_ARRAY_DIMENSIONS": ["target", "source", "point"]}))
    (folder / "finished" / ".zattrs").write_text(json.dumps({"complete": True}))
    with pytest.raises(ParameterError, match=r"older version of grn.*layout 1, now 2.*another folder as store="):
        store.create(folder, MANIFEST)
    with pytest.raises(ResultNotFoundError, match=r"older version of grn.*Run the probe again"):
        read(folder, "vvp")
    assert (folder / ".zattrs").read_bytes() == before[".zattrs"]


def test_a_damaged_store_of_another_call_is_left_alone(folder):
    text = (folder / ".zattrs").read_bytes()
    (folder / ".zattrs").write_bytes(text.replace(b'"g3"', b'"h3"', 1))
    before = content(folder)
    other = {**MANIFEST, "grid": [0.0, 1.0]}
    with pytest.raises(ParameterError, match="is damaged, and was made for another call"):
        store.create(folder, other)
    (folder / ".zattrs").write_bytes(text)
    with pytest.raises(ParameterError, match=r"was made for another call: grid"):
        store.create(folder, other)
    assert content(folder) == {**before, ".zattrs": text}


def test_many_folders_are_no_store(tmp_path):
    for text in ("[]", '{"grn": 5}', '{"grn": {"layout": "x"}}', "\0", "[" * 100_000):
        folder = tmp_path / str(abs(hash(text)))
        folder.mkdir()
        (folder / ".zattrs").write_text(text)
        with pytest.raises(ParameterError, match="holds something else"):
            store.create(folder, MANIFEST)
        with pytest.raises(ResultNotFoundError, match="is not there"):
            read(folder, "vvp")
