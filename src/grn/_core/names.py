"""Names that every file format survives: of genes and groups, and of entries of an object."""

from __future__ import annotations

import re
from collections.abc import Iterable

from grn._core.errors import ParameterError

# control characters and line breaks end a line or a field of text files; h5ad refuses NUL; halves of surrogate pairs
# have no bytes in UTF-8; XML has no place for the last two
_BROKEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]")
WHY = "no file format keeps control characters, line breaks, lone surrogates and U+FFFF"


def unstorable(names: Iterable[str]) -> list[str]:
    """Those of the names that hold a character which files cannot keep; quick when there is none."""
    listed = [str(name) for name in names]
    # of all names at once: a pair of surrogates cut in two cannot heal, as there is a space between
    if _BROKEN.search(" ".join(listed)) is None:
        return []
    return [name for name in listed if _BROKEN.search(name)]


def check_key(key: object, argument: str = "key_added") -> None:
    """Refuse a name under which ``h5ad`` or ``zarr`` cannot keep an entry."""
    if not isinstance(key, str) or not key.strip():
        raise ParameterError(f"{argument}={key!r} is no name of an entry; pass a string.")
    if "/" in key or key in (".", ".."):
        raise ParameterError(
            f"{argument}={key!r} cannot be stored, as files take '/' and '.' for folders; "
            f"pass {argument}={key.replace('/', '_').replace('.', '_')!r}."
        )
    if unstorable([key]):
        raise ParameterError(f"{argument}={key!r} cannot be stored: {WHY}.")
