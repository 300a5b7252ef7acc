"""Values of a method's own parameters from text, by the types in its signature."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

from grn._core.errors import ParameterError

if TYPE_CHECKING:
    from grn.methods import Method

_NONE = ("none", "null")
_BOOLS = {"true": True, "yes": True, "false": False, "no": False}
_MAKE: dict[str, Callable[[str], Any]] = {
    "bool": lambda text: _BOOLS[text.casefold()],
    "int": int,
    "float": float,
    "str": str,
}


def typed(record: Method, texts: Sequence[str]) -> dict[str, Any]:
    """Parameters from ``name=value``.

    Parameters
    ----------
    record
        The method.
    texts
        What the user wrote. Lists are separated by commas; ``none`` is ``None``.

    Raises
    ------
    ParameterError
        If a name is unknown (all valid ones are named) or repeated, or a value is not of the type that is expected.
    """
    found: dict[str, Any] = {}
    kinds = {name: kind for function in record.functions() for name, kind in _kinds(function).items()}
    for text in texts:
        name, sign, value = text.partition("=")
        name = name.strip()
        if not sign or not name:
            raise ParameterError(f"--param {text}: expected name=value, such as --param n_bags=20.")
        record.check({name: value})
        if name in found:
            raise ParameterError(f"--param {name} is given more than once.")
        found[name] = _value(name, value.strip(), kinds.get(name, set()))
    return found


def _kinds(function: Callable[..., Any]) -> dict[str, set[str]]:
    """What every parameter may be: ``int``, ``float``, ``bool``, ``str``, ``None``, a list of such, or other things."""
    plain = {name: str(p.annotation) for name, p in inspect.signature(function).parameters.items()}
    try:
        hints: Mapping[str, Any] = get_type_hints(function)
    except (NameError, TypeError):  # imported for type checkers only
        hints = {}
    return {name: _names(hints[name]) if name in hints else _split(text) for name, text in plain.items()}


def _names(hint: Any) -> set[str]:
    origin = getattr(hint, "__origin__", None)
    if origin is not None and not str(origin).startswith("typing.Union"):
        inner = [name for part in get_args(hint) for name in _names(part)]
        is_list = origin in (list, tuple) or getattr(origin, "__name__", "") == "Sequence"
        return {f"list {name}" for name in inner} if is_list else {"other"}
    if get_args(hint):
        return {name for part in get_args(hint) for name in _names(part)}
    if hint is type(None):
        return {"None"}
    return {hint.__name__} if hint in (int, float, bool, str) else {"other"}


def _split(text: str) -> set[str]:
    parts = [part.strip() for part in text.split("|")]
    lists = [re.fullmatch(r"(?:Sequence|list|tuple)\[(\w+).*\]", part) for part in parts]
    return {f"list {m[1]}" if m else part for m, part in zip(lists, parts, strict=True)}


def _value(name: str, text: str, kinds: set[str]) -> Any:
    if text.casefold() in _NONE and "None" in kinds:
        return None
    for kind in ("bool", "int", "float", "str"):
        try:
            if kind in kinds:
                return _MAKE[kind](text)
            if f"list {kind}" in kinds:
                return [_MAKE[kind](part.strip()) for part in text.split(",") if part.strip()]
        except (KeyError, ValueError):
            continue
    there = ", ".join(sorted(kind.replace("list ", "list of ") for kind in kinds - {"other"}))
    if there in ("", "None"):
        raise ParameterError(f"--param {name}: its values cannot be written in a command; call grn.tl from Python.")
    raise ParameterError(f"--param {name}={text}: expected {there}.")
