"""Sealed files: whole or not there, and read as they were written or not at all."""

import os
import subprocess
import sys
import threading
import time

import numcodecs
import numpy as np
import pytest

from grn._core import sealed
from grn.errors import StorageError


def test_the_seal_is_that_of_numcodecs():
    content = bytes(np.random.default_rng(0).integers(0, 256, 1000, dtype=np.uint8))
    codec = numcodecs.get_codec(sealed.CODEC)
    assert sealed.seal(content) == bytes(codec.encode(content))
    assert bytes(sealed.unseal(sealed.seal(content))) == content


@pytest.mark.parametrize("n", [1, 7, 300])
def test_every_flipped_bit_and_every_cut_is_seen(n):
    content = bytes(np.random.default_rng(n).integers(0, 256, n, dtype=np.uint8))
    whole = sealed.seal(content)
    for bit in range(8 * len(whole)):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(sealed.Damaged, match="checksum"):
            sealed.unseal(bytes(flipped))
    for length in range(len(whole)):
        with pytest.raises(sealed.Damaged):
            sealed.unseal(whole[:length])
    for wrong in (whole + b"x", b"\0" * len(whole), whole[::-1]):
        with pytest.raises(sealed.Damaged):
            sealed.unseal(wrong)


def test_what_is_kept_comes_back_and_what_is_damaged_is_told_and_not_given(tmp_path, caplog):
    path = tmp_path / "new" / "numbers.sealed"
    assert sealed.kept(path, sealed.unpacked) is None and not caplog.records
    for compress in (False, True):
        sealed.keep(path, sealed.packed({"a": np.arange(3), "b": np.ones((2, 2))}, compress=compress))
        found = sealed.kept(path, sealed.unpacked)
        assert found["a"].tolist() == [0, 1, 2] and found["b"].shape == (2, 2) and not caplog.records
    path.write_bytes(path.read_bytes()[:-1])
    assert sealed.kept(path, sealed.unpacked) is None
    assert str(path) in caplog.text and "damaged" in caplog.text and "made again" in caplog.text
    sealed.keep(path, sealed.packed({"a": np.array([{}], dtype=object)}))
    assert sealed.kept(path, sealed.unpacked) is None
    assert list(path.parent.iterdir()) == [path]
    path.unlink()
    path.mkdir()
    assert sealed.kept(path, sealed.unpacked) is None
    with pytest.raises(StorageError, match="it is a folder"):
        sealed.keep(path, b"x")


def test_what_is_quickly_made_again_does_not_wait_for_the_disk(tmp_path, monkeypatch):
    def full(_):
        raise OSError("no disk")

    monkeypatch.setattr(os, "fsync", full)
    sealed.keep(tmp_path / "quick.sealed", b"x", durable=False)
    assert sealed.kept(tmp_path / "quick.sealed", bytes) == b"x"
    with pytest.raises(StorageError, match="no disk"):
        sealed.keep(tmp_path / "lasting.sealed", b"x")
    assert [path.name for path in tmp_path.iterdir()] == ["quick.sealed"]


def part_of(path, monkeypatch, **process):
    with monkeypatch.context() as patched:
        for name, value in process.items():
            patched.setattr(*(os, name) if name == "getpid" else (sealed, name), lambda value=value: value)
        part = sealed.part_of(path)
    part.write_bytes(b"half")
    return part


def test_only_the_parts_of_the_dead_are_swept(tmp_path, monkeypatch):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    alive = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        path = tmp_path / "x"
        (tmp_path / "deep").mkdir()
        own = part_of(path, monkeypatch)
        other = part_of(path, monkeypatch, getpid=alive.pid)
        far = part_of(path, monkeypatch, getpid=gone.pid, _host="another-machine")
        dead = part_of(tmp_path / "deep" / "y", monkeypatch, getpid=gone.pid)
        old = part_of(path, monkeypatch, _host="another-machine")
        os.utime(old, (time.time() - 2 * 24 * 3600,) * 2)
        (tmp_path / "mine.part").write_text("not ours")
        sealed.sweep(tmp_path)
        assert own.exists() and other.exists() and far.exists() and (tmp_path / "mine.part").exists()
        assert not dead.exists() and not old.exists()
    finally:
        alive.kill()
        alive.wait()


def test_a_process_taken_for_dead_writes_its_part_again(tmp_path, monkeypatch):
    files = {tmp_path / name: name.encode() for name in "abc"}
    plain, swept = sealed._write, []

    def swept_away(part, content, **given):
        plain(part, content, **given)
        if len(swept) < 3:
            swept.append(part)
            part.unlink()

    monkeypatch.setattr(sealed, "_write", swept_away)
    sealed.publish(files)
    assert len(swept) == 3
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == files


def test_one_of_many_claims_a_file(tmp_path):
    path, won = tmp_path / "x", []
    start = threading.Barrier(8)

    def claim(i):
        start.wait()
        if sealed.claim(path, b"%d" % i):
            won.append(i)

    threads = [threading.Thread(target=claim, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1 and path.read_bytes() == b"%d" % won[0] and list(tmp_path.iterdir()) == [path]


def test_a_claim_without_links(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError("no links here")

    monkeypatch.setattr(os, "link", refuse)
    assert sealed.claim(tmp_path / "x", b"1") and not sealed.claim(tmp_path / "x", b"2")
    assert (tmp_path / "x").read_bytes() == b"1"
