"""Reading ahead changes nothing but the time: order, errors, and what is held."""

import threading
import time
from contextvars import ContextVar

import pytest

from grn._kernels.ahead import ahead

told = ContextVar("told", default=None)


@pytest.mark.parametrize("n", [0, 1, 2, 7])
def test_blocks_come_in_their_order_and_are_read_once(n):
    read = []
    assert list(ahead(lambda i: read.append(i) or i * i, range(n))) == [i * i for i in range(n)]
    assert read == list(range(n))


def test_the_next_block_is_read_while_one_is_worked_on_and_no_other():
    started = [threading.Event() for _ in range(5)]
    blocks = ahead(lambda i: started[i].set() or i, range(5))
    for i in range(4):
        assert next(blocks) == i
        assert started[i + 1].wait(5), "the thread reads while nobody asks"
        time.sleep(0.02)
        assert not any(event.is_set() for event in started[i + 2 :])
    assert list(blocks) == [4]


def test_an_error_comes_where_its_block_is_due():
    def read(i):
        if i == 2:
            raise OSError("disk")
        return i

    blocks = ahead(read, range(5))
    assert [next(blocks), next(blocks)] == [0, 1]
    with pytest.raises(OSError, match="disk"):
        next(blocks)


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interruption_passes_and_leaves_no_thread(error):
    with pytest.raises(error):
        for _ in ahead(lambda i: time.sleep(0.01) or i, range(100)):
            raise error
    deadline = time.monotonic() + 5
    while any(thread.name.startswith("grn-reads") for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_the_thread_sees_what_the_caller_set():
    told.set("here")
    assert list(ahead(lambda _: told.get(), range(3))) == ["here"] * 3
