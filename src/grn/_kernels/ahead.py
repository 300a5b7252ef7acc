"""Blocks of cells in their order, the next of which is read while one is worked on."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")


def ahead(read: Callable[[A], B], asked: Sequence[A]) -> Generator[B, None, None]:
    """``read`` of everything that is asked for, one after the other; a thread is one block ahead.

    The order of reading and what is read are those of a loop, and no more than two blocks are held: reading waits
    until the block before was taken. An error of ``read`` is raised where its block is due. Whoever stops before the
    end, by an error or Ctrl-C, waits for the block that is being read.

    Parameters
    ----------
    read
        Called by one thread at a time.
    asked
        Its arguments. A single one is read without a thread.
    """
    if len(asked) < 2:
        yield from map(read, asked)
        return
    context = copy_context()
    with ThreadPoolExecutor(1, thread_name_prefix="grn-reads") as reader:
        block = reader.submit(context.run, read, asked[0])
        for following in asked[1:]:
            ready = block.result()
            block = reader.submit(context.run, read, following)
            yield ready
            del ready
        yield block.result()
