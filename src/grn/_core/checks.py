"""Arguments in their range: one rule for what counts as a number, and one style of message, for the whole package.

Every function takes the name of the argument and its value (:func:`jobs` the value first), and returns the
value as a plain ``int``, ``float``, ``bool``, ``str``, list or dict. Numbers may be Python's or numpy's, an array
without axes too; ``True`` and ``False`` are no numbers, nor is text that looks like one. What is refused says what
was found and what is expected, however large it is: ``n=0; pass a positive integer.``
"""

from __future__ import annotations

import math
import reprlib
import sys
from collections.abc import Iterable, Mapping
from numbers import Integral, Real
from typing import Any, NoReturn

from grn._core.errors import ParameterError
from grn._core.near import did_you_mean

# cells, edges, rounds, anything that is counted: what the integers of compiled code hold, and longer than anybody waits
MOST = 2**31 - 1


class _Short(reprlib.Repr):
    """Values for messages, however large they are."""

    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = 100
        self.maxlist = self.maxtuple = self.maxset = self.maxdict = 8

    def repr_int(self, x: int, level: int) -> str:
        """Integers, as Python refuses to print those of thousands of digits."""
        return "an integer of many digits" if x.bit_length() > 256 else repr(x)


_SHORT = _Short()


def shown(value: Any) -> str:
    """A value for a message, on one line and however large it is."""
    if _of_numpy(value, "generic"):
        value = value.item()
    return " ".join(_SHORT.repr(value).split())


def integer(name: str, value: object, *, least: int | None = None, most: int | None = MOST, note: str = "") -> int:
    """An integer in a range.

    Parameters
    ----------
    name
        What the argument is called.
    value
        What was given.
    least, most
        The smallest and the largest that is accepted; ``most=None`` for any.
    note
        What follows in the message: ``", or None for all cells"``.

    Raises
    ------
    ParameterError
        If it is no integer, a bool, or out of the range.

    Examples
    --------
    >>> import numpy as np
    >>> integer("n", np.int64(4), least=1)
    4
    >>> integer("n", 0, least=1)
    Traceback (most recent call last):
    ...
    grn._core.errors.ParameterError: n=0; pass a positive integer.
    """
    whole = _whole(value)
    if whole is not None and (least is None or least <= whole) and (most is None or whole <= most):
        return whole
    if most == MOST and (whole is None or whole <= MOST):
        most = None  # that limit is named to those only who go beyond it
    _refuse(name, value, _integers(least, most), note)


def number(
    name: str,
    value: object,
    *,
    least: float | None = None,
    above: float | None = None,
    most: float | None = None,
    below: float | None = None,
    finite: bool = True,
    note: str = "",
) -> float:
    """A number in a range; never NaN.

    Parameters
    ----------
    name
        What the argument is called.
    value
        What was given.
    least, above
        The smallest that is accepted, or what it has to be larger than.
    most, below
        The largest that is accepted, or what it has to be smaller than.
    finite
        Refuse infinite numbers.
    note
        What follows in the message.

    Raises
    ------
    ParameterError
        If it is no real number, a bool, NaN, or out of the range.

    Examples
    --------
    >>> number("alpha", 1, above=0)
    1.0
    >>> number("share", 2, least=0, most=1)
    Traceback (most recent call last):
    ...
    grn._core.errors.ParameterError: share=2; pass a number from 0 to 1.
    """
    given = _scalar(value)
    if isinstance(given, Real) and not _is_flag(given):
        real = _as_float(given)
        inside = (
            (least is None or real >= least)
            and (above is None or real > above)
            and (most is None or real <= most)
            and (below is None or real < below)
        )
        if inside and not math.isnan(real) and (math.isfinite(real) or not finite):
            return real
    _refuse(name, value, _numbers(least, above, most, below, finite=finite), note)


# smallest penalties beside correlations of 1, and beside sums of squares over up to some hundred thousand cells
OF_CORRELATIONS, OF_SUMS = 1e-10, 1e-5


def penalty(name: str, value: object, least: float, otherwise: str = "") -> float:
    """A penalty; one below ``least`` is lost in rounding where regulators depend on each other."""
    why = f": a smaller penalty is lost in rounding where regulators depend on each other{otherwise}"
    return number(name, value, least=least, note=why)


def word(name: str, value: object, valid: Iterable[str], *, note: str = "") -> str:
    """One of some words.

    Examples
    --------
    >>> word("kind", "spearmann", ("pearson", "spearman"))
    Traceback (most recent call last):
    ...
    grn._core.errors.ParameterError: kind='spearmann'; use one of pearson, spearman. Did you mean 'spearman'?
    """
    known = list(valid)
    if isinstance(value, str) and value in known:
        return str(value)
    near = did_you_mean(value, known) if isinstance(value, str) else ""
    raise ParameterError(f"{name}={shown(value)}; use one of {', '.join(known)}{note}.{near}")


def words(name: str, value: object, valid: Iterable[str], *, note: str = "") -> list[str]:
    """Some of some words, each once, in the order given; at least one. A single one may be given without a list."""
    known = list(valid)
    asked = [value] if isinstance(value, str) else _items(value)
    if not asked or not all(isinstance(item, str) and item in known for item in asked):
        strange = next((item for item in asked or [] if item not in known), None)
        near = did_you_mean(strange, known) if isinstance(strange, str) else ""
        raise ParameterError(f"{name}={shown(value)}; pass a list of some of {', '.join(known)}{note}.{near}")
    return list(dict.fromkeys(map(str, asked)))


def names(name: str, value: object, *, what: str = "names") -> list[str]:
    """A list of names as text; refuses a single string, which would be taken letter by letter.

    Examples
    --------
    >>> names("genes", "SPI1")
    Traceback (most recent call last):
    ...
    grn._core.errors.ParameterError: genes='SPI1' is a single string; pass a list of names, such as ['SPI1'].
    """
    if isinstance(value, str | bytes):
        text = shown(value)
        raise ParameterError(f"{name}={text} is a single string; pass a list of {what}, such as [{text}].")
    listed = None if isinstance(value, Mapping) else _items(value)
    if listed is None:
        raise ParameterError(f"{name} has type {type(value).__name__}; pass a list of {what}.")
    return [str(item) for item in listed]


def several(name: str, value: object, *, what: str = "numbers") -> list[Any]:
    """A list of what is checked one by one afterwards; refuses a single number."""
    listed = None if isinstance(value, str | bytes | Mapping) else _items(value)
    if listed is None:
        raise ParameterError(f"{name}={shown(value)}; pass a list of {what}.")
    return listed


def flag(name: str, value: object, *, note: str = "") -> bool:
    """``True`` or ``False``, numpy's too."""
    if not _is_flag(value):
        raise ParameterError(f"{name}={shown(value)}; pass True or False{note}.")
    return bool(value)


def jobs(value: object, name: str = "n_jobs") -> int | None:
    """A number of processes or threads: ``None``, ``-1`` for all cores, or a positive integer."""
    if value is None:
        return None
    note = ", -1 for all cores or None"
    return -1 if _whole(value) == -1 else integer(name, value, least=1, note=note)


def mapping(name: str, value: object, *, example: str) -> dict[str, Any]:
    """A dict by name; ``None`` for an empty one."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ParameterError(f"{name}={shown(value)}; pass a dict by name, such as {example}.")
    return dict(value)


def _scalar(value: Any) -> Any:
    """What an array without axes holds; everything else as it is."""
    return value[()] if _of_numpy(value, "ndarray") and value.ndim == 0 else value


def _whole(value: object) -> int | None:
    """An integer as Python's, ``None`` for everything else."""
    given = _scalar(value)
    return int(given) if isinstance(given, Integral) and not _is_flag(given) else None


def _as_float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:  # of an integer with more than 308 digits
        return math.inf if value > 0 else -math.inf


def _items(value: object) -> list[object] | None:
    try:
        return list(value)  # type: ignore[call-overload, no-any-return]
    except TypeError:
        return None


def _integers(least: int | None, most: int | None) -> str:
    """The range of integers, in words."""
    if most is not None:
        return f"an integer up to {most}" if least is None else f"an integer from {least} to {most}"
    if least is None:
        return "an integer"
    return "a positive integer" if least == 1 else f"an integer of at least {least}"


def _numbers(least: float | None, above: float | None, most: float | None, below: float | None, *, finite: bool) -> str:
    """The range of numbers, in words."""
    if above is not None and below is not None:
        return f"a number between {above} and {below}"
    if most is None and below is None:
        kind = "a finite number" if finite else "a number"
        return kind + (f" of at least {least}" if least is not None else "" if above is None else f" above {above}")
    high = f"below {below}" if below is not None else f"{most}"
    if least is not None:
        return f"a number from {least} to {high}"
    if above is not None:
        return f"a number above {above} and up to {high}"
    return f"a number {high}" if below is not None else f"a number up to {high}"


def _refuse(name: str, value: object, expected: str, note: str) -> NoReturn:
    raise ParameterError(f"{name}={shown(value)}; pass {expected}{note}.")


def _of_numpy(value: Any, kind: str) -> bool:
    """Whether a value is numpy's; without loading numpy, which importing the package does not need."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, getattr(numpy, kind))


def _is_flag(value: object) -> bool:
    return isinstance(value, bool) or _of_numpy(value, "bool_")
