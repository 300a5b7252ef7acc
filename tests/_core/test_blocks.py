"""Blocks of work give the same, in their order, whoever does them."""

import os
import signal
from dataclasses import dataclass

import numpy as np
import pytest

from grn._core.blocks import HERE, Workers, in_blocks
from grn.errors import GeneNameError


@dataclass(frozen=True)
class Holder:
    """Something with a matrix."""

    matrix: np.ndarray


def scaled(shared, block):
    return shared * block


def blocks(n=50):
    return (np.arange(i, i + 3) for i in range(n))


@pytest.mark.parametrize("threads", [True, False])
@pytest.mark.parametrize("n_jobs", [None, 1, 2])
def test_threads_and_processes_give_the_same(n_jobs, threads):
    found = list(in_blocks(scaled, 2.5, blocks(), Workers(n_jobs), total=50, threads=threads))
    np.testing.assert_array_equal(found, [2.5 * block for block in blocks()])


def file_of(shared, block):
    """Where the values of a matrix of ``shared`` lie, and whether they are as they were."""
    X = shared.matrix
    return getattr(X, "filename", None), X.flags.f_contiguous, float(X[block, -1])


def test_processes_read_one_copy_of_a_large_matrix(tmp_path, monkeypatch):
    """A matrix inside of what is shared, as trees have it, is written to memory once and mapped by every process."""
    monkeypatch.setenv("JOBLIB_TEMP_FOLDER", str(tmp_path))
    shared = Holder(np.asfortranarray(np.arange(600_000, dtype=np.float32).reshape(3000, 200)))
    found = list(in_blocks(file_of, shared, range(40), Workers(2), total=40, threads=False))
    files = {name for name, _, _ in found}
    assert len(files) == 1 and str(tmp_path) in str(files.pop())
    assert all(in_order and value == 200 * i + 199 for i, (_, in_order, value) in enumerate(found))


def test_a_worker_gives_the_same(near_client):
    found = list(in_blocks(scaled, 2.5, blocks(), Workers(client=near_client), total=50))
    np.testing.assert_array_equal(found, [2.5 * block for block in blocks()])
    assert list(in_blocks(scaled, 2.5, [], Workers(client=near_client), total=0)) == []


def test_what_is_shared_travels_once_and_blocks_a_few_at_a_time(near_client, monkeypatch):
    sent, taken = [], []
    scatter = type(near_client).scatter
    monkeypatch.setattr(
        type(near_client), "scatter", lambda self, data, **more: sent.append(data) or scatter(self, data, **more)
    )
    several = (taken.append(i) or i for i in range(1000))
    done = in_blocks(scaled, 3, several, Workers(client=near_client), total=1000)
    assert [next(done) for _ in range(3)] == [0, 3, 6]
    assert len(sent) == 1 and len(taken) < 600
    done.close()
    assert len(sent) == 1


def test_an_error_of_a_block_arrives(near_client):
    def wrong(shared, block):
        raise GeneNameError(f"no gene {block}")

    for workers in (HERE, Workers(2), Workers(client=near_client)):
        with pytest.raises(GeneNameError, match="no gene"):
            list(in_blocks(wrong, None, range(20), workers, total=20))


@pytest.mark.slow
def test_workers_that_die_change_nothing(client):
    found = []
    for number, values in enumerate(in_blocks(scaled, 2.5, blocks(200), Workers(client=client), total=200)):
        if number == 3:
            os.kill(next(iter(client.run(os.getpid).values())), signal.SIGKILL)
        found.append(values)
    np.testing.assert_array_equal(found, [2.5 * block for block in blocks(200)])
    client.wait_for_workers(2)
