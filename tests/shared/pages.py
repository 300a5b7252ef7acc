"""Pages with code: their blocks, and whether what a block prints is what stands below it."""

import re

_PRINTING = re.compile(r"^```python\n(.*?)^```\n\n```text\n(.*?)^```", flags=re.M | re.S)
_CELL = re.compile(r"^```\{code-cell\} python\n(?:^:.*\n)*(.*?)^```", flags=re.M | re.S)


def printing(text: str) -> list[tuple[str, str]]:
    """Blocks of Python of a page, each with the output that stands below it."""
    pairs = _PRINTING.findall(text)
    assert len(pairs) == text.count("```text\n") > 0, "an output without its code"
    return pairs


def cells(text: str) -> list[str]:
    """Cells of a page that every build of the documentation runs."""
    return _CELL.findall(text)


def agree(printed: str, written: str, *, share: float = 0.9) -> bool:
    """Whether two outputs have the same words and, but for rounding, the same numbers, in a share of all places."""
    one, two = (re.findall(r"[^\s,;:\[\]()]+", text) for text in (printed, written))
    if len(one) != len(two):
        return False
    same = []
    for first, second in zip(one, two, strict=True):
        try:
            a, b = (float(word.rstrip("%.")) for word in (first, second))
        except ValueError:
            same.append(first == second)
        else:
            same.append(abs(a - b) <= 0.011 + 0.02 * abs(b))
    return sum(same) >= share * len(same)
