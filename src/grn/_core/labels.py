"""Labels of cells: their text, and the keys under which what belongs to a label is kept."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from grn._core.errors import CellNameError, GroupError
from grn._core.names import unstorable

# what separates or starts a name in h5ad, zarr or a folder, and what would be read as an escape
_UNSAFE = re.compile(r"[/\\]|^\.|%(?=[0-9A-Fa-f]{2})|^$")
_ESCAPE = re.compile("%([0-9A-Fa-f]{2})")
_EMPTY = "%00"


def texts(labels: Iterable[Any], where: str) -> list[str]:
    """Text of labels; those that are the same stay so.

    Parameters
    ----------
    labels
        Labels of any type, each once or more often.
    where
        Where they stand, for messages.

    Returns
    -------
    list of str
        In the order given. ``1`` is ``"1"``, ``True`` is ``"True"``, ``1.5`` is ``"1.5"``.

    Raises
    ------
    GroupError
        If two labels have one text, a text is empty or holds a control character, or a label is a list or the like.
    """
    strings: list[str] = []
    of_text: dict[str, set[Any]] = defaultdict(set)
    texts_of: dict[Any, set[str]] = defaultdict(set)
    for label in labels:
        text = str(label)
        try:
            hash(label)
        except TypeError:
            raise GroupError(
                f"{where} holds labels of type {type(label).__name__}, for example {text[:40]}; expected text, numbers "
                f"or categories: adata.{where} = adata.{where}.astype(str)."
            ) from None
        of_text[text].add(label)
        texts_of[label].add(text)
        strings.append(text)
    # 1 and "1" share their text, 1 and True are equal and do not
    alike = [sorted(map(repr, same)) for same in (*of_text.values(), *texts_of.values()) if len(same) > 1]
    if alike:
        raise GroupError(
            f"{where} has labels that cannot be told apart: {' and '.join(alike[0])}. Give all of them one type, "
            f"adata.{where} = adata.{where}.astype(str), or rename one."
        )
    for text in of_text:
        if not text.strip():
            raise GroupError(
                f"{where} has the empty label {text!r}, which names no group; give these cells a name: "
                f"adata.{where} = adata.{where}.astype(str).replace({{{text!r}: 'unnamed'}})."
            )
        if unstorable([text]):
            raise GroupError(
                f"{where} has the label {text!r}, which holds a control character that files do not keep; rename it: "
                f"adata.{where} = adata.{where}.astype(str).replace({{{text!r}: 'a name'}})."
            )
    return strings


def asked(labels: Any) -> list[str]:
    """Text of one label or of several, as an argument such as ``group=`` gives them."""
    several = isinstance(labels, Iterable) and not isinstance(labels, str | bytes)
    return [str(label) for label in labels] if several else [str(labels)]


def key_of(label: str) -> str:
    """The name under which h5ad, zarr and folders keep what belongs to a label: different for different labels.

    Equal to the label unless that has a slash, a backslash, a leading dot, or what reads as an escape:
    ``"L2/3"`` is ``"L2%2F3"``.
    """
    return _UNSAFE.sub(lambda found: f"%{ord(found[0]):02X}" if found[0] else _EMPTY, label)


def label_of(key: str) -> str:
    """The label that :func:`key_of` made a key of."""
    return "" if key == _EMPTY else _ESCAPE.sub(lambda found: chr(int(found[1], 16)), key)


def keyed(value: Any) -> Any:
    """A nested dict with keys in place of labels."""
    return {key_of(name): keyed(item) for name, item in value.items()} if isinstance(value, Mapping) else value


def labelled(value: Any) -> Any:
    """A nested dict with labels in place of the keys that :func:`keyed` made of them."""
    return {label_of(name): labelled(item) for name, item in value.items()} if isinstance(value, Mapping) else value


def is_missing(value: Any) -> bool:
    """Whether a name is none: ``None``, NaN or ``pandas.NA``."""
    return value is None or (not isinstance(value, str) and (repr(value) == "<NA>" or value != value))


def unique_cells(names: Iterable[Any]) -> list[str]:
    """Names of cells, by which everything random is drawn, so that the order of the cells does not matter.

    Raises
    ------
    CellNameError
        If a name occurs more than once or is missing: such cells could be told apart by their order only.
    """
    names = list(names)
    gaps = [position for position, name in enumerate(names) if is_missing(name)]
    if gaps:
        raise CellNameError(
            f"{len(gaps)} names of cells are missing (NaN), at positions {gaps[:5]}; cells are drawn by name. Name "
            "them, for example adata.obs_names = [f'cell {i}' for i in range(adata.n_obs)]."
        )
    cells = [str(name) for name in names]
    if len(set(cells)) < len(cells):
        twice = [name for name, count in Counter(cells).items() if count > 1]
        raise CellNameError(
            f"{len(twice)} names of cells occur more than once, for example {twice[:3]}; cells are drawn by name, so "
            "that their order does not matter. Run adata.obs_names_make_unique() first."
        )
    return cells
