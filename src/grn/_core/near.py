"""Names that may have been meant by one that does not exist: one rule for all error messages."""

from __future__ import annotations

import re
from collections.abc import Iterable

# a slip of one letter in a name of four or five passes, another word does not
_CUTOFF = 0.75
_AT_MOST = 8


def near(name: object, known: Iterable[object], *, genes: bool = False) -> list[str]:
    """Known names that may have been meant, the likeliest first; mostly none or one.

    They are, by the first rule that finds any: the name in other letter case or with other separators; all names that
    it begins; the closest one with the same first letter.

    Parameters
    ----------
    name
        What was asked for.
    known
        What there is.
    genes
        The names are genes, of which two with other numbers are two genes and no slip, and many begin alike.
    """
    import difflib

    asked, folded = _fold(name), {}
    for item in sorted({str(item) for item in known}, reverse=True):
        folded[_fold(item)] = item
    if not asked:
        return []
    if asked in folded:
        return [folded[asked]]
    begun = [folded[item] for item in folded if item.startswith(asked)][::-1]
    if len(asked) >= 3 and begun and (len(begun) == 1 or not genes):
        return begun[:_AT_MOST]
    alike = [item for item in folded if item[:1] == asked[:1] and not (genes and _numbers_differ(asked, item))]
    return [folded[item] for item in difflib.get_close_matches(asked, alike, n=1, cutoff=_CUTOFF)]


def did_you_mean(name: object, known: Iterable[object], *, genes: bool = False) -> str:
    """End of an error message, with a space before it; empty if nothing is close."""
    names = [repr(item) for item in near(name, known, genes=genes)]
    if not names:
        return ""
    return f" Did you mean {', '.join(names[:-1])}{' or ' if len(names) > 1 else ''}{names[-1]}?"


def _fold(name: object) -> str:
    return re.sub(r"[\s_.-]+", "", str(name)).casefold()


def _numbers_differ(one: str, other: str) -> bool:
    numbers = [re.findall(r"\d+", name) for name in (one, other)]
    return all(numbers) and numbers[0] != numbers[1]
