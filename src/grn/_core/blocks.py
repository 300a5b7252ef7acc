"""Work in blocks, each of which gives the same numbers wherever it is done: here, side by side, or on a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

from grn._core.cluster import each

S = TypeVar("S")
B = TypeVar("B")
R = TypeVar("R")

# blocks of a task: few enough that every worker gets several tasks, many enough that handing one out costs little
_MOST = 32
_TASKS_OF_A_WORKER = 4


@dataclass(frozen=True)
class Workers:
    """Who computes.

    Parameters
    ----------
    n_jobs
        Threads or processes of this machine; ``None`` for one.
    client
        dask client whose workers do it instead; ``None`` for this machine.
    """

    n_jobs: int | None = None
    client: Any = None

    @property
    def number(self) -> int:
        """How many work at the same time."""
        if self.client is not None:
            return max(1, len(self.client.nthreads()))
        if self.n_jobs in (None, 1):
            return 1
        from joblib import effective_n_jobs

        return int(effective_n_jobs(self.n_jobs))


HERE = Workers()


def in_blocks(
    work: Callable[[S, B], R],
    shared: S,
    blocks: Iterable[B],
    workers: Workers = HERE,
    *,
    total: int,
    threads: bool = True,
) -> Iterator[R]:
    """``work(shared, block)`` of all blocks, in their order, as they are finished.

    Parameters
    ----------
    work
        Pure: what it gives depends on its arguments alone, and a block whose worker is lost is done again.
    shared
        What all blocks need; it travels to every worker once, and processes of this machine map its arrays of more
        than a megabyte from one copy (joblib).
    blocks
        Taken a few at a time. A block travels to the worker that does it, so it holds no more than what is its own.
    workers
        Who computes; changes speed only.
    total
        Number of blocks, by which they are divided into tasks.
    threads
        Whether workers of this machine are threads, for work that releases the interpreter lock; else processes.
    """
    number = workers.number
    if workers.client is None and number == 1:
        yield from (work(shared, block) for block in blocks)
        return
    tasks = _tasks(iter(blocks), max(1, min(_MOST, total // (_TASKS_OF_A_WORKER * number))))
    if workers.client is not None:
        with closing(each(_on_worker, None, (work, shared), tasks, client=workers.client)) as done:
            for _, results in done:
                yield from results
        return
    from joblib import Parallel, delayed

    pool = Parallel(n_jobs=number, prefer="threads" if threads else "processes", return_as="generator")
    for results in pool(delayed(_task)(work, shared, task) for task in tasks):
        yield from results


def _tasks(blocks: Iterator[B], size: int) -> Iterator[list[B]]:
    while task := list(islice(blocks, size)):
        yield task


def _task(work: Callable[[S, B], R], shared: S, task: list[B]) -> list[R]:
    return [work(shared, block) for block in task]


def _on_worker(_model: None, rest: tuple[Callable[[S, B], R], S], task: list[B]) -> list[R]:
    return _task(*rest, task)
