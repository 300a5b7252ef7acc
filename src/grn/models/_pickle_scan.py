"""What a pickle would build, told from its opcodes before any of it is built.

A few bytes can ask for a memo of billions of entries, for a byte string of gigabytes, or for containers that hold each
other so often that to hash or copy them takes for ever. All of that is refused here, by the size of the file.
"""

from __future__ import annotations

import mmap
import pickletools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, Any, cast

# what any small file may build
ROOM = 2**16
# parts of a tuple that are looked at, as those of a persistent identifier are
_PARTS = 16
_LARGEST = 2**64
# with which torch begins a file that is no archive
_MAGIC = 0x1950A86A20F9469CFC6C
_PUTS = ("PUT", "BINPUT", "LONG_BINPUT")
_GETS = ("GET", "BINGET", "LONG_BINGET")
_INTS = ("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4")


class PickleTooLargeError(Exception):
    """A pickle that asks for more than a file of its size can hold."""


@dataclass(slots=True)
class Thing:
    """Something on the stack: how many values it holds if all its paths are counted, and what is known of it.

    Parameters
    ----------
    weight
        Number of values, those met twice counted twice.
    value
        An integer, a text, the name ``module.name`` of a global, the parts of a tuple; ``None`` for anything else.
    """

    weight: int = 1
    value: Any = None


@dataclass
class PickleContents:
    """What one pickle asks for.

    Parameters
    ----------
    names
        Globals it looks up.
    storages
        Arguments of every persistent identifier, as torch writes them for the numbers behind tensors.
    """

    names: set[str] = field(default_factory=set)
    storages: list[tuple[Any, ...]] = field(default_factory=list)


def scan(stream: IO[bytes] | mmap.mmap, size: int) -> PickleContents:
    """Read the opcodes of the next pickle of a stream.

    Parameters
    ----------
    stream
        Where the pickle begins; whatever it claims, reading must not reach beyond the end.
    size
        Size of the file in bytes.

    Raises
    ------
    PickleTooLargeError
        If it would build more than the file can hold.
    ValueError, IndexError, KeyError
        If it is no pickle.
    """
    contents, machine = PickleContents(), _Machine(4 * size + ROOM)
    for opcode, argument, _ in pickletools.genops(cast(Any, stream)):
        machine.step(opcode, argument, contents)
    return contents


class _Machine:
    """The stack of an unpickler, with weights in place of values."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.stack: list[Thing] = []
        self.marks: list[int] = []
        self.memo: dict[int, Thing] = {}

    def step(self, opcode: pickletools.OpcodeInfo, argument: Any, found: PickleContents) -> None:
        """One opcode."""
        name = opcode.name
        if name in _PUTS or name == "MEMOIZE":
            self.put(len(self.memo) if name == "MEMOIZE" else argument)
        elif name in _GETS:
            self.stack.append(self.memo[argument])
        elif name == "MARK":
            self.marks.append(len(self.stack))
        elif name not in ("PROTO", "FRAME", "STOP"):
            taken = list(self.take(opcode))
            for _ in [thing for thing in opcode.stack_after if thing is not pickletools.markobject]:
                self.stack.append(self.made(name, argument, taken, found))

    def put(self, index: int) -> None:
        """Remember what is on top; the memo of an unpickler is as long as its largest index."""
        if not 0 <= index <= self.limit:
            raise PickleTooLargeError(f"it numbers a value {index}")
        self.memo[index] = self.stack[-1]

    def take(self, opcode: pickletools.OpcodeInfo) -> Iterator[Thing]:
        """What an opcode takes from the stack, the first first."""
        before = opcode.stack_before
        if opcode.name == "POP" and self.marks and self.marks[-1] == len(self.stack):
            self.marks.pop()
            return
        if pickletools.stackslice in before:
            start = self.marks.pop() - before.index(pickletools.markobject)
        else:
            start = len(self.stack) - len(before)
        if start < 0:
            raise IndexError("the stack is empty")
        yield from self.stack[start:]
        del self.stack[start:]

    def made(self, name: str, argument: Any, taken: list[Thing], found: PickleContents) -> Thing:
        """What an opcode puts on the stack."""
        weight = 1 + sum(thing.weight for thing in taken)
        if weight > self.limit:
            raise PickleTooLargeError(f"its values hold each other more than {self.limit} times")
        if name in _INTS:
            if not -_LARGEST <= argument <= _LARGEST and argument != _MAGIC:
                raise PickleTooLargeError("it holds an integer of more than 64 bits")
            return Thing(1, argument)
        if name in ("GLOBAL", "STACK_GLOBAL"):
            parts = argument.split(" ", 1) if name == "GLOBAL" else [thing.value for thing in taken]
            if not all(isinstance(part, str) for part in parts):
                raise ValueError("a name is no text")
            found.names.add(".".join(parts))
            return Thing(1, ".".join(parts))
        if name == "BINPERSID":
            parts = taken[0].value
            found.storages.append(tuple(part.value for part in parts) if isinstance(parts, tuple) else ())
        if name.startswith(("TUPLE", "EMPTY_TUPLE")):
            return Thing(weight, tuple(taken) if len(taken) <= _PARTS else None)
        return Thing(weight, argument if isinstance(argument, str) else None)
