"""Where a figure comes from and what becomes of it: every function of ``grn.pl`` begins and ends here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from grn._core import checks
from grn._core.errors import ParameterError
from grn._core.files import PathLike, output_file, written
from grn.pl._style import check_axes, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# what a function returns, by ``show`` and ``return_fig``
Drawn: TypeAlias = "Axes | Figure | None"
DrawnPanels: TypeAlias = "np.ndarray | Figure | None"

_DPI = 300
SNIPPETS = {
    "figure": """
        figsize
            Width and height of a new figure in inches; by default as large as its content needs.
        save
            File to write the figure to; its ending is the format, such as ``.png``, ``.pdf`` or ``.svg``. In the latter
            two names stay text that can be edited. Bitmaps have 300 dots per inch unless
            ``matplotlib.rcParams["savefig.dpi"]`` is a number.
        show
            Show the figure, and return nothing; it is not shown by default.
        return_fig
            Return the Figure instead of the Axes.
        """,
}


@dataclass(frozen=True)
class Output:
    """What the caller wants of a figure, checked before anything is drawn.

    Parameters
    ----------
    given
        Axes that were passed: one, several in any nesting, or None.
    size
        Width and height of a new figure in inches; None for what its content needs.
    save
        File to write.
    show
        Whether to show it.
    return_fig
        Whether to return the Figure.
    """

    given: Any
    size: tuple[float, float] | None
    save: Path | None
    show: bool
    return_fig: bool

    @classmethod
    def of(cls, *, ax: object, figsize: object, save: object, show: object, return_fig: object) -> Output:
        """Check the arguments of a function of ``grn.pl``."""
        if figsize is not None and ax is not None:
            raise ParameterError("figsize is the size of a new figure; pass either ax or figsize.")
        for name, value in (("show", show), ("return_fig", return_fig)):
            checks.flag(name, value)
        size = None if figsize is None else _inches(figsize)
        return cls(ax, size, None if save is None else _file(save), bool(show), bool(return_fig))

    def axes(self, width_mm: float, height_mm: float, *, managed: bool = True) -> Axes:
        """The Axes that were passed, or those of a new figure, of a size in millimetres unless another was wanted."""
        check_axes(self.given)
        if self.given is not None:
            given: Axes = self.given
            return given
        return self.column(width_mm, height_mm, managed=managed)[0]

    def column(self, width_mm: float, height_mm: float, *, rows: int = 1, managed: bool = True) -> np.ndarray:
        """A new figure with a column of axes."""
        if self.size is not None:
            width_mm, height_mm = (25.4 * side for side in self.size)
        return new_axes(width_mm, height_mm, rows=rows, managed=managed)

    def finish(self, drawn: Any) -> Any:
        """Save and show the figure as wanted, and return what was asked for."""
        figure: Figure = np.ravel(np.asarray(drawn, dtype=object))[0].get_figure(root=True)
        if self.save is not None:
            import matplotlib as mpl

            dpi = mpl.rcParams["savefig.dpi"]
            # names stay text that a program for figures can edit
            text = mpl.rc_context({"svg.fonttype": "none", "pdf.fonttype": 42, "ps.fonttype": 42})
            with text, written(self.save, name="save") as place:
                figure.savefig(place, format=_ending(self.save), dpi=_DPI if dpi == "figure" else dpi)
        if self.show:
            import matplotlib.pyplot as plt

            plt.show()
        if self.return_fig:
            return figure
        return None if self.show else drawn


def _file(save: object) -> Path:
    """The file to write, if there is a format for it and it can be written."""
    from matplotlib.backend_bases import FigureCanvasBase

    if isinstance(save, bool | np.bool_):
        raise ParameterError(f"save={save!r}; pass the path of a file, for instance save='figure.pdf'.")
    path = output_file(save, name="save")  # type: ignore[arg-type]
    known = sorted(FigureCanvasBase.get_supported_filetypes())
    if _ending(path) not in known:
        raise ParameterError(
            f"save={str(path)!r} has no ending that names a format of figures; use one of {', '.join(known)}."
        )
    return path


def _ending(path: PathLike) -> str:
    return Path(path).suffix.removeprefix(".").lower()


def _inches(figsize: Any) -> tuple[float, float]:
    try:
        width, height = (float(side) for side in figsize)
    except (TypeError, ValueError):
        width = height = float("nan")
    if not (np.isfinite([width, height]).all() and 0 < min(width, height) and max(width, height) <= 500):
        raise ParameterError(f"figsize={figsize!r}; pass width and height in inches, for instance (7, 5).")
    return width, height
