"""What is written above and below the panels of the benchmark figure, in as many lines as their width asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING

from grn.pl._style import INK, MUTED, SMALL, TEXT

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Text

# of the forms of a count, the one that a title in one line leaves room for
_SHORT = 2


def title_panels(axes: Sequence[Axes], names: Sequence[Sequence[str]], units: Sequence[Mapping[str, str]]) -> None:
    """Write names at the left and, as fully as there is room, how many data sets there are at the right.

    Parameters
    ----------
    axes
        Panels, of the size that they will be drawn with.
    names
        Network, protocol and what else is told of every panel; they take two lines in all panels or in none.
    units
        Unit of every data set of a panel.
    """
    style = {"fontsize": TEXT, "color": INK, "fontweight": "bold"}
    left = [ax.set_title("", loc="left", pad=3, **style) for ax in axes]
    right = [ax.set_title("", loc="right", pad=3, fontsize=SMALL, color=MUTED) for ax in axes]
    counts = [_counts(found) for found in units]
    widths = [ax.get_window_extent().width for ax in axes]
    panels = list(zip(left, right, widths, strict=True))
    lines = [[", ".join(parts)] for parts in names]
    if not _all_beside(panels, lines, [forms[_SHORT] for forms in counts]):
        halves = [(f"{parts[0]},", ", ".join(parts[1:])) for parts in names]
        lines = [[line for half in pair for line in fold(a, half, width)]
                 for (a, _, width), pair in zip(panels, halves, strict=True)]  # fmt: skip
    chosen = next(i for i in range(len(counts[0])) if _all_beside(panels, lines, [forms[i] for forms in counts]))
    for panel, line, forms in zip(panels, lines, counts, strict=True):
        # where not all have room, those that have it say it
        form = forms[chosen] or next(form for form in forms if _beside(panel, line, form))
        panel[0].set_text("\n".join(line))
        panel[1].set_text(form)


def fold(text: Text, words: str, width: float) -> list[str]:
    """Lines of some words that are no wider than ``width`` pixels in the letters of ``text``, unless a word is."""
    lines: list[str] = []
    for word in words.split(" "):
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and _width(text, longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _counts(units: Mapping[str, str]) -> list[str]:
    """How many data sets there are, from the fullest form to none."""
    number, independent = len(units), len(set(units.values()))
    if number < 2:
        return [*["".join(units)] * 4, ""]
    short = f"{number} data sets"
    if independent == number:
        return [short, short, short, f"{number} sets", ""]
    return [f"{short}, {independent} independent", f"{short},\n{independent} independent", short, f"{number} sets", ""]


def _all_beside(panels: Sequence[tuple[Text, Text, float]], lines: Sequence[list[str]], forms: Sequence[str]) -> bool:
    return all(_beside(panel, line, form) for panel, line, form in zip(panels, lines, forms, strict=True))


def _beside(panel: tuple[Text, Text, float], lines: Sequence[str], form: str) -> bool:
    """Whether title and count have room beside each other; their last lines stand at the same height."""
    left, right, width = panel
    pairs = zip_longest(reversed(lines), reversed(form.split("\n")), fillvalue="")
    gap = SMALL * left.get_figure(root=True).dpi / 72
    return not form or all(_width(left, a) + gap * bool(b) + _width(right, b) <= width for a, b in pairs)


def _width(text: Text, words: str) -> float:
    """Width in pixels of words in the letters of a text."""
    if not words:
        return 0.0
    text.set_text(words)
    return float(text.get_window_extent().width)
