"""Colours: red is positive, blue is negative, everywhere; palettes and colour maps of the user's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from grn._core.errors import ParameterError
from grn._core.near import did_you_mean

if TYPE_CHECKING:
    from matplotlib.colors import Colormap, Normalize

ACTIVATE, REPRESS, UNSIGNED = "#B2182B", "#2166AC", "#7F7F7F"
ABSENT = "#ECECEC"
SIGN_NAMES = {1: "activation", -1: "repression", 0: "sign unknown"}
SIGN_COLORS = {1: ACTIVATE, -1: REPRESS, 0: UNSIGNED}
# Okabe and Ito, without yellow, which is too light for lines
LINES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
DIVERGING, RISING = "RdBu_r", "viridis_r"

SNIPPETS = {
    "sign_palette": """
        palette
            Colours of activation, repression and unknown sign, in this order, or a dict with some of these:
            ``{"activation": "crimson"}``. Red, blue and grey by default.
        """,
    "cmap": """
        cmap
            Colour map, by name or as matplotlib has it; ``"RdBu_r"`` by default where values have a sign, red above 0
            and blue below, else ``"viridis_r"``.
        """,
}

_BY_WORD = {"activation": 1, "repression": -1, "unknown": 0}


def sign_colors(palette: object) -> dict[int, str]:
    """Colour per sign, from what the user passed as palette."""
    default = {word: SIGN_COLORS[sign] for word, sign in _BY_WORD.items()}
    return {_BY_WORD[word]: color for word, color in chosen(palette, default).items()}


def chosen(palette: object, default: Mapping[str, str]) -> dict[str, Any]:
    """Colours by name, those of the palette in place of the default ones.

    Parameters
    ----------
    palette
        Dict of colours by name, colours in the order of the names, or None.
    default
        Colours by name.
    """
    if palette is None:
        return dict(default)
    if isinstance(palette, Mapping):
        strange = [name for name in palette if name not in default]
        if strange:
            raise ParameterError(
                f"palette has no use for {strange[0]!r}; it takes {', '.join(map(repr, default))}."
                + did_you_mean(strange[0], default)
            )
        named = dict(palette)
    else:
        colors = _listed(palette, len(default))
        if len(colors) > len(default):
            raise ParameterError(f"palette has {len(colors)} colours for {', '.join(default)}; pass at most these.")
        named = dict(zip(default, colors, strict=False))
    return {**default, **{name: _color(color) for name, color in named.items()}}


def line_colors(palette: object, count: int, *, names: Sequence[str] = ()) -> list[Any]:
    """Colours of ``count`` things, repeated where the palette has fewer; by name where it is a dict."""
    if palette is None:
        return [LINES[i % len(LINES)] for i in range(count)]
    if isinstance(palette, Mapping):
        lacking = [name for name in names if name not in palette]
        if lacking or not names:
            lack = f"has no colour for {lacking[0]!r}" if lacking else "is a dict, and there are no names"
            raise ParameterError(f"palette {lack}; pass a colour for each, or a list of colours.")
        return [_color(palette[name]) for name in names]
    colors = _listed(palette, count)
    return [_color(colors[i % len(colors)]) for i in range(count)]


def _listed(palette: object, count: int) -> list[Any]:
    """Colours of a list, or of a colour map by name."""
    from matplotlib.colors import Colormap

    if isinstance(palette, str | Colormap):
        cmap = color_map(palette, argument="palette")
        listed = getattr(cmap, "colors", None)
        if listed is not None and len(listed) <= 40:
            return list(listed)
        return list(cmap(np.linspace(0.05, 0.95, max(count, 1))))
    if not isinstance(palette, Sequence | np.ndarray) or not len(palette):
        raise ParameterError(f"palette={palette!r}; pass a list of colours, a dict, or the name of a colour map.")
    return list(palette)


def _color(color: Any) -> Any:
    from matplotlib.colors import is_color_like

    if not is_color_like(color):
        raise ParameterError(f"palette holds {color!r}, which is no colour of matplotlib; use '#B2182B' or 'crimson'.")
    return color


def color_map(cmap: object, *, argument: str = "cmap") -> Colormap:
    """A colour map by name or as it is."""
    import matplotlib as mpl
    from matplotlib.colors import Colormap

    if isinstance(cmap, Colormap):
        return cmap
    if not isinstance(cmap, str) or cmap not in mpl.colormaps:
        raise ParameterError(
            f"{argument}={cmap!r} is no colour map of matplotlib; use 'RdBu_r', 'viridis' or another of "
            f"matplotlib.colormaps.{did_you_mean(cmap, list(mpl.colormaps))}"
        )
    return mpl.colormaps[cmap]


def color_scale(values: np.ndarray, *, diverging: bool, cmap: object = None) -> tuple[Colormap, Normalize]:
    """Colour map and norm: symmetric around 0 when diverging, else from 0 to the maximum."""
    from matplotlib.colors import LinearSegmentedColormap, Normalize

    finite = np.abs(values[np.isfinite(values)])
    top = float(finite.max()) if finite.size and finite.max() > 0 else 1.0
    norm = Normalize(-top, top) if diverging else Normalize(0, top)
    if cmap is not None:
        return color_map(cmap).with_extremes(bad=ABSENT), norm
    name = DIVERGING if diverging else RISING
    # the ends of the full map are nearly black and hide the hue
    shades = color_map(name)(np.linspace(0.06, 0.94, 256) if diverging else np.linspace(0.05, 1, 256))
    return LinearSegmentedColormap.from_list(f"grn_{name}", shades).with_extremes(bad=ABSENT), norm
